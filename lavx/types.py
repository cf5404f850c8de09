"""The words of the core as types: clips and where they lie in their videos."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Geometry:
    """Where a clip lies in its video: what maps a heatmap back.

    Attributes:
        frame_indices: the source frame that each clip frame shows; repeats where a short video was looped.
        fps: of the source.
        source_size: (height, width) of a source frame.
        scaled_size: (height, width) after resizing, before cropping.
        crop: (top, left, height, width) of the clip in the scaled frame.
    """

    frame_indices: tuple[int, ...]
    fps: float
    source_size: tuple[int, int]
    scaled_size: tuple[int, int]
    crop: tuple[int, int, int, int]

    @property
    def seconds(self) -> tuple[float, ...]:
        """The time of each clip frame in the source, from 0."""
        return tuple(index / self.fps for index in self.frame_indices)

    @property
    def source_crop(self) -> tuple[float, float, float, float]:
        """(top, left, height, width) of the clip in source pixels."""
        y, x = (source / scaled for source, scaled in zip(self.source_size, self.scaled_size, strict=True))
        top, left, height, width = self.crop
        return top * y, left * x, height * y, width * x


@dataclass(frozen=True)
class Clip:
    """What a network sees of a video, before normalization.

    Attributes:
        frames: uint8 (T, H, W, 3), RGB.
        geometry: where it lies in the video.
    """

    frames: NDArray[np.uint8]
    geometry: Geometry
