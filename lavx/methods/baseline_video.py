"""A removal whose baseline is another video: what was removed shows what happens there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lavx import checks
from lavx.methods.removal import _blending
from lavx.types import Fill, Regions

_Source = Path | NDArray[np.uint8]


class BaselineVideo:
    """Another video takes the place of what is removed.

    It is fitted to the clip: of its frames as many as the clip has are taken, evenly spaced (a shorter video shows
    frames twice, an image stands still); each is scaled until it covers the clip, and its middle is cut out.

    Args:
        video: uint8 (T, H, W, 3), RGB, an array of such numbers, or the path of a video file.
        fit: whether to fit it to the clip; otherwise one of another length or size is refused.
        feather: how far edges are softened, see `lavx.methods.removal`.

    Raises:
        ValueError: if the video is no such array, or is missing or unreadable.
    """

    def __init__(
        self,
        video: NDArray[Any] | Sequence[Any] | str | Path,
        fit: bool = True,
        feather: float | Sequence[float] = 0,
    ) -> None:
        self.video: _Source = _checked(video)
        self.fit = checks.boolean("fit", fit)
        self.feather = checks.sigmas("feather", feather)

    def prepare(self, clip: Tensor, regions: Regions, generator: torch.Generator) -> Fill:
        """What puts the other video, fitted here, into a clip.

        Raises:
            ValueError: if it does not fit and shall not be fitted, or is the clip itself, which removes nothing.
        """
        frames, height, width = clip.shape[:3]
        baseline = self._baseline(frames, height, width)
        on_device = torch.from_numpy(np.ascontiguousarray(baseline)).to(clip)
        if torch.equal(on_device, clip):
            raise ValueError("the baseline video is the explained clip itself: nothing would be removed")
        return _blending(clip, on_device, self.feather)

    def _baseline(self, frames: int, height: int, width: int) -> NDArray[np.uint8]:
        n, size = _measured(self.video)
        if not self.fit and (n, *size) != (frames, height, width):
            raise ValueError(
                f"the baseline video has {n} frames of {size[0]} x {size[1]} pixels, the clip {frames} of "
                f"{height} x {width}: give one of that length and size, or fit=true"
            )
        chosen = ((np.arange(frames) + 0.5) * n / frames).astype(int)
        return np.stack([_covering(frame, height, width) for frame in _frames(self.video, chosen)])


def _checked(video: Any) -> _Source:
    if isinstance(video, str | Path):
        path = Path(video).expanduser()
        if not path.is_file():
            raise ValueError(f"video must be an array or a video file, and there is no file {path}")
        return path
    array = np.asarray(video)
    if array.ndim != 4 or array.shape[3] != 3 or 0 in array.shape or array.dtype.kind not in "uif":
        raise ValueError(f"video must be (T, H, W, 3), RGB, or the path of one, got {array.dtype} {array.shape}")
    if not np.isfinite(array).all() or array.min() < 0 or array.max() > 255:
        raise ValueError(
            f"video must have values in 0..255, got {array.min():g} to {array.max():g}: scale it to that range"
        )
    if array.dtype.kind == "f" and 0 < array.max() <= 1:
        raise ValueError("video must have values in 0..255, got none above 1: multiply it by 255")
    return np.rint(array).astype(np.uint8)


def _opened(path: Path) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise ValueError(f"the baseline video {path} cannot be read: give a video file")
    return capture


def _measured(video: _Source) -> tuple[int, tuple[int, int]]:
    """Frames, and (height, width), of a video; frames are counted, for what containers say may be wrong."""
    if not isinstance(video, Path):
        return len(video), video.shape[1:3]
    capture = _opened(video)
    n = 0
    try:
        while capture.grab():
            if not n:
                _, first = capture.retrieve()
            n += 1
    finally:
        capture.release()
    if not n:
        raise ValueError(f"the baseline video {video} cannot be read: it has no frames")
    return n, first.shape[:2]


def _frames(video: _Source, chosen: NDArray[np.integer]) -> list[NDArray[np.uint8]]:
    """The frames (H, W, 3), RGB, of these rising indices."""
    if not isinstance(video, Path):
        return list(video[chosen])
    wanted, found = set(chosen.tolist()), {}
    capture = _opened(video)
    try:
        for index in range(max(wanted) + 1):
            if capture.grab() and index in wanted:
                found[index] = cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB).astype(np.uint8)
    finally:
        capture.release()
    return [found[index] for index in chosen.tolist()]


def _covering(frame: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The middle of a frame, scaled until it is as large as (height, width)."""
    h, w = frame.shape[:2]
    if (h, w) == (height, width):
        return frame
    scale = max(height / h, width / w)
    size = max(width, round(w * scale)), max(height, round(h * scale))
    scaled = cv2.resize(frame, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top, left = (size[1] - height) // 2, (size[0] - width) // 2
    return scaled[top : top + height, left : left + width].astype(np.uint8)
