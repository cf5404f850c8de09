"""A corpus of damaged and odd videos, made by code."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
from PIL import Image

SIDE, N_FRAMES = 48, 24


def frames(n: int = N_FRAMES, height: int = SIDE, width: int = SIDE, seed: int = 0) -> np.ndarray:
    """A moving gradient with noise: uint8 (n, height, width, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin((x + 2 * t) / 9 + c) + np.cos((y - t) / 7 - c) for t in range(n) for c in range(3)]
    if not waves:
        return np.zeros((0, height, width, 3), dtype=np.uint8)
    movie = np.stack(waves).reshape(n, 3, height, width).transpose(0, 2, 3, 1)
    return np.clip(128 + 50 * movie + rng.normal(0, 6, movie.shape), 0, 255).astype(np.uint8)


def encoded(
    movie: np.ndarray,
    container: str = "mp4",
    codec: str = "libx264",
    pixels: str = "yuv420p",
    fps: float = 12,
    **options: str,
) -> bytes:
    """A video file."""
    given = {"movflags": "faststart"} if container == "mp4" else {}
    # A file: to put an index at the front, FFmpeg opens what it wrote a second time.
    with (
        TemporaryDirectory() as folder,
        av.open(f"{folder}/video", "w", format=container, options=given) as output,
    ):
        stream = output.add_stream(codec, rate=Fraction(fps).limit_denominator(1001), options=options)
        stream.height, stream.width, stream.pix_fmt = movie.shape[1], movie.shape[2], pixels
        for image in movie:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(stream.encode())
        output.close()
        file = Path(folder, "video")
        return file.read_bytes() if file.exists() else b""  # of no frames FFmpeg makes no file


def sound(container: str = "mp4", codec: str = "aac") -> bytes:
    """A file of sound and no pictures."""
    target = io.BytesIO()
    with av.open(target, "w", format=container) as output:
        stream = output.add_stream(codec, rate=44100)
        tone = (0.1 * np.sin(np.arange(44100) / 20)).astype(np.float32)[None]
        for start in range(0, 44032, 1024):
            frame = av.AudioFrame.from_ndarray(tone[:, start : start + 1024], format="fltp", layout="mono")
            frame.sample_rate = 44100
            frame.pts = start
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return target.getvalue()


def picture(kind: str) -> bytes:
    target = io.BytesIO()
    images = [Image.fromarray(image) for image in frames(4)]
    more = {"save_all": True, "append_images": images[1:], "duration": 80} if kind == "GIF" else {}
    images[0].save(target, format=kind, **more)
    return target.getvalue()


def _flipped(content: bytes, rng: np.random.Generator, n: int) -> bytes:
    damaged = np.frombuffer(content, dtype=np.uint8).copy()
    places = rng.integers(0, len(damaged), n)
    damaged[places] ^= (1 << rng.integers(0, 8, n)).astype(np.uint8)
    return damaged.tobytes()


CONTAINERS = {
    "mp4": ("mp4", "libx264", "yuv420p"),
    "mkv": ("matroska", "libx264", "yuv420p"),
    "avi": ("avi", "mpeg4", "yuv420p"),
    "mov": ("mov", "mjpeg", "yuvj420p"),
    "mpg": ("mpegts", "mpeg2video", "yuv420p"),  # .ts is no video to lavx: most such files are TypeScript
}


def write_corpus(folder: Path) -> dict[str, set[str]]:
    """Write more than 250 files; returns the names that must be refused, and those that must be explained."""
    rng = np.random.default_rng(0)
    bad: set[str] = set()
    good: set[str] = set()

    def write(name: str, content: bytes, verdict: set[str] | None = None) -> None:
        (folder / name).write_bytes(content)
        if verdict is not None:
            verdict.add(name)

    wholes = {end: encoded(frames(), *how, fps=25 if end == "mpg" else 12) for end, how in CONTAINERS.items()}
    for end, content in wholes.items():
        write(f"whole.{end}", content, good)
        for n, share in enumerate(np.linspace(0.02, 0.98, 16)):
            # An MP4 with its index at the front says how many frames there should be.
            verdict = bad if end == "mp4" and share < 0.9 or end == "mov" else None
            write(f"cut-{n:02d}.{end}", content[: int(len(content) * share)], verdict)
        for n in range(20):
            write(f"flipped-{n:02d}.{end}", _flipped(content, rng, int(rng.integers(1, 60))))
        for n in range(4):
            start, length = int(rng.integers(0, len(content))), int(rng.integers(50, 2000))
            write(f"hole-{n}.{end}", content[:start] + bytes(length) + content[start + length :])
        write(f"no-head.{end}", content[len(content) // 3 :], bad if end in ("mp4", "mov") else None)
        write(f"twice.{end}", content + content)
        write(f"more-behind.{end}", content + rng.bytes(3000), good if end in ("mp4", "mov") else None)
    for height, width in ((2, 2), (2, 96), (96, 2), (6, 10), (34, 38), (128, 18), (240, 426)):
        write(f"size-{height}x{width}.mp4", encoded(frames(6, height, width)), good)
    for height, width in ((1, 1), (3, 5), (17, 31), (1, 64)):
        write(f"odd-{height}x{width}.mp4", encoded(frames(6, height, width), pixels="yuv444p"), good)
    for n in (1, 2, 3, 5, 200):
        write(f"frames-{n}.mp4", encoded(frames(n)), good)
    for fps in (0.1, 1, 239.76, 1000):
        write(f"fps-{fps}.mp4", encoded(frames(8), fps=fps), good)
    write("gray.mkv", encoded(frames(), "matroska", "ffv1", "gray"), good)
    write("ten-bits.mkv", encoded(frames(), "matroska", "ffv1", "yuv420p10le"), good)
    write("lossless.mkv", encoded(frames(), "matroska", "ffv1", "bgr0"), good)
    write("clip.gif", picture("GIF"))
    write("mp4-named.avi", wholes["mp4"], good)
    write("avi-named.mp4", wholes["avi"], good)
    write("mkv-named.mov", wholes["mkv"], good)
    write("text-named.mp4", b"this is not a video\n" * 50, bad)
    write("html-named.mp4", b"<html><body>404 not found</body></html>", bad)
    write("json-named.mkv", b'{"video": null}', bad)
    write("empty.mp4", b"", bad)
    write("one-byte.mp4", b"\0", bad)
    write("zeros.mp4", bytes(20_000), bad)
    write("noise.mp4", rng.bytes(20_000))
    write("noise.mkv", rng.bytes(20_000))
    write("zip-named.mp4", b"PK\x03\x04" + rng.bytes(500), bad)
    write("picture-named.mp4", picture("PNG"))
    write("sound.mp4", sound(), bad)
    write("sound.mkv", sound("matroska"), bad)
    write("no-frames.mp4", encoded(frames(0)), bad)
    write("no-frames.mkv", encoded(frames(0), "matroska"), bad)
    (folder / "a-folder.mp4").mkdir()
    (folder / "nowhere.mp4").symlink_to(folder / "there-is-no-such-file.mp4")
    (folder / "loop.mp4").symlink_to(folder / "loop.mp4")
    return {"bad": bad, "good": good}
