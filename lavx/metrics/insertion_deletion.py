"""Insertion and deletion curves, the area under them, and minimal masks.

Voxels are ordered by a heatmap, most important first. Steps follow the heatmap's level sets, so that voxels of
equal importance go together. Which heatmap is judged: the raw one, or the one that the study drew and judged
(`lavx.methods.visualization.study_map`), whose names end in `_drawn`.

Source: Petsiuk et al. 2018 (RISE), section 4.1; minimal masks and the drawn heatmap: Gaya-Morey et al. 2024
(arXiv 2401.11796), sections 4.5 and 4.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lavx import checks
from lavx.game import ScoredClip
from lavx.methods.behavior import Probability
from lavx.methods.regions import LabelRegions
from lavx.types import Removal

MAPS = ("raw", "drawn", "both")
DRAWN = "_drawn"
ABSOLUTE = "_absolute"  # ends the names of minimal masks at probabilities
MOST_LEVELS = 256  # of a heatmap whose every level is a step
QUANTILES = 100  # steps of a heatmap with more levels than that

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


def level_sets(heatmap: NDArray[np.floating], n_steps: int | str = "auto") -> NDArray[np.int64]:
    """Which step each voxel belongs to, 0 = most important: whole numbers in the heatmap's shape.

    Args:
        heatmap: larger = more important; voxels of equal importance always share a step.
        n_steps: most steps; where the heatmap has more levels, they are quantiles. "auto": a step a level, so that
            each region has its own, for up to 256 levels; 100 quantiles of a heatmap with more.

    Raises:
        ValueError: if the heatmap is not finite.
    """
    if not np.isfinite(heatmap).all():
        raise ValueError(f"the heatmap holds {(~np.isfinite(heatmap)).sum()} values that are NaN or infinite")
    values, inverse, counts = np.unique(-heatmap, return_inverse=True, return_counts=True)
    if len(values) <= (MOST_LEVELS if n_steps == "auto" else int(n_steps)):
        return inverse.reshape(heatmap.shape)
    n_steps = QUANTILES if n_steps == "auto" else int(n_steps)
    ahead = np.cumsum(counts) - counts  # voxels that are more important
    quantile = ahead * n_steps // heatmap.size
    _, step = np.unique(quantile, return_inverse=True)
    return step[inverse].reshape(heatmap.shape)


class InsertionDeletion:
    """The insertion and the deletion curve of a heatmap.

    Args:
        removal: what takes the place of removed voxels, the same for both curves.
        n_steps: most steps a curve takes, or "auto"; see `level_sets`.
        cross_removal: another removal, for the curves of `crossed`.
        map: which heatmap is judged: "raw", "drawn", what the study would draw of it, or "both".

    Attributes:
        crossed: the same metric with `cross_removal`; None where there is none.
    """

    def __init__(
        self,
        removal: Removal,
        n_steps: int | str = "auto",
        cross_removal: Removal | None = None,
        map: str = "raw",
    ) -> None:
        whole = isinstance(n_steps, int | np.integer) and not isinstance(n_steps, bool) and n_steps >= 1
        if n_steps != "auto" and not whole:
            raise ValueError(f"n_steps must be auto or a whole number >= 1, got {n_steps!r}")
        checks.one_of("map", map, MAPS)
        self.removal = removal
        self.n_steps = n_steps
        self.map = map
        self.crossed = None if cross_removal is None else InsertionDeletion(cross_removal, n_steps, map=map)

    @property
    def usual_steps(self) -> int:
        """About how many steps a curve takes, for forecasts."""
        return QUANTILES if self.n_steps == "auto" else int(self.n_steps)

    def __call__(
        self, clip: ScoredClip, heatmap: NDArray[np.floating], drawn: NDArray[np.floating] | None = None
    ) -> dict[str, Curve]:
        """Curves "deletion" (lower area is better) and "insertion" (higher is better).

        Args:
            clip: the clip that the heatmap explains.
            heatmap: float (T, H, W), larger = more important; never changed.
            drawn: what the study would draw of it, (T, H, W); needed unless only the raw one is judged.

        Returns:
            The curves by name, those of the drawn heatmap as "deletion_drawn" and "insertion_drawn".

        Raises:
            ValueError: if a heatmap is not the clip's, not finite, or missing.
        """
        if self.map == "raw":
            return self._curves(clip, self._steps(clip, heatmap))
        if drawn is None:
            raise ValueError(f"map={self.map} judges the drawn heatmap, and none was given")
        cut = self._steps(clip, drawn)
        if self.map == "drawn":
            return _named(self._curves(clip, cut))
        steps = self._steps(clip, heatmap)
        raw = self._curves(clip, steps)
        n_shared = _shared_steps(steps, drawn > 0)
        if n_shared is None:
            return raw | _named(self._curves(clip, cut))
        points = [*range(n_shared + 1), len(raw["deletion"].fractions) - 1]
        points = list(dict.fromkeys(points))  # all may be kept
        return raw | _named({name: Curve(c.fractions[points], c.scores[points]) for name, c in raw.items()})

    def _steps(self, clip: ScoredClip, heatmap: NDArray[np.floating]) -> NDArray[np.int64]:
        if heatmap.shape != clip.shape:
            raise ValueError(f"the heatmap must be (T, H, W) = {clip.shape}, got {heatmap.shape}")
        return level_sets(heatmap, self.n_steps)

    def _curves(self, clip: ScoredClip, steps: NDArray[np.int64]) -> dict[str, Curve]:
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


def _named(curves: dict[str, Curve]) -> dict[str, Curve]:
    return {f"{name}{DRAWN}": curve for name, curve in curves.items()}


def _shared_steps(steps: NDArray[np.int64], kept: NDArray[np.bool_]) -> int | None:
    """How many of the raw heatmap's first steps are what is kept of it; None where that is no whole number.

    Where it is, the drawn heatmap's curves are the first points of the raw one's, and the last: no forward pass is
    needed for them.
    """
    n_kept = int(kept.sum())
    n_steps = int(np.searchsorted(np.cumsum(np.bincount(steps.ravel())), n_kept)) + 1 if n_kept else 0
    return n_steps if np.array_equal(steps < n_steps, kept) else None


def minimal_masks(
    curves: dict[str, Curve], thresholds: Sequence[float] = THRESHOLDS
) -> dict[str, dict[str, float | None]]:
    """Smallest fraction of voxels that decides, for each threshold; None where it is never reached.

    deletion: whose removal drops the score by at least threshold x f(clip); insertion: whose insertion raises
    it to at least threshold x f(clip). Curves of the drawn heatmap likewise, under their names.
    """
    score = next(float(curve.scores[0]) for name, curve in curves.items() if name.startswith("deletion"))
    return {name: {str(t): _reached(name, curve, t, score) for t in thresholds} for name, curve in curves.items()}


def absolute_minimal_masks(
    curves: dict[str, Curve], thresholds: Sequence[float] = THRESHOLDS
) -> dict[str, dict[str, float | None]]:
    """The same at absolute probabilities, whatever the score of the clip is; None where never reached.

    "deletion_absolute" is the smallest fraction of voxels whose removal brings the probability down to it,
    "insertion_absolute" that whose insertion brings it up to there; 0 where it is there from the start. Those of
    the drawn heatmap are "deletion_absolute_drawn" and "insertion_absolute_drawn".

    Source: Gaya-Morey et al. (arXiv 2401.11796), section 4.6.1: "at various target prediction thresholds".
    """
    return {
        f"{name.removesuffix(DRAWN)}{ABSOLUTE}{DRAWN * name.endswith(DRAWN)}": {
            str(t): _first(curve, curve.scores <= t if name.startswith("deletion") else curve.scores >= t)
            for t in thresholds
        }
        for name, curve in curves.items()
    }


def _reached(name: str, curve: Curve, threshold: float, score: float) -> float | None:
    """The first fraction at which a curve has reached a share of the clip's score."""
    if name.startswith("deletion"):
        reached = curve.scores <= (1 - threshold) * score
    else:
        reached = curve.scores >= threshold * score
    return _first(curve, reached)


def _first(curve: Curve, reached: NDArray[np.bool_]) -> float | None:
    return float(curve.fractions[np.argmax(reached)]) if reached.any() else None
