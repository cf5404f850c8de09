"""The paper's claims, checked one by one against the numbers.

Sources: Gaya-Morey et al. 2024, arXiv 2401.11796: "v1" is Local Agnostic Video Explanations, "v2" the second
version, REVEX. Differences are paired: taken within the videos that all methods of a claim have, averaged over
networks. A difference is not significant where its 95 % bootstrap interval contains 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from lavx.report.statistics import Estimate, estimate
from lavx.report.study import CONTROLS, METHODS, Study, blocks
from lavx.report.tables import ALL, in_scope, interval, number, rated, scope_title, scopes, timed, title

HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "not enough data"
SIGNIFICANT, NOT_SIGNIFICANT = "significant", "not significant"
LEADERS = ("lime", "kernel_shap", "rise")
DELETION_ORDER = ("lime", "rise", "kernel_shap", "loco", "occlusion", "univariate")
LEAST_VIDEOS = 5


@dataclass(frozen=True)
class Verdict:
    """The outcome of one claim.

    Attributes:
        status: `HOLDS`, `FAILS` or `UNKNOWN`.
        numbers: what that rests on.
        noise: whether the difference that decides is significant; empty where nothing was decided.
    """

    status: str
    numbers: str
    noise: str = ""


@dataclass(frozen=True)
class Claim:
    """One sentence that can be checked.

    Attributes:
        text: the sentence.
        source: who says so.
        column: the metric that it is about.
        methods: those that it compares; all of them are needed.
        check: gives the verdict from the blocks (a row for each video, a column for each method).
    """

    text: str
    source: str
    column: str
    methods: tuple[str, ...]
    check: Callable[[pd.DataFrame, int], Verdict]


@dataclass(frozen=True)
class Checked:
    """A claim, its verdict over everything, and that on each network alone."""

    claim: Claim
    verdict: Verdict
    alone: dict[tuple[str, str], Verdict]


def _means(found: pd.DataFrame, methods: Sequence[str] | None = None, digits: int = 3) -> str:
    means = found[list(methods or found.columns)].mean()
    return ", ".join(f"{title(str(m))} {number(float(v), digits)}" for m, v in means.items())


def _noise(difference: Estimate, what: str, digits: int = 3) -> str:
    inside = difference.low <= 0 <= difference.high
    return f"{NOT_SIGNIFICANT if inside else SIGNIFICANT}: {what} {interval(difference, digits)}"


def _verdict(holds: bool, found: pd.DataFrame, noise: str, digits: int = 3) -> Verdict:
    return Verdict(HOLDS if holds else FAILS, f"{_means(found, digits=digits)} (n = {len(found)})", noise)


def _lead(higher: bool, leaders: Sequence[str]) -> Callable[[pd.DataFrame, int], Verdict]:
    """All leaders are better than all others, in the mean."""

    def check(found: pd.DataFrame, seed: int) -> Verdict:
        means = found.mean() * (1 if higher else -1)
        others = [str(m) for m in found if m not in leaders]
        last, first = str(means[list(leaders)].idxmin()), str(means[others].idxmax())
        gap = estimate((found[last] - found[first]) * (1 if higher else -1), seed)
        what = f"lead of {title(last)} over {title(first)}"
        return _verdict(gap.mean > 0, found[list(means.sort_values(ascending=False).index)], _noise(gap, what))

    return check


def _last(higher: bool, method: str) -> Callable[[pd.DataFrame, int], Verdict]:
    """One method is worse than all others, in the mean."""

    def check(found: pd.DataFrame, seed: int) -> Verdict:
        means = found.mean() * (1 if higher else -1)
        next_to = str(means.drop(method).idxmin())
        gap = estimate((found[next_to] - found[method]) * (1 if higher else -1), seed)
        what = f"lead of {title(next_to)} over {title(method)}"
        return _verdict(gap.mean > 0, found[list(means.sort_values(ascending=False).index)], _noise(gap, what))

    return check


def _order(order: Sequence[str]) -> Callable[[pd.DataFrame, int], Verdict]:
    """The means, from the lowest up, stand in this order."""

    def check(found: pd.DataFrame, seed: int) -> Verdict:
        measured = [str(m) for m in found.mean().sort_values(kind="stable").index]
        pairs = [(a, b) for k, a in enumerate(order) for b in order[k + 1 :]]
        gaps = [estimate(found[b] - found[a], seed) for a, b in pairs]
        right = sum(gap.mean > 0 for gap in gaps)
        unsure = sum(gap.low <= 0 <= gap.high for gap in gaps)
        noise = f"{right} of {len(pairs)} pairs are in the claimed order; {unsure} do not differ significantly"
        return _verdict(right == len(pairs), found[measured], noise)

    return check


def _twice(method: str) -> Callable[[pd.DataFrame, int], Verdict]:
    """One method takes more than twice as long as each of the others, in the mean."""

    def check(found: pd.DataFrame, seed: int) -> Verdict:
        slowest = str(found.drop(columns=method).mean().idxmax())
        gap = estimate(found[method] - 2 * found[slowest], seed)
        what = f"{title(method)} minus twice {title(slowest)}, in seconds"
        ranked = found[list(found.mean().sort_values(ascending=False).index)]
        return _verdict(gap.mean > 0, ranked, _noise(gap, what), 3)

    return check


def _below(limit: float) -> Callable[[pd.DataFrame, int], Verdict]:
    """No method's mean exceeds a number."""

    def check(found: pd.DataFrame, seed: int) -> Verdict:
        best = str(found.mean().idxmax())
        gap = estimate(found[best] - limit, seed)
        return _verdict(gap.mean <= 0, found, _noise(gap, f"{title(best)} minus {limit:g}"))

    return check


def _beat_controls(higher: bool) -> Callable[[pd.DataFrame, int], Verdict]:
    """Every method is better than every control, in the mean."""
    return _lead(higher, METHODS)


CLAIMS: tuple[Claim, ...] = (
    Claim("LIME, Kernel SHAP and RISE lead in deletion", "v1, abstract", "deletion_auc", METHODS,
          _lead(False, LEADERS)),
    Claim("LIME, Kernel SHAP and RISE lead in insertion", "v1, abstract", "insertion_auc", METHODS,
          _lead(True, LEADERS)),
    Claim("Order in deletion: LIME, RISE, Kernel SHAP, then LOCO, Occlusion, Univariate", "v1, Figure 11",
          "deletion_auc", METHODS, _order(DELETION_ORDER)),
    Claim("Univariate is last in deletion", "v1, Figure 11", "deletion_auc", METHODS, _last(False, "univariate")),
    Claim("Univariate is last in insertion", "v1, Figure 11", "insertion_auc", METHODS, _last(True, "univariate")),
    Claim("RISE costs more than twice the others outside inference", "v1, Figures 9 and 10", "part_outside",
          METHODS, _twice("rise")),
    Claim("LIME, Kernel SHAP and RISE get the best user scores", "v1, abstract", "rating", METHODS,
          _lead(True, LEADERS)),
    Claim("LIME is best in deletion", "v2, abstract", "deletion_auc", METHODS, _lead(False, ("lime",))),
    Claim("LIME is best in insertion", "v2, abstract", "insertion_auc", METHODS, _lead(True, ("lime",))),
    Claim("RISE has the lowest average drop", "v2, abstract", "average_drop", METHODS, _lead(False, ("rise",))),
    Claim("The pointing game stays at or below 53 % for every method", "v2, abstract", "pointing_game", METHODS,
          _below(0.53)),
    Claim("IoU stays below 20 % for every method", "v2, abstract", "iou", METHODS, _below(0.2)),
    Claim("Every method beats both controls in deletion", "lavx's own", "deletion_auc", (*METHODS, *CONTROLS),
          _beat_controls(False)),
    Claim("Every method beats both controls in insertion", "lavx's own", "insertion_auc", (*METHODS, *CONTROLS),
          _beat_controls(True)),
)  # fmt: skip


def check_claims(study: Study, seed: int = 0) -> list[Checked]:
    """Check every claim, over everything and on each network alone."""
    tables = {"part": timed(study), "rating": rated(study)}
    checked = []
    for claim in CLAIMS:
        table = tables.get(claim.column.split("_")[0], study.table)
        single = [scope for scope in scopes(study) if ALL not in scope]
        alone = {
            scope: _checked(claim, None if table is None else in_scope(table, scope), seed) for scope in single
        }
        checked.append(Checked(claim, _checked(claim, table, seed), alone))
    return checked


def _checked(claim: Claim, table: pd.DataFrame | None, seed: int) -> Verdict:
    if table is None or claim.column not in table:
        return Verdict(UNKNOWN, f"no results have {claim.column}")
    there = set(table[table[claim.column].notna()].method)
    absent = [m for m in claim.methods if m not in there]
    if absent:
        return Verdict(UNKNOWN, f"no results of {', '.join(title(m) for m in absent)}")
    found = blocks(table, claim.column, claim.methods)
    if len(found) < LEAST_VIDEOS:
        return Verdict(UNKNOWN, f"{len(found)} videos have all methods, {LEAST_VIDEOS} are needed")
    return claim.check(found, seed)


def claims_frame(checked: Sequence[Checked]) -> pd.DataFrame:
    """The list for the CSV: a row a claim and scope."""
    rows = []
    for item in checked:
        for scope, verdict in {(ALL, ALL): item.verdict, **item.alone}.items():
            rows.append(
                (item.claim.text, item.claim.source, *scope, verdict.status, verdict.numbers, verdict.noise)
            )
    return pd.DataFrame(rows, columns=["claim", "source", "dataset", "net", "verdict", "numbers", "noise"])


def claims_markdown(checked: Sequence[Checked]) -> str:
    """The list for people."""
    lines = ["### The paper's claims, checked", ""]
    for item in checked:
        v = item.verdict
        lines.append(f"- **{v.status}**: {item.claim.text} ({item.claim.source}). {v.numbers}. {v.noise}".rstrip())
        if len(item.alone) > 1:
            lines.append("  " + alone(item))
    return "\n".join(lines) + "\n"


def alone(item: Checked) -> str:
    """The verdicts on each network in one line."""
    found = {verdict.status for verdict in item.alone.values()}
    if len(found) == 1:
        return f"On each network alone: {found.pop()}."
    return "; ".join(f"{scope_title(scope)}: {verdict.status}" for scope, verdict in item.alone.items()) + "."
