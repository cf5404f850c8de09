"""Video files in and out, through PyAV (FFmpeg): what they really hold, the frames one asks for, new ones."""

from __future__ import annotations

import contextlib
import logging
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

FALLBACK_FPS = 25.0  # for files that do not say; it places frames in time, it selects none


class VideoError(ValueError):
    """A video that cannot be used; the message says which file and why."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video holds.

    Attributes:
        path: the file.
        n_frames: frames that decode, counted by decoding them: headers are wrong too often.
        height: pixels.
        width: pixels.
        fps: frames a second on average; `FALLBACK_FPS` where the file gives none.
    """

    path: Path
    n_frames: int
    height: int
    width: int
    fps: float


# Tags in an unknown encoding say nothing about the pictures. From version 19 on, PyAV takes them as they are.
_TAGS: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "ignore"}


@contextlib.contextmanager
def _open(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and its first video stream, or say why that is impossible."""
    if not path.exists():
        raise VideoError(f"{path}: there is no such file.")
    if not path.is_file():
        raise VideoError(f"{path}: not a file but a folder or a device.")
    if path.stat().st_size == 0:
        raise VideoError(f"{path}: the file is empty (0 bytes).")
    try:
        container = av.open(str(path), **_TAGS)
    except (av.FFmpegError, OSError, UnicodeError) as error:
        raise VideoError(
            f"{path}: cannot be opened as a video ({_reason(error)}); it is not a video, it is cut off, or "
            "this FFmpeg lacks its format."
        ) from error
    with container:
        if not container.streams.video:
            kinds = ", ".join(stream.type for stream in container.streams) or "none"
            raise VideoError(f"{path}: holds no video stream (its streams: {kinds}).")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise VideoError(f"{path}: its video is in a codec that this FFmpeg cannot decode.")
        stream.thread_type = "AUTO"
        yield container, stream


def _reason(error: Exception) -> str:
    """FFmpeg's own words, without PyAV's error number and file name."""
    return str(getattr(error, "strerror", None) or error)


class _Decoding:
    """The frames of one open video in display order, checked, with a count of what was read."""

    def __init__(self, path: Path, container: InputContainer, stream: VideoStream) -> None:
        self.path = path
        self.container = container
        self.stream = stream
        self.n_packets = 0
        self.n_frames = 0
        self.size: tuple[int, int] | None = None  # (height, width)

    def __iter__(self) -> Iterator[VideoFrame]:
        try:
            for packet in self.container.demux(self.stream):
                self.n_packets += packet.size > 0 and not packet.is_corrupt  # corrupt: cut short
                for frame in packet.decode():
                    assert isinstance(frame, VideoFrame)
                    self._check_size(frame)
                    yield frame
                    self.n_frames += 1
        except (av.FFmpegError, OSError) as error:
            raise VideoError(
                f"{self.path}: decoding broke off after {self.n_frames} readable frames ({_reason(error)}); "
                "the file is damaged or cut off."
            ) from error

    def _check_size(self, frame: VideoFrame) -> None:
        size = (frame.height, frame.width)
        if 0 in size:
            raise VideoError(f"{self.path}: frame {self.n_frames} is {size[0]} x {size[1]} pixels.")
        if self.size is None:
            self.size = size
        if size != self.size:
            raise VideoError(
                f"{self.path}: frame {self.n_frames} is {size[0]} x {size[1]} pixels, those before are "
                f"{self.size[0]} x {self.size[1]}; a video must keep its size."
            )


def probe(path: str | Path) -> VideoInfo:
    """Decode the whole video once and say what it holds.

    Raises:
        VideoError: if it cannot be used: missing, empty, not a video, no video stream, damaged, cut off, no
            frames, or frames of several sizes.
    """
    path = Path(path)
    with _open(path) as (container, stream):
        decoding = _Decoding(path, container, stream)
        for _ in decoding:
            pass
        announced = stream.frames  # 0 where the format has no such field
        # Compared with packets: a decoder may rightly withhold frames (edit lists, empty packets), but a
        # whole file has all the packets it announces. FFmpeg reads a cut off file without complaint.
        if announced - decoding.n_packets > announced / 100:
            raise VideoError(
                f"{path}: announces {announced} frames but ends after {decoding.n_frames} readable ones; the "
                "file is cut off."
            )
        if decoding.size is None:
            raise VideoError(f"{path}: holds no frame that can be decoded.")
        fps = float(stream.average_rate or stream.guessed_rate or 0)
        if not 0 < fps <= 1000:
            logger.warning("%s gives a frame rate of %g; taking %g.", path, fps, FALLBACK_FPS)
            fps = FALLBACK_FPS
        return VideoInfo(path, decoding.n_frames, *decoding.size, fps)


def stretch(info: VideoInfo, start: float | None = None, end: float | None = None) -> range:
    """The frames that a video shows from second `start` up to second `end`, that one left out.

    Args:
        info: of the video.
        start: seconds from its beginning; None for the beginning.
        end: seconds from its beginning, at most one frame after its end; None for the end.

    Raises:
        ValueError: if `start` or `end` is no number from 0, or they are in the wrong order.
        VideoError: if they lie outside the video or no frame lies between them.
    """
    for name, second in (("start", start), ("end", end)):
        number = isinstance(second, int | float) and not isinstance(second, bool) and math.isfinite(second)
        if second is not None and not (number and second >= 0):
            raise ValueError(f"{name} must be a number of seconds from 0, or None, got {second!r}.")
    if start is not None and end is not None and start >= end:
        raise ValueError(f"start must be before end, got start={start:g} and end={end:g}.")
    seconds = info.n_frames / info.fps
    lasts = f"the video lasts {seconds:.4g} seconds ({info.n_frames} frames, {info.fps:.4g} a second)."
    # A frame of tolerance: 299 frames at 29.97 a second are "10 seconds" to everyone.
    if (start or 0) >= seconds or (end or 0) > seconds + 1 / info.fps:
        given = f"start={start:g}" if (start or 0) >= seconds else f"end={end:g}"
        raise VideoError(f"{info.path}: {given} lies outside the video; {lasts}")
    # The time of a frame is its index / fps, rounded: index / fps * fps may be a little more than index.
    first = 0 if start is None else math.ceil(start * info.fps - 1e-6)
    after = info.n_frames if end is None else min(math.ceil(end * info.fps - 1e-6), info.n_frames)
    if first >= after:
        between = f"start={start or 0:g} and end={seconds if end is None else end:g}"
        raise VideoError(f"{info.path}: no frame lies between {between}; {lasts}")
    return range(first, after)


def length(info: VideoInfo, frames: range) -> str:
    """How many frames a video, or a stretch of it, has, for messages: `9 frames from second 1 to 2.125`."""
    if len(frames) == info.n_frames:
        return f"{info.n_frames} frames"
    return f"{len(frames)} frames from second {frames.start / info.fps:.4g} to {frames.stop / info.fps:.4g}"


def read_frames(path: str | Path, indices: Sequence[int]) -> NDArray[np.uint8]:
    """Read some frames of a video: uint8 (len(indices), H, W, 3), RGB, in the order asked.

    Decodes from the start to the last frame asked and keeps only those asked.

    Args:
        path: the video.
        indices: frames from 0, in any order, repeats allowed.

    Raises:
        VideoError: if the video cannot be used or has no such frame.
    """
    path = Path(path)
    wanted = [int(index) for index in indices]
    if not wanted or min(wanted) < 0:
        raise ValueError(f"indices must be one or more whole numbers from 0, got {wanted}.")
    last = max(wanted)
    needed = set(wanted)
    kept: dict[int, NDArray[np.uint8]] = {}
    with _open(path) as (container, stream):
        decoding = _Decoding(path, container, stream)
        for index, frame in enumerate(decoding):
            if index in needed:
                kept[index] = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
            if index == last:
                break
        else:
            raise VideoError(f"{path}: frame {last} was asked, but it has {decoding.n_frames} frames.")
    return np.stack([kept[index] for index in wanted])


def write_video(path: str | Path, frames: NDArray[np.uint8], fps: float, crf: int = 18) -> None:
    """Write an MP4 that browsers play (H.264, yuv420p, index first); the same frames give the same bytes.

    An odd height or width, which yuv420p cannot hold, is made even by repeating the last row or column. The
    file appears whole or not at all.

    Args:
        path: the file to write; its folder must exist.
        frames: uint8 (n, H, W, 3), RGB.
        fps: frames a second, above 0.
        crf: x264's quality, 0 (lossless but for the halved color resolution) to 51 (worst).
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        raise ValueError(f"frames must be uint8 (n, H, W, 3), not empty; got {frames.dtype} {frames.shape}.")
    if not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"fps must be above 0, got {fps}.")
    if not 0 <= crf <= 51:
        raise ValueError(f"crf must be in [0, 51], got {crf}.")
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: its folder does not exist; make it first.")
    height, width = frames.shape[1:3]
    frames = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with av.open(str(unfinished), "w", format="mp4", options={"movflags": "faststart"}) as container:
            stream = container.add_stream(
                "libx264",
                rate=Fraction(fps).limit_denominator(1001),
                options={"crf": str(crf), "threads": "1"},
            )
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = "yuv420p"
            for image in frames:
                container.mux(stream.encode(VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
