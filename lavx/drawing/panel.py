"""The panel: what a person sees of one explanation.

Every length is in inches or in sizes of the font, and everything is placed by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lavx.drawing.frames import check_frames, chosen, heat
from lavx.drawing.plot import Plot, ticks
from lavx.drawing.sheet import LINE, Sheet, fit, kind_of, measure, wrapped
from lavx.drawing.strips import (
    Columns,
    Style,
    bar_width,
    draw_color_bar,
    draw_explanation,
    draw_strip,
    legend,
)
from lavx.drawing.style import CURVE_COLORS, INK, SOFT
from lavx.methods.frames import FrameImportance
from lavx.methods.visualization import Scale
from lavx.types import Drawing

_WIDTH = 7.6  # least width of what is between the margins, inches
_HEAT, _CURVES = 9.0, 19.0  # heights of the plots, sizes of the font
_BETTER = {"deletion": "lower is better", "insertion": "higher is better"}
_POSITIVE, _NEGATIVE = "#d1006c", "#0a8f6d"  # of the bars, where no colors are drawn
_DOT = "   \N{MIDDLE DOT}   "
_NORMAL_95 = 1.96  # standard errors
_PLAIN = Style()

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
    drawing: Drawing,
    heatmap: NDArray[np.floating],
    seconds: ArrayLike,
    caption: Caption,
    curves: Mapping[str, PlottedCurve] | None = None,
    unit: str = "s",
    frames_per_region: float | None = None,
    ground_truth: NDArray[np.bool_] | None = None,
    per_frame: FrameImportance | None = None,
    style: Style = _PLAIN,
) -> None:
    """Draw the panel of one explanation: a PNG, or what the file's ending says, PDF or SVG.

    From top to bottom: class and scores; frames of the clip; the same under what is drawn; how much of it is in
    each frame; the deletion and insertion curves.

    Args:
        path: file to write, whose folder must be there; or an open file, for a PNG.
        frames: uint8 (T, H, W, 3), the clip.
        drawing: what the visualization made of it.
        heatmap: float (T, H, W), the raw one.
        seconds: (T,) where in the video each frame lies.
        caption: what the panel says in words.
        curves: by name, fractions (n,), scores (n,) and the area under the curve; may be empty or None.
        unit: of `seconds`: "s", or "frames" where seconds are unknown.
        frames_per_region: given where regions span nearly all frames, so that heat over time says little.
        ground_truth: bool (T, H, W), outlined; None where unknown.
        per_frame: importance of each frame; None for how much of what is drawn is in each.
        style: which frames, how large, and what else is drawn.

    Raises:
        ValueError: if what is given does not fit together, or does not fit into the width.
    """
    kind = kind_of(path)
    times = check_frames(frames, drawing.frames, seconds)
    _check(frames, heatmap, curves or {}, ground_truth)
    shown = chosen(style.frames, style.n_frames, heat(drawing, heatmap))
    plots = dict(curves or {}) if style.curves else {}
    page = _Page(style, frames.shape[2] / frames.shape[1], len(shown), drawing.scale, bool(plots))
    notes = (*caption.notes, *([drawing.note] if drawing.note else []))
    title = _title(caption, notes, page) if style.title else []
    top = page.margin + sum(space for *_, space in title)
    top += 1.5 * style.em  # of the times above the frames
    below = page.below(drawing, ground_truth)
    bars = _Bars.of(drawing, heatmap) if per_frame is None else _Bars.per_frame(per_frame)
    when = page.wrapped(bars.title(frames_per_region, len(times)))
    places = page.places(top, len(below), len(when) if style.time else 0, len(plots))
    sheet = Sheet(page.width, places["end"], style.pixels)
    y = page.margin
    for words, size, color, weight, space in title:
        sheet.text(page.left, y, words, size, color=color, weight=weight)
        y += space
    _stamps(sheet, page, top, times, shown, unit)
    _rows(sheet, page, places, frames, drawing, shown, ground_truth)
    color, weight = (INK, "bold") if _empty(drawing) else (SOFT, "normal")
    for k, line in enumerate(below):
        y = places["legend"] + k * LINE * style.em
        sheet.text(page.left, y, line, style.font_size, color=color, weight=weight)
    if style.time:
        bars.draw(sheet, page, places["time"], times, shown, unit, when)
    for k, (name, curve) in enumerate(plots.items()):
        left, across = page.curve(k, len(plots))
        box = left, places["curves"], across, _CURVES * style.em
        _curve(sheet, box, style.font_size, name, curve, caption.score)
    sheet.write(path, kind)


def _check(
    frames: NDArray[np.uint8],
    heatmap: NDArray[np.floating],
    curves: Mapping[str, PlottedCurve],
    ground_truth: NDArray[np.bool_] | None,
) -> None:
    if heatmap.shape != frames.shape[:3]:
        raise ValueError(f"heatmap must be (T, H, W) = {frames.shape[:3]}, got {heatmap.shape}")
    bad = np.count_nonzero(~np.isfinite(heatmap))
    if bad:
        raise ValueError(f"heatmap holds {bad} values that are NaN or infinite; such a heatmap cannot be drawn")
    if ground_truth is not None and ground_truth.shape != heatmap.shape:
        raise ValueError(f"ground_truth must be (T, H, W) = {heatmap.shape}, got {ground_truth.shape}")
    for name, (fractions, scores, _) in curves.items():
        if np.shape(fractions) != np.shape(scores):
            raise ValueError(
                f"{name} needs as many scores as fractions, got {np.size(scores)} and {np.size(fractions)}"
            )


class _Page:
    """Where the parts of a panel are, in inches."""

    def __init__(self, style: Style, aspect: float, n: int, scale: Scale | None, curves: bool) -> None:
        self.style, self.em = style, style.em
        self.margin = 1.4 * self.em if style.width is None else 0.3 * self.em
        plots = style.time or curves
        self.left = (7.6 if style.width is None else 6.2 if plots else 1.9) * self.em
        right = bar_width(scale, style) + (1.8 if scale else 0.8) * self.em
        if style.width is None:
            right = max(right, 9.4 * self.em)
        self.columns = Columns.fitting(n, aspect, style, self.left + right)
        row = self.columns.row
        self.inner = max(row, _WIDTH) if style.width is None else row
        self.width = style.width or self.left + self.inner + right

    def wrapped(self, words: str, weight: str = "normal") -> list[str]:
        """Words in lines as long as the page allows."""
        return wrapped(words, self.style.font_size, self.width - self.left - 0.4 * self.em, 3, weight)

    def below(self, drawing: Drawing, truth: NDArray[np.bool_] | None) -> list[str]:
        """What is said below the explanation: what its lines mean, or why there is nothing."""
        if _empty(drawing):
            return self.wrapped(drawing.note or "nothing is drawn", "bold")
        return self.wrapped(legend(drawing, truth))

    def places(self, top: float, n_legend: int, n_when: int, n_curves: int) -> dict[str, float]:
        """The tops of the rows and plots, and the end of it all; by how many lines of words there are."""
        em, found = self.em, {"clip": top}
        found["explanation"] = top + self.columns.height + 0.9 * em
        y = found["explanation"] + self.columns.height
        found["legend"] = y + 0.6 * em
        y += (0.9 + LINE * n_legend) * em
        if n_when:
            found["time"] = y + (1.1 + LINE * n_when) * em
            y = found["time"] + _HEAT * em + 3.4 * em
        if n_curves:
            found["curves"] = y + 2.8 * em
            y = found["curves"] + _CURVES * em + 3.4 * em
        found["end"] = y + self.margin
        return found

    def curve(self, k: int, n: int) -> tuple[float, float]:
        """Left end and width of a curve's plot."""
        space = 6.3 * self.em
        across = (self.inner - space * (n - 1)) / n
        return self.left + k * (across + space), min(across, 5.5)


_Line = tuple[str, float, str, str, float]  # words, size, color, weight, height


def _title(caption: Caption, notes: tuple[str, ...], page: _Page) -> list[_Line]:
    """The lines above the frames; long names are wrapped, and cut only where there is no end of them."""
    font, room = page.style.font_size, page.inner + (4.7 * page.em if page.style.width is None else 0)
    big, middle, small = 1.875 * font, 1.25 * font, 1.125 * font
    if page.style.width is not None:
        big, middle, small = 1.25 * font, font, font
    explained = f"Explained class: {caption.target}   score {caption.score:.3f}"
    said = f"predicted: {caption.predicted} ({caption.predicted_score:.3f})"
    if caption.label is not None and caption.label == caption.predicted:
        said += ", which is right"
    elif caption.label is not None:
        said += f"{_DOT}true: {caption.label}"
    how = f"{caption.method} on {caption.net}" if caption.net else caption.method
    video = f"video {caption.video_id}" if caption.video_id else ""
    about = _DOT.join(filter(None, (how, caption.dataset, video)))
    blocks = [
        (_explained(caption, explained, big, room), big, INK, "bold"),
        (wrapped(said, middle, room, 2), middle, INK, "normal"),
        (wrapped(about, small, room, 2), small, SOFT, "normal"),
        (wrapped(_DOT.join(notes), small, room, 2), small, INK, "normal"),
    ]
    found = [
        (line, size, color, weight, LINE * size / 72) for lines, size, color, weight in blocks for line in lines
    ]
    *rest, last = found
    return [*rest, (*last[:4], last[4] + 0.7 * page.em)]


def _explained(caption: Caption, words: str, size: float, room: float) -> list[str]:
    """The class and its score in two lines at most; the score is always there."""
    lines = wrapped(words, size, room, 2, "bold")
    if lines[-1].endswith(f"score {caption.score:.3f}"):
        return lines
    first = wrapped(f"Explained class: {caption.target}", size, room, 2, "bold")[0]
    rest = f"Explained class: {caption.target}"[len(first) :].strip()
    end = f"   score {caption.score:.3f}"
    return [first, fit(rest, size, room - measure(end, size, "bold"), "bold") + end]


def _stamps(
    sheet: Sheet, page: _Page, top: float, times: NDArray[np.float64], shown: NDArray[np.intp], unit: str
) -> None:
    """The times above the frames."""
    room, em = page.columns.width + page.columns.gap, page.em
    for k, time in enumerate(times[shown]):
        words = stamp(time, times, unit, room >= 5 * em)
        middle = page.left + k * room + page.columns.width / 2
        sheet.text(
            middle, top - 0.5 * em, words, page.style.font_size, room=room, color=SOFT, ha="center", va="bottom"
        )


def _rows(
    sheet: Sheet,
    page: _Page,
    places: dict[str, float],
    frames: NDArray[np.uint8],
    drawing: Drawing,
    shown: NDArray[np.intp],
    truth: NDArray[np.bool_] | None,
) -> None:
    columns, font, em = page.columns, page.style.font_size, page.em
    draw_strip(sheet, (page.left, places["clip"]), columns, list(frames[shown]))
    draw_explanation(sheet, (page.left, places["explanation"]), columns, drawing, shown, truth)
    for name, words in (("clip", "clip"), ("explanation", "explanation")):
        middle = places[name] + columns.height / 2
        sheet.text(page.left - 1.5 * em, middle, words, font, room=columns.height + 3.2 * em,
                   color=SOFT, ha="center", upright=True)  # fmt: skip
    if drawing.scale is not None:
        both = drawing.values is None or bool((drawing.values < 0).any())
        place = page.left + columns.row + 1.1 * em, places["explanation"]
        draw_color_bar(sheet, place, columns.height, drawing.scale, page.style, both)


def _empty(drawing: Drawing) -> bool:
    return drawing.opacity is not None and not drawing.opacity.any()


@dataclass(frozen=True)
class _Bars:
    """The explanation over time.

    Attributes:
        up: (T,), mean of what speaks for the class in each frame, >= 0.
        down: (T,), of what speaks against it, <= 0.
        said: what the bars are.
        colors: of both.
        error: (T,), half of an interval around each bar's end; None where there is none.
    """

    up: NDArray[np.float64]
    down: NDArray[np.float64]
    said: str
    colors: tuple[str, str]
    error: NDArray[np.float64] | None = None

    @staticmethod
    def per_frame(found: FrameImportance) -> _Bars:
        """Of the importance of each frame, with 95 % intervals where all errors are known."""
        up, down = np.maximum(found.values, 0), np.minimum(found.values, 0)
        known = found.std_error is not None and bool(np.isfinite(found.std_error).all())
        what = f"importance of each frame{f' (removal: {found.how})' if found.how else ''}"
        said = what + (", with 95 % intervals" if known else "")
        error = _NORMAL_95 * found.std_error if known and found.std_error is not None else None
        return _Bars(up, down, said, (_POSITIVE, _NEGATIVE), error)

    @staticmethod
    def of(drawing: Drawing, heatmap: NDArray[np.floating]) -> _Bars:
        """Of what is drawn where the drawing says what that is, else of the heatmap."""
        colors = (_POSITIVE, _NEGATIVE)
        scale: Scale | None = drawing.scale
        if drawing.values is not None:
            both = bool((drawing.values < 0).any())
            said = "mean attribution drawn in each frame" + (", for and against the class" if both else "")
            return _Bars(*_signed(drawing.values, True), said, colors)
        values = np.asarray(heatmap, dtype=np.float64)
        said = "mean positive attribution of each frame"
        if values.min() > 0:  # as RISE gives it: what the coldest voxel has too tells nothing
            values, said = values - values.min(), "mean attribution of each frame, above the coldest voxel"
        both = scale is not None and scale.low < 0
        up, down = _signed(values, both)
        if both and down.any():
            said = "mean positive and negative attribution of each frame"
        return _Bars(up, down, said, colors)

    def title(self, frames_per_region: float | None, n_frames: int) -> str:
        """What the bars are, and what they cannot tell."""
        if frames_per_region is None:
            return f"when: {self.said}"
        spans = f"a region spans {frames_per_region:.1f} of {n_frames} frames in the mean"
        return f"when, nearly flat by construction: {spans}"

    def draw(
        self,
        sheet: Sheet,
        page: _Page,
        top: float,
        times: NDArray[np.float64],
        shown: NDArray[np.intp],
        unit: str,
        title: list[str],
    ) -> None:
        """Draw a bar for each frame; those of the frames above in full color."""
        ends, around = self.up + self.down, 0.0 if self.error is None else self.error
        low = min(0.0, float((ends - around).min()))
        high = max(0.0, float((ends + around).max()))
        margin, n = 0.08 * (high - low) or 1.0, len(self.up)
        columns, em = page.columns, page.em
        box = (page.left - columns.gap / 2, top, columns.row + columns.gap, _HEAT * em)
        y = (low - margin if low < 0 else 0.0, high + margin)
        plot = Plot(sheet, box, (-0.5, n - 0.5), y, page.style.font_size)
        strong = np.isin(np.arange(n), shown)
        plot.bars(self.up, self.colors[0], strong)
        plot.bars(self.down, self.colors[1], strong)
        if self.error is not None:
            plot.intervals(ends - self.error, ends + self.error)
        if low < 0:
            plot.level(0, dashed=False)
        if high == low:
            sheet.text(box[0] + box[2] / 2, top + box[3] / 2, "nothing to show", page.style.font_size,
                       color=SOFT, ha="center", va="center")  # fmt: skip
        spaced = _spaced(shown, times, unit, box[2] / n, page.style)
        plot.axes(spaced, ticks(low, high, 3) if high > low else [], grid=False)
        plot.label(title, "time in the video (s)" if unit == "s" else "frame of the clip")


def _signed(values: NDArray[np.floating], both: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    up = np.maximum(values, 0).mean(axis=(1, 2), dtype=np.float64)
    down = np.minimum(values, 0).mean(axis=(1, 2), dtype=np.float64) if both else np.zeros_like(up)
    return up, down


def _spaced(
    shown: NDArray[np.intp], times: NDArray[np.float64], unit: str, pitch: float, style: Style
) -> list[tuple[float, str]]:
    """The times of the frames shown, as many as have room below the bars."""
    found: list[tuple[float, str]] = []
    for k in shown:
        if not found or (k - found[-1][0]) * pitch >= 3.2 * style.em:
            found.append((float(k), _number(times[k], times, unit)))
    return found


def _curve(
    sheet: Sheet, box: tuple[float, float, float, float], font: float, name: str, curve: PlottedCurve, score: float
) -> None:
    fractions, scores = (np.asarray(a, dtype=np.float64) for a in curve[:2])
    color = CURVE_COLORS.get(name, INK)
    low, high = min(scores.min(), score, 0.0), max(scores.max(), score, 1.0)
    plot = Plot(sheet, box, (0, 100), (low, low + (high - low) * 1.25), font)  # room for the legend
    wide = box[2] * 72 > 26 * font
    x_ticks = [(float(v), str(v)) for v in ((0, 20, 40, 60, 80, 100) if wide else (0, 50, 100))]
    plot.axes(x_ticks, ticks(low, high, 4), grid=True)
    plot.curve(100 * fractions, scores, color)
    plot.level(score)
    verb = {"deletion": "removed", "insertion": "inserted"}.get(name, "changed")
    plot.label([], f"voxels {verb}, most important first (%)" if wide else f"voxels {verb} (%)", "score")
    em = font / 72
    sheet.text(box[0], box[1] - 0.5 * em, name, 1.25 * font, color=INK, va="bottom")
    direction = f" ({_BETTER[name]})" if name in _BETTER and wide else ""
    keys: list[tuple[str, str, tuple[float, float] | None]] = [(color, f"AUC {curve[2]:.3f}{direction}", None)]
    if wide:
        keys.append((SOFT, "score of the clip", (4, 3)))
    plot.keys(keys)


def _number(time: float, times: NDArray[np.float64], unit: str) -> str:
    if unit == "frames":
        return f"{time:.0f}"
    return f"{time:.{1 if np.abs(times).max() >= 100 else 2}f}"


def stamp(time: float, times: NDArray[np.float64], unit: str, wide: bool) -> str:
    """What stands above a frame; its unit where that is not too much."""
    number = _number(time, times, unit)
    if unit == "frames":
        return f"frame {number}" if wide else number
    return f"{number} s" if wide else number
