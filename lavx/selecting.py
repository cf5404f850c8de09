"""Drawing videos that all networks classify right: the study's selection."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from tqdm import tqdm

from lavx.datasets.base import Video
from lavx.datasets.video import VideoError
from lavx.errors import RequestError
from lavx.files import write_text

log = logging.getLogger(__name__)


class Reader(Protocol):
    """A network as far as a selection needs it."""

    device: torch.device
    weights: dict[str, Any]

    def read(self, path: Path) -> Any:
        """The clip of a video."""

    def __call__(self, clips: torch.Tensor) -> torch.Tensor:
        """Class scores before the softmax."""


@dataclass(frozen=True)
class Answer:
    """What one network says of one video: predicted class and the score of the label, or why it cannot."""

    predicted: int | None
    score: float | None
    error: str | None = None


def ask(network: Reader, video: Video) -> Answer:
    """Classify one video, one view."""
    try:
        clip = torch.from_numpy(network.read(video.path).frames).to(network.device).float()
    except VideoError as error:
        return Answer(None, None, str(error))
    probability = network(clip[None]).double().softmax(-1)[0].cpu()
    if not torch.isfinite(probability).all():
        return Answer(None, None, f"{video.path}: the network's scores are NaN or infinite")
    return Answer(int(probability.argmax()), float(probability[video.label]))


class AnswerBook:
    """All answers so far, in a file of one line each that survives an interruption.

    Args:
        path: the file; lines of another network's weights are passed over.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._answers: dict[tuple[str, str | None, str], Answer] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                try:
                    net, sha256, video, predicted, score, error = json.loads(line)
                except ValueError:
                    continue  # the last line of a killed process
                self._answers[net, sha256, video] = Answer(predicted, score, error)
            if not path.read_text().endswith("\n"):
                write_text(path, path.read_text() + "\n")

    def get(self, net: str, sha256: str | None, video: Video) -> Answer | None:
        """The answer, if it was given already."""
        return self._answers.get((net, sha256, video.id))

    def add(self, net: str, sha256: str | None, video: Video, answer: Answer) -> None:
        """Keep an answer."""
        self._answers[net, sha256, video.id] = answer
        line = json.dumps([net, sha256, video.id, answer.predicted, answer.score, answer.error])
        with self.path.open("a") as file:
            file.write(line + "\n")


def rounds(videos: Sequence[Video], n_videos: int) -> Iterator[Sequence[Video]]:
    """The drawn order in parts, so that few videos are classified in vain and networks rarely change."""
    start, size = 0, n_videos
    while start < len(videos):
        yield videos[start : start + size]
        start, size = start + size, max(1, n_videos // 2)


def select(
    videos: Sequence[Video],
    networks: dict[str, Callable[[], Reader]],
    n_videos: int,
    seed: int,
    folder: Path,
    dataset: str,
) -> dict[str, Any]:
    """Draw videos until `n_videos` are right on all networks, or none are left.

    Args:
        videos: all of the dataset; those without a label cannot be right and are left out.
        networks: by name, how to get each; they are built when first needed.
        n_videos: how many are wanted.
        seed: seeds the order of drawing.
        folder: where answers and selection are written.
        dataset: name of the dataset; names the files.

    Returns:
        The selection as it is written to `<folder>/<dataset>.json`.
    """
    labeled = [video for video in videos if video.label is not None]
    if not labeled:
        raise RequestError(f"none of the {len(videos)} videos of {dataset} has a label; nothing can be selected")
    folder.mkdir(parents=True, exist_ok=True)
    book = AnswerBook(folder / f"{dataset}.answers.jsonl")
    order = np.random.default_rng(seed).permutation(len(labeled))
    drawn = [labeled[index] for index in order]
    built: dict[str, Reader] = {}
    hashes: dict[str, str | None] = {}
    selected: list[dict[str, Any]] = []
    n_drawn, unreadable = 0, 0
    with tqdm(total=n_videos, desc=f"select {dataset}", unit="video", disable=None, file=sys.stderr) as bar:
        for part in rounds(drawn, n_videos):
            candidates = {video.id: (video, dict[str, float]()) for video in part}
            for net, build in networks.items():
                if net not in built:
                    built[net] = build()
                network = built[net]
                sha256 = hashes.setdefault(net, network.weights.get("sha256"))
                for video, scores in list(candidates.values()):
                    answer = book.get(net, sha256, video)
                    if answer is None:
                        answer = ask(network, video)
                        book.add(net, sha256, video, answer)
                    if answer.error is not None:
                        unreadable += 1
                        log.warning("%s", answer.error)
                    if answer.predicted == video.label and answer.score is not None:
                        scores[net] = answer.score
                    else:
                        del candidates[video.id]
            for video in part:
                n_drawn += 1
                if video.id in candidates:
                    selected.append({"video": video.id, "label": video.label, "scores": candidates[video.id][1]})
                    bar.update()
                if len(selected) == n_videos:
                    break
            if len(selected) == n_videos:
                break
    selection = {
        "dataset": dataset,
        "seed": seed,
        "asked": n_videos,
        "drawn": n_drawn,
        "unreadable": unreadable,
        "weights": {net: hashes.get(net) for net in networks},
        "videos": selected,
    }
    write_text(folder / f"{dataset}.json", json.dumps(selection, indent=2) + "\n")
    return selection


def read_selection(path: Path) -> list[str]:
    """The video ids of a selection file, in the order drawn.

    Raises:
        RequestError: if the file is not there or is no selection.
    """
    try:
        return [str(entry["video"]) for entry in json.loads(path.expanduser().read_text())["videos"]]
    except OSError as error:
        raise RequestError(
            f"videos={path}: {error.strerror}. Give ids, [a,b], or a file that lavx select wrote."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise RequestError(f"videos={path} is not a selection file of lavx select.") from error
