"""A tiny cell, what it leaves, and how two of them compare."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from lavx_process import TINY, Command, Lavx

from lavx.experiments.record import VideoRecord

RUN = ("run", *TINY, "n_videos=3")
NO_PICTURES = ("injected:without_pictures",)


def cell(folder: Path, name: str = "default") -> Path:
    return folder / "outputs" / name / "shapes" / "function" / "loco-segmentation=grid"


def explanations(folder: Path) -> dict[str, bytes]:
    """The bytes of each explanation of a cell that counts as done."""
    found = {}
    for file in folder.glob("videos/[!.]*/explanation.npz"):
        record = VideoRecord.read(file.parent / "metrics.json")  # a torn one is an error here
        assert record.error is None
        found[file.parent.name] = file.read_bytes()
    return found


def numbers(folder: Path) -> dict[str, dict[str, object]]:
    """What the metrics of each video say, without the seconds."""
    found = {}
    for file in sorted(folder.glob("videos/[!.]*/metrics.json")):
        content = json.loads(file.read_text())
        found[file.parent.name] = {name: value for name, value in content.items() if name != "seconds"}
    return found


def state(folder: Path) -> str:
    return str(json.loads((folder / "status.json").read_text())["state"])


def finished(lavx: Lavx, folder: Path) -> Path:
    """A finished cell in a folder of its own."""
    done = lavx.run(*RUN, folder=folder, hook=NO_PICTURES)
    assert done.status == 0, done.stderr
    return folder


def at_each_operation(lavx: Lavx, folder: Path, fault: str) -> Iterator[tuple[Path, Command]]:
    """Runs with a fault from every third operation on files on, until one needs no more operations than that."""
    number, stride = 1, 3
    pending = []
    while True:
        place = folder / str(number)
        place.mkdir()
        hook = (f"injected:{fault}", str(place / "outputs"), number)
        pending.append((place, lavx.start(*RUN, folder=place, hook=hook)))
        number += stride
        if len(pending) < 3:
            continue
        place, ended = pending.pop(0)
        if ended.status == 0:
            break
        yield place, ended
    assert all(ended.status == 0 for _, ended in pending)


def copy(finished: Path, folder: Path) -> Path:
    """A copy of a finished cell to do harm to."""
    shutil.copytree(finished / "outputs", folder / "outputs")
    return cell(folder)
