"""Any videos: a folder of them, a list of them, or a single file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lavx.datasets.base import Video
from lavx.datasets.layouts import (
    VIDEO_SUFFIXES,
    ClassNames,
    Files,
    Inventory,
    find_videos,
    is_video,
    listed_file,
    read_list,
    read_text,
    readable,
    shipped_names,
    some,
    video_ids,
)
from lavx.text import visible


class Folder:
    """Videos of one's own, with or without labels.

    Labels come from the list where one is given, otherwise from the folder that a video lies in where its
    name is a class; a video without either has no label.

    Args:
        root: a folder, searched with all its subfolders; a list, as `annotations`; or one video.
        annotations: CSV of lines `path,label` (header optional, labels a class name or its index, empty where
            unknown), or `path label`; paths relative to `root` or to the list. Only its videos are taken.
        classes: the names of the network's outputs, in order: None or `kinetics400`; `subfolders`, the names of
            the folders that videos lie in, sorted; a text file, one name a line; or the names themselves.
    """

    name = "folder"

    def __init__(
        self,
        root: str | Path | None,
        annotations: str | Path | None = None,
        classes: str | Path | Sequence[str] | None = None,
    ) -> None:
        if not root:
            raise FileNotFoundError(
                "dataset.root is not set. Point to a folder of videos, a CSV of lines path,label, or one video: "
                "dataset.root=/path/to/it."
            )
        self.root = Path(root).expanduser()
        self.annotations = Path(annotations).expanduser() if annotations else None
        self._only: Path | None = None
        if self.root.is_file():
            if is_video(self.root):
                self._only = self.root
            elif self.annotations is None:
                self.annotations = self.root
            self.root = self.root.parent
        if not self.root.is_dir():
            raise FileNotFoundError(
                f"dataset.root={self.root} is not there. It must be a folder of videos, a CSV of lines "
                "path,label, or one video."
            )
        if self.annotations and not self.annotations.is_file():
            raise FileNotFoundError(f"dataset.annotations={self.annotations} is not a file.")
        self.classes = self._class_names(classes)
        self._names = ClassNames(self.classes, "dataset.classes")

    def videos(self) -> list[Video]:
        """All videos, by path, or in the order of the list; the log counts those that are listed but not there."""
        return self.inventory().warn(self.name)

    def ground_truth(self, video: Video) -> None:
        """Nothing is known but the label."""
        return None

    def inventory(self) -> Inventory:
        """The videos, and what is missing of those listed."""
        missing: list[str] = []
        if self.annotations:
            labels, missing = self._listed(self.annotations)
        else:
            labels = {path: self._label_of_folder(path) for path in self._found()}
        if not labels:
            where = f"{self.annotations} lists" if self.annotations else f"dataset.root={self.root} holds"
            gone = f" Not there: {some(missing)}. Paths are relative to {self.root}." if missing else ""
            raise FileNotFoundError(f"{where} no video that is there ({', '.join(VIDEO_SUFFIXES)}).{gone}")
        ids = video_ids(self.root, list(labels))
        videos, unreadable = readable([Video(ids[path], path, label) for path, label in labels.items()])
        return Inventory(videos, missing, unreadable)

    def _found(self) -> list[Path]:
        return [self._only] if self._only else find_videos(self.root)

    def _listed(self, annotations: Path) -> tuple[dict[Path, int | None], list[str]]:
        files = Files(self.root, find_videos(self.root))
        labels: dict[Path, int | None] = {}
        missing: list[str] = []
        for entry in read_list(annotations):
            label = None
            if entry.label is not None:
                label = self._names.label(entry.label, f"{annotations}, line {entry.line}")
            name = entry.names[0]
            near = (folder / name for folder in (self.root, annotations.parent))  # also absolute paths
            path = next(filter(None, map(listed_file, near)), None) or files.find([name])
            if path:
                labels.setdefault(path, label)
            else:
                missing.append(name)
        return labels, missing

    def _label_of_folder(self, path: Path) -> int | None:
        return self._names.find(visible(path.parent.name))

    def _class_names(self, classes: str | Path | Sequence[str] | None) -> tuple[str, ...]:
        if classes is None or classes == "kinetics400":
            return shipped_names("kinetics400")
        if classes == "subfolders":
            found = sorted({visible(path.parent.name) for path in self._found() if path.parent != self.root})
            if not found:
                raise ValueError(f"dataset.classes=subfolders, but no video lies in a subfolder of {self.root}.")
            return tuple(found)
        if isinstance(classes, str | Path):
            file = Path(classes).expanduser()
            if not file.is_file():
                raise FileNotFoundError(
                    f"dataset.classes={classes} is neither kinetics400, subfolders, a file of one name a line, "
                    "nor a list of names."
                )
            return tuple(line.strip() for line in read_text(file).splitlines() if line.strip())
        return tuple(str(name) for name in classes)
