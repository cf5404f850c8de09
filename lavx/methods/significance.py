"""Which regions differ from no effect by more than the draw of the coalitions explains."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, norm

from lavx import checks
from lavx.types import Attribution


def significant(
    attribution: Attribution, std_error: NDArray[np.float64], rate: float = 0.05, against: float = 0.0
) -> NDArray[np.bool_]:
    """Which regions differ from no effect, two-sided, at a false discovery rate.

    Source: Benjamini and Hochberg 1995.

    Args:
        attribution: float (R,).
        std_error: float (R,), of attribution - against; where it is 0, any difference counts.
        rate: the share of the regions found that may be found by chance, in (0, 1).
        against: the attribution of a region without effect.

    Returns:
        bool (R,).
    """
    checks.inside_unit("rate", rate)
    effect = np.abs(attribution - against)
    z = np.divide(effect, std_error, out=np.where(effect > 0, np.inf, 0.0), where=std_error > 0)
    found: NDArray[np.bool_] = false_discovery_control(2 * norm.sf(z)) <= rate
    return found


def retest_correlation(attribution: Attribution, std_error: NDArray[np.float64]) -> float | None:
    """The correlation to expect between this attribution and that of another draw, in [0, 1].

    The share of the attribution's variance over the regions that is not sampling noise: 1 - mean(se^2) / variance,
    at least 0. None where all attributions are the same.
    """
    variance = float(np.var(attribution))
    if variance == 0:
        return None
    return max(0.0, 1.0 - float(np.mean(std_error**2)) / variance)
