"""Drawing videos that all networks classify correctly: the study's selection."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from lavx.datasets.base import Dataset, Video
from lavx.errors import RequestError
from lavx.experiments.class_map import ClassMap, class_map
from lavx.experiments.held_out import folds_of, prepare, sha256_for
from lavx.experiments.predictions import Key, PredictionStore, answers, check_output, digest, probabilities
from lavx.files import write_text
from lavx.types import Network
from lavx.video import VideoError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelPrediction:
    """What one network predicts for one labeled video, or why it cannot.

    Attributes:
        predicted: the class with the largest score.
        score: probability of the label.
        error: why there is no prediction; None where there is one.
    """

    predicted: int | None
    score: float | None
    error: str | None = None


def predict(network: Network, video: Video) -> LabelPrediction:
    """Classify one video, whose label is the network's; None for a class that it does not have."""
    try:
        clip = torch.from_numpy(network.read(video.path).frames).to(network.device).float()
    except VideoError as error:
        return LabelPrediction(None, None, str(error))
    with torch.no_grad():
        scores = probabilities(network, answers(network, clip[None]))[0].cpu()
    if not torch.isfinite(scores).all():
        return LabelPrediction(None, None, f"{video.path}: the network's scores are NaN or infinite")
    score = None if video.label is None else float(scores[video.label])
    return LabelPrediction(int(scores.argmax()), score)


class Predictor:
    """Predictions of several networks, out-of-fold where there are folds, stored as they come.

    Args:
        networks: by name, how to get each; they are built when first needed.
        dataset: for its folds.
        store: where predictions are kept.
        class_map: see `lavx.experiments.class_map.class_map`; the same for all networks.
        settings: by name, what each network is built from.
    """

    def __init__(
        self,
        networks: Mapping[str, Callable[[], Network]],
        dataset: Dataset | None,
        store: PredictionStore[LabelPrediction],
        class_map: str | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.networks, self.dataset, self.store, self.class_map = networks, dataset, store, class_map
        self.settings = settings or {}
        self._built: dict[str, Network] = {}
        self._maps: dict[str, ClassMap] = {}

    def __call__(self, net: str, video: Video) -> LabelPrediction:
        """The prediction of one network for one video.

        Raises:
            RequestError: if the network cannot be had, or does not predict one class of several.
        """
        network = self.network(net)
        try:
            # By its path: a dataset drawn from another seed has other videos of the same ids.
            key: Key = (self._name(net, network), sha256_for(network, self.dataset, video), str(video.path))
            if self.class_map is not None:  # which decides the label, and so the score that is kept
                key = (*key, self.label(net, video))
            prediction = self.store.get(key)
            if prediction is None:
                prepare(network, self.dataset, video)
                prediction = predict(network, replace(video, label=self.label(net, video)))
                self.store.add([(key, prediction)])
            return prediction
        except VideoError as error:
            return LabelPrediction(None, None, str(error))

    def _name(self, net: str, network: Network) -> str:
        """What a network is called in keys: with all that decides its predictions but weights and config."""
        node = self.settings.get(net, {})
        # mmaction2's networks have all else in their config: so keyed since 0.1.0, whose files are still read.
        return net if not node or node.get("config") else f"{net} {digest(node, network)}"

    def label(self, net: str, video: Video) -> int | None:
        """The label of a video as one network counts its classes; None where it does not have that class."""
        return self._maps[net](video.label) if net in self._maps else video.label

    def network(self, net: str) -> Network:
        """A network, built when first needed.

        Raises:
            RequestError: as above.
        """
        if net not in self._built:
            network = self.networks[net]()
            try:
                check_output(network)
            except ValueError as error:
                raise RequestError(f"net={net}: {error}") from error
            self._built[net] = network
            if self.dataset is not None:
                self._maps[net] = class_map(self.dataset.classes, network.classes, self.class_map, f"net={net}")
        return self._built[net]

    def hashes(self, net: str) -> str | None | dict[int, str | None]:
        """The SHA-256 of a network's weights, by fold where there is one file a fold; None if it was not built."""
        if net not in self._built:
            return None
        network = self._built[net]
        folds = getattr(network, "folds", None)
        if folds:
            return {fold: weights["sha256"] for fold, weights in folds.items()}
        return network.weights.get("sha256")


@dataclass
class _Round:
    """The videos of one round that all networks so far classify correctly.

    Attributes:
        scores: of the label, by video and network.
        n_failed: predictions that failed.
    """

    scores: dict[str, dict[str, float]]
    n_failed: int = 0


def rounds(videos: Sequence[Video], n_videos: int) -> Iterator[Sequence[Video]]:
    """The drawn videos round by round, so that few are classified in vain and networks rarely change."""
    start, size = 0, n_videos
    while start < len(videos):
        yield videos[start : start + size]
        start, size = start + size, max(1, n_videos // 2)


def _classify_round(videos: Sequence[Video], predictor: Predictor) -> _Round:
    """Classify videos with one network after the other; a video that one gets wrong is dropped at once."""
    result = _Round({video.id: {} for video in videos})
    # Fold by fold, so that weights change as rarely as can be.
    by_fold = sorted(videos, key=lambda video: folds_of(predictor.dataset, [video]))
    for net in predictor.networks:
        predictor.network(net)
        for video in by_fold:
            if video.id not in result.scores:
                continue
            prediction = predictor(net, video)
            if prediction.error is not None:
                result.n_failed += 1
                log.warning("%s", prediction.error)
            right = prediction.predicted is not None and prediction.predicted == predictor.label(net, video)
            if right and prediction.score is not None:
                result.scores[video.id][net] = prediction.score
            else:
                del result.scores[video.id]
    return result


def select(
    videos: Sequence[Video],
    networks: Mapping[str, Callable[[], Network]],
    n_videos: int,
    seed: int,
    folder: Path,
    name: str,
    dataset: Dataset | None = None,
    class_map: str | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Draw videos until all networks classify `n_videos` of them correctly, or none are left.

    Args:
        videos: all of the dataset; those without a label are left out.
        networks: by name, how to get each; they are built when first needed.
        n_videos: how many are wanted.
        seed: seeds the order of drawing.
        folder: where predictions and selection are written.
        name: of the dataset; names the files.
        dataset: the dataset, for its folds: predictions are out-of-fold where a network has one file a fold.
        class_map: which classes of dataset and networks belong together; see `lavx.experiments.class_map`.
        settings: by name, what each network is built from.

    Returns:
        The selection as it is written to `<folder>/<name>.json`.

    Raises:
        RequestError: if no video has a label, or a network cannot be had.
    """
    labeled = [video for video in videos if video.label is not None]
    if not labeled:
        raise RequestError(f"none of the {len(videos)} videos of {name} has a label; nothing can be selected")
    folder.mkdir(parents=True, exist_ok=True)
    store = PredictionStore(folder / f"{name}.answers.jsonl", LabelPrediction)
    predictor = Predictor(networks, dataset, store, class_map, settings)
    drawn = [labeled[index] for index in np.random.default_rng(seed).permutation(len(labeled))]
    selected: list[dict[str, Any]] = []
    n_drawn, n_failed = 0, 0
    with tqdm(total=n_videos, desc=f"select {name}", unit="video", disable=None, file=sys.stderr) as bar:
        for part in rounds(drawn, n_videos):
            classified = _classify_round(part, predictor)
            n_failed += classified.n_failed
            for video in part:
                if len(selected) == n_videos:
                    break
                n_drawn += 1
                if video.id in classified.scores:
                    scores = classified.scores[video.id]
                    selected.append({"video": video.id, "label": video.label, "scores": scores})
                    bar.update()
            if len(selected) == n_videos:
                break
    selection = {
        "dataset": name,
        "seed": seed,
        "asked": n_videos,
        "drawn": n_drawn,
        "unreadable": n_failed,
        "weights": {net: predictor.hashes(net) for net in networks},
        "videos": selected,
    }
    write_text(folder / f"{name}.json", json.dumps(selection, indent=2) + "\n")
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
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RequestError(
            f"videos={path} is not a selection file of lavx select, or is damaged. Make it anew with lavx select."
        ) from error
