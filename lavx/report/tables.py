"""The tables: each as numbers at full precision (CSV), and as text (Markdown, LaTeX with booktabs)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from lavx.report.statistics import Comparison, Estimate, beaten, compare, estimate, holm
from lavx.report.study import (
    RATING,
    Metric,
    Study,
    blocks,
    by_video,
    comparable,
    complete,
    is_control,
    ordered,
    shared,
)
from lavx.text import csv_of

ALL = "all"
# The paper's three parts. Decoding, metrics and visualization are the same for every method
# and belong to none.
PARTS = {
    "segmentation": ("segmentation",),
    "inference": ("inference",),
    "explanation": ("perturbation", "summary"),
}
NAMES = {
    "lime": "LIME",
    "kernel_shap": "Kernel SHAP",
    "rise": "RISE",
    "loco": "LOCO",
    "univariate": "Univariate",
    "occlusion": "Occlusion",
    "random": "random (control)",
    "center": "center (control)",
    "smooth_noise": "smooth noise (control)",
    "timesformer": "TimeSformer",
    "tanet": "TANet",
    "tpn": "TPN",
    "kinetics400": "Kinetics 400",
    "etri_activity3d": "EtriActivity3D",
}
_DASH = "\N{EN DASH}"


_CHANGE = re.compile(r"-(?=[a-z_0-9.]+=)")


def title(name: str) -> str:
    """What a network, a dataset, or a method itself is called for people."""
    return NAMES.get(name, name)


def method_title(name: str) -> str:
    """What a method or a variation is called for people: `LIME`, `LIME, n_samples=300`, or by its label.

    A label that begins with the method's name is enough by itself; before another one the method is named.
    """
    method, hyphen, rest = name.partition("-")
    if not hyphen:
        return title(method)
    changes = _CHANGE.split(rest)
    last = [re.sub(r"^[a-z_0-9.]+\.(?=\w+=)", "", change) for change in changes]
    keys = [change.partition("=")[0] for change in last]
    words = ", ".join(last if len(set(keys)) == len(keys) else changes)
    says_so = words.casefold().startswith(method.casefold()) and len(words) > len(method)
    return words if says_so else f"{title(method)}, {words}"


@dataclass
class Table:
    """One table.

    Attributes:
        name: of its files.
        title: one line.
        note: how to read it.
        frame: all numbers, for the CSV.
        columns: headings of the text.
        rows: cells of the text.
        bold: (row, column) of the best entries.
        breaks: rows that begin a new group.
        numeric: how many of the last columns are aligned as numbers.
    """

    name: str
    title: str
    note: str
    frame: pd.DataFrame
    columns: list[str]
    rows: list[list[str]]
    bold: set[tuple[int, int]] = field(default_factory=set)
    breaks: set[int] = field(default_factory=set)
    numeric: int = 0

    def markdown(self) -> str:
        """The table as GitHub's Markdown."""
        first = len(self.columns) - self.numeric
        rule = ["---" if k < first else "---:" for k in range(len(self.columns))]
        lines = [f"### {self.title}", "", self.note, ""]
        escaped = [[_markdown(cell) for cell in row] for row in [self.columns, *self.rows]]
        for i, j in self.bold:
            escaped[i + 1][j] = f"**{escaped[i + 1][j]}**"
        for k, row in enumerate(escaped):
            lines.append("| " + " | ".join(row) + " |")
            if k == 0:
                lines.append("| " + " | ".join(rule) + " |")
        return "\n".join(lines) + "\n"

    def latex(self) -> str:
        r"""The table for LaTeX; needs \usepackage{booktabs}."""
        first = len(self.columns) - self.numeric
        body = [[latex(cell) for cell in row] for row in self.rows]
        for i, j in self.bold:
            body[i][j] = rf"\textbf{{{body[i][j]}}}"
        lines = [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{latex(self.title)}. {latex(self.note)}}}",
            rf"  \label{{tab:{self.name.replace('_', '-')}}}",
            rf"  \begin{{tabular}}{{{'l' * first}{'r' * self.numeric}}}",
            r"    \toprule",
            "    " + " & ".join(latex(c) for c in self.columns) + r" \\",
            r"    \midrule",
        ]
        for k, row in enumerate(body):
            if k and k in self.breaks:
                lines.append(r"    \midrule")
            lines.append("    " + " & ".join(row) + r" \\")
        return "\n".join([*lines, r"    \bottomrule", r"  \end{tabular}", r"\end{table}"]) + "\n"

    def write(self, folder: Path) -> None:
        """Write `<name>.csv`, `.md` and `.tex`."""
        (folder / f"{self.name}.csv").write_text(csv_of(self.frame), encoding="utf-8")
        (folder / f"{self.name}.md").write_text(self.markdown(), encoding="utf-8")
        (folder / f"{self.name}.tex").write_text(self.latex(), encoding="utf-8")


def latex(text: str) -> str:
    """The text with everything escaped that LaTeX reads as a command."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", _DASH: "--",
               "<": r"\textless{}", ">": r"\textgreater{}", "\N{MULTIPLICATION SIGN}": r"$\times$",
               "\N{GREEK SMALL LETTER CHI}\N{SUPERSCRIPT TWO}": r"$\chi^2$",
               "\N{GREEK SMALL LETTER TAU}": r"$\tau$", "\N{MIDDLE DOT}": r"\textperiodcentered{}"}  # fmt: skip
    special |= {sign: rf"\{sign}" for sign in "&%$#_{}"}
    pattern = "|".join(re.escape(sign) for sign in sorted(special, key=len, reverse=True))
    return re.sub(pattern, lambda found: special[found[0]], text)


def _markdown(text: str) -> str:
    return re.sub(r"([|*_\\<>])", r"\\\1", text)


def number(value: float, digits: int = 3) -> str:
    """A number for people."""
    return _DASH if math.isnan(value) else f"{value:.{digits}f}"


def interval(given: Estimate, digits: int = 3) -> str:
    """Mean and interval for people."""
    if given.n < 2:
        return number(given.mean, digits)
    return f"{number(given.mean, digits)} [{number(given.low, digits)}, {number(given.high, digits)}]"


def scopes(study: Study) -> list[tuple[str, str]]:
    """What is reported on: everything, each dataset, each network on each dataset."""
    pairs = study.table[["dataset", "net"]].drop_duplicates().sort_values(["dataset", "net"])
    datasets = sorted(set(pairs.dataset))
    whole = [(ALL, ALL)] if len(datasets) > 1 else []
    return whole + [
        scope
        for dataset in datasets
        for scope in (
            *([(dataset, ALL)] if (pairs.dataset == dataset).sum() > 1 else []),
            *((dataset, str(net)) for net in pairs.net[pairs.dataset == dataset]),
        )
    ]


def in_scope(table: pd.DataFrame, scope: tuple[str, str]) -> pd.DataFrame:
    """The rows of a table that belong to a scope."""
    for column, value in zip(("dataset", "net"), scope, strict=True):
        if value != ALL:
            table = table[table[column] == value]
    return table


def scope_title(scope: tuple[str, str]) -> str:
    """A scope for people."""
    if scope == (ALL, ALL):
        return "all datasets"
    return f"{scope[0]} \N{MIDDLE DOT} " + ("all networks" if scope[1] == ALL else title(scope[1]))


def values(study: Study, table: pd.DataFrame, scope: tuple[str, str], column: str) -> dict[str, pd.Series]:
    """The numbers of each method that a mean is taken of.

    On one network: all that there are. Over several: one a video, of videos that every method has, so that no
    method is better for having easier ones.
    """
    inside = in_scope(table, scope)
    if column not in inside:
        return {}
    if ALL not in scope:
        groups = inside.groupby("method")[column]
        return {str(m): g.dropna() for m, g in groups if g.notna().any()}
    shared = blocks(inside, column, comparable(inside, column, study.methods))
    return {str(method): shared[method] for method in shared if len(shared)}


def summary(study: Study, table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """n, mean and interval of each column, for each scope and method."""
    rows = []
    for scope in scopes(study):
        for column in columns:
            found = values(study, table, scope, column)
            for method in ordered(found):
                e = estimate(found[method])
                rows.append((*scope, method, column, e.n, e.mean, e.low, e.high))
    return pd.DataFrame(rows, columns=["dataset", "net", "method", "metric", "n", "mean", "low", "high"])


def unbeaten(table: pd.DataFrame, column: str, higher_is_better: bool) -> set[str]:
    """The methods that no other one is significantly better than; none where no method is significantly worse.

    Paired, on the videos that all of them have; controls are not asked.
    """
    if column not in table:
        return set()
    methods = comparable(table, column, [m for m in ordered(table.method) if not is_control(m)])
    found = blocks(table, column, methods)
    worse = beaten(found, higher_is_better) if len(found) > 1 else set()
    return set(methods) - worse if worse else set()


def _wide(
    name: str,
    heading: str,
    note: str,
    frame: pd.DataFrame,
    columns: dict[str, tuple[str, bool | None]],
    digits: int = 3,
    results: pd.DataFrame | None = None,
) -> Table:
    """A row a method, a column a metric.

    Args:
        name: of the table.
        heading: one line.
        note: how to read it.
        frame: what `summary` gave.
        columns: what each metric is called and whether higher is better; None where neither is.
        digits: of the numbers.
        results: what `frame` summarizes, for the comparison of methods; None for none.
    """
    rows: list[list[str]] = []
    bold: set[tuple[int, int]] = set()
    breaks: set[int] = set()
    for scope, inside in frame.groupby(["dataset", "net"], sort=False):
        breaks.add(len(rows))
        here = None if results is None else in_scope(results, (str(scope[0]), str(scope[1])))
        best = {c: set() if here is None or higher is None else unbeaten(here, c, higher)
                for c, (_, higher) in columns.items()}  # fmt: skip
        for method in ordered(inside.method):
            own = inside[inside.method == method].set_index("metric")
            counts = sorted(set(own.n))
            row = [
                scope_title((str(scope[0]), str(scope[1]))),
                method_title(method),
                _DASH.join(str(n) for n in {counts[0]: 0, counts[-1]: 0}),
            ]
            for column in columns:
                if column in own.index:
                    e = Estimate(*own.loc[column, ["n", "mean", "low", "high"]])
                    if method in best[column]:
                        bold.add((len(rows), len(row)))
                    row.append(interval(e, digits))
                else:
                    row.append(_DASH)
            rows.append(row)
    headings = ["", "Method", "n", *(words for words, _ in columns.values())]
    return Table(name, heading, note, frame, headings, rows, bold, breaks, numeric=len(headings) - 2)


_SHARED = (
    "Mean and 95 % interval (Student's t). Over several networks each video counts once, averaged over those on "
    "which every method has it. Controls are heatmaps that ignore the network."
)


_BOLD = (
    "Bold: no other method is significantly better (paired t-tests on the videos that all methods have, Holm's "
    "correction over all pairs)."
)


def metric_table(study: Study, name: str, heading: str, metrics: Sequence[Metric]) -> Table:
    """Means of some metrics."""
    frame = summary(study, study.table, [m.key for m in metrics])
    columns: dict[str, tuple[str, bool | None]] = {
        m.key: (f"{m.title} ({'higher' if m.higher_is_better else 'lower'} is better)", m.higher_is_better)
        for m in metrics
    }
    return _wide(name, heading, f"{_SHARED} {_BOLD}", frame, columns, results=study.table)


def timed(study: Study) -> pd.DataFrame:
    """The study's table with the seconds of the paper's three parts, of those outside inference, and in all."""
    table = study.table.copy()
    for name, stages in PARTS.items():
        table[f"part_{name}"] = sum(table[f"seconds_{stage}"] for stage in stages)
    table["part_outside"] = table.part_segmentation + table.part_explanation
    table["part_total"] = table.part_outside + table.part_inference
    return table


def timings(study: Study) -> Table:
    """Seconds by the paper's three parts."""
    table = timed(study)
    words = {**{name: name for name in PARTS}, "outside": "outside inference", "total": "total"}
    columns: dict[str, tuple[str, bool | None]] = {f"part_{k}": (f"{w} (s)", None) for k, w in words.items()}
    note = (
        "Seconds a video. Explanation is perturbation and summary; outside inference is segmentation and "
        f"explanation. {_SHARED}"
    )
    return _wide("timings", "Timings by part", note, summary(study, table, list(columns)), columns, 2)


def stages(study: Study) -> Table:
    """Seconds by lavx's own stages."""
    given = [str(column) for column in study.table if str(column).startswith("seconds_")]
    columns: dict[str, tuple[str, bool | None]] = {c: (c.removeprefix("seconds_"), None) for c in given}
    note = f"Seconds a video, wall clock with the device synchronized. {_SHARED}"
    return _wide("stages", "Timings by stage", note, summary(study, study.table, given), columns, 2)


def masked(study: Study, scope: tuple[str, str]) -> pd.DataFrame:
    """The rows that minimal masks are told from: over several networks, those that every method has."""
    inside = in_scope(study.table, scope)
    if ALL not in scope:
        return inside
    return complete(inside, comparable(inside, "score", study.methods))


def masked_curves(study: Study) -> list[str]:
    """The curves that have minimal masks: of the raw heatmaps, then of the drawn ones."""
    names = ("deletion", "insertion", "deletion_drawn", "insertion_drawn")
    return [name for name in names if any(f"mask_{name}_{t}" in study.table for t in study.thresholds)]


def minimal_masks(study: Study, curve: str) -> Table:
    """Smallest fraction of voxels that decides: share of videos that get there, and the mean over those."""
    rows: list[tuple[object, ...]] = []
    text: list[list[str]] = []
    breaks: set[int] = set()
    for scope in scopes(study):
        inside = masked(study, scope)
        breaks.add(len(text))
        for method in ordered(inside.method):
            own = inside[inside.method == method]
            line = [
                scope_title(scope),
                method_title(method),
                str(own[["dataset", "video_id"]].drop_duplicates().shape[0]),
            ]
            for t in study.thresholds:
                column = f"mask_{curve}_{t}"
                reached = own[column] if column in own else own.score * math.nan
                videos = [own.dataset, own.video_id]
                by = reached.groupby(videos)
                share = float(reached.notna().groupby(videos).mean().mean())
                e = estimate(by.mean())
                rows.append((*scope, method, curve, float(t), by.ngroups, e.n, share, e.mean, e.low, e.high))
                line.append(number(100 * e.mean, 1) + ("" if share == 1 else f" ({100 * share:.0f} %)"))
            text.append(line)
    names = [
        "dataset",
        "net",
        "method",
        "game",
        "threshold",
        "n",
        "n_reached",
        "share_reached",
        "mean",
        "low",
        "high",
    ]
    game, _, drawn = curve.partition("_")
    what = {
        "deletion": "whose removal drops the score by \N{GREEK SMALL LETTER TAU} of itself",
        "insertion": "whose insertion raises it to \N{GREEK SMALL LETTER TAU} of the clip's",
    }[game]
    note = (
        f"Smallest share of voxels, in %, {what}: mean over the videos that get there, and in parentheses their "
        "share where it is not all. Those that never do are counted, not averaged. Over several networks each "
        "video counts once, averaged over those on which it gets there. Intervals are in the CSV."
    )
    headings = ["", "Method", "n", *(f"\N{GREEK SMALL LETTER TAU}={t}" for t in study.thresholds)]
    frame = pd.DataFrame(rows, columns=names)
    return Table(
        f"minimal_masks_{curve}", f"Minimal masks, {game}{', drawn map' * bool(drawn)}", note, frame, headings,
        text, set(), breaks,
        len(headings) - 2,
    )  # fmt: skip


def rated(study: Study) -> pd.DataFrame | None:
    """User scores, one a (dataset, net, method, video): the mean over its raters, in the column `rating`."""
    if study.ratings is None:
        return None
    keys = ["dataset", "net", "method", "video_id"]
    return study.ratings.groupby(keys).score.mean().rename(RATING.key).reset_index()


def ratings(study: Study) -> Table | None:
    """Mean user scores, or None where there are none."""
    table = rated(study)
    if table is None or study.ratings is None:
        return None
    frame = summary(study, table, [RATING.key])
    people = study.ratings.rater.nunique()
    note = f"{len(study.ratings)} scores of {people} raters; n counts explanations. {_SHARED}"
    columns: dict[str, tuple[str, bool | None]] = {RATING.key: ("score", True)}
    return _wide("user_scores", "User scores", f"{note} {_BOLD}", frame, columns, 2, table)


@dataclass(frozen=True)
class Ranking:
    """Methods ranked by one metric in one scope."""

    metric: Metric
    scope: tuple[str, str]
    controls: bool
    comparison: Comparison


def _ranked(study: Study) -> list[tuple[Metric, pd.DataFrame, str]]:
    """What is ranked: metric, table, column."""
    found = [(metric, study.table, metric.key) for metric in study.metrics]
    for curve in ("deletion", "insertion"):
        column = f"mask_{curve}_0.5"
        if column in study.table:
            words = f"Minimal mask, {curve}, \N{GREEK SMALL LETTER TAU}=0.5"
            found.append((Metric(column, words, False), study.table, column))
    if (users := rated(study)) is not None:
        found.append((RATING, users, RATING.key))
    return found


def rankings(study: Study) -> list[Ranking]:
    """All comparisons: each metric, scope, and with and without the controls."""
    found = []
    for metric, table, column in _ranked(study):
        for scope in scopes(study):
            inside = in_scope(table, scope)
            for controls in (False, True):
                wanted = [m for m in ordered(inside.method) if controls or not is_control(m)]
                methods = comparable(inside, column, wanted)
                if controls and not any(map(is_control, methods)):
                    continue
                comparison = compare(_blocks_for_ranks(inside, column, methods), metric.higher_is_better)
                if comparison is not None:
                    found.append(Ranking(metric, scope, controls, comparison))
    return found


def _blocks_for_ranks(table: pd.DataFrame, column: str, methods: Sequence[str]) -> pd.DataFrame:
    """What is ranked, a row a video.

    A minimal mask that is never reached has no number, but a rank: the last. So masks are ranked within each
    network, and the ranks averaged over networks.
    """
    if not column.startswith("mask_"):
        return blocks(table, column, methods)
    filled = table.assign(**{column: table[column].fillna(math.inf)})
    return by_video(shared(filled, column, methods).rank(axis=1))


def rank_table(found: Sequence[Ranking]) -> Table:
    """Average ranks."""
    rows, text, breaks, bold = [], [], set(), set()
    methods = ordered({m for r in found for m in r.comparison.average.index})
    for k, r in enumerate(found):
        if k == 0 or r.metric != found[k - 1].metric:
            breaks.add(k)
        average = r.comparison.average
        for m in methods:
            if m in average:
                rows.append((r.metric.key, *r.scope, r.controls, r.comparison.n, m, average[m]))
                if average[m] == average.min():
                    bold.add((k, 4 + methods.index(m)))
        shown = [number(average[m], 2) if m in average else _DASH for m in methods]
        text.append(
            [r.metric.title, scope_title(r.scope), "yes" if r.controls else "no", str(r.comparison.n), *shown]
        )
    headings = ["Metric", "", "Controls", "n", *map(method_title, methods)]
    frame = pd.DataFrame(rows, columns=["metric", "dataset", "net", "controls", "n", "method", "average_rank"])
    note = (
        "1 is best; ties share a rank. n counts the videos that every method has, each once, averaged over the "
        "networks; minimal masks are ranked on each network first, where one that is never reached is last."
    )
    return Table("average_ranks", "Average ranks", note, frame, headings, text, bold, breaks, len(headings) - 3)


def _p(value: float) -> str:
    return _DASH if math.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


def test_table(found: Sequence[Ranking]) -> Table:
    """Friedman tests and Nemenyi's critical differences."""
    rows, text, breaks = [], [], set()
    corrected = holm([r.comparison.p for r in found])
    for k, (r, p_holm) in enumerate(zip(found, corrected, strict=True)):
        if k == 0 or r.metric != found[k - 1].metric:
            breaks.add(k)
        c = r.comparison
        together = "; ".join(", ".join(method_title(m) for m in group) for group in c.groups) or "none"
        rows.append((r.metric.key, *r.scope, r.controls, c.n, len(c.average), c.statistic, c.p, p_holm,
                     c.difference, "; ".join(" ".join(group) for group in c.groups)))  # fmt: skip
        text.append([
            r.metric.title, scope_title(r.scope), "yes" if r.controls else "no",
            _DASH if math.isnan(c.p) else together, str(c.n), str(len(c.average)), number(c.statistic, 1),
            _p(c.p), _p(p_holm), number(c.difference, 2),
        ])  # fmt: skip
    names = ["metric", "dataset", "net", "controls", "n", "k", "chi2", "p", "p_holm", "critical_difference",
             "not_told_apart"]  # fmt: skip
    headings = ["Metric", "", "Controls", "Not significantly different", "n", "Methods",
                "\N{GREEK SMALL LETTER CHI}\N{SUPERSCRIPT TWO}", "p", "p, Holm", "CD"]  # fmt: skip
    note = (
        "Friedman test that all methods are alike, and Nemenyi's critical difference of average ranks at 0.05: "
        "methods whose ranks differ by less are not significantly different. Both need three methods. The last p "
        "is corrected for all tests of this table."
    )
    frame = pd.DataFrame(rows, columns=names)
    return Table("tests", "Friedman tests", note, frame, headings, text, set(), breaks, 6)


def coverage(study: Study) -> Table:
    """What of the grid is there."""
    text: list[list[str]] = []
    breaks: set[int] = set()
    for scope, inside in study.coverage.groupby(["dataset", "net"], sort=False):
        breaks.add(len(text))
        heading = scope_title((str(scope[0]), str(scope[1])))
        for row in inside.to_dict("records"):
            counts = [str(row[key]) for key in ("done", "failed", "missing")]
            text.append([heading, method_title(str(row["method"])), str(row["changes"]), *counts])
    note = (
        "Videos explained, failed and missing, of those that the cell was asked for (where that was not noted, of "
        "those that any cell of the dataset has). Changes are those of a method's variation."
    )
    headings = ["", "Method", "Changes", "done", "failed", "missing"]
    return Table("coverage", "Coverage", note, study.coverage, headings, text, set(), breaks, 3)


def all_tables(study: Study) -> tuple[list[Table], list[Ranking]]:
    """Every table that the results allow, and the comparisons behind those of the ranks."""
    found = rankings(study)
    curves = [m for m in study.metrics if "_auc" in m.key]
    others = [m for m in study.metrics if "_auc" not in m.key]
    tables = [metric_table(study, "auc", "Deletion and insertion", curves)]
    if others:
        tables.append(metric_table(study, "further_metrics", "Further metrics", others))
    tables += [minimal_masks(study, curve) for curve in masked_curves(study)]
    if (users := ratings(study)) is not None:
        tables.append(users)
    tables += [timings(study), stages(study)]
    if found:
        tables += [rank_table(found), test_table(found)]
    return [*tables, coverage(study)], found
