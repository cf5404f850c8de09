"""Estimates that a surrogate makes better: what is exact of a fitted function, corrected on rows it did not see.

The units (independent draws) are dealt to folds. For each fold a surrogate is fitted to the others; its own
attribution is exact, and what it leaves of the held-out scores is estimated without bias from those. The sum of
both is unbiased too, with a variance that falls with the surrogate's error. It is shrunk toward the surrogate as
far as the two tell about each other's errors, which vanishes as samples are added: a surrogate that is wrong is
corrected, so that the estimate stays consistent whatever the surrogate.

Sources: Witter et al. 2025 (regression-adjusted Monte Carlo estimates of Shapley values, arXiv 2506.11849); Butler
et al. 2025 (ProxySPEX, boosted trees as the surrogate, arXiv 2505.17495); Efron and Morris 1975 (shrinkage);
Chernozhukov et al. 2018 (cross-fitting).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from lavx import checks
from lavx.methods.summary.boosting import Leaves, boosted_trees
from lavx.methods.summary.regression import ShapleyRegression
from lavx.methods.summary.rows import by_unit, check_shapley, checked
from lavx.types import Attribution, Coalitions, Estimate, Kept, Scores, Selection

SURROGATES = ("trees", "linear")

_MODERATION = 4.0  # degrees of freedom that the pooled variance counts for beside the folds' own

# All rows count the same in a fit. By the Shapley kernel's weights, few rows near all and none would decide it.
Fit = Callable[[Kept, Scores, np.random.Generator], Leaves]


def _sparse_linear(kept: Kept, scores: Scores, rng: np.random.Generator) -> Leaves:
    """The lasso, its penalty by cross-validation."""
    from sklearn.linear_model import LassoCV

    x = kept.astype(np.float64)
    if np.ptp(scores) == 0:
        return Leaves.linear(float(scores[0]), np.zeros(x.shape[1]))
    fitted = LassoCV(cv=5, alphas=30, tol=1e-3, max_iter=5000).fit(x, scores)
    return Leaves.linear(float(fitted.intercept_), fitted.coef_)


_FITS: dict[str, Fit] = {"trees": boosted_trees, "linear": _sparse_linear}


@dataclass(frozen=True)
class _Fold:
    """Rows (S,) that are held out, and the surrogate fitted to the others."""

    held_out: NDArray[np.bool_]
    surrogate: Leaves


def _folds(coalitions: Coalitions, scores: Scores, surrogate: str, n_folds: int) -> list[_Fold]:
    """Surrogates, each fitted without one fold of the units; rows that are listed in full are in no fold."""
    rng = np.random.default_rng(0)
    units, number = np.unique(coalitions.units, return_inverse=True)
    n_units = int((units >= 0).sum())
    n_folds = min(n_folds, n_units)
    fold_of = np.concatenate([np.full(len(units) - n_units, -1), rng.permutation(n_units) % n_folds])[number]
    folds = []
    for k in range(n_folds):
        seen = fold_of != k
        fitted = _FITS[surrogate](coalitions.kept[seen], scores[seen], rng)
        folds.append(_Fold(~seen, fitted))
    return folds


def _residuals(coalitions: Coalitions, folds: list[_Fold], of: Callable[[Leaves, Kept], Scores]) -> Scores:
    """What the surrogates say of rows that they did not see; of rows listed in full, what they say in the mean."""
    said = np.zeros(len(coalitions))
    listed = ~coalitions.drawn
    for fold in folds:
        said[fold.held_out] = of(fold.surrogate, coalitions.kept[fold.held_out])
        if listed.any():
            said[listed] += of(fold.surrogate, coalitions.kept[listed]) / len(folds)
    return said


def _combined(surrogates: NDArray[np.float64], correction: Attribution, moves: NDArray[np.float64]) -> Estimate:
    """The surrogates' effects with the correction from held-out rows, each as far as it can be trusted.

    Args:
        surrogates: float (K, R), the exact effects of each fold's surrogate.
        correction: float (R,), the unbiased estimate of what they lack.
        moves: float (U, R), how far each unit moves the correction.
    """
    n_folds, effect = len(surrogates), surrogates.mean(axis=0)
    # Surrogates are shrunk, all effects in about the same proportion, which all regions together tell well.
    lacking = _lacking(effect, correction, moves)
    rest = correction - lacking * effect
    # How far the corrected surrogates may be off: a jackknife over folds, its few degrees of freedom moderated
    # by a variance that all regions share (Smyth 2004), and what the rest shows beyond that.
    spread = (1 + lacking) * (surrogates - effect) * np.sqrt((n_folds - 1) / n_folds)
    own = (spread**2).sum(axis=0)
    pooled = _pooled(own, effect)
    variance = (_MODERATION * pooled + (n_folds - 1) * own) / (_MODERATION + n_folds - 1)
    noise = (moves**2).sum(axis=0)
    # Both estimates err with the same scores, the unbiased one by more: all that their difference shows beyond its
    # noise is bias of the surrogates.
    bias = max(0.0, float(np.mean(rest**2 - noise)))
    beyond = np.maximum(noise - variance, 0)
    trust = np.divide(bias, bias + noise, out=np.zeros_like(noise), where=bias + noise > 0)
    attribution = (1 + lacking) * effect + trust * rest
    of_units = trust * moves
    missing = variance + trust * beyond - (of_units**2).sum(axis=0)
    of_folds = spread * np.sqrt(np.divide(missing, own, out=np.zeros_like(own), where=own > 0))
    alone = np.where(own > 0, 0.0, np.sqrt(np.maximum(missing, 0)))
    influence = np.concatenate([of_units, of_folds, np.diag(alone)[alone > 0]])
    more: dict[str, float | None] = {"surrogate_corrected_by": lacking, "trust_in_correction": float(trust.mean())}
    return Estimate(attribution, influence, more=more)


def _lacking(effect: Attribution, correction: Attribution, moves: NDArray[np.float64]) -> float:
    """The share of its effects that a surrogate lacks, by regression, less what that owes to noise."""
    size = float(effect @ effect)
    if size == 0:
        return 0.0
    share = float(effect @ correction) / size
    noise = float(((moves @ effect) ** 2).sum()) / size**2
    return share * max(0.0, 1 - noise / share**2) if share > 0 else 0.0


def _pooled(variance: NDArray[np.float64], effect: NDArray[np.float64]) -> NDArray[np.float64]:
    """The variance (R,) to expect by the size of an effect: a constant plus a share of its square."""
    squares = effect**2
    weights = 1 / (variance.mean() + 0.1 * squares + np.finfo(float).tiny)
    terms = np.stack([np.ones_like(squares), squares], axis=1)
    shares, _ = nnls(terms * weights[:, None], variance * weights)
    return terms @ shares


def _check_parameters(summary: Any) -> None:
    checks.one_of("surrogate", summary.surrogate, SURROGATES)
    checks.whole("n_folds", summary.n_folds, 2)


def _check_units(summary: object, coalitions: Coalitions) -> None:
    n_units = len(np.unique(coalitions.units[coalitions.drawn]))
    if coalitions.drawn.any() and n_units < 2:
        raise ValueError(
            f"{type(summary).__name__} holds out independent draws, and there is only {n_units}: raise n_samples"
        )


@dataclass(frozen=True)
class CrossFittedShapley:
    """Shapley values: those of a surrogate, corrected by Kernel SHAP on the rows that it did not see.

    Shares out exactly full - empty, at any number of samples, and exact with all of them.

    Source: see `lavx.methods.summary.cross_fitting`; Covert and Lee 2021 (unbiased Kernel SHAP).

    Args:
        surrogate: "trees" (boosted) or "linear" (sparse).
        n_folds: folds of the independent draws, >= 2.
    """

    surrogate: str = "trees"
    n_folds: int = 5

    def __post_init__(self) -> None:
        _check_parameters(self)

    def check(self, selection: Selection) -> None:
        """Raise ValueError if the selection's weights are not those of the Shapley kernel."""
        check_shapley(self, selection)

    def check_coalitions(self, coalitions: Coalitions) -> None:
        """Raise ValueError for rows that keep all regions or none, for no rows, and for a single draw."""
        ShapleyRegression().check_coalitions(coalitions)
        _check_units(self, coalitions)

    def __call__(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Attribution:
        """Attribution (R,) in score a region, in sum full - empty."""
        return self.estimate(coalitions, scores, full, empty).attribution

    def estimate(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Estimate:
        """The same with its sampling error."""
        scores = checked(coalitions, scores, full, empty)
        self.check_coalitions(coalitions)
        n_regions = coalitions.kept.shape[1]
        if not coalitions.drawn.any():
            return ShapleyRegression().estimate(coalitions, scores, full, empty)
        # What equal shares do not explain: 0 for the clip and for the baseline, Shapley values in sum 0.
        share = coalitions.kept.mean(axis=1)
        uneven = scores - empty - share * (full - empty)
        folds = _folds(coalitions, uneven, self.surrogate, self.n_folds)
        residual = uneven - _residuals(coalitions, folds, _uneven)
        # All coalitions together tell the same of every direction, 1 / (2 H) by the harmonic number H of R - 1.
        told = 1 / (2 * np.sum(1 / np.arange(1, n_regions)))
        rows = (coalitions.kept - share[:, None]) * (coalitions.weights * residual / told)[:, None]
        rows -= rows.mean(axis=1, keepdims=True)
        effects = np.stack([fold.surrogate.shapley() for fold in folds])
        effects -= effects.mean(axis=1, keepdims=True)
        found = _combined(effects, rows.sum(axis=0), by_unit(coalitions, rows))
        even = (full - empty) / n_regions
        attribution = found.attribution - found.attribution.mean() + even
        return Estimate(attribution, found.influence, more=found.more)


def _uneven(surrogate: Leaves, kept: Kept) -> Scores:
    """What a surrogate says of coalitions beyond what equal shares do."""
    full, empty = surrogate(np.stack([np.ones(kept.shape[1], bool), np.zeros(kept.shape[1], bool)]))
    scores: Scores = surrogate(kept) - empty - kept.mean(axis=1) * (full - empty)
    return scores


@dataclass(frozen=True)
class CrossFittedMean:
    """Mean score of the samples that keep a region, by a surrogate and what it lacks on the rows it did not see.

    Estimates what `MeanWhenKept` does, with less noise: that one is the case of a surrogate that knows nothing.
    Only for regions that are kept independently of each other, with the same probability. Of a linear surrogate
    with slopes b and that probability p the mean is that of all samples plus (1 - p) b.

    Source: see `lavx.methods.summary.cross_fitting`; Petsiuk et al. 2018 (RISE); Lin 2013 (regression adjustment).

    Args:
        surrogate: "trees" (boosted) or "linear" (sparse).
        n_folds: folds of the independent draws, >= 2.
    """

    surrogate: str = "trees"
    n_folds: int = 5

    def __post_init__(self) -> None:
        _check_parameters(self)

    def check(self, selection: Selection) -> None:
        """Raise ValueError if the selection does not keep each region independently of the others."""
        if selection.kind != "independent":
            raise ValueError(
                f"CrossFittedMean needs regions that are kept independently of each other, and those of "
                f"{type(selection).__name__} are not: use the selection Bernoulli, or the summary MeanWhenKept"
            )

    def check_coalitions(self, coalitions: Coalitions) -> None:
        """Raise ValueError if there is a single draw, or if all regions are always kept or never."""
        _check_units(self, coalitions)
        if not 0 < coalitions.kept.mean() < 1:
            raise ValueError("the samples keep all regions or none, so that they tell nothing: raise n_samples")

    def __call__(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Attribution:
        """Attribution (R,), a score."""
        return self.estimate(coalitions, scores, full, empty).attribution

    def estimate(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Estimate:
        """The same with its sampling error; neutral is the mean score."""
        scores = checked(coalitions, scores, full, empty)
        self.check_coalitions(coalitions)
        p_keep, n_rows = float(coalitions.kept.mean()), len(scores)
        folds = _folds(coalitions, scores, self.surrogate, self.n_folds)
        residual = scores - _residuals(coalitions, folds, Leaves.__call__)
        lacking = residual.mean()
        neutral = float(np.mean([fold.surrogate.mean(p_keep) for fold in folds]) + lacking)
        rows = (coalitions.kept / p_keep - 1) * ((residual - lacking) / n_rows)[:, None]
        effects = np.stack([fold.surrogate.effect_on_mean(p_keep) for fold in folds])
        found = _combined(effects, rows.sum(axis=0), by_unit(coalitions, rows))
        assert found.influence is not None
        of_mean = np.zeros(len(found.influence))
        moves = by_unit(coalitions, (residual - lacking) / n_rows)
        of_mean[: len(moves)] = moves
        return Estimate(
            neutral + found.attribution,
            found.influence + of_mean[:, None],
            neutral,
            of_mean,
            found.more,
        )
