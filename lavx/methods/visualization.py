"""Visualization: a heatmap drawn over the frames, for a person to look at.

Two components: `Heatmap` shows how important each voxel is, `PosNeg` also whether it speaks for or against
the target. Both take the same parameters and do the same in turn: the importance of each voxel, which voxels
are kept, levels for the colors, blending over the frames. The heatmap itself is never changed.

Shapes: frames are uint8 (T, H, W, 3) in RGB, a heatmap is float (T, H, W), larger = more important.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.colors import Colormap, LinearSegmentedColormap
from numpy.typing import NDArray

from lavx import checks
from lavx.types import Frames

KEEPS = ("all", "top_fraction", "threshold", "cumulative")
SIGNS = ("positive", "both")
BLENDS = ("alpha", "highlight")
STRETCH = (2.0, 98.0)  # percentiles that become the ends of the colors

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
_DARK = 0.25  # brightness of what `highlight` puts in the shade

# lavx's own colors. heat: warm only and ever darker, so that its order reads without a legend,
# which a rainbow's does not. magenta_green: the two stay apart in every common color blindness, which
# red and green do not. The ends of both are vivid rather than dark, so that they show on dark frames too.
COLORMAPS: dict[str, Colormap] = {
    "heat": LinearSegmentedColormap.from_list("heat", ["#ffe98a", "#ffb000", "#ff6a00", "#e00024"]),
    "magenta_green": LinearSegmentedColormap.from_list(
        "magenta_green", ["#c4007a", "#f45cb8", "#f7f7f7", "#5fd068", "#008f2d"]
    ),
}


@dataclass(frozen=True)
class Scale:
    """What a color bar has to tell.

    Attributes:
        colormap: the colors.
        low: level of its first color, 0 or -1.
        high: level of its last color, 1.
        words: what the two ends mean.
    """

    colormap: Colormap
    low: float
    high: float
    words: tuple[str, str]


@dataclass(frozen=True)
class Heatmap:
    """Important voxels in warm colors.

    Args:
        keep: which voxels are drawn, by their importance: "all"; "top_fraction", the most important ones that
            make up `amount` of all voxels; "threshold", those with at least `amount` times the largest
            importance; "cumulative", the most important ones that hold `amount` of the summed importance. Voxels
            of equal importance (a whole region) are drawn together or not at all; the smallest set that reaches
            `amount` is kept.
        amount: fraction in (0, 1]; "all" does not use it.
        stretch: whether the levels of the kept voxels are spread from the 2nd to the 98th percentile;
            otherwise 0 is the first color and the largest importance the last.
        sign: "positive" drops voxels that do not speak for the target (importance is the attribution above 0),
            "both" keeps them as cold ones (importance is the attribution above its minimum).
        blend: "alpha" puts the colors over the frames; "highlight" leaves the kept voxels as they are and
            takes light and color from the rest.
        alpha: how much of it, in [0, 1]; 0 returns the frames. Below half the full level the colors fade, to
            nothing where `keep` is "all", else to half.
        colormap: one of `COLORMAPS` or a name known to matplotlib.
    """

    keep: str = "all"
    amount: float = 0.3
    stretch: bool = True
    sign: str = "positive"
    blend: str = "alpha"
    alpha: float = 0.6
    colormap: str = "heat"

    def __post_init__(self) -> None:
        _check(self.keep, self.amount, self.stretch, self.sign, self.blend, self.alpha, self.colormap)

    def __call__(self, frames: Frames, heatmap: NDArray[np.floating]) -> Frames:
        """Draw the heatmap over the frames: uint8 (T, H, W, 3).

        Raises:
            ValueError: if the two do not fit together or the heatmap is not finite.
        """
        _check_frames(frames, heatmap)
        levels, kept = self._levels(heatmap)
        if self.blend == "highlight":
            return _highlight(frames, kept, self.alpha)
        opacity = self.alpha * _opacity(levels, kept, self.keep)
        return _colored(frames, levels, opacity, self.colormap)

    def display(self, heatmap: NDArray[np.floating]) -> NDArray[np.float32]:
        """The level shown at each voxel: float32 (T, H, W) in [0, 1]; 0 also where nothing is kept."""
        return self._levels(heatmap)[0]

    def scale(self) -> Scale | None:
        """What the colors mean; None where none are drawn."""
        if self.blend == "highlight":
            return None
        return Scale(_colormap(self.colormap), 0.0, 1.0, ("less important", "more important"))

    def _levels(self, heatmap: NDArray[np.floating]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        values = _finite(heatmap)
        positive = self.sign == "positive"
        importance = np.maximum(values, 0) if positive else values - values.min()
        kept = _kept(importance, self.keep, self.amount) & _singles_out(values)
        if positive:
            kept &= values > 0
        low, high = _ends(importance[kept], self.stretch)
        return np.where(kept, _spread(importance, low, high), 0).astype(np.float32), kept


@dataclass(frozen=True)
class PosNeg:
    """Voxels that speak for the target in one color, those that speak against it in another.

    Parameters as in `Heatmap`, with these differences: importance is the size of the attribution, whatever its
    sign; `sign` "positive" draws only what speaks for the target; `stretch` moves the upper end only, so that
    the colors still part at 0; "highlight" does not tell the two signs apart.
    """

    keep: str = "all"
    amount: float = 0.3
    stretch: bool = True
    sign: str = "both"
    blend: str = "alpha"
    alpha: float = 0.7
    colormap: str = "magenta_green"

    def __post_init__(self) -> None:
        _check(self.keep, self.amount, self.stretch, self.sign, self.blend, self.alpha, self.colormap)

    def __call__(self, frames: Frames, heatmap: NDArray[np.floating]) -> Frames:
        """Draw the heatmap over the frames: uint8 (T, H, W, 3).

        Raises:
            ValueError: if the two do not fit together or the heatmap is not finite.
        """
        _check_frames(frames, heatmap)
        levels, kept = self._levels(heatmap)
        if self.blend == "highlight":
            return _highlight(frames, kept, self.alpha)
        opacity = self.alpha * _opacity(np.abs(levels), kept, self.keep)
        return _colored(frames, 0.5 + 0.5 * levels, opacity, self.colormap)

    def display(self, heatmap: NDArray[np.floating]) -> NDArray[np.float32]:
        """The level shown at each voxel: float32 (T, H, W) in [-1, 1]; 0 also where nothing is kept."""
        return self._levels(heatmap)[0]

    def scale(self) -> Scale | None:
        """What the colors mean; None where none are drawn."""
        if self.blend == "highlight":
            return None
        return Scale(_colormap(self.colormap), -1.0, 1.0, ("against the class", "for the class"))

    def _levels(self, heatmap: NDArray[np.floating]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        values = _finite(heatmap)
        importance = np.abs(values)
        kept = _kept(importance, self.keep, self.amount) & _singles_out(values)
        kept &= values > 0 if self.sign == "positive" else values != 0
        _, high = _ends(importance[kept], self.stretch)
        levels = np.where(kept, np.sign(values) * _spread(importance, 0.0, high), 0)
        return levels.astype(np.float32), kept


def _check(keep: str, amount: float, stretch: bool, sign: str, blend: str, alpha: float, colormap: str) -> None:
    checks.one_of("keep", keep, KEEPS)
    checks.one_of("sign", sign, SIGNS)
    checks.one_of("blend", blend, BLENDS)
    checks.boolean("stretch", stretch)
    checks.fraction("amount", amount)
    checks.between("alpha", alpha, 0, 1)
    _colormap(colormap)


def _colormap(name: str) -> Colormap:
    if name in COLORMAPS:
        return COLORMAPS[name]
    if name not in matplotlib.colormaps:
        raise ValueError(
            f"colormap must be {' or '.join(COLORMAPS)} (lavx's own) or a name that matplotlib knows, such "
            f"as turbo, inferno, RdBu or RdYlGn, got {name!r}"
        )
    return matplotlib.colormaps[name]


def _check_frames(frames: Frames, heatmap: NDArray[np.floating]) -> None:
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise ValueError(f"frames must be uint8 (T, H, W, 3), got {frames.dtype} {frames.shape}")
    if heatmap.shape != frames.shape[:3]:
        raise ValueError(
            f"the heatmap must have the frames' shape (T, H, W) = {frames.shape[:3]}, got {heatmap.shape}"
        )


def _finite(heatmap: NDArray[np.floating]) -> NDArray[np.float64]:
    values = np.asarray(heatmap, dtype=np.float64)
    if values.ndim != 3 or values.size == 0:
        raise ValueError(f"a heatmap must be (T, H, W) with something in it, got {values.shape}")
    bad = values.size - np.count_nonzero(np.isfinite(values))
    if bad:
        raise ValueError(
            f"{bad} of {values.size} values of the heatmap are NaN or infinite: look for the cause in the "
            "scores; such a heatmap cannot be drawn"
        )
    return values


def _singles_out(values: NDArray[np.float64]) -> bool:
    """Whether the heatmap is more than one value everywhere, rounding aside; if not, nothing is drawn."""
    return bool(np.ptp(values) > 1e-6 * np.abs(values).max())


def _kept(importance: NDArray[np.float64], keep: str, amount: float) -> NDArray[np.bool_]:
    """Which voxels to draw: bool (T, H, W); `importance` is >= 0. Equal ones are kept or dropped together."""
    if keep == "all":
        return np.ones(importance.shape, dtype=bool)
    if keep == "threshold":
        return importance >= amount * importance.max()
    order = np.sort(importance, axis=None)[::-1]
    if keep == "top_fraction":
        last = math.ceil(amount * order.size - 1e-9) - 1  # 1e-9: a share such as 0.3 is not exact
    else:
        total = np.cumsum(order)
        last = int(np.searchsorted(total, amount * total[-1] * (1 - 1e-12)))
    return importance >= order[max(last, 0)]


def _ends(importance: NDArray[np.float64], stretch: bool) -> tuple[float, float]:
    """The importance that gets level 0 and the one that gets level 1."""
    if importance.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(importance, STRETCH) if stretch else (0.0, importance.max())
    # A single level has nothing to be spread: it is shown as what it is, the most important there is.
    return (0.0, float(importance.max())) if high <= low else (float(low), float(high))


def _spread(importance: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    return np.clip((importance - low) / (high - low), 0, 1) if high > low else np.ones_like(importance)


def _opacity(levels: NDArray[np.float32], kept: NDArray[np.bool_], keep: str) -> NDArray[np.float32]:
    """How much color each voxel gets, in [0, 1]: all of it from half the full level on.

    Below, it fades to nothing where everything is kept, so that cold places show the frame; what was picked
    out has to be seen however weak it is.
    """
    least = 0.0 if keep == "all" else 0.5
    return np.where(kept, np.minimum(least + 2 * (1 - least) * levels, 1), 0)


def _colored(
    frames: Frames, position: NDArray[np.floating], opacity: NDArray[np.floating], colormap: str
) -> Frames:
    """Frames under colors; `position` in [0, 1] along the colormap. Frame by frame, to spare memory."""
    table = (255 * _colormap(colormap)(np.linspace(0, 1, 256))[:, :3]).astype(np.float32)
    drawn = np.empty_like(frames)
    for frame, where, weight, out in zip(frames, position, opacity, drawn, strict=True):
        color = table[np.rint(255 * where).astype(np.intp)]
        out[:] = np.rint(frame + weight[..., None].astype(np.float32) * (color - frame))
    return drawn


def _highlight(frames: Frames, kept: NDArray[np.bool_], alpha: float) -> Frames:
    """Frames whose voxels go gray and dark unless they are kept."""
    drawn = np.empty_like(frames)
    for frame, stays, out in zip(frames, kept, drawn, strict=True):
        shade = _DARK * (frame @ _LUMA)[..., None]
        dimmed = np.rint(frame + alpha * (shade - frame)).astype(np.uint8)
        out[:] = np.where(stays[..., None], frame, dimmed)
    return drawn
