"""The accuracy of a network: a dataset classified in batches, and what is counted of the predictions."""

from __future__ import annotations

import csv
import io
import json
import logging
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binomtest

from lavx.datasets.base import Dataset, Video
from lavx.drawing.confusion_matrix import confusion_matrix, draw_confusion
from lavx.experiments.held_out import fold_for, prepare, sha256_for
from lavx.experiments.predictions import Key, PredictionStore, answers, check_output, probabilities
from lavx.files import write_text
from lavx.game import BatchSizes
from lavx.text import csv_cell
from lavx.types import Network
from lavx.video import VideoError

log = logging.getLogger(__name__)

TOP = 5
_AHEAD = 64  # clips decoded and not yet classified
_LARGEST_BATCH = 32  # of the automatic ones: with more, an interruption costs more than a GPU gains
_DIGITS = 6  # of a score: those after it depend on the batch that a clip is in


@dataclass(frozen=True)
class Prediction:
    """What a network predicts for one labeled video, or why it cannot.

    Attributes:
        predicted: the class with the largest output.
        score: probability of the label.
        rank: of the label among the classes; 1 where the prediction is correct.
        error: why there is no prediction; None where there is one.
    """

    predicted: int | None
    score: float | None
    rank: int | None
    error: str | None = None


@dataclass(frozen=True)
class EvaluatedVideo:
    """A labeled video, the fold that holds it out (None without folds), and the out-of-fold prediction."""

    video: Video
    fold: int | None
    prediction: Prediction


class Evaluator:
    """Classifies labeled videos, where there are folds by out-of-fold weights; stored predictions are reused.

    Args:
        network: the network.
        dataset: the dataset, for its folds.
        store: where predictions are kept as they come.
        settings: what predictions depend on beside weights and videos.
        batch_size: clips a forward pass: `auto` or a number; see `BatchSizes`.
        workers: videos decoded at a time.

    Raises:
        ValueError: if the batch size is neither, or the network does not predict one class of several.
    """

    def __init__(
        self,
        network: Network,
        dataset: Dataset,
        store: PredictionStore[Prediction],
        settings: str = "",
        batch_size: int | str = "auto",
        workers: int = 1,
    ) -> None:
        check_output(network)
        self.network = network
        self.dataset = dataset
        self.store = store
        self.settings = settings
        self.workers = workers
        self._batches = BatchSizes(network, batch_size)
        self._most = batch_size if isinstance(batch_size, int) else _LARGEST_BATCH

    def evaluated(self, videos: Sequence[Video]) -> list[EvaluatedVideo]:
        """Those of the videos that are done, failed ones among them, in their order."""
        found = []
        for video in videos:
            try:
                prediction = self.store.get(self._key(video))
                if prediction is not None:
                    found.append(EvaluatedVideo(video, fold_for(self.network, self.dataset, video), prediction))
            except VideoError as error:
                found.append(EvaluatedVideo(video, None, Prediction(None, None, None, str(error))))
        return found

    def missing(self, videos: Sequence[Video]) -> list[Video]:
        """The videos to classify, fold by fold: those not done, and those that failed and are in a fold."""
        found: list[tuple[int, Video]] = []
        for video in videos:
            try:
                prediction = self.store.get(self._key(video))
            except VideoError:
                continue
            if prediction is None or prediction.error is not None:
                found.append((fold_for(self.network, self.dataset, video) or 0, video))
        return [video for _, video in sorted(found, key=lambda pair: pair[0])]

    def __call__(self, videos: Sequence[Video], advance: Callable[[int], object] = lambda n: None) -> None:
        """Classify what is missing of the videos.

        Args:
            videos: with labels.
            advance: told the number of videos done, after each batch.

        Raises:
            RequestError: if the weights cannot be read any longer.
            OSError: if the store cannot be written.
        """
        place: dict[str, int] = {}  # of each video among those of its fold
        counts: Counter[int | None] = Counter()
        for video in videos:
            with suppress(VideoError):
                fold = fold_for(self.network, self.dataset, video)
                place[video.id] = counts[fold]
                counts[fold] += 1
        batch: list[tuple[Video, NDArray[np.uint8]]] = []
        batch_group: object = None
        with closing(self._clips(self.missing(videos))) as clips:
            for video, clip in clips:
                if isinstance(clip, str):
                    log.info("%s failed: %s", video.id, clip)
                    self.store.add([(self._key(video), Prediction(None, None, None, clip))])
                    advance(1)
                    continue
                # By its place among all videos, so that after an interruption the batches are the same.
                size = min(self._batches.size(clip.shape[:3]), self._most)
                group = (fold_for(self.network, self.dataset, video), place[video.id] // size, clip.shape)
                if batch and group != batch_group:
                    self._classify(batch, advance)
                    batch = []
                batch_group = group
                batch.append((video, clip))
        if batch:
            self._classify(batch, advance)

    def _key(self, video: Video) -> Key:
        return (self.settings, sha256_for(self.network, self.dataset, video), str(video.path), video.label)

    def _clips(self, videos: Sequence[Video]) -> Generator[tuple[Video, NDArray[np.uint8] | str]]:
        """The clips in order, decoded ahead; or why one cannot be."""
        pool = ThreadPoolExecutor(self.workers)
        try:
            rest = iter(videos)
            waiting: deque[tuple[Video, Future[NDArray[np.uint8] | str]]] = deque()
            while True:
                for video in islice(rest, _AHEAD - len(waiting)):
                    waiting.append((video, pool.submit(self._read, video)))
                if not waiting:
                    return
                video, job = waiting.popleft()
                yield video, job.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _read(self, video: Video) -> NDArray[np.uint8] | str:
        try:
            frames: NDArray[np.uint8] = self.network.read(video.path).frames
            return frames
        except (VideoError, OSError) as error:
            return str(error)
        except Exception as error:  # one video must not take the others with it
            return f"{video.path}: {type(error).__name__}: {error}"

    def _classify(self, batch: list[tuple[Video, NDArray[np.uint8]]], advance: Callable[[int], object]) -> None:
        """Classify clips of one fold and one shape."""
        prepare(self.network, self.dataset, batch[0][0])
        outputs = self._outputs(np.stack([clip for _, clip in batch]))
        scores = probabilities(self.network, outputs)
        self.store.add(
            (self._key(video), _prediction(video, outputs[row].numpy(), scores[row].numpy()))
            for row, (video, _) in enumerate(batch)
        )
        advance(len(batch))

    def _outputs(self, clips: NDArray[np.uint8]) -> torch.Tensor:
        """The network's outputs, float64 (B, K), on the CPU."""
        shape = (clips.shape[1], clips.shape[2], clips.shape[3])
        found: list[torch.Tensor] = []
        start = 0
        while start < len(clips):
            try:
                part = torch.from_numpy(clips[start : start + self._batches.size(shape)])
                with torch.no_grad():
                    outputs = answers(self.network, part.to(self.network.device).float())
                found.append(outputs.double().cpu())
            except RuntimeError as error:
                self._batches.halve(shape, error)
                continue
            start += len(part)
        return torch.cat(found)


def _prediction(video: Video, outputs: NDArray[np.float64], scores: NDArray[np.float64]) -> Prediction:
    """The prediction for a video by the outputs (K,) and the probabilities (K,) of the classes."""
    if not np.isfinite(outputs).all():
        reason = f"{video.path}: the network's scores are NaN or infinite"
        log.info("%s failed: %s", video.id, reason)
        return Prediction(None, None, None, reason)
    assert video.label is not None
    # Of equal outputs the first counts as the larger, as argmax has it.
    own = outputs[video.label]
    rank = 1 + int((outputs > own).sum() + (outputs[: video.label] == own).sum())
    return Prediction(int(outputs.argmax()), round(float(scores[video.label]), _DIGITS), rank)


def measure(evaluated: Sequence[EvaluatedVideo], n_classes: int) -> dict[str, Any]:
    """The accuracy of the network.

    Args:
        evaluated: failed ones among them are left out.
        n_classes: of the dataset.

    Returns:
        `n`, the videos counted; `top1` and `top5` accuracy, in [0, 1], with `top1_interval` and `top5_interval`
        (Wilson, 95 %); `mean_class_accuracy`, over the classes with videos; where there are folds, `folds`, the
        same of each, and `over_folds`, mean and sample standard deviation over them. Top-5 is None with fewer
        than 6 classes, where it means nothing; all are None where there is nothing to count.
    """
    good = [each for each in evaluated if each.prediction.error is None]
    result = _accuracies(good, n_classes)
    numbers = sorted({each.fold for each in good if each.fold is not None})
    if numbers:
        result["folds"] = [
            {"fold": number, **_accuracies([each for each in good if each.fold == number], n_classes)}
            for number in numbers
        ]
        result["over_folds"] = {
            key: _mean_and_sd([fold[key] for fold in result["folds"]])
            for key in ("top1", "top5", "mean_class_accuracy")
        }
    return result


def _accuracies(good: Sequence[EvaluatedVideo], n_classes: int) -> dict[str, Any]:
    n = len(good)
    result: dict[str, Any] = {"n": n}
    ranks = np.array([each.prediction.rank for each in good], dtype=int)
    for key, most, defined in (("top1", 1, n > 0), ("top5", TOP, n > 0 and n_classes > TOP)):
        result[key] = float((ranks <= most).mean()) if defined else None
        result[f"{key}_interval"] = _wilson(int((ranks <= most).sum()), n) if defined else None
    matrix = confusion_of(good, n_classes)
    totals = matrix.sum(1)
    present = totals > 0
    result["mean_class_accuracy"] = float((matrix.diagonal()[present] / totals[present]).mean()) if n else None
    return result


def _wilson(n_correct: int, n: int) -> list[float]:
    interval = binomtest(n_correct, n).proportion_ci(0.95, method="wilson")
    return [float(interval.low), float(interval.high)]


def _mean_and_sd(values: Sequence[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    return {
        "mean": float(np.mean(known)) if known else None,
        "sd": float(np.std(known, ddof=1)) if len(known) > 1 else None,
    }


def confusion_of(evaluated: Sequence[EvaluatedVideo], n_classes: int) -> NDArray[np.int64]:
    """Counts (n_classes, n_classes) by class and predicted class, failed videos left out."""
    good = [each for each in evaluated if each.prediction.error is None]
    labels = [each.video.label or 0 for each in good]
    return confusion_matrix(labels, [each.prediction.predicted or 0 for each in good], n_classes)


def confusions(matrix: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """The wrong predictions, most frequent first: (class, predicted class, videos)."""
    found = [(int(r), int(c), int(matrix[r, c])) for r, c in np.argwhere(matrix > 0) if r != c]
    return sorted(found, key=lambda confusion: -confusion[2])


def class_rows(matrix: NDArray[np.int64], classes: Sequence[str]) -> list[dict[str, Any]]:
    """A row a class: videos, correct predictions, recall, precision and the most frequent wrong prediction."""
    rows = []
    for label, name in enumerate(classes):
        n, correct, predicted = int(matrix[label].sum()), int(matrix[label, label]), int(matrix[:, label].sum())
        others = matrix[label].copy()
        others[label] = 0
        confused = int(others.argmax())
        rows.append(
            {
                "label": label,
                "class": name,
                "n": n,
                "right": correct,
                "recall": correct / n if n else None,
                "precision": correct / predicted if predicted else None,
                "mistake": classes[confused] if others[confused] else None,
                "mistakes": int(others[confused]),
            }
        )
    return rows


def write_evaluation(
    folder: Path,
    names: Sequence[str],
    evaluated: Sequence[EvaluatedVideo],
    classes: Sequence[str],
    more: Mapping[str, Any],
) -> dict[str, Any]:
    """Write `predictions.csv`, `classes.csv`, `confusion.png` and `accuracy.json`; returns what is in the last.

    Args:
        folder: where to; it must exist.
        names: of dataset and network.
        evaluated: the videos, failed ones among them.
        classes: of the dataset.
        more: further keys of `accuracy.json`.
    """
    measured = measure(evaluated, len(classes))
    matrix = confusion_of(evaluated, len(classes))
    write_text(folder / "predictions.csv", _csv(prediction_rows(evaluated)))
    write_text(folder / "classes.csv", _csv(class_rows(matrix, classes)))
    picture = folder / "confusion.png"
    if measured["n"]:
        title = f"{' '.join(names)}: {measured['n']} videos, top-1 {100 * measured['top1']:.1f} %"
        draw_confusion(picture, matrix, classes, title)
    else:
        picture.unlink(missing_ok=True)  # an older one would mislead
    failed = sum(each.prediction.error is not None for each in evaluated)
    summary = {
        "dataset": names[0],
        "network": names[1],
        "n_classes": len(classes),
        "failed": failed,
        **measured,
        **more,
    }
    write_text(folder / "accuracy.json", json.dumps(summary, indent=2) + "\n")
    return summary


def prediction_rows(evaluated: Sequence[EvaluatedVideo]) -> list[dict[str, Any]]:
    """A row a video, for `predictions.csv`."""
    return [
        {
            "video_id": each.video.id,
            "label": each.video.label,
            "predicted": each.prediction.predicted,
            "score": each.prediction.score,
            "rank": each.prediction.rank,
            "fold": each.fold,
            "error": each.prediction.error,
        }
        for each in evaluated
    ]


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: csv_cell(value) for key, value in row.items()} for row in rows)
    return text.getvalue()
