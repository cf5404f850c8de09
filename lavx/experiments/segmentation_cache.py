"""Segmentations kept on disk: methods that cut the same clip in the same way do it once."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
import uuid
import zipfile
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lavx.methods.regions import LabelRegions
from lavx.types import Regions


class Segmentation(Protocol):
    """Cuts a clip uint8 (T, H, W, 3) into regions."""

    def __call__(self, clip: NDArray[np.uint8], rng: np.random.Generator) -> Regions:
        """The regions of a clip."""


class SegmentationCache:
    """Label maps by clip, segmentation, its parameters and random stream.

    Any number of processes may share the folder: files are written beside and renamed, and the same key
    always means the same content.

    Args:
        folder: where they are kept; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def __call__(
        self, segmentation: Segmentation, clip: NDArray[np.uint8], rng: np.random.Generator
    ) -> tuple[Regions, float]:
        """The regions of a clip, and the seconds that computing them took (when they were computed)."""
        if self.folder is None:
            return self._compute(segmentation, clip, rng)
        file = self.folder / f"{self._key(segmentation, clip, rng)}.npz"
        with contextlib.suppress(OSError, ValueError, KeyError, zipfile.BadZipFile):
            with file.open("rb") as stream, np.load(stream) as stored:
                return LabelRegions(stored["labels"]), float(stored["seconds"])
        regions, seconds = self._compute(segmentation, clip, rng)
        if isinstance(regions, LabelRegions):  # the other kinds are computed faster than read
            self.folder.mkdir(parents=True, exist_ok=True)
            part = file.with_name(f".{uuid.uuid4().hex[:8]}.npz")
            try:
                np.savez_compressed(part, labels=regions.labels, seconds=seconds)
                os.replace(part, file)
            finally:
                part.unlink(missing_ok=True)
        return regions, seconds

    @staticmethod
    def _compute(
        segmentation: Segmentation, clip: NDArray[np.uint8], rng: np.random.Generator
    ) -> tuple[Regions, float]:
        start = time.perf_counter()
        regions = segmentation(clip, rng)
        return regions, time.perf_counter() - start

    @staticmethod
    def _key(segmentation: Segmentation, clip: NDArray[np.uint8], rng: np.random.Generator) -> str:
        digest = hashlib.sha256(np.ascontiguousarray(clip).tobytes())
        parameters = sorted((name, repr(value)) for name, value in vars(segmentation).items())
        digest.update(repr((clip.shape, type(segmentation).__name__, parameters)).encode())
        digest.update(repr(rng.bit_generator.state).encode())
        return digest.hexdigest()[:32]
