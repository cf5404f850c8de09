"""Classes of a dataset and of a network: which is which, by name."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from lavx.datasets.base import Video

log = logging.getLogger(__name__)


def _plain(name: str) -> str:
    """A name without case, spaces, underscores and punctuation."""
    return re.sub(r"[\W_]+", "", name.casefold())


class ClassMap:
    """The network's index of each class of a dataset.

    Classes are the same where their names are, whatever the case, spaces and punctuation. A network whose class
    names nobody knows (None) is taken to have the dataset's, in their order, if it has as many; which is logged.

    Args:
        dataset: names of the dataset's classes, in the order of its labels.
        network: names of the network's classes, in the order of its outputs; None where unknown.

    Attributes:
        indices: for each class of the dataset the network's index; None where the network does not have it.
    """

    def __init__(self, dataset: Sequence[str], network: Sequence[str] | None) -> None:
        self.indices: tuple[int | None, ...]
        if network is None:
            log.warning("The network names no classes; its outputs are taken for the dataset's %d.", len(dataset))
        if network is None or tuple(network) == tuple(dataset):
            self.indices = tuple(range(len(dataset)))
            return
        places: dict[str, int] = {}
        for index, name in enumerate(network):
            places.setdefault(_plain(name), index)
        self.indices = tuple(places.get(_plain(name)) for name in dataset)
        absent = [name for name, index in zip(dataset, self.indices, strict=True) if index is None]
        if absent:
            listed = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
            log.warning(
                "The network lacks %d of the dataset's %d classes (%s): videos of these have no label here.",
                len(absent),
                len(dataset),
                listed,
            )

    def relabeled(self, videos: Iterable[Video]) -> list[Video]:
        """The videos with the network's labels; those of classes that it does not have are left out."""
        mapped = [(video, self(video.label)) for video in videos]
        return [replace(video, label=label) for video, label in mapped if label is not None]

    def __call__(self, label: int | None) -> int | None:
        """The network's index of a label of the dataset; None where it does not have that class."""
        return None if label is None else self.indices[label]
