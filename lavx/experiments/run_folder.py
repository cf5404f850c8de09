"""The run folder: what a cell leaves behind, and how it is resumed.

    config.yaml  content.json  environment.json  run.log  results.csv  .names
    videos/<folder_name(video_id)>/  explanation.npz  metrics.json  panel.png  overlay.mp4

A video's folder is written in `.partial` and renamed, so that it is there whole or not at all. `results.csv` is
made when a run of the cell ends; all records are in `.index` too (see `lavx.experiments.record_index`).
"""

from __future__ import annotations

import dataclasses
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from lavx.errors import RequestError
from lavx.experiments.identity import CONFIG, claim, holds, release
from lavx.experiments.names import folder_name, old_folder_name
from lavx.experiments.record import (
    METRICS,
    PARTIAL,
    NewerVersionError,
    VideoRecord,
    check_explanation,
    columns,
    read_result,
)
from lavx.experiments.record_index import RecordIndex, Summary
from lavx.files import clean_parts, whole_folder, write_text
from lavx.text import csv_of, visible

_NAMES = ".names"
_NAMING = 1  # raise it when `folder_name` changes


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
        self._index = RecordIndex(path)
        self._claimed: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None
        self._config = ""  # what config.yaml held when this process claimed the folder
        try:
            self.videos.mkdir(parents=True, exist_ok=True)
            probe = path / f".{uuid.uuid4().hex[:8]}.part"
            probe.touch()
            ignores_case = probe.with_name(probe.name.upper()).exists()
            probe.unlink()
            self._fold_case = self._named(ignores_case)
        except OSError as error:
            raise RequestError(
                f"cannot write to {path} ({error.strerror}). Give another root folder: outputs=/some/folder"
            ) from error

    def claim(self, config: Mapping[str, Any], environment: Mapping[str, Any]) -> None:
        """Make this the folder of one configuration, of whichever process comes first; see `claim`."""
        with self._configuring():
            claim(self.path, config, environment)
            self._claimed = config, environment
            self._config = self._config_text()

    def release(self) -> None:
        """Let another configuration have the folder, unless there are results in it, or another has it already."""
        with self._configuring():
            if self._config_text() == self._config and not self._index.read():
                release(self.path)

    def _configuring(self) -> FileLock:
        locks = self.path / ".locks"
        locks.mkdir(exist_ok=True)
        return FileLock(locks / ".configuration")

    def _config_text(self) -> str:
        try:
            return (self.path / CONFIG).read_text()
        except (OSError, ValueError):
            return ""

    @contextmanager
    def _still_claimed(self) -> Iterator[None]:
        """Hold the configuration, claimed anew where another worker released it or it was damaged meanwhile.

        Raises:
            RequestError: if the folder is another configuration's by now, whose results must not be mixed with.
        """
        if self._claimed is None:
            yield
            return
        with self._configuring():
            if self._config_text() != self._config:
                claim(self.path, *self._claimed)
            yield

    def holds(self, config: Mapping[str, Any]) -> bool:
        """Whether this is the folder of a configuration already."""
        return holds(self.path, config)

    def folder(self, video_id: str) -> Path:
        """Where a video's results lie; see `folder_name`."""
        return self.videos / folder_name(video_id, self._fold_case)

    def _named(self, ignores_case: bool) -> bool:
        """See to it that videos' folders are named as `folder_name` names them; returns its `fold_case`.

        That stays what it was when a folder is copied to a file system that tells `A` from `a`.
        """
        file = self.path / _NAMES
        try:
            stored = json.loads(file.read_text())
            if stored["version"] == _NAMING and (stored["fold_case"] or not ignores_case):
                return bool(stored["fold_case"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            pass
        locks = self.path / ".locks"
        locks.mkdir(exist_ok=True)
        with FileLock(locks / _NAMES):
            for place in list(self.videos.iterdir()):
                self._rename(place, ignores_case)
            write_text(file, json.dumps({"version": _NAMING, "fold_case": ignores_case}) + "\n")
        return ignores_case

    def _rename(self, place: Path, fold_case: bool) -> None:
        """Give the folder of a video the name that it has now, if it has one that it had before."""
        try:
            record = VideoRecord.read(place / METRICS)
        except (OSError, ValueError):
            return
        given = record.video_id
        if place.name not in (old_folder_name(given), folder_name(given)):
            return
        name = visible(given)
        target = self.videos / folder_name(name, fold_case)
        if name != given:
            write_text(place / METRICS, dataclasses.replace(record, video_id=name).to_json())
        if place != target and not target.exists():
            os.replace(place, target)

    def record(self, video_id: str) -> VideoRecord | None:
        """What `metrics.json` of a video says; None where there is none, or it is damaged, or another video's.

        Raises:
            RequestError: if a newer lavx wrote it.
        """
        return self._read(video_id)[0]

    def damage(self, video_id: str) -> str | None:
        """Which file of a video's result is damaged and how; None where it is whole, or there is none.

        Raises:
            RequestError: as above.
        """
        return self._read(video_id)[1]

    def _read(self, video_id: str) -> tuple[VideoRecord | None, str | None]:
        """The record, and what is wrong with it."""
        folder = self.folder(video_id)
        try:
            record = read_result(folder)
            return (record, None) if record.video_id == video_id else (None, None)
        except FileNotFoundError:
            return None, f"{folder / METRICS} is missing" if folder.exists() else None
        except NewerVersionError as error:
            raise RequestError(str(error)) from error
        except (OSError, ValueError) as error:
            return None, str(error)

    def done(self, video_id: str) -> bool:
        """Whether a video was explained; one that failed, or whose record is damaged, is tried again.

        Raises:
            RequestError: if a newer lavx wrote its record, which must not be overwritten.
        """
        record = self.record(video_id)
        return record is not None and record.error is None

    def scores_file(self, video_id: str) -> Path:
        """Where the scores of a video that is being explained are kept, batch by batch."""
        partial = self.path / PARTIAL
        partial.mkdir(exist_ok=True)
        return partial / f"{self.folder(video_id).name}.jsonl"

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
            clean_parts(self.folder(video_id))
            yield True
        finally:
            lock.release()

    @contextmanager
    def writing(self, video_id: str) -> Iterator[Path]:
        """A folder to write a video's results to; it takes its place when all went well, else it is deleted."""
        with ExitStack() as held, whole_folder(self.folder(video_id)) as part:
            yield part
            held.enter_context(self._still_claimed())
            self._keep_other(video_id)

    def _keep_other(self, video_id: str) -> None:
        """Move results of another video out of the way of this one's, to where they belong."""
        place = self.folder(video_id)
        try:
            found = VideoRecord.read(place / METRICS).video_id
        except (OSError, ValueError):
            return
        if found != video_id and not self.folder(found).exists():
            os.replace(place, self.folder(found))

    def write_record(self, record: VideoRecord) -> None:
        """Make a record all that there is of its video."""
        with self.writing(record.video_id) as folder:
            write_text(folder / METRICS, record.to_json())
        self.written(record)

    def written(self, record: VideoRecord) -> None:
        """Add a record that lies in its place to the index."""
        self._index.add(self.folder(record.video_id).name, record)

    def explained(self) -> dict[str, Summary]:
        """The videos that were explained, by the names of their folders: as `done`, for all of them at once.

        Raises:
            RequestError: if a newer lavx wrote one of the records.
        """
        found = {}
        for name, record in self._index.read().items():
            if isinstance(record, NewerVersionError):
                raise RequestError(str(record)) from record
            if isinstance(record, Summary) and record.error is None:
                with suppress(ValueError):  # its explanation is gone: it is to be explained again
                    check_explanation(self.videos / name)
                    found[name] = record
        return found

    def write_table(self) -> pd.DataFrame:
        """Make `results.csv` anew from all videos' records: a row a video, by id.

        A damaged record is a row with the reason as its error, under the name of its folder.
        """
        rows = [
            record.row() if isinstance(record, Summary) else VideoRecord.failed(name, None, str(record)).row()
            for name, record in self._index.read().items()
        ]
        table = pd.DataFrame(rows, columns=columns(rows))
        write_text(self.path / "results.csv", csv_of(table))
        return table
