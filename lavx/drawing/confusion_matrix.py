"""The confusion matrix as a picture: true against predicted classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

MOST_NAMES = 60  # classes that are named on the axes
MOST_COUNTS = 25  # classes whose cells hold their counts

DPI = 160
_INK, _SOFT, _EDGE, _GRID, _ABSENT = "#222222", "#666666", "#aaaaaa", "#eeeeee", "#dddddd"
_COLORS = LinearSegmentedColormap.from_list("share", ["#ffffff", "#0072b2", "#00253a"])
_LONGEST = 36  # characters of a name
_SMALLEST = 2  # pixels of a cell's side


def confusion_matrix(labels: Sequence[int], predicted: Sequence[int], n_classes: int) -> NDArray[np.int64]:
    """Counts (n_classes, n_classes): how many videos of the row's class were predicted as the column's."""
    matrix = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(matrix, (np.asarray(labels, dtype=int), np.asarray(predicted, dtype=int)), 1)
    return matrix


def draw_confusion(file: Path, matrix: NDArray[np.int64], classes: Sequence[str], title: str) -> None:
    """Write a PNG of a confusion matrix, each row as shares of its class; the same matrix gives the same bytes.

    Colors follow the root of the share, so that rare mistakes are seen. A class without videos has a gray row.

    Args:
        file: the PNG; its folder must exist.
        matrix: counts (K, K), a row a class and a column a predicted class.
        classes: their K names.
        title: the line above.
    """
    k = len(classes)
    if matrix.shape != (k, k):
        raise ValueError(f"a confusion matrix of {k} classes must be ({k}, {k}), got {matrix.shape}.")
    named = k <= MOST_NAMES
    cell = 0.55 if k <= 10 else 0.36 if k <= MOST_COUNTS else 0.19 if named else max(9 / k, _SMALLEST / DPI)
    names = [_cut(name) for name in classes]
    margin = 0.075 * max(map(len, names)) if named else 0.5
    side = max(3.2, cell * k)
    figure = Figure((side + margin + 1.4, side + margin + 0.9), DPI, facecolor="white", layout="constrained")
    axes = figure.subplots()
    totals = matrix.sum(1, keepdims=True)
    shares = np.ma.masked_invalid(np.where(totals > 0, matrix / np.maximum(totals, 1), np.nan))
    image = axes.imshow(
        shares, cmap=_COLORS.with_extremes(bad=_ABSENT), norm=PowerNorm(0.5, 0, 1), interpolation="nearest"
    )
    if k <= MOST_COUNTS:
        _write_counts(axes, matrix, shares, 8 if k <= 10 else 6.5)
    if named:
        size = 8 if k <= MOST_COUNTS else 6.5
        axes.set_yticks(range(k), names, fontsize=size, parse_math=False)
        axes.set_xticks(range(k), names, fontsize=size, rotation=90, parse_math=False)
        edges = np.arange(1, k) - 0.5
        axes.set_xticks(edges, minor=True)
        axes.set_yticks(edges, minor=True)
        axes.grid(which="minor", color=_GRID, linewidth=0.5)
        axes.tick_params(which="minor", length=0)
    else:
        axes.tick_params(labelsize=8)
    axes.tick_params(which="major", labelcolor=_INK, color=_EDGE, length=2)
    axes.set_xlabel("predicted class", fontsize=9, color=_SOFT)
    absent = " (gray: no video)" if (totals == 0).any() else ""
    axes.set_ylabel(f"true class{absent}", fontsize=9, color=_SOFT)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, color=_INK, parse_math=False)
    for spine in axes.spines.values():
        spine.set_color(_EDGE)
    bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=28, pad=0.02, ticks=[0, 0.01, 0.05, 0.2, 0.5, 1])
    bar.ax.set_yticklabels(["0", "1", "5", "20", "50", "100 %"])
    bar.ax.tick_params(labelsize=7.5, labelcolor=_SOFT, color=_EDGE, length=2)
    bar.set_label("share of the true class", fontsize=8, color=_SOFT)
    bar.outline.set_edgecolor(_EDGE)
    FigureCanvasAgg(figure).print_png(str(file), metadata={"Software": None})


def _write_counts(axes: Axes, matrix: NDArray[np.int64], shares: NDArray[np.float64], size: float) -> None:
    """Write the counts other than 0 into their cells."""
    for row, column in np.argwhere(matrix > 0):
        dark = shares[row, column] > 0.12
        axes.text(
            column,
            row,
            str(matrix[row, column]),
            ha="center",
            va="center",
            fontsize=size,
            color="white" if dark else _INK,
        )


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1].rstrip()}…"
