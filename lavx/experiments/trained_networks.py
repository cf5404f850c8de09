"""Networks trained by `lavx train`: whether they are there, and whether they fit the split of the dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from lavx.errors import RequestError
from lavx.experiments.identity import same_class
from lavx.experiments.settings import Settings
from lavx.networks.openmmlab.checkpoints import FOLD

_DEFAULTS = {"name": "default", "outputs": "outputs"}
_SPLIT = ("split", "split_kind", "k", "seed")  # keys of a dataset that say which videos a training held out


def _files(config: Settings, key: str, folds: Sequence[int]) -> Iterator[tuple[int | None, Path]]:
    """The file of `net.config` or `net.checkpoint`, or one a fold, each with its fold."""
    path = str(config.net.get(key))
    for fold in folds if FOLD in path else (None,):
        yield fold, Path(path.replace(FOLD, str(fold))).expanduser()


def check_there(config: Settings, names: Sequence[str], folds: Sequence[int]) -> None:
    """Refuse a network that is not trained yet, saying how to train it.

    Args:
        config: any with `net`, `name`, `outputs` and `trained`.
        names: what dataset and net are called there.
        folds: whose weights are needed.

    Raises:
        RequestError: naming every file that is not there.
    """
    trained = Path(config.trained).expanduser()
    files = [*_files(config, "config", folds), *_files(config, "checkpoint", folds)]
    missing = [(fold, file) for fold, file in files if file.is_relative_to(trained) and not file.is_file()]
    if not missing:
        return
    dataset, net = names[:2]
    command = ["lavx train", f"dataset={dataset}", f"net={net}"]
    command += [f"{key}={config[key]}" for key, default in _DEFAULTS.items() if str(config[key]) != default]
    untrained = [fold for fold, _ in missing if fold is not None] or list(folds)
    if untrained:
        command.append(f"fold={','.join(map(str, untrained))}")
        command[0] += " -m" * (len(untrained) > 1)
    place = Path(config.outputs) / config.name / "training"
    where = "" if Path(config.trained) == place else f", in {place}"
    there = [fold for fold in folds if fold not in untrained]
    alone = f" dataset.fold={(there or untrained)[0]} needs one of the folds alone." if len(folds) > 1 else ""
    raise RequestError(
        f"net={net} is not trained on dataset={dataset} yet: there is no "
        f"{', '.join(str(file) for _, file in missing)}. {' '.join(command)} makes what is missing{where}.{alone} "
        "For a network that is elsewhere give net.config=... and net.checkpoint=..., or trained=..., the folder "
        "of all trained networks."
    )


def check_split(config: Settings, folds: Sequence[int]) -> None:
    """Refuse weights that `lavx train` trained on another split of the same dataset.

    They may have been trained on the very videos that they are to classify now.

    Raises:
        RequestError: naming what differs.
    """
    for _, file in _files(config, "checkpoint", folds):
        beside = file.parent / "config.yaml"
        if not (file.is_file() and beside.is_file()):
            continue
        training = yaml.safe_load(beside.read_text())
        stored = training.get("dataset", {}) if isinstance(training, dict) else {}
        if not same_class(stored.get("_target_"), config.dataset.get("_target_")) or "part" not in stored:
            continue  # no training's, or that of a dataset without a split
        differing = [key for key in _SPLIT if key in stored and stored[key] != config.dataset.get(key)]
        if differing:
            then = " ".join(f"dataset.{key}={stored[key]}" for key in differing)
            now = " ".join(f"dataset.{key}={config.dataset.get(key)}" for key in differing)
            raise RequestError(
                f"{file} was trained with {then}, and now {now} is given: it may have been trained on the "
                f"videos that it is to classify. Give {then}, or train networks on this split under another "
                "name=..."
            )
