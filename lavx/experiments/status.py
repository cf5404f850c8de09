"""The state of the cells of a grid, read from and written to the results folder alone.

Workers may be in other processes and on other machines: all that they share is the folder. Each holds a lock
in its cell's `.workers/` while it lives and keeps `status.json` up to date; the operating system frees the lock
however the process ends, so that the cell of a killed worker does not look like a running one.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lavx.experiments.record import PARTIAL, check_explanation
from lavx.experiments.record_index import RecordIndex, Summary
from lavx.files import write_text
from lavx.text import visible

STATUS = "status.json"
REQUESTED = "requested.json"  # the folders of the videos that the last worker was asked for
_WORKERS = ".workers"
_OTHERS = ("training", "evaluation")  # folders beside those of the datasets, that may hold files of the same names
_STALE = 600  # seconds after which a half-written file may be deleted, where no worker lives
_OLD_STATES = {"unusable": "invalid"}  # as lavx 0.1 called it
FINISHED = ("done", "skipped")
_KINDS: dict[str, type | tuple[type, ...]] = {  # of what is read from a file that may have been damaged
    "state": str,
    "total": int,
    "updated": str,
    "seconds_per_video": (int, float),
    "videos": list,
    "error": str,
}


def now() -> str:
    """A time stamp; later ones are larger as texts."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _read(file: Path) -> dict[str, Any]:
    """A JSON file; empty where there is none."""
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(content, dict):
        return {}
    usable = {name for name, kinds in _KINDS.items() if isinstance(content.get(name), kinds)}
    if not all(isinstance(name, str) for name in content.get("videos", ()) if "videos" in usable):
        usable.remove("videos")
    return {name: value for name, value in content.items() if name in usable or name not in _KINDS}


def n_workers(folder: Path) -> int:
    """How many workers are running a cell."""
    alive = 0
    for file in (folder / _WORKERS).glob("*"):
        lock = FileLock(file)
        try:
            lock.acquire(timeout=0)
        except (Timeout, OSError):
            alive += 1
        else:
            lock.release()
    return alive


def counts(folder: Path, ids: Sequence[str] | None = None) -> tuple[int, int, str | None]:
    """How many videos of a cell are done and failed, and the first failure's reason.

    A damaged record counts as failed: the next run of the cell explains that video again.

    Args:
        folder: of the cell.
        ids: folder names of the videos that count; None for all that are there.
    """
    records = RecordIndex(folder).read(ids)
    errors = [e for name, record in records.items() if (e := _error(record, folder / "videos" / name))]
    return len(records) - len(errors), len(errors), next(iter(errors), None)


def _error(record: Summary | Exception, place: Path) -> str | None:
    """Why a video of a cell was not explained, or cannot be read."""
    if isinstance(record, Exception):
        return str(record)
    if record.error is not None:
        return f"{record.video_id}: {record.error}"
    try:
        check_explanation(place)
    except ValueError as error:
        return str(error)
    return None


def requested(folder: Path) -> list[str] | None:
    """The folders of the videos that a cell was last asked for; None where that is not known."""
    ids = _read(folder / REQUESTED).get("videos", _read(folder / STATUS).get("videos"))  # the latter of lavx 0.1
    return ids if isinstance(ids, list) else None


class Record:
    """Keeps `status.json` of one cell for one worker.

    Args:
        folder: of the cell; it is there.
        ids: folder names of the videos asked for.
    """

    def __init__(self, folder: Path, ids: Sequence[str]) -> None:
        self.folder = folder
        self.ids = list(ids)
        before = _read(folder / STATUS)
        self.was_done = before.get("state") == "done" and requested(folder) == self.ids
        self._index = RecordIndex(folder)
        self._asked = set(self.ids)
        self._done: set[str] = set()
        self._failed: dict[str, str] = {}  # why, by folder
        self._mean: float | None = before.get("seconds_per_video")
        self._n_videos, self._seconds = 0, 0.0
        self._started = now()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Hold a lock in this cell for as long as this worker lives."""
        place = self.folder / _WORKERS
        place.mkdir(exist_ok=True)
        alive = n_workers(self.folder)
        if not alive:
            self._clean()
        file = place / f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        lock = FileLock(file)
        lock.acquire(timeout=10, poll_interval=0.01)
        try:
            self._count()
            write_text(self.folder / REQUESTED, json.dumps({"videos": self.ids}, indent=0) + "\n")
            self.write("running")
            yield
        finally:
            lock.release()
            file.unlink(missing_ok=True)

    def _clean(self) -> None:
        """Delete what killed workers left."""
        left = (f"{_WORKERS}/*", ".*.part", f"{PARTIAL}/*.part", "videos/.*.part")  # the last of lavx 0.1
        for path in [path for pattern in left for path in self.folder.glob(pattern)]:
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _STALE:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    def video_done(self, seconds: float) -> None:
        """Count a video that took so long."""
        self._n_videos += 1
        self._seconds += seconds
        self._mean = self._seconds / self._n_videos
        for name, record in self._index.news():  # those of other workers too
            if name in self._asked:
                self._note(name, _error(record, self.folder / "videos" / name))
        self.write("running")

    def _count(self) -> None:
        """Count the records that are there."""
        self._done, self._failed = set(), {}
        for name, record in self._index.read(self.ids).items():
            self._note(name, _error(record, self.folder / "videos" / name))

    def _note(self, name: str, error: str | None) -> None:
        self._failed.pop(name, None)
        if error is None:
            self._done.add(name)
        else:
            self._done.discard(name)
            self._failed[name] = error

    def close(self) -> None:
        """Write the final state of the cell."""
        self._count()
        if len(self._done) == len(self.ids):
            self.write("done")
        elif len(self._done) + len(self._failed) == len(self.ids):
            self.write("failed")
        # Else other workers are running the rest, and the last of them writes the final state.

    def write(self, state: str, error: str | None = None) -> None:
        """Write `status.json`."""
        content = {
            "state": state,
            "done": len(self._done),
            "failed": len(self._failed),
            "total": len(self.ids),
            "started": self._started,
            "updated": now(),
            "seconds_per_video": None if self._mean is None else round(self._mean, 3),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "error": error or next(iter(self._failed.values()), None),
        }
        write_text(self.folder / STATUS, json.dumps(content, indent=2) + "\n")


def note(folder: Path, state: str, error: str | None) -> None:
    """Write to a cell's `status.json` how a worker ended; counts are left as they are."""
    content = _read(folder / STATUS)
    content.setdefault("started", now())
    content |= {
        "state": state,
        "updated": now(),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "error": error,
    }
    write_text(folder / STATUS, json.dumps(content, indent=2) + "\n")


@dataclass(frozen=True)
class Status:
    """What the results folder says of one cell.

    Attributes:
        cell: dataset, net and method as in the folder's path.
        state: done, skipped (was done before this sweep), running, waiting (not begun), stopped (interrupted
            with videos left), failed, invalid (an invalid request) or partial (no `status.json`).
        done: videos explained.
        failed: videos that could not be.
        total: videos asked for; None where not known.
        seconds: mean wall-clock seconds a video, or None.
        workers: at work on it now.
        error: the first reason of a failure.
    """

    cell: tuple[str, str, str]
    state: str
    done: int
    failed: int
    total: int | None
    seconds: float | None
    workers: int
    error: str | None

    @property
    def remaining(self) -> int:
        """Videos neither explained nor failed."""
        return 0 if self.total is None else max(0, self.total - self.done - self.failed)


def status(root: Path, cell: tuple[str, str, str], since: str = "") -> Status:
    """Read one cell's status.

    Args:
        root: `<outputs>/<name>`.
        cell: dataset, net, method.
        since: time stamp before which a finished cell counts as skipped.
    """
    folder = root.joinpath(*cell)
    content = _read(folder / STATUS)
    asked = requested(folder)
    done, failed, reason = counts(folder, asked)
    total = content.get("total") if asked is None else len(asked)
    state = content.get("state", "partial" if folder.exists() else "waiting")
    state = _OLD_STATES.get(state, state)
    workers = n_workers(folder)
    if workers:
        state = "running"
    elif state in ("done", "running", "stopped"):
        finished = total is not None and done >= total
        state = "done" if finished else "failed" if total == done + failed else "stopped"
    if state == "done" and content.get("updated", "") < since:
        state = "skipped"
    error = (content.get("error") or reason) if state in ("failed", "invalid", "stopped") else reason
    return Status(cell, state, done, failed, total, content.get("seconds_per_video"), workers, error)


def cell_files(root: Path, name: str) -> list[Path]:
    """The files of a name in the cells' folders under `<outputs>/<name>`."""
    return sorted(file for file in root.glob(f"[!.]*/[!.]*/[!.]*/{name}") if file.parts[-4] not in _OTHERS)


def cells(root: Path) -> list[tuple[str, str, str]]:
    """All cells under `<outputs>/<name>`."""
    files = [*cell_files(root, STATUS), *cell_files(root, "config.yaml")]
    return sorted({(p[-4], p[-3], p[-2]) for p in (file.parts for file in files)})


def _expected(cell: Status, all_cells: Sequence[Status]) -> float | None:
    """Seconds a video: measured on this cell, else the mean of the most similar ones."""
    if cell.seconds is not None:
        return cell.seconds
    _, net, method = cell.cell
    alike = (
        lambda other: other.cell[1:] == (net, method),
        lambda other: other.cell[2] == method,
        lambda other: True,
    )
    for like in alike:
        known = [other.seconds for other in all_cells if other.seconds is not None and like(other)]
        if known:
            return sum(known) / len(known)
    return None


def duration(seconds: float) -> str:
    """Seconds, minutes or hours in words."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def table(statuses: Sequence[Status]) -> str:
    """A line a cell, the sums, the time left and the reasons of failures."""
    rows = [("dataset", "net", "method", "state", "done", "failed", "of", "s/video", "left")]
    left_in_all, unknown = 0.0, False
    for each in statuses:
        expected = _expected(each, statuses)
        left = ""
        if each.remaining and each.state != "invalid":
            unknown |= expected is None
            if expected is not None:
                left_in_all += each.remaining * expected
                left = duration(each.remaining * expected / max(1, each.workers))
        seconds = "" if each.seconds is None else f"{each.seconds:.1f}"
        total = "?" if each.total is None else str(each.total)
        rows.append((*each.cell, each.state, str(each.done), str(each.failed), total, seconds, left))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        words = [word.ljust(width) for word, width in zip(row[:4], widths[:4], strict=True)]
        words += [word.rjust(width) for word, width in zip(row[4:], widths[4:], strict=True)]
        lines.append("  ".join(words).rstrip())
    tally = ", ".join(f"{number} {state}" for state, number in Counter(s.state for s in statuses).most_common())
    n_done, n_failed = sum(s.done for s in statuses), sum(s.failed for s in statuses)
    n_total = sum(s.total or 0 for s in statuses)
    summary = f"{len(statuses)} cells: {tally}. {n_done} of {n_total} videos explained, {n_failed} failed."
    workers = sum(s.workers for s in statuses)
    if left_in_all:
        at_work = f"with {workers} worker{'s' * (workers > 1)} at work" if workers else "for one worker"
        more = " and what cannot be estimated yet" if unknown else ""
        summary += f" Left: about {duration(left_in_all / max(1, workers))}{more} {at_work}."
    lines.append(summary)
    for each in statuses:
        if each.error and each.state not in FINISHED:
            lines.append(f"  {'/'.join(each.cell)}: {visible(' '.join(each.error.split()))}")
    return "\n".join(lines)


def exit_status(statuses: Sequence[Status], others: Sequence[int] = ()) -> int:
    """0 where all went well, 2 where every request was invalid, else 1.

    Args:
        statuses: of the cells; one that other workers are running counts as well.
        others: exit statuses of jobs that ran in this process.
    """
    codes = {"done": 0, "skipped": 0, "running": 0, "invalid": 2}
    every = [codes.get(each.state, 1) for each in statuses] + list(others)
    if every and all(code == 2 for code in every):
        return 2
    return 1 if any(every) else 0
