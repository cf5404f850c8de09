"""The game: what becomes of the score of a class when regions of a clip are removed.

`ScoredClip` holds what is common to everything done to one clip: its frames on the classifier's device, the
target, the score f(clip), random streams, batch sizes, clock and progress. It makes games,
`game(coalitions bool (S, R)) -> scores float64 (S,)`; explainers, metrics and controls all play games. This is the
only module that knows about devices, batches, time and progress.

Masks, perturbed clips and outputs are streamed in batches and only the scores are kept, so that peak memory
depends on the batch size and the clip, never on the number of coalitions.
"""

from __future__ import annotations

import hashlib
import logging
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lavx.outputs import (
    NetworkError,
    ScoreError,
    TargetError,
    check_classes,
    check_outputs,
    class_index,
    contradiction,
    detect_output,
    doubt,
    probabilities,
)
from lavx.types import (
    Attribution,
    Behavior,
    Classifier,
    Fill,
    Frames,
    Heatmap,
    Kept,
    OutputKind,
    Outputs,
    Progress,
    Regions,
    Removal,
    Scores,
    Segmentation,
    silent,
)

log = logging.getLogger(__name__)

# What the CPU's caches and the networks' kernels are happiest with, in voxels a batch (measured on the
# networks of the study and on the embedded ones).
_CPU_BATCH_VOXELS = 16 * 8 * 224 * 224
_LARGEST_BATCH = 256
_JITTER = 1e-7
_MIXED = 0.25  # of the way from one clip's answer to another's
_FAR = 4  # times what the outputs move by themselves
_LOOKS = 3  # at that
_ROUNDED = 1e-3  # of the largest output: what kernels for batches round otherwise


class Seeds:
    """Independent random streams of one clip: the same whatever the order, the batches and the workers.

    Args:
        seed: of the run.
        name: of the clip; clips of different names have different streams.
    """

    def __init__(self, seed: int = 0, name: str = "") -> None:
        digest = hashlib.sha256(name.encode(errors="surrogateescape")).digest()
        self._entropy = [seed, *np.frombuffer(digest[:16], dtype="<u4").tolist()]

    def numpy(self, step: str) -> np.random.Generator:
        """The stream of one step."""
        return np.random.default_rng([*self._entropy, zlib.crc32(step.encode())])

    def torch(self, step: str) -> torch.Generator:
        """The same as a CPU generator of torch: draws are moved to the device, so they do not depend on it."""
        return torch.Generator().manual_seed(int(self.numpy(step).integers(2**62)))


class Stopwatch:
    """Seconds by stage, wall clock, the device synchronized at both ends; nested stages count as the outermost."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = defaultdict(float)
        self._running = False

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add the time inside to `stage`."""
        if self._running:
            yield
            return
        self._synchronize()
        self._running, start = True, time.perf_counter()
        try:
            yield
        finally:
            self._synchronize()
            self._running = False
            self.seconds[stage] += time.perf_counter() - start

    def _synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def _out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


class BatchSizes:
    """How many clips a forward pass takes, by their shape; halved for good where they do not fit in memory.

    Args:
        classifier: the network.
        batch_size: clips a forward pass, or "auto": on the CPU by the clip's size, on a GPU what its memory
            holds. Both depend on nothing that changes between two runs, so that results do not either.

    Attributes:
        rows_checked: whether the network is known to answer each clip of a batch by itself.

    Raises:
        ValueError: if `batch_size` is neither.
    """

    def __init__(self, classifier: Classifier, batch_size: int | str = "auto") -> None:
        valid = batch_size == "auto" or (isinstance(batch_size, int) and batch_size >= 1)
        if not valid or isinstance(batch_size, bool):
            raise ValueError(f"batch_size must be auto or a whole number >= 1, got {batch_size!r}")
        self.classifier = classifier
        self.batch_size = batch_size
        self.rows_checked = False
        self._sizes: dict[tuple[int, ...], int] = {}

    def size(self, shape: tuple[int, int, int]) -> int:
        """How many clips of (T, H, W) a forward pass takes."""
        if shape not in self._sizes:
            if isinstance(self.batch_size, int):
                self._sizes[shape] = self.batch_size
            elif self.classifier.device.type == "cuda":
                self._sizes[shape] = self._what_the_gpu_holds(shape)
            else:
                fitting = max(1, _CPU_BATCH_VOXELS // int(np.prod(shape)))
                self._sizes[shape] = min(64, 1 << (fitting.bit_length() - 1))
        return self._sizes[shape]

    def halve(self, shape: tuple[int, int, int], error: RuntimeError) -> None:
        """Take half as many clips of (T, H, W) from now on, where a forward pass failed for want of memory.

        Raises:
            RuntimeError: the given one, if it says something else or a single clip is too much.
        """
        size = self.size(shape)
        if not _out_of_memory(error) or size == 1:
            raise error
        self._sizes[shape] = size // 2
        log.warning("A batch of %d clips does not fit in memory; going on with %d.", size, size // 2)
        if self.classifier.device.type == "cuda":
            torch.cuda.empty_cache()

    def _what_the_gpu_holds(self, shape: tuple[int, int, int]) -> int:
        """The power of two that fills at most 70 % of the GPU's whole memory, by trying two clips."""
        device = self.classifier.device
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        with torch.no_grad():
            self.classifier(torch.zeros(2, *shape, 3, device=device))
        a_clip = max(1, (torch.cuda.max_memory_allocated(device) - before) // 2)
        total = torch.cuda.get_device_properties(device).total_memory
        fitting = max(1, int(0.7 * total - before) // a_clip)
        return min(_LARGEST_BATCH, 1 << (fitting.bit_length() - 1))


class ScoreStore(Protocol):
    """Keeps the scores of finished batches, so that a game that was cut off resumes inside its samples."""

    def get(self, key: str) -> Scores:
        """The scores kept so far (n,) under a key, in order; none where nothing was kept."""

    def outputs(self, key: str) -> Outputs:
        """The classifier's outputs float32 (m, K) kept so far under a key, in order; (0, 0) where none were."""

    def add(self, key: str, scores: Scores, outputs: Outputs | None = None) -> None:
        """Keep the scores that come next under a key, and the outputs (n, K) that they are of."""


Segmenter = Callable[[Segmentation, Frames, np.random.Generator], tuple[Regions, float]]
"""Gives the regions of a clip, and the seconds that computing them took (when they were computed)."""


def compute_regions(segmentation: Segmentation, frames: Frames, rng: np.random.Generator) -> tuple[Regions, float]:
    """A `Segmenter` that keeps nothing."""
    start = time.perf_counter()
    regions = segmentation(frames, rng)
    return regions, time.perf_counter() - start


class ScoredClip:
    """One clip, the classifier and the class whose score is watched: what every game of the clip shares.

    The clip is brought to the device once and scored once.

    Args:
        classifier: the black box.
        frames: uint8 (T, H, W, 3), RGB.
        target: index or name of a class; None for the class with the largest output.
        classes: their names; None for the classifier's own.
        output: what the outputs are; None for what the classifier says, or else for what they look like.
        exact: the clip as float (T, H, W, 3) in 0..255, where it is not whole numbers; None for `frames`.
        batches: batch sizes, shared by all clips of a classifier; None for automatic ones.
        seeds: the clip's random streams.
        progress: told of forward passes.
        segmenter: what computes regions, or takes them from a cache.
        store: what keeps finished batches of scores; None for nothing.
        stopwatch: the clock; None for a new one.

    Attributes:
        classes: names of the classes; None where nobody knows them.
        target: index of the class whose score is watched.
        kind: what the classifier's outputs are.
        outputs: float64 (K,), the classifier's outputs for the clip.
        n_passes: clips that the classifier has seen.

    Raises:
        ScoreError: if the classifier's outputs for the clip are unusable.
        NetworkError: if it does not answer one row a clip, with an output for each class name, of the kind that it
            is said to answer; or if it is not said and cannot be found out.
        TargetError: if the target is none of the classes.
    """

    def __init__(
        self,
        classifier: Classifier,
        frames: Frames,
        target: int | str | None = None,
        *,
        classes: Sequence[str] | None = None,
        output: OutputKind | None = None,
        exact: NDArray[np.floating] | None = None,
        batches: BatchSizes | None = None,
        seeds: Seeds | None = None,
        progress: Progress = silent,
        segmenter: Segmenter = compute_regions,
        store: ScoreStore | None = None,
        stopwatch: Stopwatch | None = None,
    ) -> None:
        self.classifier = classifier
        self.frames = frames
        self.batches = batches or BatchSizes(classifier)
        self.seeds = seeds or Seeds()
        self.progress = progress
        self.stopwatch = stopwatch or Stopwatch(classifier.device)
        self.n_passes = 0
        self._segmenter = segmenter
        self._store = store
        self._n_classes: int | None = None
        with self.stopwatch("inference"), torch.no_grad():
            source = frames if exact is None else np.asarray(exact, dtype=np.float32)
            self.tensor: Tensor = torch.from_numpy(np.ascontiguousarray(source)).to(self.device).float()
            self._row = self._forward(self.tensor[None].clone())  # which a network may change
            self.outputs: NDArray[np.float64] = self._row[0].double().cpu().numpy()
            if not np.isfinite(self.outputs).all():
                raise ScoreError("the network's outputs for the clip are NaN or infinite")
            self.classes = classifier.classes if classes is None else tuple(classes)
            try:
                check_classes(self.classes, len(self.outputs))
                self.kind: OutputKind = self._checked(output or classifier.output) or self._detect()
            except ValueError as error:
                raise NetworkError(str(error)) from error
        self.target = self._target(target)

    @property
    def device(self) -> torch.device:
        """Where masks and clips are made and the classifier runs."""
        return self.classifier.device

    @property
    def shape(self) -> tuple[int, int, int]:
        """(T, H, W)."""
        frames, height, width, _ = self.frames.shape
        return frames, height, width

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """What the outputs say of each class, float64 (K,); regression outputs as they are."""
        return probabilities(self.outputs, self.kind)

    def _checked(self, kind: OutputKind | None) -> OutputKind | None:
        """What the outputs are said to be, unless they cannot be that."""
        if kind is not None and (contradiction(self._row, kind) or doubt(self._row, kind)):
            rows = torch.cat([self._row, self._black])
            finite = bool(rows.isfinite().all())
            if finite and (found := contradiction(rows, kind)):
                raise ValueError(f"{found}. Say what they are with output, or leave it out to have it found out")
            if finite and (found := doubt(rows, kind)):
                log.warning("%s", found)
        return kind

    def _detect(self) -> OutputKind:
        """What the outputs are, by those of the clip and of a black one."""
        return detect_output(torch.cat([self._row, self._black]).cpu())

    @cached_property
    def _black(self) -> Tensor:
        """The outputs (1, K) for a black clip."""
        return self._forward(torch.zeros_like(self.tensor)[None])

    def _check_rows(self) -> None:
        """Refuse a network whose answer to a clip depends on the other clips of its batch.

        The clip and a black one together are compared with each alone, once for all clips of a network. These
        passes are part of no explanation: they are not counted or timed.
        """
        self.batches.rows_checked = True
        n_passes = self.n_passes
        try:
            alone = torch.cat([self._row, self._black]).double()
            together = self._forward(torch.stack([self.tensor, torch.zeros_like(self.tensor)])).double()
        except RuntimeError as error:
            if _out_of_memory(error):  # one clip at a time, then
                return
            raise
        finally:
            self.n_passes = n_passes
        gap, between = float((together - alone).abs().max()), float((alone[0] - alone[1]).abs().max())
        small = max(_MIXED * between, _ROUNDED * float(alone.abs().max()))
        # A network that draws at random, or hangs on the last bits, is spoken of by its noise.
        if not np.isfinite(gap + between) or gap <= small or gap <= _FAR * self._moves(alone[0]):
            return
        raise NetworkError(
            "the network's answer to a clip depends on the others in its batch: for the clip and a black one "
            f"together it gives values up to {gap:.3g} away from those for each alone. It must answer each clip "
            "by itself: a row a clip, in their order, by no statistics of the batch; or set batch_size=1"
        )

    def _moves(self, outputs: Tensor) -> float:
        """How far the outputs (K,) of the clip move when it is scored alone once more, its last bits changed."""
        generator, shape = self.seeds.torch("noise"), self.tensor.shape
        moves = [
            self._jittered(torch.randint(2, (1, *shape), generator=generator)).double() - outputs
            for _ in range(_LOOKS)
        ]
        return float(torch.cat(moves).abs().max())

    def _jittered(self, down: Tensor) -> Tensor:
        """The outputs (B, K) of the clip, a ten millionth less where `down` (B, T, H, W, 3) is 1."""
        clips = self.tensor * (1 - _JITTER * down.to(self.device))
        return check_outputs(self.classifier(clips), len(clips), self._n_classes)

    def _target(self, target: int | str | None) -> int:
        n_classes = len(self.outputs)
        if target is not None:
            return class_index(target, self.classes, n_classes)
        if self.kind == "regression" and n_classes > 1:
            raise TargetError(f"a regression with {n_classes} outputs needs a target, 0 to {n_classes - 1}")
        return int(self.outputs.argmax())

    def _forward(self, clips: Tensor) -> Tensor:
        """The classifier's outputs (B, K), checked."""
        answer = self.classifier(clips)
        try:
            outputs = check_outputs(answer, len(clips), self._n_classes)
        except (TypeError, ValueError) as error:
            raise NetworkError(str(error)) from error
        self._n_classes = outputs.shape[1]
        self.n_passes += len(clips)
        return outputs

    def score(self, behavior: Behavior) -> float:
        """f(clip): the target's score for the clip itself, without another forward pass."""
        return float(behavior(self._row, self.target, self.kind)[0])

    def noise(self, behavior: Behavior, n: int = 4) -> float:
        """How far the target's score moves when the clip's values do by a ten millionth, root mean square.

        That is their last bit in float32: a network with a smooth answer moves by nothing that matters, a
        quantized one may jump. These passes are part of no explanation: they are not counted or timed.

        Args:
            behavior: what is watched.
            n: clips to try.
        """
        generator, size = self.seeds.torch("noise"), min(n, self.batches.size(self.shape))
        moves: list[Tensor] = []
        with torch.no_grad():
            for start in range(0, n, size):
                down = torch.randint(2, (min(size, n - start), *self.tensor.shape), generator=generator)
                outputs = self._jittered(down)
                moves.append(behavior(outputs, self.target, self.kind).double() - self.score(behavior))
        return float(torch.cat(moves).square().mean().sqrt())

    def time_pass(self) -> float:
        """Seconds of one more forward pass of the clip, for forecasts."""
        start = time.perf_counter()
        with self.stopwatch("inference"), torch.no_grad():
            self._forward(self.tensor[None].clone())
        return time.perf_counter() - start

    def segment(self, segmentation: Segmentation) -> Regions:
        """The clip's regions, on the device."""
        regions, seconds = self._segmenter(segmentation, self.frames, self.seeds.numpy("segmentation"))
        self.stopwatch.seconds["segmentation"] += seconds
        return regions.to(self.device)

    def game(
        self,
        regions: Regions,
        removal: Removal,
        behavior: Behavior,
        *,
        stage: str = "explanation",
        stream: str = "removal",
        with_baseline: bool = True,
        keep_outputs: bool = False,
    ) -> ClipGame:
        """The game of removing regions.

        Args:
            regions: what the columns of coalitions stand for.
            removal: what takes the place of removed voxels.
            behavior: what is watched.
            stage: what the progress says.
            stream: names the removal's random stream.
            with_baseline: whether the first batch scores the baseline too; else it is scored when asked for.
            keep_outputs: whether to keep the outputs of all classes, for other targets.
        """
        with self.stopwatch("perturbation"), torch.no_grad():
            regions = regions.to(self.device)
            fill = removal.prepare(self.tensor, regions, self.seeds.torch(stream))
        return ClipGame(self, regions, fill, behavior, stage, with_baseline, keep_outputs)

    def heatmap(self, regions: Regions, attribution: Attribution) -> Heatmap:
        """The attribution (R,) of each voxel: float32 (T, H, W)."""
        # In float64, so that voxels of equal importance stay equal to the last bit of float32.
        spread = regions.heatmap(torch.from_numpy(attribution).to(self.device))
        return spread.cpu().numpy().astype(np.float32)

    def _scores(
        self, kept: Kept, regions: Regions, fill: Fill, behavior: Behavior, stage: str, keep_outputs: bool = False
    ) -> tuple[Scores, Outputs | None]:
        """Score coalitions bool (S, R) in batches: float64 (S,), and the outputs (S, K) where they are kept."""
        coalitions = torch.from_numpy(np.ascontiguousarray(kept)).to(self.device)
        # One block from the start: small tensors left between the batches' large ones would keep the heap from
        # being used again, and memory would grow with the samples.
        scores = torch.empty(len(coalitions), dtype=torch.float64, device=self.device)
        outputs = torch.empty(len(scores), len(self.outputs)) if keep_outputs else None
        key, start = self._key(stage, kept), 0
        if self._store is not None:
            before = self._store.get(key)[: len(scores)]
            if outputs is not None:
                rows = self._store.outputs(key)[: len(before)]
                before = before[: len(rows)]
                outputs[: len(rows)] = torch.from_numpy(rows.reshape(len(rows), outputs.shape[1]))
            scores[: len(before)] = torch.from_numpy(before)
            start = len(before)
        advance = self.progress(stage, len(coalitions) - start)
        if not self.batches.rows_checked and self.batches.size(self.shape) > 1:
            self._check_rows()
        while start < len(coalitions):
            size = self.batches.size(self.shape)
            try:
                with self.stopwatch("perturbation"):
                    clips = fill(regions.masks(coalitions[start : start + size]))
                with self.stopwatch("inference"):
                    rows_now = self._forward(clips)
                    done = behavior(rows_now, self.target, self.kind)
                    scores[start : start + len(clips)] = done
                    if outputs is not None:
                        outputs[start : start + len(clips)] = rows_now
            except RuntimeError as error:
                self.batches.halve(self.shape, error)
                continue
            if self._store is not None:
                kept_rows = () if outputs is None else (outputs[start : start + len(clips)].numpy(),)
                self._store.add(key, done.double().cpu().numpy(), *kept_rows)
            start += len(clips)
            advance(len(clips))
            del clips
        return self._finite(scores.cpu().numpy()), None if outputs is None else outputs.numpy()

    def _key(self, stage: str, kept: Kept) -> str:
        if self._store is None:
            return stage
        return f"{stage} {self.target} {hashlib.sha256(np.packbits(kept).tobytes()).hexdigest()[:16]}"

    def _finite(self, scores: Scores) -> Scores:
        bad = int(np.count_nonzero(~np.isfinite(scores)))
        if bad:
            raise ScoreError(
                f"the network gave {bad} scores of {len(scores)} that are NaN or infinite for class "
                f"{self.target}. Check the weights; in half precision, try precision fp32."
            )
        return scores


class ClipGame:
    """The score of a clip's target by the coalition of regions that is kept.

    Attributes:
        regions: what the columns of coalitions stand for.
        full: the score of the clip itself.
    """

    def __init__(
        self,
        clip: ScoredClip,
        regions: Regions,
        fill: Fill,
        behavior: Behavior,
        stage: str,
        with_baseline: bool = True,
        keep_outputs: bool = False,
    ) -> None:
        self.regions = regions
        self.full = clip.score(behavior)
        self._clip, self._fill, self._behavior, self._stage = clip, fill, behavior, stage
        self._empty: float | None = None
        self._with_baseline = with_baseline
        self._keep_outputs = keep_outputs
        self._outputs: list[Outputs] = []
        self._empty_outputs: Outputs | None = None

    @property
    def outputs(self) -> Outputs | None:
        """The classifier's outputs float32 (S, K) of all coalitions played, in order; None where not kept."""
        if not self._keep_outputs:
            return None
        return np.concatenate(self._outputs) if self._outputs else None

    @property
    def empty_outputs(self) -> Outputs | None:
        """The classifier's outputs float32 (K,) of the baseline; None where not kept."""
        return self._empty_outputs

    @property
    def n_regions(self) -> int:
        """R."""
        return self.regions.n_regions

    @property
    def empty(self) -> float:
        """The score of the baseline, everything removed."""
        if self._empty is None:
            self._set_empty(*self._play(_none(self.n_regions)))
        assert self._empty is not None
        return self._empty

    def _set_empty(self, scores: Scores, outputs: Outputs | None) -> None:
        self._empty = float(scores[0])
        self._empty_outputs = None if outputs is None else outputs[0]

    def __call__(self, coalitions: Kept) -> Scores:
        """Score coalitions.

        Args:
            coalitions: bool (S, R), True = region kept.

        Returns:
            float64 (S,).

        Raises:
            ScoreError: if the network's outputs are unusable.
        """
        check_coalitions(coalitions, self.n_regions)
        if self._empty is not None or not self._with_baseline:
            scores, outputs = self._play(coalitions)
        else:
            # The baseline goes along with the first batch instead of taking a forward pass of its own.
            scores, outputs = self._play(np.concatenate([_none(self.n_regions), coalitions]))
            self._set_empty(scores, outputs)
            scores, outputs = scores[1:], None if outputs is None else outputs[1:]
        if outputs is not None:
            self._outputs.append(outputs)
        return scores

    def _play(self, coalitions: Kept) -> tuple[Scores, Outputs | None]:
        with torch.no_grad():
            return self._clip._scores(
                coalitions, self.regions, self._fill, self._behavior, self._stage, self._keep_outputs
            )


def _none(n_regions: int) -> Kept:
    """The coalition that keeps no region, (1, R)."""
    return np.zeros((1, n_regions), dtype=bool)


class FunctionGame:
    """Any function of coalitions as a game: a table of values, a simulation, another library's value function.

    Args:
        function: scores float (S,) of coalitions bool (S, R).
        n_regions: R.
    """

    def __init__(self, function: Callable[[Kept], NDArray[np.floating]], n_regions: int) -> None:
        self.function = function
        self.n_regions = n_regions

    def __call__(self, coalitions: Kept) -> Scores:
        """Scores float64 (S,) of coalitions bool (S, R)."""
        check_coalitions(coalitions, self.n_regions)
        scores = np.asarray(self.function(coalitions), dtype=np.float64)
        if scores.shape != (len(coalitions),):
            raise ValueError(f"the function must give ({len(coalitions)},) scores, gave {scores.shape}")
        return scores

    @cached_property
    def full(self) -> float:
        """The score of all regions."""
        return float(self(np.ones((1, self.n_regions), dtype=bool))[0])

    @cached_property
    def empty(self) -> float:
        """The score of no region."""
        return float(self(np.zeros((1, self.n_regions), dtype=bool))[0])


def check_coalitions(coalitions: Kept, n_regions: int) -> None:
    """Refuse what is not bool (S, R).

    Raises:
        ValueError: saying what was given.
    """
    if coalitions.dtype != np.bool_ or coalitions.ndim != 2 or coalitions.shape[1] != n_regions:
        raise ValueError(
            f"coalitions must be bool (S, {n_regions}), one column a region, got {coalitions.dtype} "
            f"{coalitions.shape}"
        )
