"""One video of a run: decoded, explained, evaluated, drawn and written to its folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lavx.api import Evaluation, Explanation, evaluated, explained
from lavx.datasets.base import Dataset, Video
from lavx.drawing.panel import Caption
from lavx.errors import RequestError
from lavx.experiments.class_map import ClassMap
from lavx.experiments.held_out import prepare
from lavx.experiments.record import STAGES, CurvePoints, PerFrame, VideoFile, VideoRecord
from lavx.experiments.score_store import FileScoreStore
from lavx.experiments.videos import video_file
from lavx.explainer import Control, Explainer
from lavx.explanation_file import write_arrays
from lavx.game import BatchSizes, ScoredClip, Seeds, Segmenter, Stopwatch
from lavx.metrics.insertion_deletion import DRAWN, Curve, InsertionDeletion
from lavx.metrics.localization import ground_truth_in_clip
from lavx.outputs import class_index
from lavx.types import Network, Progress
from lavx.video import VideoError


@dataclass(frozen=True)
class Outcome:
    """All that is known of one explained video.

    Attributes:
        video: the video.
        file: what its file was when it was decoded.
        label: index of the network's class that the dataset gives it; None where it gives none.
        fold: whose weights scored it; None where one file of weights scores all.
        explanation: why the network said that.
        evaluation: how well that describes the network.
        cross: insertion and deletion with another baseline; None where not asked for.
        seconds: by stage.
        batch_size: clips a forward pass.
        threads: of the CPU.
    """

    video: Video
    file: VideoFile
    label: int | None
    fold: int | None
    explanation: Explanation
    evaluation: Evaluation
    cross: Evaluation | None
    seconds: dict[str, float]
    batch_size: int
    threads: int

    def record(self) -> VideoRecord:
        """What `metrics.json` says of it."""
        explanation, evaluation = self.explanation, self.evaluation
        areas = _areas(evaluation.curves)
        crossed = {} if self.cross is None else _areas(self.cross.curves, "cross_")
        record = VideoRecord(
            video_id=self.video.id,
            video=self.file,
            label=self.label,
            fold=self.fold,
            output=explanation.kind,
            predicted=int(explanation.outputs.argmax()),
            target=explanation.target,
            score=explanation.score,
            deletion_auc=areas.pop("deletion_auc", None),
            insertion_auc=areas.pop("insertion_auc", None),
            more=dict(areas),
            average_drop=evaluation.average_drop,
            increase=evaluation.increase,
            n_regions=explanation.result.regions.n_regions,
            n_samples=explanation.result.n_samples,
            seconds={stage: round(self.seconds.get(stage, 0.0), 4) for stage in STAGES},
            minimal_masks=evaluation.minimal_masks,
            curves={
                name: CurvePoints(tuple(curve.fractions.tolist()), tuple(curve.scores.tolist()))
                for name, curve in evaluation.curves.items()
            },
            **_per_frame(explanation),
        )
        worked = {"batch_size": self.batch_size, "threads": self.threads}  # which decide the last digits
        more = {**crossed, "average_drop_area": evaluation.masked_area, **explanation.color()}
        return record.with_metrics({**more, **evaluation.localization, **explanation.diagnostics, **worked})


def _areas(curves: Mapping[str, Curve], prefix: str = "") -> dict[str, float]:
    """The areas under curves by column name: `deletion_auc`, and `deletion_auc_drawn` of the drawn heatmap."""
    return {f"{prefix}{name.replace(DRAWN, '')}_auc{DRAWN * name.endswith(DRAWN)}": curve.auc
            for name, curve in curves.items()}  # fmt: skip


def _per_frame(explanation: Explanation) -> dict[str, Any]:
    """The fields of a `VideoRecord` that say when."""
    found, times = explanation.per_frame, explanation.times[0]
    known = found.std_error is not None and bool(np.isfinite(found.std_error).all())
    errors = tuple(found.std_error.tolist()) if known and found.std_error is not None else ()
    return {
        "peak_frame": found.peak,
        "peak_second": float(times[found.peak]),
        "peak_importance": float(found.values[found.peak]),
        "peak_std_error": errors[found.peak] if errors else None,
        "moment_second": float(np.interp(found.moment, np.arange(len(times)), times)),
        "per_frame": PerFrame(tuple(times.tolist()), tuple(found.values.tolist()), errors, found.how),
    }


@dataclass(frozen=True)
class VideoExplainer:
    """Explains the videos of one cell.

    Attributes:
        names: what dataset, net and method are called.
        dataset: the videos' dataset.
        network: the classifier.
        method: how it is explained.
        metric: how explanations are evaluated.
        target: the class to explain: "predicted", "label", a name or an index.
        seed: of all draws.
        batches: batch sizes.
        segmenter: computes segmentations, or takes them from a cache.
        classes: which of the network's classes each class of the dataset is.
        check_noise: whether to look at the noise of the network's score; None where a forward pass is fast.
    """

    names: tuple[str, str, str]
    dataset: Dataset
    network: Network
    method: Explainer | Control
    metric: InsertionDeletion
    target: str | int
    seed: int
    batches: BatchSizes
    segmenter: Segmenter
    classes: ClassMap
    check_noise: bool | None = None

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Of the network, or of the dataset where the network names none; None where nobody names any."""
        return self.network.classes or tuple(self.dataset.classes) or None

    def explain(
        self,
        video: Video,
        progress: Progress,
        scores: Path | None = None,
        scored: Callable[[ScoredClip], object] = lambda clip: None,
    ) -> Outcome:
        """Decode, explain and evaluate one video.

        Args:
            video: the video.
            progress: told of forward passes.
            scores: a file for the scores of finished batches, which a run that was cut off resumes from.
            scored: told of the clip as soon as the network has seen it once.

        Raises:
            VideoError: if the video cannot be used.
            lavx.ScoreError: if the network's outputs are unusable.
        """
        fold = prepare(self.network, self.dataset, video)
        stopwatch = Stopwatch(self.network.device)
        with stopwatch("decode"):
            clip = self.network.read(video.path, video.start, video.end)
            file = video_file(video.path)
        store = None if scores is None else FileScoreStore(scores, f"{file.sha256} {clip.frames.shape} {fold}")
        label = self.classes(video.label)
        scored_clip = ScoredClip(
            self.network,
            clip.frames,
            self._target(video, label),
            classes=self.class_names,
            batches=self.batches,
            seeds=Seeds(self.seed, video.id),
            progress=progress,
            segmenter=self.segmenter,
            store=store,
            stopwatch=stopwatch,
        )
        scored(scored_clip)
        with stopwatch("metrics"):
            truth = self.dataset.ground_truth(video)
            in_clip = None if truth is None else ground_truth_in_clip(truth, clip.geometry)
        explanation = explained(
            scored_clip,
            self.method,
            self.names[2],
            geometry=clip.geometry,
            name=video.id,
            check_noise=self.check_noise,
            ground_truth=in_clip,
        )
        with stopwatch("metrics"):
            evaluation, cross = self._evaluate(scored_clip, explanation)
        if store is not None:
            store.remove()
        return Outcome(
            video,
            file,
            label,
            fold,
            explanation,
            evaluation,
            cross,
            stopwatch.seconds,
            self.batches.size(scored_clip.shape),
            torch.get_num_threads(),
        )

    def _evaluate(self, scored: ScoredClip, explanation: Explanation) -> tuple[Evaluation, Evaluation | None]:
        result, crossed = explanation.result, self.metric.crossed
        evaluation = evaluated(scored, result, self.metric, explanation.ground_truth)
        return evaluation, None if crossed is None else evaluated(scored, result, crossed)

    def _target(self, video: Video, label: int | None) -> int | str | None:
        if self.target == "predicted":
            return None
        if self.target == "label":
            if label is None:
                why = "has no label" if video.label is None else "is of a class that the network does not have"
                raise VideoError(f"{video.path}: target=label, but the video {why}")
            return label
        return self.target

    def write(self, outcome: Outcome, folder: Path) -> VideoRecord:
        """Write explanation, pictures and metrics into a folder; returns what `metrics.json` says."""
        explanation = outcome.explanation
        write_arrays(folder / "explanation.npz", explanation.arrays())
        start = time.perf_counter()
        self._draw(outcome, folder)
        outcome.seconds["visualization"] += time.perf_counter() - start
        record = outcome.record()
        (folder / "metrics.json").write_text(record.to_json())
        return record

    def _draw(self, outcome: Outcome, folder: Path) -> None:
        explanation = outcome.explanation
        explanation.panel(folder / "panel.png", evaluation=outcome.evaluation, caption=self._caption(outcome))
        explanation.overlay(folder / "overlay.mp4")

    def _caption(self, outcome: Outcome) -> Caption:
        explanation, (dataset, net, method) = outcome.explanation, self.names
        (predicted, predicted_score), *_ = explanation.top(1)
        return Caption(
            video_id=outcome.video.id,
            dataset=dataset,
            net=net,
            method=method,
            target=explanation.class_name(explanation.target),
            score=explanation.score,
            predicted=predicted,
            predicted_score=predicted_score,
            label=None if outcome.label is None else explanation.class_name(outcome.label),
            notes=explanation.notes,
        )


def check_target(target: Any, classes: tuple[str, ...]) -> None:
    """Refuse a target that is neither "predicted", "label" nor a class.

    Raises:
        RequestError: listing the classes.
    """
    if target in ("predicted", "label"):
        return
    try:
        class_index(target, classes, len(classes), ("predicted", "label"))
    except ValueError as error:
        raise RequestError(str(error)) from error
