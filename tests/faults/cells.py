"""A tiny cell, what it leaves, and how two of them compare."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from lavx_process import TINY, Lavx

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


def copy(finished: Path, folder: Path) -> Path:
    """A copy of a finished cell to do harm to."""
    shutil.copytree(finished / "outputs", folder / "outputs")
    return cell(folder)
