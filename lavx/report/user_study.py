"""The user study in the report: scores of methods, agreement and consistency of raters, people against metrics.

Figures 14 and 15 of the paper are `user_scores_by_method` and `user_scores_by_network`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lavx.drawing.style import INK, SOFT, plain_axes
from lavx.rating import analysis
from lavx.rating.analysis import Agreement
from lavx.rating.ratings import Ratings
from lavx.rating.schedule import CHECK, RATING
from lavx.report.plots import GRID, color, heading, new_figure
from lavx.report.study import Study, UserStudy, ordered
from lavx.report.tables import Table, method_title, number, scope_title

TABLES = ("user_methods", "user_differences", "user_agreement", "user_raters", "user_metrics")
_DASH = "\N{EN DASH}"
_RANDOM = (
    "Intervals are of 95 % and hold over raters and videos, both taken as random (min F', Clark 1973); scores of "
    "a video "
    "on several networks are averaged."
)


def user_tables(study: Study, seed: int = 0) -> list[Table]:
    """Every table of the user study; none where there are no ratings."""
    users = study.users
    if users is None:
        return []
    tables = [_raters(users), _agreement(users, seed)]
    if users.kept:
        tables += [_methods(users), _differences(users), _metrics(study, users, seed)]
    return sorted((table for table in tables if table.rows), key=lambda table: TABLES.index(table.name))


def _methods(users: UserStudy) -> Table:
    found = analysis.method_means(users.ratings, users.kept).set_index("method")
    everyone = analysis.method_means(users.ratings, list(users.broken)).set_index("method")
    methods = ordered(found.index)
    frame = found.loc[methods].assign(mean_of_everyone=everyone["mean"]).reset_index()
    compared = analysis.differences(users.ratings, users.kept, methods)
    significant = compared[compared.p_holm < 1 - analysis.LEVEL]
    beaten = {*significant.other[significant["mean"] > 0], *significant.method[significant["mean"] < 0]}
    best = {(k, 1) for k, method in enumerate(methods) if method not in beaten} if len(beaten) else set()
    rows = [
        [method_title(r["method"]), _interval(r), number(r["mean_of_everyone"], 2), str(r["n"])]
        for r in frame.to_dict("records")
    ]
    note = (
        f"{_scale(users.ratings)} {_RANDOM} The last column but one is without exclusions; n counts scores. "
        "Bold: no other method is significantly better."
    )
    headings = ["Method", "mean score", "of all raters", "n"]
    return Table("user_methods", "User scores by method", note, frame, headings, rows, best, numeric=3)


def _scale(ratings: Ratings) -> str:
    if ratings.design == "pairs":
        return "Share of the comparisons that a method wins."
    return f"Scores from {ratings.low:g} to {ratings.high:g}."


def _interval(row: Mapping[Any, Any]) -> str:
    """Mean and interval of a row of numbers."""
    if math.isnan(row["low"]):
        return number(row["mean"], 2)
    return f"{number(row['mean'], 2)} [{number(row['low'], 2)}, {number(row['high'], 2)}]"


def _differences(users: UserStudy) -> Table:
    methods = ordered(users.ratings.scores(users.kept).method)
    frame = analysis.differences(users.ratings, users.kept, methods)
    rows = [
        [
            f"{method_title(r['method'])} {_DASH} {method_title(r['other'])}",
            *(_interval(r), _p(r["p"]), _p(r["p_holm"]), str(r["n_raters"]), str(r["n_videos"])),
        ]
        for r in frame.to_dict("records")
    ]
    note = (
        f"Differences within raters and videos. {_RANDOM} The second p is corrected for all pairs (Holm). With "
        f"one "
        "rater, only videos are random."
    )
    headings = ["", "mean difference", "p", "p, corrected", "raters", "videos"]
    return Table("user_differences", "User scores, methods compared", note, frame, headings, rows, numeric=5)


def _p(value: float) -> str:
    return _DASH if math.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _agreement(users: UserStudy, seed: int) -> Table:
    groups = {"raters that are kept": users.kept}
    if len(users.kept) < len(users.broken):
        groups["all raters"] = list(users.broken)
    level = {"likert": "ordinal", "slider": "interval", "pairs": "nominal"}[users.ratings.design]
    note = (
        f"Krippendorff's alpha, {level}: 1 is perfect agreement, 0 as much as by chance. Interval by bootstrap "
        f"over "
        "videos. n counts explanations that at least two raters scored."
    )
    rows, text = [], []
    for words, raters in groups.items():
        try:
            a = analysis.agreement(users.ratings, raters, seed)
        except ModuleNotFoundError as error:
            a = Agreement(math.nan, math.nan, math.nan, len(raters), 0)
            note = f"Not computed. {error}"
        rows.append((words, a.alpha, a.low, a.high, a.n_raters, a.n_items))
        cells = _interval({"mean": a.alpha, "low": a.low, "high": a.high})
        text.append([words, cells, str(a.n_raters), str(a.n_items)])
    frame = pd.DataFrame(rows, columns=["group", "alpha", "low", "high", "n_raters", "n_items"])
    return Table(
        "user_agreement", "Agreement of raters", note, frame, ["", "alpha", "raters", "n"], text, numeric=3
    )


_OF_RATER = (
    "rater", "answers", "questions", "mean", "sd", "median_seconds", "attention_checks", "mean_of_checks",
    "repeats",
    "repeats_same", "repeats_difference", "repeats_chance", "excluded_by",
)  # fmt: skip


def _raters(users: UserStudy) -> Table:
    again = {row["rater"]: row for row in analysis.self_consistency(users.ratings).to_dict("records")}
    rows = [_numbers(users.ratings, rater, again.get(rater, {})) for rater in users.broken]
    frame = pd.DataFrame(rows, columns=list(_OF_RATER))
    frame["excluded_by"] = [" ".join(broken) for broken in users.broken.values()]
    stated = "; ".join(f"{rule}: {analysis.RULES[rule]}" for rule in users.rules) or "none"
    note = (
        f"Who is excluded by the rules, which are: {stated}. Mean score; median seconds for an answer; mean "
        f"difference "
        "of the scores of the same explanation shown twice (and, in parentheses, that of two of the rater's "
        "scores "
        "at random, and how many were shown twice)."
    )
    headings = ["Rater", "Excluded", "answers", "mean", "seconds", "shown twice"]
    text = [_rater_cells(row) for row in frame.to_dict("records")]
    return Table("user_raters", "Raters", note, frame, headings, text, numeric=4)


def _numbers(ratings: Ratings, rater: str, again: Mapping[Any, Any]) -> dict[str, object]:
    """What is known of one rater; `again` is the row of the consistency, if any."""
    own = ratings.frame[ratings.frame.rater == rater]
    rated, checks = own[own.kind == RATING], own[own.kind == CHECK]
    return {
        "rater": rater,
        "answers": len(own),
        "questions": own.questions.max(),
        "mean": rated.score.mean(),
        "sd": rated.score.std(),
        "median_seconds": rated.reaction_ms.median() / 1000,
        "attention_checks": len(checks),
        "mean_of_checks": checks.score.mean(),
        "repeats": again.get("n", 0),
        **{f"repeats_{name}": again.get(name, math.nan) for name in ("same", "difference", "chance")},
    }


def _rater_cells(row: Mapping[Any, Any]) -> list[str]:
    answered = (
        str(row["answers"]) if math.isnan(row["questions"]) else f"{row['answers']} of {row['questions']:.0f}"
    )
    twice = _DASH
    if row["repeats"]:
        twice = f"{row['repeats_difference']:.2f} ({row['repeats_chance']:.2f}; {row['repeats']:.0f})"
    excluded = str(row["excluded_by"]).replace(" ", ", ") or "no"
    return [row["rater"], excluded, answered, number(row["mean"], 2), number(row["median_seconds"], 1), twice]


def _metrics(study: Study, users: UserStudy, seed: int) -> Table:
    metrics = study.metrics
    given = [(metric.key, metric.higher_is_better) for metric in metrics]
    frame = analysis.metric_correlations(users.ratings.scores(users.kept), study.table, given, seed)
    titles = {metric.key: metric.title for metric in metrics}
    rows = [[titles[r["metric"]], _interval(r), str(r["n"])] for r in frame.to_dict("records") if r["n"]]
    note = (
        "Spearman's correlation of mean user score and metric over the methods of each video; 1: the metric "
        "calls better "
        "what people call better. Mean over videos (n), with 95 % bootstrap interval."
    )
    return Table(
        "user_metrics", "People and metrics", note, frame, ["Metric", "correlation", "n"], rows, numeric=2
    )


@dataclass(frozen=True)
class _Bars:
    """Means and intervals of one plot."""

    heading: str
    means: pd.DataFrame


def user_figures(study: Study) -> Iterator[tuple[str, str, str, Figure]]:
    """Section, name, caption and figure of each figure of the user study."""
    users = study.users
    if users is None or not users.kept:
        return
    scores = users.ratings.scores(users.kept)
    words = "mean and 95 % interval over raters and videos"
    whole = _Bars("all datasets and networks", analysis.method_means(users.ratings, users.kept))
    yield (
        "ratings", "user_scores_by_method", f"User scores by method ({words}); Figure 14 of the paper",
        _draw([[whole]], users.ratings),
    )  # fmt: skip
    rows = [
        [
            _Bars(scope_title((dataset, net)), _of_cell(users, dataset, net))
            for net in sorted(set(scores.net[scores.dataset == dataset]))
        ]
        for dataset in sorted(set(scores.dataset))
    ]
    yield (
        "ratings", "user_scores_by_network",
        f"User scores by dataset, network and method ({words}); Figure 15 of the paper",
        _draw(rows, users.ratings),
    )  # fmt: skip


def _of_cell(users: UserStudy, dataset: str, net: str) -> pd.DataFrame:
    frame = users.ratings.frame
    inside = frame[(frame.dataset == dataset) & (frame.net == net)]
    part = Ratings(inside, users.ratings.design, users.ratings.low, users.ratings.high)
    return analysis.method_means(part, users.kept)


def _draw(rows: Sequence[Sequence[_Bars]], ratings: Ratings) -> Figure:
    columns = max(map(len, rows))
    figure = new_figure(max(5.2, 2.9 * columns + 0.5), 0.6 + 2.5 * len(rows))
    grid = figure.subplots(len(rows), columns, squeeze=False, sharey=True)
    for axes_row, row in zip(grid, rows, strict=True):
        for axes in axes_row[len(row) :]:
            axes.set_visible(False)
        for axes, bars in zip(axes_row, row, strict=False):
            _draw_bars(axes, bars, ratings)
        axes_row[0].set_ylabel("user score", fontsize=8, color=SOFT)
    return figure


def _draw_bars(axes: Axes, bars: _Bars, ratings: Ratings) -> None:
    low, high = ratings.low, ratings.high
    base = max(low, 0.0)
    found = {row["method"]: row for row in bars.means.to_dict("records")}
    names = ordered(found)
    for k, method in enumerate(names):
        mean, ends = found[method]["mean"], [found[method]["low"], found[method]["high"]]
        axes.bar(k, mean - base, bottom=base, width=0.72, color=color(method))
        if not math.isnan(ends[0]):
            ends = [max(ends[0], low), min(ends[1], high)]
            axes.plot([k, k], ends, color=INK, linewidth=1.2)
        above = mean >= base
        edge = mean if math.isnan(ends[0]) else ends[int(above)]
        axes.annotate(
            f"{mean:.2f}", (k, edge), (0, 2 if above else -2), textcoords="offset points", ha="center",
            va="bottom" if above else "top", fontsize=7.5, color=SOFT,
        )  # fmt: skip
    axes.axhline(base, color=SOFT, linewidth=0.8)
    axes.set_ylim(low - 0.09 * (high - low), high + 0.09 * (high - low))
    labels = [method_title(m).removesuffix(" (control)") for m in names]
    axes.set_xticks(range(len(names)), labels, rotation=40, ha="right", rotation_mode="anchor")
    axes.yaxis.grid(color=GRID, linewidth=0.6)
    heading(axes, bars.heading)
    plain_axes(axes)
