"""References: what a method estimates, without bias, from coalitions drawn for that alone.

What RISE, LIME and Kernel SHAP estimate is linear in the scores: a mean of score times a row of known numbers over
the coalitions. Such a mean is estimated without bias by that of drawn coalitions. To leave less noise, a linear
surrogate is subtracted from the scores, whose own part is known exactly; it is fitted to other coalitions than
those it is subtracted from (cross-fitting), so that nothing is biased whatever it is. Nothing here is shared with
the summaries that are judged: neither the rule by which coalitions are drawn nor the estimate.

Two halves are drawn and estimated by themselves. The reference is their mean; how far they are apart says how far
that is from what it stands for.

Sources: Covert and Lee 2021 (unbiased Kernel SHAP); Witter et al. 2025 (regression-adjusted Monte Carlo, arXiv
2506.11849); Garreau and von Luxburg 2020 (the limit of LIME). Shapes: S coalitions, R regions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from lavx.benchmark.measures import Vector, relative_error
from lavx.explainer import Game
from lavx.methods.selection import Bernoulli
from lavx.types import Kept, Scores

N_FOLDS = 5
LEAST = 20  # samples: each half needs some in each fold

_BLOCK = 500  # samples
_OF_SHAPLEY = ("ShapleyRegression", "PermutationMean")
_ALPHAS = np.logspace(-3, 3, 13)


@dataclass(frozen=True)
class Draws:
    """Coalitions drawn for a reference.

    Attributes:
        kept: bool (S, R).
        weights: float (S,), how much more likely each is among those that the estimand is a mean over.
        units: int (S,), which independent draw each belongs to, ascending.
    """

    kept: Kept
    weights: Vector
    units: NDArray[np.int64]


class Estimand(Protocol):
    """What a method estimates: fixed part + mean of rows(z) f(z) over its coalitions z."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    def draw(self, n_regions: int, n_samples: int, rng: np.random.Generator) -> Draws:
        """Coalitions to estimate it from."""
        ...

    def rows(self, kept: Kept) -> NDArray[np.float64]:
        """What each score counts for each region: (S, R)."""
        ...

    def of_linear(self, constant: float, slopes: Vector, full: float, empty: float) -> Vector:
        """Its value (R,) for the scores constant + kept @ slopes, the fixed part included."""
        ...


@dataclass(frozen=True)
class Shapley:
    """Shapley values; drawn in pairs of complements."""

    @property
    def name(self) -> str:
        """What it is called."""
        return "Shapley values"

    def draw(self, n_regions: int, n_samples: int, rng: np.random.Generator) -> Draws:
        """Pairs whose sizes are drawn such that all count about the same in the estimate."""
        n_pairs = max(1, n_samples // 2)
        sizes = np.arange(1, n_regions)
        kernel = 1 / (sizes * (n_regions - sizes))
        kernel /= kernel.sum()
        chances = np.sqrt(kernel) / np.sqrt(kernel).sum()
        chosen = rng.choice(len(sizes), n_pairs, p=chances)
        first = rng.permuted(np.arange(n_regions) < sizes[chosen][:, None], axis=1)
        kept = np.stack([first, ~first], axis=1).reshape(-1, n_regions)
        weights = np.repeat(kernel[chosen] / chances[chosen], 2)
        return Draws(kept, weights, np.repeat(np.arange(n_pairs), 2))

    def rows(self, kept: Kept) -> NDArray[np.float64]:
        """Kept or not less the share that is kept, over what all coalitions tell of a direction: 1 / (2 H)."""
        told = 1 / (2 * np.sum(1 / np.arange(1, kept.shape[1])))
        found: NDArray[np.float64] = (kept - kept.mean(axis=1, keepdims=True)) / told
        return found

    def of_linear(self, constant: float, slopes: Vector, full: float, empty: float) -> Vector:
        """The slopes, shifted such that their sum is full - empty."""
        return slopes - slopes.mean() + (full - empty) / len(slopes)


@dataclass(frozen=True)
class MeanWhenKept:
    """The mean score where a region is kept, coalitions weighted by their similarity to the clip if asked for.

    Attributes:
        p_keep: the probability with which each region is kept.
        kernel_width: of the similarity; None where all coalitions count the same.
    """

    p_keep: float
    kernel_width: float | None = None

    @property
    def name(self) -> str:
        """What it is called."""
        how = "" if self.kernel_width is None else f", similarity of width {self.kernel_width:g}"
        return f"mean score where kept (p = {self.p_keep:g}{how})"

    def draw(self, n_regions: int, n_samples: int, rng: np.random.Generator) -> Draws:
        """Independent coalitions."""
        return _independent(self.p_keep, n_regions, n_samples, rng)

    def rows(self, kept: Kept) -> NDArray[np.float64]:
        """Kept or not, over the weight of all coalitions that keep the region."""
        moments = _Moments(self.p_keep, self.kernel_width, kept.shape[1])
        found: NDArray[np.float64] = kept * moments.similarity(kept.sum(axis=1))[:, None] / moments.one
        return found

    def of_linear(self, constant: float, slopes: Vector, full: float, empty: float) -> Vector:
        """The slope of a region, and those of the others as often as they are kept with it."""
        moments = _Moments(self.p_keep, self.kernel_width, len(slopes))
        together = moments.two / moments.one
        return constant + slopes + together * (slopes.sum() - slopes)


@dataclass(frozen=True)
class RegressionLimit:
    """The coefficients of LIME's regression on infinitely many samples, where its penalty counts nothing.

    Attributes:
        p_keep: the probability with which each region is kept.
        kernel_width: of the similarity that weighs coalitions.
    """

    p_keep: float
    kernel_width: float

    @property
    def name(self) -> str:
        """What it is called."""
        return f"regression on infinitely many samples (p = {self.p_keep:g}, width {self.kernel_width:g})"

    def draw(self, n_regions: int, n_samples: int, rng: np.random.Generator) -> Draws:
        """Independent coalitions."""
        return _independent(self.p_keep, n_regions, n_samples, rng)

    def rows(self, kept: Kept) -> NDArray[np.float64]:
        """The inverse of the weighted covariance of all coalitions times the weighted, centered row."""
        moments = _Moments(self.p_keep, self.kernel_width, kept.shape[1])
        mean = moments.one / moments.all
        own, shared = moments.one / moments.all - mean**2, moments.two / moments.all - mean**2
        # The covariance is the same between all regions: its inverse is known (Sherman and Morrison 1950).
        alone = own - shared
        centered = (kept - mean) * (moments.similarity(kept.sum(axis=1)) / moments.all)[:, None]
        together = shared / (alone + kept.shape[1] * shared)
        found: NDArray[np.float64] = (centered - together * centered.sum(axis=1, keepdims=True)) / alone
        return found

    def of_linear(self, constant: float, slopes: Vector, full: float, empty: float) -> Vector:
        """The slopes."""
        return slopes


class _Moments:
    """Means over independent coalitions of R regions: of their similarity to the clip, alone and where kept.

    Attributes:
        all: mean similarity.
        one: the same, counted 0 where a certain region is removed.
        two: the same for two regions.
    """

    def __init__(self, p_keep: float, kernel_width: float | None, n_regions: int) -> None:
        self._width, self._n = kernel_width, n_regions
        sizes = np.arange(n_regions + 1)
        mass = binom.pmf(sizes, n_regions, p_keep) * self.similarity(sizes)
        self.all = float(mass.sum())
        self.one = float(mass @ (sizes / n_regions))
        self.two = float(mass @ (sizes * (sizes - 1) / (n_regions * max(1, n_regions - 1))))

    def similarity(self, sizes: NDArray[np.integer]) -> Vector:
        """exp(-d^2 / (2 width^2)), d = 1 - root of the share that is kept."""
        if self._width is None:
            return np.ones(len(sizes))
        distance = 1 - np.sqrt(sizes / self._n)
        found: Vector = np.exp(-(distance**2) / (2 * self._width**2))
        return found


def _independent(p_keep: float, n_regions: int, n_samples: int, rng: np.random.Generator) -> Draws:
    kept = rng.random((n_samples, n_regions)) < p_keep
    return Draws(kept, np.ones(n_samples), np.arange(n_samples))


def estimand_of(method: Any) -> Estimand | None:
    """What a method estimates, by its selection and summary; None where nobody has said it here.

    Methods that score all the coalitions they stand for estimate nothing.
    """
    selection, summary = getattr(method, "selection", None), getattr(method, "summary", None)
    kind, name = getattr(selection, "kind", None), type(summary).__name__
    if kind in ("shapley", "permutation") and name in _OF_SHAPLEY:
        return Shapley()
    if not isinstance(selection, Bernoulli):
        return None
    if name == "MeanWhenKept":
        return MeanWhenKept(selection.p_keep)
    width = getattr(summary, "kernel_width", None)
    if name == "WeightedMean" and width is not None:
        return MeanWhenKept(selection.p_keep, width)
    if name == "Ridge" and width is not None:
        return RegressionLimit(selection.p_keep, width)
    return None


@dataclass(frozen=True)
class Reference:
    """An unbiased estimate of what a method estimates.

    Attributes:
        attribution: float64 (R,).
        std_error: float64 (R,).
        split_half: relative squared error of one half against the other, see `relative_error`, on the scale of
            the whole; None where the attribution is the same everywhere.
        n_samples: coalitions scored.
    """

    attribution: Vector
    std_error: Vector
    split_half: float | None
    n_samples: int

    @property
    def error(self) -> float | None:
        """Its own relative squared error: the mean of two halves errs a quarter of what they are apart."""
        return None if self.split_half is None else self.split_half / 4


def reference(
    game: Game, estimand: Estimand, n_samples: int, stream: Callable[[str], np.random.Generator]
) -> Reference:
    """Estimate what a method estimates.

    Args:
        game: what is played.
        estimand: what the method estimates.
        n_samples: coalitions to score, half of them in each half.
        stream: random streams by name, of which no method takes those of this name.

    Raises:
        ValueError: if there are fewer than 20 samples.
    """
    if n_samples < LEAST:
        raise ValueError(f"a reference takes at least {LEAST} samples, got {n_samples}")
    if game.n_regions == 1 and isinstance(estimand, Shapley):
        return Reference(np.array([game.full - game.empty]), np.zeros(1), 0.0, 0)
    halves = []
    for number in range(2):
        blocks = [
            estimand.draw(game.n_regions, n, stream(f"reference {number} {block}"))
            for block, n in enumerate(_blocks(n_samples // 2))
        ]
        scores = np.concatenate([game(block.kept) for block in blocks])
        draws = _joined(blocks)
        halves.append((*_half(estimand, draws, scores, game.full, game.empty), len(scores)))
    (one, one_error, n), (other, other_error, m) = halves
    attribution = (one + other) / 2
    around = attribution - attribution.mean()
    split = relative_error(around + one - other, around)
    return Reference(attribution, np.hypot(one_error, other_error) / 2, split, n + m)


def _blocks(n_samples: int) -> list[int]:
    """Samples of each block: a larger reference begins with the blocks of a smaller one, and shares its scores."""
    return [min(_BLOCK, n_samples - start) for start in range(0, n_samples, _BLOCK)]


def _joined(blocks: list[Draws]) -> Draws:
    units, n_units = [], 0
    for block in blocks:
        units.append(block.units + n_units)
        n_units += int(block.units[-1]) + 1
    kept, weights = (np.concatenate(part) for part in zip(*((b.kept, b.weights) for b in blocks), strict=True))
    return Draws(kept, weights, np.concatenate(units))


def _half(estimand: Estimand, draws: Draws, scores: Scores, full: float, empty: float) -> tuple[Vector, Vector]:
    """The estimate (R,) from some draws alone, and its standard error."""
    n_units = int(draws.units[-1]) + 1
    n_folds = min(N_FOLDS, n_units)
    fold_of = draws.units % n_folds  # draws are independent of each other and in no order
    total = np.zeros(draws.kept.shape[1])
    rests = np.zeros((n_units, len(total)))
    for fold in range(n_folds):
        held_out = fold_of == fold
        constant, slopes = _fitted(draws.kept[~held_out], scores[~held_out], draws.weights[~held_out])
        total += held_out.sum() * estimand.of_linear(constant, slopes, full, empty)
        rest = scores[held_out] - constant - draws.kept[held_out] @ slopes
        terms = estimand.rows(draws.kept[held_out]) * (draws.weights[held_out] * rest)[:, None]
        np.add.at(rests, draws.units[held_out], terms)
    n_rows = len(scores)
    attribution = (total + rests.sum(axis=0)) / n_rows
    spread = rests.std(axis=0, ddof=1) * np.sqrt(n_units) / n_rows
    return attribution, spread


def _fitted(kept: Kept, scores: Scores, weights: Vector) -> tuple[float, Vector]:
    """Constant and slopes of a ridge regression, its penalty by generalized cross-validation."""
    from sklearn.linear_model import RidgeCV

    if np.ptp(scores) == 0:
        return float(scores[0]), np.zeros(kept.shape[1])
    fitted = RidgeCV(_ALPHAS).fit(kept.astype(np.float64), scores, sample_weight=weights)
    return float(fitted.intercept_), fitted.coef_
