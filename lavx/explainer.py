"""The explainer: a method is seven choices, put in a row, and an eighth, smoothing, that most do without.

clip - segmentation -> regions - selection, sampling -> coalitions - removal, classifier, behavior -> scores
- summary -> attribution - regions, smoothing -> heatmap - visualization -> overlay
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from lavx.checks import three, whole
from lavx.game import ScoredClip
from lavx.methods.frames import FrameImportance, frame_importance
from lavx.methods.regions import SoftGrid, flat_in_time, frames_per_region
from lavx.methods.significance import noise_of_answers
from lavx.types import (
    Attribution,
    Behavior,
    Coalitions,
    Estimate,
    Estimating,
    Evidence,
    Heatmap,
    Kept,
    Regions,
    Removal,
    Sampling,
    Scores,
    Segmentation,
    Selection,
    Smoothing,
    Summary,
    Visualization,
)

log = logging.getLogger(__name__)

_LITTLE = 0.1  # of what all regions do together


class Game(Protocol):
    """The value function of some players: `lavx.game.ClipGame`, `lavx.game.FunctionGame`, or any like them."""

    @property
    def n_regions(self) -> int:
        """R."""
        ...

    @property
    def full(self) -> float:
        """The score of all regions."""
        ...

    @property
    def empty(self) -> float:
        """The score of no region."""
        ...

    def __call__(self, coalitions: Kept) -> Scores:
        """Scores float64 (S,) of coalitions bool (S, R)."""
        ...


@dataclass(frozen=True)
class MethodResult:
    """What a method says about one clip.

    Attributes:
        attribution: float64 (R,), larger = more important for the target.
        heatmap: float32 (T, H, W), the attribution of each voxel.
        regions: what the attribution's entries stand for.
        coalitions: those scored, the clip and the baseline not among them.
        scores: float64 (S,) of the coalitions.
        full: score of the clip.
        empty: score of the baseline, everything removed.
        std_error: float64 (R,), standard error of the attribution over draws of the coalitions; None where nothing
            was drawn (see `is_exact`), or where the summary does not know it.
        neutral: the attribution of a region without effect: 0, or for means the mean score.
        neutral_std_error: float64 (R,), standard error of attribution - neutral; None like `std_error`.
        influence: float64 (U, R), how far each independent draw moves the attribution: the standard error of
            any weighted sum of it, `attribution @ w`, is the root of the sum of `(influence @ w) ** 2`. Not
            stored in files.
        outputs: float32 (S, K), the classifier's outputs for each coalition; None where they were not kept.
        empty_outputs: float32 (K,), those for the baseline.
        more: further numbers of the sampling and the summary, by name.
        per_frame: importance per frame, see `lavx.methods.frames`.
    """

    attribution: Attribution
    heatmap: Heatmap
    regions: Regions
    coalitions: Coalitions
    scores: Scores
    full: float
    empty: float
    std_error: NDArray[np.float64] | None = None
    neutral: float = 0.0
    neutral_std_error: NDArray[np.float64] | None = None
    influence: NDArray[np.float64] | None = None
    outputs: NDArray[np.float32] | None = None
    empty_outputs: NDArray[np.float32] | None = None
    more: dict[str, float | None] = field(default_factory=dict)
    per_frame: FrameImportance | None = None

    @property
    def n_samples(self) -> int:
        """Coalitions scored."""
        return len(self.coalitions)

    @property
    def is_exact(self) -> bool:
        """Whether all coalitions that the method stands for were scored: another draw would say the same."""
        return self.n_samples > 0 and not self.coalitions.drawn.any()

    def evidence(self, noise: float = 0.0) -> Evidence:
        """What a visualization is given to draw.

        Args:
            noise: standard deviation that the network's own noise gives an attribution.
        """
        neutral = self.neutral
        if self.neutral_std_error is None and not self.is_exact and self.attribution.min(initial=1) > 0:
            neutral = float(self.attribution.mean())  # a mean score, in a file that does not say what is neutral
        if self.is_exact:
            noise = math.hypot(noise, noise_of_answers(self.coalitions.kept, self.scores))
        return Evidence(
            self.heatmap,
            self.attribution,
            self.regions,
            neutral,
            self.neutral_std_error,
            self.is_exact,
            noise,
        )


def estimated(
    summary: Summary,
    coalitions: Coalitions,
    scores: Scores,
    full: float,
    empty: float,
    regions: Regions | None = None,
    device: torch.device | None = None,
) -> dict[str, Any]:
    """The fields of a `MethodResult` that a summary decides, by name.

    Those are `attribution`, `std_error`, `neutral`, `neutral_std_error`, `influence`, `more` and, where
    there are regions, `per_frame`.
    A summary that is no `lavx.types.Estimating` may offer
    `std_error(coalitions, scores, full, empty) -> (R,) | None`.
    """
    if isinstance(summary, Estimating):
        found = summary.estimate(coalitions, scores, full, empty)
    else:
        found = Estimate(summary(coalitions, scores, full, empty))
    std_error = neutral_std_error = None
    if found.influence is not None:
        effect = found.influence
        if found.neutral_influence is not None:
            effect = effect - found.neutral_influence[:, None]
        std_error, neutral_std_error = (np.sqrt((moves**2).sum(axis=0)) for moves in (found.influence, effect))
    elif hasattr(summary, "std_error") and coalitions.drawn.any():
        std_error = neutral_std_error = summary.std_error(coalitions, scores, full, empty)
    return {
        "attribution": found.attribution,
        "std_error": std_error,
        "neutral": found.neutral,
        "neutral_std_error": neutral_std_error,
        "influence": found.influence,
        "more": found.more,
        "per_frame": None if regions is None else frame_importance(regions, found, device),
    }


def _untimed(stage: str) -> AbstractContextManager[None]:
    return nullcontext()


def play(
    game: Game,
    selection: Selection,
    sampling: Sampling,
    summary: Summary,
    rng: np.random.Generator,
    clock: Callable[[str], AbstractContextManager[None]] = _untimed,
) -> tuple[Coalitions, Scores]:
    """Play a game in as many rounds as the sampling wants.

    Args:
        game: what is played.
        selection: which regions a sample keeps.
        sampling: how many samples there are.
        summary: what the scores are for; it says whether the coalitions suffice.
        rng: the source of all draws.
        clock: times the drawing of coalitions as "perturbation".

    Returns:
        All coalitions played and their scores (S,).

    Raises:
        ValueError: if the summary cannot use the coalitions; before any forward pass where there is one round.
    """
    rounds = sampling.rounds(selection, game.n_regions, rng)
    played: list[Coalitions] = []
    scored: list[Scores] = []
    with clock("perturbation"):
        coalitions: Coalitions | None = next(rounds)
        if sampling.one_round and coalitions is not None:
            summary.check_coalitions(coalitions)
    while coalitions is not None:
        played.append(coalitions)
        scored.append(game(coalitions.kept))
        with clock("perturbation"):
            try:
                coalitions = rounds.send(scored[-1])
            except StopIteration:
                coalitions = None
    every = Coalitions.joined(played)
    if not sampling.one_round:
        summary.check_coalitions(every)
    return every, np.concatenate(scored)


def _smoothed(regions: Regions, smoothing: Smoothing | None) -> Regions:
    return regions if smoothing is None else smoothing(regions)


class Explainer:
    """A method: explains a clip by removing parts of it.

    Args:
        segmentation: cuts the clip into regions.
        selection: which regions a sample keeps.
        sampling: how many samples there are.
        removal: what takes the place of the removed voxels.
        behavior: what is watched meanwhile.
        summary: what the scores say of each region.
        visualization: how the heatmap is drawn.
        when: explains when, by a game of its own whose regions are stretches of time; None where the importance
            per frame is that of the regions. It is also that where no frame matters to `when` by a tenth of what
            the regions do together: of a network that ignores the order, a game that breaks it tells nothing.
        smoothing: what smooths the heatmap, which is what is drawn and judged; None for nothing. Attributions stay
            as they are.

    Raises:
        ValueError: if the sampling or the summary cannot use what the selection draws.
    """

    def __init__(
        self,
        segmentation: Segmentation,
        selection: Selection,
        sampling: Sampling,
        removal: Removal,
        behavior: Behavior,
        summary: Summary,
        visualization: Visualization,
        when: Explainer | None = None,
        smoothing: Smoothing | None = None,
    ) -> None:
        sampling.check(selection)
        summary.check(selection)
        self.segmentation = segmentation
        self.selection = selection
        self.sampling = sampling
        self.removal = removal
        self.behavior = behavior
        self.summary = summary
        self.visualization = visualization
        self.when = when
        self.smoothing = smoothing
        self._said_of_time = False

    def __call__(self, clip: ScoredClip) -> MethodResult:
        """Explain the score of the clip's target.

        The clip's stopwatch gets the seconds of "segmentation", "perturbation", "inference" and "summary".
        """
        result = self._played(clip)
        return result if self.when is None else _with_time(result, self.when, clip)

    def _played(self, clip: ScoredClip) -> MethodResult:
        regions = clip.segment(self.segmentation)
        self._say_what_time_is_worth(regions)
        game = clip.game(regions, self.removal, self.behavior, keep_outputs=True)
        rng = clip.seeds.numpy("sampling")
        coalitions, scores = play(game, self.selection, self.sampling, self.summary, rng, clip.stopwatch)
        with clip.stopwatch("summary"):
            found = estimated(self.summary, coalitions, scores, game.full, game.empty, regions, clip.device)
            regions = _smoothed(regions, self.smoothing)
            heatmap = clip.heatmap(regions, found["attribution"])
        return MethodResult(
            heatmap=heatmap,
            regions=regions,
            coalitions=coalitions,
            scores=scores,
            full=game.full,
            empty=game.empty,
            outputs=game.outputs,
            empty_outputs=game.empty_outputs,
            **found,
        )

    def _say_what_time_is_worth(self, regions: Regions) -> None:
        """Log, once, that regions span nearly all frames, so that attributions say nothing of time."""
        if self._said_of_time or self.when is not None or not flat_in_time(regions):
            return
        self._said_of_time = True
        cutting = getattr(self.segmentation, "cutting_time", None)
        log.warning(
            "A region spans %.1f of the clip's %d frames in the mean: the explanation says little about when "
            "something happens.%s",
            frames_per_region(regions),
            regions.shape[0],
            "" if cutting is None else f" The segmentation cuts time with {cutting(regions.shape)}.",
        )


def _with_time(result: MethodResult, when: Explainer, clip: ScoredClip) -> MethodResult:
    """A result with the importance per frame of a game of its own, where frames matter there."""
    asked = when(clip)
    more = result.more | {"n_samples_when": float(asked.n_samples)}
    assert asked.per_frame is not None
    if np.abs(asked.per_frame.values).max() < _LITTLE * abs(result.full - result.empty):
        return replace(result, more=more)
    how = type(when.removal).__name__.lower()
    return replace(result, more=more, per_frame=replace(asked.per_frame, how=how))


CONTROLS = ("random", "center", "smooth_noise")


class Control:
    """A heatmap that knows nothing of the network: what every method has to beat.

    Args:
        kind: "random", independent values on a soft grid; "smooth_noise", such values smoothed by a Gaussian of
            one cell; or "center", falling with the distance from the middle of the clip.
        cells: the grid's cells along (T, H, W).
        removal: what takes the place of removed voxels in the score of the baseline.
        behavior: what is watched.
        visualization: how the heatmap is drawn.
        smoothing: as in `Explainer`.
    """

    def __init__(
        self,
        kind: str,
        cells: tuple[int, int, int],
        removal: Removal,
        behavior: Behavior,
        visualization: Visualization,
        smoothing: Smoothing | None = None,
    ) -> None:
        if kind not in CONTROLS:
            raise ValueError(f"kind must be one of {', '.join(CONTROLS)}, got {kind}")
        self.kind = kind
        self.cells = three("cells", cells, whole, "whole numbers >= 1, for (T, H, W)")
        self.removal = removal
        self.behavior = behavior
        self.visualization = visualization
        self.smoothing = smoothing

    def _attribution(self, rng: np.random.Generator) -> Attribution:
        """A value of each cell."""
        if self.kind == "center":
            middles = [np.abs((np.arange(n) + 0.5) / n - 0.5) for n in self.cells]
            t, y, x = np.meshgrid(*middles, indexing="ij")
            return 1 - np.sqrt(t**2 + y**2 + x**2).ravel()
        noise = rng.random(int(np.prod(self.cells)))
        if self.kind == "random":
            return noise
        smooth: Attribution = ndimage.gaussian_filter(noise.reshape(self.cells), 1.0, mode="reflect").ravel()
        return smooth

    def __call__(self, clip: ScoredClip) -> MethodResult:
        """The control's heatmap for a clip; no coalition is scored but the clip and the baseline."""
        regions: Regions = SoftGrid(clip.shape, self.cells).to(clip.device)
        attribution = self._attribution(clip.seeds.numpy("sampling"))
        game = clip.game(regions, self.removal, self.behavior)
        none = Coalitions(np.empty((0, regions.n_regions), dtype=bool), np.empty(0))
        regions = _smoothed(regions, self.smoothing)
        heatmap = clip.heatmap(regions, attribution)
        return MethodResult(
            attribution,
            heatmap,
            regions,
            none,
            np.empty(0),
            game.full,
            game.empty,
            per_frame=frame_importance(regions, Estimate(attribution), clip.device),
        )
