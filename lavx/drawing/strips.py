"""Rows of frames, what is drawn over them, and the color bar beside them: the parts of panels and comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lavx import checks
from lavx.drawing.frames import CHOICES
from lavx.drawing.sheet import ASCENT, LINE, Sheet, measure, resized, wrapped
from lavx.drawing.style import INK, SOFT
from lavx.methods.outlines import outline_drawing, outline_ground_truth
from lavx.methods.visualization import Scale
from lavx.types import Drawing

N_COLUMNS = 8  # most frames in a row, where nobody says how many
DPI = 110
_MM = 25.4  # millimeters an inch
_CELL = 2.4  # longest side of a frame, inches
_ROW = 12.0  # most width of a row of frames
_NARROW, _LOW = 6.2, 10.6  # least width of a column, least height of a row, sizes of the font: words have to fit
_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Style:
    """How a picture is made.

    Args:
        frames: which frames are shown: "even", "hottest" (those that show most of the explanation), or their
            numbers from 0.
        n_frames: how many of them.
        width_mm: width of the picture in millimeters, such as 85 for a column of a paper; None for as wide as the
            frames need.
        font_size: of the smallest words, in points.
        title: whether to say above the frames what is explained and how.
        time: whether to show how much of the explanation is in each frame.
        curves: whether to show the curves of an evaluation, where there is one.
        dpi: pixels an inch; None for 110, or 300 where a width is given.

    Raises:
        ValueError: if one is not allowed.
    """

    frames: str | Sequence[int] = "even"
    n_frames: int = N_COLUMNS
    width_mm: float | None = None
    font_size: float = 8.0
    title: bool = True
    time: bool = True
    curves: bool = True
    dpi: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.frames, str):
            checks.one_of("frames", self.frames, CHOICES)
        checks.whole("n_frames", self.n_frames)
        checks.positive("font_size", self.font_size)
        for name in ("title", "time", "curves"):
            checks.boolean(name, getattr(self, name))
        if self.width_mm is not None:
            checks.positive("width_mm", self.width_mm)
        if self.dpi is not None:
            checks.whole("dpi", self.dpi, 20)

    @property
    def em(self) -> float:
        """The size of the font in inches."""
        return self.font_size / 72

    @property
    def pixels(self) -> int:
        """Pixels an inch."""
        return self.dpi or (DPI if self.width_mm is None else 300)

    @property
    def width(self) -> float | None:
        """Of the picture, in inches."""
        return None if self.width_mm is None else self.width_mm / _MM

    @property
    def gap(self) -> float:
        """Between frames, in inches."""
        return 0.54 * self.em


@dataclass(frozen=True)
class Columns:
    """Where the frames of a row stand.

    Attributes:
        n: how many there are.
        width: of each, in inches.
        height: of each.
        gap: between them.
    """

    n: int
    width: float
    height: float
    gap: float

    @property
    def row(self) -> float:
        """Width of them all."""
        return self.n * (self.width + self.gap) - self.gap

    @staticmethod
    def fitting(n: int, aspect: float, style: Style, margins: float) -> Columns:
        """Columns for `n` frames that are `aspect` times as wide as high, within the style's width less margins.

        Raises:
            ValueError: if that leaves no room for frames.
        """
        if style.width is None:
            width = min(_CELL, _CELL * aspect, (_ROW + style.gap) / n - style.gap)
            return Columns(n, max(width, _NARROW * style.em), max(width / aspect, _LOW * style.em), style.gap)
        width = (style.width - margins + style.gap) / n - style.gap
        if width < 2 * style.em:
            raise ValueError(
                f"width_mm={style.width_mm:g} leaves {max(0.0, width) * _MM:.1f} mm for each of {n} frames "
                f"beside the words at font_size={style.font_size:g}: show fewer frames, take a smaller font or a "
                "larger width"
            )
        return Columns(n, width, width / aspect, style.gap)


def draw_strip(
    sheet: Sheet,
    place: tuple[float, float],
    columns: Columns,
    images: Sequence[NDArray[np.uint8]],
    signs: Sequence[NDArray[np.int8]] | None = None,
    truths: Sequence[NDArray[np.bool_]] | None = None,
) -> None:
    """A row of images from its top left corner, with lines as thick as the sheet's pixels want them."""
    dpi = sheet.dpi
    wide, high = max(1, round(columns.width * dpi)), max(1, round(columns.height * dpi))
    thick = max(1, round(dpi / 150))
    for k, image in enumerate(images):
        small = resized(image, wide, high).copy()
        if truths is not None:
            outline_ground_truth(small, _nearest(truths[k], small.shape[:2]), thick)
        if signs is not None:
            outline_drawing(small, _nearest(signs[k], small.shape[:2]), thick)
        x = place[0] + k * (columns.width + columns.gap) + (columns.width - small.shape[1] / dpi) / 2
        sheet.image(x, place[1] + (columns.height - small.shape[0] / dpi) / 2, small)


def _nearest(mask: NDArray, shape: tuple[int, ...]) -> NDArray:  # type: ignore[type-arg]
    """The mask (H, W) in another size, each pixel the nearest one's."""
    rows, across = (
        ((np.arange(new) + 0.5) * old / new).astype(np.intp) for new, old in zip(shape, mask.shape, strict=True)
    )
    return mask[rows][:, across]


def draw_explanation(
    sheet: Sheet,
    place: tuple[float, float],
    columns: Columns,
    drawing: Drawing,
    shown: NDArray[np.intp],
    truth: NDArray[np.bool_] | None,
) -> None:
    """The row of frames with what is drawn over them, and the ground truth."""
    draw_strip(
        sheet,
        place,
        columns,
        list(drawing.frames[shown]),
        None if drawing.outlined is None else list(drawing.outlined[shown]),
        None if truth is None else list(truth[shown]),
    )


def legend(drawing: Drawing, truth: NDArray[np.bool_] | None) -> str:
    """What the lines of a drawing mean; empty where there are none."""
    scale: Scale | None = drawing.scale
    named = scale is not None and scale.colormap.name == "mint_magenta"
    words = []
    if drawing.outlined is not None and (drawing.outlined > 0).any():
        words.append("pink, solid line: for the class" if named else "solid line: for the class")
    if drawing.outlined is not None and (drawing.outlined < 0).any():
        words.append("green, dashed: against it" if named else "dashed: against it")
    if truth is not None and truth.any():
        words.append("yellow and black: ground truth")
    if scale is not None and scale.threshold is not None and scale.limit and scale.threshold < scale.limit:
        words.append("mark on the scale: the least that is drawn")
    return "   \N{MIDDLE DOT}   ".join(words)


def draw_color_bar(
    sheet: Sheet, place: tuple[float, float], height: float, scale: Scale, style: Style, both: bool
) -> None:
    """A bar of the colors with what their ends mean, from its top left corner.

    Args:
        sheet: where to draw.
        place: left and top.
        height: in inches.
        scale: what the colors mean.
        style: of the picture.
        both: whether there is anything below zero; if not, the bar begins there.
    """
    (x, top), em = place, style.em
    low = scale.low if both else max(scale.low, 0.0)
    n = max(2, round(height * sheet.dpi))
    levels = np.linspace(scale.high, low, n)
    colors = scale.colormap((levels - scale.low) / (scale.high - scale.low))[:, :3]
    if scale.fades:
        colors = 1 + np.minimum(np.abs(levels) / scale.fades, 1)[:, None] * (colors - 1)
    wide = max(2, round(1.1 * em * sheet.dpi))
    bar = np.rint(255 * np.repeat(colors[:, None], wide, axis=1)).astype(np.uint8)
    bar[[0, -1]] = bar[:, [0, -1]] = 170
    sheet.image(x, top, bar)
    above, below = _ends(scale, low, style)
    if (len(above) + len(below)) * LINE * em > height:  # no room for words: the legend has them
        above, below = above[:1], below[-1:]
    start = top + height - len(below) * LINE * em + (LINE - ASCENT) / 2 * em
    for lines, first in ((above, top), (below, start)):
        for k, line in enumerate(lines):
            sheet.text(x + 1.6 * em, first + k * LINE * em, line, style.font_size, color=SOFT)
    if scale.limit is not None and scale.threshold is not None and scale.threshold < scale.limit:
        for level in (scale.threshold / scale.limit, *((-scale.threshold / scale.limit,) if both else ())):
            y = top + height * (scale.high - level) / (scale.high - low)
            sheet.line([(x - 0.25 * em, y), (x + 1.35 * em, y)], INK, 0.8)


def _ends(scale: Scale, low: float, style: Style) -> tuple[list[str], list[str]]:
    """The lines beside the top and the bottom of a color bar: outermost the number, where there is one."""
    above, below = (wrapped(words, style.font_size, 6.5 * style.em, 2) for words in reversed(scale.words))
    if scale.limit is None:
        return above, below
    if low == 0:
        return [f"+{scale.limit:.2g}", *above], ["no effect"]
    return [f"+{scale.limit:.2g}", *above], [*below, f"{_MINUS}{scale.limit:.2g}"]


def bar_width(scale: Scale | None, style: Style) -> float:
    """How much room a color bar takes, in inches."""
    return 0.0 if scale is None else 1.6 * style.em + max(measure("no effect", style.font_size), 5.8 * style.em)
