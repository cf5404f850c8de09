"""What all drawings check of the frames that they are given."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


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
