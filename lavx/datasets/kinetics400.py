"""Kinetics 400: 400 human actions in clips of about ten seconds (Kay et al. 2017, arXiv 1705.06950)."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from lavx import checks
from lavx.datasets.base import Video
from lavx.datasets.layouts import (
    VIDEO_SUFFIXES,
    ClassNames,
    Entry,
    Files,
    Inventory,
    Origin,
    ends_in_labels,
    find_videos,
    log,
    read_list,
    read_names,
    readable,
    shipped_names,
    some,
    video_ids,
)

ORIGIN = Origin(
    title="Kinetics 400",
    what="400 human actions in about 300,000 clips from YouTube, ten seconds each (Kay et al. 2017).",
    source=(
        "Its annotations come from the DeepMind Kinetics page; the clips from YouTube by those, or from the "
        "copy that the CVDF keeps (cvdfoundation/kinetics-dataset on GitHub)."
    ),
    disk="some 450 GB whole, some 30 GB for the validation part, which is all that explaining takes",
)
PARTS = ("train", "val", "test")

_PART = re.compile(r"(?:^|[^a-z])(train|val|test)(?:ing|id|idate|idation)?(?=$|[^a-z])")


def class_names() -> tuple[str, ...]:
    """The 400 class names, in the order of the networks' outputs."""
    return shipped_names("kinetics400")


class Kinetics400:
    """A folder of Kinetics 400 videos, in any of the layouts that people have.

    Found by themselves, in `root` or a folder in it: the official CSV files (`label, youtube_id, time_start,
    time_end, split`, with videos `<id>_<start>_<end>`, the times in six digits, or `<id>`), and lists such as
    mmaction2's `kinetics400_val_list_videos.txt` (`path label`). The videos may lie anywhere below `root`, with
    any suffix. A video that no list names gets its label from the class folder that it lies in; where there
    are lists and it lies in no class folder, it is left out; where there are none, it has no label.

    Args:
        root: folder of the videos, searched with all its subfolders.
        annotations: the one list to go by, instead of those found; only its videos are taken, in its order,
            and only a column `split` in it tells their part.
        part: `train`, `val` or `test`, as said by the lists, or by folders such as `videos_val`; videos of
            another part are left out, those of unknown part are not. None takes all.
        check: decode every video first and leave out those that cannot be (slow). Empty files always are.
    """

    name = "kinetics400"

    def __init__(
        self,
        root: str | Path | None,
        annotations: str | Path | None = None,
        part: str | None = "val",
        check: bool = False,
    ) -> None:
        if part is not None and part not in PARTS:
            raise ValueError(f"dataset.part must be {', '.join(PARTS)} or null for all, got {part!r}.")
        self.classes = class_names()
        self.root = ORIGIN.folder(root)
        self.annotations = Path(annotations).expanduser() if annotations else None
        if self.annotations and not self.annotations.is_file():
            raise FileNotFoundError(f"dataset.annotations={self.annotations} is not a file.")
        self.part = part
        self.check = checks.boolean("check", check)
        self._names = ClassNames(self.classes, "Kinetics 400")

    def videos(self) -> list[Video]:
        """All videos that are there, by path, or in the order of `annotations`; the log counts the others."""
        return self.inventory().warn(self.name)

    def ground_truth(self, video: Video) -> None:
        """Kinetics has no masks."""
        return None

    def inventory(self) -> Inventory:
        """The videos, and what is missing of those listed."""
        found = find_videos(self.root)
        if not found:
            raise FileNotFoundError(
                f"dataset.root={self.root} holds no video ({', '.join(VIDEO_SUFFIXES)}), nor do its subfolders. "
                f"{ORIGIN.title}: {ORIGIN}"
            )
        lists = [self.annotations] if self.annotations else self._lists()
        listed, missing = self._listed(lists, Files(self.root, found))
        ids = video_ids(self.root, found)
        videos: list[Video] = []
        left_out: dict[str, list[str]] = {}
        for path in listed if self.annotations else found:
            label, part = listed.get(path) or (self._label_of_folder(path), None)
            part = part or (None if self.annotations else self._part_of_folder(path))
            if self.part and part and part != self.part:
                left_out.setdefault(f"part {part}, not {self.part}", []).append(ids[path])
            elif lists and path not in listed and label is None:
                left_out.setdefault("in no list and no class folder", []).append(ids[path])
            else:
                videos.append(Video(ids[path], path, label))
        if not videos:
            raise FileNotFoundError(
                f"dataset.root={self.root} holds {len(found)} videos, but none to use: "
                + "; ".join([f"{some(names)}: {reason}" for reason, names in left_out.items()])
                + (f"; {some(missing)} of {some(map(str, lists))} not there" if missing else "")
                + ". Set dataset.part (train, val, test, or null for all) or dataset.annotations."
            )
        if not any(video.label is not None for video in videos):
            log.warning(
                "%s: no video has a label; there is neither a list (dataset.annotations) nor a class folder.",
                self.name,
            )
        videos, unreadable = readable(videos, decode=self.check)
        return Inventory(videos, missing, unreadable, left_out)

    def _listed(
        self, lists: list[Path], files: Files
    ) -> tuple[dict[Path, tuple[int | None, str | None]], list[str]]:
        """Label and part of each listed video that is there; names of those of this part that are not."""
        listed: dict[Path, tuple[int | None, str | None]] = {}
        missing: dict[str, None] = {}
        for file in lists:
            for entry in _entries(file, part=None if self.annotations else _part(file.stem)):
                label = None
                if entry.label is not None:
                    label = self._names.label(entry.label, f"{file}, line {entry.line}")
                hints = [entry.part or ""] + ([] if label is None else [self.classes[label]])
                path = files.find(entry.names, hints)
                if path:
                    listed.setdefault(path, (label, entry.part))
                elif not (self.part and entry.part and entry.part != self.part):
                    missing[entry.names[0]] = None
        return listed, list(missing)

    def _lists(self) -> list[Path]:
        """The lists in the root and the folders in it, known by what they hold."""
        files = [path for pattern in ("*", "*/*") for path in self.root.glob(f"{pattern}.[ct][sx][vt]")]
        return sorted(path for path in files if path.is_file() and _is_list(path))

    def _label_of_folder(self, path: Path) -> int | None:
        for folder in reversed(path.relative_to(self.root).parts[:-1]):
            label = self._names.find(folder)
            if label is not None:
                return label
        return self._names.find(self.root.name)

    def _part_of_folder(self, path: Path) -> str | None:
        folders = path.relative_to(self.root).parts[:-1]
        return next((_part(name) for name in folders if self._names.find(name) is None and _part(name)), None)


def _part(name: str) -> str | None:
    match = _PART.search(name.lower())
    return match.group(1) if match else None


def _is_official(header: str) -> bool:
    return "youtube_id" in next(csv.reader([header]), [])


def _is_list(file: Path) -> bool:
    """Whether a file is an official CSV or a list of videos with labels."""
    with file.open(encoding="utf-8-sig", errors="replace") as stream:
        first = stream.readline(4096).strip()
    name, _, label = first.partition(",")
    return (
        _is_official(first)
        or first.replace(" ", "") == "path,label"
        or ends_in_labels(first)
        or Path(name.strip(' "')).suffix.lower() in VIDEO_SUFFIXES
        and bool(label.strip())
        or bool(re.match(r"kinetics400_\w*list_videos", file.name))
    )


def _entries(file: Path, part: str | None) -> Iterator[Entry]:
    """The lines of a list; `part` is that of lines that do not tell theirs."""
    text = read_names(file)
    if not _is_official(text.split("\n", 1)[0].strip()):
        yield from (Entry(e.line, e.names, e.label, part) for e in read_list(file))
        return
    rows = csv.DictReader(text.splitlines(), skipinitialspace=True)
    for row in rows:
        video, label = row["youtube_id"], row.get("label")
        try:
            start, end = (int(float(row[key])) for key in ("time_start", "time_end"))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{file}, line {rows.line_num}: expected label,youtube_id,time_start,time_end,split with times "
                f"in seconds, got {list(row.values())}."
            ) from error
        names = (f"{video}_{start:06d}_{end:06d}", video, f"{video}_{start}_{end}")
        yield Entry(rows.line_num, names, label or None, _part(row.get("split") or "") or part)
