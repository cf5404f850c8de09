"""What lavx asks of a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Video:
    """One video of a dataset.

    Attributes:
        id: its name within the dataset; also that of its folder in a run folder.
        path: the video file.
        label: the right class, an index into the dataset's `classes`; None where unknown.
    """

    id: str
    path: Path
    label: int | None


class Dataset(Protocol):
    """Videos with classes, and the truth about them where it is known."""

    name: str
    classes: tuple[str, ...]

    def videos(self) -> list[Video]:
        """All videos, in an order that does not change from call to call."""
        ...

    def truth(self, video: Video) -> NDArray[np.bool_] | None:
        """What the label rests on, bool (n_frames, H, W) in source frames; None where unknown."""
        ...
