"""The figures, each as PNG and PDF, drawn with matplotlib's objects alone: the same results, the same bytes."""

from __future__ import annotations

import colorsys
import math
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lavx.report.statistics import estimate
from lavx.report.study import FLOORS, RATING, Metric, Study, ordered
from lavx.report.tables import (
    PARTS,
    Ranking,
    masked,
    rated,
    scope_title,
    scopes,
    timed,
    title,
    values,
)
from lavx.video import VideoError, probe, read_frames

DPI = 160
_INK, _SOFT, _GRID = "#222222", "#666666", "#e2e2e2"
# Okabe and Ito 2008: apart in every common color blindness.
_COLORS = {"lime": "#009e73", "kernel_shap": "#0072b2", "rise": "#d55e00", "loco": "#cc79a7",
           "univariate": "#e69f00", "occlusion": "#56b4e9", "random": "#9a9a9a", "center": "#5f5f5f"}  # fmt: skip
_PARTS = {"segmentation": "#e69f00", "inference": "#0072b2", "explanation": "#009e73"}
_GAMES = {"deletion": "#d55e00", "insertion": "#0072b2"}
_MARKERS = {"lime": "o", "kernel_shap": "s", "rise": "^", "loco": "D", "univariate": "v", "occlusion": "P"}


def color(method: str) -> str:
    """The color that a method has in every figure."""
    if method in _COLORS:
        return _COLORS[method]
    hue = zlib.crc32(method.encode()) / 2**32
    return "#" + "".join(f"{round(255 * c):02x}" for c in colorsys.hls_to_rgb(hue, 0.42, 0.5))


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write `<name>.png` and `<name>.pdf`, with nothing in them that changes from run to run."""
    FigureCanvasAgg(figure).print_png(str(folder / f"{name}.png"), metadata={"Software": None})
    fixed = {"CreationDate": None, "Producer": None, "Creator": None}
    FigureCanvasPdf(figure).print_pdf(str(folder / f"{name}.pdf"), metadata=fixed)


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), dpi=DPI, facecolor="white", layout="constrained")


def _plain(axes: Axes, sides: Sequence[str] = ("left", "bottom")) -> None:
    for side, spine in axes.spines.items():
        spine.set_visible(side in sides)
        spine.set_color("#aaaaaa")
    axes.tick_params(labelsize=8, labelcolor=_SOFT, color="#aaaaaa", length=3)
    axes.set_axisbelow(True)


def _title(axes: Axes, words: str) -> None:
    axes.set_title(words, loc="left", fontsize=9.5, color=_INK, parse_math=False)


def _of(study: Study, dataset: str) -> list[tuple[str, str]]:
    return [scope for scope in scopes(study) if scope[0] == dataset]


def draw_timings(study: Study, dataset: str) -> Figure:
    """Seconds a video as stacked bars, a panel a network."""
    chosen = _of(study, dataset)
    table = timed(study)
    methods = [m for m in study.methods if m not in FLOORS]
    figure = _figure(max(6.4, 3.3 * len(chosen) + 0.6), 1.1 + 0.36 * len(methods))
    panels = figure.subplots(1, len(chosen), squeeze=False, sharey=True)[0]
    for axes, scope in zip(panels, chosen, strict=True):
        starts = {m: 0.0 for m in methods}
        for name in PARTS:
            found = values(study, table, scope, f"part_{name}")
            for k, m in enumerate(methods):
                if m in found and len(found[m]):
                    seconds = float(found[m].mean())
                    axes.barh(k, seconds, left=starts[m], height=0.68, color=_PARTS[name])
                    starts[m] += seconds
        longest = max(starts.values()) or 1.0
        for k, m in enumerate(methods):
            if starts[m]:
                axes.text(
                    starts[m] + 0.02 * longest, k, f"{starts[m]:.2f}", va="center", fontsize=7.5, color=_SOFT
                )
        axes.set_xlim(0, 1.16 * longest)
        axes.set_yticks(range(len(methods)), [title(m) for m in methods])
        axes.set_xlabel("seconds a video", fontsize=8, color=_SOFT)
        axes.xaxis.grid(color=_GRID, linewidth=0.6)
        _title(axes, scope_title(scope))
        _plain(axes)
    panels[0].invert_yaxis()
    handles = [panels[0].barh(0, 0, color=_PARTS[name], label=name) for name in PARTS]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


def draw_bars(
    study: Study, dataset: str, metrics: Sequence[Metric], seed: int, table: pd.DataFrame | None = None
) -> Figure:
    """Means with intervals, a row a metric, a column a network; the floors are gray and drawn through."""
    chosen = _of(study, dataset)
    table = study.table if table is None else table
    figure = _figure(max(6.4, 2.9 * len(chosen) + 0.5), 0.8 + 2.3 * len(metrics))
    panels = figure.subplots(len(metrics), len(chosen), squeeze=False, sharey="row")
    for row, metric in zip(panels, metrics, strict=True):
        for axes, scope in zip(row, chosen, strict=True):
            found = values(study, table, scope, metric.key)
            names = ordered(found)
            for k, m in enumerate(names):
                e = estimate(found[m], seed)
                axes.bar(k, e.mean, width=0.72, color=color(m))
                if e.n > 1:
                    axes.plot([k, k], [e.low, e.high], color=_INK, linewidth=1.2)
                if m in FLOORS:
                    axes.axhline(e.mean, color=color(m), linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
            axes.set_xticks(range(len(names)), [title(m).removesuffix(" (floor)") for m in names], rotation=40,
                            ha="right", rotation_mode="anchor")  # fmt: skip
            axes.yaxis.grid(color=_GRID, linewidth=0.6)
            _title(axes, scope_title(scope))
            _plain(axes)
        row[0].set_ylim(bottom=0)
        better = "higher" if metric.higher_is_better else "lower"
        row[0].set_ylabel(f"{metric.title}\n({better} is better)", fontsize=8, color=_SOFT)
    return figure


def draw_minimal_masks(study: Study, dataset: str, game: str) -> Figure:
    """Mean share of voxels over thresholds, and below it the share of videos that get there."""
    chosen = _of(study, dataset)
    figure = _figure(max(6.4, 2.9 * len(chosen) + 0.5), 5.0)
    panels = figure.subplots(2, len(chosen), squeeze=False, sharey="row", sharex=True, height_ratios=(2.4, 1))
    thresholds = study.thresholds
    columns = [f"mask_{game}_{t}" for t in thresholds]
    x = [float(t) for t in thresholds]
    drawn: dict[str, object] = {}
    for upper, lower, scope in zip(panels[0], panels[1], chosen, strict=True):
        inside = masked(study, scope)
        for m in ordered(inside.method):
            own = inside[inside.method == m].reindex(columns=columns)
            style = (0, (4, 2)) if m in FLOORS else "-"
            marker = None if m in FLOORS else _MARKERS.get(m, "x")
            look = dict(color=color(m), linewidth=1.4, linestyle=style, marker=marker, markersize=3.5)
            drawn[m] = upper.plot(x, 100 * own.mean(), label=title(m), **look)[0]
            lower.plot(x, 100 * own.notna().mean(), **look)
        lower.set_ylim(0, 104)
        lower.set_xlabel("threshold \N{GREEK SMALL LETTER TAU}", fontsize=8, color=_SOFT)
        _title(upper, scope_title(scope))
        for axes in (upper, lower):
            axes.grid(color=_GRID, linewidth=0.6)
            _plain(axes)
    panels[0][0].set_ylim(bottom=0)  # after all is drawn: the row shares its axis
    panels[0][0].set_ylabel("smallest share of voxels (%)\nmean over those reached", fontsize=8, color=_SOFT)
    panels[1][0].set_ylabel("reached (%)", fontsize=8, color=_SOFT)
    handles = [drawn[m] for m in ordered(drawn)]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=min(8, len(handles)), frameon=False, fontsize=8
    )
    return figure


def draw_ranks(found: Sequence[Ranking]) -> Figure:
    """Critical-difference diagrams of one metric, one below the other: groups not told apart are joined."""
    heights = [
        1.2 + 0.2 * math.ceil(len(r.comparison.average) / 2) + 0.1 * len(r.comparison.groups) for r in found
    ]
    figure = Figure(figsize=(7.6, sum(heights) + 0.3), dpi=DPI, facecolor="white")
    top = sum(heights) + 0.3
    for r, height in zip(found, heights, strict=True):
        top -= height
        box = (0.0, top / (sum(heights) + 0.3), 1.0, height / (sum(heights) + 0.3))
        _rank_diagram(figure.add_axes(box), r, height)
    return figure


def _rank_diagram(axes: Axes, r: Ranking, height: float) -> None:
    """Drawn in inches from the lower left corner."""
    c = r.comparison
    k = len(c.average)
    left, right, line = 1.75, 5.85, height - 0.85

    def at(rank: float) -> float:
        return left + (right - left) * (rank - 1) / (k - 1)

    axes.set_xlim(0, 7.6)
    axes.set_ylim(0, height)
    axes.set_axis_off()
    axes.text(
        0.12,
        height - 0.16,
        f"{scope_title(r.scope)}   (n = {c.n})",
        fontsize=9,
        color=_INK,
        va="center",
        parse_math=False,
    )
    axes.plot([left, right], [line, line], color=_INK, linewidth=1)
    for rank in range(1, k + 1):
        axes.plot([at(rank)] * 2, [line, line + 0.06], color=_INK, linewidth=1)
        axes.text(at(rank), line + 0.08, str(rank), fontsize=7.5, color=_SOFT, ha="center", va="bottom")
    if not math.isnan(c.difference):
        shown = min(c.difference, k - 1)
        y = height - 0.4
        axes.plot([at(1), at(1 + shown)], [y, y], color="#b03030", linewidth=1.6)
        for end in (1, 1 + shown):
            axes.plot([at(end)] * 2, [y - 0.04, y + 0.04], color="#b03030", linewidth=1.6)
        axes.text(at(1 + shown) + 0.07, y, f"CD = {c.difference:.2f}", fontsize=7.5, color="#b03030", va="center")
    names = list(c.average.sort_values(kind="stable").index)
    for g, group in enumerate(c.groups):
        y = line - 0.1 - 0.1 * g
        ends = at(c.average[group[0]]) - 0.04, at(c.average[group[-1]]) + 0.04
        axes.plot(ends, [y, y], color=_INK, linewidth=3, solid_capstyle="round")
    half = math.ceil(k / 2)
    for position, name in enumerate(names):
        is_left = position < half
        row = position if is_left else k - 1 - position
        y = line - 0.12 - 0.1 * len(c.groups) - 0.2 * (row + 0.5)
        x, end = at(c.average[name]), (left - 0.15 if is_left else right + 0.15)
        axes.plot([x, x, end], [line, y, y], color=color(name), linewidth=1.1)
        axes.plot(x, line, "o", color=color(name), markersize=4)
        words = f"{title(name)}  {c.average[name]:.2f}" if is_left else f"{c.average[name]:.2f}  {title(name)}"
        axes.text(end + (-0.06 if is_left else 0.06), y, words, fontsize=8, color=_INK, va="center",
                  ha="right" if is_left else "left", parse_math=False)  # fmt: skip


def draw_panel(study: Study, dataset: str, net: str, video_id: str) -> Figure | None:
    """The appendix's panel of one video: middle frame, explanation and both curves, a row a method."""
    rows = []
    for method in study.methods:
        key = (dataset, net, method, video_id)
        if key in study.places:
            pair = _middle(study.places[key])
            if pair is not None:
                rows.append((method, pair, study.curves[key]))
    if not rows:
        return None
    image = rows[0][1][0]
    width = min(2.2, 1.25 * image.shape[1] / image.shape[0])
    figure = _figure(1.0 + 2 * width + 5.2, 0.55 + 1.35 * len(rows))
    panels = figure.subplots(len(rows), 4, squeeze=False, width_ratios=(width, width, 2.4, 2.4))
    own = study.table[
        (study.table.dataset == dataset) & (study.table.net == net) & (study.table.video_id == video_id)
    ]
    scores = own.set_index("method").score
    for k, (method, (frame, overlay), curves) in enumerate(rows):
        for axes, shown in zip(panels[k][:2], (frame, overlay), strict=True):
            axes.imshow(shown, interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            _plain(axes, ())
        panels[k][0].set_ylabel(
            title(method).replace(" (floor)", "\n(floor)"), fontsize=8.5, color=_INK, parse_math=False
        )
        for axes, game in zip(panels[k][2:], _GAMES, strict=True):
            x, y = np.asarray(curves[game].fractions), np.asarray(curves[game].scores)
            axes.plot(100 * x, y, color=_GAMES[game], linewidth=1.4)
            axes.fill_between(100 * x, y, color=_GAMES[game], alpha=0.13, linewidth=0)
            axes.axhline(scores[method], color=_SOFT, linewidth=0.7, linestyle=(0, (4, 3)))
            axes.set_xlim(0, 100)
            axes.set_ylim(0, 1.02)
            axes.set_yticks([0, 0.5, 1])
            high = game == "deletion"
            axes.text(0.97, 0.92 if high else 0.08, f"AUC {np.trapezoid(y, x):.3f}", transform=axes.transAxes,
                      ha="right", va="top" if high else "bottom", fontsize=7.5, color=_INK)  # fmt: skip
            axes.grid(color=_GRID, linewidth=0.6)
            _plain(axes)
            if k < len(rows) - 1:
                axes.set_xticklabels([])
    for axes, words in zip(panels[0], ("middle frame", "explanation", "deletion", "insertion"), strict=True):
        _title(axes, words)
    for axes, verb in zip(panels[-1][2:], ("removed", "inserted"), strict=True):
        axes.set_xlabel(f"voxels {verb} (%)", fontsize=8, color=_SOFT)
    return figure


def _middle(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """The middle frame of clip and overlay, out of the overlay video, in which they lie side by side."""
    file = folder / "overlay.mp4"
    try:
        info = probe(file)
        frame = read_frames(file, [info.n_frames // 2])[0]
        with np.load(folder / "explanation.npz") as stored:
            _, height, width = stored["heatmap"].shape
    except (OSError, VideoError, KeyError):
        return None
    # Frames are enlarged by a whole number, the gap between them is small, odd sizes are padded by one pixel.
    factor = min(frame.shape[0] // height, frame.shape[1] // (2 * width))
    if factor < 1:
        return None
    right = frame.shape[1] - frame.shape[1] % factor if factor > 1 else frame.shape[1]
    gap = right - 2 * width * factor
    tall = height * factor
    return frame[:tall, : width * factor], frame[:tall, width * factor + gap :][:, : width * factor]


def all_figures(
    study: Study, found: Sequence[Ranking], folder: Path, n_panels: int | None, seed: int = 0
) -> dict[str, list[tuple[str, str]]]:
    """Draw every figure into `folder`.

    Args:
        study: the results.
        found: the comparisons to draw.
        folder: where to; it is there.
        n_panels: most videos of each dataset and network that get a panel; None for all.
        seed: of the intervals.

    Returns:
        For each part of the report, the (name, caption) of its figures.
    """
    made: dict[str, list[tuple[str, str]]] = {}

    def keep(section: str, name: str, caption: str, figure: Figure | None) -> None:
        if figure is not None:
            save(figure, folder, name)
            made.setdefault(section, []).append((name, caption))

    games = [m for m in study.metrics if m.key.endswith("_auc")]
    others = [m for m in study.metrics if not m.key.endswith("_auc")]
    scores = rated(study)
    for dataset in sorted(set(study.table.dataset)):
        keep(
            "auc",
            f"auc_{dataset}",
            f"{dataset}: areas under the curves, mean and 95 % interval; the floors as dashed lines",
            draw_bars(study, dataset, games, seed),
        )
        if others:
            keep(
                "further",
                f"further_metrics_{dataset}",
                f"{dataset}: further metrics, mean and 95 % interval",
                draw_bars(study, dataset, others, seed),
            )
        for game in _GAMES:
            keep(
                "masks",
                f"minimal_masks_{game}_{dataset}",
                f"{dataset}: minimal masks of {game}",
                draw_minimal_masks(study, dataset, game),
            )
        if scores is not None and dataset in set(scores.dataset):
            keep(
                "ratings",
                f"user_scores_{dataset}",
                f"{dataset}: user scores, mean and 95 % interval",
                draw_bars(study, dataset, [RATING], seed, scores),
            )
        keep("timings", f"timings_{dataset}", f"{dataset}: seconds a video by part", draw_timings(study, dataset))
    for key in dict.fromkeys(r.metric.key for r in found):
        own = [r for r in found if r.metric.key == key]
        # With the floors where they are there.
        shown = [r for r in own if r.floors or not any(o.floors and o.scope == r.scope for o in own)]
        shown = [r for r in shown if not math.isnan(r.comparison.p)]
        if shown:
            caption = f"{shown[0].metric.title}: average ranks; joined methods are not told apart (Nemenyi, 0.05)"
            keep("ranks", f"ranks_{key.replace('.', '_')}", caption, draw_ranks(shown))
    for (dataset, net), inside in study.table.groupby(["dataset", "net"]):
        counts = inside[~inside.method.isin(FLOORS)].groupby("video_id").size()
        videos = list(counts.sort_values(ascending=False, kind="stable").index[:n_panels])
        for video in sorted(videos or sorted(set(inside.video_id))[:n_panels]):
            name = f"panel_{dataset}_{net}_{study.places[next(k for k in study.places if k[3] == video)].name}"
            caption = f"{dataset} / {net} / {video}: middle frame, explanation and both curves"
            keep("panels", name, caption, draw_panel(study, str(dataset), str(net), str(video)))
    return made
