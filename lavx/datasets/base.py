"""What lavx asks of a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Video:
    """One video of a dataset.

    Attributes:
        id: its name within the dataset; also that of its folder in a run folder.
        path: the video file.
        label: the right class, an index into the dataset's `classes`; None where unknown.
        start: second of the file at which the video begins; None for its start.
        end: second at which it ends; None for its end.
    """

    id: str
    path: Path
    label: int | None
    start: float | None = None
    end: float | None = None


class Dataset(Protocol):
    """Videos with classes, and the ground truth about them where it is known."""

    name: str
    classes: tuple[str, ...]

    def videos(self) -> list[Video]:
        """All videos, in an order that does not change from call to call."""
        ...

    def ground_truth(self, video: Video) -> NDArray[np.bool_] | None:
        """What the label rests on, bool (n_frames, H, W) in source frames; None where unknown."""
        ...


@runtime_checkable
class Folded(Dataset, Protocol):
    """A dataset in folds, each held out once while a network is trained on the others."""

    def fold_of(self, video: Video) -> int:
        """The fold that holds a video out, from 0.

        Raises:
            ValueError: if no fold does.
        """
        ...


@runtime_checkable
class DrawnAnew(Dataset, Protocol):
    """A dataset whose videos are drawn by code, so that a training can have as many as it wants.

    Attributes:
        n_frames: of each video.
        fps: frames a second.
        n_held_out: videos to judge a training by.
    """

    n_frames: int
    fps: float
    n_held_out: int

    def drawn(self, seed: Sequence[int], frames: Sequence[int]) -> tuple[NDArray[np.uint8], int]:
        """Some frames of the video that `seed` draws, uint8 (T, H, W, 3), and its label."""
        ...
