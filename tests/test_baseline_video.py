"""Another video as the baseline: fitted in length and size, or refused."""

import numpy as np
import pytest
import torch

from lavx.datasets.shapes import Shapes
from lavx.errors import RequestError
from lavx.experiments import identity
from lavx.methods.baseline_video import BaselineVideo
from lavx.methods.regions import LabelRegions
from lavx.video import probe, read_frames

REGIONS = LabelRegions(np.arange(4).reshape(1, 2, 2).repeat(4, 0).repeat(6, 1).repeat(8, 2))


def filled(removal, clip, coalition):
    fill = removal.prepare(clip, REGIONS, torch.Generator())
    return fill(REGIONS.masks(torch.tensor([coalition])))[0]


@pytest.fixture
def clip(rng):
    return torch.from_numpy(rng.integers(0, 256, (4, 12, 16, 3)).astype(np.float32))


@pytest.fixture
def other(rng):
    return rng.integers(0, 256, (4, 12, 16, 3), dtype=np.uint8)


def test_what_is_removed_shows_the_other_video_and_what_is_kept_the_clip(clip, other):
    found = filled(BaselineVideo(other), clip, [True, False, False, True]).numpy()
    assert np.array_equal(found[:, :6, :8], clip.numpy()[:, :6, :8])
    assert np.array_equal(found[:, :6, 8:], other[:, :6, 8:])
    assert np.array_equal(filled(BaselineVideo(other), clip, [False] * 4).numpy(), other)
    assert np.array_equal(filled(BaselineVideo(other.astype(float)), clip, [False] * 4).numpy(), other)


def test_frames_are_evenly_spaced_and_repeat_where_there_are_few(clip):
    long = np.arange(40, dtype=np.uint8)[:, None, None, None] * np.ones((1, 12, 16, 3), dtype=np.uint8)
    assert filled(BaselineVideo(long), clip, [False] * 4)[:, 0, 0, 0].tolist() == [5, 15, 25, 35]
    assert filled(BaselineVideo(long[7:9]), clip, [False] * 4)[:, 0, 0, 0].tolist() == [7, 7, 8, 8]
    assert filled(BaselineVideo(long[7:8]), clip, [False] * 4).unique().tolist() == [7]


def test_frames_are_scaled_to_cover_the_clip_and_the_middle_is_cut_out(clip):
    wide = np.zeros((4, 24, 64, 3), dtype=np.uint8)
    wide[:, :, 16:48] = 200  # the middle half, which is what a 4 : 3 window of it shows
    assert filled(BaselineVideo(wide), clip, [False] * 4).unique().tolist() == [200]
    small = np.full((4, 3, 4, 3), 90, dtype=np.uint8)
    assert filled(BaselineVideo(small), clip, [False] * 4).unique().tolist() == [90]


def test_a_file_is_read_as_its_frames(clip, tmp_path):
    path = Shapes(str(tmp_path / "shapes"), n_videos=1).videos()[0].path
    n = probe(path).n_frames
    frames = read_frames(path, ((np.arange(4) + 0.5) * n / 4).astype(int))
    by_file = filled(BaselineVideo(str(path)), clip, [False] * 4)
    by_array = filled(BaselineVideo(frames), clip, [False] * 4)
    assert float((by_file - by_array).abs().mean()) < 2  # two decoders may round colors differently


def test_one_of_another_length_or_size_is_refused_where_it_shall_not_be_fitted(clip, other):
    assert np.array_equal(filled(BaselineVideo(other, fit=False), clip, [False] * 4).numpy(), other)
    for wrong, what in ((other[:3], "3 frames of 12 x 16"), (other[:, :11], "4 frames of 11 x 16")):
        with pytest.raises(ValueError, match=f"the baseline video has {what} pixels, the clip 4 of 12 x 16"):
            filled(BaselineVideo(wrong, fit=False), clip, [False] * 4)


def test_the_clip_itself_is_refused(clip):
    with pytest.raises(ValueError, match="is the explained clip itself: nothing would be removed"):
        filled(BaselineVideo(clip.numpy()), clip, [False] * 4)


@pytest.mark.parametrize(
    ("video", "message"),
    [
        ("nowhere.mp4", "there is no file nowhere.mp4"),
        (np.zeros((4, 8, 8)), r"video must be \(T, H, W, 3\), RGB, or the path of one, got float64 \(4, 8, 8\)"),
        (np.zeros((0, 8, 8, 3)), r"video must be \(T, H, W, 3\)"),
        (np.full((1, 8, 8, 3), 256), "values in 0..255, got 256 to 256"),
        (np.full((1, 8, 8, 3), np.nan), "values in 0..255, got nan"),
        (np.full((1, 8, 8, 3), 0.5), "got none above 1: multiply it by 255"),
        (None, "or the path of one, got object"),
    ],
)
def test_what_is_no_video_is_refused(video, message):
    with pytest.raises(ValueError, match=message):
        BaselineVideo(video)


def test_a_file_that_is_no_video_is_refused(clip, tmp_path):
    file = tmp_path / "notes.mp4"
    file.write_text("no video")
    with pytest.raises(ValueError, match=r"the baseline video .*notes.mp4 cannot be read"):
        filled(BaselineVideo(file), clip, [False] * 4)
    with pytest.raises(ValueError, match="fit must be true or false"):
        BaselineVideo(np.zeros((1, 8, 8, 3)), fit="yes")


def test_its_content_is_part_of_a_runs_identity_wherever_it_lies(tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "_LARGEST_HASHED", 2)  # which holds for weights
    run, here, there = tmp_path / "run", tmp_path / "a.mp4", tmp_path / "b.mp4"
    run.mkdir()
    here.write_bytes(b"one")
    there.write_bytes(b"one")
    for part in ("method.removal", "metric.removal", "metric.cross_removal"):
        group, step = part.split(".")
        place = run / part
        place.mkdir()
        identity.claim(place, {group: {step: {"video": str(here)}}}, {})
        assert identity.holds(place, {group: {step: {"video": str(there)}}})
    here.write_bytes(b"two")
    with pytest.raises(RequestError, match=r"method.removal.video: .*a.mp4 \(its content has changed\)"):
        identity.claim(run / "method.removal", {"method": {"removal": {"video": str(here)}}}, {})
