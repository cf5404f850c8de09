"""The explainer: a method is seven choices, put in a row."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lavx.experiments.segmentation_cache import SegmentationCache
from lavx.game import Begin, Scorer, Stopwatch, silent
from lavx.methods import regions as regions_module
from lavx.types import Behavior, Regions, Removal, Sampling, Segmentation, Selection, Summary, Visualization

NO_CACHE = SegmentationCache(None)


class Seeds:
    """Independent random streams of one video: the same whatever the order, the batches and the workers.

    Args:
        seed: the run's.
        video_id: the video's.
    """

    def __init__(self, seed: int, video_id: str) -> None:
        digest = hashlib.sha256(video_id.encode()).digest()
        self._entropy = [seed, *np.frombuffer(digest[:16], dtype="<u4").tolist()]

    def numpy(self, step: str) -> np.random.Generator:
        """The stream of one step."""
        return np.random.default_rng([*self._entropy, zlib.crc32(step.encode())])

    def torch(self, step: str) -> torch.Generator:
        """The same as a CPU generator of torch: draws are moved to the device, so they do not depend on it."""
        return torch.Generator().manual_seed(int(self.numpy(step).integers(2**62)))


@dataclass(frozen=True)
class Explanation:
    """What a method says about one clip.

    Attributes:
        attribution: float64 (R,), worth of each region; larger = more important for the target.
        heatmap: float32 (T, H, W), the attribution of each voxel.
        regions: what the attribution's entries stand for.
        n_samples: coalitions scored, the clip and the baseline not counted.
        full: score of the clip.
        empty: score of the baseline, everything removed.
    """

    attribution: NDArray[np.float64]
    heatmap: NDArray[np.float32]
    regions: Regions
    n_samples: int
    full: float
    empty: float


def _spread(regions: Regions, attribution: NDArray[np.float64], device: torch.device) -> NDArray[np.float32]:
    # In float64, so that voxels with the same worth stay equal to the last bit of float32.
    heatmap: NDArray[np.float64] = regions.heatmap(torch.from_numpy(attribution).to(device)).cpu().numpy()
    return heatmap.astype(np.float32)


class Explainer:
    """A method: explains a clip by removing parts of it.

    Args:
        segmentation: cuts the clip into regions.
        selection: which regions a sample keeps.
        sampling: how many samples there are.
        removal: what takes the place of the removed voxels.
        behavior: what is watched meanwhile.
        summary: what the scores say of each region.
        visualization: how the heatmap is drawn.

    Raises:
        ValueError: if the sampling or the summary cannot use what the selection draws.
    """

    def __init__(
        self,
        segmentation: Segmentation,
        selection: Selection,
        sampling: Sampling,
        removal: Removal,
        behavior: Behavior,
        summary: Summary,
        visualization: Visualization,
    ) -> None:
        sampling.check(selection)
        summary.check(selection)
        self.segmentation = segmentation
        self.selection = selection
        self.sampling = sampling
        self.removal = removal
        self.behavior = behavior
        self.summary = summary
        self.visualization = visualization

    def __call__(
        self,
        clip: NDArray[np.uint8],
        target: int,
        scorer: Scorer,
        seeds: Seeds,
        stopwatch: Stopwatch,
        cache: SegmentationCache = NO_CACHE,
        begin: Begin = silent,
    ) -> Explanation:
        """Explain the score of class `target`.

        Args:
            clip: uint8 (T, H, W, 3), RGB.
            target: class index.
            scorer: the network and how it is fed.
            seeds: the video's random streams.
            stopwatch: gets the seconds of "segmentation", "perturbation", "inference" and "summary".
            cache: where segmentations are kept.
            begin: told the number of passes to come; what it returns is told of passes done.
        """
        regions, seconds = cache(self.segmentation, clip, seeds.numpy("segmentation"))
        stopwatch.seconds["segmentation"] += seconds
        regions.to(scorer.device)
        with stopwatch("perturbation"):
            coalitions = next(self.sampling.rounds(self.selection, regions.n_regions, seeds.numpy("sampling")))
            self.summary.check_coalitions(coalitions)
            kept = np.concatenate([_references(regions.n_regions), coalitions.kept])
            frames = torch.from_numpy(clip).to(scorer.device).float()
            fill = self.removal.prepare(frames, regions, seeds.torch("removal"))
        advance = begin(len(kept))
        scores = scorer(kept, regions, fill, self.behavior, target, stopwatch, advance)
        with stopwatch("summary"):
            full, empty = float(scores[0]), float(scores[1])
            attribution = self.summary(coalitions, scores[2:], full, empty)
            heatmap = _spread(regions, attribution, scorer.device)
        return Explanation(attribution, heatmap, regions, len(coalitions.kept), full, empty)


def _references(n_regions: int) -> NDArray[np.bool_]:
    """The clip itself and the baseline: bool (2, R)."""
    return np.repeat([[True], [False]], n_regions, axis=1)


class Floor:
    """A heatmap that knows nothing of the network: what every method has to beat.

    Args:
        kind: "random", independent values on a soft grid, or "center", falling with the distance from the
            middle of the clip.
        cells: the grid's cells along (T, H, W).
        removal: what takes the place of removed voxels in the score of the baseline.
        behavior: what is watched.
        visualization: how the heatmap is drawn.
    """

    def __init__(
        self,
        kind: str,
        cells: tuple[int, int, int],
        removal: Removal,
        behavior: Behavior,
        visualization: Visualization,
    ) -> None:
        if kind not in ("random", "center"):
            raise ValueError(f"kind must be random or center, got {kind}")
        self.kind = kind
        self.cells = cells
        self.removal = removal
        self.behavior = behavior
        self.visualization = visualization

    def __call__(
        self,
        clip: NDArray[np.uint8],
        target: int,
        scorer: Scorer,
        seeds: Seeds,
        stopwatch: Stopwatch,
        cache: SegmentationCache = NO_CACHE,
        begin: Begin = silent,
    ) -> Explanation:
        """The floor's heatmap for a clip; parameters as in `Explainer`."""
        regions = regions_module.SoftGrid(clip.shape[:3], self.cells).to(scorer.device)
        if self.kind == "random":
            attribution = seeds.numpy("sampling").random(regions.n_regions)
        else:
            middles = [np.abs((np.arange(n) + 0.5) / n - 0.5) for n in self.cells]
            t, y, x = np.meshgrid(*middles, indexing="ij")
            attribution = 1 - np.sqrt(t**2 + y**2 + x**2).ravel()
        frames = torch.from_numpy(clip).to(scorer.device).float()
        fill = self.removal.prepare(frames, regions, seeds.torch("removal"))
        references = _references(regions.n_regions)
        full, empty = scorer(references, regions, fill, self.behavior, target, stopwatch, begin(2))
        heatmap = _spread(regions, attribution, scorer.device)
        return Explanation(attribution, heatmap, regions, 0, float(full), float(empty))
