"""A classifier that reads video files: what `lavx run` and `lavx explain` need of a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lavx.networks.device import PRECISIONS
from lavx.networks.video_input import VideoInput
from lavx.types import Classifier, Clip, OutputKind


class VideoNetwork:
    """A classifier beside the way in which its clips come out of a video.

    Args:
        name: what it is called in results.
        classifier: scores clips.
        video_input: reads them.
        weights: `file` and `sha256` of its weights or its source, None where there is no file.

    Attributes:
        name: as above.
        weights: as above.
        classifier: as above.
        video_input: as above.
        device: where its clips must be.
        output: what its outputs are; None to find out.
        classes: their names; None where nobody knows them.
    """

    def __init__(
        self, name: str, classifier: Classifier, video_input: VideoInput, weights: dict[str, Any]
    ) -> None:
        self.name = name
        self.weights = weights
        self.classifier = classifier
        self.video_input = video_input
        self.device: torch.device = classifier.device
        self.output: OutputKind | None = classifier.output
        self.classes: tuple[str, ...] | None = classifier.classes

    def read(self, path: str | Path, start: float | None = None, end: float | None = None) -> Clip:
        """Decode a video, or its seconds `start` to `end`, and cut out what the network sees of it.

        Raises:
            VideoError: if the video cannot be used or has no such seconds.
            ValueError: if `start` or `end` is no number of seconds.
        """
        return self.video_input.read(path, start, end)

    def __call__(self, clips: Tensor) -> Tensor:
        """Outputs (B, K) of float clips (B, T, H, W, 3), RGB in 0..255, on `device`."""
        return self.classifier(clips)


def check_precision(precision: str, allowed: Sequence[str] = tuple(PRECISIONS), why: str = "") -> None:
    """Refuse a precision that is not allowed.

    Raises:
        ValueError: saying which are, and why.
    """
    if precision not in allowed:
        raise ValueError(f"precision must be {', '.join(allowed)}{why and f': {why}'}; got {precision!r}.")
