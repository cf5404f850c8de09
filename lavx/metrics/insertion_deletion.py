"""Insertion and deletion games, the area under their curves, and minimal masks.

Voxels are ordered by the raw heatmap, most important first. Steps follow the heatmap's level sets, so that
voxels of the same worth go together; where it has more levels than `n_steps`, quantile levels are taken.
Source: Petsiuk et al. 2018 (RISE), section 4.1; minimal masks: Gaya-Morey et al. 2024 (arXiv 2401.11796).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lavx.explainer import Removal, Seeds
from lavx.game import Begin, Scorer, Stopwatch, silent
from lavx.methods.behavior import Probability
from lavx.methods.regions import LabelRegions

THRESHOLDS: tuple[float, ...] = tuple(round(0.1 * k, 1) for k in range(1, 10))


@dataclass(frozen=True)
class Curve:
    """One game.

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

    Voxels of equal worth always share a step; there are at most `n_steps` steps.
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


class Games:
    """Plays deletion and insertion for a heatmap.

    Args:
        removal: what takes the place of removed voxels, the same in both games.
        n_steps: most steps a game takes.
        cross_removal: another removal, for the games of `crossed`.
    """

    def __init__(self, removal: Removal, n_steps: int = 100, cross_removal: Removal | None = None) -> None:
        if n_steps < 1:
            raise ValueError(f"n_steps must be >= 1, got {n_steps}")
        self.removal = removal
        self.n_steps = n_steps
        # The same games with another baseline than the explanation's own; None where none was asked for.
        self.crossed = None if cross_removal is None else Games(cross_removal, n_steps)

    def __call__(
        self,
        clip: NDArray[np.uint8],
        heatmap: NDArray[np.floating],
        target: int,
        scorer: Scorer,
        seeds: Seeds,
        stopwatch: Stopwatch,
        begin: Begin = silent,
    ) -> dict[str, Curve]:
        """Curves "deletion" (lower area is better) and "insertion" (higher is better).

        Args:
            clip: uint8 (T, H, W, 3).
            heatmap: float (T, H, W), larger = more important; never changed.
            target: class index.
            scorer: the network and how it is fed.
            seeds: the video's random streams.
            stopwatch: gets the seconds of "perturbation" and "inference" of the games.
            begin: told the number of passes to come; what it returns is told of passes done.
        """
        steps = level_sets(heatmap, self.n_steps)
        regions = LabelRegions(steps)
        regions.to(scorer.device)
        sizes = np.bincount(steps.ravel())
        fractions = np.concatenate([[0], np.cumsum(sizes)]) / steps.size
        n = len(sizes)
        inserted = np.tril(np.ones((n + 1, n), dtype=bool), -1)  # row k: the k most important steps
        # The clip and the baseline end both games; they are scored once.
        kept = np.concatenate([inserted, ~inserted[1:-1]])
        frames = torch.from_numpy(clip).to(scorer.device).float()
        fill = self.removal.prepare(frames, regions, seeds.torch("games"))
        scores = scorer(kept, regions, fill, Probability(), target, stopwatch, begin(len(kept)))
        insertion = scores[: n + 1]
        deletion = np.concatenate([insertion[-1:], scores[n + 1 :], insertion[:1]])
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
