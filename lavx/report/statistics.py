"""The statistics of the report, on scipy: intervals by bootstrap, ranks, Friedman test, Nemenyi difference.

Source of ranks, test and critical difference: Demsar 2006, Statistical comparisons of classifiers over
multiple data sets, section 3.2.2.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

N_RESAMPLES = 2000
LEVEL = 0.95
_AT_ONCE = 50  # resamples, so that many values need no more memory than they must


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


def estimate(values: ArrayLike, seed: int = 0) -> Estimate:
    """Mean of the values that are not NaN, and its 95 % interval by the percentile bootstrap (seeded)."""
    given = np.asarray(values, dtype=np.float64)
    given = given[~np.isnan(given)]
    if len(given) < 2:
        return Estimate(len(given), float(given.mean()) if len(given) else math.nan, math.nan, math.nan)
    parts = np.array_split(_resamples(len(given), seed), math.ceil(N_RESAMPLES / _AT_ONCE))
    # Not `@`: what BLAS gives depends on the number of threads.
    means = np.concatenate([np.einsum("rn,n->r", part.astype(np.float64), given) for part in parts]) / len(given)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(len(given), float(given.mean()), float(low), float(high))


@functools.lru_cache(maxsize=2)
def _resamples(n: int, seed: int) -> NDArray[np.uint8]:
    """How often each of n values is in each resample, (N_RESAMPLES, n)."""
    rng = np.random.default_rng(seed)
    counts = np.empty((N_RESAMPLES, n), dtype=np.uint8)  # more than 255 of 256 or more are never drawn
    for start in range(0, N_RESAMPLES, _AT_ONCE):
        block = counts[start : start + _AT_ONCE]
        drawn = rng.integers(n, size=block.shape) + n * np.arange(len(block))[:, None]
        block[:] = np.bincount(drawn.ravel(), minlength=block.size).reshape(block.shape)
    return counts


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
