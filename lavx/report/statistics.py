"""The statistics of the report, on scipy: t intervals and tests, Holm's correction, ranks, Friedman, Nemenyi.

The unit is the video. Intervals and tests of means are Student's: at the 10 to 30 videos of a study they cover
what they say more closely than the percentile bootstrap does (Hesterberg 2015, What teachers should know about the
bootstrap, section 4), and give the same numbers on every machine.

Source of ranks, test and critical difference: Demsar 2006, Statistical comparisons of classifiers over
multiple data sets, section 3.2.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

LEVEL = 0.95
ALPHA = 1 - LEVEL
_DECIMALS = 12  # what differs by less does so by rounding


@dataclass(frozen=True)
class Estimate:
    """A mean and its interval.

    Attributes:
        n: values.
        mean: NaN without values.
        low: lower end of the interval; NaN with fewer than two values.
        high: upper end.
    """

    n: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Tested:
    """A mean difference, its interval, and what speaks for either sign.

    Attributes:
        estimate: of the difference; `n` is the smaller of the two numbers of videos where they are not paired.
        p_above: one-sided p-value of "the difference is 0 or less"; small where it is above 0.
        p_below: one-sided p-value of "the difference is 0 or more".
    """

    estimate: Estimate
    p_above: float
    p_below: float


def _given(values: ArrayLike) -> NDArray[np.float64]:
    given = np.asarray(values, dtype=np.float64)
    return given[~np.isnan(given)]


def _mean_and_variance(values: NDArray[np.float64]) -> tuple[float, float]:
    """Mean, and the variance of that mean."""
    return float(values.mean()), float(values.var(ddof=1)) / len(values)


def estimate(values: ArrayLike) -> Estimate:
    """Mean of the values that are not NaN, and its 95 % interval by Student's t."""
    given = _given(values)
    if len(given) < 2:
        return Estimate(len(given), float(given.mean()) if len(given) else math.nan, math.nan, math.nan)
    mean, variance = _mean_and_variance(given)
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(given) - 1)) * math.sqrt(variance)
    return Estimate(len(given), mean, mean - half, mean + half)


def t_test(values: ArrayLike, others: ArrayLike | None = None) -> Tested:
    """Test a mean against 0, or against the mean of other videos (Welch).

    Args:
        values: paired differences, one a video; NaN are left out.
        others: values of other videos, which the mean of `values` is compared with.

    Returns:
        What was found; p-values are 1 where a sample has fewer than two values.
    """
    sample = np.round(_given(values), _DECIMALS)
    second = None if others is None else np.round(_given(others), _DECIMALS)
    n = min(len(sample), math.inf if second is None else len(second))
    if n < 2:
        mean = float(sample.mean() - (0 if second is None else second.mean())) if n else math.nan
        return Tested(Estimate(int(n), mean, math.nan, math.nan), 1.0, 1.0)
    mean, variance = _mean_and_variance(sample)
    freedom = float(len(sample) - 1)
    if second is not None:
        other_mean, other_variance = _mean_and_variance(second)
        mean, total = mean - other_mean, variance + other_variance
        if total > 0:
            freedom = total**2 / (variance**2 / freedom + other_variance**2 / (len(second) - 1))
        variance = total
    spread = math.sqrt(variance)
    if spread == 0:
        statistic = math.copysign(math.inf, mean) if round(mean, _DECIMALS) else 0.0
    else:
        statistic = mean / spread
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * spread
    found = Estimate(int(n), mean, mean - half, mean + half)
    return Tested(found, float(stats.t.sf(statistic, freedom)), float(stats.t.cdf(statistic, freedom)))


def holm(p: Sequence[float]) -> list[float]:
    """P-values corrected for their number: rejecting those <= alpha keeps the family-wise error rate at alpha.

    Source: Holm 1979. NaN are no tests and stay NaN.
    """
    values = np.asarray(p, dtype=np.float64)
    adjusted = np.full(len(values), math.nan)
    tests = np.flatnonzero(~np.isnan(values))
    order = tests[np.argsort(values[tests], kind="stable")]
    steps = values[order] * (len(order) - np.arange(len(order)))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in adjusted]


def beaten(blocks: pd.DataFrame, higher_is_better: bool) -> set[str]:
    """The columns that another one is better than: in a paired t-test, Holm's correction over all pairs.

    Args:
        blocks: a row a video, a column a method.
        higher_is_better: direction.
    """
    names = [str(name) for name in blocks]
    sign = 1 if higher_is_better else -1
    pairs = [(a, b) for a in names for b in names if a != b]
    p = holm([t_test(sign * (blocks[a] - blocks[b])).p_above for a, b in pairs])
    return {loser for (_, loser), value in zip(pairs, p, strict=True) if value <= ALPHA}


def ranks(blocks: NDArray[np.floating], higher_is_better: bool) -> NDArray[np.float64]:
    """Rank within each block, 1 = best, ties share their mean: (n_blocks, n_methods) to the same."""
    values = -np.asarray(blocks) if higher_is_better else np.asarray(blocks)
    return np.asarray(stats.rankdata(values, axis=1), dtype=np.float64)


def friedman(blocks: NDArray[np.floating]) -> tuple[float, float] | None:
    """Friedman's chi-squared, corrected for ties, and its p-value; None below 3 methods or 2 blocks."""
    n, k = blocks.shape
    if k < 3 or n < 2:
        return None
    if (blocks == blocks[:, :1]).all():
        return 0.0, 1.0
    result = stats.friedmanchisquare(*blocks.T)
    return float(result.statistic), float(result.pvalue)


def nemenyi(n_methods: int, n_blocks: int, alpha: float = 0.05) -> float:
    """Critical difference of average ranks; two that differ by less are not significantly different."""
    q = stats.studentized_range.ppf(1 - alpha, n_methods, math.inf) / math.sqrt(2)
    return float(q * math.sqrt(n_methods * (n_methods + 1) / (6 * n_blocks)))


def alike(average: pd.Series, difference: float) -> list[list[str]]:
    """The largest groups of methods whose average ranks lie within the critical difference, best first."""
    names = [str(name) for name in average.sort_values(kind="stable").index]
    groups: list[list[str]] = []
    for start in range(len(names)):
        end = start
        while end + 1 < len(names) and average[names[end + 1]] - average[names[start]] < difference:
            end += 1
        group = names[start : end + 1]
        if len(group) > 1 and not (groups and set(group) <= set(groups[-1])):
            groups.append(group)
    return groups


@dataclass(frozen=True)
class Comparison:
    """Several methods on the same blocks.

    Attributes:
        n: blocks.
        average: average rank of each method, 1 = best.
        statistic: Friedman's chi-squared; NaN where the test does not apply.
        p: its p-value.
        difference: Nemenyi's critical difference at 0.05; NaN likewise.
        groups: of methods that are not significantly different.
    """

    n: int
    average: pd.Series
    statistic: float
    p: float
    difference: float
    groups: list[list[str]]


def compare(blocks: pd.DataFrame, higher_is_better: bool) -> Comparison | None:
    """Rank the columns of `blocks` over its rows; None with fewer than two of either."""
    n, k = blocks.shape
    if n < 2 or k < 2:
        return None
    values = blocks.to_numpy(dtype=np.float64)
    average = pd.Series(ranks(values, higher_is_better).mean(0), index=list(blocks.columns))
    test = friedman(values)
    if test is None:
        return Comparison(n, average, math.nan, math.nan, math.nan, [])
    difference = nemenyi(k, n)
    return Comparison(n, average, *test, difference, alike(average, difference))
