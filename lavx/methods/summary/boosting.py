"""Boosted trees over coalitions, as a sum of conditions whose exact attributions are known in closed form.

A tree splits on "is region i kept"; a leaf adds its value where some regions are kept and some others removed. Of
such a condition the Shapley values and conditional means are one line each, so that those of a whole ensemble are
exact, without a forward pass. Shapes: L leaves, R regions, S coalitions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from lavx.types import Attribution, Kept, Scores

_MOST_ROWS = 4000  # a tree; more add seconds and no accuracy
_LEAST = 3.0  # rows in a leaf
_REGULARIZATION = 0.1  # rows of value 0 that every leaf is thought to hold besides
_DIGITS = 9  # of a gain: splits that differ by less tie, or the number of threads could decide


@dataclass(frozen=True)
class Leaves:
    """A function of coalitions: `constant` plus the values of all leaves whose conditions hold.

    Attributes:
        constant: a score.
        values: float64 (L,).
        kept: bool (L, R), the regions that have to be kept.
        removed: bool (L, R), the regions that have to be removed; none that has to be kept too.
    """

    constant: float
    values: NDArray[np.float64]
    kept: Kept
    removed: Kept

    @staticmethod
    def linear(constant: float, coefficients: NDArray[np.float64]) -> Leaves:
        """A sum over the regions that are kept."""
        some = np.flatnonzero(coefficients)
        kept = np.zeros((len(some), len(coefficients)), dtype=bool)
        kept[np.arange(len(some)), some] = True
        return Leaves(constant, coefficients[some], kept, np.zeros_like(kept))

    def __call__(self, kept: Kept) -> Scores:
        """Scores float64 (S,) of coalitions bool (S, R)."""
        # Conditions that fail: regions to keep that are removed, and the other way round. Small whole numbers are
        # exact in float32.
        signs = self.kept.astype(np.float32) - self.removed.astype(np.float32)
        failing = self.kept.sum(axis=1, dtype=np.float32) - kept.astype(np.float32) @ signs.T
        return self.constant + (failing < 0.5) @ self.values

    def shapley(self) -> Attribution:
        """Shapley values (R,), none kept as the baseline: exact interventional TreeSHAP.

        Source: Lundberg et al. 2020, algorithm 3; a leaf that needs a regions kept and b removed gives
        (a - 1)! b! / (a + b)! of its value to each of the former and takes a! (b - 1)! / (a + b)! from the latter.
        """
        a, b = self.kept.sum(axis=1), self.removed.sum(axis=1)
        both = gammaln(a + b + 1)
        gives = np.exp(gammaln(np.maximum(a, 1)) + gammaln(b + 1) - both)
        takes = np.exp(gammaln(a + 1) + gammaln(np.maximum(b, 1)) - both)
        found: Attribution = (self.values * gives) @ self.kept - (self.values * takes) @ self.removed
        return found

    def mean(self, p_keep: float) -> float:
        """The mean score where each region is kept independently with probability `p_keep`."""
        return float(self.constant + (self.values * self._chance(p_keep)).sum())

    def effect_on_mean(self, p_keep: float) -> Attribution:
        """How much larger the mean score (R,) is where a region is kept for certain."""
        expected = self.values * self._chance(p_keep)
        found: Attribution = (expected * (1 / p_keep - 1)) @ self.kept - expected @ self.removed
        return found

    def _chance(self, p_keep: float) -> NDArray[np.float64]:
        chance: NDArray[np.float64] = p_keep ** self.kept.sum(axis=1) * (1 - p_keep) ** self.removed.sum(axis=1)
        return chance


def boosted_trees(
    kept: Kept,
    scores: Scores,
    rng: np.random.Generator,
    *,
    n_trees: int = 150,
    depth: int = 6,
    learning_rate: float = 0.1,
    subsample: float = 0.8,
) -> Leaves:
    """Fit an ensemble of trees to scores by stochastic gradient boosting with the squared error.

    Source: Friedman 2002.

    Args:
        kept: bool (S, R).
        scores: float (S,).
        rng: says which rows each tree sees.
        n_trees: trees.
        depth: splits on a path at most.
        learning_rate: share of its fit that a tree adds.
        subsample: share of the rows that a tree sees.
    """
    x = kept.astype(np.float64)
    constant = float(scores.mean())
    left = scores - constant
    share = min(subsample, _MOST_ROWS / len(x))
    parts: list[tuple[NDArray[np.float64], Kept, Kept]] = []
    for _ in range(n_trees):
        seen = (rng.random(len(x)) < share).astype(np.float64)
        leaf, kept_of, removed_of = _grown(x, seen, seen * left, depth)
        n_leaves = len(kept_of)
        mass = np.bincount(leaf, seen, n_leaves) + _REGULARIZATION
        values = learning_rate * np.bincount(leaf, seen * left, n_leaves) / mass
        left = left - values[leaf]
        parts.append((values, kept_of, removed_of))
    values, kept_of, removed_of = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Leaves(constant, values, kept_of, removed_of)


def _grown(
    x: NDArray[np.float64], weights: NDArray[np.float64], moments: NDArray[np.float64], depth: int
) -> tuple[NDArray[np.intp], Kept, Kept]:
    """The leaf of each row (S,), and what each leaf needs kept and removed (L, R)."""
    rows, n_regions = np.arange(len(x)), x.shape[1]
    leaf = np.zeros(len(x), dtype=np.intp)
    kept, removed = np.zeros((1, n_regions), dtype=bool), np.zeros((1, n_regions), dtype=bool)
    for _ in range(depth):
        region, worth = _best_splits(x, leaf, len(kept), weights, moments)
        split = np.flatnonzero(worth)
        if not len(split):
            break
        new = np.full(len(kept), -1)
        new[split] = len(kept) + np.arange(len(split))
        moving = worth[leaf] & (x[rows, region[leaf]] > 0)
        kept_too = kept[split]
        kept_too[np.arange(len(split)), region[split]] = True
        kept, removed = np.concatenate([kept, kept_too]), np.concatenate([removed, removed[split]])
        removed[split, region[split]] = True
        leaf = np.where(moving, new[leaf], leaf)
    return leaf, kept, removed


def _best_splits(
    x: NDArray[np.float64],
    leaf: NDArray[np.intp],
    n_leaves: int,
    weights: NDArray[np.float64],
    moments: NDArray[np.float64],
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The region (L,) by which to split each leaf, and whether (L,) that is worth it."""
    rows = np.arange(len(x))
    membership = np.zeros((2 * n_leaves, len(x)))
    membership[leaf, rows] = weights
    membership[n_leaves + leaf, rows] = moments
    sums, totals = membership @ x, membership.sum(axis=1)[:, None]
    mass, moment = sums[:n_leaves], sums[n_leaves:]
    rest, rest_moment = totals[:n_leaves] - mass, totals[n_leaves:] - moment
    r = _REGULARIZATION
    before = totals[n_leaves:] ** 2 / (totals[:n_leaves] + r)
    gain = moment**2 / (mass + r) + rest_moment**2 / (rest + r) - before
    gain[(mass < _LEAST) | (rest < _LEAST)] = 0
    largest = gain.max()
    if largest <= 0:
        return np.zeros(n_leaves, dtype=np.intp), np.zeros(n_leaves, dtype=bool)
    gain = np.round(gain / largest, _DIGITS)
    return gain.argmax(axis=1), gain.max(axis=1) > 0
