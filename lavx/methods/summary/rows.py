"""What the summaries share: checks of scores, weights of rows, sums over units."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lavx.types import Coalitions, Kept, Scores, Selection

NO_WEIGHT = 1e-12  # what the most similar coalition has to exceed


def checked(coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Scores:
    """The scores as float64; raises ValueError if they are not one finite number a coalition."""
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


def similarity(kept: Kept, kernel_width: float) -> NDArray[np.float64]:
    """Weight of each coalition by its similarity to the clip, (S,) in [0, 1]: sqrt(exp(-d^2 / width^2)).

    d is the cosine distance of the row to all-kept: 1 - sqrt(share of regions kept), 1 for the empty row.
    """
    distance = 1 - np.sqrt(kept.mean(axis=1))
    return np.sqrt(np.exp(-(distance**2) / kernel_width**2))


def check_similarity(coalitions: Coalitions, kernel_width: float) -> None:
    """Raise ValueError if all coalitions weigh nothing."""
    if similarity(coalitions.kept, kernel_width).max(initial=0) < NO_WEIGHT:
        raise ValueError(
            f"with kernel_width={kernel_width} every coalition is so unlike the clip that its weight is 0: raise "
            f"kernel_width (0.25 is usual), or keep more regions a sample"
        )


def by_unit(coalitions: Coalitions, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of the rows (S, ...) of each unit that was drawn: (U, ...)."""
    units, rows = coalitions.units[coalitions.drawn], rows[coalitions.drawn]
    if not len(units):
        return rows
    order = np.argsort(units, kind="stable")
    starts = np.flatnonzero(np.diff(units[order], prepend=-1))
    return rows if len(starts) == len(rows) else np.add.reduceat(rows[order], starts, axis=0)


def check_shapley(summary: object, selection: Selection) -> None:
    """Raise ValueError if the selection's weights are not those of the Shapley kernel."""
    if selection.kind != "shapley":
        raise ValueError(
            f"{type(summary).__name__} needs coalitions that carry the Shapley kernel's weights, and those of "
            f"{type(selection).__name__} do not: use the selection ShapleyKernel, or the summary Ridge for a "
            f"regression on any coalitions"
        )


def some(regions: NDArray[np.int64]) -> str:
    """The first of some numbers, in words."""
    listed = ", ".join(map(str, regions[:5]))
    return f"{listed}, ..." if len(regions) > 5 else listed


def check_kept(coalitions: Coalitions) -> None:
    """Raise ValueError, naming them, if some regions are never kept."""
    never = np.flatnonzero(~coalitions.kept.any(axis=0))
    if len(never):
        raise ValueError(
            f"{len(never)} of {coalitions.kept.shape[1]} regions ({some(never)}) are kept in none of the "
            f"{len(coalitions)} samples, so they have no mean: raise n_samples, or keep more regions a sample"
        )
