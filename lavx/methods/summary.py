"""Summary: what the scores of all coalitions say of each region.

Every summary takes coalitions, their scores (S,), the score of the clip (`full`) and that of the baseline
(`empty`), and gives an attribution float64 (R,): larger = more important for the target. `check` refuses a
selection whose rows it cannot use, when the method is put together; `check_coalitions` refuses coalitions
that leave a region without a value, before a forward pass is spent on them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from lavx import checks
from lavx.types import Attribution, Coalitions, Estimate, Kept, Scores, Selection

# No direction of the regression counts as better known than this part of what all coalitions tell of it. With
# fewer than about five samples a region the weakest ones are mostly noise: at two a region the error of plain
# least squares is 5 to 10 times as large. With more samples, or all of them, nothing is that weak.
_FLOOR = 0.1

_NO_WEIGHT = 1e-12  # what the most similar coalition has to exceed


def _checked(coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Scores:
    scores = np.asarray(scores, dtype=np.float64)
    if scores.shape != (len(coalitions),):
        raise ValueError(
            f"scores must be ({len(coalitions)},), one a coalition, got an array of shape {scores.shape}"
        )
    bad = int(np.count_nonzero(~np.isfinite(scores)))
    if bad:
        raise ValueError(f"{bad} of {len(scores)} scores are NaN or infinite; check the network's output")
    if not (math.isfinite(full) and math.isfinite(empty)):
        raise ValueError(f"the scores of the clip and the baseline must be finite, got {full} and {empty}")
    return scores


def _similarity(kept: Kept, kernel_width: float) -> NDArray[np.float64]:
    """Weight of each coalition by its similarity to the clip, (S,) in [0, 1]: sqrt(exp(-d^2 / width^2)).

    d is the cosine distance of the row to all-kept: 1 - sqrt(share of regions kept), 1 for the empty row.
    """
    distance = 1 - np.sqrt(kept.mean(axis=1))
    return np.sqrt(np.exp(-(distance**2) / kernel_width**2))


def _check_similarity(coalitions: Coalitions, kernel_width: float) -> None:
    if _similarity(coalitions.kept, kernel_width).max(initial=0) < _NO_WEIGHT:
        raise ValueError(
            f"with kernel_width={kernel_width} every coalition is so unlike the clip that its weight is 0: raise "
            f"kernel_width (0.25 is usual), or keep more regions a sample"
        )


def _by_unit(coalitions: Coalitions, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of the rows (S, ...) of each unit that was drawn: (U, ...)."""
    units, rows = coalitions.units[coalitions.drawn], rows[coalitions.drawn]
    if not len(units):
        return rows
    order = np.argsort(units, kind="stable")
    starts = np.flatnonzero(np.diff(units[order], prepend=-1))
    return rows if len(starts) == len(rows) else np.add.reduceat(rows[order], starts, axis=0)


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
    own = _by_unit(coalitions, kept * weights[:, None])
    moves = _by_unit(coalitions, kept * (weights * scores)[:, None]) - attribution * own
    rest = total - own
    unknown = rest <= _NO_WEIGHT * total  # no other unit keeps the region
    influence = np.where(unknown, np.inf, moves / np.where(unknown, 1.0, rest))
    own_weight = _by_unit(coalitions, weights)
    of_mean = (_by_unit(coalitions, weights * scores) - neutral * own_weight) / (weights.sum() - own_weight)
    factor = math.sqrt(max(0, len(own) - 1) / len(own))
    return Estimate(attribution, factor * influence, neutral, factor * of_mean)


def _some(regions: NDArray[np.int64]) -> str:
    listed = ", ".join(map(str, regions[:5]))
    return f"{listed}, ..." if len(regions) > 5 else listed


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
        _check_similarity(coalitions, self.kernel_width)

    def __call__(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Attribution:
        """Attribution (R,) in score a region."""
        scores = _checked(coalitions, scores, full, empty)
        kept = np.concatenate([np.ones((1, coalitions.kept.shape[1]), dtype=bool), coalitions.kept])
        weights = _similarity(kept, self.kernel_width)
        # Cholesky: exact, where scikit-learn's iterative solvers stop at a tolerance.
        surrogate = _linear_model().Ridge(alpha=self.alpha, solver="cholesky")
        surrogate.fit(kept.astype(np.float64), np.append(full, scores), sample_weight=weights)
        attribution: Attribution = surrogate.coef_
        return attribution


@dataclass(frozen=True)
class ShapleyRegression:
    """Shapley values by least squares with the Shapley kernel's weights: Kernel SHAP.

    Constrained to share out exactly full - empty, at any number of samples, and exact with all of them. With
    fewer than about five a region, what they hardly tell is shrunk toward equal shares.

    Source: Lundberg and Lee 2017, theorem 2.
    """

    def check(self, selection: Selection) -> None:
        """Raise ValueError if the selection's weights are not those of the Shapley kernel."""
        if selection.kind != "shapley":
            raise ValueError(
                f"ShapleyRegression needs coalitions that carry the Shapley kernel's weights, and those of "
                f"{type(selection).__name__} do not: use the selection ShapleyKernel, or the summary Ridge for a "
                f"regression on any coalitions"
            )

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
        scores = _checked(coalitions, scores, full, empty)
        n_regions = coalitions.kept.shape[1]
        equal = (full - empty) / n_regions
        if n_regions == 1:
            return np.array([equal])
        # The values are equal shares plus a deviation u whose sum is 0, because all values must add up to
        # full - empty. Taking the mean off each row removes what it cannot tell of such a u: the rows have no
        # part along the constant direction any more, so that the solution of least norm has none either and
        # fulfils the constraint by itself. What is left to be explained are the scores minus those that equal
        # shares predict.
        share = coalitions.kept.mean(axis=1)
        root = np.sqrt(coalitions.weights)
        x = (coalitions.kept - share[:, None]) * root[:, None]
        y = (scores - empty - share * (full - empty)) * root
        values, vectors = linalg.eigh(x.T @ x)
        # An eigenvalue is how much the coalitions tell of a direction. Of all coalitions every direction but the
        # constant one has the same, by symmetry. Drawn ones have about that in the mean, but next to nothing in
        # some directions, and dividing by it would blow up their noise. The floor leaves what is well known as it
        # is and shrinks the rest toward u = 0.
        floor = _FLOOR * values.sum() / (n_regions - 1)
        u = vectors @ (vectors.T @ (x.T @ y) / np.maximum(values, floor))
        return equal + u - u.mean()


def _check_kept(coalitions: Coalitions) -> None:
    never = np.flatnonzero(~coalitions.kept.any(axis=0))
    if len(never):
        raise ValueError(
            f"{len(never)} of {coalitions.kept.shape[1]} regions ({_some(never)}) are kept in none of the "
            f"{len(coalitions)} samples, so they have no mean: raise n_samples, or keep more regions a sample"
        )


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
        _check_kept(coalitions)

    def __call__(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Attribution:
        """Attribution (R,), a score."""
        scores = _checked(coalitions, scores, full, empty)
        _check_kept(coalitions)
        return (coalitions.weights * scores) @ coalitions.kept / (coalitions.weights @ coalitions.kept)

    def estimate(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Estimate:
        """The same with its sampling error; neutral is the mean score."""
        scores = _checked(coalitions, scores, full, empty)
        _check_kept(coalitions)
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
        _check_kept(coalitions)
        _check_similarity(coalitions, self.kernel_width)

    def __call__(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Attribution:
        """Attribution (R,), a score."""
        scores = _checked(coalitions, scores, full, empty)
        self.check_coalitions(coalitions)
        weights = coalitions.weights * _similarity(coalitions.kept, self.kernel_width)
        return (weights * scores) @ coalitions.kept / (weights @ coalitions.kept)

    def estimate(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Estimate:
        """The same with its sampling error; neutral is the mean score, so weighted."""
        scores = _checked(coalitions, scores, full, empty)
        self.check_coalitions(coalitions)
        return _mean_estimate(
            coalitions, scores, coalitions.weights * _similarity(coalitions.kept, self.kernel_width)
        )


def _check_one_by_one(summary: object, selection: Selection) -> None:
    if selection.kind not in ("leave_one_out", "only_one"):
        raise ValueError(
            f"{type(summary).__name__} needs one sample a region, and those of {type(selection).__name__} mix "
            f"regions: use the selection LeaveOneOut or OnlyOne, or the summary MeanWhenKept or Ridge"
        )


def _leaves_one_out(coalitions: Coalitions) -> bool:
    """Whether row i leaves out region i (else it keeps region i only)."""
    kept = coalitions.kept
    if kept.shape[0] == kept.shape[1]:
        one = np.eye(len(kept), dtype=bool)
        if np.array_equal(kept, ~one):
            return True
        if np.array_equal(kept, one):
            return False
    raise ValueError(
        f"the {kept.shape[0]} samples of {kept.shape[1]} regions are neither all but one region nor only one, in "
        f"the order of the regions: use all coalitions of LeaveOneOut or OnlyOne"
    )


@dataclass(frozen=True)
class Difference:
    """What the score loses without a region, or gains from it alone.

    LeaveOneOut: full - score without the region; OnlyOne: score of the region alone - empty.

    Source: Lei et al. 2018 (LOCO), section 6; Zeiler and Fergus 2014.
    """

    def check(self, selection: Selection) -> None:
        """Raise ValueError for any selection but LeaveOneOut and OnlyOne."""
        _check_one_by_one(self, selection)

    def check_coalitions(self, coalitions: Coalitions) -> None:
        """Raise ValueError if the coalitions are not one a region, in order."""
        _leaves_one_out(coalitions)

    def __call__(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Attribution:
        """Attribution (R,) in score."""
        scores = _checked(coalitions, scores, full, empty)
        return full - scores if _leaves_one_out(coalitions) else scores - empty


@dataclass(frozen=True)
class Value:
    """The score itself, its sign turned where a high one speaks against the region.

    OnlyOne: the score of the region alone; LeaveOneOut: minus the score without it. The order of the
    regions is that of `Difference`; zero means nothing here.

    Source: Zeiler and Fergus 2014 (the raw value without a window, cold = important).
    """

    def check(self, selection: Selection) -> None:
        """Raise ValueError for any selection but LeaveOneOut and OnlyOne."""
        _check_one_by_one(self, selection)

    def check_coalitions(self, coalitions: Coalitions) -> None:
        """Raise ValueError if the coalitions are not one a region, in order."""
        _leaves_one_out(coalitions)

    def __call__(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Attribution:
        """Attribution (R,), a score or minus a score."""
        scores = _checked(coalitions, scores, full, empty)
        return -scores if _leaves_one_out(coalitions) else scores.copy()


@dataclass(frozen=True)
class PermutationMean:
    """What a region adds when it comes, on average over the permutations: estimates the Shapley value.

    Shares out exactly full - empty.

    Source: Castro et al. 2009.
    """

    def check(self, selection: Selection) -> None:
        """Raise ValueError for any selection but permutations."""
        if selection.kind != "permutation":
            raise ValueError(
                f"PermutationMean needs samples that add one region after the other, and those of "
                f"{type(selection).__name__} do not: use the selection Permutation"
            )

    def check_coalitions(self, coalitions: Coalitions) -> None:
        """Raise ValueError if the rows are not whole permutations, one after the other."""
        n_rows, n_regions = coalitions.kept.shape
        if not _whole_permutations(coalitions.kept):
            raise ValueError(
                f"the {n_rows} samples are not whole permutations of {n_regions} regions, {n_regions - 1} samples "
                f"each: use the selection Permutation"
            )

    def __call__(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Attribution:
        """Attribution (R,) in score a region, in sum full - empty."""
        scores = _checked(coalitions, scores, full, empty)
        self.check_coalitions(coalitions)
        n_regions = coalitions.kept.shape[1]
        if n_regions == 1:
            return np.array([full - empty])
        # The score's path along each permutation, from the baseline to the clip: its steps are what each region
        # adds. A region at place p is missing from the first p rows, so that its place is read off their sum.
        walks = coalitions.kept.reshape(-1, n_regions - 1, n_regions)
        places = n_regions - 1 - walks.sum(axis=1)
        ends = np.full((len(walks), 1), 1.0)
        path = np.concatenate([empty * ends, scores.reshape(len(walks), -1), full * ends], axis=1)
        return np.take_along_axis(np.diff(path, axis=1), places, axis=1).mean(axis=0)


def _whole_permutations(kept: Kept) -> bool:
    """Whether the rows keep 1, 2, ..., R - 1 regions and so on, none of them given up again within R - 1 rows."""
    n_rows, n_regions = kept.shape
    if n_regions == 1:
        return n_rows == 0
    if n_rows == 0 or n_rows % (n_regions - 1):
        return False
    walks = kept.reshape(-1, n_regions - 1, n_regions)
    counted = (walks.sum(axis=2) == np.arange(1, n_regions)).all()
    return bool(counted and not (walks[:, :-1] & ~walks[:, 1:]).any())
