"""Several explanations side by side: a row for each method or network, the same moments one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from lavx.drawing.frames import chosen, heat
from lavx.drawing.panel import stamp
from lavx.drawing.sheet import LINE, Sheet, kind_of, wrapped
from lavx.drawing.strips import (
    Columns,
    Style,
    bar_width,
    draw_color_bar,
    draw_explanation,
    draw_strip,
    legend,
)
from lavx.drawing.style import INK, SOFT
from lavx.types import Drawing

_LABEL = 7.2  # room for a row's name, sizes of the font


@dataclass(frozen=True)
class Row:
    """One explanation of a comparison.

    Attributes:
        label: what it is called.
        frames: uint8 (T, H, W, 3), its clip.
        drawing: what its visualization made of it.
        heatmap: float (T, H, W), the raw one.
        times: (T,), where in the video each frame lies.
        unit: of them, "s" or "frames".
        ground_truth: bool (T, H, W), outlined; None where unknown.
    """

    label: str
    frames: NDArray[np.uint8]
    drawing: Drawing
    heatmap: NDArray[np.floating]
    times: NDArray[np.float64]
    unit: str = "s"
    ground_truth: NDArray[np.bool_] | None = None


def draw_comparison(
    path: Path | str | IO[bytes], rows: Sequence[Row], style: Style, title: str = "", one_scale: bool = False
) -> None:
    """Draw a comparison: a PNG, or what the file's ending says, PDF or SVG.

    The clip is shown above where all rows are of the same one. The frames shown are those that the style asks for,
    the hottest being those that all rows together show most of; a row of other frames shows those nearest in time.

    Args:
        path: file to write, whose folder must be there; or an open file, for a PNG.
        rows: the explanations, at least one.
        style: which frames and how large; its `time` and `curves` are not used.
        title: a line above; left out where the style has no title.
        one_scale: whether the colors mean the same in all rows, so that one color bar does for them.

    Raises:
        ValueError: if there are no rows, or what is asked for does not fit into the width.
    """
    if not rows:
        raise ValueError("there is nothing to compare: give at least one explanation")
    kind, em, font, first = kind_of(path), style.em, style.font_size, rows[0]
    shown = _shown(rows, style)
    left, right = (_LABEL + 0.6) * em, max(_bar(row, style) for row in rows) + 1.6 * em
    aspect = first.frames.shape[2] / first.frames.shape[1]
    columns = Columns.fitting(len(shown[0]), aspect, style, left + right)
    above = ["clip"] if all(_same(row.frames, first.frames) for row in rows) else []
    lines = wrapped(title, 1.25 * font, columns.row + left, 3, "bold") if title and style.title else []
    top = 0.6 * em + len(lines) * 1.25 * LINE * em + (0.6 * em if lines else 0) + 1.5 * em
    pitch = columns.height + 0.8 * em
    width = style.width or left + columns.row + right
    sheet = Sheet(width, top + (len(above) + len(rows)) * pitch + 2.2 * em, style.pixels)
    for k, line in enumerate(lines):
        sheet.text(0.4 * em, 0.6 * em + k * 1.25 * LINE * em, line, 1.25 * font, color=INK, weight="bold")
    room = columns.width + columns.gap
    for k, time in enumerate(first.times[shown[0]]):
        words = stamp(time, first.times, first.unit, room >= 5 * em)
        middle = left + k * room + columns.width / 2
        sheet.text(middle, top - 0.5 * em, words, font, room=room, color=SOFT, ha="center", va="bottom")
    if above:
        _label(sheet, "clip", top, columns.height, style)
        draw_strip(sheet, (left, top), columns, list(first.frames[shown[0]]))
    for k, (row, own) in enumerate(zip(rows, shown, strict=True)):
        y = top + (len(above) + k) * pitch
        _label(sheet, row.label, y, columns.height, style)
        draw_explanation(sheet, (left, y), columns, row.drawing, own, row.ground_truth)
        if row.drawing.scale is not None and (k == 0 or not one_scale):
            both = any(_negative(r.drawing) for r in (rows if one_scale else [row]))
            place = left + columns.row + 0.9 * em, y
            draw_color_bar(sheet, place, columns.height, row.drawing.scale, style, both)
        if row.drawing.opacity is not None and not row.drawing.opacity.any() and row.drawing.note:
            _notice(sheet, row.drawing.note, left, y, columns, style)
    words = max((legend(row.drawing, row.ground_truth) for row in rows), key=len)
    sheet.text(left, sheet.height - 0.5 * em, words, font, room=width - left, color=SOFT, va="bottom")
    sheet.write(path, kind)


def _shown(rows: Sequence[Row], style: Style) -> list[NDArray[np.intp]]:
    """The frames that each row shows."""
    first = rows[0]
    warmth = np.zeros(len(first.times))
    nearest = [np.abs(row.times[None] - first.times[:, None]).argmin(axis=1) for row in rows]
    for row, own in zip(rows, nearest, strict=True):
        frames = heat(row.drawing, row.heatmap)
        frames = frames - min(0.0, float(frames.min()))
        warmth += frames[own] / (frames.max() or 1.0)
    shown = chosen(style.frames, style.n_frames, warmth)
    return [own[shown] for own in nearest]


def _same(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    return one.shape == other.shape and bool((one == other).all())


def _negative(drawing: Drawing) -> bool:
    return drawing.values is None or bool((drawing.values < 0).any())


def _bar(row: Row, style: Style) -> float:
    return bar_width(row.drawing.scale, style)


def _label(sheet: Sheet, words: str, top: float, height: float, style: Style) -> None:
    """A row's name left of it, in as many lines as there is height for."""
    em, size = style.em, style.font_size
    lines = wrapped(words, size, _LABEL * em, max(1, int(height / (LINE * em))))
    start = top + height / 2 - (len(lines) - 1) / 2 * LINE * em
    for k, line in enumerate(lines):
        place = _LABEL * em, start + k * LINE * em
        sheet.text(*place, line, size, color=INK, ha="right", va="center")


def _notice(sheet: Sheet, words: str, left: float, top: float, columns: Columns, style: Style) -> None:
    """Words upon a row in which nothing is drawn."""
    em, size = style.em, style.font_size
    lines = wrapped(words, size, columns.row - 1.6 * em, 3, "bold")
    height = (len(lines) * LINE + 0.5) * em
    sheet.box(left, top, columns.row, height, "white", 0.85)
    for k, line in enumerate(lines):
        sheet.text(left + 0.6 * em, top + (0.45 + k * LINE) * em, line, size, color=INK, weight="bold")
