"""The view of a video that a network sees: frames sampled, resized and cropped as its validation does it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lavx import video
from lavx.networks.openmmlab import library
from lavx.types import Clip, Geometry

logger = logging.getLogger(__name__)

SAMPLING = {"SampleFrames", "DenseSampleFrames"}
DECODING = {f"{reader}{step}" for reader in ("Decord", "PyAV", "OpenCV") for step in ("Init", "Decode")}
FORMATTING = {"FormatShape", "PackActionInputs"}

_SPATIAL = {"Resize", "CenterCrop"}
# lavx decodes with PyAV, shapes the tensor itself and wants nothing random: TPN's validation has a ColorJitter.
_LEFT_OUT = DECODING | FORMATTING | {"ColorJitter"}


class View:
    """Reads the one clip of a video that a network sees, by the `val_pipeline` of its config.

    Where the pipeline takes several views (TANet's `DenseSampleFrames` takes 10 positions), the clip is view
    n // 2 of n, in the middle of the video. A video shorter than the sampling spans is looped as in mmaction2;
    only one with fewer frames than the clip is refused.

    Args:
        settings: the mmengine config.
        name: of the network, for messages.
        config: the config as the user gave it, for messages.

    Attributes:
        n_frames: of a clip.
        layout: of the recognizer's inputs: NCHW (2D, frames as views) or NCTHW (3D).

    Raises:
        ValueError: if the pipeline holds steps that lavx cannot take over.
    """

    def __init__(self, settings: Any, name: str, config: str) -> None:
        library.load()
        from mmaction.registry import TRANSFORMS

        self.name = name
        steps = [dict(step) for step in settings.val_pipeline]
        names = [step["type"] for step in steps]
        unknown = sorted(set(names) - SAMPLING - _SPATIAL - _LEFT_OUT)
        spatial = [step for step in steps if step["type"] in _SPATIAL]
        crops = [step for step in spatial if step["type"] == "CenterCrop"]
        sampling = [step for step in steps if step["type"] in SAMPLING]
        if unknown or len(sampling) != 1 or (crops and spatial[-1:] != crops):
            raise ValueError(
                f"config={config}: lavx can explain what val_pipeline sees only if it consists of one of "
                f"{', '.join(sorted(SAMPLING))}, then any number of Resize, then at most one CenterCrop (and "
                f"decoding and formatting); it is {', '.join(names)}."
            )
        self.layout: str = settings.model.data_preprocessor.format_shape
        if self.layout not in ("NCHW", "NCTHW"):
            raise ValueError(f"config={config}: format_shape must be NCHW or NCTHW, got {self.layout}.")
        with library.quiet():
            self._sampling = TRANSFORMS.build(sampling[0] | {"test_mode": True})
            self._spatial = [TRANSFORMS.build(step) for step in spatial]
        self.n_frames: int = self._sampling.clip_len if self.layout == "NCTHW" else self._sampling.num_clips

    def read(self, path: str | Path, start: float | None = None, end: float | None = None) -> Clip:
        """Decode a video, or its seconds `start` to `end`, and cut out what the network sees of it.

        Raises:
            VideoError: if the video cannot be used, or is too short, or has no such seconds.
            ValueError: if `start` or `end` is no number of seconds.
        """
        info = video.probe(path)
        stretch = video.stretch(info, start, end)
        indices = [stretch[index] for index in self.sample(len(stretch), info.fps)]
        self._check_length(info, stretch, indices)
        frames, scaled, crop = self.cut(video.read_frames(path, indices), str(path))
        size = (info.height, info.width)
        return Clip(frames, Geometry(tuple(indices), info.fps, size, scaled, crop))

    def sample(self, n_frames: int, fps: float) -> list[int]:
        """Which frames of a video of `n_frames` the clip shows."""
        results = {"total_frames": n_frames, "start_index": 0, "avg_fps": fps, "modality": "RGB"}
        views = self._sampling(results)["frame_inds"].reshape(-1, self.n_frames)
        return [int(index) for index in views[len(views) // 2]]

    def cut(
        self, frames: NDArray[np.uint8], source: str
    ) -> tuple[NDArray[np.uint8], tuple[int, int], tuple[int, int, int, int]]:
        """Resize and crop the sampled frames.

        Args:
            frames: uint8 (T, H, W, 3).
            source: of the frames, for messages.

        Returns:
            The clip's frames, (height, width) after resizing, and (top, left, height, width) of the crop in it.

        Raises:
            VideoError: if the crop is larger than the resized frame.
        """
        size = (int(frames.shape[1]), int(frames.shape[2]))
        results: dict[str, Any] = {"imgs": list(frames), "original_shape": size, "img_shape": size}
        scaled, crop = size, (0, 0, *size)
        for transform in self._spatial:
            results = transform(results)
            if "crop_bbox" in results:
                left, top, right, bottom = (int(edge) for edge in results["crop_bbox"])
                crop = (top, left, bottom - top, right - left)
                if min(top, left) < 0:
                    raise video.VideoError(
                        f"{source}: its frames are {scaled[0]} x {scaled[1]} pixels after resizing, less than the "
                        f"{crop[2]} x {crop[3]} that {self.name} crops."
                    )
            else:
                height, width = results["img_shape"]
                scaled = (int(height), int(width))
                crop = (0, 0, *scaled)
        return np.ascontiguousarray(np.stack(results["imgs"]), dtype=np.uint8), scaled, crop

    def _check_length(self, info: video.VideoInfo, stretch: range, indices: Sequence[int]) -> None:
        """Refuse a video with fewer frames than the clip; say so where one is looped."""
        has = video.length(info, stretch)
        if len(stretch) < self.n_frames:
            raise video.VideoError(
                f"{info.path}: has {has}, {self.name} samples {self.n_frames}; use a longer video."
            )
        if any(later <= earlier for earlier, later in zip(indices, indices[1:], strict=False)):
            logger.warning(
                "%s has %s, fewer than the sampling of %s spans; it is looped, as in mmaction2: the clip "
                "shows frames %s.",
                info.path,
                has,
                self.name,
                ", ".join(map(str, indices)),
            )
