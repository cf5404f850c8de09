"""The array that a network takes: order of its axes and channels, normalization, number type."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal, get_args

import torch
from torch import Tensor

Channels = Literal["RGB", "BGR"]

DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float64": torch.float64,
    "uint8": torch.uint8,
}

_AXES = "BTHWC"  # of the clips that come in


class ClipFormat:
    """Brings clips into the form that a network takes: (value * scale - mean) / std, then its order of axes.

    Args:
        layout: the order of the axes, each letter once: B clips, T frames, H rows, W columns, C channels; `BCTHW`
            for most 3D convolutions, `BTCHW` for most transformers. Without B: one clip at a time.
        channels: `RGB` or `BGR`.
        mean: subtracted; one number or one a channel, in the order of `channels`.
        std: divided by, after that; the same.
        scale: multiplied before that; a number or a fraction as text. 1 leaves 0..255, so that mean and std are
            of that range; with 1/255 they are of 0..1.
        dtype: of the array: `float32`, `float16`, `bfloat16`, `float64` or `uint8` (rounded; without mean, std
            and scale).

    Attributes:
        batched: whether the layout has B.
        dtype: as PyTorch calls it.
        layout: as above.

    Raises:
        ValueError: if a parameter is not one of those allowed, or mean and std are of another range than the
            values.
    """

    def __init__(
        self,
        layout: str = _AXES,
        channels: Channels = "RGB",
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        scale: float | str = 1.0,
        dtype: str = "float32",
    ) -> None:
        self.layout = check_layout(layout)
        self.batched = "B" in layout
        if channels not in get_args(Channels):
            raise ValueError(f"channels must be RGB or BGR, got {channels!r}.")
        if dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}; got {dtype!r}.")
        self.dtype = DTYPES[dtype]
        self._swapped = channels == "BGR"
        self._scale = _scale(scale)
        self._mean, self._std = _three(mean, "mean", 0.0), _three(std, "std", 1.0)
        if min(self._std) <= 0:
            raise ValueError(f"std must be above 0, got {std!r}.")
        self._check_range()
        self._plain = self._scale == 1 and self._mean == (0.0,) * 3 and self._std == (1.0,) * 3
        if dtype == "uint8" and not self._plain:
            raise ValueError(
                "dtype=uint8 takes the gray levels 0..255 as they are: leave out mean, std and scale."
            )
        axes = [_AXES.index(axis) for axis in layout]
        self._order = axes if self.batched else [axis - 1 for axis in axes]

    def _check_range(self) -> None:
        """Refuse mean and std of 0..1 for values of 0..255, and the other way round: all scores would be wrong."""
        top = 255 * self._scale
        largest = max(map(abs, self._mean))
        small = 0 < largest < top / 100 or any(std < top / 100 for std in self._std if std != 1)
        if small or largest > 1.01 * top:
            given = f"mean={list(self._mean)} and std={list(self._std)}"
            advice = "scale=1/255 brings them to 0..1" if small else "scale=1 leaves them in 0..255"
            raise ValueError(
                f"{given} do not fit values in 0..{top:.4g}, which scale={self._scale:.4g} makes; {advice}."
            )

    def __call__(self, clips: Tensor) -> Tensor:
        """The array, in memory of its own.

        Args:
            clips: float (B, T, H, W, 3), RGB in 0..255; (T, H, W, 3) where the layout has no B.

        Returns:
            the same in the layout and dtype, contiguous.
        """
        values = clips.flip(-1) if self._swapped else clips
        if not self._plain:
            mean = torch.tensor(self._mean, dtype=values.dtype, device=values.device)
            std = torch.tensor(self._std, dtype=values.dtype, device=values.device)
            values = (values * self._scale - mean) / std
        if self.dtype == torch.uint8:
            values = values.round().clamp(0, 255)
        values = values.to(self.dtype).permute(self._order).contiguous()
        return values.clone() if values.data_ptr() == clips.data_ptr() else values


def check_layout(layout: Any) -> str:
    """A layout, or a ValueError that says what there is."""
    if not isinstance(layout, str) or sorted(layout) not in (sorted(_AXES), sorted(_AXES[1:])):
        raise ValueError(
            "layout must hold each of the letters B (clips), T (frames), H, W and C (channels) once, such as "
            f"BCTHW, BTCHW or BTHWC; without B, such as CTHW, for one clip at a time; got {layout!r}."
        )
    return layout


def check_clips(clips: Tensor) -> None:
    """Refuse what are no clips (B, T, H, W, 3)."""
    if clips.ndim != 5 or clips.shape[-1] != 3 or 0 in clips.shape:
        raise ValueError(f"clips must be (B, T, H, W, 3), got {tuple(clips.shape)}.")


def _scale(scale: Any) -> float:
    try:
        value = float(Fraction(scale)) if isinstance(scale, str) else float(scale)
    except (ValueError, TypeError, ZeroDivisionError):
        value = math.nan
    if isinstance(scale, bool) or not 0 < value < math.inf:
        raise ValueError(f"scale must be a number above 0, such as 1 or 1/255, got {scale!r}.")
    return value


def _three(value: Any, name: str, usual: float) -> tuple[float, float, float]:
    """One number a channel."""
    if value is None:
        return (usual,) * 3
    try:
        numbers = [float(number) for number in (value if hasattr(value, "__iter__") else [value])]
    except (ValueError, TypeError):
        numbers = []
    numbers = numbers * 3 if len(numbers) == 1 else numbers
    if len(numbers) != 3 or not all(map(math.isfinite, numbers)) or isinstance(value, str | bool):
        raise ValueError(f"{name} must be one number or one a channel, got {value!r}.")
    return (numbers[0], numbers[1], numbers[2])
