"""How far an attribution is from what its method estimates. Shapes: R regions."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

_TOP, _LEAST_SHARE = 10, 4
_NOMINAL = 1.959963984540054  # standard errors on either side of a 95 % interval


def relative_error(attribution: Vector, reference: Vector) -> float | None:
    """Squared distance of an attribution (R,) to a reference, as a share of the reference's own, both centered.

    0 where they differ by a constant; 1 for an attribution that is the same everywhere. None where the reference
    is.
    """
    around = reference - reference.mean()
    size = float(around @ around)
    if size == 0:
        return None
    apart = attribution - attribution.mean() - around
    return float(apart @ apart) / size


def n_top(n_regions: int) -> int:
    """How many of the largest regions are compared: 10, or a quarter of them where there are fewer than 40."""
    return min(_TOP, math.ceil(n_regions / _LEAST_SHARE))


def top_regions(attribution: Vector) -> NDArray[np.intp]:
    """The regions with the largest attributions."""
    return np.argsort(-attribution, kind="stable")[: n_top(len(attribution))]


def top_overlap(attribution: Vector, reference: Vector) -> float:
    """Share of the reference's largest regions that are among the attribution's largest, in [0, 1]."""
    shared = np.intersect1d(top_regions(attribution), top_regions(reference))
    return len(shared) / n_top(len(reference))


def covered(
    attribution: Vector, std_error: Vector, reference: Vector, reference_error: Vector
) -> NDArray[np.bool_]:
    """Whether each 95 % interval holds the reference: bool (R,).

    The reference is an estimate too: its standard error is added to that of the attribution, in squares, or
    intervals would be blamed for its noise.
    """
    # Rounding is no miss: of a region whose error is 0 both are the same but for their last digits.
    rounding = 1e-9 * np.abs(reference).max(initial=0.0)
    width = _NOMINAL * np.hypot(std_error, reference_error) + rounding
    inside: NDArray[np.bool_] = np.abs(attribution - reference) <= width
    return inside


def correlation(one: Vector, other: Vector) -> float | None:
    """Pearson correlation in [-1, 1]; None where one of them is constant."""
    one, other = one - one.mean(), other - other.mean()
    size = math.sqrt(float(one @ one) * float(other @ other))
    return float(one @ other) / size if size > 0 else None
