"""Drawing videos that all networks classify right: the study's selection."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from lavx.datasets.base import Dataset, Video
from lavx.errors import RequestError
from lavx.experiments.held_out import folds_of, prepare, sha256_for
from lavx.experiments.predictions import AnswerBook, Key, Reader
from lavx.files import write_text
from lavx.video import VideoError

log = logging.getLogger(__name__)


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
    name: str,
    dataset: Dataset | None = None,
) -> dict[str, Any]:
    """Draw videos until `n_videos` are right on all networks, or none are left.

    Args:
        videos: all of the dataset; those without a label cannot be right and are left out.
        networks: by name, how to get each; they are built when first needed.
        n_videos: how many are wanted.
        seed: seeds the order of drawing.
        folder: where answers and selection are written.
        name: of the dataset; names the files.
        dataset: the dataset, whose folds say by which weights a network with one file a fold judges a video.

    Returns:
        The selection as it is written to `<folder>/<name>.json`.
    """
    labeled = [video for video in videos if video.label is not None]
    if not labeled:
        raise RequestError(f"none of the {len(videos)} videos of {name} has a label; nothing can be selected")
    folder.mkdir(parents=True, exist_ok=True)
    book = AnswerBook(folder / f"{name}.answers.jsonl", Answer)
    order = np.random.default_rng(seed).permutation(len(labeled))
    drawn = [labeled[index] for index in order]
    built: dict[str, Reader] = {}
    selected: list[dict[str, Any]] = []
    n_drawn, unreadable = 0, 0

    def answer_of(net: str, video: Video) -> Answer:
        network = built[net]
        try:
            # By its path: a dataset drawn from another seed has other videos of the same ids.
            key: Key = (net, sha256_for(network, dataset, video), str(video.path))
            answer = book.get(key)
            if answer is None:
                prepare(network, dataset, video)
                answer = ask(network, video)
                book.add([(key, answer)])
            return answer
        except VideoError as error:
            return Answer(None, None, str(error))

    with tqdm(total=n_videos, desc=f"select {name}", unit="video", disable=None, file=sys.stderr) as bar:
        for part in rounds(drawn, n_videos):
            candidates = {video.id: (video, dict[str, float]()) for video in part}
            for net, build in networks.items():
                if net not in built:
                    built[net] = build()
                # Fold by fold, so that weights change as rarely as can be.
                for video, scores in sorted(candidates.values(), key=lambda c: folds_of(dataset, [c[0]])):
                    answer = answer_of(net, video)
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
        "dataset": name,
        "seed": seed,
        "asked": n_videos,
        "drawn": n_drawn,
        "unreadable": unreadable,
        "weights": {net: _hashes(built[net]) if net in built else None for net in networks},
        "videos": selected,
    }
    write_text(folder / f"{name}.json", json.dumps(selection, indent=2) + "\n")
    return selection


def _hashes(network: Any) -> str | None | dict[int, str | None]:
    """The SHA-256 of a network's weights; by fold where there is one file a fold."""
    folds = getattr(network, "folds", None)
    if folds:
        return {fold: weights["sha256"] for fold, weights in folds.items()}
    return network.weights.get("sha256")


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
