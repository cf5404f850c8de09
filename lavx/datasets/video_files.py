"""Video files that somebody asks about: one, several or a folder of them, whole or in windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from lavx.datasets.base import Video
from lavx.datasets.layouts import VIDEO_SUFFIXES, find_videos, video_ids
from lavx.video import probe


class VideoFiles:
    """The videos of some paths; nothing is known of their classes.

    Args:
        paths: files, and folders, which are searched with all their subfolders.
        classes: of the network that sees them.
        start: second at which each begins; None for its start.
        end: second at which each ends; None for its end.
        windows: into how many windows of equal length each is cut.

    Raises:
        ValueError: if there is no video, or start, end or windows make no stretch.
    """

    name = "videos"

    def __init__(
        self,
        paths: Sequence[str | Path],
        classes: Sequence[str] = (),
        start: float | None = None,
        end: float | None = None,
        windows: int = 1,
    ) -> None:
        self.paths = [Path(path).expanduser() for path in paths]
        self.classes = tuple(classes)
        self.start, self.end, self.windows = _seconds("start", start), _seconds("end", end), windows
        if isinstance(windows, bool) or not isinstance(windows, int) or windows < 1:
            raise ValueError(f"windows must be a whole number >= 1, got {windows!r}")
        if self.end is not None and self.end <= (self.start or 0):
            raise ValueError(f"end must lie after start, got start={start}, end={end}")

    def videos(self) -> list[Video]:
        """The videos, in the order of the paths; the windows of each one after the other.

        Raises:
            ValueError: if a path is not there, a folder holds no video, or one that is to be cut is not readable.
        """
        files: list[Path] = []
        for path in self.paths:
            if path.is_dir():
                found = find_videos(path)
                if not found:
                    raise ValueError(f"video={path}: the folder holds no video ({', '.join(VIDEO_SUFFIXES)})")
                files += found
            elif path.is_file():
                files.append(path)
            else:
                raise ValueError(f"video={path}: there is no such file or folder")
        files = list({file.absolute(): file for file in files}.values())
        ids = video_ids(_root(files), [file.absolute() for file in files])
        return [video for file in files for video in self._stretches(file, ids[file.absolute()])]

    def _stretches(self, file: Path, name: str) -> list[Video]:
        if self.windows == 1:
            if self.start is None and self.end is None:
                return [Video(name, file, None)]
            until = "end" if self.end is None else f"{_written(self.end)}s"
            return [Video(f"{name}@{_written(self.start or 0)}-{until}", file, None, self.start, self.end)]
        info = probe(file)
        begin, end = self.start or 0.0, self.end or info.n_frames / info.fps
        if end <= begin:
            raise ValueError(f"{file} lasts {end:.3g} s: start={begin:g} lies behind its end")
        edges = [begin + (end - begin) * k / self.windows for k in range(self.windows + 1)]
        return [
            Video(f"{name}@{_written(a)}-{_written(b)}s", file, None, a, b)
            for a, b in zip(edges, edges[1:], strict=False)
        ]

    def ground_truth(self, video: Video) -> None:
        """Nothing is known about the videos."""
        return None


def _root(files: Sequence[Path]) -> Path:
    """The folder that all files lie in."""
    parents = [set(file.absolute().parents) for file in files]
    shared = set.intersection(*parents) if parents else {Path.cwd()}
    return max(shared, key=lambda folder: len(folder.parts))


def _written(seconds: float) -> str:
    """Seconds in an id: to the microsecond, so that no two stretches that differ by a frame have the same id."""
    return f"{seconds:.6f}".rstrip("0").rstrip(".")


def _seconds(name: str, value: float | None) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"{name} must be seconds >= 0, or null, got {value!r}")
    return float(value)
