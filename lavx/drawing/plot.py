"""A small plot on a sheet: two axes, ticks, a grid, lines and bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from lavx.drawing.sheet import LINE, Sheet, measure
from lavx.drawing.style import EDGE, INK, SOFT

GRID = "#dddddd"


@dataclass(frozen=True)
class Plot:
    """A plot at a place of a sheet.

    Args:
        sheet: where it is drawn.
        box: left, top, width and height of the space between the axes, inches.
        x: data at its left and right end.
        y: data at its bottom and top.
        font: size of the words.
    """

    sheet: Sheet
    box: tuple[float, float, float, float]
    x: tuple[float, float]
    y: tuple[float, float]
    font: float

    def across(self, x: float) -> float:
        """Where a value of x lies, in inches from the sheet's left."""
        left, _, width, _ = self.box
        return left + width * (x - self.x[0]) / (self.x[1] - self.x[0])

    def down(self, y: float) -> float:
        """Where a value of y lies, in inches from the sheet's top."""
        _, top, _, height = self.box
        return top + height * (self.y[1] - y) / (self.y[1] - self.y[0])

    def axes(self, x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]], grid: bool) -> None:
        """Both axes with ticks at values, and what is written there."""
        left, top, width, height = self.box
        em, bottom = self.font / 72, top + height
        for value, words in x_ticks:
            x = self.across(value)
            if grid:
                self.sheet.line([(x, top), (x, bottom)], GRID, 0.6)
            self.sheet.line([(x, bottom), (x, bottom + 0.3 * em)], EDGE)
            self.sheet.text(x, bottom + 0.55 * em, words, self.font, color=SOFT, ha="center")
        for value, words in y_ticks:
            y = self.down(value)
            if grid:
                self.sheet.line([(left, y), (left + width, y)], GRID, 0.6)
            self.sheet.line([(left - 0.3 * em, y), (left, y)], EDGE)
            self.sheet.text(left - 0.5 * em, y, words, self.font, color=SOFT, ha="right", va="center")
        self.sheet.line([(left, top), (left, bottom), (left + width, bottom)], EDGE)

    def label(self, title: Sequence[str], below: str, beside: str = "", beside_at: float = 3.6) -> None:
        """The title's lines above, what x is below, and what y is beside, so many letters from the axis."""
        left, top, width, height = self.box
        em = self.font / 72
        for k, line in enumerate(reversed(title)):
            self.sheet.text(left, top - (0.5 + k * LINE) * em, line, self.font, color=SOFT, va="bottom")
        self.sheet.text(left + width / 2, top + height + 1.75 * em, below, self.font, color=SOFT, ha="center")
        if beside:
            x = left - beside_at * em
            self.sheet.text(
                x, top + height / 2, beside, self.font, color=SOFT, ha="center", va="center", upright=True
            )

    def curve(self, x: ArrayLike, y: ArrayLike, color: str) -> None:
        """A line with a pale area down to the axis."""
        points = [
            (self.across(a), self.down(b))
            for a, b in zip(np.asarray(x, dtype=float), np.asarray(y, dtype=float), strict=True)
        ]
        if not points:
            return
        bottom = self.down(max(self.y[0], min(0.0, self.y[1])))
        self.sheet.area([(points[0][0], bottom), *points, (points[-1][0], bottom)], color, 0.13)
        self.sheet.line(points, color, 1.8 * self.font / 8)

    def bars(self, values: NDArray[np.floating], color: str, strong: NDArray[np.bool_]) -> None:
        """A bar at each whole number from 0, up or down from 0; those that are not strong are pale."""
        for k, value in enumerate(values):
            if value:
                ends = self.down(max(value, 0)), self.down(min(value, 0))
                left, right = self.across(k - 0.43), self.across(k + 0.43)
                self.sheet.box(left, ends[0], right - left, ends[1] - ends[0], color, 1.0 if strong[k] else 0.45)

    def intervals(self, low: NDArray[np.floating], high: NDArray[np.floating]) -> None:
        """A vertical line with ends at each whole number from 0, from a value up to another."""
        for k, (a, b) in enumerate(zip(low, high, strict=True)):
            x, top, bottom, end = self.across(k), self.down(b), self.down(a), 0.25 * self.font / 72
            for points in ([(x, top), (x, bottom)], *([(x - end, y), (x + end, y)] for y in (top, bottom))):
                self.sheet.line(points, INK, 0.9 * self.font / 8)

    def level(self, y: float, dashed: bool = True) -> None:
        """A horizontal line across."""
        left, _, width, _ = self.box
        self.sheet.line(
            [(left, self.down(y)), (left + width, self.down(y))], SOFT, 0.9, (4, 3) if dashed else None
        )

    def keys(self, entries: Sequence[tuple[str, str, tuple[float, float] | None]]) -> None:
        """A legend at the top right, in one row: color, words and dashes of each line."""
        left, top, width, _ = self.box
        em, x = self.font / 72, left + width
        y = top + 0.55 * em
        for color, words, dashes in reversed(entries):
            x -= measure(words, self.font)
            self.sheet.text(x, y, words, self.font, color=INK, va="center")
            x -= 0.4 * em
            self.sheet.line([(x - 1.6 * em, y), (x, y)], color, 1.4 * self.font / 8, dashes)
            x -= 2.6 * em


def ticks(low: float, high: float, most: int = 4) -> list[tuple[float, str]]:
    """At most so many round values within a range, and how they are written."""
    values = [v for v in MaxNLocator(most).tick_values(low, high) if low <= v <= high]
    return [(float(v), f"{v:g}".replace("-", "\N{MINUS SIGN}")) for v in np.round(values, 12)]
