"""What raters see of an explanation: files that do not tell by their form what made them.

All have the same container, codec, picture size, frame rate and number of frames, and are served with the same
number
of bytes. How many frames the network took, at which pace and in which size is not in them.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch

from lavx import presets
from lavx.errors import RequestError
from lavx.experiments.record import EXPLANATION
from lavx.explainer import Control
from lavx.explanation_file import read_result
from lavx.methods.outlines import with_lines
from lavx.methods.regions import SoftGrid
from lavx.methods.visualization import drawn_by
from lavx.rating.items import ATTENTION, Item, read_arrays
from lavx.types import Evidence, Frames, Visualization
from lavx.video import write_video

FPS = 15
LEAST_SECONDS = 2.0
_BOX = 8  # bytes of an empty box


def loop_seconds(items: Sequence[Item], folder: Path, seconds: float | None) -> float:
    """How long the loop of every item is, so that none of their frames is skipped.

    Args:
        items: all of the study.
        folder: `<outputs>/<name>`.
        seconds: what was asked for; None for 2 or more.

    Raises:
        RequestError: if clips have more frames than can be shown in that time.
    """
    longest = max(_n_frames(folder / place) for place in {item.place for item in items})
    least = longest / FPS
    if seconds is None:
        return max(LEAST_SECONDS, least)
    if seconds < least:
        raise RequestError(
            f"seconds must be at least {least:.3g}, got {seconds:g}: the longest clip has {longest} frames, "
            f"of which {FPS} are shown a second"
        )
    return seconds


def _n_frames(place: Path) -> int:
    return len(read_arrays(place / EXPLANATION, ("heatmap",), ("frames",))["heatmap"])


def prepare(
    items: Sequence[tuple[int, Item]],
    folder: Path,
    media: Path,
    visualization: Visualization,
    side: int,
    seconds: float,
    seed: int,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> None:
    """Write what is missing of the files `<media>/<number>.mp4`.

    Args:
        items: with their numbers.
        folder: `<outputs>/<name>`.
        media: where to; made if it is not there.
        visualization: what draws the heatmaps.
        side: of clip and explanation, pixels.
        seconds: length of the loop.
        seed: of the heatmaps of attention checks.
        progress: told how many of how many are done.
    """
    media.mkdir(parents=True, exist_ok=True)
    missing = [(number, item) for number, item in items if not media_file(media, number).is_file()]

    def make(entry: tuple[int, Item]) -> None:
        number, item = entry
        frames, evidence = _drawn_from(item, folder, seed + number)
        overlay = with_lines(drawn_by(visualization, frames, evidence))
        picture = side_by_side(frames, overlay, side)
        write_video(media_file(media, number), _looped(picture, seconds), FPS)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, _ in enumerate(pool.map(make, missing), start=1):
            progress(done, len(missing))


def media_file(media: Path, number: int) -> Path:
    """Where the file of an item lies."""
    return media / f"{number}.mp4"


def _drawn_from(item: Item, folder: Path, seed: int) -> tuple[Frames, Evidence]:
    """Frames and evidence of what an item shows."""
    arrays = read_arrays(folder / item.place / EXPLANATION, None, ("frames", "heatmap"))
    frames, heatmap = arrays["frames"], arrays["heatmap"]
    if item.role == ATTENTION:
        return frames, random_evidence(frames, seed)
    if "attribution" not in arrays:
        return frames, Evidence(heatmap)
    return frames, read_result(arrays).evidence()


def random_evidence(frames: Frames, seed: int) -> Evidence:
    """That of the control `random`, which no attentive rater finds reasonable."""
    control = presets.method("random")
    assert isinstance(control, Control)
    cells = [min(n, size) for n, size in zip(control.cells, frames.shape[:3], strict=True)]
    regions = SoftGrid(frames.shape[:3], cells)
    attribution = np.random.default_rng(seed).random(regions.n_regions)
    heatmap = regions.heatmap(torch.from_numpy(attribution)).numpy().astype(np.float32)
    return Evidence(heatmap, attribution, regions)


def side_by_side(frames: Frames, overlay: Frames, side: int) -> Frames:
    """Clip and explanation beside each other, each fitted into a square: uint8 (T, side, about 2.05 side, 3)."""
    gap = np.full((len(frames), side, 2 * max(1, side // 40), 3), 255, dtype=np.uint8)
    return np.concatenate([_fitted(frames, side), gap, _fitted(overlay, side)], axis=2)


def _fitted(frames: Frames, side: int) -> Frames:
    height, width = frames.shape[1:3]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    # Cubic interpolation would blur the few pixels of small clips, and so what they show.
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST if scale >= 3 else cv2.INTER_CUBIC
    square = np.full((len(frames), side, side, 3), 255, dtype=np.uint8)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    for target, frame in zip(square, frames, strict=True):
        target[top : top + size[1], left : left + size[0]] = cv2.resize(frame, size, interpolation=how)
    return square


def _looped(frames: Frames, seconds: float) -> Frames:
    """Frames at the rate of the file, each shown for as long as the others, rounding aside."""
    n_shown = math.ceil(seconds * FPS - 1e-9)
    return frames[np.arange(n_shown) * len(frames) // n_shown]


class Media:
    """The files of a study, all served with the same number of bytes.

    Args:
        folder: where they lie.
        numbers: of the items.
    """

    def __init__(self, folder: Path, numbers: Sequence[int]) -> None:
        self._folder = folder
        self.size = max(media_file(folder, number).stat().st_size for number in numbers) + _BOX

    def read(self, number: int) -> bytes:
        """A file, filled up to `size` by a box that players skip (ISO/IEC 14496-12, 8.1.2)."""
        content = media_file(self._folder, number).read_bytes()
        free = self.size - len(content)
        return content + struct.pack(">I4s", free, b"free") + bytes(free - _BOX)
