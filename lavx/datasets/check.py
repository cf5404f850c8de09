"""What a dataset holds, found out by decoding it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from lavx.datasets.base import Dataset, Video
from lavx.datasets.layouts import Inventory
from lavx.video import VideoError, VideoInfo, probe, read_frames


def inventory(dataset: Dataset) -> Inventory:
    """What there is of a dataset, and what there is not where it keeps count of that."""
    counted = getattr(dataset, "inventory", None)
    return counted() if counted else Inventory(dataset.videos())


def draw(videos: Sequence[Video], limit: int | None, seed: int) -> list[Video]:
    """At most `limit` of the videos, drawn at random, in their order; all where None."""
    if limit is None or limit >= len(videos):
        return list(videos)
    chosen = np.random.default_rng(seed).choice(len(videos), limit, replace=False)
    return [videos[index] for index in sorted(chosen)]


def decode(videos: Sequence[Video], workers: int) -> dict[str, VideoInfo | str]:
    """Decode videos whole, several at a time, with a bar; by id what each holds, or why it cannot be used."""
    found: dict[str, VideoInfo | str] = {}
    pool = ThreadPoolExecutor(workers)
    try:
        jobs = {pool.submit(_probe, video): video.id for video in videos}
        for job in tqdm(as_completed(jobs), "decoding", len(jobs), unit="video", disable=None, leave=False):
            found[jobs[job]] = job.result()
    finally:
        pool.shutdown(cancel_futures=True)
    return {video.id: found[video.id] for video in videos}


def _probe(video: Video) -> VideoInfo | str:
    try:
        return probe(video.path)
    except (VideoError, OSError) as error:
        return str(error)


@dataclass(frozen=True)
class Thumbnail:
    """The middle frame of a video, uint8 (H, W, 3), RGB."""

    video: Video
    image: NDArray[np.uint8]


def thumbnails(videos: Sequence[Video], infos: dict[str, VideoInfo | str], n: int, seed: int) -> list[Thumbnail]:
    """Middle frames of at most `n` readable videos, drawn so that the classes share the places, by class."""
    good = [video for video in videos if isinstance(infos.get(video.id), VideoInfo)]
    rank: dict[int | None, int] = {}
    places = []
    for index in np.random.default_rng(seed).permutation(len(good)):
        label = good[index].label
        places.append((rank.get(label, 0), int(index)))
        rank[label] = rank.get(label, 0) + 1
    places.sort(key=lambda place: place[0])  # stable: drawn order within a round over the classes
    chosen = [good[index] for _, index in places[:n]]
    chosen.sort(key=lambda video: (video.label is None, video.label or 0, video.id))
    result = []
    for video in chosen:
        info = infos[video.id]
        assert isinstance(info, VideoInfo)
        result.append(Thumbnail(video, read_frames(video.path, [info.n_frames // 2])[0]))
    return result
