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
from lavx.methods.visualization import VISIBLE
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
    kind, em, first = kind_of(path), style.em, rows[0]
    shown = _shown(rows, style)
    left, right = (_LABEL + 0.6) * em, max(bar_width(row.drawing.scale, style) for row in rows) + 1.6 * em
    aspect = first.frames.shape[2] / first.frames.shape[1]
    columns = Columns.fitting(len(shown[0]), aspect, style, left + right)
    width = style.width or left + columns.row + right
    lines = wrapped(title, 1.25 * style.font_size, width - 0.8 * em, 3, "bold") if style.title else []
    below = wrapped(_legend(rows), style.font_size, width - 0.8 * em, 4)
    top = (0.6 + len(lines) * 1.25 * LINE + (0.6 if lines else 0) + 1.5) * em
    pitch = columns.height + 0.8 * em
    with_clip = all(_same(row.frames, first.frames) for row in rows)
    end = top + (with_clip + len(rows)) * pitch
    sheet = Sheet(width, end + (0.4 + LINE * len(below)) * em, style.pixels)
    _words(sheet, lines, 0.6 * em, 1.25 * style.font_size, INK, "bold")
    _stamps(sheet, (left, top), columns, first, shown[0], style)
    if with_clip:
        _label(sheet, "clip", top, columns.height, style)
        draw_strip(sheet, (left, top), columns, list(first.frames[shown[0]]))
    for k, (row, own) in enumerate(zip(rows, shown, strict=True)):
        place = left, top + (with_clip + k) * pitch
        scaled = rows if one_scale and k == 0 else [] if one_scale else [row]
        _draw_row(sheet, place, columns, row, own, scaled, style)
    _words(sheet, below, end, style.font_size, SOFT, "normal")
    sheet.write(path, kind)


def _words(sheet: Sheet, lines: Sequence[str], top: float, size: float, color: str, weight: str) -> None:
    """Lines from the left edge of the sheet."""
    for k, line in enumerate(lines):
        sheet.text(0.4 * size / 72, top + k * LINE * size / 72, line, size, color=color, weight=weight)


def _legend(rows: Sequence[Row]) -> str:
    """What the lines of all rows mean."""
    return max((legend(row.drawing, row.ground_truth) for row in rows), key=len)


def _stamps(
    sheet: Sheet, place: tuple[float, float], columns: Columns, row: Row, shown: NDArray[np.intp], style: Style
) -> None:
    """The times above the frames."""
    room, em = columns.width + columns.gap, style.em
    for k, time in enumerate(row.times[shown]):
        words = stamp(time, row.times, row.unit, room >= 5 * em)
        middle, top = place[0] + k * room + columns.width / 2, place[1] - 0.5 * em
        sheet.text(middle, top, words, style.font_size, room=room, color=SOFT, ha="center", va="bottom")


def _draw_row(
    sheet: Sheet,
    place: tuple[float, float],
    columns: Columns,
    row: Row,
    shown: NDArray[np.intp],
    scaled: Sequence[Row],
    style: Style,
) -> None:
    """One explanation, and the color bar of the rows that it stands for."""
    left, top = place
    _label(sheet, row.label, top, columns.height, style)
    draw_explanation(sheet, place, columns, row.drawing, shown, row.ground_truth)
    if row.drawing.scale is not None and scaled:
        both = any(_negative(other.drawing) for other in scaled)
        bar = left + columns.row + 0.9 * style.em, top
        draw_color_bar(sheet, bar, columns.height, row.drawing.scale, style, both)
    notice = _why_nothing(row.drawing)
    if notice:
        _notice(sheet, notice, left, top, columns, style)


def _why_nothing(drawing: Drawing) -> str:
    """Why nothing is to be seen in a row; empty where something is."""
    if drawing.opacity is None or float(drawing.opacity.max()) >= VISIBLE:
        return ""
    if not drawing.opacity.any():
        return drawing.note
    if drawing.values is None:
        return ""
    return f"nothing shows on this scale: the largest is {float(np.abs(drawing.values).max()):.2g}"


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
