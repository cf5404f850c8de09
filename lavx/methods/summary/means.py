"""Means of the scores where a region is kept: RISE."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lavx import checks
from lavx.methods.summary.rows import NO_WEIGHT, by_unit, check_kept, check_similarity, checked, similarity
from lavx.types import Attribution, Coalitions, Estimate, Scores, Selection


def _mean_estimate(coalitions: Coalitions, scores: Scores, weights: NDArray[np.float64]) -> Estimate:
    """Weighted means of the scores where a region is kept, and what leaving out a unit makes of them.

    That is the jackknife over units. A region without effect has the mean of all scores.
    """
    kept = coalitions.kept.astype(np.float64)
    total = weights @ kept
    attribution = (weights * scores) @ kept / total
    neutral = float(weights @ scores / weights.sum())
    if not coalitions.drawn.any():
        return Estimate(attribution, None, neutral)
    own = by_unit(coalitions, kept * weights[:, None])
    moves = by_unit(coalitions, kept * (weights * scores)[:, None]) - attribution * own
    rest = total - own
    unknown = rest <= NO_WEIGHT * total  # no other unit keeps the region
    influence = np.where(unknown, np.inf, moves / np.where(unknown, 1.0, rest))
    own_weight = by_unit(coalitions, weights)
    of_mean = (by_unit(coalitions, weights * scores) - neutral * own_weight) / (weights.sum() - own_weight)
    factor = math.sqrt(max(0, len(own) - 1) / len(own))
    return Estimate(attribution, factor * influence, neutral, factor * of_mean)


@dataclass(frozen=True)
class MeanWhenKept:
    """Mean score of the samples that keep a region.

    Source: Petsiuk et al. 2018 (RISE), divided by how often the region really was kept instead of
    the expectation of that.
    """

    def check(self, selection: Selection) -> None:
        """Any selection will do."""

    def check_coalitions(self, coalitions: Coalitions) -> None:
        """Raise ValueError, naming them, if some regions are never kept."""
        check_kept(coalitions)

    def __call__(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Attribution:
        """Attribution (R,), a score."""
        scores = checked(coalitions, scores, full, empty)
        check_kept(coalitions)
        return (coalitions.weights * scores) @ coalitions.kept / (coalitions.weights @ coalitions.kept)

    def estimate(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Estimate:
        """The same with its sampling error; neutral is the mean score."""
        scores = checked(coalitions, scores, full, empty)
        check_kept(coalitions)
        return _mean_estimate(coalitions, scores, coalitions.weights)


@dataclass(frozen=True)
class WeightedMean:
    """Mean score of the samples that keep a region, those similar to the clip weighing more.

    `MeanWhenKept` with the weights of `Ridge`.

    Args:
        kernel_width: > 0; the smaller, the less samples count that remove much.
    """

    kernel_width: float = 0.25

    def __post_init__(self) -> None:
        checks.positive("kernel_width", self.kernel_width)

    def check(self, selection: Selection) -> None:
        """Any selection will do."""

    def check_coalitions(self, coalitions: Coalitions) -> None:
        """Raise ValueError if some regions are never kept, or if all coalitions weigh nothing."""
        check_kept(coalitions)
        check_similarity(coalitions, self.kernel_width)

    def __call__(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Attribution:
        """Attribution (R,), a score."""
        scores = checked(coalitions, scores, full, empty)
        self.check_coalitions(coalitions)
        weights = coalitions.weights * similarity(coalitions.kept, self.kernel_width)
        return (weights * scores) @ coalitions.kept / (weights @ coalitions.kept)

    def estimate(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Estimate:
        """The same with its sampling error; neutral is the mean score, so weighted."""
        scores = checked(coalitions, scores, full, empty)
        self.check_coalitions(coalitions)
        return _mean_estimate(
            coalitions, scores, coalitions.weights * similarity(coalitions.kept, self.kernel_width)
        )
