"""Clips in memory: any array of frames, with its layout said, to what the core works with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lavx.types import Frames

_AXES = "THWC"


def as_clip(
    clip: Any, layout: str = "THWC", value_range: Sequence[float] | None = None
) -> tuple[Frames, NDArray[np.float32] | None]:
    """Bring a clip to frames.

    Args:
        clip: numpy array, torch tensor or nested lists, uint8 or float, RGB.
        layout: the order of its axes: a permutation of T (frames), H, W and C (3 channels).
        value_range: what black and white are; None for (0, 255), which a float clip that stays within [0, 1] has
            to say.

    Returns:
        uint8 (T, H, W, 3); and float32 (T, H, W, 3) in 0..255 where rounding would lose something, else None.

    Raises:
        TypeError: if the clip is no array of numbers.
        ValueError: if its shape or its values are not those of a clip.
    """
    array = _array(clip)
    array = _ordered(array, layout)
    if array.dtype == np.uint8:
        if value_range is not None and tuple(value_range) != (0, 255):
            raise ValueError(f"a uint8 clip has the value range (0, 255), got value_range={tuple(value_range)}")
        return np.ascontiguousarray(array), None
    values = _scaled(array.astype(np.float32), value_range)
    frames = np.rint(values).astype(np.uint8)
    return frames, None if np.array_equal(frames, values) else values


def _array(clip: Any) -> NDArray[Any]:
    if isinstance(clip, torch.Tensor):
        tensor = clip.detach().cpu()
        array = tensor.float().numpy() if tensor.is_floating_point() else tensor.numpy()
    else:
        array = np.asarray(clip)
    if array.dtype.kind not in "uif":
        raise TypeError(f"a clip must be numbers, uint8 or float, got an array of {array.dtype}")
    return array


def _ordered(array: NDArray[Any], layout: str) -> NDArray[Any]:
    """The array as (T, H, W, 3)."""
    if not isinstance(layout, str) or sorted(layout) != sorted(_AXES):
        raise ValueError(
            f"layout must be a permutation of the letters THWC (frames, height, width, channels), got {layout!r}"
        )
    if array.ndim != 4:
        more = " Take one clip out of the batch." if array.ndim == 5 else ""
        raise ValueError(f"a clip must have four axes, {layout}, got shape {array.shape}.{more}")
    channels = array.shape[layout.index("C")]
    if channels != 3:
        fits = [axis for axis, size in enumerate(array.shape) if size == 3]
        hint = (
            f"Axis {fits[0]} has 3: say layout='CTHW' or 'TCHW'." if fits else "Repeat a gray channel three times."
        )
        raise ValueError(
            f"with layout={layout!r} the clip of shape {array.shape} has {channels} channels, not 3. {hint}"
        )
    if 0 in array.shape:
        raise ValueError(f"the clip of shape {array.shape} is empty")
    return array.transpose([layout.index(axis) for axis in _AXES])


def _scaled(values: NDArray[np.float32], value_range: Sequence[float] | None) -> NDArray[np.float32]:
    """Float values in 0..255."""
    if not np.isfinite(values).all():
        raise ValueError(
            f"the clip holds {np.count_nonzero(~np.isfinite(values))} values that are NaN or infinite"
        )
    low, high = float(values.min()), float(values.max())
    if value_range is None:
        if 0 <= low and high <= 1:
            raise ValueError(
                f"the clip's values run from {low:g} to {high:g}: say value_range=(0, 1), or value_range=(0, 255) "
                "if it really is that dark"
            )
        value_range = (0, 255)
    if len(value_range) != 2 or not value_range[0] < value_range[1]:
        raise ValueError(f"value_range must be (black, white), got {tuple(value_range)}")
    black, white = (float(v) for v in value_range)
    slack = 1e-4 * (white - black)
    if low < black - slack or high > white + slack:
        raise ValueError(
            f"the clip's values run from {low:g} to {high:g}, outside of value_range=({black:g}, {white:g}). lavx "
            "takes clips before normalization: give mean and std to lavx.classifier instead"
        )
    scaled: NDArray[np.float32] = np.clip((values - black) * (255 / (white - black)), 0, 255).astype(np.float32)
    return np.ascontiguousarray(scaled)
