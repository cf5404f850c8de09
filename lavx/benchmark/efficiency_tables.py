"""The rows of an efficiency benchmark as figures over videos: intervals, a Markdown table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lavx.report.statistics import estimate

MEASURES = (
    "error",
    "reference_error",
    "reference_split_half",
    "top_overlap",
    "coverage",
    "coverage_top",
    "retest",
    "retest_estimated",
    "color_inside",
    "color_recall",
    "tinted",
    "insertion",
    "deletion",
)
LARGEST_SHARE = 0.1  # of an error that is claimed, which the reference's own may be

_RESAMPLES = 2000
_COLUMNS = {
    "error": "error",
    "reference_error": "of the reference",
    "top_overlap": "top overlap",
    "retest": "retest r",
    "retest_estimated": "estimated",
    "coverage": "coverage",
    "coverage_top": "of the largest",
    "color_inside": "color inside",
    "color_recall": "recall",
    "tinted": "tinted",
    "deletion": "deletion",
    "insertion": "insertion",
}


def cells(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the videos say of each method and number of samples, in the order of the rows.

    The draws of a video are averaged first. Each measure has `median`, `median_low` and `median_high` (the 2.5th
    and 97.5th percentile of a bootstrap over videos), `mean`, `low` and `high` (Student's t), and `n`, videos; all
    but `n` are None without videos. `error_is_sure`: whether the reference's own error is at most a tenth of the
    error, in the median; None where there is no error.
    """
    groups: dict[tuple[str, int | None], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["method"], row["n_samples"]), []).append(row)
    return [_cell(group) for group in groups.values()]


def _cell(group: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    of_videos: dict[str, list[Mapping[str, Any]]] = {}
    for row in group:
        of_videos.setdefault(row["video"], []).append(row)

    def by_video(name: str) -> NDArray[np.float64]:
        return np.array([_mean([row[name] for row in of_video]) for of_video in of_videos.values()])

    measures = {name: _summarized(by_video(name)) for name in MEASURES}
    exact = all(row["exact"] for row in group)
    return {
        **{key: group[0][key] for key in ("method", "n_samples", "estimand")},
        "passes": float(np.median(by_video("passes"))),
        "n_regions": float(np.median(by_video("n_regions"))),
        "n_videos": len(of_videos),
        "exact": exact,
        "summary_seconds": float(by_video("summary_seconds").mean()),
        "error_is_sure": _is_sure(measures, exact),
        **measures,
    }


def _mean(values: Sequence[float | None]) -> float:
    """Mean of the values that are there; NaN without any."""
    given = [value for value in values if value is not None]
    return float(np.mean(given)) if given else math.nan


def _is_sure(measures: Mapping[str, Mapping[str, Any]], exact: bool) -> bool | None:
    error, own = measures["error"]["median"], measures["reference_error"]["median"]
    if error is None or own is None:
        return None
    return exact or own <= LARGEST_SHARE * error


def _summarized(values: NDArray[np.float64]) -> dict[str, Any]:
    """See `cells`."""
    given = values[~np.isnan(values)]
    mean = estimate(given)
    numbers = {"mean": mean.mean, "low": mean.low, "high": mean.high, "median": math.nan}
    numbers |= {"median_low": math.nan, "median_high": math.nan}
    if len(given):
        numbers["median"] = float(np.median(given))
    if len(given) > 1:
        drawn = np.random.default_rng(0).choice(given, (_RESAMPLES, len(given)))
        medians = np.median(drawn, axis=1)
        numbers["median_low"], numbers["median_high"] = np.quantile(medians, (0.025, 0.975)).tolist()
    return {"n": len(given)} | {name: None if math.isnan(value) else value for name, value in numbers.items()}


def markdown(summary: Mapping[str, Any]) -> str:
    """A table of the cells, and what its columns are."""
    found = summary["cells"]
    header = ["method", "passes", "regions", *_COLUMNS.values()]
    lines = [
        f"## Efficiency: {summary['net']} on {summary['dataset']}, {summary['n_videos']} videos",
        "",
        f"| {' | '.join(header)} |",
        f"|{'---|' * len(header)}",
        *(f"| {' | '.join(_line(cell))} |" for cell in found),
        "",
        *_legend(summary),
    ]
    return "\n".join(lines) + "\n"


def _line(cell: Mapping[str, Any]) -> list[str]:
    numbers = (f"{cell['passes']:,.0f}", f"{cell['n_regions']:,.0f}")
    return [cell["method"], *numbers, *(_entry(cell, name) for name in _COLUMNS)]


def _entry(cell: Mapping[str, Any], name: str) -> str:
    measure = cell[name]
    if cell["exact"] and name in ("error", "reference_error", "retest"):
        return "exact" if name == "error" else ""
    by_median = name in ("error", "reference_error")
    value = measure["median" if by_median else "mean"]
    if value is None:
        return ""
    ends = [measure[end] for end in (("median_low", "median_high") if by_median else ("low", "high"))]
    text = _rounded(value) if by_median else f"{value:.2f}"
    if name == "error":
        text += "" if cell["error_is_sure"] else " \\*"
    if name != "reference_error" and None not in ends:
        low, high = (_rounded(end) if by_median else f"{end:.2f}" for end in ends)
        text += f" ({low} to {high})"
    return text


def _rounded(error: float) -> str:
    """Two digits of a number that may be of any size."""
    return f"{error:.2f}" if error >= 0.1 else f"{error:.2g}" if error >= 1e-4 else f"{error:.0e}"


def _legend(summary: Mapping[str, Any]) -> list[str]:
    unsure = [cell for cell in summary["cells"] if cell["error_is_sure"] is False]
    lines = [
        f"{summary['n_draws']} draws a video. In brackets 95 % intervals over videos: of the median for *error* "
        "(bootstrap), of the mean for all else (Student's t).",
        "*error*: squared distance to the reference over the reference's own square, both centered, of what the "
        "method itself estimates on its own regions; "
        "*of the reference*: its own error, a quarter of the squared distance of its two halves; "
        "*top overlap*: share of its 10 largest regions (a quarter of all where there are fewer than 40) that are "
        "found; *retest r*: correlation of two draws, *estimated*: what the method says of it; *coverage*: share "
        "of the 95 % intervals that hold the reference, among all regions and among its largest; *color inside*, "
        "*recall*, *tinted*: where the color of the default picture lies; *deletion*: area, lower is better; "
        "*insertion*: higher is better.",
    ]
    if unsure:
        lines.append(
            "\\* The reference's own error is more than a tenth of this error, which is therefore an upper bound: "
            "raise n_reference."
        )
    estimands: dict[str, list[str]] = {}
    for cell in summary["cells"]:
        if cell["estimand"]:
            names = estimands.setdefault(cell["estimand"], [])
            names += [] if cell["method"] in names else [cell["method"]]
    return lines + [f"{', '.join(names)}: {what}." for what, names in estimands.items()]
