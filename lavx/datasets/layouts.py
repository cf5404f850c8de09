"""What the datasets on disk share: finding videos, reading lists of them, counting what is not there."""

from __future__ import annotations

import csv
import difflib
import itertools
import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from lavx.datasets.base import Video
from lavx.text import visible
from lavx.video import VideoError, probe

log = logging.getLogger(__name__)

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv")

_LABELS = Path(__file__).parent / "labels"
_SHOWN = 3  # examples in a message


@dataclass(frozen=True)
class Origin:
    """What to tell somebody who does not have a dataset.

    Attributes:
        title: its name.
        what: what it is, a sentence.
        source: where people get it.
        disk: what it needs on disk.
    """

    title: str
    what: str
    source: str
    disk: str

    def __str__(self) -> str:
        return f"{self.what} {self.source} It needs {self.disk}."

    def folder(self, root: str | Path | None) -> Path:
        """The dataset's folder.

        Raises:
            FileNotFoundError: if there is none, with all that is needed to get it.
        """
        if not root:
            raise FileNotFoundError(
                f"{self.title} is not part of lavx and dataset.root is not set. {self} "
                "Point to your copy with dataset.root=/path/to/it."
            )
        folder = Path(root).expanduser()
        if not folder.is_dir():
            raise FileNotFoundError(
                f"dataset.root={folder} is not a folder. {self.title}: {self} "
                "Point to your copy with dataset.root=/path/to/it."
            )
        return folder


@dataclass(frozen=True)
class Inventory:
    """What there is of a dataset and what there is not.

    Attributes:
        videos: those to use.
        missing: names that a list gives and the disk does not.
        unreadable: by video id, why it was left out.
        left_out: by reason, the other files that were passed over.
    """

    videos: list[Video]
    missing: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def warn(self, name: str) -> list[Video]:
        """Log what was left out; returns the videos."""
        if self.missing:
            log.warning("%s: %s listed but not there, left out.", name, some(self.missing))
        if self.unreadable:
            log.warning("%s: %s unreadable, left out.", name, some(self.unreadable))
        for reason, ids in self.left_out.items():
            log.warning("%s: %s left out: %s.", name, some(ids), reason)
        return self.videos


def some(names: Iterable[str], shown: int = _SHOWN) -> str:
    """How many there are, and the first few: `5 (a, b, c, ...)`."""
    names = [visible(name) for name in names]
    return f"{len(names)} ({', '.join(names[:shown])}{', ...' if len(names) > shown else ''})"


def is_video(path: Path) -> bool:
    """Whether the name is that of a video; hidden files, which file managers leave behind, are not."""
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".")


def find_videos(root: Path) -> list[Path]:
    """All video files below a folder, links followed, by path."""
    found: list[Path] = []
    seen: set[tuple[int, int]] = set()  # folders, as links may lead in circles
    for folder, subfolders, files in os.walk(root, followlinks=True, onerror=_unlisted):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        found += [path for path in (Path(folder, name) for name in files) if is_video(path)]
    return sorted(found)


def _unlisted(error: OSError) -> None:
    log.warning("%s cannot be listed: %s.", error.filename, error.strerror)


def video_ids(root: Path, paths: Sequence[Path]) -> dict[Path, str]:
    """Ids by path: the path below `root` without the suffix, `/` as `__`; with the suffix if it clashes.

    A path that is not below `root` has its name alone. What cannot be read in names is escaped; see `visible`.
    """
    ids: dict[Path, str] = {}
    taken: set[str] = set()
    numbers: dict[str, Iterator[int]] = {}
    for path in paths:
        relative = _below(root, path)
        stem, suffix = visible("__".join([*relative.parts[:-1], relative.stem])), visible(relative.suffix)
        numbered = (f"{stem}-{number}" for number in numbers.setdefault(stem, itertools.count(2)))
        candidates = itertools.chain((stem, stem + suffix), numbered)
        ids[path] = next(name for name in candidates if name not in taken)
        taken.add(ids[path])
    return ids


def _below(root: Path, path: Path) -> Path:
    """The path below a folder, without `..`; of one that does not lie there the name."""
    direct, folder = Path(os.path.normpath(path)), Path(os.path.normpath(root))
    relative = direct.relative_to(folder) if direct.is_relative_to(folder) else Path(path.name)
    return Path(path.name) if ".." in relative.parts else relative


def listed_file(path: Path) -> Path | None:
    """The file that a path of a list means, by its shortest path; None where there is none."""
    try:
        if not path.is_file():
            return None
        direct = Path(os.path.normpath(path))
        return direct if ".." in path.parts and direct.exists() and direct.samefile(path) else path
    except OSError:  # a name that is longer than any file's
        return None


def readable(videos: Sequence[Video], decode: bool = False) -> tuple[list[Video], dict[str, str]]:
    """Part the videos that can be used from those that cannot: (videos, why by id).

    Args:
        videos: the videos.
        decode: decode each, which is slow; otherwise only empty files are found out.
    """
    good, bad = [], {}
    for video in videos:
        try:
            if decode:
                probe(video.path)
            elif video.path.stat().st_size == 0:
                raise VideoError(f"{video.path}: the file is empty (0 bytes).")
            good.append(video)
        except VideoError as error:
            bad[video.id] = str(error)
        except OSError as error:  # of a link that leads nowhere or in a circle
            bad[video.id] = f"{video.path}: {error.strerror or error}"
    return good, bad


class ClassNames:
    """Finds a class by what people write: its name, with underscores, without brackets, in any case, or its index.

    Args:
        names: the classes in the order of the indices.
        what: whose classes they are, for messages.
    """

    def __init__(self, names: Sequence[str], what: str) -> None:
        self.names = tuple(names)
        self.what = what
        if not self.names or len(set(self.names)) != len(self.names):
            double = sorted({name for name in self.names if self.names.count(name) > 1})
            raise ValueError(f"dataset.classes must be one or more different names, got {double or 'none'}.")
        self._exact = {name: index for index, name in enumerate(self.names)}
        keys = [_key(name) for name in self.names]
        self._loose = {key: index for index, key in enumerate(keys) if key and keys.count(key) == 1}

    def find(self, name: str) -> int | None:
        """The index of the class of that name; None where there is none."""
        return self._exact.get(name, self._loose.get(_key(name)))

    def label(self, text: str, where: str) -> int:
        """The index of a class given by name or index.

        Raises:
            ValueError: if it is neither; `where` says where it came from.
        """
        text = text.strip()
        found = self.find(text)
        if found is not None:
            return found
        if text.isdecimal() and int(text) < len(self.names):
            return int(text)
        near = difflib.get_close_matches(text, self.names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"{where}: {text!r} is neither a class of {self.what} nor an index from 0 to "
            f"{len(self.names) - 1}.{hint}"
        )


def _key(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def has_shipped_names(name: str) -> bool:
    """Whether lavx knows the class names of a dataset."""
    return (_LABELS / f"{name}.txt").is_file()


def shipped_names(name: str) -> tuple[str, ...]:
    """The class names of a dataset that lavx knows, in the order of the networks' outputs."""
    return tuple((_LABELS / f"{name}.txt").read_text(encoding="utf-8").splitlines())


@dataclass(frozen=True)
class Entry:
    """A line of a list of videos.

    Attributes:
        line: its number in the file, from 1.
        names: what the file may be called, most likely first; with or without folders and suffix.
        label: as written; None where the list has none.
        part: train, val or test where the list says so.
    """

    line: int
    names: tuple[str, ...]
    label: str | None
    part: str | None = None


def read_text(file: Path) -> str:
    """A text file in UTF-8, with or without a byte order mark."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: not text in UTF-8 (byte {error.start}).") from error


def read_names(file: Path) -> str:
    """A text file that holds names of files, which may be any bytes: those that are no UTF-8 as Python has them.

    Raises:
        ValueError: if it is no text.
    """
    text = file.read_text(encoding="utf-8-sig", errors="surrogateescape")
    if "\0" in text:  # as UTF-16 has them
        raise ValueError(f"{file}: not text in UTF-8 (it holds a null byte).")
    return text


def read_list(file: Path) -> list[Entry]:
    """Read a list of videos: lines `path,label` (a CSV, header optional) or `path label`; the label may lack.

    Between path and label a list by spaces may hold numbers of frames, as mmaction2's lists do.

    Raises:
        ValueError: if a line is neither.
    """
    lines = read_names(file).split("\n")
    first = next((line.strip() for line in lines if line.strip()), "")
    if file.suffix.lower() == ".csv":
        spaced = ends_in_labels(first)
    else:
        spaced = "," not in first or bool(re.search(r"[^,\s]\s+\d+$", first))
    return _spaced(lines) if spaced else _delimited(file, lines)


def ends_in_labels(line: str) -> bool:
    """Whether a line is that of a list by spaces: a video's name and one to three numbers."""
    suffixes = "|".join(re.escape(suffix) for suffix in VIDEO_SUFFIXES)
    return bool(re.search(rf"({suffixes})(\s+\d+){{1,3}}$", line, re.IGNORECASE))


def _spaced(lines: Sequence[str]) -> list[Entry]:
    entries = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = re.fullmatch(r"(.*?\S)(?:\s+\d+){0,2}\s+(\d+)", line.strip())
        path, label = match.groups() if match else (line.strip(), None)
        entries.append(Entry(number, (path,), label))
    return entries


def _delimited(file: Path, lines: Sequence[str]) -> list[Entry]:
    entries = []
    header: list[str] | None = None
    for number, row in enumerate(csv.reader((f"{line}\n" for line in lines), skipinitialspace=True), start=1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or cells[0].startswith("#"):
            continue
        if header is None:
            header = cells if "path" in cells or cells[-1] == "label" else []
            if header:
                continue
        columns = header or ["path", "label"]
        if len(cells) > len(columns):
            raise ValueError(
                f"{file}, line {number}: expected {','.join(columns)}, got {len(cells)} values: {row}. Put a "
                "value that holds a comma in double quotes."
            )
        values = dict(zip(columns, cells, strict=False))
        path = values.get("path", cells[0])
        if not path:
            raise ValueError(f"{file}, line {number}: expected {','.join(columns)}, got no path: {row}.")
        entries.append(Entry(number, (path,), values.get("label") or None))
    return entries


class Files:
    """Finds the files that a list means, wherever below the root they lie and whatever their suffix.

    Names are compared in their exact case, as the ids of YouTube differ in nothing else.

    Args:
        root: the folder that the list's paths may be relative to.
        paths: the videos there.
    """

    def __init__(self, root: Path, paths: Sequence[Path]) -> None:
        self._by_path: dict[str, Path] = {}
        self._by_name: dict[str, list[Path]] = {}
        for path in paths:
            self._by_path[path.relative_to(root).as_posix()] = path
            for name in (path.name, path.stem):
                self._by_name.setdefault(name, []).append(path)

    def find(self, names: Iterable[str], hints: Iterable[str] = ()) -> Path | None:
        """The file of the first name that there is; of several the one in the folders that fit best.

        Args:
            names: paths or bare names, with or without suffix.
            hints: names of folders that it should lie in, such as its class.
        """
        for name in names:
            listed = PurePosixPath(name.replace("\\", "/"))
            exact = self._by_path.get(listed.as_posix())
            if exact:
                return exact
            stem = listed.stem if listed.suffix.lower() in VIDEO_SUFFIXES else listed.name
            found = self._by_name.get(listed.name) or self._by_name.get(stem)
            if found:
                wanted = {_key(hint) for hint in (*hints, *listed.parts[:-1])}
                return max(found, key=lambda path: sum(_key(part) in wanted for part in path.parts[:-1]))
        return None
