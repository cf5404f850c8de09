"""What videos hold, found out once by decoding them and kept in a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock

from lavx.datasets import check
from lavx.datasets.base import Video
from lavx.datasets.video import VideoInfo

_PART = 500  # videos decoded between two writes


def lengths(videos: Sequence[Video], file: Path, workers: int) -> dict[str, VideoInfo | str]:
    """What each video holds by id, or why it cannot be used.

    Args:
        videos: any.
        file: lines of JSON, one a video file; what it knows of files of the same size and date is not decoded
            again. Several processes may share it.
        workers: videos decoded at a time.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{file}.lock"):  # another process decodes the same videos perhaps
        known = _read(file)
        missing = [video for video in videos if _key(video.path) not in known]
        for start in range(0, len(missing), _PART):
            found = check.decode(missing[start : start + _PART], workers)
            by_id = {video.id: video for video in missing[start : start + _PART]}
            with file.open("a", encoding="utf-8") as stream:
                for name, info in found.items():
                    key = _key(by_id[name].path)
                    known[key] = info
                    if not isinstance(info, str):  # what failed may have failed for the moment only
                        stream.write(json.dumps([key, asdict(info) | {"path": str(info.path)}]) + "\n")
    return {video.id: known[_key(video.path)] for video in videos}


def _key(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return f"{path.absolute()}"
    return f"{path.absolute()} {status.st_size} {status.st_mtime_ns}"


def _read(file: Path) -> dict[str, VideoInfo | str]:
    known: dict[str, VideoInfo | str] = {}
    if file.exists():
        text = file.read_text(encoding="utf-8")
        for line in text.splitlines():
            try:
                key, stored = json.loads(line)
            except ValueError:
                continue  # the last line of a killed process
            known[key] = VideoInfo(**stored | {"path": Path(stored["path"])})
        if text and not text.endswith("\n"):
            with file.open("a", encoding="utf-8") as stream:
                stream.write("\n")
    return known
