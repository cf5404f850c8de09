"""Video files: round trips through the encoder, and every way in which a file can be bad."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from lavx import video

CLIPS = Path(__file__).parents[2] / "shared" / "data" / "clips"


def _gradient(n: int, height: int, width: int) -> np.ndarray:
    """Smooth frames, each one shade brighter than the last: uint8 (n, height, width, 3)."""
    y, x = np.mgrid[:height, :width]
    image = np.stack([60 + y, 60 + x, 90 + (x + y) // 2], axis=-1)
    return (image[None] + 4 * np.arange(n)[:, None, None, None]).astype(np.uint8)


@pytest.fixture
def frames() -> np.ndarray:
    return _gradient(20, 48, 64)


@pytest.fixture
def path(tmp_path: Path, frames: np.ndarray) -> Path:
    video.write_video(tmp_path / "video.mp4", frames, fps=12.5, crf=1)
    return tmp_path / "video.mp4"


def test_a_written_video_reads_back(path: Path, frames: np.ndarray) -> None:
    assert video.probe(path) == video.VideoInfo(path, 20, 48, 64, 12.5)
    read = video.read_frames(path, range(20))
    assert read.dtype == np.uint8 and read.shape == frames.shape
    assert np.abs(read.astype(int) - frames).max() <= 6
    assert np.abs(read.astype(float).mean((1, 2, 3)) - frames.mean((1, 2, 3))).max() < 2


def test_frames_come_in_the_order_asked_and_may_repeat(path: Path) -> None:
    everything = video.read_frames(path, range(20))
    np.testing.assert_array_equal(video.read_frames(path, [7, 3, 3, 19, 0]), everything[[7, 3, 3, 19, 0]])


def test_the_same_frames_give_the_same_bytes(tmp_path: Path, path: Path, frames: np.ndarray) -> None:
    video.write_video(tmp_path / "again.mp4", frames, fps=12.5, crf=1)
    assert (tmp_path / "again.mp4").read_bytes() == path.read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["again.mp4", "video.mp4"]


def test_browsers_can_play_it(path: Path) -> None:
    content = path.read_bytes()
    assert content.find(b"moov") < content.find(b"mdat"), "the index must come first"
    with av.open(str(path)) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.name, codec.pix_fmt) == ("h264", "yuv420p")


def test_odd_sizes_are_padded(tmp_path: Path) -> None:
    frames = _gradient(3, 33, 47)
    video.write_video(tmp_path / "odd.mp4", frames, fps=10, crf=1)
    info = video.probe(tmp_path / "odd.mp4")
    assert (info.n_frames, info.height, info.width) == (3, 34, 48)
    read = video.read_frames(tmp_path / "odd.mp4", range(3)).astype(int)
    assert np.abs(read[:, :33, :47] - frames).max() <= 8
    assert np.abs(read[:, 33] - read[:, 32]).max() <= 8


def test_ntsc_rate_is_kept_exactly(tmp_path: Path, frames: np.ndarray) -> None:
    video.write_video(tmp_path / "ntsc.mp4", frames, fps=30000 / 1001)
    assert video.probe(tmp_path / "ntsc.mp4").fps == 30000 / 1001


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            dict(frames=np.zeros((2, 8, 8), np.uint8)),
            r"frames must be uint8 \(n, H, W, 3\).*got uint8 \(2, 8, 8\)",
        ),
        (dict(frames=np.zeros((2, 8, 8, 3), float)), "frames must be uint8.*got float64"),
        (dict(frames=np.zeros((0, 8, 8, 3), np.uint8)), "not empty"),
        (dict(fps=0), "fps must be above 0, got 0"),
        (dict(fps=float("nan")), "fps must be above 0, got nan"),
        (dict(crf=99), r"crf must be in \[0, 51\], got 99"),
    ],
)
def test_writing_checks_what_it_is_given(tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        video.write_video(tmp_path / "x.mp4", **(dict(frames=np.zeros((2, 8, 8, 3), np.uint8), fps=5) | change))
    assert not list(tmp_path.iterdir())


def test_writing_into_a_missing_folder(tmp_path: Path, frames: np.ndarray) -> None:
    with pytest.raises(FileNotFoundError, match="its folder does not exist"):
        video.write_video(tmp_path / "none" / "x.mp4", frames, fps=5)


def test_a_failed_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(video, "VideoFrame", type("Broken", (), {"from_ndarray": staticmethod(fail)}))
    with pytest.raises(KeyboardInterrupt):
        video.write_video(tmp_path / "x.mp4", np.zeros((2, 8, 8, 3), np.uint8), fps=5)
    assert not list(tmp_path.iterdir())


def _bad(kind: str, folder: Path) -> Path:
    path = folder / f"{kind}.mp4"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("These are words.\n" * 500)
    elif kind == "sound":
        with wave.open(str(path), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(8000)
            sound.writeframes(bytes(16000))
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", r"missing\.mp4: there is no such file"),
        ("folder", r"folder\.mp4: not a file but a folder"),
        ("empty", r"empty\.mp4: the file is empty \(0 bytes\)"),
        ("text", r"text\.mp4: cannot be opened as a video \(Invalid data found when processing input\)"),
        ("sound", r"sound\.mp4: holds no video stream \(its streams: audio\)"),
    ],
)
def test_what_is_not_a_video_is_refused(tmp_path: Path, kind: str, message: str) -> None:
    path = _bad(kind, tmp_path)
    with pytest.raises(video.VideoError, match=message):
        video.probe(path)
    with pytest.raises(video.VideoError, match=message):
        video.read_frames(path, [0])


def _noise(path: Path, n: int = 60) -> bytes:
    rng = np.random.default_rng(0)
    video.write_video(path, rng.integers(0, 256, (n, 64, 64, 3), dtype=np.uint8), fps=10)
    return path.read_bytes()


@pytest.mark.parametrize("part", [0.5, 0.9, 0.99])
def test_a_cut_off_video_is_refused(tmp_path: Path, part: float) -> None:
    path = tmp_path / "cut.mp4"
    content = _noise(path)
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(video.VideoError, match=r"cut\.mp4: announces 60 frames but ends after \d+ readable ones"):
        video.probe(path)


def test_a_video_cut_off_before_its_index_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(_noise(path)[:700])
    with pytest.raises(video.VideoError, match=r"(cannot be opened as a video.*cut off|holds no video stream)"):
        video.probe(path)


def test_a_damaged_video_says_how_far_it_could_be_read(tmp_path: Path) -> None:
    path = tmp_path / "damaged.mp4"
    content = bytearray(_noise(path))
    middle = len(content) // 2
    content[middle : middle + len(content) // 5] = bytes(len(content) // 5)
    path.write_bytes(content)
    with pytest.raises(video.VideoError, match=r"broke off after \d+ readable frames \(Invalid data"):
        video.probe(path)


def test_a_video_that_changes_its_size_is_refused(tmp_path: Path) -> None:
    # Two raw H.264 streams one after the other are a stream whose size changes.
    path = tmp_path / "mixed.h264"
    with path.open("wb") as file:
        for width in (64, 96):
            codec = av.CodecContext.create("libx264", "w")
            assert isinstance(codec, av.VideoCodecContext)
            codec.width, codec.height, codec.pix_fmt = width, 48, "yuv420p"
            codec.time_base, codec.framerate = Fraction(1, 10), Fraction(10)
            packets = []
            for image in _gradient(10, 48, width):
                packets += codec.encode(av.VideoFrame.from_ndarray(image, format="rgb24"))
            for packet in packets + codec.encode():
                file.write(bytes(packet))
    with pytest.raises(video.VideoError, match=r"frame 10 is 48 x 96 pixels, those before are 48 x 64"):
        video.probe(path)


def test_a_video_without_frames_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.start_encoding()
    with pytest.raises(video.VideoError, match=r"none\.mp4: (holds no|cannot be opened)"):
        video.probe(path)


def test_frames_beyond_the_end(path: Path) -> None:
    with pytest.raises(video.VideoError, match="frame 20 was asked, but it has 20 frames"):
        video.read_frames(path, [0, 20])
    for indices in ([], [-1]):
        with pytest.raises(ValueError, match="indices must be one or more whole numbers from 0"):
            video.read_frames(path, indices)


@pytest.mark.skipif(not CLIPS.is_dir(), reason="needs ../shared/data")
def test_real_files_are_counted_by_decoding() -> None:
    files = sorted(file for file in CLIPS.rglob("*") if file.is_file())
    counts = {file.name: video.probe(file).n_frames for file in files}
    # The headers of both HMDB51 files announce one more frame than they hold.
    assert counts["RATRACE_wave_f_nm_np1_fr_goo_37.avi"] == 72
    assert counts["mmaction2_demo.mp4"] == 280
    for file in files[:2]:
        assert len(video.read_frames(file, [counts[file.name] - 1])) == 1


@pytest.mark.skipif(not CLIPS.is_dir(), reason="needs ../shared/data")
@pytest.mark.parametrize("part", [0.02, 0.5, 0.9])
def test_a_cut_off_avi_is_refused(tmp_path: Path, part: float) -> None:
    content = (CLIPS / "ucf101" / "mmaction2_test.avi").read_bytes()
    path = tmp_path / "cut.avi"
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(video.VideoError, match=r"cut\.avi: (announces 164 frames|cannot be opened)"):
        video.probe(path)
