"""What videos hold, found out once by decoding them and kept in a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock

from lavx.datasets import check
from lavx.datasets.base import Video
from lavx.files import read_json_lines
from lavx.video import VideoInfo

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
        keys = {video.id: _key(video.path) for video in videos}
        missing = [video for video in videos if keys[video.id] not in known]
        for start in range(0, len(missing), _PART):
            found = check.decode(missing[start : start + _PART], workers)
            with file.open("a", encoding="utf-8") as stream:
                for name, info in found.items():
                    known[keys[name]] = info
                    if not isinstance(info, str):  # what failed may have failed for the moment only
                        stream.write(json.dumps([keys[name], asdict(info) | {"path": str(info.path)}]) + "\n")
    return {name: known[key] for name, key in keys.items()}


def _key(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return f"{path.absolute()}"
    return f"{path.absolute()} {status.st_size} {status.st_mtime_ns}"


def _read(file: Path) -> dict[str, VideoInfo | str]:
    return {key: VideoInfo(**stored | {"path": Path(stored["path"])}) for key, stored in read_json_lines(file)}
