"""Significance: which regions differ from no effect, at a false discovery rate.

A region whose attribution is within its error of no effect is not evidence of anything. Testing two hundred
regions at 5 % each would still mark ten of them in pure noise; so the tests are corrected together, such that of
the regions marked at most a share `rate` is expected to be noise, and that where nothing has an effect, anything
at all is marked with at most that probability.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import false_discovery_control

from lavx import checks

FEWEST = 16  # regions below which the others say too little of what no effect looks like

_ROUNDING = 1e-9  # of the largest attribution: what is no further from no effect is no effect


def significant(
    attribution: NDArray[np.floating],
    std_error: NDArray[np.floating] | None,
    rate: float = 0.05,
    against: float = 0.0,
    noise: float = 0.0,
) -> NDArray[np.bool_]:
    """Which regions differ from no effect: bool (R,).

    With standard errors, each region has a two-sided p-value from (attribution - against) / std_error, standard
    normal where there is no effect. Exact attributions have no standard error, and one alone says nothing of how
    large it may become by chance; but there are many, and most regions of a clip do not matter. So the regions
    themselves are the measure: what no effect looks like is taken from their median and, on either side of it,
    from its distance to the quartile, with exponential tails, as the shape is not known; regions are marked that
    lie farther out than these would bring them. Fewer than `FEWEST` exact attributions cannot say that: of them
    those are marked that exceed the network's noise.

    Source: Benjamini and Hochberg 1995 for the correction; Efron 2004 (Large-scale simultaneous hypothesis
    testing: the choice of a null hypothesis) for a null distribution taken from the middle of what was observed.

    Args:
        attribution: (R,), larger = more important.
        std_error: (R,) >= 0, of attribution - against; infinite where nothing is known of a region; None for exact
            attributions, or where nobody knows any.
        rate: the false discovery rate, in (0, 1).
        against: the attribution of a region without effect: 0, or for a mean score, as RISE gives it, the mean.
            Exact attributions of many regions have their own middle instead.
        noise: standard deviation that the network's own noise gives an attribution; added to the errors.

    Raises:
        ValueError: if arrays do not fit or hold values that are no numbers, or `rate` or `noise` is not allowed.
    """
    values = _numbers("attribution", attribution)
    checks.inside_unit("rate", rate)
    least = math.hypot(checks.at_least("noise", noise), _ROUNDING * np.abs(values).max(initial=0.0))
    if std_error is None and len(values) >= FEWEST:
        p_values = _against_the_others(values, least)
    else:
        errors = np.zeros_like(values) if std_error is None else _errors(std_error, values)
        p_values = _against(values - against, np.hypot(errors, least))
    return _discoveries(p_values, rate)


def noise_of_answers(kept: NDArray[np.bool_], scores: NDArray[np.floating]) -> float:
    """Standard deviation of a Shapley value where the answers to all coalitions are random numbers.

    Few exact attributions cannot tell by each other what no effect looks like, but where all coalitions of the
    regions were scored, their scores can: what of them no sum of effects of regions explains is taken for noise.
    Where regions work together, that is too much, and fewer are marked. 0 where not all coalitions were scored.

    Args:
        kept: bool (S, R), the coalitions.
        scores: (S,).
    """
    n_samples, n_regions = kept.shape
    if n_regions >= FEWEST or n_samples < max(2**n_regions - 2, n_regions + 2):
        return 0.0
    design = np.column_stack([np.ones(n_samples), kept])
    rest = scores - design @ np.linalg.lstsq(design, scores, rcond=None)[0]
    variance = float(rest @ rest) / (n_samples - n_regions - 1)
    # A Shapley value adds and subtracts a score for each coalition of the others, weight 1 / (R C(R-1, its size)).
    shares = sum(1 / math.comb(n_regions - 1, s) for s in range(n_regions)) * 2 / n_regions**2
    return math.sqrt(variance * shares)


def _against(distance: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two-sided p-values of normal deviates; where both are 0 there is no effect."""
    z = np.divide(np.abs(distance), scale, out=np.zeros_like(distance), where=scale > 0)
    p_values: NDArray[np.float64] = 2 * ndtr(-z)
    return p_values


def _against_the_others(values: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """Two-sided p-values under a double exponential around the median whose two halves have their own scale."""
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    distance = values - middle
    p_values = np.ones_like(values)
    for side, scale in ((distance > 0, high - middle), (distance < 0, middle - low)):
        if max(scale, least) > 0:
            p_values[side] = 0.5 ** (np.abs(distance[side]) / max(scale, least))
    return p_values


def _discoveries(p_values: NDArray[np.float64], rate: float) -> NDArray[np.bool_]:
    if not p_values.size:
        return np.zeros(0, dtype=bool)
    found: NDArray[np.bool_] = false_discovery_control(p_values) <= rate
    return found


def _numbers(name: str, array: NDArray[np.floating]) -> NDArray[np.float64]:
    values = np.asarray(array, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError(f"{name} must be (R,), one finite number a region, got {values.shape} {values}")
    return values


def _errors(std_error: NDArray[np.floating], values: NDArray[np.float64]) -> NDArray[np.float64]:
    errors = np.asarray(std_error, dtype=np.float64)
    if errors.shape != values.shape or not (errors >= 0).all():
        raise ValueError(
            f"std_error must be {values.shape}, one number >= 0 a region, or None for exact attributions; got "
            f"{errors.shape} {errors}"
        )
    return errors


def retest_correlation(attribution: NDArray[np.floating], std_error: NDArray[np.floating]) -> float | None:
    """The correlation to expect between this attribution and that of another draw, in [0, 1].

    The share of the attribution's variance over the regions that is not sampling noise: 1 - mean(se^2) / variance,
    at least 0. None where all attributions are the same.
    """
    variance = float(np.var(attribution))
    if variance == 0:
        return None
    return max(0.0, 1.0 - float(np.mean(std_error**2)) / variance)
