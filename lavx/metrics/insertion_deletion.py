"""Insertion and deletion curves, the area under them, and minimal masks.

Voxels are ordered by the raw heatmap, most important first. Steps follow the heatmap's level sets, so that
voxels of equal importance go together; where it has more levels than `n_steps`, quantile levels are taken.
Source: Petsiuk et al. 2018 (RISE), section 4.1; minimal masks: Gaya-Morey et al. 2024 (arXiv 2401.11796).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lavx.game import ScoredClip
from lavx.methods.behavior import Probability
from lavx.methods.regions import LabelRegions
from lavx.types import Removal

THRESHOLDS: tuple[float, ...] = tuple(round(0.1 * k, 1) for k in range(1, 10))


@dataclass(frozen=True)
class Curve:
    """One curve.

    Attributes:
        fractions: float64 (n,), exact fraction of voxels removed (deletion) or inserted (insertion), 0 to 1.
        scores: float64 (n,), probability of the target.
    """

    fractions: NDArray[np.float64]
    scores: NDArray[np.float64]

    @property
    def auc(self) -> float:
        """Area under the curve by the trapezoid rule, in [0, 1]."""
        return float(np.trapezoid(self.scores, self.fractions))


def level_sets(heatmap: NDArray[np.floating], n_steps: int) -> NDArray[np.int64]:
    """Which step each voxel belongs to, 0 = most important: whole numbers in the heatmap's shape.

    Voxels of equal importance always share a step; there are at most `n_steps` steps.
    """
    if not np.isfinite(heatmap).all():
        raise ValueError(f"the heatmap holds {(~np.isfinite(heatmap)).sum()} values that are NaN or infinite")
    values, inverse, counts = np.unique(-heatmap, return_inverse=True, return_counts=True)
    if len(values) <= n_steps:
        return inverse.reshape(heatmap.shape)
    ahead = np.cumsum(counts) - counts  # voxels that are more important
    quantile = ahead * n_steps // heatmap.size
    _, step = np.unique(quantile, return_inverse=True)
    return step[inverse].reshape(heatmap.shape)


class InsertionDeletion:
    """The insertion and the deletion curve of a heatmap.

    Args:
        removal: what takes the place of removed voxels, the same for both curves.
        n_steps: most steps a curve takes.
        cross_removal: another removal, for the curves of `crossed`.

    Attributes:
        crossed: the same metric with `cross_removal`; None where there is none.
    """

    def __init__(self, removal: Removal, n_steps: int = 100, cross_removal: Removal | None = None) -> None:
        if isinstance(n_steps, bool) or not isinstance(n_steps, int | np.integer) or n_steps < 1:
            raise ValueError(f"n_steps must be a whole number >= 1, got {n_steps!r}")
        self.removal = removal
        self.n_steps = n_steps
        self.crossed = None if cross_removal is None else InsertionDeletion(cross_removal, n_steps)

    def __call__(self, clip: ScoredClip, heatmap: NDArray[np.floating]) -> dict[str, Curve]:
        """Curves "deletion" (lower area is better) and "insertion" (higher is better).

        Args:
            clip: the clip that the heatmap explains.
            heatmap: float (T, H, W), larger = more important; never changed.

        Raises:
            ValueError: if the heatmap is not the clip's, or not finite.
        """
        if heatmap.shape != clip.shape:
            raise ValueError(f"the heatmap must be (T, H, W) = {clip.shape}, got {heatmap.shape}")
        steps = level_sets(heatmap, self.n_steps)
        sizes = np.bincount(steps.ravel())
        fractions = np.concatenate([[0], np.cumsum(sizes)]) / steps.size
        n = len(sizes)
        # Row k keeps the k most important steps. The clip and the baseline, which end both curves, are known.
        inserted = np.tril(np.ones((n + 1, n), dtype=bool), -1)[1:-1]
        game = clip.game(LabelRegions(steps), self.removal, Probability(), stage="evaluation", stream="games")
        scores = game(np.concatenate([inserted, ~inserted]))
        insertion = np.concatenate([[game.empty], scores[: n - 1], [game.full]])
        deletion = np.concatenate([[game.full], scores[n - 1 :], [game.empty]])
        return {"deletion": Curve(fractions, deletion), "insertion": Curve(fractions, insertion)}


def minimal_masks(
    curves: dict[str, Curve], thresholds: Sequence[float] = THRESHOLDS
) -> dict[str, dict[str, float | None]]:
    """Smallest fraction of voxels that decides, for each threshold; None where it is never reached.

    deletion: whose removal drops the score by at least threshold x f(clip); insertion: whose insertion raises
    it to at least threshold x f(clip).
    """
    score = float(curves["deletion"].scores[0])
    reached = {
        "deletion": lambda t: curves["deletion"].scores <= (1 - t) * score,
        "insertion": lambda t: curves["insertion"].scores >= t * score,
    }
    return {
        game: {str(t): _first(curves[game].fractions, test(t)) for t in thresholds}
        for game, test in reached.items()
    }


def _first(fractions: NDArray[np.float64], reached: NDArray[np.bool_]) -> float | None:
    return float(fractions[np.argmax(reached)]) if reached.any() else None
