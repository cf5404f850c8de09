"""Which frames of a clip a drawing shows, and what all drawings check of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lavx import checks
from lavx.types import Drawing

CHOICES = ("even", "hottest")


def check_frames(frames: NDArray[np.uint8], overlay: NDArray[np.uint8], seconds: ArrayLike) -> NDArray[np.float64]:
    """The times (T,) as float64, if they, frames and overlay fit together.

    Raises:
        ValueError: saying what does not.
    """
    for name, array in (("frames", frames), ("overlay", overlay)):
        if array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] != 3 or 0 in array.shape:
            raise ValueError(f"{name} must be uint8 (T, H, W, 3), got {array.dtype} {array.shape}")
    if frames.shape != overlay.shape:
        raise ValueError(f"overlay must have the frames' shape {frames.shape}, got {overlay.shape}")
    times = np.asarray(seconds, dtype=np.float64)
    if times.shape != (len(frames),) or not np.isfinite(times).all():
        raise ValueError(f"seconds must hold one time for each of the {len(frames)} frames, got {times}")
    return times


def heat(drawing: Drawing, heatmap: NDArray[np.floating]) -> NDArray[np.float64]:
    """How much of the explanation each frame shows, (T,): the color drawn, or the heatmap where none is."""
    if drawing.opacity is not None and drawing.opacity.any():
        return drawing.opacity.mean(axis=(1, 2), dtype=np.float64)
    return heatmap.mean(axis=(1, 2), dtype=np.float64)


def chosen(which: str | Sequence[int], n: int, warmth: NDArray[np.float64]) -> NDArray[np.intp]:
    """The frames to show, in the order of time.

    Args:
        which: "even", those in the middle of `n` equal parts; "hottest", the `n` that show most of the
            explanation; or their numbers, from 0, negative ones from the end.
        n: how many; all where there are fewer.
        warmth: (T,), how much of the explanation each frame shows.

    Raises:
        ValueError: for another choice, or a number that no frame has.
    """
    n_frames = len(warmth)
    n = min(checks.whole("n_frames", n), n_frames)
    if isinstance(which, str):
        checks.one_of("frames", which, CHOICES)
        if which == "hottest":
            return np.sort(np.argsort(-warmth, kind="stable")[:n])
        return ((np.arange(n) + 0.5) * n_frames / n).astype(np.intp)
    numbers = list(which)
    if not numbers or not all(checks.is_whole(k) and -n_frames <= k < n_frames for k in numbers):
        raise ValueError(
            f"frames must be one of {', '.join(CHOICES)}, or numbers from 0 to {n_frames - 1}, got {which!r}"
        )
    return np.unique(np.array(numbers) % n_frames)
