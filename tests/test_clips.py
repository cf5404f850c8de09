import numpy as np
import pytest
import torch

from lavx.clips import as_clip


@pytest.mark.parametrize("layout", ["THWC", "CTHW", "TCHW", "HWTC", "WHCT"])
def test_any_layout_becomes_frames(clip, layout):
    given = clip.transpose(["THWC".index(axis) for axis in layout])
    for array in (given, torch.from_numpy(given.copy())):
        frames, exact = as_clip(array, layout)
        assert frames.dtype == np.uint8 and np.array_equal(frames, clip) and exact is None


def test_floats_are_scaled_and_kept_exact(clip):
    frames, exact = as_clip(clip.astype(np.float64))
    assert np.array_equal(frames, clip) and exact is None
    frames, exact = as_clip(torch.from_numpy(clip / 255).half(), value_range=(0, 1))
    assert np.abs(frames.astype(int) - clip).max() <= 1
    assert exact.dtype == np.float32 and np.abs(exact - clip).max() < 0.2
    frames, _ = as_clip(clip / 127.5 - 1, value_range=(-1, 1))
    assert np.array_equal(frames, clip)


@pytest.mark.parametrize(
    "change, options, message",
    [
        (
            lambda c: c.transpose(3, 0, 1, 2),
            {},
            r"shape \(3, 4, 8, 8\) has 8 channels, not 3. Axis 0 has 3: say lay",
        ),
        (lambda c: c[..., :1], {}, "has 1 channels, not 3. Repeat a gray channel three times."),
        (lambda c: c[None], {}, r"four axes, THWC, got shape \(1, 4, 8, 8, 3\). Take one clip out of the batch."),
        (lambda c: c[0], {}, r"four axes, THWC, got shape \(8, 8, 3\)"),
        (lambda c: c[:0], {}, "is empty"),
        (lambda c: c, {"layout": "TCH"}, "layout must be a permutation of the letters THWC"),
        (lambda c: c, {"value_range": (0, 1)}, r"a uint8 clip has the value range \(0, 255\)"),
        (lambda c: c / 255, {}, r"from 0\S* to \S*: say value_range=\(0, 1\)"),
        (lambda c: c - 130.0, {}, r"outside of value_range=\(0, 255\). lavx takes clips before normalization"),
        (lambda c: c * 1.0, {"value_range": (1, 0)}, r"value_range must be \(black, white\), got \(1, 0\)"),
        (lambda c: c * np.nan, {}, "holds 768 values that are NaN or infinite"),
    ],
)
def test_what_is_no_clip_is_refused(clip, change, options, message):
    with pytest.raises(ValueError, match=message):
        as_clip(change(clip), **options)


@pytest.mark.parametrize(
    "given", ["frames", [["a"]], np.zeros((2, 2, 2, 3), bool), np.zeros((2, 2, 2, 3), complex)]
)
def test_what_is_no_array_of_numbers_is_refused(given):
    with pytest.raises(TypeError, match="a clip must be numbers, uint8 or float, got an array of"):
        as_clip(given)
