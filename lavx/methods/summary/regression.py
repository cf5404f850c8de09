"""Regressions of the scores on the coalitions: LIME and Kernel SHAP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from lavx import checks
from lavx.methods.summary.rows import by_unit, check_shapley, check_similarity, checked, similarity
from lavx.types import Attribution, Coalitions, Estimate, Scores, Selection

# Penalty of Kernel SHAP on the deviation from equal shares, in what all coalitions tell of a direction, at one
# independent draw a region. With few draws, what they tell of the weakest directions is mostly noise. It falls
# with the number of draws.
_PENALTY = 0.2

_MOST_LEVERAGE = 0.999


def _influence(
    coalitions: Coalitions,
    x: NDArray[np.float64],
    weighted: NDArray[np.float64],
    residual: NDArray[np.float64],
    inverse: NDArray[np.float64],
    information: NDArray[np.float64],
    coefficients: NDArray[np.float64],
) -> NDArray[np.float64] | None:
    """How far each unit moves the coefficients of a penalized regression, and what the penalty takes from each.

    The first is the sandwich by units, each scaled by what its leverage took from its residual (HC2: MacKinnon and
    White 1985). The penalty draws a coefficient to 0 and mixes others into it. By how much is reckoned from the
    coefficients that were found, undone the former, and enters as if each region had a unit of its own.

    Args:
        coalitions: S rows.
        x: float (S, R), the rows of the regression.
        weighted: float (S, R), the same times their weights.
        residual: float (S,).
        inverse: float (R, R), of the information and the penalty.
        information: float (R, R).
        coefficients: float (R,).
    """
    if not coalitions.drawn.any():
        return None
    leverage = by_unit(coalitions, ((weighted @ inverse) * x).sum(axis=1))
    moves = by_unit(coalitions, weighted * residual[:, None]) @ inverse
    moves /= np.sqrt(1 - np.minimum(leverage, _MOST_LEVERAGE))[:, None]
    variance = (moves**2).sum(axis=0)
    passed = inverse @ information
    own = np.diag(passed)
    unshrunk = coefficients / own
    mixed = (passed**2 - np.diag(own**2)) @ np.maximum(0, unshrunk**2 - variance / own**2)
    bias = np.sqrt(((1 - own) * unshrunk) ** 2 + mixed)
    return np.concatenate([moves, np.diag(bias)])


def _linear_model() -> Any:
    # Takes a second to import, which `import lavx` and every other summary can do without.
    from sklearn import linear_model

    return linear_model


@dataclass(frozen=True)
class Ridge:
    """Coefficients of a ridge regression of the scores on the coalitions, those similar to the clip weighing more.

    The same regression as that of the `lime` package: the clip itself is one of the rows, the intercept is not
    penalized, weights are sqrt(exp(-d^2 / kernel_width^2)) with d the cosine distance to the clip.

    Source: Ribeiro et al. 2016, equation 2 and section 3.4.

    Args:
        alpha: penalty on the squared coefficients, > 0.
        kernel_width: > 0; the smaller, the less samples count that remove much.
    """

    alpha: float = 1.0
    kernel_width: float = 0.25

    def __post_init__(self) -> None:
        checks.positive("alpha", self.alpha)
        checks.positive("kernel_width", self.kernel_width)
        _linear_model()  # or the first clip's seconds would hold the import

    def check(self, selection: Selection) -> None:
        """Any selection will do."""

    def check_coalitions(self, coalitions: Coalitions) -> None:
        """Raise ValueError if all coalitions weigh nothing."""
        check_similarity(coalitions, self.kernel_width)

    def estimate(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Estimate:
        """The same with its sampling error, the bias of the penalty among it.

        The penalty is a constant, which counts the less the more samples there are: what is estimated is the
        regression on infinitely many.
        """
        attribution = self(coalitions, scores, full, empty)
        clip = np.ones((1, len(attribution)), dtype=bool)
        weights = similarity(np.concatenate([clip, coalitions.kept]), self.kernel_width)
        x = np.concatenate([clip, coalitions.kept]).astype(np.float64)
        y = np.append(full, scores)
        x, y = x - np.average(x, axis=0, weights=weights), y - np.average(y, weights=weights)
        information = x.T @ (x * weights[:, None])
        inverse = linalg.inv(information + self.alpha * np.eye(len(attribution)))
        rows, residual = x[1:], (y - x @ attribution)[1:]
        weighted = rows * weights[1:, None]
        return Estimate(
            attribution, _influence(coalitions, rows, weighted, residual, inverse, information, attribution)
        )

    def __call__(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Attribution:
        """Attribution (R,) in score a region."""
        scores = checked(coalitions, scores, full, empty)
        kept = np.concatenate([np.ones((1, coalitions.kept.shape[1]), dtype=bool), coalitions.kept])
        weights = similarity(kept, self.kernel_width)
        # Cholesky: exact, where scikit-learn's iterative solvers stop at a tolerance.
        surrogate = _linear_model().Ridge(alpha=self.alpha, solver="cholesky")
        surrogate.fit(kept.astype(np.float64), np.append(full, scores), sample_weight=weights)
        attribution: Attribution = surrogate.coef_
        return attribution


@dataclass(frozen=True)
class ShapleyRegression:
    """Shapley values by least squares with the Shapley kernel's weights: Kernel SHAP.

    Constrained to share out exactly full - empty, at any number of samples, and exact with all of them. With
    few a region, what they hardly tell is shrunk toward equal shares.

    Source: Lundberg and Lee 2017, theorem 2.
    """

    def check(self, selection: Selection) -> None:
        """Raise ValueError if the selection's weights are not those of the Shapley kernel."""
        check_shapley(self, selection)

    def check_coalitions(self, coalitions: Coalitions) -> None:
        """Raise ValueError for an empty or a full row, whose kernel weight is infinite, and for no rows at all.

        A single region needs none: its value is full - empty.
        """
        sizes = coalitions.kept.sum(axis=1)
        n_regions = coalitions.kept.shape[1]
        bad = int(np.count_nonzero((sizes == 0) | (sizes == n_regions)))
        if bad:
            raise ValueError(
                f"{bad} of {len(sizes)} samples keep all regions or none, where the Shapley kernel is infinite: "
                f"leave them out, the clip and the baseline are scored besides"
            )
        if not len(sizes) and n_regions > 1:
            raise ValueError(f"there are no samples for {n_regions} regions: raise n_samples")

    def __call__(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Attribution:
        """Attribution (R,) in score a region, in sum full - empty."""
        return self.estimate(coalitions, scores, full, empty).attribution

    def estimate(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Estimate:
        """The same with its sampling error, the bias of the penalty among it."""
        scores = checked(coalitions, scores, full, empty)
        n_regions = coalitions.kept.shape[1]
        equal = (full - empty) / n_regions
        if n_regions == 1:
            return Estimate(np.array([equal]))
        # The values are equal shares plus a deviation u whose sum is 0, because all values must add up to
        # full - empty. Taking the mean off each row removes what it cannot tell of such a u: the rows have no
        # part along the constant direction any more, so that the solution of least norm has none either and
        # fulfils the constraint by itself. What is left to be explained are the scores minus those that equal
        # shares predict.
        share = coalitions.kept.mean(axis=1)
        x = coalitions.kept - share[:, None]
        y = scores - empty - share * (full - empty)
        weighted = x * coalitions.weights[:, None]
        information = x.T @ weighted
        # What all coalitions tell of a direction: the same of each but the constant one, by symmetry. Drawn ones
        # tell about that in the mean, but next to nothing of some directions.
        told = float(np.trace(information)) / (n_regions - 1)
        n_units = len(np.unique(coalitions.units[coalitions.drawn]))
        by_chance = float(coalitions.weights[coalitions.drawn].sum() / coalitions.weights.sum())
        penalty = _PENALTY * by_chance * (n_regions - 1) / max(1, n_units) * told
        # The constant direction, of which nothing is told, gets what the others have: u has no part there.
        inverse = linalg.inv(information + penalty * np.eye(n_regions) + told / n_regions)
        u = inverse @ (weighted.T @ y)
        influence = _influence(coalitions, x, weighted, y - x @ u, inverse, information, u)
        more: dict[str, float | None] = {"shrinkage": float(1 - np.trace(inverse @ information) / (n_regions - 1))}
        return Estimate(equal + u - u.mean(), influence, more=more)
