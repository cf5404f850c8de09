"""The panel: what a person sees of one explanation.

Drawn with matplotlib's objects alone: no global state, so that panels may be drawn in several threads, and
the same input gives the same bytes. Every length is in inches, and everything is placed by hand.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import FT2Font
from matplotlib.textpath import TextToPath
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from lavx.drawing.frames import check_frames
from lavx.drawing.style import CURVE_COLORS, INK, SOFT, plain_axes
from lavx.methods.visualization import Scale
from lavx.text import visible

N_COLUMNS = 8  # most frames in a row
DPI = 110

_LEFT, _RIGHT, _TOP, _BOTTOM = 0.85, 1.05, 1.15, 0.6
_GAP = 0.06  # between frames
_CELL = 2.4  # longest side of a frame
_ROW = 12.0  # most width of a row of frames
_NARROW, _LOW = 0.5, 0.85  # least width of a column, least height of a row: words have to fit
_WIDTH = 7.6  # least width of what is between the margins
_HEAT, _CURVES = 1.0, 2.1  # heights of the plots
_FONT = "DejaVu Sans"  # comes with matplotlib, so that panels look the same everywhere
_GRID = "#dddddd"
_BETTER = {"deletion": "lower is better", "insertion": "higher is better"}

PlottedCurve = tuple[ArrayLike, ArrayLike, float]  # fractions, scores, area


@dataclass(frozen=True)
class Caption:
    """What the panel says in words.

    Attributes:
        video_id: the video's.
        dataset: name of the dataset.
        net: name of the network.
        method: name of the method.
        target: name of the explained class.
        score: the network's score of the target for the clip.
        predicted: name of the class with the largest score.
        predicted_score: its score.
        label: name of the true class, if there is one.
        notes: what else the reader must know, in a few words each.
    """

    video_id: str
    dataset: str
    net: str
    method: str
    target: str
    score: float
    predicted: str
    predicted_score: float
    label: str | None = None
    notes: tuple[str, ...] = ()


def draw_panel(
    path: Path | str | IO[bytes],
    *,
    frames: NDArray[np.uint8],
    overlay: NDArray[np.uint8],
    heatmap: NDArray[np.floating],
    seconds: ArrayLike,
    caption: Caption,
    scale: Scale | None = None,
    curves: Mapping[str, PlottedCurve] | None = None,
    unit: str = "s",
    frames_per_region: float | None = None,
) -> None:
    """Draw the panel of one explanation as a PNG.

    From top to bottom: class and scores; at most `N_COLUMNS` frames of the clip; the same under the heatmap;
    heat over time; the deletion and insertion curves.

    Args:
        path: file to write, whose folder must be there; or an open file.
        frames: uint8 (T, H, W, 3), the clip.
        overlay: uint8 (T, H, W, 3), what the visualization made of it.
        heatmap: float (T, H, W), the raw one.
        seconds: (T,) where in the video each frame lies.
        caption: what the panel says in words.
        scale: what the overlay's colors mean; no color bar without.
        curves: by name, fractions (n,), scores (n,) and the area under the curve; may be empty or None.
        unit: of `seconds`: "s", or "frames" where seconds are unknown.
        frames_per_region: given where regions span nearly all frames, so that heat over time says little.
    """
    times = check_frames(frames, overlay, seconds)
    if heatmap.shape != frames.shape[:3]:
        raise ValueError(f"heatmap must be (T, H, W) = {frames.shape[:3]}, got {heatmap.shape}")
    bad = np.count_nonzero(~np.isfinite(heatmap))
    if bad:
        raise ValueError(f"heatmap holds {bad} values that are NaN or infinite; such a heatmap cannot be drawn")
    plots = dict(curves or {})
    for name, (fractions, scores, _) in plots.items():
        if np.shape(fractions) != np.shape(scores):
            raise ValueError(
                f"{name} needs as many scores as fractions, got {np.size(scores)} and {np.size(fractions)}"
            )
    shown = _columns(len(frames))
    width, height = _cell(len(shown), frames.shape[2] / frames.shape[1])
    row = len(shown) * (width + _GAP) - _GAP
    inner = max(row, _WIDTH)

    heights = [height, height, _HEAT, *([_CURVES] if plots else [])]
    gaps = [0.1, 0.42, 0.85]
    total = _TOP + sum(heights) + sum(gaps[: len(heights) - 1]) + _BOTTOM
    figure = Figure(figsize=(_LEFT + inner + _RIGHT, total), dpi=DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    page = _Page(figure, inner)

    _title(page, caption)
    top = _TOP
    _strip(page, frames[shown], top, width, height, "clip", [_stamp(t, times, unit) for t in times[shown]])
    top += height + gaps[0]
    _strip(page, overlay[shown], top, width, height, "explanation")
    if scale is not None:
        _color_bar(page, scale, row, top, height)
    top += height + gaps[1]
    _heat(page.axes(-_GAP / 2, top, row + _GAP, _HEAT), heatmap, times, shown, scale, unit, frames_per_region)
    top += _HEAT + gaps[2]
    for k, (name, curve) in enumerate(plots.items()):
        across = (inner - 0.7 * (len(plots) - 1)) / len(plots)
        axes = page.axes(k * (across + 0.7), top, min(across, 5.5), _CURVES)
        _curve(axes, name, curve, caption.score)
    canvas.print_png(str(path) if isinstance(path, Path) else path, metadata={"Software": None})


def _columns(n_frames: int) -> NDArray[np.intp]:
    """The frames to show: those in the middle of equal parts, so that they stand above their bars."""
    n = min(n_frames, N_COLUMNS)
    return ((np.arange(n) + 0.5) * n_frames / n).astype(np.intp)


def _cell(n: int, aspect: float) -> tuple[float, float]:
    """Width of a column and height of a row for frames that are `aspect` times as wide as high."""
    width = min(_CELL, _CELL * aspect, (_ROW + _GAP) / n - _GAP)
    return max(width, _NARROW), max(width / aspect, _LOW)


class _Page:
    """Places things by their distance from the top left corner of what is inside the margins, in inches."""

    def __init__(self, figure: Figure, inner: float) -> None:
        self.figure = figure
        self.inner = inner
        self.width, self.height = figure.get_size_inches()

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        bottom = self.height - top - height
        box = ((_LEFT + left) / self.width, bottom / self.height, width / self.width, height / self.height)
        return self.figure.add_axes(box)

    def text(
        self,
        left: float,
        top: float,
        words: str,
        size: float,
        room: float,
        *,
        color: str = SOFT,
        weight: str = "normal",
        va: str = "top",
        ha: str = "left",
        rotation: float = 0,
    ) -> None:
        """One line at the place, cut to `room`."""
        self.figure.text(
            (_LEFT + left) / self.width,
            1 - top / self.height,
            _fit(visible(words), size, room, weight),
            fontsize=size,
            fontfamily=_FONT,
            parse_math=False,
            color=color,
            weight=weight,
            va=va,
            ha=ha,
            rotation=rotation,
        )


def _title(page: _Page, caption: Caption) -> None:
    room = page.inner + 0.5 * _RIGHT
    score = f"   score {caption.score:.3f}"
    start = "Explained class: "
    target = _fit(caption.target, 15, room - _measure(start + score, 15, "bold"), "bold")
    page.text(0, 0.16, start + target + score, 15, room, weight="bold", color=INK)

    right = caption.label is not None and caption.label == caption.predicted
    share = (room - 2.6) / (1 if caption.label is None or right else 2)
    said = f"predicted: {_fit(caption.predicted, 10, share)} ({caption.predicted_score:.3f})"
    if right:
        said += ", which is right"
    elif caption.label is not None:
        said += f"   \N{MIDDLE DOT}   true: {_fit(caption.label, 10, share)}"
    page.text(0, 0.46, said, 10, room, color=INK)

    how = f"{caption.method} on {caption.net}" if caption.net else caption.method
    video = f"video {caption.video_id}" if caption.video_id else ""
    page.text(
        0, 0.68, "   \N{MIDDLE DOT}   ".join(filter(None, (how, caption.dataset, video, *caption.notes))), 9, room
    )


def _strip(
    page: _Page,
    images: NDArray[np.uint8],
    top: float,
    width: float,
    height: float,
    name: str,
    stamps: list[str] | None = None,
) -> None:
    """One row of images; all in one picture, which is much faster than one axes each."""
    wide, high, gap = round(width * DPI), round(height * DPI), round(_GAP * DPI)
    picture = np.full((high, len(images) * (wide + gap) - gap, 3), 255, dtype=np.uint8)
    for k, image in enumerate(images):
        small = _resized(image, wide, high)
        y, x = (high - small.shape[0]) // 2, (wide - small.shape[1]) // 2 + k * (wide + gap)
        picture[y : y + small.shape[0], x : x + small.shape[1]] = small
    axes = page.axes(0, top, picture.shape[1] / DPI, height)
    axes.imshow(picture, interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    page.text(-0.3, top + height / 2, name, 9, height + 0.6, rotation=90, va="center", ha="right")
    for k, stamp in enumerate(stamps or []):
        middle = k * (width + _GAP) + width / 2
        page.text(middle, top - 0.05, stamp, 8, width + _GAP, va="bottom", ha="center")


def _resized(image: NDArray[np.uint8], wide: int, high: int) -> NDArray[np.uint8]:
    """The image as large as it fits."""
    factor = min(wide / image.shape[1], high / image.shape[0])
    size = (
        min(max(1, round(image.shape[1] * factor)), wide),
        min(max(1, round(image.shape[0] * factor)), high),
    )
    how = Image.Resampling.BOX if factor < 1 else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize(size, how))


def _color_bar(page: _Page, scale: Scale, row: float, top: float, height: float) -> None:
    axes = page.axes(row + 0.12, top, 0.13, height)
    shades = scale.colormap(np.linspace(1, 0, 256))[:, None, :3]
    axes.imshow(shades, aspect="auto", interpolation="bilinear")
    axes.set_xticks([])
    axes.set_yticks([])
    plain_axes(axes, (), _FONT)
    for words, y in ((scale.words[1], top), (scale.words[0], top + height - 0.27)):
        first, _, rest = words.partition(" ")
        page.text(row + 0.32, y, first, 8, 0.9)
        page.text(row + 0.32, y + 0.14, rest, 8, 0.9)


def _heat(
    axes: Axes,
    heatmap: NDArray[np.floating],
    times: NDArray[np.float64],
    shown: NDArray[np.intp],
    scale: Scale | None,
    unit: str,
    frames_per_region: float | None,
) -> None:
    """Mean heat of each frame as a bar; those of the frames above in full color."""
    values = np.asarray(heatmap, dtype=np.float64)
    lowest = values.min()
    said = "mean positive attribution of each frame"
    if lowest > 0:  # as RISE gives it: what the coldest voxel has too tells nothing
        values, said = values - lowest, "mean attribution of each frame, above the coldest voxel"
    both = scale is not None and scale.low < 0
    where = np.arange(len(values))
    above = np.isin(where, shown)
    up = np.maximum(values, 0).mean(axis=(1, 2))
    down = np.minimum(values, 0).mean(axis=(1, 2)) if both else np.zeros_like(up)
    positive = scale.colormap(0.92) if both and scale is not None else "#d1495b"
    negative = scale.colormap(0.08) if both and scale is not None else "#d1495b"
    for bars, color in ((up, positive), (down, negative)):
        for picked, strength in ((above, 1.0), (~above, 0.45)):
            axes.bar(where[picked], bars[picked], width=0.86, color=color, alpha=strength, linewidth=0)
    if both and down.any():
        said = "mean positive and negative attribution of each frame"

    axes.set_xlim(-0.5, len(values) - 0.5)
    low, high = min(down.min(), 0.0), max(up.max(), 0.0)
    if high == low:
        words = "nothing speaks for the class" if np.ptp(values) > 0 else "nothing stands out"
        axes.text(0.5, 0.5, words, fontproperties=_small(), color=SOFT, transform=axes.transAxes, ha="center")
    margin = 0.08 * (high - low) or 1.0
    axes.set_ylim(low - margin if low < 0 else 0, high + margin)
    if low < 0:
        axes.axhline(0, color=SOFT, linewidth=0.8)
    axes.set_xticks(shown, [_number(times[k], times, unit) for k in shown])
    axes.set_xlabel(
        "time in the video (s)" if unit == "s" else "frame of the clip",
        fontproperties=_small(),
        color=SOFT,
        labelpad=2,
    )
    if high > low:
        axes.locator_params(axis="y", nbins=3)
        axes.ticklabel_format(axis="y", style="sci", scilimits=(-3, 4))
        axes.yaxis.get_offset_text().set(fontsize=7, color=SOFT, ha="right")
    else:
        axes.set_yticks([])
    plain_axes(axes, font=_FONT)
    title = f"heat over time: {said}"
    if frames_per_region is not None:
        spans = f"a region spans {frames_per_region:.1f} of {len(values)} frames in the mean"
        title = f"heat over time, nearly flat by construction: {spans}"
    axes.set_title(title, loc="left", fontproperties=_small(), color=SOFT, pad=4)


def _curve(axes: Axes, name: str, curve: PlottedCurve, score: float) -> None:
    fractions, scores = (np.asarray(a, dtype=np.float64) for a in curve[:2])
    color = CURVE_COLORS.get(name, INK)
    direction = f" ({_BETTER[name]})" if name in _BETTER else ""
    axes.fill_between(100 * fractions, scores, color=color, alpha=0.13, linewidth=0)
    axes.plot(100 * fractions, scores, color=color, linewidth=1.8, label=f"AUC {curve[2]:.3f}{direction}")
    axes.axhline(score, color=SOFT, linewidth=0.9, linestyle=(0, (4, 3)), label="score of the clip")
    axes.set_xlim(0, 100)
    low, high = min(scores.min(), score, 0.0), max(scores.max(), score, 1.0)
    axes.set_ylim(low, low + (high - low) * 1.3)  # room for the legend
    axes.set_yticks(np.linspace(low, high, 5))
    axes.yaxis.set_major_formatter("{x:.2f}")
    verb = {"deletion": "removed", "insertion": "inserted"}.get(name, "changed")
    small = _small()
    axes.set_xlabel(f"voxels {verb}, most important first (%)", labelpad=2, color=SOFT, fontproperties=small)
    axes.set_ylabel("score", labelpad=3, color=SOFT, fontproperties=small)
    axes.set_title(name, loc="left", fontsize=10, color=INK, fontfamily=_FONT, pad=4)
    axes.grid(color=_GRID, linewidth=0.6)
    plain_axes(axes, font=_FONT)
    axes.legend(
        loc="upper right",
        ncols=2,
        frameon=False,
        labelcolor=INK,
        prop=small,
        borderaxespad=0.2,
        handlelength=1.6,
        columnspacing=1.4,
    )


def _number(time: float, times: NDArray[np.float64], unit: str) -> str:
    if unit == "frames":
        return f"{time:.0f}"
    return f"{time:.{1 if np.abs(times).max() >= 100 else 2}f}"


def _stamp(time: float, times: NDArray[np.float64], unit: str) -> str:
    number = _number(time, times, unit)
    return f"frame {number}" if unit == "frames" else f"{number} s"


def _small() -> FontProperties:
    return FontProperties(family=_FONT, size=8)


@functools.cache
def _font(weight: str) -> tuple[FontProperties, str]:
    font = FontProperties(family=_FONT, weight=weight)
    return font, findfont(font)


def _measure(words: str, size: float, weight: str = "normal") -> float:
    """Width of a line in inches."""
    font = _font(weight)[0].copy()
    font.set_size(size)
    return TextToPath().get_text_width_height_descent(words, font, ismath=False)[0] / 72


def _fit(words: str, size: float, room: float, weight: str = "normal") -> str:
    """The words as they can be drawn: signs that the font lacks replaced, and cut where they are too long."""
    font: FT2Font = get_font(_font(weight)[1])
    words = "".join(" " if c.isspace() else c for c in words)
    words = "".join(c if font.get_char_index(ord(c)) else "\N{WHITE SQUARE}" for c in words)
    if _measure(words, size, weight) <= room:
        return words
    low, high = 0, len(words)  # the longest start that fits
    while low < high:
        middle = (low + high + 1) // 2
        if _measure(words[:middle].rstrip() + "\N{HORIZONTAL ELLIPSIS}", size, weight) <= room:
            low = middle
        else:
            high = middle - 1
    return words[:low].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
