"""What is rated: the explanations of an outputs folder."""

from __future__ import annotations

import zipfile
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from lavx.errors import RequestError
from lavx.experiments.record import EXPLANATION
from lavx.experiments.record_index import RecordIndex, Summary
from lavx.experiments.status import cell_files
from lavx.experiments.variation import Variation, method_key
from lavx.explainer import CONTROLS
from lavx.text import visible

RATED, ATTENTION = "rated", "attention"
_SHOWN = 3  # names in a message

Group = tuple[str, str, str]
"""Dataset, network and video: what the methods are compared on."""


@dataclass(frozen=True)
class Item:
    """One explanation that raters see.

    Attributes:
        role: `RATED`, or `ATTENTION` for a random heatmap over the frames of an explanation.
        dataset: of the video.
        net: the explained network.
        method: what made the explanation; "random" of an attention check.
        video_id: the video.
        class_name: the explained class.
        place: the folder of the video's results, relative to the run's.
    """

    role: str
    dataset: str
    net: str
    method: str
    video_id: str
    class_name: str
    place: str

    @property
    def group(self) -> Group:
        """What it can be compared within."""
        return self.dataset, self.net, self.video_id


def find_items(
    folder: Path, methods: Sequence[str] | None = None, n_videos: int | None = None
) -> tuple[list[Item], list[str]]:
    """The explanations to rate, those of each dataset, network and video that every method has explained.

    Args:
        folder: `<outputs>/<name>`.
        methods: those to rate; None for all but the controls.
        n_videos: most videos of each dataset and network; None for all.

    Returns:
        The items by dataset, network, video and method, and what was left out, in sentences.

    Raises:
        RequestError: if there is nothing to rate, saying why.
    """
    cells = {file.parent: _method(file.parent) for file in cell_files(folder, "config.yaml")}
    names = list(cells.values())
    if not cells:
        raise RequestError(
            f"{folder} holds no explanations to rate. First run lavx run, or give name=... outputs=..."
        )
    wanted = (
        sorted({name for cell, name in cells.items() if not is_control(cell)})
        if methods is None
        else list(methods)
    )
    unknown = [method for method in wanted if method not in names]
    if unknown or not wanted:
        known = ", ".join(sorted(set(names)))
        raise RequestError(
            f"methods must be of those that {folder} holds, {known}, got {', '.join(unknown) or 'none'}"
        )
    found: dict[Group, dict[str, Path]] = defaultdict(dict)
    for cell, name in cells.items():
        if name in wanted:
            for group, place in _explained(cell).items():
                found[group][name] = place
    whole = {group: places for group, places in sorted(found.items()) if len(places) == len(wanted)}
    notes = _left_out(found, wanted)
    if not whole:
        raise RequestError(
            f"{folder} holds no video that every one of {', '.join(wanted)} has explained. Finish the runs, or "
            f"choose with methods=[...]. {' '.join(notes[:_SHOWN])}"
        )
    items = []
    for group in _first(list(whole), n_videos):
        items += [_item(folder, group, method, whole[group][method]) for method in wanted]
    return items, notes


def _method(cell: Path) -> str:
    """What a cell's method is called, as the report calls it."""
    return visible(method_key(cell, Variation.read(cell)))


def is_control(cell: Path) -> bool:
    """Whether the heatmaps of a cell ignore the network."""
    if Variation.read(cell).method in CONTROLS:
        return True
    try:
        target = yaml.safe_load((cell / "config.yaml").read_text(encoding="utf-8"))["method"]["_target_"]
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return False
    return str(target).endswith(".Control")


def _explained(cell: Path) -> dict[Group, Path]:
    dataset, net = (visible(part) for part in cell.parts[-3:-1])
    records = RecordIndex(cell).read().items()
    return {
        (dataset, net, visible(record.video_id)): cell / "videos" / place
        for place, record in records
        if isinstance(record, Summary) and record.error is None
    }


def _left_out(found: dict[Group, dict[str, Path]], methods: Sequence[str]) -> list[str]:
    lacking: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for group, places in found.items():
        absent = tuple(method for method in methods if method not in places)
        if absent:
            lacking[(*group[:2], *absent)].append(group[2])
    return [
        f"{dataset} / {net}: {len(videos)} of the videos ({_some(videos)}) are left out, which "
        f"{', '.join(absent)} did not explain."
        for (dataset, net, *absent), videos in lacking.items()
    ]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _first(groups: Sequence[Group], n_videos: int | None) -> list[Group]:
    """The first videos of each dataset and network."""
    chosen: dict[tuple[str, str], int] = defaultdict(int)
    kept = []
    for group in groups:
        if n_videos is None or chosen[group[:2]] < n_videos:
            kept.append(group)
            chosen[group[:2]] += 1
    return kept


def _item(folder: Path, group: Group, method: str, place: Path) -> Item:
    arrays = read_arrays(place / EXPLANATION, ("target", "classes"), ("frames", "heatmap"))
    if "classes" not in arrays:
        raise RequestError(
            f"{place / EXPLANATION} does not say what its classes are called, and raters are shown the class. "
            f"Run the "
            "cell again with a network, or a dataset, that names its classes"
        )
    name = str(arrays["classes"][int(arrays["target"])])
    return Item(RATED, *group[:2], method, group[2], visible(name), place.relative_to(folder).as_posix())


def read_arrays(file: Path, names: Sequence[str] | None, present: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
    """Some arrays of an explanation, those of them that it has.

    Args:
        file: `explanation.npz`.
        names: arrays to read; None for all.
        present: arrays that must be there, read or not.

    Raises:
        RequestError: if the file is missing or damaged, or lacks one of `present`.
    """
    again = "Delete the video's folder and run the cell again"
    try:
        with file.open("rb") as content, np.load(content, allow_pickle=False) as stored:
            lacking = [name for name in present if name not in stored.files]
            wanted = stored.files if names is None else names
            arrays = {name: stored[name] for name in wanted if name in stored.files}
    except (OSError, EOFError, ValueError, KeyError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise RequestError(f"{file} is missing or damaged ({error}). {again}") from error
    if lacking:
        raise RequestError(f"{file} holds no {' and no '.join(lacking)}, so that it cannot be shown. {again}")
    return arrays
