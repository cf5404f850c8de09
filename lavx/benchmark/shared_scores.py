"""Scores that all methods of a benchmark share, on disk: a coalition of the same game is scored once."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from lavx.experiments.score_store import FileScoreStore
from lavx.game import ClipGame, ScoredClip, Seeds
from lavx.types import Behavior, Kept, Outputs, Progress, Regions, Removal, Scores


class SharedScores(FileScoreStore):
    """A `FileScoreStore` that gives what this process added too, and keeps no outputs.

    Args:
        path: the file; its folder must exist.
        about: what the scores depend on beside game and coalitions.
    """

    def add(self, key: str, scores: Scores, outputs: Outputs | None = None) -> None:
        """Append a batch of scores."""
        super().add(key, scores)
        self._kept.setdefault(key, []).extend(scores.tolist())


class Draw(Seeds):
    """The random streams of one of several draws of the same explanation.

    Only what a sampling draws differs. Regions and removals stay, or it would be another game.

    Args:
        seed: of the run.
        name: of the clip.
        number: of the draw; number 0 draws what `lavx run` does.
    """

    def __init__(self, seed: int, name: str, number: int = 0) -> None:
        super().__init__(seed, name)
        self.number = number

    def numpy(self, step: str) -> np.random.Generator:
        """The stream of one step."""
        return super().numpy(f"{step} {self.number}" if step == "sampling" and self.number else step)


class SharingClip(ScoredClip):
    """A scored clip whose store holds many games: regions, removal and behavior are part of a score's key.

    The arguments are those of `ScoredClip`.

    Attributes:
        n_asked: coalitions that games were asked for, kept scores among them; not the clip and the baseline.
    """

    def __init__(self, *arguments: Any, progress: Progress, **options: Any) -> None:
        self.n_asked = 0
        super().__init__(*arguments, progress=_first_word(progress), **options)

    def game(
        self,
        regions: Regions,
        removal: Removal,
        behavior: Behavior,
        *,
        stage: str = "explanation",
        keep_outputs: bool = False,
        **options: Any,
    ) -> ClipGame:
        """The game of removing regions; outputs are never kept."""
        key = f"{stage} {fingerprint(regions)} {described(removal)} {described(behavior)}"
        return super().game(regions, removal, behavior, stage=key, **options)

    def _scores(self, kept: Kept, *arguments: Any, **options: Any) -> tuple[Scores, Outputs | None]:
        self.n_asked += int(np.count_nonzero(kept.any(axis=1) & ~kept.all(axis=1)))
        return super()._scores(kept, *arguments, **options)


def _first_word(progress: Progress) -> Progress:
    return lambda stage, n_passes: progress(stage.partition(" ")[0], n_passes)


def described(component: Any) -> str:
    """A component's class and parameters."""
    return f"{type(component).__name__}{sorted((name, repr(value)) for name, value in vars(component).items())}"


def fingerprint(regions: Regions) -> str:
    """A hash of regions: of their kind, and of which voxels belong to which."""
    digest = hashlib.sha256(f"{type(regions).__name__} {regions.shape}".encode())
    for name, array in sorted(regions.arrays().items()):
        digest.update(f" {name} {array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
