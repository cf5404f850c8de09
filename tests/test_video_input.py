"""How a network sees a video: the frames asked for, resized as torchvision and PIL do it, cut in the middle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from lavx import video
from lavx.networks.video_input import VideoInput
from lavx.types import Geometry


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 frames of 48 x 64 pixels, each brighter than the last, 10 a second."""
    y, x = np.mgrid[:48, :64]
    image = np.stack([60 + y, 60 + x, 90 + (x + y) // 2], axis=-1)
    frames = (image[None] + 4 * np.arange(20)[:, None, None, None]).astype(np.uint8)
    file = tmp_path_factory.mktemp("videos") / "video.mp4"
    video.write_video(file, frames, fps=10, crf=1)
    return file


@pytest.fixture
def noise(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (2, 60, 90, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("settings", "n_frames", "fps", "expected"),
    [
        (dict(n_frames=4), 20, 10, [2, 7, 12, 17]),
        (dict(n_frames=5), 5, 10, [0, 1, 2, 3, 4]),
        (dict(n_frames=1), 21, 10, [10]),
        (dict(n_frames=4), 2, 10, [0, 0, 1, 1]),
        (dict(n_frames=4, sampling="dense"), 20, 10, [8, 9, 10, 11]),
        (dict(n_frames=4, sampling="dense", stride=2), 20, 10, [6, 8, 10, 12]),
        (dict(n_frames=8, sampling="stride", stride=8), 280, 10, list(range(111, 168, 8))),
        (dict(n_frames=4, sampling="stride", stride=3), 10, 10, [0, 3, 6, 9]),
        (dict(n_frames=4, sampling="stride", stride=3), 7, 10, [0, 3, 6, 2]),
        (dict(n_frames=4, sampling="dense"), 3, 10, [0, 1, 2, 0]),
        (dict(n_frames=4, sampling="stride", frame_rate=15), 100, 30, [46, 48, 50, 52]),
        (dict(n_frames=4, sampling="stride", frame_rate=10), 8, 25, [0, 2, 5, 7]),
        (dict(n_frames=4, sampling="dense", frame_rate=20), 8, 10, [3, 3, 4, 4]),
    ],
)
def test_the_frames_sampled(settings: dict[str, Any], n_frames: int, fps: float, expected: list[int]) -> None:
    assert VideoInput(**settings).sample(n_frames, fps) == expected


def test_a_clip_knows_where_it_lies(path: Path) -> None:
    clip = VideoInput(4, resize=24, crop=(16, 20)).read(path)
    assert clip.frames.shape == (4, 16, 20, 3) and clip.frames.dtype == np.uint8
    assert clip.geometry == Geometry((2, 7, 12, 17), 10.0, (48, 64), (24, 32), (4, 6, 16, 20))
    np.testing.assert_allclose(clip.geometry.source_crop, (8, 12, 32, 40))


def test_without_sizes_the_frames_are_the_videos_own(path: Path) -> None:
    clip = VideoInput(3, "dense").read(path)
    np.testing.assert_array_equal(clip.frames, video.read_frames(path, [8, 9, 10]))
    assert clip.geometry == Geometry((8, 9, 10), 10.0, (48, 64), (48, 64), (0, 0, 48, 64))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (dict(start=0.5), [6, 10, 14, 18]),  # frames 5 to 19
        (dict(end=0.4), [0, 1, 2, 3]),  # the frame at 0.4 s is the next stretch's
        (dict(start=0.4, end=0.8), [4, 5, 6, 7]),
        (dict(start=1, end=2), [11, 13, 16, 18]),
        (dict(start=0, end=2.1), [2, 7, 12, 17]),  # one frame beyond the end is tolerated
        (dict(start=0.31, end=0.79), [4, 5, 6, 7]),
    ],
)
def test_only_the_seconds_asked_for_are_seen(path: Path, seconds: dict[str, float], expected: list[int]) -> None:
    clip = VideoInput(4).read(path, **seconds)
    assert list(clip.geometry.frame_indices) == expected
    np.testing.assert_array_equal(clip.frames, video.read_frames(path, expected))


def test_stretches_that_follow_each_other_cover_each_frame_once(path: Path) -> None:
    info = video.probe(path)
    for fps in (10, 23.976, 29.97, 1000 / 33):
        info = video.VideoInfo(path, 300, 48, 64, fps)
        edges = [0, 0.7, 1.1, 3, 300 / fps]
        found = [i for pair in zip(edges, edges[1:], strict=False) for i in video.stretch(info, *pair)]
        assert found == list(range(300))
        for index in (1, 7, 123, 299):
            assert video.stretch(info, start=index / fps).start == index, "a frame's own time finds it"


@pytest.mark.parametrize(
    ("seconds", "error", "message"),
    [
        (dict(start=-1), ValueError, r"start must be a number of seconds from 0, or None, got -1"),
        (dict(end=float("nan")), ValueError, r"end must be a number of seconds from 0, or None, got nan"),
        (dict(end=float("inf")), ValueError, r"end must be a number of seconds from 0, or None, got inf"),
        (dict(start="1"), ValueError, r"start must be a number of seconds from 0, or None, got '1'"),
        (dict(start=True), ValueError, r"start must be a number of seconds from 0, or None, got True"),
        (dict(start=1, end=1), ValueError, r"start must be before end, got start=1 and end=1"),
        (
            dict(start=2),
            video.VideoError,
            r"video\.mp4: start=2 lies outside the video; the video lasts 2 seconds \(20 frames, 10 a second\)",
        ),
        (dict(start=1, end=2.2), video.VideoError, r"video\.mp4: end=2\.2 lies outside the video; .* 2 seconds"),
        (
            dict(start=0.51, end=0.59),
            video.VideoError,
            r"no frame lies between start=0\.51 and end=0\.59; .* 10 a s",
        ),
        (dict(end=0), video.VideoError, r"no frame lies between start=0 and end=0; the video lasts 2 seconds"),
    ],
)
def test_seconds_that_are_not_there_are_refused(
    path: Path, seconds: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        VideoInput(4).read(path, **seconds)
    assert type(caught.value) is error


def test_a_video_that_is_too_short_is_said_to_be(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    VideoInput(4).read(path)
    VideoInput(20, "dense").read(path)
    assert not caplog.text
    VideoInput(21, name="toy").read(path)
    assert "has 20 frames, 10 a second, too few for the sampling of toy: some are shown more than" in caplog.text
    caplog.clear()
    clip = VideoInput(4, "stride", stride=2, name="toy").read(path, 1, 1.5)
    assert clip.geometry.frame_indices == (10, 12, 14, 11)
    assert "has 5 frames from second 1 to 1.5, 10 a second, too few" in caplog.text
    assert "The clip shows frames 10, 12, 14, 11." in caplog.text
    caplog.clear()
    VideoInput(4, "dense", frame_rate=20).read(path)
    assert "10 a second, too few" in caplog.text


@pytest.mark.parametrize(
    ("resize", "scaled"),
    [(30, (30, 45)), (31, (31, 46)), ((20, 50), (20, 50)), ([120, 90], (120, 90)), (60, (60, 90))],
)
def test_sizes_after_resizing(noise: np.ndarray, resize: Any, scaled: tuple[int, int]) -> None:
    frames, size, crop = VideoInput(2, resize=resize).cut(noise)
    assert size == scaled and frames.shape == (2, *scaled, 3) and crop == (0, 0, *scaled)
    upright, size, _ = VideoInput(2, resize=resize).cut(noise.swapaxes(1, 2))
    assert size == (scaled[::-1] if isinstance(resize, int) else scaled) and upright.shape == (2, *size, 3)


@pytest.mark.parametrize(("name", "mode"), [("bilinear", Image.BILINEAR), ("bicubic", Image.BICUBIC)])
def test_antialiased_resizing_is_that_of_pil(noise: np.ndarray, name: Any, mode: Any) -> None:
    ours, _, _ = VideoInput(2, resize=(25, 40), interpolation=name).cut(noise)
    theirs = np.stack([np.asarray(Image.fromarray(frame).resize((40, 25), mode)) for frame in noise])
    difference = np.abs(ours.astype(int) - theirs)
    assert difference.max() <= 1 and difference.mean() < 0.02
    assert ours.std() > 10


def test_resizing_without_antialias_is_that_of_opencv(noise: np.ndarray) -> None:
    ours, _, _ = VideoInput(2, resize=(25, 40), antialias=False).cut(noise)
    theirs = np.stack([cv2.resize(frame, (40, 25), interpolation=cv2.INTER_LINEAR) for frame in noise])
    assert np.abs(ours.astype(int) - theirs).max() <= 1
    smooth, _, _ = VideoInput(2, resize=(25, 40)).cut(noise)
    assert np.abs(ours.astype(int) - smooth).max() > 20


def test_bicubic_overshoot_stays_within_the_gray_levels() -> None:
    step = np.zeros((1, 8, 8, 3), np.uint8)
    step[:, :, 4:] = 255
    frames, _, _ = VideoInput(1, resize=(32, 32), interpolation="bicubic").cut(step)
    assert frames[0, 0, 0, 0] == 0 and frames[0, 0, -1, 0] == 255
    assert (np.diff(frames[0, 0, :14, 0].astype(int)) >= 0).all(), "no wrap to 255 on the dark side"


def test_nearest_keeps_values() -> None:
    frame = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(1, 4, 6, 3)
    for name in ("nearest", "nearest-exact"):
        frames, _, _ = VideoInput(1, resize=(8, 12), interpolation=name).cut(frame)  # type: ignore[arg-type]
        np.testing.assert_array_equal(frames, frame.repeat(2, 1).repeat(2, 2))


def test_the_crop_is_in_the_middle(noise: np.ndarray) -> None:
    frames, _, crop = VideoInput(2, crop=(59, 87)).cut(noise)
    assert crop == (0, 2, 59, 87)  # halves go to the even side: 0.5 -> 0, 1.5 -> 2
    np.testing.assert_array_equal(frames, noise[:, :59, 2:89])
    _, _, down = VideoInput(2, crop=(59, 87), crop_rounding="down").cut(noise)
    assert down == (0, 1, 59, 87)
    _, _, square = VideoInput(2, resize=32, crop=16).cut(noise)
    assert square == (8, 16, 16, 16)
    assert torch.from_numpy(frames).is_contiguous()


def test_a_crop_larger_than_the_frame_is_refused(path: Path) -> None:
    with pytest.raises(
        video.VideoError,
        match=r"video\.mp4: its frames are 24 x 32 pixels after resizing, less than the 28 x 28 that toy",
    ):
        VideoInput(4, resize=24, crop=28, name="toy").read(path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(n_frames=0), "n_frames must be a whole number >= 1, got 0"),
        (dict(n_frames=8.0), "n_frames must be a whole number >= 1, got 8.0"),
        (dict(n_frames=True), "n_frames must be a whole number >= 1, got True"),
        (dict(sampling="middle"), "sampling must be one of uniform, dense, stride; got 'middle'"),
        (dict(sampling="stride"), "sampling=stride needs stride, a number of frames, or frame_rate"),
        (dict(stride=2), "sampling=uniform spreads the frames over the whole video; stride and frame_rate are"),
        (dict(frame_rate=2), "sampling=uniform spreads the frames"),
        (dict(sampling="stride", stride=0), "stride must be a whole number >= 1, got 0"),
        (dict(sampling="dense", stride=1.5), "stride must be a whole number >= 1, got 1.5"),
        (dict(sampling="dense", stride=1, frame_rate=2), "give stride or frame_rate, not both; got 1 and 2"),
        (dict(sampling="dense", frame_rate=0), "frame_rate must be a number > 0, got 0"),
        (dict(sampling="dense", frame_rate="15"), "frame_rate must be a number > 0, got '15'"),
        (dict(resize=0), "resize must be a whole number >= 1, got 0"),
        (dict(resize=True), "resize must be a whole number >= 1, got True"),
        (dict(resize=(1, 2, 3)), r"resize must be pixels: one .* or None; got \(1, 2, 3\)"),
        (dict(resize="24"), "resize must be pixels: one .* or None; got '24'"),
        (dict(resize=2.5), "resize must be pixels: one .* or None; got 2.5"),
        (dict(crop=0), "crop must be a whole number >= 1, got 0"),
        (dict(crop=(8, -1)), r"crop must be pixels: one .* or None; got \(8, -1\)"),
        (dict(interpolation="lanczos"), "interpolation must be one of bilinear, bicubic, .*; got 'lanczos'"),
        (dict(crop_rounding="up"), "crop_rounding must be one of even, down; got 'up'"),
        (dict(antialias="no"), "antialias must be true or false, got 'no'"),
    ],
)
def test_parameters_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VideoInput(**(dict(n_frames=4) | settings))
