"""Regions that optical flow carries on from frames that any segmentation cuts.

Beside `carry=flow` of the segmentations of single frames this takes any start, SLIC or a grid among them, begins
anew as often as wanted, and takes flow from outside.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from lavx import checks
from lavx.methods.regions import LabelRegions
from lavx.methods.segmentation import _SMALLEST_FOR_FLOW, Slic, _check_clip, _consecutive, _one_thread
from lavx.types import Frames, Segmentation

Flow = Callable[[Frames, Frames], ArrayLike]
"""Where each pixel of the first frame uint8 (H, W, 3) lies in the second: steps (H, W, 2), right and down."""


class OpticalFlow:
    """The first frame is cut, and optical flow carries its regions on.

    A region is followed through the frames; it may be torn apart, or get lost behind another, and what enters the
    picture joins what is there. With `slices` the clip is cut anew at the first frame of each, so that what has
    entered gets regions of its own, and time is cut.

    Steps are added up in parts of pixels, so that slow movements are followed too.

    Source: Uchiyama et al. 2022 carry a patch by optical flow; any start and slices: Gaya-Morey et al.
    (arXiv 2401.11796), section 3.1, and their code. The flow of its own is Kroeger et al. 2016 (dense inverse
    search), as OpenCV has it.

    Args:
        start: what cuts the first frame of each slice, as a clip of one frame; None for `Slic(200)`.
        slices: parts of the clip, of equal length or a frame apart.
        flow: None for the flow of its own; a function, see `Flow`, which is called with each frame but the first
            of a slice and the one before; or, for one clip, an array (T - 1, H, W, 2) of what such a function
            gives for the frames 1 to T - 1, in pixels. It is the flow from the later to the earlier frame, not
            the other way round: so every pixel comes from one place.

    Raises:
        ValueError: if a parameter is not one of those allowed.
    """

    # It has no `version`: stored regions cannot say by what start or function they were cut.

    def __init__(
        self, start: Segmentation | None = None, slices: int = 1, flow: Flow | ArrayLike | None = None
    ) -> None:
        if start is not None and not callable(start):
            raise ValueError(f"start must be a segmentation, such as Grid((1, 10, 10)), or null, got {start!r}")
        self.start: Segmentation = Slic(200) if start is None else start
        self.slices = checks.whole("slices", slices)
        self.flow: Flow | NDArray[np.floating] | None = _checked_flow(flow)
        self._clip: bytes | None = None  # whose flow an array is

    def __call__(self, clip: Frames, rng: np.random.Generator) -> LabelRegions:
        """The regions of a clip.

        Raises:
            ValueError: if the clip has fewer frames than slices, or the flow does not fit it.
        """
        frames, height, width = _check_clip(clip)
        if self.slices > frames:
            raise ValueError(f"slices={self.slices} is more than the {frames} frames of the clip: ask for fewer")
        if self.flow is None and self.slices < frames and min(height, width) < _SMALLEST_FOR_FLOW:
            raise ValueError(
                f"optical flow needs frames of at least {_SMALLEST_FOR_FLOW} x {_SMALLEST_FOR_FLOW} pixels, got "
                f"{height} x {width}: give flow, or use a segmentation without it"
            )
        if isinstance(self.flow, np.ndarray):
            self._check_array(clip)
        starts = np.arange(self.slices + 1) * frames // self.slices
        maps, n = [], 0
        for first, end in zip(starts[:-1], starts[1:], strict=True):
            labels = self._carried(clip, int(first), int(end), self._first_labels(clip[first : first + 1], rng))
            maps.append(labels + n)
            n = int(maps[-1].max()) + 1
        return LabelRegions(_consecutive(np.concatenate(maps)))

    def _first_labels(self, frame: Frames, rng: np.random.Generator) -> NDArray[np.intp]:
        found = self.start(frame, rng)
        if not isinstance(found, LabelRegions):
            raise ValueError(
                f"start must give regions that do not overlap or fade, such as Slic or Grid; "
                f"{type(self.start).__name__} gives {type(found).__name__}"
            )
        return found.labels[0].astype(np.intp)

    def _carried(self, clip: Frames, first: int, end: int, labels: NDArray[np.intp]) -> NDArray[np.intp]:
        """Label maps (n, H, W) of the frames first to end - 1, from those (H, W) of the first."""
        height, width = labels.shape
        y, x = np.mgrid[:height, :width].astype(np.float32)
        source = np.stack([x, y], axis=-1)  # where each pixel was in the first frame
        maps = [labels]
        for frame in range(first + 1, end):
            step = self._step(clip, frame)
            came_from = x + step[..., 0], y + step[..., 1]
            source = cv2.remap(source, *came_from, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            columns, rows = np.rint(source).astype(np.intp).transpose(2, 0, 1)
            maps.append(labels[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)])
        return np.stack(maps)

    def _step(self, clip: Frames, frame: int) -> NDArray[np.float32]:
        """Where each pixel of a frame lies in the one before, in steps (H, W, 2)."""
        if isinstance(self.flow, np.ndarray):
            return self.flow[frame - 1].astype(np.float32)
        if self.flow is None:
            return _dense_inverse_search(clip[frame], clip[frame - 1])
        step = np.asarray(self.flow(clip[frame], clip[frame - 1]))
        wanted = (*clip.shape[1:3], 2)
        if step.shape != wanted or step.dtype.kind not in "fiu" or not np.isfinite(step).all():
            raise ValueError(
                f"flow must give finite numbers {wanted}, steps right and down, gave {step.dtype} {step.shape}"
            )
        return step.astype(np.float32)

    def _check_array(self, clip: Frames) -> None:
        """Refuse an array that is not of this clip: flow belongs to one."""
        assert isinstance(self.flow, np.ndarray)
        wanted = (len(clip) - 1, *clip.shape[1:3], 2)
        if self.flow.shape != wanted:
            raise ValueError(f"flow must be {wanted} for a clip of {clip.shape[:3]}, got {self.flow.shape}")
        content = clip.tobytes()
        if self._clip is not None and self._clip != content:
            raise ValueError("flow is an array, which belongs to one clip: give a function to explain several")
        self._clip = content


def _checked_flow(flow: Flow | ArrayLike | None) -> Flow | NDArray[np.floating] | None:
    if flow is None or callable(flow):
        return flow
    array = np.asarray(flow)
    if array.dtype.kind not in "fiu" or array.ndim != 4 or array.shape[3] != 2 or not np.isfinite(array).all():
        raise ValueError(
            f"flow must be null, a function or finite numbers (T - 1, H, W, 2), got {array.dtype} {array.shape}"
        )
    return array


def _dense_inverse_search(frame: Frames, earlier: Frames) -> NDArray[np.float32]:
    gray = [cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in (frame, earlier)]
    with _one_thread():
        search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        step: NDArray[np.float32] = search.calc(*gray, None)  # type: ignore[call-overload]
    return step
