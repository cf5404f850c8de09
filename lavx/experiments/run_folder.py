"""The run folder: what a cell leaves behind, and how it is resumed.

    config.yaml  content.json  environment.json  run.log  results.csv
    videos/<video_id>/  explanation.npz  metrics.json  panel.png  overlay.mp4

A video's folder is written beside its place and renamed, so that it is there whole or not at all.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from lavx.errors import RequestError
from lavx.experiments.identity import CONFIG, claim, holds
from lavx.experiments.record import METRICS, NewerVersionError, VideoRecord, columns, record_files
from lavx.files import write_text


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

    def claim(self, config: Mapping[str, Any], environment: Mapping[str, Any]) -> None:
        """Make this the folder of one configuration; see `claim`."""
        claim(self.path, config, environment)

    def release(self) -> None:
        """Let another configuration have the folder, unless there are results in it."""
        if not record_files(self.path):
            (self.path / CONFIG).unlink(missing_ok=True)

    def holds(self, config: Mapping[str, Any]) -> bool:
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

    def scores_file(self, video_id: str) -> Path:
        """Where the scores of a video that is being explained are kept, batch by batch."""
        partial = self.path / ".partial"
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
