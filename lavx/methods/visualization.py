"""Visualization: what of an explanation is drawn over the frames, for a person to look at.

Four components. `SignificantRegions`, the usual one, shows the regions that differ from no effect, on a scale
that ends at the largest attribution, with lines that hold on any footage. `Study` shows what the study's pictures
did. The other two show a whole heatmap: `Heatmap` how important each voxel is, `PosNeg` also whether it speaks for
or against the target. The heatmap itself is never changed.

Shapes: frames are uint8 (T, H, W, 3) in RGB, a heatmap is float (T, H, W), larger = more important.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import matplotlib
import numpy as np
import torch
from matplotlib.colors import Colormap, LinearSegmentedColormap
from numpy.typing import NDArray

from lavx import checks
from lavx.methods.outlines import with_lines
from lavx.methods.significance import significant
from lavx.types import Drawing, Evidence, EvidenceVisualization, Frames, Regions, Visualization

KEEPS = ("all", "top_fraction", "threshold", "cumulative")
CUTS = ("cumulative", "regions", "voxels")  # of the study
SIGNS = ("positive", "both")
BLENDS = ("alpha", "highlight")
STRETCH = (2.0, 98.0)  # percentiles that become the ends of the colors
MIN_MAX = "min_max"  # a stretch from the least to the largest level instead
VISIBLE = 0.25  # share of full opacity from which on a voxel counts as drawn
NOTHING, NOTHING_EXACT = (
    "nothing stands out at this number of samples",
    "nothing stands out: no region differs from the others",
)

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
_DARK = 0.25  # brightness of what `highlight` puts in the shade

# Straight lines through CIELAB, so that equal steps look equal; the two sides part in the middle.
_MINT = ("#44eeb6", "#63efbb", "#7aefc1", "#8ef0c6", "#a0f0cb")
_MAGENTA = ("#ff88d3", "#ff7fd0", "#fe76ce", "#fe6dcc", "#fd63c9", "#fc58c7", "#fc4cc5", "#fb3ec2", "#fa2dc0")
_MINT_MAGENTA = [
    *zip(np.linspace(0, 0.5, 5), _MINT, strict=True),
    *zip(np.linspace(0.5, 1, 9), _MAGENTA, strict=True),
]

# lavx's own colors. mint_magenta: hues that footage seldom has, chosen for their distance (CIEDE2000) to lawns,
# skin, skies, dark, bright and plainly colored footage, and for staying apart in every common color blindness.
# heat: warm only and ever darker, so that its order reads without a legend, which a rainbow's does not.
# The ends of all are vivid rather than dark, so that they show on dark frames too.
COLORMAPS: dict[str, Colormap] = {
    "mint_magenta": LinearSegmentedColormap.from_list("mint_magenta", _MINT_MAGENTA),
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
        limit: how far from no effect an attribution of level 1 is; None where levels are no attributions.
        threshold: how far from it the least attribution is that is drawn; None where there is no such.
        fades: the level from which on colors are drawn in full; below, they fade to nothing at level 0.
    """

    colormap: Colormap
    low: float
    high: float
    words: tuple[str, str]
    limit: float | None = None
    threshold: float | None = None
    fades: float = 0.0


@dataclass(frozen=True)
class SignificantRegions:
    """The regions that differ from no effect, as strong as their attribution; everything else is left as it is.

    The colors end at the largest attribution, and no effect is transparent. Beneath the color the frame is gray,
    so that what is drawn has the scale's hue on any footage; around what is drawn at a quarter of full opacity or
    more runs a double line, solid where it speaks for the target, dashed where against it. Where no region differs
    from no effect, nothing is drawn and the drawing says so.

    With a heatmap alone, without attributions of regions, nothing is known of errors: all of it is drawn.

    Args:
        rate: false discovery rate of the regions drawn, in (0, 1); see `lavx.methods.significance.significant`.
        sign: "both", or "positive" for only what speaks for the target.
        alpha: opacity of the color from half the full level on, in [0, 1]; below, it fades to nothing.
        limit: attribution (its distance from no effect) that gets the full level; None for the largest drawn. Give
            it to compare pictures.
        lines: whether to draw the lines.
        colormap: one of `COLORMAPS` or a name known to matplotlib; diverging, its middle is no effect.
    """

    rate: float = 0.05
    sign: str = "both"
    alpha: float = 0.6
    limit: float | None = None
    lines: bool = True
    colormap: str = "mint_magenta"

    def __post_init__(self) -> None:
        checks.inside_unit("rate", self.rate)
        checks.one_of("sign", self.sign, SIGNS)
        checks.between("alpha", self.alpha, 0, 1)
        if self.limit is not None:
            checks.positive("limit", self.limit)
        checks.boolean("lines", self.lines)
        _colormap(self.colormap)

    def __call__(self, frames: Frames, heatmap: NDArray[np.floating]) -> Frames:
        """Draw a heatmap of which no more is known over the frames, with lines: uint8 (T, H, W, 3).

        Raises:
            ValueError: if the two do not fit together or the heatmap is not finite.
        """
        return with_lines(self.draw(frames, Evidence(heatmap)))

    def draw(self, frames: Frames, evidence: Evidence) -> Drawing:
        """Draw the regions that differ from no effect.

        Raises:
            ValueError: if frames and evidence do not fit together or an attribution is not finite.
        """
        _check_frames(frames, evidence.heatmap)
        values, threshold, note = self._shown(evidence)
        limit = self.limit or float(np.abs(values).max())
        levels = np.clip(values / limit, -1, 1).astype(np.float32) if limit else np.zeros_like(values, np.float32)
        opacity = np.minimum(2 * np.abs(levels), 1)
        drawn = _colored(frames, 0.5 + 0.5 * levels, self.alpha * opacity, self.colormap, gray=True)
        seen = np.where(opacity >= VISIBLE, np.sign(levels), 0).astype(np.int8) if self.lines else None
        scale = replace(self.scale(), limit=limit or None, threshold=threshold)
        return Drawing(drawn, opacity, seen, scale, note, values)

    def limit_of(self, evidence: Evidence) -> float:
        """How far from no effect an attribution of the full level is; 0 where nothing is drawn."""
        return self.limit or float(np.abs(self._shown(evidence)[0]).max())

    def scale(self) -> Scale:
        """What the colors mean."""
        low = 0.0 if self.sign == "positive" else -1.0
        words = ("no effect" if self.sign == "positive" else "against the class", "for the class")
        return Scale(_colormap(self.colormap), low, 1.0, words, fades=0.5)

    def _shown(self, evidence: Evidence) -> tuple[NDArray[np.float32], float | None, str]:
        """How far from no effect each drawn voxel is (T, H, W); the least distance of a drawn region; a note."""
        heatmap = _finite(evidence.heatmap)
        if evidence.attribution is None or evidence.regions is None:
            least = float(heatmap.min())
            distance = heatmap - (float(heatmap.mean()) if least > 0 else 0.0)
            every = (self._signed(distance) * _singles_out(heatmap)).astype(np.float32)
            return every, None, "" if every.any() else "nothing stands out"
        attribution = np.asarray(evidence.attribution, dtype=np.float64)
        distance = self._signed(attribution - evidence.neutral)
        marked = significant(
            attribution, evidence.std_error, self.rate, against=evidence.neutral, noise=evidence.noise
        ) & (distance != 0)
        if not marked.any():
            return np.zeros_like(heatmap, dtype=np.float32), None, _nothing(evidence)
        shown = np.where(marked, distance, 0)
        return voxels(evidence.regions, shown), float(np.abs(shown[marked]).min()), _found(evidence, marked)

    def _signed(self, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.maximum(distance, 0) if self.sign == "positive" else distance


def _nothing(evidence: Evidence) -> str:
    return NOTHING_EXACT if evidence.is_exact else NOTHING


def _found(evidence: Evidence, marked: NDArray[np.bool_]) -> str:
    """How the regions were found where it was not by their standard errors."""
    if evidence.std_error is not None:
        return ""
    found = f"{np.count_nonzero(marked)} of {len(marked)} regions stand out"
    if not evidence.is_exact:
        return f"{found} (sampling error unknown)"
    assert evidence.attribution is not None
    largest = float(np.abs(np.asarray(evidence.attribution)[marked] - evidence.neutral).max())
    return f"{found}, the largest by a score of {largest:.2g}"


def voxels(regions: Regions, values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Values (R,) of regions at each voxel: float32 (T, H, W)."""
    here = copy.copy(regions).to(torch.device("cpu"))  # a copy: `to` would take them from where they are used
    return here.heatmap(torch.from_numpy(np.asarray(values, dtype=np.float64))).numpy().astype(np.float32)


def drawn_by(visualization: Visualization, frames: Frames, evidence: Evidence) -> Drawing:
    """What any visualization draws of the evidence; one that knows only heatmaps gives colored frames."""
    if isinstance(visualization, EvidenceVisualization):
        return visualization.draw(frames, evidence)
    return Drawing(visualization(frames, evidence.heatmap), scale=visualization.scale())


def study_cut(
    importance: NDArray[np.floating], keep: str = "cumulative", amount: float = 0.3
) -> NDArray[np.bool_]:
    """Which regions the study keeps of an explanation, both to draw and to judge it: bool, of the same shape.

    Only what is positive is kept, the most important first. Equal ones are kept or dropped together.

    Source: Gaya-Morey et al. (arXiv 2401.11796), section 4.5: "the 30% most important regions", none of negative
    relevance; the authors' code takes those that hold 30 % of the summed importance.

    Args:
        importance: float (R,), the attribution of regions; or a heatmap (T, H, W), whose voxels are the regions.
        keep: "cumulative", those that hold `amount` of the summed positive importance; "regions", the share
            `amount` of all of them, or, where it is a whole number, that many.
        amount: a fraction in (0, 1]; for "regions" also a whole number of them.

    Raises:
        ValueError: if a value is not finite, or a parameter is not one of those allowed.
    """
    checks.one_of("keep", keep, ("cumulative", "regions"))
    _check_amount(keep, amount)
    values = np.asarray(importance, dtype=np.float64)
    if not values.size or not np.isfinite(values).all():
        raise ValueError("importance must hold finite numbers, at least one: look for the cause in the scores")
    positive = np.maximum(values, 0)
    if keep == "regions" and checks.is_whole(amount):
        amount = min(int(amount), values.size) / values.size
    kept: NDArray[np.bool_] = _kept(positive, "top_fraction" if keep == "regions" else keep, amount)
    return kept & (values > 0)


def study_map(evidence: Evidence, keep: str = "cumulative", amount: float = 0.3) -> NDArray[np.float32]:
    """The heatmap as the study judged it: what `study_cut` keeps of it, 0 elsewhere; float32 (T, H, W), >= 0.

    Regions may fade or overlap: a voxel is kept where at least half of it belongs to regions that are. Where only
    the heatmap is known, each of its voxels is a region.

    Args:
        evidence: the explanation.
        keep: as for `study_cut`; or "voxels", the share `amount` of all voxels, whichever region they are of.
        amount: as for `study_cut`.

    Raises:
        ValueError: if a value is not finite, or a parameter is not one of those allowed.
    """
    checks.one_of("keep", keep, CUTS)
    _check_amount(keep, amount)
    heatmap = _finite(evidence.heatmap)
    if keep == "voxels":
        inside = _kept(np.maximum(heatmap, 0), "top_fraction", amount)
    elif evidence.attribution is None or evidence.regions is None:
        inside = study_cut(heatmap, keep, amount)
    else:
        kept = study_cut(evidence.attribution, keep, amount)
        inside = voxels(evidence.regions, kept.astype(np.float64)) >= 0.5
    return np.where(inside & _singles_out(heatmap), np.maximum(heatmap, 0), 0).astype(np.float32)


class _WithoutLines(ABC):
    """A visualization whose drawing of a heatmap alone is its colored frames."""

    def __call__(self, frames: Frames, heatmap: NDArray[np.floating]) -> Frames:
        """Draw a heatmap over the frames, each voxel a region of its own: uint8 (T, H, W, 3).

        Raises:
            ValueError: if the two do not fit together or the heatmap is not finite.
        """
        return self.draw(frames, Evidence(heatmap)).frames

    @abstractmethod
    def draw(self, frames: Frames, evidence: Evidence) -> Drawing:
        """Draw the evidence over the frames."""
        raise NotImplementedError


@dataclass(frozen=True)
class Study(_WithoutLines):
    """The pictures of the study: the most important regions, nothing negative, the colors stretched over them.

    Args:
        keep: what is kept, see `study_map`: "cumulative", "regions" or "voxels".
        amount: how much of it, in (0, 1]; for "regions" also a whole number of them.
        stretch: as in `Heatmap`.
        alpha: as in `Heatmap`.
        colormap: as in `Heatmap`.
    """

    keep: str = "cumulative"
    amount: float = 0.3
    stretch: bool | str = True
    alpha: float = 0.6
    colormap: str = "heat"

    def __post_init__(self) -> None:
        checks.one_of("keep", self.keep, CUTS)
        _check_amount(self.keep, self.amount)
        _check_stretch(self.stretch)
        checks.between("alpha", self.alpha, 0, 1)
        _colormap(self.colormap)

    def draw(self, frames: Frames, evidence: Evidence) -> Drawing:
        """Draw what the study would keep of the evidence.

        Raises:
            ValueError: if frames and evidence do not fit together or an attribution is not finite.
        """
        _check_frames(frames, evidence.heatmap)
        shown = study_map(evidence, self.keep, self.amount).astype(np.float64)
        kept = shown > 0
        low, high = _ends(shown[kept], self.stretch)
        levels = np.where(kept, _spread(shown, low, high), 0).astype(np.float32)
        opacity = _opacity(levels, kept, "cumulative")
        drawn = _colored(frames, levels, self.alpha * opacity, self.colormap)
        return Drawing(
            drawn, opacity, scale=self.scale(), note="" if kept.any() else "nothing speaks for the class"
        )

    def scale(self) -> Scale:
        """What the colors mean."""
        return Scale(_colormap(self.colormap), 0.0, 1.0, ("less important", "more important"))


def _check_amount(keep: str, amount: float) -> None:
    if keep == "regions" and checks.is_whole(amount):
        checks.whole("amount", amount)
    else:
        checks.fraction("amount", amount)


@dataclass(frozen=True)
class Heatmap(_WithoutLines):
    """Important voxels in warm colors.

    Args:
        keep: which voxels are drawn, by their importance: "all"; "top_fraction", the most important ones that
            make up `amount` of all voxels; "threshold", those with at least `amount` times the largest
            importance; "cumulative", the most important ones that hold `amount` of the summed importance. Voxels
            of equal importance (a whole region) are drawn together or not at all; the smallest set that reaches
            `amount` is kept.
        amount: fraction in (0, 1]; "all" does not use it.
        stretch: whether the levels of the kept voxels are spread from the 2nd to the 98th percentile, or, if
            "min_max", from the least to the largest; otherwise 0 is the first color and the largest importance
            the last.
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
    stretch: bool | str = True
    sign: str = "positive"
    blend: str = "alpha"
    alpha: float = 0.6
    colormap: str = "heat"

    def __post_init__(self) -> None:
        _check(self.keep, self.amount, self.stretch, self.sign, self.blend, self.alpha, self.colormap)

    def draw(self, frames: Frames, evidence: Evidence) -> Drawing:
        """Draw the heatmap of the evidence.

        Raises:
            ValueError: if frames and heatmap do not fit together or the heatmap is not finite.
        """
        _check_frames(frames, evidence.heatmap)
        levels, kept = self._levels(evidence.heatmap)
        if self.blend == "highlight":
            return Drawing(_highlight(frames, kept, self.alpha), kept.astype(np.float32))
        opacity = _opacity(levels, kept, self.keep)
        return Drawing(_colored(frames, levels, self.alpha * opacity, self.colormap), opacity, scale=self.scale())

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
class PosNeg(_WithoutLines):
    """Voxels that speak for the target in one color, those that speak against it in another.

    Parameters as in `Heatmap`, with these differences: importance is the size of the attribution, whatever its
    sign; `sign` "positive" draws only what speaks for the target; `stretch` moves the upper end only, so that
    the colors still part at 0, and "min_max" is as false; "highlight" does not tell the two signs apart.
    """

    keep: str = "all"
    amount: float = 0.3
    stretch: bool | str = True
    sign: str = "both"
    blend: str = "alpha"
    alpha: float = 0.7
    colormap: str = "magenta_green"

    def __post_init__(self) -> None:
        _check(self.keep, self.amount, self.stretch, self.sign, self.blend, self.alpha, self.colormap)

    def draw(self, frames: Frames, evidence: Evidence) -> Drawing:
        """Draw the heatmap of the evidence.

        Raises:
            ValueError: if frames and heatmap do not fit together or the heatmap is not finite.
        """
        _check_frames(frames, evidence.heatmap)
        levels, kept = self._levels(evidence.heatmap)
        if self.blend == "highlight":
            return Drawing(_highlight(frames, kept, self.alpha), kept.astype(np.float32))
        opacity = _opacity(np.abs(levels), kept, self.keep)
        drawn = _colored(frames, 0.5 + 0.5 * levels, self.alpha * opacity, self.colormap)
        return Drawing(drawn, opacity, scale=self.scale())

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


def _check_stretch(stretch: bool | str) -> None:
    if stretch != MIN_MAX and not isinstance(stretch, bool):
        raise ValueError(f"stretch must be true, false or {MIN_MAX}, got {stretch!r}")


def _check(
    keep: str, amount: float, stretch: bool | str, sign: str, blend: str, alpha: float, colormap: str
) -> None:
    checks.one_of("keep", keep, KEEPS)
    checks.one_of("sign", sign, SIGNS)
    checks.one_of("blend", blend, BLENDS)
    _check_stretch(stretch)
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


def _ends(importance: NDArray[np.float64], stretch: bool | str) -> tuple[float, float]:
    """The importance that gets level 0 and the one that gets level 1."""
    if importance.size == 0:
        return 0.0, 1.0
    if stretch == MIN_MAX:
        low, high = importance.min(), importance.max()
    else:
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
    frames: Frames,
    position: NDArray[np.floating],
    opacity: NDArray[np.floating],
    colormap: str,
    gray: bool = False,
) -> Frames:
    """Frames under colors; `position` in [0, 1] along the colormap. Frame by frame, to spare memory.

    With `gray`, the frame loses its own color where it gets another, half again as fast.
    """
    table = (255 * _colormap(colormap)(np.linspace(0, 1, 256))[:, :3]).astype(np.float32)
    drawn = frames.copy()
    for frame, where, weight, out in zip(frames, position, opacity, drawn, strict=True):
        some = weight > 0
        if not some.any():
            continue
        under, share = frame[some].astype(np.float32), weight[some][:, None].astype(np.float32)
        if gray:
            under += np.minimum(1.5 * share, 1) * ((under @ _LUMA)[:, None] - under)
        color = table[np.rint(255 * where[some]).astype(np.intp)]
        out[some] = np.rint(under + share * (color - under))
    return drawn


def _highlight(frames: Frames, kept: NDArray[np.bool_], alpha: float) -> Frames:
    """Frames whose voxels go gray and dark unless they are kept."""
    drawn = np.empty_like(frames)
    for frame, stays, out in zip(frames, kept, drawn, strict=True):
        shade = _DARK * (frame @ _LUMA)[..., None]
        dimmed = np.rint(frame + alpha * (shade - frame)).astype(np.uint8)
        out[:] = np.where(stays[..., None], frame, dimmed)
    return drawn
