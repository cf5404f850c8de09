"""The videos of a training: which ones to train on, which ones to validate on, and which are left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lavx.datasets.base import Dataset, DrawnAnew, Video
from lavx.datasets.lengths import lengths
from lavx.errors import RequestError
from lavx.experiments.compose import build, videos_of
from lavx.experiments.settings import Settings
from lavx.networks.openmmlab.view import View
from lavx.networks.training.clips import TRAINING, VALIDATION, Clips, DrawnClips, TrainingClips, ValidationClips
from lavx.networks.training.recipe import Recipe
from lavx.video import VideoInfo

# The subset to validate on, by what `dataset.part` says; `train` alone and nothing name none.
_VALIDATION_SUBSETS = {"train": "test", None: "test"}


@dataclass(frozen=True)
class Split:
    """The two halves of a dataset in a training; one and the same where videos are drawn by code."""

    training: Dataset
    validation: Dataset


@dataclass(frozen=True)
class TrainingData:
    """The clips of a training, and how many videos they are from.

    Attributes:
        training: clips to train on.
        validation: clips to validate on.
        n_training: videos of `training`.
        n_validation: videos of `validation`.
        n_left_out: videos that are in neither, being unreadable, too short or without label.
    """

    training: Clips
    validation: Clips
    n_training: int
    n_validation: int
    n_left_out: int


def split_dataset(config: Settings, name: str) -> Split:
    """Build the datasets to train and to validate on.

    Args:
        config: the composed configuration of `lavx train`.
        name: of the dataset, for messages.

    Raises:
        RequestError: if the dataset is not split, or the fold is missing or given in the wrong place.
    """
    node = config.dataset
    fold = _checked_fold(config, name)
    if "part" not in node:
        dataset = build(node, "dataset", **fold)
        if isinstance(dataset, DrawnAnew):
            return Split(dataset, dataset)
        raise RequestError(
            f"dataset={name} has no subsets to train and to validate on; lavx train takes datasets that have "
            "them (dataset.part), or whose videos are drawn by code"
        )
    validation = _VALIDATION_SUBSETS.get(node.part, node.part)
    return Split(build(node, "dataset", part="train", **fold), build(node, "dataset", part=validation, **fold))


def _checked_fold(config: Settings, name: str) -> dict[str, int]:
    """The fold as an argument of the dataset; none where the dataset has no folds."""
    node, fold = config.dataset, config.fold
    if "fold" not in node:
        if fold is not None:
            raise RequestError(f"fold={fold}: dataset={name} has no folds; omit fold")
        return {}
    if fold is not None:
        return {"fold": fold}
    if node.fold is not None:
        raise RequestError(f"give the fold of a training as fold={node.fold}, not as dataset.fold")
    k = node.get("k", 5)
    raise RequestError(
        f"dataset={name} is split into {k} folds; choose one with fold=0, or train all of them with "
        f"-m fold={','.join(map(str, range(k)))}"
    )


def training_data(
    split: Split,
    name: str,
    recipe: Recipe,
    settings: Any,
    view: View,
    seed: int,
    lengths_file: Path,
) -> TrainingData:
    """The clips to train and to validate on.

    Args:
        split: the datasets.
        name: of the dataset, for messages.
        recipe: how long to train, in what batches.
        settings: the mmengine config of the network.
        view: what the network sees of a video.
        seed: of all that is random.
        lengths_file: where what each video holds is kept.

    Raises:
        RequestError: if no usable video is left, or videos that are drawn by code are to be trained on in epochs.
        ValueError: if the config has no `train_pipeline`.
    """
    if isinstance(split.training, DrawnAnew):
        return _drawn_data(split.training, name, recipe, view, seed)
    subsets = [videos_of(split.training), videos_of(split.validation)]
    infos, usable = _usable_videos(subsets, view, lengths_file, max(1, recipe.workers))
    for videos, purpose in zip(usable, ("train", "validate"), strict=True):
        if not videos:
            raise RequestError(f"dataset={name} has no usable video to {purpose} on")
    return TrainingData(
        TrainingClips(usable[0], infos, settings, view.layout, seed),
        ValidationClips(usable[1], infos, view),
        len(usable[0]),
        len(usable[1]),
        sum(map(len, subsets)) - sum(map(len, usable)),
    )


def _drawn_data(dataset: DrawnAnew, name: str, recipe: Recipe, view: View, seed: int) -> TrainingData:
    if recipe.iterations is None:
        raise RequestError(
            f"dataset={name} is drawn by code, new videos for each step, and has no epochs: set "
            "training.epochs=null training.iterations=1000"
        )
    n_training, n_validation = recipe.batch_size * recipe.iterations, dataset.n_held_out
    return TrainingData(
        DrawnClips(dataset, view, seed, TRAINING, n_training),
        DrawnClips(dataset, view, seed, VALIDATION, n_validation),
        n_training,
        n_validation,
        0,
    )


def _usable_videos(
    subsets: Sequence[Sequence[Video]], view: View, lengths_file: Path, workers: int
) -> tuple[Mapping[str, VideoInfo], list[list[Video]]]:
    """What the videos hold, and those of each subset that have a label and are as long as a clip."""
    labeled = [[video for video in videos if video.label is not None] for videos in subsets]
    found = lengths([video for videos in labeled for video in videos], lengths_file, workers)
    infos = {name: info for name, info in found.items() if isinstance(info, VideoInfo)}
    usable = [
        [video for video in videos if video.id in infos and infos[video.id].n_frames >= view.n_frames]
        for videos in labeled
    ]
    n_left_out = sum(map(len, subsets)) - sum(map(len, usable))
    if n_left_out:
        reasons = [info for info in found.values() if isinstance(info, str)]
        example = f", such as {reasons[0]}" if reasons else ""
        print(f"{n_left_out} videos are left out (unreadable, too short or without label){example}")
    return infos, usable
