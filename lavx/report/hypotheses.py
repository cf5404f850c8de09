"""How a claim about methods is tested: as contrasts, numbers a video whose mean is above 0 if the claim is true.

- A claim *holds* only if each of its contrasts is significantly above 0: an intersection-union test, whose p-value
  is the largest of theirs (Berger 1982); no correction for their number is needed.
- It *does not hold* only if some contrast is significantly below 0 after correction for their number.
- Otherwise it is *undecided*: these videos cannot tell.

Which method comes second, or last, is never picked from the data that then test it: all comparisons are made. Both
p-values are corrected by Holm over all claims tested in one scope.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike

from lavx.report.statistics import ALPHA, Tested, holm, t_test

HOLDS, FAILS, UNDECIDED, UNTESTED = "holds", "does not hold", "undecided", "not tested"
LEAST_VIDEOS = 10


@dataclass(frozen=True)
class Contrast:
    """One comparison that a claim stands on.

    Attributes:
        what: the difference in words, such as "LIME below LOCO".
        values: a number a video; above 0 in the mean if the claim is true.
        others: values of other videos that the mean of `values` should exceed; None where it should exceed 0.
    """

    what: str
    values: ArrayLike
    others: ArrayLike | None = None


@dataclass(frozen=True)
class Judgement:
    """What the contrasts of a claim say together.

    Attributes:
        n: videos of the contrast that has the fewest.
        p_holds: small where every contrast is above 0.
        p_fails: small where some contrast is below 0, corrected for their number.
        weakest: the contrast with the least evidence for the claim, in words, and its test.
        against: the contrast with the most evidence against it, likewise.
        n_contrasts: how many there are.
    """

    n: int
    p_holds: float
    p_fails: float
    weakest: tuple[str, Tested]
    against: tuple[str, Tested]
    n_contrasts: int


def judge(contrasts: Sequence[Contrast]) -> Judgement:
    """Test the contrasts of one claim.

    Raises:
        ValueError: if there are none.
    """
    if not contrasts:
        raise ValueError("a claim needs at least one contrast")
    found = [t_test(contrast.values, contrast.others) for contrast in contrasts]
    weakest = max(range(len(found)), key=lambda k: found[k].p_above)
    against = min(range(len(found)), key=lambda k: found[k].p_below)
    return Judgement(
        n=min(one.estimate.n for one in found),
        p_holds=max(one.p_above for one in found),
        p_fails=min(1.0, len(found) * min(one.p_below for one in found)),
        weakest=(contrasts[weakest].what, found[weakest]),
        against=(contrasts[against].what, found[against]),
        n_contrasts=len(contrasts),
    )


def decide(judgements: Sequence[Judgement | None]) -> list[tuple[str, float, float]]:
    """Status of each claim of a family, with both p-values corrected by Holm over the family.

    Args:
        judgements: None for a claim that is not tested.

    Returns:
        `HOLDS`, `FAILS`, `UNDECIDED` or `UNTESTED`; `p_holds` and `p_fails` corrected, NaN where not tested.
    """
    for_it = holm([math.nan if one is None else one.p_holds for one in judgements])
    against = holm([math.nan if one is None else one.p_fails for one in judgements])
    return [(_status(p, q), p, q) for p, q in zip(for_it, against, strict=True)]


def _status(p_holds: float, p_fails: float) -> str:
    if math.isnan(p_holds):
        return UNTESTED
    if p_holds <= ALPHA:
        return HOLDS
    return FAILS if p_fails <= ALPHA else UNDECIDED
