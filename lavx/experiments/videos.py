"""Which videos of a dataset a run explains, and whether they are still those that were explained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lavx.datasets.base import Video
from lavx.datasets.layouts import some
from lavx.errors import RequestError
from lavx.experiments.names import cell_part
from lavx.experiments.record import VideoFile
from lavx.experiments.settings import Settings
from lavx.experiments.video_selection import read_selection
from lavx.files import sha256_of
from lavx.text import visible


def chosen_videos(config: Settings, dataset: str, videos: Sequence[Video]) -> list[Video]:
    """The videos that `videos` and `n_videos` ask for.

    Args:
        config: of `lavx run`.
        dataset: what the dataset is called there.
        videos: all of it.

    Raises:
        RequestError: if some of them are not there, or are given twice.
    """
    ids = _requested(config, dataset)
    if ids is None:
        return list(videos[: config.n_videos])
    by_id = {video.id: video for video in videos}
    # What the command line gives as bytes has an id that can be read.
    ids = [i if i in by_id else visible(i) for i in ids]
    double = [i for i, n in Counter(ids).items() if n > 1]
    if double:
        raise RequestError(f"videos names {some(double)} more than once; give each id once")
    unknown = [i for i in ids if i not in by_id]
    if unknown:
        raise RequestError(
            f"videos={unknown} are not in the dataset. Its {len(videos)} ids run from {videos[0].id} to "
            f"{videos[-1].id}."
        )
    return [by_id[i] for i in ids]


def _requested(config: Settings, dataset: str) -> list[str] | None:
    """The ids asked for, in a list or by a selection file; None for the dataset's own order."""
    if config.videos is None:
        return None
    if isinstance(config.videos, list):
        wrong = [i for i in config.videos if i is None or isinstance(i, list | dict)]
        if wrong or not config.videos:
            raise RequestError(
                f"videos must be a list of one or more ids, a file of lavx select, selected, or null; got "
                f"{config.videos}"
            )
        return [str(i) for i in config.videos]
    if not isinstance(config.videos, str):
        raise RequestError(
            f"videos must be a list of ids, such as [{config.videos}], or a file; got {config.videos}"
        )
    file = Path(config.videos)
    if config.videos == "selected":
        file = Path(config.outputs) / config.name / "selections" / f"{cell_part(dataset)}.json"
        if not file.exists():
            raise RequestError(
                f"There is no selection {file}, of videos that the networks classify right. Make it with lavx "
                f"select name={config.name} dataset={dataset} ..., or take the first videos with videos=null"
            )
    return read_selection(file)[: config.n_videos]


def video_file(path: Path) -> VideoFile:
    """What a video's file is now: its hash, size and time."""
    stat = path.stat()
    return VideoFile(sha256_of(path), stat.st_size, stat.st_mtime_ns)


def check_unchanged(video: Video, stored: VideoFile | None, folder: Path) -> None:
    """Refuse to count a video as done whose file is another one now, by its content.

    Size and time are compared first, so that unchanged files are not read.

    Raises:
        RequestError: saying what to do.
    """
    if stored is None:  # a result of lavx 0.1
        return
    try:
        stat = video.path.stat()
    except OSError:
        return  # it is done; a file that is gone is needed no more
    if (stat.st_size, stat.st_mtime_ns) == (stored.size, stored.mtime_ns):
        return
    if stat.st_size != stored.size or sha256_of(video.path) != stored.sha256:
        raise RequestError(
            f"{video.path} is not the video {video.id} that was explained: its content has changed. Delete "
            f"{folder} to explain it again, or give this run a folder of its own with name=..."
        )
