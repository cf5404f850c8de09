"""One sample a region: leave one out, univariate predictors, occlusion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lavx.methods.summary.rows import checked
from lavx.types import Attribution, Coalitions, Scores, Selection


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
        scores = checked(coalitions, scores, full, empty)
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
        scores = checked(coalitions, scores, full, empty)
        return -scores if _leaves_one_out(coalitions) else scores.copy()
