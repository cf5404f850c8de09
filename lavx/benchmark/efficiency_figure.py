"""An efficiency benchmark as a picture: what more forward passes buy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from lavx.drawing.style import INK, SOFT, plain_axes

# Okabe and Ito 2008: apart in color blindness.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8a6d00")
_MARKERS = "osD^vPX*"
_PLOTS = (
    ("error", "error to the reference", "median"),
    ("top_overlap", "overlap of the largest regions", "mean"),
    ("coverage", "coverage of 95 % intervals", "mean"),
    ("color_inside", "share of the color on the ground truth", "mean"),
    ("insertion", "insertion AUC (higher is better)", "mean"),
    ("deletion", "deletion AUC (lower is better)", "mean"),
)
_ENDS = {"median": ("median_low", "median_high"), "mean": ("low", "high")}


def draw_efficiency(file: Path, cells: Sequence[Mapping[str, Any]], title: str) -> None:
    """Write a PNG: six plots over forward passes, a line or a point a method, with 95 % intervals over videos.

    Args:
        file: the PNG; its folder must exist.
        cells: what `lavx.benchmark.efficiency_tables.cells` gives.
        title: of the picture.
    """
    figure = Figure(figsize=(11, 6.6), dpi=120, facecolor="white", layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, color=INK)
    methods = list(dict.fromkeys(cell["method"] for cell in cells if cell["passes"]))  # controls take none
    for axes, (name, words, center) in zip(figure.subplots(2, 3, sharex=True).flat, _PLOTS, strict=True):
        for number, method in enumerate(methods):
            points = [c for c in cells if c["method"] == method and _is_drawn(c, name, center)]
            if points:
                _draw_line(axes, points, name, center, number)
        _label(axes, name, words)
    handles = [
        axes_line
        for number in range(len(methods))
        for axes_line in figure.axes[0].plot([], [], **_look(number), label=methods[number])
    ]
    figure.legend(handles=handles, loc="outside right upper", fontsize=8, frameon=False)
    FigureCanvasAgg(figure).print_png(str(file), metadata={"Software": None})


def _look(number: int) -> dict[str, Any]:
    return {
        "color": _COLORS[number % len(_COLORS)],
        "marker": _MARKERS[number % len(_MARKERS)],
        "linestyle": "-" if number < len(_COLORS) else "--",
        "linewidth": 1.5,
        "markersize": 4.5,
    }


def _is_drawn(cell: Mapping[str, Any], name: str, center: str) -> bool:
    if cell[name][center] is None or cell["passes"] == 0:
        return False
    return not (cell["exact"] and name in ("error", "top_overlap"))  # they are what they estimate


def _draw_line(axes: Axes, points: Sequence[Mapping[str, Any]], name: str, center: str, number: int) -> None:
    passes = [point["passes"] for point in points]
    values = [point[name][center] for point in points]
    axes.plot(passes, values, **_look(number))
    for x, value, point in zip(passes, values, points, strict=True):
        low, high = (point[name][end] for end in _ENDS[center])
        if low is not None:
            # Intervals of the mean may leave what the axis can show; the point itself never does.
            low = max(low, value / 1000) if name == "error" else low
            axes.plot([x, x], [low, high], color=_COLORS[number % len(_COLORS)], linewidth=0.8, alpha=0.7)


def _label(axes: Axes, name: str, words: str) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(labelbottom=True)
    axes.set_xlabel("forward passes", fontsize=8.5, color=SOFT)
    axes.set_title(words, fontsize=9, color=INK, loc="left")
    plain_axes(axes)
    axes.grid(color="#e8e8e8", linewidth=0.7)
    if name == "error":
        axes.set_yscale("log")
        return
    if name == "coverage":
        axes.axhline(0.95, color=SOFT, linewidth=0.8, linestyle=":")
    low, high = axes.get_ylim()
    axes.set_ylim(max(0.0, low), min(1.03, high))
