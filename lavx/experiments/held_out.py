"""Out-of-fold predictions: which weights classify a video where a network was trained once a fold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lavx.datasets.base import Dataset, Folded, Video
from lavx.errors import RequestError
from lavx.video import VideoError


def folds_of(dataset: Dataset | None, videos: Iterable[Video]) -> tuple[int, ...]:
    """The folds that hold the videos out, each once, in order; none where the dataset has no folds."""
    folds = set()
    if isinstance(dataset, Folded):
        for video in videos:
            try:
                folds.add(dataset.fold_of(video))
            except ValueError:
                continue  # it is in no fold, and `fold_for` will say so
    return tuple(sorted(folds))


def fold_for(network: Any, dataset: Dataset | None, video: Video) -> int | None:
    """The fold that holds a video out; None where the network has one file of weights for all videos.

    It does not depend on which subset of the dataset the video comes from: with `dataset.part=train` too, the
    weights of `dataset.fold` were trained on the video, and those of the fold named here were not.

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
            f"{error} A network with one file of weights a fold has no out-of-fold weights for it; choose one of "
            "the files with net.checkpoint=..."
        ) from error


def sha256_for(network: Any, dataset: Dataset | None, video: Video) -> str | None:
    """The SHA-256 of the weights that classify a video; None for random weights.

    Raises:
        VideoError: if no fold holds the video out.
    """
    fold = fold_for(network, dataset, video)
    weights = network.weights if fold is None else network.folds[fold]
    return weights.get("sha256")


def prepare(network: Any, dataset: Dataset | None, video: Video) -> int | None:
    """Load the weights that were not trained on a video; to be called before the network classifies it.

    Returns:
        The fold that holds the video out; None where the network has one file of weights for all videos.

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
