"""The verdict on each of the paper's claims: over everything, on each network alone, and on the other map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lavx.report.claims import CLAIMS, DRAWN, Claim, relative
from lavx.report.compared import Compared
from lavx.report.hypotheses import FAILS, HOLDS, LEAST_VIDEOS, UNDECIDED, UNTESTED, Judgement, decide, judge
from lavx.report.statistics import Tested
from lavx.report.study import Study, method_of
from lavx.report.tables import (
    ALL,
    in_scope,
    interval,
    method_title,
    number,
    rated,
    scope_title,
    scopes,
    timed,
    title,
)

STATUSES = (HOLDS, FAILS, UNDECIDED, UNTESTED)
Scope = tuple[str, str]


@dataclass(frozen=True)
class Verdict:
    """The outcome of one claim.

    Attributes:
        status: one of `STATUSES`.
        why: what that rests on, or why nothing was tested.
        evidence: the comparison that decides, and the p-value.
        judged: which map the metric was taken of, "drawn" or "raw"; empty where it is of none.
        n: videos.
        p_holds: of the test that the claim holds, corrected over all claims; NaN where not tested.
        p_fails: of the test that it does not, likewise.
    """

    status: str
    why: str
    evidence: str = ""
    judged: str = ""
    n: int = 0
    p_holds: float = float("nan")
    p_fails: float = float("nan")


@dataclass(frozen=True)
class Checked:
    """A claim, its verdict over everything, that on each network alone, and that on the map not judged first."""

    claim: Claim
    verdict: Verdict
    alone: dict[Scope, Verdict]
    other: Verdict | None


@dataclass(frozen=True)
class _Tried:
    """A claim on some results: what was compared, or why nothing could be, and the variations that stand in."""

    claim: Claim
    judged: str
    data: Compared | None = None
    judgement: Judgement | None = None
    why: str = ""
    instead: str = ""


def check_claims(study: Study) -> list[Checked]:
    """Check every claim.

    Claims of the paper about maps are tested on those that the study drew and judged, where a run has them
    (`metric.map=both`), with the verdict on the raw maps beside; else on the raw ones.
    """
    tables = _Tables(study)
    everything = _verdicts([_tried(claim, tables, None, drawn=True) for claim in CLAIMS])
    raw = _verdicts([_tried(claim, tables, None, drawn=False) for claim in CLAIMS]) if tables.drawn else everything
    single = [scope for scope in scopes(study) if ALL not in scope]
    alone = {scope: _verdicts([_tried(claim, tables, scope, drawn=True) for claim in CLAIMS]) for scope in single}
    return [
        Checked(
            claim,
            verdict,
            {scope: found[k] for scope, found in alone.items()},
            raw[k] if verdict.judged == "drawn" else None,
        )
        for k, (claim, verdict) in enumerate(zip(CLAIMS, everything, strict=True))
    ]


class _Tables:
    """The study's numbers with those that claims are about."""

    def __init__(self, study: Study) -> None:
        table = timed(study)
        for curve in ("deletion", "insertion"):
            for suffix in ("", DRAWN):
                columns = [f"mask_{curve}{suffix}_{t}" for t in study.thresholds]
                there = [column for column in columns if column in table]
                if there:
                    table[f"mask_{curve}{suffix}"] = table[there].fillna(1.0).mean(axis=1)
        with np.errstate(divide="ignore"):
            table["seconds_a_sample"] = np.log(table.seconds_inference / (table.n_samples + 2))
        self.stand_ins = stand_ins(study.table)
        names = {"method": {variation: method for method, variation in self.stand_ins.items()}}
        self.measured = table.replace([np.inf, -np.inf], np.nan).replace(names)
        self.drawn = any(str(column).endswith(DRAWN) for column in table)
        scores = rated(study)
        self.rated = None if scores is None else scores.replace(names)
        self._compared: dict[tuple[object, ...], Compared] = {}

    def of(self, claim: Claim, scope: Scope | None) -> pd.DataFrame | None:
        table = self.rated if claim.column == "rating" else self.measured
        return table if scope is None or table is None else in_scope(table, scope)

    def instead(self, claim: Claim) -> str:
        """Which variations stand in for methods of a claim, in words."""
        return "".join(
            f"; {title(method)} is its variation {method_title(self.stand_ins[method])}"
            for method in claim.methods
            if method in self.stand_ins
        )

    def compared(self, claim: Claim, column: str, scope: Scope | None) -> Compared:
        """The numbers that a claim compares; many claims compare the same ones."""
        key = (column, claim.methods, claim.higher_is_better, scope)
        if key not in self._compared:
            table = self.of(claim, scope)
            assert table is not None
            self._compared[key] = Compared(table, column, claim.methods, claim.higher_is_better)
        return self._compared[key]


def stand_ins(table: pd.DataFrame) -> dict[str, str]:
    """The variation on which claims are checked, of each method that has no results itself.

    Of several it is the one with the most results, and among those the first by name: never the best one.
    """
    counts = {str(name): n for name, n in table.groupby("method").size().items()}
    found = {}
    for method in dict.fromkeys(map(method_of, counts)):
        if method not in counts:
            variations = [name for name in counts if method_of(name) == method]
            found[method] = min(variations, key=lambda name: (-counts[name], name))
    return found


def _tried(claim: Claim, tables: _Tables, scope: Scope | None, drawn: bool) -> _Tried:
    table = tables.of(claim, scope)
    column = claim.column
    if drawn and claim.on_maps and table is not None and f"{column}{DRAWN}" in table:
        column += DRAWN
    judged = "" if not claim.on_maps else "drawn" if column.endswith(DRAWN) else "raw"
    if claim.contrasts is None:
        return _Tried(claim, judged, why=claim.why_not)
    if table is None or column not in table:
        return _Tried(claim, judged, why=f"no results have {claim.column}")
    lacking = _lacking(claim, table, column)
    if lacking:
        return _Tried(claim, judged, why=lacking)
    data = tables.compared(claim, column, scope)
    contrasts = claim.contrasts(data)
    judgement = judge(contrasts) if contrasts else None
    if judgement is None or judgement.n < LEAST_VIDEOS:
        n = 0 if judgement is None else judgement.n
        return _Tried(claim, judged, why=f"{n} videos have all that it compares, {LEAST_VIDEOS} are needed")
    return _Tried(claim, judged, data, judgement, instead=tables.instead(claim))


def _lacking(claim: Claim, table: pd.DataFrame, column: str) -> str:
    """What a claim needs and is not there, in words."""
    there = table[table[column].notna()]
    needed = (("dataset", claim.datasets), ("net", claim.nets), ("method", claim.methods))
    known = {key: set(there[key].unique()) for key, names in needed if names}
    absent = [name for key, names in needed for name in names if name not in known[key]]
    return f"no results of {', '.join(title(name) for name in absent)}" if absent else ""


def _verdicts(tried: Sequence[_Tried]) -> list[Verdict]:
    """Decide on all claims of one scope together."""
    decided = decide([one.judgement for one in tried])
    return [
        _verdict(one, status, p_holds, p_fails)
        for one, (status, p_holds, p_fails) in zip(tried, decided, strict=True)
    ]


def _verdict(tried: _Tried, status: str, p_holds: float, p_fails: float) -> Verdict:
    if tried.data is None or tried.judgement is None:
        return Verdict(status, tried.why, judged=tried.judged)
    judgement = tried.judgement
    what, test = judgement.against if status == FAILS else judgement.weakest
    return Verdict(
        status,
        _means(tried.claim, tried.data, judgement.n) + tried.instead,
        _evidence(what, test, status, judgement.n_contrasts, p_fails if status == FAILS else p_holds),
        tried.judged,
        judgement.n,
        p_holds,
        p_fails,
    )


def _means(claim: Claim, data: Compared, n: int) -> str:
    means = data.blocks().mean()
    if claim.column == "seconds_a_sample":
        means = np.exp(means)
    ranked = means.sort_values(ascending=not claim.higher_is_better, kind="stable")
    listed = ", ".join(f"{title(str(method))} {number(float(value))}" for method, value in ranked.items())
    distance = f"; {relative(means, claim.higher_is_better)}" if "%" in claim.text else ""
    return f"{listed}{distance} (n = {n})"


def _evidence(what: str, test: Tested, status: str, n: int, p: float) -> str:
    which = "" if n == 1 else f"of {n} comparisons, the strongest against it: " if status == FAILS else (
        f"of {n} comparisons, the weakest: "
    )  # fmt: skip
    shown = "corrected p < 0.001" if p < 0.001 else f"corrected p = {p:.3f}"
    return f"{which}{what}, by {interval(test.estimate)}; {shown}"


def claims_frame(checked: Sequence[Checked]) -> pd.DataFrame:
    """The list for the CSV: a row a claim, scope and map."""
    rows = []
    for item in checked:
        found = [((ALL, ALL), item.verdict), *item.alone.items()]
        found += [] if item.other is None else [((ALL, ALL), item.other)]
        for scope, v in found:
            head = (item.claim.text, item.claim.source, item.claim.column, v.judged, *scope)
            rows.append((*head, v.status, v.n, v.p_holds, v.p_fails, v.why, v.evidence, item.claim.meaning))
    names = ["claim", "source", "metric", "map", "dataset", "net", "verdict", "n", "p_holds", "p_fails", "numbers"]
    return pd.DataFrame(rows, columns=[*names, "evidence", "meaning"])


HOW = (
    "A claim holds only if every comparison that it makes is significant, and does not hold only if one is "
    "significantly the other way round, both at 5 % over all claims together (Holm); otherwise it is undecided. "
    "Comparisons are t-tests on videos, paired unless between datasets."
)


def claims_markdown(checked: Sequence[Checked]) -> str:
    """The list for people."""
    lines = ["### The paper's claims, checked", "", HOW, ""]
    for item in checked:
        lines.append(
            f"- **{item.verdict.status}**: {item.claim.text} ({item.claim.source}). " + " ".join(said(item))
        )
        if len(item.alone) > 1:
            lines.append("  " + alone(item))
    return "\n".join(lines) + "\n"


def said(item: Checked) -> list[str]:
    """What there is to say of a verdict, in sentences."""
    verdict = item.verdict
    found = [verdict.why, verdict.evidence, item.claim.meaning and f"Taken to mean: {item.claim.meaning}"]
    if item.other is not None:
        found.append(f"Tested on the drawn maps, as the paper did; on the raw maps: {item.other.status}")
    elif verdict.judged and verdict.status != UNTESTED and item.claim.source.startswith("v1"):
        found.append("Tested on the raw maps; the paper's are cut to what it drew (metric.map=both)")
    return [f"{words[0].upper()}{words[1:]}." for words in found if words]


def alone(item: Checked) -> str:
    """The verdicts on each network in one line."""
    found = {verdict.status for verdict in item.alone.values()}
    if len(found) == 1:
        return f"On each network alone: {found.pop()}."
    return "; ".join(f"{scope_title(scope)}: {verdict.status}" for scope, verdict in item.alone.items()) + "."
