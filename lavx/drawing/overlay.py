"""The overlay video: clip and explanation side by side."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lavx.drawing.frames import check_frames
from lavx.video import write_video

_SIDE = 256  # least longer side of a frame in the overlay video, pixels
_SECONDS = 2.0  # least length of the overlay video
_MOST_FPS, _FILE_FPS = 30.0, 5  # fastest pace; pace of the file, as players stumble over slower ones


def write_overlay(
    path: Path | str, *, frames: NDArray[np.uint8], overlay: NDArray[np.uint8], seconds: ArrayLike
) -> None:
    """Write clip and explanation side by side as a video that plays in a browser.

    The sampled frames follow each other at the pace of the video, slowed down where the whole would be over
    in less than 2 s. Small frames are enlarged by a whole number, to at least 256 pixels on the longer side.

    Args:
        path: file to write (.mp4); its folder must be there.
        frames: uint8 (T, H, W, 3), the clip.
        overlay: uint8 (T, H, W, 3), what the visualization made of it.
        seconds: (T,) where in the video each frame lies.
    """
    times = check_frames(frames, overlay, seconds)
    times_larger = max(1, math.ceil(_SIDE / max(frames.shape[1:3])))
    space = np.full((*frames.shape[:2], max(1, 8 // times_larger), 3), 255, dtype=np.uint8)
    both = np.concatenate([frames, space, overlay], axis=2)
    both = both.repeat(times_larger, axis=1).repeat(times_larger, axis=2)
    pace = _pace(times)
    repeats = max(1, math.ceil(_FILE_FPS / pace))
    fps = Fraction(pace * repeats).limit_denominator(1000)
    write_video(path, both.repeat(repeats, axis=0), float(fps))


def _pace(times: NDArray[np.float64]) -> float:
    """Sampled frames to show a second."""
    length = float(np.ptp(times)) / max(len(times) - 1, 1) * len(times)
    length = max(length, _SECONDS if len(times) > 1 else 1.0, len(times) / _MOST_FPS)
    return len(times) / length
