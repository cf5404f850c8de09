"""The words of the core as types: arrays, clips, and what each part of lavx asks of the others.

Nothing here computes anything. Shapes: T frames of H x W pixels, B clips in a batch, R regions, S coalitions,
K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # what reads results alone need not wait for torch
    import torch
    from torch import Tensor

Frames = NDArray[np.uint8]
"""A clip's frames (T, H, W, 3), RGB in 0..255, as the network sees them before normalization."""

Kept = NDArray[np.bool_]
"""Coalitions (S, R): True where the region is kept, False where it is removed."""

Scores = NDArray[np.float64]
"""Scores (S,) of the target, one a coalition; larger = more of the target."""

Outputs = NDArray[np.float32]
"""A classifier's outputs (S, K) for coalitions, all classes of them."""

Attribution = NDArray[np.float64]
"""Importance (R,) of each region; larger = more important for the target."""

Heatmap = NDArray[np.float32]
"""Importance (T, H, W) of each voxel."""

OutputKind = Literal["logits", "probabilities", "multilabel", "multilabel_logits", "regression"]
"""What the rows (K,) of a classifier's outputs are.

- logits: class scores before a softmax;
- probabilities: in [0, 1], of a row together 1;
- multilabel: in [0, 1], each class for itself;
- multilabel_logits: scores before a sigmoid, each class for itself;
- regression: any numbers, explained as they are.
"""

OUTPUT_KINDS: tuple[str, ...] = get_args(OutputKind)

Fill = Callable[["Tensor"], "Tensor"]
"""Masks (B, T, H, W) to perturbed clips (B, T, H, W, 3) of one clip."""

Progress = Callable[[str, int], Callable[[int], object]]
"""Told what comes and how many forward passes it takes; what it returns is told of passes done."""


def silent(stage: str, n_passes: int) -> Callable[[int], object]:
    """A `Progress` that shows nothing."""
    return lambda done: None


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

    frames: Frames
    geometry: Geometry


class Classifier(Protocol):
    """The black box.

    Attributes:
        device: where its clips must be.
        output: what its outputs are; None where that has to be found out from what it answers.
        classes: their names, in the order of the outputs; None where nobody knows them.
    """

    device: torch.device
    output: OutputKind | None
    classes: tuple[str, ...] | None

    def __call__(self, clips: Tensor) -> Tensor:
        """Outputs (B, K) of float32 clips (B, T, H, W, 3), RGB in 0..255, on `device`."""


class Network(Classifier, Protocol):
    """A classifier that reads video files with its own preprocessing.

    Attributes:
        name: what it is called in results.
        weights: `file` and `sha256` of its weights, None where there is no file.
    """

    name: str
    weights: dict[str, Any]

    def read(self, path: str | Path, start: float | None = None, end: float | None = None) -> Clip:
        """Decode a video, or its seconds `start` to `end`, and cut out what the network sees of it.

        Raises:
            lavx.video.VideoError: if the video cannot be used.
        """


class Regions(Protocol):
    """The units of a clip that are removed or kept, whichever way they tile it."""

    shape: tuple[int, int, int]
    n_regions: int

    def to(self, device: torch.device) -> Regions:
        """Put the tensors inside on `device`, in place; returns itself."""

    def masks(self, coalitions: Tensor) -> Tensor:
        """Masks of coalitions bool (B, R): float (B, T, H, W) in [0, 1], 1 = kept."""

    def heatmap(self, attribution: Tensor) -> Tensor:
        """The attribution (R,) of each voxel: float (T, H, W)."""

    def mean(self, volume: Tensor) -> Tensor:
        """Mean of a volume (T, H, W, C) over each region: float (R, C)."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What has to be stored to tell where each region lies."""


@dataclass(frozen=True)
class Coalitions:
    """Which regions each sample keeps.

    Attributes:
        kept: bool (S, R), True = region kept.
        weights: float64 (S,), > 0. For kind "shapley" the share of the Shapley kernel's mass that the row
            stands for, of the rows of one round together 1; otherwise ones.
        units: int64 (S,), which of the independent draws a row belongs to: a pair of complements is one unit, so
            is a permutation with its reverse. -1 for rows that are there whatever is drawn, because all of
            their kind are listed: they contribute no sampling error. None for a unit of its own for each row.

    Raises:
        ValueError: if the shapes do not fit, a weight is not a positive number or a unit is below -1.
    """

    kept: Kept
    weights: NDArray[np.float64]
    units: NDArray[np.int64] = None  # type: ignore[assignment]  # __post_init__ replaces it

    def __post_init__(self) -> None:
        if self.units is None:
            object.__setattr__(self, "units", np.arange(len(self.kept)))
        if self.kept.ndim != 2 or self.kept.dtype != np.bool_:
            raise ValueError(f"kept must be bool (S, R), got {self.kept.dtype} {self.kept.shape}")
        if self.weights.shape != self.kept.shape[:1]:
            raise ValueError(f"weights must be ({len(self.kept)},), one a row, got {self.weights.shape}")
        if not (np.isfinite(self.weights) & (self.weights > 0)).all():
            raise ValueError("weights must be positive numbers, one a row")
        if self.units.shape != self.weights.shape or self.units.dtype.kind != "i" or (self.units < -1).any():
            raise ValueError(
                f"units must be ({len(self.kept)},) whole numbers >= -1, one a row, got {self.units.dtype} "
                f"{self.units.shape}"
            )

    @property
    def drawn(self) -> NDArray[np.bool_]:
        """Which rows (S,) were drawn at random; the others are listed in full."""
        return self.units >= 0

    def __len__(self) -> int:
        return len(self.kept)

    @staticmethod
    def joined(rounds: Sequence[Coalitions]) -> Coalitions:
        """The coalitions of several rounds as one; each round weighs as much as it has rows."""
        if len(rounds) == 1:
            return rounds[0]
        weights = [part.weights * (len(part) / part.weights.sum()) for part in rounds if len(part)]
        units, next_unit = [], 0
        for part in rounds:
            units.append(np.where(part.drawn, part.units + next_unit, -1))
            next_unit += int(part.units.max(initial=-1)) + 1
        return Coalitions(
            np.concatenate([part.kept for part in rounds]), np.concatenate(weights), np.concatenate(units)
        )


class Segmentation(Protocol):
    """Cuts a clip into regions."""

    def __call__(self, clip: Frames, rng: np.random.Generator) -> Regions:
        """The regions of a clip; the same clip and generator state give the same regions."""


class Selection(Protocol):
    """Says which regions a sample keeps; it can `enumerate` all its coalitions, `draw` some, or both."""

    @property
    def kind(self) -> str:
        """What its rows are, for the summaries that can use only some kinds."""
        ...


@runtime_checkable
class Enumerable(Selection, Protocol):
    """A selection with a list of all its coalitions."""

    def enumerate(self, n_regions: int) -> Coalitions:
        """All coalitions it stands for."""
        ...


@runtime_checkable
class Drawable(Selection, Protocol):
    """A selection that draws coalitions at random."""

    def draw(self, n_regions: int, n_samples: int, rng: np.random.Generator) -> Coalitions:
        """About `n_samples` coalitions, never more."""
        ...


Rounds = Generator[Coalitions, Scores, None]
"""Coalitions to score, round by round; each `yield` answers with the scores (S,) of its coalitions."""


class Sampling(Protocol):
    """Says how many coalitions are scored, in one round or in several.

    Attributes:
        one_round: whether the first round is also the last, so that its coalitions can be checked before a
            forward pass is spent on them.
    """

    @property
    def one_round(self) -> bool:
        """See above."""
        ...

    def check(self, selection: Selection) -> None:
        """Raise ValueError if this selection cannot be sampled so."""

    def rounds(self, selection: Selection, n_regions: int, rng: np.random.Generator) -> Rounds:
        """Yield coalitions, take their scores, and go on for as long as more are wanted."""
        ...


class Removal(Protocol):
    """Says what takes the place of a removed voxel."""

    def prepare(self, clip: Tensor, regions: Regions, generator: torch.Generator) -> Fill:
        """What turns masks (B, T, H, W) into perturbed clips (B, T, H, W, 3) of this clip."""


class Behavior(Protocol):
    """What is watched while regions are removed."""

    def __call__(self, outputs: Tensor, target: int, kind: OutputKind) -> Tensor:
        """Scores (B,) of outputs (B, K) of a kind for class `target`; larger = more of the target.

        Raises:
            ValueError: if outputs of this kind do not have this behavior.
        """


class Summary(Protocol):
    """Turns the scores of all coalitions into the attribution of each region."""

    def check(self, selection: Selection) -> None:
        """Raise ValueError if this selection makes no sense here."""

    def check_coalitions(self, coalitions: Coalitions) -> None:
        """Raise ValueError if these coalitions do not suffice."""

    def __call__(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Attribution:
        """Attribution (R,) from the scores (S,) of the coalitions, of the clip and of the baseline."""


@dataclass(frozen=True)
class Estimate:
    """An attribution with what the draw of the coalitions leaves open of it.

    Attributes:
        attribution: float64 (R,).
        influence: float64 (U, R), how far each of the U units moves the attribution; the covariance of the
            attribution over draws is `influence.T @ influence`. None where nothing was drawn.
        neutral: the attribution of a region without any effect on the score.
        neutral_influence: float64 (U,), how far each unit moves `neutral`; None where it is fixed.
        more: further numbers to store, by name.
    """

    attribution: Attribution
    influence: NDArray[np.float64] | None = None
    neutral: float = 0.0
    neutral_influence: NDArray[np.float64] | None = None
    more: dict[str, float | None] = field(default_factory=dict)


@runtime_checkable
class Estimating(Summary, Protocol):
    """A summary that knows how far its attributions are from those of all coalitions."""

    def estimate(self, coalitions: Coalitions, scores: Scores, full: float, empty: float) -> Estimate:
        """The attribution that the summary gives, with the influence of each unit."""
        ...


@dataclass(frozen=True)
class Evidence:
    """What there is to draw of an explanation.

    Attributes:
        heatmap: float (T, H, W), the attribution of each voxel.
        attribution: float (R,) of each region; None where only the heatmap is known.
        regions: what its entries stand for; None likewise.
        neutral: the attribution of a region without effect.
        std_error: float (R,), standard errors of attribution - neutral; None where it is exact, or nobody knows.
        is_exact: whether another draw would give the same attribution.
        noise: standard deviation that the network's own noise gives an attribution.
    """

    heatmap: NDArray[np.floating]
    attribution: NDArray[np.floating] | None = None
    regions: Regions | None = None
    neutral: float = 0.0
    std_error: NDArray[np.floating] | None = None
    is_exact: bool = False
    noise: float = 0.0


@dataclass(frozen=True)
class Drawing:
    """What a visualization draws.

    Attributes:
        frames: uint8 (T, H, W, 3) with the colors over them, without lines.
        opacity: float32 (T, H, W) in [0, 1], how much color each voxel got as a share of the most that the
            visualization gives; None where a visualization does not say it.
        outlined: int8 (T, H, W), what has a line around it: 1 speaks for the target, -1 against it, 0 has none;
            None where the visualization draws no lines.
        scale: what the colors mean (`lavx.methods.visualization.Scale`); None where none are drawn.
        note: what a reader must know to read it, such as why nothing is drawn; often empty.
        values: float32 (T, H, W), how far from no effect each voxel is, 0 where nothing is drawn; None where what
            is drawn is the heatmap.
    """

    frames: Frames
    opacity: NDArray[np.float32] | None = None
    outlined: NDArray[np.int8] | None = None
    scale: Any = None
    note: str = ""
    values: NDArray[np.float32] | None = None


class Smoothing(Protocol):
    """Smooths what is shown of an attribution."""

    def __call__(self, regions: Regions) -> Regions:
        """The same regions with other heatmaps; masks and means stay as they are."""


class Visualization(Protocol):
    """Draws a heatmap over frames."""

    def scale(self) -> Any:
        """What the colors mean (`lavx.methods.visualization.Scale`); None where none are drawn."""

    def __call__(self, frames: Frames, heatmap: NDArray[np.floating]) -> Frames:
        """The frames with the heatmap (T, H, W) over them."""


@runtime_checkable
class EvidenceVisualization(Visualization, Protocol):
    """A visualization that looks at more than the heatmap, and says more than colored frames."""

    def draw(self, frames: Frames, evidence: Evidence) -> Drawing:
        """What to show of the evidence over frames (T, H, W, 3)."""
