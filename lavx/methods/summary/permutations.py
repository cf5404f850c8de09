"""Paths from the baseline to the clip, one region after the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lavx.methods.summary.rows import by_unit, checked
from lavx.types import Attribution, Coalitions, Estimate, Kept, Scores, Selection


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
        return self.estimate(coalitions, scores, full, empty).attribution

    def estimate(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Estimate:
        """The same with its sampling error: the spread of the permutations, antithetic ones together."""
        scores = checked(coalitions, scores, full, empty)
        self.check_coalitions(coalitions)
        n_regions = coalitions.kept.shape[1]
        if n_regions == 1:
            return Estimate(np.array([full - empty]))
        # The score's path along each permutation, from the baseline to the clip: its steps are what each region
        # adds. A region at place p is missing from the first p rows, so that its place is read off their sum.
        walks = coalitions.kept.reshape(-1, n_regions - 1, n_regions)
        places = n_regions - 1 - walks.sum(axis=1)
        ends = np.full((len(walks), 1), 1.0)
        path = np.concatenate([empty * ends, scores.reshape(len(walks), -1), full * ends], axis=1)
        adds = np.take_along_axis(np.diff(path, axis=1), places, axis=1)
        attribution = adds.mean(axis=0)
        if not coalitions.drawn.any():
            return Estimate(attribution)
        units = coalitions.units[:: n_regions - 1]
        each = Coalitions(np.ones((len(adds), 1), dtype=bool), np.ones(len(adds)), units)
        moves = by_unit(each, adds - attribution) / len(adds)
        if len(moves) < 2:  # of a single draw nobody knows how far another would be
            return Estimate(attribution, np.full((1, n_regions), np.inf))
        return Estimate(attribution, moves * np.sqrt(len(moves) / (len(moves) - 1)))


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
