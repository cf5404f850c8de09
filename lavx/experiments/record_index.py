"""An index of a cell's records, so that thousands of them are read in a second.

`.index` lies in the cell's folder and holds a line for each `metrics.json`: all that it says but the curves. It is
only appended to, by whoever writes a record, or reads one that it lacks. A line counts as long as size and time of
`metrics.json` are those that it names, and its checksum is right; else the file itself is read. So the index is
never needed, may be deleted at any time, and cells of lavx 0.1, which have none, get one when they are read.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lavx.experiments.record import METRICS, VERSION, VideoFile, VideoRecord

INDEX = ".index"
_HALF = re.compile(r"\..*\.(part|old)", re.DOTALL)  # a folder that is being written, or replaced

_VERSION = f"1.{VERSION}"  # of the lines, and of the records that they sum up

_Stamp = tuple[int, int]  # size in bytes and time of the last change in nanoseconds


@dataclass(frozen=True, slots=True)
class Summary:
    """What the index holds of one record.

    Attributes:
        error: why the video was not explained; None where it was.
    """

    error: str | None
    _body: bytes

    @classmethod
    def of(cls, record: VideoRecord) -> Summary:
        """The summary of a record."""
        video = record.video and (record.video.sha256, record.video.size, record.video.mtime_ns)
        body = {"id": record.video_id, "video": video, "row": record.row(), "masks": record.minimal_masks}
        return cls(record.error, json.dumps(body, allow_nan=False, separators=(",", ":")).encode())

    def _content(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self._body)
        return content

    @property
    def video_id(self) -> str:
        """The video's."""
        return str(self._content()["id"])

    @property
    def video(self) -> VideoFile | None:
        """The file that was decoded; None where that was not noted."""
        stamp = self._content()["video"]
        return stamp and VideoFile(*stamp)

    def row(self) -> dict[str, Any]:
        """As `VideoRecord.row`."""
        row: dict[str, Any] = self._content()["row"]
        return row

    def numbers(self) -> tuple[dict[str, Any], dict[str, dict[str, float | None]]]:
        """Its row and its minimal masks."""
        content = self._content()
        return content["row"], content["masks"]


Records = dict[str, Summary | OSError | ValueError]
"""By the names of the videos' folders; an error where `metrics.json` is damaged or cannot be read."""


class RecordIndex:
    """The records of a cell.

    Args:
        cell: its folder.
    """

    def __init__(self, cell: Path) -> None:
        self._file = cell / INDEX
        self._videos = cell / "videos"
        self._known: dict[str, tuple[_Stamp, Summary]] = {}
        self._read = (0, 0)  # the inode, and how many of its bytes

    def read(self, names: Iterable[str] | None = None) -> Records:
        """The records that are there.

        Args:
            names: of the videos' folders that count; None for all.
        """
        for _ in self.news():
            pass
        found: Records = {}
        lacking: list[bytes] = []
        for name in self._names() if names is None else names:
            try:
                stamp = self._stamp(name)  # before the file is read: it may be replaced meanwhile
                known = self._known.get(name)
                if known is not None and known[0] == stamp:
                    found[name] = known[1]
                    continue
                found[name] = summary = Summary.of(VideoRecord.read(self._videos / name / METRICS))
                self._known[name] = stamp, summary
                lacking.append(_line(name, stamp, summary))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (OSError, ValueError) as error:
                found[name] = error
        self._append(lacking)
        return found

    def add(self, name: str, record: VideoRecord) -> None:
        """Add the record that was written to a video's folder."""
        with suppress(OSError):  # it is gone again
            self._append([_line(name, self._stamp(name), Summary.of(record))])

    def news(self) -> Iterator[tuple[str, Summary]]:
        """The videos' folders and records of the lines that were added since this was last asked."""
        for line in self._new_lines():
            entry = _parsed(line)
            if entry is not None:
                name, stamp, summary = entry
                self._known[name] = stamp, summary
                yield name, summary

    def _new_lines(self) -> list[bytes]:
        try:
            with self._file.open("rb") as file:
                status = os.fstat(file.fileno())
                inode, start = self._read
                if inode != status.st_ino or status.st_size < start:  # deleted and begun anew
                    start = 0
                file.seek(start)
                whole, newline, _ = file.read().rpartition(b"\n")  # another process may be writing the last one
        except OSError:
            return []
        self._read = (status.st_ino, start + len(whole) + len(newline))
        return whole.split(b"\n") if whole else []

    def _names(self) -> list[str]:
        try:
            with os.scandir(self._videos) as entries:
                return sorted(entry.name for entry in entries if not _HALF.fullmatch(entry.name))
        except OSError:
            return []

    def _stamp(self, name: str) -> _Stamp:
        status = os.stat(f"{self._videos}/{name}/{METRICS}")
        return status.st_size, status.st_mtime_ns

    def _append(self, lines: Iterable[bytes]) -> None:
        content = b"".join(lines)
        if content:
            with suppress(OSError):  # a full disk, or somebody else's folder: the records themselves are there
                place = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
                try:
                    os.write(place, content)
                finally:
                    os.close(place)


def _line(name: str, stamp: _Stamp, summary: Summary) -> bytes:
    head = json.dumps([_VERSION, name, *stamp, summary.error]).encode()
    line = head + b"\t" + summary._body
    return b"%08x\t%b\n" % (zlib.crc32(line), line)


def _parsed(line: bytes) -> tuple[str, _Stamp, Summary] | None:
    """What a line says; None where it is torn, or another version's."""
    checksum, _, content = line.partition(b"\t")
    if checksum != b"%08x" % zlib.crc32(content):
        return None
    head, _, body = content.partition(b"\t")
    version, name, size, changed, error = json.loads(head)
    return (name, (size, changed), Summary(error, body)) if version == _VERSION else None
