"""Which weights judge a video where a network was trained once a fold: those that did not learn from it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lavx.datasets.base import Dataset, Folded, Video
from lavx.errors import RequestError
from lavx.video import VideoError


def folds_of(dataset: Dataset | None, videos: Iterable[Video]) -> tuple[int, ...]:
    """The folds that hold the videos out, each once, in their order; none where the dataset has no folds."""
    folds = set()
    if isinstance(dataset, Folded):
        for video in videos:
            try:
                folds.add(dataset.fold_of(video))
            except ValueError:
                continue  # it is in no fold, and `fold_for` will say so
    return tuple(sorted(folds))


def fold_for(network: Any, dataset: Dataset | None, video: Video) -> int | None:
    """The fold whose weights judge a video; None where the network has one file of weights for all.

    It is the fold that holds the video out, whatever part of the dataset is looked at: with `dataset.part=train`
    too, the network of `dataset.fold` has learned from the videos, and that of the fold named here has not.

    Raises:
        VideoError: if no fold holds the video out.
    """
    if not getattr(network, "folds", None):
        return None
    assert isinstance(dataset, Folded)  # else the network has not been built
    try:
        return dataset.fold_of(video)
    except ValueError as error:
        raise VideoError(
            f"{error} A network with one file of weights a fold cannot judge it; choose one of the files with "
            "net.checkpoint=..."
        ) from error


def sha256_for(network: Any, dataset: Dataset | None, video: Video) -> str | None:
    """The SHA-256 of the weights that judge a video; None for random weights.

    Raises:
        VideoError: if no fold holds the video out.
    """
    fold = fold_for(network, dataset, video)
    weights = network.weights if fold is None else network.folds[fold]
    return weights.get("sha256")


def prepare(network: Any, dataset: Dataset | None, video: Video) -> int | None:
    """Give a network the weights that judge a video; to be called before it scores one. See `fold_for`.

    Returns:
        The fold; None where the network has one file of weights for all.

    Raises:
        VideoError: if no fold holds the video out.
        RequestError: if the weights cannot be read any longer.
    """
    fold = fold_for(network, dataset, video)
    if fold is not None:
        try:
            network.take_fold(fold)
        except (OSError, ValueError) as error:
            raise RequestError(f"net: {error}") from error
    return fold
