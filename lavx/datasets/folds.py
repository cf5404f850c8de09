"""K-fold splits that are files: drawn once with a seed, then read, so that a fold is the same fold ever after."""

from __future__ import annotations

import csv
import logging
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lavx.datasets.layouts import some

log = logging.getLogger(__name__)

VERSION = 1  # part of the file's name: raise it when the same seed draws other folds


def draw_folds(
    ids: Sequence[str], labels: Sequence[int], k: int, seed: int, groups: Sequence[int] | None = None
) -> dict[str, int]:
    """Draw folds that keep the share of each class: the fold, 0 to k - 1, in which each video is held out.

    Args:
        ids: the videos; their order does not matter.
        labels: their classes.
        k: how many folds.
        seed: of the draw.
        groups: videos of one group, such as a subject, stay in one fold; None for no groups.

    Raises:
        ValueError: if there are fewer videos or groups than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    if k < 2:
        raise ValueError(f"dataset.k must be >= 2, got {k}.")
    units = len(set(ids if groups is None else groups))
    if units < k:
        raise ValueError(
            f"dataset.k={k} folds cannot be made of {units} {'videos' if groups is None else 'groups'}."
        )
    order = np.argsort(np.array(ids))
    sorted_labels = np.array(labels)[order]
    sorted_groups = None if groups is None else np.array(groups)[order]
    splitter = (StratifiedKFold if groups is None else StratifiedGroupKFold)(k, shuffle=True, random_state=seed)
    fold = np.zeros(len(order), dtype=int)
    with warnings.catch_warnings():  # of classes with fewer than k videos, which an incomplete copy may have
        warnings.simplefilter("ignore", UserWarning)
        try:
            parts = list(splitter.split(np.zeros(len(order)), sorted_labels, sorted_groups))
        except ValueError as error:
            raise ValueError(f"dataset.k={k} folds cannot be made of {len(ids)} videos: {error}") from error
    for number, (_, held_out) in enumerate(parts):
        fold[held_out] = number
    return {ids[index]: int(number) for index, number in zip(order, fold, strict=True)}


def write_folds(file: Path, folds: dict[str, int], comment: str) -> None:
    """Write a CSV `video,fold` with a comment above; the file appears whole or not at all."""
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", newline="", encoding="utf-8") as stream:
            stream.write(f"# {comment}\n")
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(("video", "fold"))
            writer.writerows(sorted(folds.items()))
        os.replace(part, file)
    except OSError as error:
        raise OSError(
            f"cannot write the folds to {file} ({error.strerror}); set dataset.splits to a folder that can be "
            "written"
        ) from error


def read_folds(file: Path) -> dict[str, int]:
    """Read what `write_folds` wrote.

    Raises:
        ValueError: if it is something else.
    """
    lines = file.read_text(encoding="utf-8").splitlines()
    rows = list(csv.reader(line for line in lines if not line.startswith("#")))
    if not rows or rows[0] != ["video", "fold"] or any(len(r) != 2 or not r[1].isdecimal() for r in rows[1:]):
        raise ValueError(f"{file} is not a file of folds (lines video,fold); delete it to have it drawn anew.")
    return {name: int(number) for name, number in rows[1:]}


def stored_folds(
    folder: Path,
    name: str,
    ids: Sequence[str],
    labels: Sequence[int],
    k: int,
    seed: int,
    kind: str,
    groups: Sequence[int] | None = None,
) -> dict[str, int]:
    """The folds of a dataset: read from `<folder>/<name>-<kind>-k<k>-seed<seed>-v<VERSION>.csv`, or drawn into it.

    Raises:
        ValueError: if videos are there that the file does not know.
    """
    file = folder / f"{name}-{kind}-k{k}-seed{seed}-v{VERSION}.csv"
    if not file.exists():
        folds = draw_folds(ids, labels, k, seed, groups)
        sizes = np.bincount(list(folds.values()), minlength=k).tolist()
        comment = f"lavx folds v{VERSION}: {name}, {kind}, k={k}, seed={seed}, {len(ids)} videos, held out {sizes}"
        write_folds(file, folds, comment)
        log.info("wrote %s", file)
    folds = read_folds(file)
    unknown = sorted(set(ids) - folds.keys())
    if unknown:
        raise ValueError(
            f"{file} was drawn from other videos: it does not know {some(unknown)} of {len(ids)}. Delete it to "
            "draw new folds (networks trained on the old ones no longer fit), or set dataset.splits to another "
            "folder."
        )
    return folds
