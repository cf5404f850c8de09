"""Scoring coalitions: masks, perturbed clips and logits streamed in batches on the network's device.

Only the scores are kept, so peak memory depends on the batch size and the clip, never on the number of
coalitions.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lavx.types import Behavior, Fill, Regions

log = logging.getLogger(__name__)

Begin = Callable[[int], Callable[[int], object]]  # told the passes to come; its result is told of passes done


def silent(total: int) -> Callable[[int], object]:
    """A `Begin` that shows no progress."""
    return lambda done: None


# What the CPU's caches and the networks' kernels are happiest with, in voxels a batch (measured on the
# networks of the study and on the embedded ones).
_CPU_BATCH_VOXELS = 16 * 8 * 224 * 224
_LARGEST_BATCH = 256


class Classifier(Protocol):
    """The black box: float clips (B, T, H, W, 3) in 0..255 to logits (B, K)."""

    device: torch.device

    def __call__(self, clips: Tensor) -> Tensor:
        """Class scores before the softmax."""


class ScoreError(ValueError):
    """The network gave scores that nothing can be computed from."""


class Stopwatch:
    """Seconds by stage, wall clock, the device synchronized at both ends of each."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add the time inside to `stage`."""
        self._synchronize()
        start = time.perf_counter()
        try:
            yield
        finally:
            self._synchronize()
            self.seconds[stage] += time.perf_counter() - start

    def _synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def _out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


class Scorer:
    """Scores coalitions of any regions of any clip on one network.

    Args:
        network: the classifier.
        batch_size: clips a forward pass, or "auto": on the CPU by the clip's size, on a GPU what its memory
            holds. Both depend on nothing that changes between two runs, so that results do not either. A
            batch that does not fit is halved and tried again, whichever was asked for.
    """

    def __init__(self, network: Classifier, batch_size: int | str = "auto") -> None:
        valid = batch_size == "auto" or (isinstance(batch_size, int) and batch_size >= 1)
        if not valid or isinstance(batch_size, bool):
            raise ValueError(f"batch_size must be auto or a whole number >= 1, got {batch_size!r}")
        self.network = network
        self.batch_size = batch_size
        self._sizes: dict[tuple[int, ...], int] = {}

    @property
    def device(self) -> torch.device:
        """Where masks and clips are made and the network runs."""
        return self.network.device

    def __call__(
        self,
        kept: NDArray[np.bool_],
        regions: Regions,
        fill: Fill,
        behavior: Behavior,
        target: int,
        stopwatch: Stopwatch,
        advance: Callable[[int], object] = lambda n: None,
    ) -> NDArray[np.float64]:
        """Score each coalition.

        Args:
            kept: coalitions bool (S, R), True = region kept.
            regions: what the columns of `kept` stand for, on this scorer's device.
            fill: turns masks into perturbed clips.
            behavior: turns logits into scores.
            target: class index.
            stopwatch: gets the seconds of "perturbation" and "inference".
            advance: told the number of passes done, after each batch.

        Returns:
            float64 (S,).

        Raises:
            ScoreError: if any score is not finite.
        """
        coalitions = torch.from_numpy(np.ascontiguousarray(kept)).to(self.device)
        # One block from the start: small tensors left between the batches' large ones would keep the heap from
        # being used again, and memory would grow with the samples.
        scores = torch.empty(len(coalitions), dtype=torch.float64, device=self.device)
        start = 0
        while start < len(coalitions):
            size = self.size(regions.shape)
            try:
                with stopwatch("perturbation"):
                    clips = fill(regions.masks(coalitions[start : start + size]))
                with stopwatch("inference"):
                    scores[start : start + len(clips)] = behavior(self.network(clips), target, "logits")
            except RuntimeError as error:
                self.halve(regions.shape, error)
                continue
            start += len(clips)
            advance(len(clips))
            del clips
        result: NDArray[np.float64] = scores.cpu().numpy()
        bad = ~np.isfinite(result)
        if bad.any():
            raise ScoreError(
                f"the network gave {bad.sum()} scores of {len(result)} that are NaN or infinite for class "
                f"{target}. Check the weights; with precision=fp16 or bf16, try precision=fp32."
            )
        return result

    def size(self, shape: tuple[int, int, int]) -> int:
        """How many clips of (T, H, W) a forward pass takes."""
        if shape not in self._sizes:
            if isinstance(self.batch_size, int):
                self._sizes[shape] = self.batch_size
            elif self.device.type == "cuda":
                self._sizes[shape] = self._what_the_gpu_holds(shape)
            else:
                fitting = max(1, _CPU_BATCH_VOXELS // int(np.prod(shape)))
                self._sizes[shape] = min(64, 1 << (fitting.bit_length() - 1))
        return self._sizes[shape]

    def halve(self, shape: tuple[int, int, int], error: RuntimeError) -> None:
        """Take half as many clips of (T, H, W) from now on, where a pass failed for want of memory.

        Raises:
            RuntimeError: the given one, if it says something else or a single clip is too much.
        """
        size = self.size(shape)
        if not _out_of_memory(error) or size == 1:
            raise error
        self._sizes[shape] = size // 2
        log.warning("A batch of %d clips does not fit in memory; going on with %d.", size, size // 2)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _what_the_gpu_holds(self, shape: tuple[int, int, int]) -> int:
        """The power of two that fills at most 70 % of the GPU's whole memory, by trying two clips."""
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self.device)
        before = torch.cuda.memory_allocated(self.device)
        self.network(torch.zeros(2, *shape, 3, device=self.device))
        a_clip = max(1, (torch.cuda.max_memory_allocated(self.device) - before) // 2)
        total = torch.cuda.get_device_properties(self.device).total_memory
        fitting = max(1, int(0.7 * total - before) // a_clip)
        return min(_LARGEST_BATCH, 1 << (fitting.bit_length() - 1))
