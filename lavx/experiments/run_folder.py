"""The run folder: what a cell leaves behind, and how it is resumed.

    config.yaml  environment.json  run.log  results.csv
    videos/<video_id>/  explanation.npz  metrics.json  panel.png  overlay.mp4

A video's folder is written beside its place and renamed, so that it is there whole or not at all.
"""

from __future__ import annotations

import glob
import json
import os
import platform
import re
import shutil
import subprocess
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lavx import __version__
from lavx.errors import RequestError
from lavx.experiments.record import METRICS, NewerVersionError, VideoRecord, columns, record_files
from lavx.files import write_text

_PACKAGES = ("torch", "mmaction2", "mmengine", "hydra-core", "numpy", "scikit-image", "scipy", "av")


def _flat(node: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(node, dict) and node:
        return {k: v for key, child in node.items() for k, v in _flat(child, f"{prefix}{key}.").items()}
    return {prefix[:-1]: node}


def difference(stored: dict[str, Any], given: dict[str, Any]) -> list[str]:
    """The keys in which two configurations differ, one line each."""
    old, new = _flat(stored), _flat(given)
    absent = "(absent)"
    return [
        f"{key}: {old.get(key, absent)} -> {new.get(key, absent)}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key, absent) != new.get(key, absent)
    ]


def environment(weights: dict[str, Any], device: str, seed: int) -> dict[str, Any]:
    """What else the numbers depend on: versions, commit, device and weights."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "lavx": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions,
        "device": device,
        "weights": weights,
        "seed": seed,
    }


def _commit() -> str | None:
    """The commit of lavx's own checkout; None where it was installed as a package."""
    source = Path(__file__).resolve().parents[2]
    if not (source / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(source), "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def identity(config: DictConfig, apart: Collection[str]) -> dict[str, Any]:
    """The resolved configuration without the keys at its top that do not decide what is computed.

    Raises:
        RequestError: if it cannot be resolved.
    """
    try:
        resolved = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise RequestError(str(error).splitlines()[0]) from error
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items() if key not in apart}


def claim(path: Path, config: dict[str, Any], environment: dict[str, Any]) -> None:
    """Make a folder that of one configuration.

    Raises:
        RequestError: if it already belongs to another, naming the keys that differ; or was made with other weights
            in the same place.
    """
    file = path / "config.yaml"
    if file.exists():
        differing = difference(yaml.safe_load(file.read_text()), config)
        if differing:
            lines = "\n  ".join(differing)
            raise RequestError(
                f"{path} holds a run with another configuration (there -> asked for now):\n  {lines}\n"
                "Give this run a folder of its own with name=..., or delete that one."
            )
        _check_weights(path, environment.get("weights", {}))
        return
    write_text(path / "environment.json", json.dumps(environment, indent=2) + "\n")
    write_text(file, yaml.safe_dump(config, sort_keys=False))


def _check_weights(path: Path, weights: dict[str, Any]) -> None:
    """Refuse to go on with weights that have changed since: half of the results would be another network's."""
    try:
        stored = json.loads((path / "environment.json").read_text())["weights"]
    except (OSError, ValueError, KeyError):
        return
    old, new = _hashes(stored), _hashes(weights)
    changed = [name for name in old if name in new and old[name] != new[name]]
    if changed:
        listed = ", ".join(f"{name}{old[name][:8]} -> {new[name][:8]}" for name in changed)
        raise RequestError(
            f"{path} was made with other weights: {stored['file']} has changed since (SHA-256 {listed}). Give "
            "this run a folder of its own with name=..., or delete that one."
        )


def _hashes(weights: dict[str, Any]) -> dict[str, str]:
    """The SHA-256 of each file of weights, by what to call it."""
    parts = {"": weights} | {f"fold {fold}: ": part for fold, part in weights.get("folds", {}).items()}
    return {name: part["sha256"] for name, part in parts.items() if part.get("sha256")}


def holds(path: Path, config: dict[str, Any]) -> bool:
    """Whether a folder is that of a configuration already."""
    file = path / "config.yaml"
    return file.exists() and not difference(yaml.safe_load(file.read_text()), config)


class RunFolder:
    """The folder of one cell.

    Args:
        path: the folder; made where it is not there.

    Raises:
        RequestError: if it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.videos = path / "videos"
        try:
            self.videos.mkdir(parents=True, exist_ok=True)
            probe = path / f".{uuid.uuid4().hex[:8]}.part"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise RequestError(
                f"cannot write to {path} ({error.strerror}). Give another root folder: outputs=/some/folder"
            ) from error

    def claim(self, config: dict[str, Any], environment: dict[str, Any]) -> None:
        """Make this the folder of one configuration; see `claim`."""
        claim(self.path, config, environment)

    def holds(self, config: dict[str, Any]) -> bool:
        """Whether this is the folder of a configuration already."""
        return holds(self.path, config)

    def folder(self, video_id: str) -> Path:
        """Where a video's results lie: its id, with characters that a file name cannot hold replaced."""
        return self.videos / re.sub(r"[^\w.@+=-]", "_", video_id)

    def record(self, video_id: str) -> VideoRecord | None:
        """What `metrics.json` of a video says; None where there is none, or it is damaged.

        Raises:
            RequestError: if a newer lavx wrote it.
        """
        try:
            return VideoRecord.read(self.folder(video_id) / METRICS)
        except FileNotFoundError:
            return None
        except NewerVersionError as error:
            raise RequestError(str(error)) from error
        except ValueError:
            return None

    def done(self, video_id: str) -> bool:
        """Whether a video was explained; one that failed, or whose record is damaged, is tried again.

        Raises:
            RequestError: if a newer lavx wrote its record, which must not be overwritten.
        """
        record = self.record(video_id)
        return record is not None and record.error is None

    @contextmanager
    def claimed(self, video_id: str) -> Iterator[bool]:
        """Hold a video against other workers on this folder; False where another holds it.

        The operating system lets go of it when the process ends, however it ends.
        """
        locks = self.path / ".locks"
        locks.mkdir(exist_ok=True)
        lock = FileLock(locks / self.folder(video_id).name)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            for part in self.videos.glob(f".{glob.escape(self.folder(video_id).name)}.*.part"):
                shutil.rmtree(part, ignore_errors=True)  # left half written by a process that was killed
            yield True
        finally:
            lock.release()

    @contextmanager
    def writing(self, video_id: str) -> Iterator[Path]:
        """A folder to write a video's results to; it takes its place when all went well, else it is deleted."""
        part = self.videos / f".{self.folder(video_id).name}.{uuid.uuid4().hex[:8]}.part"
        part.mkdir()
        try:
            yield part
            place = self.folder(video_id)
            if place.exists():
                shutil.rmtree(place)
            os.replace(part, place)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def write_failure(self, video_id: str, row: dict[str, Any]) -> None:
        """Record why a video was skipped."""
        self.write_record(VideoRecord.failed(video_id, row["label"], row["error"]))

    def write_record(self, record: VideoRecord) -> None:
        """Make a record all that there is of its video."""
        with self.writing(record.video_id) as folder:
            write_text(folder / METRICS, record.to_json())

    def write_table(self) -> pd.DataFrame:
        """Make `results.csv` anew from all videos' records: a row a video, by id.

        A damaged record is a row with the reason as its error, under the name of its folder.
        """
        rows = []
        for file in record_files(self.path):
            try:
                rows.append(VideoRecord.read(file).row())
            except FileNotFoundError:
                continue  # another worker is replacing what failed
            except ValueError as error:
                rows.append(VideoRecord.failed(file.parent.name, None, str(error)).row())
        table = pd.DataFrame(rows, columns=columns(rows))
        write_text(self.path / "results.csv", table.to_csv(index=False))
        return table


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Write a compressed .npz; the same arrays give the same bytes."""
    np.savez_compressed(path, allow_pickle=False, **{name: np.asarray(value) for name, value in arrays.items()})
