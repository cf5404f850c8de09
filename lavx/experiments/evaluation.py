"""How often a network is right: a dataset classified in batches, and what is counted of the answers."""

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
from lavx.experiments.predictions import AnswerBook, Key, Reader
from lavx.files import write_text
from lavx.game import BatchSizes
from lavx.video import VideoError

log = logging.getLogger(__name__)

TOP = 5
_AHEAD = 64  # clips decoded and not yet classified
_LARGEST_BATCH = 32  # of the automatic ones: with more, an interruption costs more than a GPU gains
_DIGITS = 6  # of a score: those after it depend on the batch that a clip is in


@dataclass(frozen=True)
class Prediction:
    """What a network says of one labeled video, or why it cannot.

    Attributes:
        predicted: the class with the largest score.
        score: of the label, 0 to 1.
        rank: of the label among the classes; 1 where the network is right.
        error: why there are none of these.
    """

    predicted: int | None
    score: float | None
    rank: int | None
    error: str | None = None


@dataclass(frozen=True)
class Judged:
    """A labeled video, the fold that holds it out (None without folds), and what the network says."""

    video: Video
    fold: int | None
    prediction: Prediction


class Evaluator:
    """Classifies labeled videos, each by the weights that judge it; what the book knows is not asked again.

    Args:
        network: the network.
        dataset: the dataset, for its folds.
        book: where answers are kept as they come.
        about: what answers depend on beside weights and videos.
        batch_size: clips a forward pass: `auto` or a number; see `BatchSizes`.
        workers: videos decoded at a time.

    Raises:
        ValueError: if the batch size is neither.
    """

    def __init__(
        self,
        network: Reader,
        dataset: Dataset,
        book: AnswerBook[Prediction],
        about: str = "",
        batch_size: int | str = "auto",
        workers: int = 1,
    ) -> None:
        self.network = network
        self.dataset = dataset
        self.book = book
        self.about = about
        self.workers = workers
        self._batches = BatchSizes(network, batch_size)
        self._most = batch_size if isinstance(batch_size, int) else _LARGEST_BATCH

    def judged(self, videos: Sequence[Video]) -> list[Judged]:
        """Those of the videos that are done, failed ones among them, in their order."""
        found = []
        for video in videos:
            try:
                prediction = self.book.get(self._key(video))
                if prediction is not None:
                    found.append(Judged(video, fold_for(self.network, self.dataset, video), prediction))
            except VideoError as error:
                found.append(Judged(video, None, Prediction(None, None, None, str(error))))
        return found

    def missing(self, videos: Sequence[Video]) -> list[Video]:
        """The videos to classify, fold by fold: those not done, and those that failed and are in a fold."""
        found: list[tuple[int, Video]] = []
        for video in videos:
            try:
                prediction = self.book.get(self._key(video))
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
            OSError: if the book cannot be written.
        """
        place: dict[str, int] = {}  # among the videos of the same fold
        counts: Counter[int | None] = Counter()
        for video in videos:
            with suppress(VideoError):
                fold = fold_for(self.network, self.dataset, video)
                place[video.id] = counts[fold]
                counts[fold] += 1
        batch: list[tuple[Video, NDArray[np.uint8]]] = []
        own: object = None
        with closing(self._clips(self.missing(videos))) as clips:
            for video, clip in clips:
                if isinstance(clip, str):
                    log.info("%s failed: %s", video.id, clip)
                    self.book.add([(self._key(video), Prediction(None, None, None, clip))])
                    advance(1)
                    continue
                # By the place among all, so that what was cut off goes on with the same batches.
                size = min(self._batches.size(clip.shape[:3]), self._most)
                group = (fold_for(self.network, self.dataset, video), place[video.id] // size, clip.shape)
                if batch and group != own:
                    self._classify(batch, advance)
                    batch = []
                own = group
                batch.append((video, clip))
        if batch:
            self._classify(batch, advance)

    def _key(self, video: Video) -> Key:
        return (self.about, sha256_for(self.network, self.dataset, video), str(video.path), video.label)

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
        logits = self._logits(np.stack([clip for _, clip in batch]))
        videos = [video for video, _ in batch]
        self.book.add(
            [(self._key(video), _prediction(video, own)) for video, own in zip(videos, logits, strict=True)]
        )
        advance(len(batch))

    def _logits(self, clips: NDArray[np.uint8]) -> NDArray[np.float64]:
        shape = (clips.shape[1], clips.shape[2], clips.shape[3])
        found: list[NDArray[np.float64]] = []
        start = 0
        while start < len(clips):
            try:
                part = torch.from_numpy(clips[start : start + self._batches.size(shape)])
                found.append(self.network(part.to(self.network.device).float()).double().cpu().numpy())
            except RuntimeError as error:
                self._batches.halve(shape, error)
                continue
            start += len(part)
        return np.concatenate(found)


def _prediction(video: Video, logits: NDArray[np.float64]) -> Prediction:
    if not np.isfinite(logits).all():
        reason = f"{video.path}: the network's scores are NaN or infinite"
        log.info("%s failed: %s", video.id, reason)
        return Prediction(None, None, None, reason)
    assert video.label is not None
    scores = np.exp(logits - logits.max())
    score = float(scores[video.label] / scores.sum())
    # Of equal ones the first counts as the larger, as it does for the predicted class.
    own = logits[video.label]
    rank = 1 + int((logits > own).sum() + (logits[: video.label] == own).sum())
    return Prediction(int(logits.argmax()), round(score, _DIGITS), rank)


def measure(judged: Sequence[Judged], n_classes: int) -> dict[str, Any]:
    """How often the network is right.

    Args:
        judged: failed ones among them are left out.
        n_classes: of the dataset.

    Returns:
        `n`, the videos counted; `top1` and `top5` with `top1_interval` and `top5_interval` (Wilson, 95 %; 0 to 1);
        `mean_class_accuracy`, the mean share that is right over the classes with videos; where there are folds,
        `folds`, the same of each, and `over_folds`, mean and sample standard deviation over them. Top-5 is None
        where there are fewer than 6 classes and so says nothing; all are where there is nothing to count.
    """
    good = [each for each in judged if each.prediction.error is None]
    result = _shares(good, n_classes)
    numbers = sorted({each.fold for each in good if each.fold is not None})
    if numbers:
        result["folds"] = [
            {"fold": number, **_shares([each for each in good if each.fold == number], n_classes)}
            for number in numbers
        ]
        result["over_folds"] = {
            key: _mean_and_sd([fold[key] for fold in result["folds"]])
            for key in ("top1", "top5", "mean_class_accuracy")
        }
    return result


def _shares(good: Sequence[Judged], n_classes: int) -> dict[str, Any]:
    n = len(good)
    result: dict[str, Any] = {"n": n}
    ranks = np.array([each.prediction.rank for each in good], dtype=int)
    for key, most, says in (("top1", 1, n > 0), ("top5", TOP, n > 0 and n_classes > TOP)):
        result[key] = float((ranks <= most).mean()) if says else None
        result[f"{key}_interval"] = _wilson(int((ranks <= most).sum()), n) if says else None
    matrix = confusion_of(good, n_classes)
    totals = matrix.sum(1)
    there = totals > 0
    result["mean_class_accuracy"] = float((matrix.diagonal()[there] / totals[there]).mean()) if n else None
    return result


def _wilson(n_right: int, n: int) -> list[float]:
    interval = binomtest(n_right, n).proportion_ci(0.95, method="wilson")
    return [float(interval.low), float(interval.high)]


def _mean_and_sd(values: Sequence[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    return {
        "mean": float(np.mean(known)) if known else None,
        "sd": float(np.std(known, ddof=1)) if len(known) > 1 else None,
    }


def confusion_of(judged: Sequence[Judged], n_classes: int) -> NDArray[np.int64]:
    """Counts (n_classes, n_classes) by class and predicted class, failed videos left out."""
    good = [each for each in judged if each.prediction.error is None]
    labels = [each.video.label or 0 for each in good]
    return confusion_matrix(labels, [each.prediction.predicted or 0 for each in good], n_classes)


def confusions(matrix: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """The mistakes, most frequent first: (class, predicted class, videos)."""
    found = [(int(r), int(c), int(matrix[r, c])) for r, c in np.argwhere(matrix > 0) if r != c]
    return sorted(found, key=lambda mistake: -mistake[2])


def class_rows(matrix: NDArray[np.int64], classes: Sequence[str]) -> list[dict[str, Any]]:
    """A row a class: videos, how many are right, recall, precision and the most frequent mistake."""
    rows = []
    for label, name in enumerate(classes):
        n, right, predicted = int(matrix[label].sum()), int(matrix[label, label]), int(matrix[:, label].sum())
        others = matrix[label].copy()
        others[label] = 0
        mistake = int(others.argmax())
        rows.append(
            {
                "label": label,
                "class": name,
                "n": n,
                "right": right,
                "recall": right / n if n else None,
                "precision": right / predicted if predicted else None,
                "mistake": classes[mistake] if others[mistake] else None,
                "mistakes": int(others[mistake]),
            }
        )
    return rows


def write_evaluation(
    folder: Path, names: Sequence[str], judged: Sequence[Judged], classes: Sequence[str], more: Mapping[str, Any]
) -> dict[str, Any]:
    """Write `predictions.csv`, `classes.csv`, `confusion.png` and `accuracy.json`; returns what is in the last.

    Args:
        folder: where to; it is there.
        names: of dataset and network.
        judged: the videos, failed ones among them.
        classes: of the dataset.
        more: what else `accuracy.json` is to say.
    """
    measured = measure(judged, len(classes))
    matrix = confusion_of(judged, len(classes))
    write_text(folder / "predictions.csv", _csv(prediction_rows(judged)))
    write_text(folder / "classes.csv", _csv(class_rows(matrix, classes)))
    picture = folder / "confusion.png"
    if measured["n"]:
        title = f"{' '.join(names)}: {measured['n']} videos, top-1 {100 * measured['top1']:.1f} %"
        draw_confusion(picture, matrix, classes, title)
    else:
        picture.unlink(missing_ok=True)  # an older one would mislead
    failed = sum(each.prediction.error is not None for each in judged)
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


def prediction_rows(judged: Sequence[Judged]) -> list[dict[str, Any]]:
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
        for each in judged
    ]


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
