"""Regions carried by optical flow from any start, through slices, by flow of its own or from outside."""

import numpy as np
import pytest

from lavx.methods.optical_flow import OpticalFlow
from lavx.methods.segmentation import Grid, Slic, SoftGrid


@pytest.fixture
def noise(rng):
    return rng.integers(0, 256, (6, 24, 32, 3), dtype=np.uint8)


def moving(frames, right, down):
    """The flow back of a picture that moves by so many pixels a frame."""
    return np.broadcast_to(np.array([-right, -down], dtype=np.float32), (frames - 1, 24, 32, 2))


def labels(segmentation, clip, rng):
    return segmentation(clip, rng).labels


def test_labels_move_with_the_flow_that_is_given(noise, rng):
    found = labels(OpticalFlow(Grid((1, 3, 4)), flow=moving(6, 2, 1)), noise, rng)
    for t in range(1, 6):
        assert np.array_equal(found[t, t:, 2 * t :], found[0, : 24 - t, : 32 - 2 * t])


def test_parts_of_pixels_add_up(noise, rng):
    found = labels(OpticalFlow(Grid((1, 3, 4)), flow=moving(6, 0.4, 0)), noise, rng)
    assert np.array_equal(found[5, :, 2:], found[0, :, :-2])  # 5 times 0.4; each step alone rounds to 0
    assert np.array_equal(found[1], found[0])


def test_flow_that_differs_from_place_to_place_is_followed_along_its_path(noise, rng):
    flow = np.zeros((5, 24, 32, 2), dtype=np.float32)
    flow[:, :, 16:, 0] = -1  # the right half moves right, away from the middle
    found = labels(OpticalFlow(Grid((1, 1, 32)), flow=flow), noise, rng)
    assert found[5, 0].tolist() == [*range(16), *([15] * 5), *range(16, 27)]


def test_a_function_is_called_with_each_frame_and_the_one_before(noise, rng):
    seen = []

    def flow(frame, earlier):
        seen.append((frame.tobytes(), earlier.tobytes()))
        return np.full((24, 32, 2), -1.0)

    by_function = labels(OpticalFlow(Grid((1, 3, 4)), flow=flow), noise, rng)
    assert seen == [(noise[t].tobytes(), noise[t - 1].tobytes()) for t in range(1, 6)]
    assert np.array_equal(by_function, labels(OpticalFlow(Grid((1, 3, 4)), flow=moving(6, 1, 1)), noise, rng))


@pytest.mark.parametrize("start", [None, Grid((1, 2, 2)), Slic(20)])
@pytest.mark.parametrize("slices", [1, 2, 4, 6])
def test_each_slice_is_cut_anew_and_shares_no_region(noise, rng, start, slices):
    clip = np.repeat(np.repeat(noise[:, ::6, ::8], 6, axis=1), 8, axis=2)
    found = labels(OpticalFlow(start, slices), clip, rng)
    bounds = np.arange(slices + 1) * 6 // slices
    of_slices = [set(np.unique(found[a:b])) for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
    assert sum(map(len, of_slices)) == len(set().union(*of_slices)) == found.max() + 1
    own = (start or Slic(200))(clip[bounds[-2] : bounds[-2] + 1], rng).labels[0]
    first = found[bounds[-2]]
    assert len(np.unique(np.stack([own.ravel(), first.ravel()]), axis=1).T) == len(np.unique(own))


def test_its_own_flow_follows_a_picture_that_moves(rng):
    picture = rng.integers(0, 256, (8, 12, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    clip = np.stack([np.roll(picture, 2 * t, axis=1) for t in range(5)])
    found = labels(OpticalFlow(Grid((1, 8, 12))), clip, rng)
    inside = found[4, 8:-8, 24:-8], np.roll(found[0], 8, axis=1)[8:-8, 24:-8]
    assert (inside[0] == inside[1]).mean() > 0.9
    assert (found[0, 8:-8, 24:-8] == inside[1]).mean() < 0.2  # standing still would be wrong
    assert np.array_equal(found, labels(OpticalFlow(Grid((1, 8, 12))), clip, rng))


def test_an_array_is_the_flow_of_one_clip(noise, rng):
    cut = OpticalFlow(Grid((1, 2, 2)), flow=moving(6, 1, 0))
    assert np.array_equal(labels(cut, noise, rng), labels(cut, noise, rng))
    with pytest.raises(ValueError, match="an array, which belongs to one clip: give a function"):
        cut(noise[::-1].copy(), rng)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"start": "slic"}, r"start must be a segmentation, such as Grid\(\(1, 10, 10\)\), or null, got 'slic'"),
        ({"slices": 0}, "slices must be a whole number >= 1, got 0"),
        ({"flow": np.zeros((5, 24, 32))}, r"flow must be null, a function or finite numbers \(T - 1, H, W, 2\)"),
        ({"flow": np.full((5, 24, 32, 2), np.nan)}, "flow must be null, a function or finite numbers"),
        ({"flow": "flow.npy"}, "flow must be null, a function or finite numbers"),
    ],
)
def test_a_parameter_that_is_none_is_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        OpticalFlow(**parameters)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"slices": 7}, "slices=7 is more than the 6 frames of the clip"),
        (
            {"flow": np.zeros((4, 24, 32, 2))},
            r"must be \(5, 24, 32, 2\) for a clip of \(6, 24, 32\), got \(4",
        ),
        (
            {"flow": lambda a, b: np.zeros((24, 32))},
            r"must give finite numbers \(24, 32, 2\), .*gave float64",
        ),
        (
            {"start": SoftGrid((1, 2, 2))},
            "start must give regions that do not overlap .*SoftGrid gives",
        ),
    ],
)
def test_what_does_not_fit_a_clip_is_refused(noise, rng, parameters, message):
    with pytest.raises(ValueError, match=message):
        OpticalFlow(**({"start": Grid((1, 2, 2))} | parameters))(noise, rng)


def test_frames_too_small_for_flow_are_refused_unless_none_is_needed(rng):
    small = rng.integers(0, 256, (3, 12, 20, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="at least 16 x 16 pixels, got 12 x 20: give flow"):
        OpticalFlow(Grid((1, 2, 2)))(small, rng)
    assert OpticalFlow(Grid((1, 2, 2)), slices=3)(small, rng).n_regions == 12
    assert OpticalFlow(Grid((1, 2, 2)), flow=np.zeros((2, 12, 20, 2)))(small, rng).n_regions == 4
