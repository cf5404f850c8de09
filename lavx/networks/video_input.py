"""How a network that says nothing of its own preprocessing sees a video: frames sampled, resized, cropped."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from lavx import checks, video
from lavx.types import Clip, Frames, Geometry

logger = logging.getLogger(__name__)

Sampling = Literal["uniform", "dense", "stride"]
Interpolation = Literal["bilinear", "bicubic", "nearest", "nearest-exact"]
Rounding = Literal["even", "down"]

Size = int | Sequence[int] | None


class VideoInput:
    """Reads the one clip of a video that a network sees.

    Resizing is `torch.nn.functional.interpolate`, as torchvision's transforms and Hugging Face's processors do it:
    on uint8 frames where `antialias` is on, which is within a gray level of PIL, and on float32 frames, rounded
    to uint8, where it is off, which is within a gray level of OpenCV.

    Args:
        n_frames: of the clip.
        sampling: which frames: `uniform`, the centers of `n_frames` equal parts of the video; `dense`, frames in
            a row from its middle, or every `stride`-th one; `stride`, every `stride`-th frame from its middle.
        stride: frames from one frame of the clip to the next; of `dense` 1 unless given.
        frame_rate: instead of `stride`, frames a second that the clip shows, whatever the video's own rate; as
            in torchvision, the last frame before each of the times.
        resize: the shorter side in pixels (the other follows, rounded down), (height, width), or None for the
            video's own size.
        crop: a square's side in pixels or (height, width), cut out of the middle after resizing; None for none.
        interpolation: `bilinear`, `bicubic`, `nearest` or `nearest-exact`.
        antialias: whether `bilinear` and `bicubic` average over the pixels between where they make smaller.
        crop_rounding: where a crop in the middle would begin at half a pixel: `even`, at the even one of both
            neighbors (torchvision), or `down` (Hugging Face, PIL).
        name: of the network, for messages.

    Attributes:
        n_frames: as above.
        name: as above.

    Raises:
        ValueError: if a parameter is not one of those allowed.
    """

    def __init__(
        self,
        n_frames: int,
        sampling: Sampling = "uniform",
        stride: int | None = None,
        frame_rate: float | None = None,
        resize: Size = None,
        crop: Size = None,
        interpolation: Interpolation = "bilinear",
        antialias: bool = True,
        crop_rounding: Rounding = "even",
        name: str = "the network",
    ) -> None:
        self.name = name
        self.n_frames = checks.whole("n_frames", n_frames)
        self._sampling = _one_of(sampling, "sampling", get_args(Sampling))
        self._interpolation = _one_of(interpolation, "interpolation", get_args(Interpolation))
        self._antialias = checks.boolean("antialias", antialias) and interpolation in ("bilinear", "bicubic")
        self._round = (
            round if _one_of(crop_rounding, "crop_rounding", get_args(Rounding)) == "even" else math.floor
        )
        self._resize: int | tuple[int, int] | None = None
        if isinstance(resize, int):
            self._resize = checks.whole("resize", resize)
        elif resize is not None:
            self._resize = _pair("resize", resize)
        if isinstance(crop, int):
            crop = (checks.whole("crop", crop),) * 2
        self._crop = None if crop is None else _pair("crop", crop)
        self._stride, self._frame_rate = self._check_step(stride, frame_rate)

    def _check_step(self, stride: int | None, frame_rate: float | None) -> tuple[int, float | None]:
        """What lies between two frames of the clip: a number of frames, or a time."""
        if self._sampling == "uniform" and (stride, frame_rate) != (None, None):
            raise ValueError(
                "sampling=uniform spreads the frames over the whole video; stride and frame_rate are for "
                "sampling=dense and sampling=stride."
            )
        if stride is not None and frame_rate is not None:
            raise ValueError(f"give stride or frame_rate, not both; got {stride} and {frame_rate}.")
        if self._sampling == "stride" and stride is None and frame_rate is None:
            raise ValueError("sampling=stride needs stride, a number of frames, or frame_rate.")
        frame_rate = None if frame_rate is None else checks.positive("frame_rate", frame_rate)
        return 1 if stride is None else checks.whole("stride", stride), frame_rate

    def read(self, path: str | Path, start: float | None = None, end: float | None = None) -> Clip:
        """Decode a video, or its seconds `start` to `end`, and cut out what the network sees of it.

        A video with too few frames is not refused: the clip shows some of them more than once, and a warning
        says which.

        Raises:
            VideoError: if the video cannot be used, has no such seconds, or is smaller than the crop.
            ValueError: if `start` or `end` is no number of seconds.
        """
        info = video.probe(path)
        stretch = video.stretch(info, start, end)
        indices = [stretch[index] for index in self.sample(len(stretch), info.fps)]
        self._warn_of_repeats(info, stretch, indices)
        frames, scaled, crop = self.cut(video.read_frames(path, indices), str(path))
        return Clip(frames, Geometry(tuple(indices), info.fps, (info.height, info.width), scaled, crop))

    def sample(self, n_frames: int, fps: float) -> list[int]:
        """Which frames of a video of `n_frames`, `fps` a second, the clip shows.

        Frames repeat where there are too few: those nearest in time with `uniform`, else from the beginning
        again.
        """
        if self._sampling == "uniform":
            return [(2 * i + 1) * n_frames // (2 * self.n_frames) for i in range(self.n_frames)]
        step = self._stride if self._frame_rate is None else fps / self._frame_rate
        offsets = [math.floor(i * step + 1e-6) for i in range(self.n_frames)]
        first = max(0, n_frames - 1 - offsets[-1]) // 2
        return [(first + offset) % n_frames for offset in offsets]

    def _warn_of_repeats(self, info: video.VideoInfo, stretch: range, indices: Sequence[int]) -> None:
        """Say so where a video is too short."""
        if all(earlier < later for earlier, later in zip(indices, indices[1:], strict=False)):
            return
        logger.warning(
            "%s has %s, %.4g a second, too few for the sampling of %s: some are shown more than once. The clip "
            "shows frames %s.",
            info.path,
            video.length(info, stretch),
            info.fps,
            self.name,
            ", ".join(map(str, indices)),
        )

    def cut(
        self, frames: Frames, source: str = "the video"
    ) -> tuple[Frames, tuple[int, int], tuple[int, int, int, int]]:
        """Resize and crop the sampled frames.

        Args:
            frames: uint8 (T, H, W, 3).
            source: of the frames, for messages.

        Returns:
            The clip's frames, (height, width) after resizing, and (top, left, height, width) of the crop in it.

        Raises:
            VideoError: if the crop is larger than the resized frame.
        """
        scaled = self._scaled((int(frames.shape[1]), int(frames.shape[2])))
        frames = self._resized(frames, scaled)
        if self._crop is None:
            return np.ascontiguousarray(frames), scaled, (0, 0, *scaled)
        height, width = self._crop
        if height > scaled[0] or width > scaled[1]:
            raise video.VideoError(
                f"{source}: its frames are {scaled[0]} x {scaled[1]} pixels after resizing, less than the "
                f"{height} x {width} that {self.name} crops."
            )
        top, left = self._round((scaled[0] - height) / 2), self._round((scaled[1] - width) / 2)
        cropped = frames[:, top : top + height, left : left + width]
        return np.ascontiguousarray(cropped), scaled, (top, left, height, width)

    def _scaled(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) after resizing of frames of a size."""
        if self._resize is None:
            return size
        if not isinstance(self._resize, int):
            return self._resize
        short, long = min(size), max(size)
        other = self._resize * long // short
        return (self._resize, other) if size[0] <= size[1] else (other, self._resize)

    def _resized(self, frames: Frames, size: tuple[int, int]) -> Frames:
        if frames.shape[1:3] == size:
            return frames
        smooth = self._interpolation in ("bilinear", "bicubic")
        resized: NDArray[np.uint8] = np.empty((len(frames), *size, 3), np.uint8)
        for number, frame in enumerate(frames):  # one at a time: many large frames are gigabytes in float32
            image = torch.from_numpy(frame).permute(2, 0, 1)[None]
            image = functional.interpolate(
                image if self._antialias else image.float(),
                size,
                mode=self._interpolation,
                align_corners=False if smooth else None,
                antialias=self._antialias,
            )
            if not self._antialias:
                image = image.round_().clamp_(0, 255).byte()
            resized[number] = image[0].permute(1, 2, 0).numpy()
        return resized


def split_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of a network: those of how it sees a video, and all others."""
    own = set(inspect.signature(VideoInput).parameters)
    seeing = {key: value for key, value in options.items() if key in own}
    return seeing, {key: value for key, value in options.items() if key not in own}


def _pair(name: str, value: Any) -> tuple[int, int]:
    """(height, width), or a ValueError."""
    sizes = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else ()
    if len(sizes) != 2 or not all(checks.is_whole(side) and side > 0 for side in sizes):
        raise ValueError(
            f"{name} must be pixels: one whole number above 0, (height, width) or None; got {value!r}."
        )
    return int(sizes[0]), int(sizes[1])


def _one_of(value: Any, name: str, allowed: Sequence[str]) -> Any:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {value!r}.")
    return value
