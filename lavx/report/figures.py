"""The figures, each as PNG and PDF, drawn with matplotlib's objects alone: the same results, the same bytes."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lavx.drawing.style import INK, SOFT, plain_axes
from lavx.experiments.names import folder_name
from lavx.report.panels import Panels
from lavx.report.plots import DPI, GRID, color, cut, heading, new_figure, save
from lavx.report.statistics import estimate
from lavx.report.study import Metric, Study, is_control, method_of, ordered
from lavx.report.tables import (
    ALL,
    PARTS,
    Ranking,
    masked,
    masked_curves,
    method_title,
    scope_title,
    scopes,
    timed,
    values,
)
from lavx.report.user_study import user_figures

_PARTS = {"segmentation": "#e69f00", "inference": "#0072b2", "explanation": "#009e73"}
_LINE = 20  # most characters of a method's name in a line
_LETTER = 0.065  # inches that a character takes
_MARKERS = {"lime": "o", "kernel_shap": "s", "rise": "^", "loco": "D", "univariate": "v", "occlusion": "P"}


def _name(method: str, most: int = 56) -> str:
    """What a method is called in a figure, in so many characters at most."""
    return cut(method_title(method), most)


def _beside(method: str) -> str:
    """What a method is called beside a row: in lines where it is long."""
    return "\n".join(textwrap.wrap(_name(method, 2 * _LINE), _LINE, break_on_hyphens=False))


def _below(method: str) -> str:
    """What a method is called below a bar."""
    return _name(method, 30).removesuffix(" (control)")


def _of(study: Study, dataset: str) -> list[tuple[str, str]]:
    return [scope for scope in scopes(study) if scope[0] == dataset]


def draw_timings(study: Study, dataset: str) -> Figure:
    """Seconds a video as stacked bars, a panel a network."""
    chosen = _of(study, dataset)
    table = timed(study)
    methods = [m for m in study.methods if not is_control(m)]
    row = max(0.36, 0.18 * max((len(_beside(m).splitlines()) for m in methods), default=0))
    figure = new_figure(max(6.4, 3.3 * len(chosen) + 0.6), 1.1 + row * len(methods))
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
                axes.text(starts[m] + 0.02 * longest, k, f"{starts[m]:.2f}", va="center", fontsize=7.5, color=SOFT)
        axes.set_xlim(0, 1.16 * longest)
        axes.set_yticks(range(len(methods)), [_beside(m) for m in methods])
        axes.set_xlabel("seconds a video", fontsize=8, color=SOFT)
        axes.xaxis.grid(color=GRID, linewidth=0.6)
        heading(axes, scope_title(scope))
        plain_axes(axes)
    panels[0].invert_yaxis()
    handles = [panels[0].barh(0, 0, color=_PARTS[name], label=name) for name in PARTS]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


def draw_bars(study: Study, dataset: str, metrics: Sequence[Metric], table: pd.DataFrame | None = None) -> Figure:
    """Means with intervals, a row a metric, a column a network; controls are gray, with a dashed line across."""
    chosen = _of(study, dataset)
    table = study.table if table is None else table
    width = max(2.9, 0.34 * len(set(table.method)))
    below = 0.6 * _LETTER * max(0, max(len(_below(m)) for m in set(table.method)) - 12)  # for slanted names
    figure = new_figure(max(6.4, width * len(chosen) + 0.5), 0.8 + (2.3 + below) * len(metrics))
    panels = figure.subplots(len(metrics), len(chosen), squeeze=False, sharey="row")
    for row, metric in zip(panels, metrics, strict=True):
        for axes, scope in zip(row, chosen, strict=True):
            found = values(study, table, scope, metric.key)
            names = ordered(found)
            for k, m in enumerate(names):
                e = estimate(found[m])
                axes.bar(k, e.mean, width=0.72, color=color(m))
                if e.n > 1:
                    axes.plot([k, k], [e.low, e.high], color=INK, linewidth=1.2)
                if is_control(m):
                    axes.axhline(e.mean, color=color(m), linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
            axes.set_xticks(range(len(names)), [_below(m) for m in names], rotation=40,
                            ha="right", rotation_mode="anchor")  # fmt: skip
            axes.yaxis.grid(color=GRID, linewidth=0.6)
            heading(axes, scope_title(scope))
            plain_axes(axes)
        row[0].set_ylim(bottom=min(0.0, row[0].get_ylim()[0]))  # scores of users, and intervals, may lie below 0
        better = "higher" if metric.higher_is_better else "lower"
        row[0].set_ylabel(f"{metric.title}\n({better} is better)", fontsize=8, color=SOFT)
    return figure


def draw_minimal_masks(study: Study, dataset: str, curve: str) -> Figure:
    """Mean share of voxels over thresholds, and below it the share of videos that reach the threshold."""
    chosen = _of(study, dataset)
    figure = new_figure(max(6.4, 2.9 * len(chosen) + 0.5), 5.0)
    panels = figure.subplots(2, len(chosen), squeeze=False, sharey="row", sharex=True, height_ratios=(2.4, 1))
    thresholds = study.thresholds
    columns = [f"mask_{curve}_{t}" for t in thresholds]
    x = [float(t) for t in thresholds]
    drawn: dict[str, object] = {}
    for upper, lower, scope in zip(panels[0], panels[1], chosen, strict=True):
        inside = masked(study, scope)
        for m in ordered(inside.method):
            own = inside[inside.method == m].reindex(columns=columns)
            style = (0, (4, 2)) if is_control(m) else "-"
            marker = None if is_control(m) else _MARKERS.get(method_of(m), "x")
            inside_marker = color(m) if method_of(m) == m else "white"
            line = dict(color=color(m), linewidth=1.4, linestyle=style, marker=marker, markersize=3.5,
                        markerfacecolor=inside_marker)  # fmt: skip
            drawn[m] = upper.plot(x, 100 * own.mean(), label=_name(m), **line)[0]
            lower.plot(x, 100 * own.notna().mean(), **line)
        lower.set_ylim(0, 104)
        lower.set_xlabel("threshold \N{GREEK SMALL LETTER TAU}", fontsize=8, color=SOFT)
        heading(upper, scope_title(scope))
        for axes in (upper, lower):
            axes.grid(color=GRID, linewidth=0.6)
            plain_axes(axes)
    panels[0][0].set_ylim(bottom=0)  # after all is drawn: the row shares its axis
    panels[0][0].set_ylabel("smallest share of voxels (%)\nmean over those reached", fontsize=8, color=SOFT)
    panels[1][0].set_ylabel("reached (%)", fontsize=8, color=SOFT)
    handles = [drawn[m] for m in ordered(drawn)]
    longest = max((len(_name(m)) for m in drawn), default=0)
    ncols = max(1, min(8, len(handles), int(figure.get_figwidth() / (_LETTER * longest + 0.5))))
    figure.legend(handles=handles, loc="outside lower center", ncols=ncols, frameon=False, fontsize=8)
    return figure


def draw_ranks(found: Sequence[Ranking]) -> Figure:
    """Critical-difference diagrams of one metric, one below the other.

    A bar joins methods that are not significantly different.
    """
    heights = [
        1.2 + 0.2 * math.ceil(len(r.comparison.average) / 2) + 0.1 * len(r.comparison.groups) for r in found
    ]
    longest = max(len(_name(name)) for r in found for name in r.comparison.average.index)
    margin = 1.75 + _LETTER * max(0, longest - 16)  # on either side, for the names
    figure = Figure(figsize=(4.1 + 2 * margin, sum(heights) + 0.3), dpi=DPI, facecolor="white")
    top = sum(heights) + 0.3
    for r, height in zip(found, heights, strict=True):
        top -= height
        box = (0.0, top / (sum(heights) + 0.3), 1.0, height / (sum(heights) + 0.3))
        _rank_diagram(figure.add_axes(box), r, height, margin)
    return figure


def _rank_diagram(axes: Axes, r: Ranking, height: float, margin: float) -> None:
    """Drawn in inches from the lower left corner."""
    c = r.comparison
    k = len(c.average)
    left, right, line = margin, margin + 4.1, height - 0.85

    def at(rank: float) -> float:
        return left + (right - left) * (rank - 1) / (k - 1)

    axes.set_xlim(0, 4.1 + 2 * margin)
    axes.set_ylim(0, height)
    axes.set_axis_off()
    axes.text(
        0.12,
        height - 0.16,
        f"{scope_title(r.scope)}   (n = {c.n})",
        fontsize=9,
        color=INK,
        va="center",
        parse_math=False,
    )
    axes.plot([left, right], [line, line], color=INK, linewidth=1)
    for rank in range(1, k + 1):
        axes.plot([at(rank)] * 2, [line, line + 0.06], color=INK, linewidth=1)
        axes.text(at(rank), line + 0.08, str(rank), fontsize=7.5, color=SOFT, ha="center", va="bottom")
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
        axes.plot(ends, [y, y], color=INK, linewidth=3, solid_capstyle="round")
    half = math.ceil(k / 2)
    for position, name in enumerate(names):
        is_left = position < half
        row = position if is_left else k - 1 - position
        y = line - 0.12 - 0.1 * len(c.groups) - 0.2 * (row + 0.5)
        x, end = at(c.average[name]), (left - 0.15 if is_left else right + 0.15)
        axes.plot([x, x, end], [line, y, y], color=color(name), linewidth=1.1)
        axes.plot(x, line, "o", color=color(name), markersize=4)
        average = f"{c.average[name]:.2f}"
        words = f"{_name(name)}  {average}" if is_left else f"{average}  {_name(name)}"
        axes.text(end + (-0.06 if is_left else 0.06), y, words, fontsize=8, color=INK, va="center",
                  ha="right" if is_left else "left", parse_math=False)  # fmt: skip


@dataclass
class Figures:
    """What was drawn.

    Attributes:
        sections: for each part of the report, the (name, caption) of its figures.
        notes: what could not be drawn, why, and what to do about it, in sentences.
    """

    sections: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


Drawn = tuple[str, str, str, Figure]  # section, name, caption, figure


def all_figures(study: Study, found: Sequence[Ranking], folder: Path, n_panels: int | None) -> Figures:
    """Draw every figure into `folder`.

    Args:
        study: the results.
        found: the comparisons to draw.
        folder: where to; it is there.
        n_panels: most videos of each dataset and network that get a panel; None for all.
    """
    made = Figures()
    panels = Panels(study)
    # All of them first, where there are several.
    datasets = list(dict.fromkeys(dataset for dataset, _ in scopes(study)))
    parts = [user_figures(study), *(_of_dataset(study, dataset) for dataset in datasets), _of_ranks(found),
             _of_videos(study, panels, n_panels)]  # fmt: skip
    for part in parts:
        for section, name, caption, figure in part:
            save(figure, folder, name)
            made.sections.setdefault(section, []).append((name, caption))
    made.notes = panels.notes()
    return made


def _of_dataset(study: Study, dataset: str) -> Iterator[Drawn]:
    curves = [m for m in study.metrics if "_auc" in m.key]
    others = [m for m in study.metrics if "_auc" not in m.key]
    where = "all networks and datasets" if dataset == ALL else dataset
    caption = f"{where}: areas under the curves, mean and 95 % interval; the controls as dashed lines"
    yield "auc", f"auc_{dataset}", caption, draw_bars(study, dataset, curves)
    if others:
        caption = f"{where}: further metrics, mean and 95 % interval"
        yield "further", f"further_metrics_{dataset}", caption, draw_bars(study, dataset, others)
    for curve in masked_curves(study):
        caption = f"{where}: minimal masks of {curve.replace('_', ', ')}{' map' * ('_' in curve)}"
        yield "masks", f"minimal_masks_{curve}_{dataset}", caption, draw_minimal_masks(study, dataset, curve)
    if not all(is_control(method) for method in study.methods):  # whose seconds say nothing
        caption = f"{where}: seconds a video by part"
        yield "timings", f"timings_{dataset}", caption, draw_timings(study, dataset)


def _of_ranks(found: Sequence[Ranking]) -> Iterator[Drawn]:
    for key in dict.fromkeys(r.metric.key for r in found):
        own = [r for r in found if r.metric.key == key]
        # With the controls where there are any.
        shown = [r for r in own if r.controls or not any(o.controls and o.scope == r.scope for o in own)]
        shown = [r for r in shown if not math.isnan(r.comparison.p)]
        if shown:
            note = "joined methods are not significantly different (Nemenyi, 0.05)"
            caption = f"{shown[0].metric.title}: average ranks; {note}"
            yield "ranks", f"ranks_{key.replace('.', '_')}", caption, draw_ranks(shown)


def _of_videos(study: Study, panels: Panels, n_panels: int | None) -> Iterator[Drawn]:
    for (dataset, net), inside in study.table.groupby(["dataset", "net"]):
        counts = inside[~inside.method.map(is_control)].groupby("video_id").size()
        videos = list(counts.sort_values(ascending=False, kind="stable").index[:n_panels])
        for video in sorted(videos or sorted(set(inside.video_id))[:n_panels]):
            place = next(place for key, place in study.places.items() if key[3] == video)
            caption = f"{dataset} / {net} / {video}: hottest frame, explanation and both curves"
            figure = panels.draw(str(dataset), str(net), str(video))
            if figure is not None:
                yield "panels", folder_name(f"panel_{dataset}_{net}_{place.name}"), caption, figure
