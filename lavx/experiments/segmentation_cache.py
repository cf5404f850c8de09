"""Segmentations kept on disk: methods that cut the same clip in the same way do it once."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lavx.files import whole
from lavx.game import compute_regions
from lavx.methods.regions import LabelRegions
from lavx.methods.segmentation import computed_by
from lavx.types import Regions, Segmentation


class SegmentationCache:
    """A `lavx.game.Segmenter` that keeps label maps by clip, segmentation with its versions, and random stream.

    Any number of processes may share the folder: files are written beside and renamed, and the same key
    always means the same content.

    Args:
        folder: where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self, segmentation: Segmentation, clip: NDArray[np.uint8], rng: np.random.Generator
    ) -> tuple[Regions, float]:
        """The regions of a clip, and the seconds that computing them took (when they were computed)."""
        if (
            computed_by(segmentation) is None
        ):  # nobody says when it cuts differently, so that stored regions may be outdated
            return compute_regions(segmentation, clip, rng)
        file = self.folder / f"{self._key(segmentation, clip, rng)}.npz"
        with contextlib.suppress(Exception):  # a damaged file makes zipfile and NumPy raise almost anything
            with file.open("rb") as stream, np.load(stream) as stored:
                return LabelRegions(stored["labels"]), float(stored["seconds"])
        regions, seconds = compute_regions(segmentation, clip, rng)
        if isinstance(regions, LabelRegions):  # the other kinds are computed faster than read
            self.folder.mkdir(parents=True, exist_ok=True)
            with whole(file) as part, part.open("wb") as target:
                np.savez_compressed(target, labels=regions.labels, seconds=seconds)
        return regions, seconds

    @staticmethod
    def _key(segmentation: Segmentation, clip: NDArray[np.uint8], rng: np.random.Generator) -> str:
        digest = hashlib.sha256(np.ascontiguousarray(clip).tobytes())
        parameters = sorted((name, repr(value)) for name, value in vars(segmentation).items())
        digest.update(repr((clip.shape, computed_by(segmentation), parameters)).encode())
        digest.update(repr(rng.bit_generator.state).encode())
        return digest.hexdigest()[:32]
