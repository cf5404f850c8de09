"""The learning curves of a training as a picture."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_INK, _SOFT = "#222222", "#666666"
_LOSS, _TOP1, _TOP5, _SCORE = "#0072b2", "#d55e00", "#e69f00", "#009e73"
_SMOOTHED = 40  # the loss is averaged over a 40th of the training


def draw_curves(file: Path, history: pd.DataFrame, title: str, top5: bool) -> None:
    """Write a PNG: the loss on the left, accuracy and score on the held-out videos on the right.

    Args:
        file: the PNG; its folder must exist.
        history: columns step, loss, top1, top5, median_score; NaN where a step has none.
        title: of the picture.
        top5: whether to draw top-5 accuracy, which means nothing with few classes.
    """
    figure = Figure(figsize=(9, 3.4), dpi=130, facecolor="white", layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, color=_INK)
    left, right = figure.subplots(1, 2)
    losses = history[history.loss.notna()]
    left.plot(losses.step, losses.loss, color=_LOSS, alpha=0.3, linewidth=1)
    window = max(1, len(losses) // _SMOOTHED)
    smooth = losses.loss.rolling(window, center=True, min_periods=1).mean()
    left.plot(losses.step, smooth, color=_LOSS, linewidth=1.8)
    left.set_ylabel("training loss", fontsize=8.5, color=_SOFT)
    left.set_ylim(bottom=0)

    validations = history[history.top1.notna()]
    lines = (
        ("top5", "top-5 accuracy", _TOP5),
        ("top1", "top-1 accuracy", _TOP1),
        ("median_score", "median score of the right class", _SCORE),
    )
    for name, words, color in lines if top5 else lines[1:]:
        right.plot(
            validations.step,
            validations[name],
            color=color,
            marker="o",
            markersize=3.5,
            linewidth=1.5,
            label=words,
        )
    if len(validations):
        best = validations.iloc[int(validations.top1.argmax())]
        right.annotate(
            f"best {best.top1:.1%}",
            (best.step, best.top1),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=_TOP1,
        )
    right.set_ylim(0, 1.08)
    right.set_ylabel("held-out videos", fontsize=8.5, color=_SOFT)
    right.legend(fontsize=7.5, frameon=False, loc="lower right")
    for axes in (left, right):
        axes.set_xlabel("step", fontsize=8.5, color=_SOFT)
        axes.set_xlim(0, 1.06 * float(history.step.max()))
        axes.grid(color="#e8e8e8", linewidth=0.7)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=8, labelcolor=_SOFT, color="#aaaaaa", length=3)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    FigureCanvasAgg(figure).print_png(str(file), metadata={"Software": None})
