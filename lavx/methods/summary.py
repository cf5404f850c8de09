"""Summary: what the scores of all samples say of each region.

Every summary takes coalitions, their scores (S,), the score of the clip (`full`) and that of the baseline
(`empty`), and gives an attribution float64 (R,): larger = more important for the target. `check` refuses a
selection whose rows it cannot use, when the method is put together; `check_coalitions` refuses coalitions
that leave a region without a value, before the network has seen one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from lavx.types import Coalitions, Scores, Selection

# No direction of the regression counts as better known than this part of what all coalitions tell of it. With
# fewer than about five samples a region the weakest ones are mostly noise: at two a region the error of plain
# least squares is 5 to 10 times as large. With more samples, or all of them, nothing is that weak.
_FLOOR = 0.1


def _checked(coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Scores:
    scores = np.asarray(scores, dtype=np.float64)
    if scores.shape != (len(coalitions.kept),):
        raise ValueError(
            f"scores must be ({len(coalitions.kept)},), one a coalition, got an array of shape {scores.shape}"
        )
    bad = int(np.count_nonzero(~np.isfinite(scores)))
    if bad:
        raise ValueError(f"{bad} of {len(scores)} scores are NaN or infinite; check the network's output")
    if not (math.isfinite(full) and math.isfinite(empty)):
        raise ValueError(f"the scores of the clip and the baseline must be finite, got {full} and {empty}")
    return scores


def _check_positive(name: str, value: float) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a number > 0, got {value!r}")


def _similarity(kept: NDArray[np.bool_], kernel_width: float) -> Scores:
    """Weight of each coalition by its likeness to the clip, (S,) in [0, 1]: sqrt(exp(-d^2 / width^2)).

    d is the cosine distance of the row to all-kept: 1 - sqrt(share of regions kept), 1 for the empty row.
    """
    distance = 1 - np.sqrt(kept.mean(axis=1))
    return np.sqrt(np.exp(-(distance**2) / kernel_width**2))


def _check_similarity(coalitions: Coalitions, kernel_width: float) -> None:
    similarity = _similarity(coalitions.kept, kernel_width)
    if similarity.max(initial=0) < 1e-12:
        raise ValueError(
            f"with kernel_width={kernel_width} every sample is so unlike the clip that its weight is 0. "
            f"Raise method.summary.kernel_width (0.25 is usual) or keep more regions a sample."
        )


def _some(regions: NDArray[np.int64]) -> str:
    listed = ", ".join(map(str, regions[:5]))
    return f"{listed}, ..." if len(regions) > 5 else listed


@dataclass(frozen=True)
class Ridge:
    """Coefficients of a ridge regression of the scores on the coalitions, those like the clip weighing more.

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
        _check_positive("alpha", self.alpha)
        _check_positive("kernel_width", self.kernel_width)

    def check(self, selection: Selection) -> None:
        """Any selection will do."""

    def check_coalitions(self, coalitions: Coalitions) -> None:
        """Refuse coalitions that all weigh nothing.

        Raises:
            ValueError: with the reason.
        """
        _check_similarity(coalitions, self.kernel_width)

    def __call__(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Scores:
        """Attribution (R,) in score a region."""
        scores = _checked(coalitions, scores, full, empty)
        kept = np.concatenate([np.ones((1, coalitions.kept.shape[1]), dtype=bool), coalitions.kept])
        weights = _similarity(kept, self.kernel_width)
        y = np.concatenate([[full], scores])
        root = np.sqrt(weights)
        # Centering by the weighted means takes the intercept out of the system.
        x = (kept - np.average(kept, axis=0, weights=weights)) * root[:, None]
        y = (y - np.average(y, weights=weights)) * root
        if x.shape[0] >= x.shape[1]:
            gram = x.T @ x
            gram.flat[:: len(gram) + 1] += self.alpha
            return linalg.solve(gram, x.T @ y, assume_a="pos")
        gram = x @ x.T
        gram.flat[:: len(gram) + 1] += self.alpha
        return x.T @ linalg.solve(gram, y, assume_a="pos")


@dataclass(frozen=True)
class ShapleyRegression:
    """Shapley values by least squares with the Shapley kernel's weights: Kernel SHAP.

    Constrained to share out exactly full - empty, at any number of samples, and exact with all of them. With
    fewer than about five a region, what they hardly tell is shrunk toward equal shares.

    Source: Lundberg and Lee 2017, theorem 2.
    """

    def check(self, selection: Selection) -> None:
        """Refuse any selection but the Shapley kernel's.

        Raises:
            ValueError: with the reason.
        """
        if selection.kind != "shapley":
            raise ValueError(
                f"shapley_regression needs samples that carry the Shapley kernel's weights, and those of a "
                f"selection of kind {selection.kind!r} do not. Use method/selection=shapley_kernel, or "
                f"method/summary=ridge for a regression on any samples."
            )

    def check_coalitions(self, coalitions: Coalitions) -> None:
        """Refuse an empty or a full row, whose kernel weight is infinite, and no rows for several regions.

        Raises:
            ValueError: with the reason.
        """
        sizes = coalitions.kept.sum(axis=1)
        n_regions = coalitions.kept.shape[1]
        bad = int(np.count_nonzero((sizes == 0) | (sizes == n_regions)))
        if bad:
            raise ValueError(
                f"{bad} of {len(sizes)} samples keep all regions or none, where the Shapley kernel is infinite; "
                f"the clip and the baseline are scored besides. Take them out of the selection."
            )
        if not len(sizes) and n_regions > 1:
            raise ValueError(f"there are no samples for {n_regions} regions. Raise method.sampling.n_samples.")

    def __call__(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Scores:
        """Attribution (R,) in score a region, in sum full - empty."""
        scores = _checked(coalitions, scores, full, empty)
        n_regions = coalitions.kept.shape[1]
        share = coalitions.kept.mean(axis=1)
        equal = (full - empty) / n_regions
        # phi = equal shares + u with sum(u) = 0. Rows with their mean taken off see only such a u, so that the
        # solution of least norm fulfils the constraint by itself.
        root = np.sqrt(coalitions.weights)
        x = (coalitions.kept - share[:, None]) * root[:, None]
        y = (scores - empty - share * (full - empty)) * root
        if n_regions == 1:
            return np.array([equal])
        values, vectors = linalg.eigh(x.T @ x)
        # Of all coalitions, every direction but the constant one has the same eigenvalue: their mean.
        floor = _FLOOR * values.sum() / (n_regions - 1)
        u = vectors @ (vectors.T @ (x.T @ y) / np.maximum(values, floor))
        return equal + u - u.mean()


def _check_kept(coalitions: Coalitions) -> None:
    never = np.flatnonzero(~coalitions.kept.any(axis=0))
    if len(never):
        raise ValueError(
            f"{len(never)} of {coalitions.kept.shape[1]} regions ({_some(never)}) are kept in none of the "
            f"{len(coalitions.kept)} samples, so they have no mean. Raise method.sampling.n_samples, or keep "
            f"more regions a sample."
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
        """Refuse coalitions that never keep some region.

        Raises:
            ValueError: naming them.
        """
        _check_kept(coalitions)

    def __call__(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Scores:
        """Attribution (R,), a score."""
        scores = _checked(coalitions, scores, full, empty)
        _check_kept(coalitions)
        return (coalitions.weights * scores) @ coalitions.kept / (coalitions.weights @ coalitions.kept)


@dataclass(frozen=True)
class WeightedMean:
    """Mean score of the samples that keep a region, those like the clip weighing more.

    `MeanWhenKept` with the weights of `Ridge`.

    Args:
        kernel_width: > 0; the smaller, the less samples count that remove much.
    """

    kernel_width: float = 0.25

    def __post_init__(self) -> None:
        _check_positive("kernel_width", self.kernel_width)

    def check(self, selection: Selection) -> None:
        """Any selection will do."""

    def check_coalitions(self, coalitions: Coalitions) -> None:
        """Refuse coalitions that never keep some region, or that all weigh nothing.

        Raises:
            ValueError: with the reason.
        """
        _check_kept(coalitions)
        _check_similarity(coalitions, self.kernel_width)

    def __call__(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Scores:
        """Attribution (R,), a score."""
        scores = _checked(coalitions, scores, full, empty)
        self.check_coalitions(coalitions)
        weights = coalitions.weights * _similarity(coalitions.kept, self.kernel_width)
        return (weights * scores) @ coalitions.kept / (weights @ coalitions.kept)


def _check_one_by_one(summary: str, selection: Selection) -> None:
    if selection.kind not in ("leave_one_out", "only_one"):
        raise ValueError(
            f"{summary} needs one sample a region, and those of a selection of kind {selection.kind!r} mix "
            f"regions. Use method/selection=leave_one_out or only_one with method/sampling=all, or "
            f"method/summary=mean_when_kept or ridge."
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
        f"the order of the regions. Use method/selection=leave_one_out or only_one with method/sampling=all."
    )


@dataclass(frozen=True)
class Difference:
    """What the score loses without a region, or gains from it alone.

    leave_one_out: full - score without the region; only_one: score of the region alone - empty.

    Source: Lei et al. 2018 (LOCO), section 6; Zeiler and Fergus 2014.
    """

    def check(self, selection: Selection) -> None:
        """Refuse any selection but leave_one_out and only_one.

        Raises:
            ValueError: with the reason.
        """
        _check_one_by_one("difference", selection)

    def check_coalitions(self, coalitions: Coalitions) -> None:
        """Refuse coalitions that are not one a region, in order.

        Raises:
            ValueError: with the reason.
        """
        _leaves_one_out(coalitions)

    def __call__(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Scores:
        """Attribution (R,) in score."""
        scores = _checked(coalitions, scores, full, empty)
        return full - scores if _leaves_one_out(coalitions) else scores - empty


@dataclass(frozen=True)
class Value:
    """The score itself, its sign turned where a high one speaks against the region.

    only_one: the score of the region alone; leave_one_out: minus the score without it. The order of the
    regions is that of `Difference`; zero means nothing here.

    Source: Zeiler and Fergus 2014 (the raw value without a window, cold = important).
    """

    def check(self, selection: Selection) -> None:
        """Refuse any selection but leave_one_out and only_one.

        Raises:
            ValueError: with the reason.
        """
        _check_one_by_one("value", selection)

    def check_coalitions(self, coalitions: Coalitions) -> None:
        """Refuse coalitions that are not one a region, in order.

        Raises:
            ValueError: with the reason.
        """
        _leaves_one_out(coalitions)

    def __call__(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Scores:
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
        """Refuse any selection but permutations.

        Raises:
            ValueError: with the reason.
        """
        if selection.kind != "permutation":
            raise ValueError(
                f"permutation_mean needs samples that add one region after the other, and those of a selection "
                f"of kind {selection.kind!r} do not. Use method/selection=permutation."
            )

    def check_coalitions(self, coalitions: Coalitions) -> None:
        """Refuse rows that are not whole permutations.

        Raises:
            ValueError: with the reason.
        """
        n_rows, n_regions = coalitions.kept.shape
        if n_regions == 1:
            whole = n_rows == 0
        else:
            whole = n_rows > 0 and n_rows % (n_regions - 1) == 0
        if whole and n_rows:
            walks = coalitions.kept.reshape(-1, n_regions - 1, n_regions)
            counted = (walks.sum(axis=2) == np.arange(1, n_regions)).all()
            whole = bool(counted and not (walks[:, :-1] & ~walks[:, 1:]).any())
        if not whole:
            raise ValueError(
                f"the {n_rows} samples are not whole permutations of {n_regions} regions, {n_regions - 1} samples "
                f"each. Use method/selection=permutation."
            )

    def __call__(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Scores:
        """Attribution (R,) in score a region, in sum full - empty."""
        scores = _checked(coalitions, scores, full, empty)
        self.check_coalitions(coalitions)
        n_regions = coalitions.kept.shape[1]
        if n_regions == 1:
            return np.array([full - empty])
        walks = coalitions.kept.reshape(-1, n_regions - 1, n_regions)
        places = n_regions - 1 - walks.sum(axis=1)
        ends = np.full((len(walks), 1), 1.0)
        path = np.concatenate([empty * ends, scores.reshape(len(walks), -1), full * ends], axis=1)
        return np.take_along_axis(np.diff(path, axis=1), places, axis=1).mean(axis=0)
