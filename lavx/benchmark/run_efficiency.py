"""The efficiency benchmark of a configuration: videos, methods, a folder of results."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from lavx import presets
from lavx.benchmark.efficiency import Row, Setting, VideoBenchmark, settings_of
from lavx.benchmark.efficiency_figure import draw_efficiency
from lavx.benchmark.efficiency_tables import cells, markdown
from lavx.benchmark.reference import LEAST
from lavx.benchmark.shared_scores import Draw, SharedScores, SharingClip
from lavx.datasets.base import Dataset, Video
from lavx.errors import RequestError, check_whole
from lavx.experiments import workers
from lavx.experiments.class_map import class_map
from lavx.experiments.compose import build, build_network, videos_of
from lavx.experiments.environment import environment
from lavx.experiments.explain_video import check_target
from lavx.experiments.held_out import prepare
from lavx.experiments.log_files import logging_to
from lavx.experiments.names import folder_name
from lavx.experiments.predictions import digest
from lavx.experiments.progress import Bars
from lavx.experiments.segmentation_cache import SegmentationCache
from lavx.experiments.settings import Settings
from lavx.experiments.videos import chosen_videos, video_file
from lavx.files import write_text
from lavx.game import BatchSizes, ScoreError
from lavx.methods.removal import Black
from lavx.metrics.insertion_deletion import InsertionDeletion
from lavx.metrics.localization import ground_truth_in_clip
from lavx.text import visible
from lavx.video import VideoError

log = logging.getLogger(__name__)

NAME = "efficiency"


def run_efficiency(config: Settings, names: tuple[str, str], folder: Path) -> tuple[str, int]:
    """Measure, and write `efficiency.json`, `efficiency.md` and `efficiency.png` into a folder.

    Args:
        config: the settings of `lavx benchmark`.
        names: what dataset and net are called.
        folder: of the results; scores are kept in its `scores`, from which a run that was cut off resumes.

    Returns:
        The Markdown, and how many videos failed.

    Raises:
        RequestError: if the request is invalid.
    """
    settings = _settings(config)
    dataset: Dataset = build(config.dataset, "dataset")
    videos = chosen_videos(config, names[0], videos_of(dataset))
    folder.mkdir(parents=True, exist_ok=True)
    with logging_to(folder / f"{NAME}.log", logging.ERROR), workers.device(config.device) as device:
        placed = {"device": device} if "device" in config.net else {}
        network = build_network(config, names, dataset, videos, **placed)
        if network.classes:
            check_target(config.target, network.classes)
        measuring = _Measuring(config, dataset, network, settings, folder)
        place = (
            torch.cuda.get_device_name(network.device) if network.device.type == "cuda" else str(network.device)
        )
        about = {**environment(network.weights, place, config.seed), "precision": config.precision}
        rows: list[Row] = []
        text = ""
        for found in measuring.measure(videos, names):
            rows += found
            text = _write(folder, config, names, rows, about)  # after each video, for those who look meanwhile
    if not rows:
        raise RequestError(f"none of the {len(videos)} videos could be measured; {folder / NAME}.log says why")
    return text, measuring.n_failed


def _settings(config: Settings) -> list[Setting]:
    for key, least in (("n_videos", 1), ("seed", 0), ("n_draws", 1), ("n_reference", LEAST)):
        check_whole(config, key, least, or_null=key == "n_videos")
    if config.n_steps is not None and config.n_steps != "auto":
        check_whole(config, "n_steps", 1)
    n_samples = config.n_samples if isinstance(config.n_samples, list) else [config.n_samples]
    for n in n_samples:
        check_whole({"n_samples": n}, "n_samples", 1)
    methods = list(presets.names()) if config.methods == "all" else config.methods
    methods = [methods] if isinstance(methods, str) else methods
    try:
        return settings_of(methods, n_samples)
    except ValueError as error:
        raise RequestError(f"methods: {error}") from error


class _Measuring:
    """Measures the videos one after the other.

    Attributes:
        n_failed: videos that could not be measured.
    """

    def __init__(
        self, config: Settings, dataset: Dataset, network: Any, settings: list[Setting], folder: Path
    ) -> None:
        self.config, self.dataset, self.network, self.settings = config, dataset, network, settings
        self.n_failed = 0
        self.batches = BatchSizes(network, config.batch_size)
        self.segmenter = SegmentationCache(Path(config.outputs) / config.name / ".segmentations")
        self.scores = folder / "scores"
        self.scores.mkdir(exist_ok=True)
        self.classes = class_map(dataset.classes, network.classes, config.class_map, "net")

    def measure(self, videos: Sequence[Video], names: tuple[str, str]) -> Iterator[list[Row]]:
        """The rows of each video that can be measured."""
        with Bars(len(videos), f"benchmark {' '.join(names)}") as bars:
            for video in videos:
                try:
                    found = self._rows(video, bars)
                except (VideoError, ScoreError) as error:
                    self.n_failed += 1
                    log.warning("%s: %s", video.id, error)
                    bars.video_done(f"{visible(video.id)}: failed: {visible(str(error))}")
                    continue
                yield found
                bars.video_done(f"{visible(video.id)}: {_in_a_line(found)}")

    def _rows(self, video: Video, bars: Bars) -> list[Row]:
        fold = prepare(self.network, self.dataset, video)
        clip = self.network.read(video.path, video.start, video.end)
        truth = self.dataset.ground_truth(video)
        scored = SharingClip(
            self.network,
            clip.frames,
            self._target(video),
            classes=self.network.classes or tuple(self.dataset.classes) or None,
            batches=self.batches,
            seeds=Draw(self.config.seed, video.id),
            progress=bars.of(visible(video.id)),
            segmenter=self.segmenter,
            store=self._store(video, fold, clip.frames.tobytes()),
        )
        n_steps = self.config.n_steps
        benchmark = VideoBenchmark(
            clip=scored,
            name=video.id,
            seed=self.config.seed,
            geometry=clip.geometry,
            ground_truth=None if truth is None else ground_truth_in_clip(truth, clip.geometry),
            n_draws=self.config.n_draws,
            n_reference=self.config.n_reference,
            metric=None if n_steps is None else InsertionDeletion(Black(), n_steps),
        )
        try:
            return list(benchmark.rows(self.settings))
        except ValueError as error:  # too few samples for a method, say
            raise RequestError(f"{video.id}: {error}") from error

    def _target(self, video: Video) -> int | str | None:
        if self.config.target == "predicted":
            return None
        if self.config.target != "label":
            return str(self.config.target) if not isinstance(self.config.target, int) else self.config.target
        label = self.classes(video.label)
        if label is None:
            raise VideoError(f"{video.path}: target=label, but the video has no label that the network knows")
        return label

    def _store(self, video: Video, fold: int | None, clip: bytes) -> SharedScores:
        """The scores of a video's games by this network, which earlier runs may have left."""
        net, shown = digest(self.config.net, self.network), hashlib.sha256(clip).hexdigest()
        decides = (video_file(video.path).sha256, shown, net, fold, self.config.precision)
        return SharedScores(self.scores / f"{folder_name(video.id)}.jsonl", " ".join(map(str, decides)))


def _in_a_line(rows: Sequence[Row]) -> str:
    """The best error of a video, for those who wait."""
    errors = {(row.method, row.passes): row.error for row in rows if row.error is not None and not row.exact}
    if not errors:
        return f"{len(rows)} explanations"
    (method, passes), error = min(errors.items(), key=lambda item: item[1])
    return f"{len(rows)} explanations, smallest error {error:.3f} ({method}, {passes} passes)"


def _write(
    folder: Path, config: Settings, names: tuple[str, str], rows: Sequence[Row], about: Mapping[str, Any]
) -> str:
    found = cells([row.as_json() for row in rows])
    summary = {
        "version": 1,
        "dataset": names[0],
        "net": names[1],
        "n_videos": len({row.video for row in rows}),
        **{key: config[key] for key in ("target", "n_draws", "n_reference", "n_steps")},
        "environment": dict(about),
        "cells": found,
        "rows": [row.as_json() for row in rows],
    }
    text = markdown(summary)
    write_text(folder / f"{NAME}.json", json.dumps(summary, indent=1, allow_nan=False) + "\n")
    write_text(folder / f"{NAME}.md", text)
    draw_efficiency(folder / f"{NAME}.png", found, f"{names[1]} on {names[0]}, {summary['n_videos']} videos")
    return text
