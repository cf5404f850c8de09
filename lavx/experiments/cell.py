"""A cell: the videos of one dataset, explained on one network with one method, into one run folder."""

from __future__ import annotations

import errno
import json
import logging
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig

from lavx.datasets.base import Dataset, Folded, Video
from lavx.drawing import panel
from lavx.errors import RequestError, check_whole
from lavx.experiments import status as grid
from lavx.experiments import trained_networks as trained
from lavx.experiments import workers
from lavx.experiments.held_out import folds_of, prepare
from lavx.experiments.progress import Progress
from lavx.experiments.run_folder import RunFolder, environment, identity, write_arrays
from lavx.experiments.segmentation_cache import SegmentationCache
from lavx.experiments.video_selection import read_selection
from lavx.explainer import Explainer, Explanation, Floor, Seeds
from lavx.files import write_text
from lavx.game import ScoreError, Scorer, Stopwatch
from lavx.metrics.insertion_deletion import Curve, Games, minimal_masks
from lavx.metrics.localization import average_drop, localization, masked_score, truth_in_clip
from lavx.networks.openmmlab.checkpoints import FOLD
from lavx.networks.openmmlab.network import Network
from lavx.types import Clip
from lavx.video import VideoError

log = logging.getLogger(__name__)

# Where a run happens and how much of it is asked for: not what it computes. All other keys make a run another.
_NOT_PART_OF_A_RUN = (
    "name",
    "outputs",
    "trained",
    "n_videos",
    "videos",
    "device",
    "batch_size",
    "threads",
    "roots",
)

_STAGES = ("decode", "segmentation", "perturbation", "inference", "summary", "metrics", "visualization")


def build(node: DictConfig, key: str, **extra: Any) -> Any:
    """Instantiate one part of the configuration: the only place where Hydra makes objects.

    Raises:
        RequestError: if the part's constructor refuses its parameters.
    """
    try:
        return hydra.utils.instantiate(node, _convert_="all", **extra)
    except hydra.errors.InstantiationException as error:
        cause = error.__cause__
        reason = str(cause) if cause is not None else str(error).splitlines()[0]
        raise RequestError(f"{key}: {reason}") from error


def videos_of(dataset: Dataset) -> list[Video]:
    """All videos of a dataset.

    Raises:
        RequestError: if they cannot be had.
    """
    try:
        return dataset.videos()
    except (OSError, ValueError) as error:
        raise RequestError(str(error)) from error


def build_network(
    config: DictConfig,
    names: Sequence[str],
    dataset: Dataset,
    videos: Sequence[Video],
    key: str = "net",
    **extra: Any,
) -> Any:
    """Instantiate the network of a configuration.

    Args:
        config: any with `net`, `name`, `outputs` and `trained`.
        names: what dataset and net are called there.
        dataset: whose classes the network must have.
        videos: what it has to judge: of one file of weights a fold, those of the folds that hold these out.
        key: where in the configuration the network is, for messages.
        extra: further arguments of the network's constructor.

    Raises:
        RequestError: if the network cannot be had.
    """
    folds: tuple[int, ...] = ()
    if FOLD in str(config.net.get("checkpoint")):
        folds = folds_of(dataset, videos)
        extra["folds"] = folds
        if isinstance(dataset, Folded) and not folds:
            raise RequestError(
                f"net.checkpoint={config.net.checkpoint} means one file a fold, but no fold holds "
                f"{', '.join(video.id for video in videos[:3])} out; give the path of one of the files, without "
                f"{FOLD}"
            )
    trained.check_there(config, names, folds)
    trained.check_split(config, folds)
    return build(config.net, key, classes=dataset.classes, **extra)


def _identity(config: DictConfig) -> dict[str, Any]:
    """The part of the resolved configuration that decides what a run computes."""
    kept = identity(config, _NOT_PART_OF_A_RUN)
    kept["net"].pop("device", None)
    return kept


def _requested(config: DictConfig, dataset: str) -> list[str] | None:
    """The ids of the videos asked for, in a list or by a selection file; None for the dataset's own order."""
    if config.videos is None:
        return None
    if not isinstance(config.videos, str):
        return [str(i) for i in config.videos]
    file = Path(config.videos)
    if config.videos == "selected":
        file = Path(config.outputs) / config.name / "selections" / f"{dataset}.json"
        if not file.exists():
            print(f"There is no selection {file} (lavx select makes one): the first videos are taken.")
            return None
    return read_selection(file)[: config.n_videos]


def _chosen(videos: list[Video], ids: list[str] | None, n_videos: int | None) -> list[Video]:
    if ids is None:
        return videos[:n_videos]
    by_id = {video.id: video for video in videos}
    unknown = [str(i) for i in ids if str(i) not in by_id]
    if unknown:
        raise RequestError(
            f"videos={unknown} are not in the dataset. Its {len(videos)} ids run from {videos[0].id} to "
            f"{videos[-1].id}."
        )
    return [by_id[str(i)] for i in ids]


def _target(request: str | int, prediction: int, video: Video, classes: tuple[str, ...]) -> int:
    if request == "predicted":
        return prediction
    if request == "label":
        if video.label is None:
            raise VideoError(f"{video.path}: target=label, but the video has no label")
        return video.label
    return _class_index(request, classes)


def _class_index(request: str | int, classes: tuple[str, ...]) -> int:
    if request in classes:
        return classes.index(str(request))
    if str(request).isdigit() and int(request) < len(classes):
        return int(request)
    shown = ", ".join(classes[:8]) + (", ..." if len(classes) > 8 else "")
    raise RequestError(
        f"target={request} is neither predicted, label, a class ({shown}) nor an index from 0 to "
        f"{len(classes) - 1}"
    )


@contextmanager
def logging_to(path: Path, shown: int = logging.WARNING) -> Iterator[None]:
    """Send lavx's log to the run's own file, and what is at least as grave as `shown` to the terminal."""
    root = logging.getLogger("lavx")
    to_file = logging.FileHandler(path)
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    to_terminal = logging.StreamHandler(sys.stderr)
    to_terminal.setLevel(shown)
    to_terminal.setFormatter(logging.Formatter("lavx: %(message)s"))
    root.setLevel(logging.INFO)
    root.propagate = False
    for handler in (to_file, to_terminal):
        root.addHandler(handler)
    try:
        yield
    finally:
        for handler in (to_file, to_terminal):
            root.removeHandler(handler)
            handler.close()


@dataclass
class Outcome:
    """All that is written of one explained video."""

    clip: Clip
    target: int
    probabilities: NDArray[np.float64]
    explanation: Explanation
    curves: dict[str, Curve]
    more: dict[str, float | None]


class Cell:
    """One dataset, network and method, ready to explain videos.

    Args:
        config: the composed configuration of `lavx run`.
        names: the dataset's, network's and method's parts of the run folder.
        device: where the network goes; None leaves it to the configuration.

    Raises:
        RequestError: if anything asked for cannot be done.
    """

    def __init__(self, config: DictConfig, names: tuple[str, str, str], device: str | None = None) -> None:
        check_whole(config, "n_videos", 1, or_null=True)
        check_whole(config, "seed", 0)
        self.names = names
        self.identity = _identity(config)
        self.seed: int = config.seed
        self.target: str | int = config.target
        self.dataset: Dataset = build(config.dataset, "dataset")
        self.explainer: Explainer | Floor = build(config.method, "method")
        self.games: Games = build(config.metric, "metric")
        if config.target not in ("predicted", "label"):
            _class_index(config.target, self.dataset.classes)
        ids = _requested(config, names[0])
        everything = videos_of(self.dataset)
        self.videos = _chosen(everything, ids, config.n_videos)
        self.folder = RunFolder(Path(config.outputs) / config.name / Path(*names))
        self.segmentations = SegmentationCache(Path(config.outputs) / config.name / ".segmentations")
        self.network: Network
        if self.folder.holds(self.identity) and all(self.folder.done(video.id) for video in self.videos):
            return  # nothing to do: no network is needed
        placed = {"device": device} if device is not None and "device" in config.net else {}
        # The folds of all videos, for more of them may be asked for in the same folder later.
        self.network = build_network(config, names, self.dataset, everything, **placed)
        try:
            self.scorer = Scorer(self.network, config.batch_size)
        except ValueError as error:
            raise RequestError(str(error)) from error
        place = self.network.device
        label = torch.cuda.get_device_name(place) if place.type == "cuda" else str(place)
        self.folder.claim(self.identity, environment(self.network.weights, label, self.seed))

    def run(self) -> int:
        """Explain every video that is not explained yet; returns the exit status."""
        record = grid.Record(self.folder.path, [self.folder.folder(video.id).name for video in self.videos])
        if record.was_done and all(self.folder.done(video.id) for video in self.videos):
            print(f"{len(self.videos)} of {len(self.videos)} videos are done already.", flush=True)
            return self._close()
        with logging_to(self.folder.path / "run.log"), record.working():
            missing = [video for video in self.videos if not self.folder.done(video.id)]
            there = len(self.videos) - len(missing)
            if there:
                print(f"{there} of {len(self.videos)} videos are done already.", flush=True)
            try:
                with Progress(len(missing), " ".join(self.names)) as progress:
                    for video in missing:
                        with self.folder.claimed(video.id) as mine:
                            # Another worker may hold it, or have finished it since.
                            if mine and not self.folder.done(video.id):
                                start = time.perf_counter()
                                self._one(video, progress)
                                record.video_done(time.perf_counter() - start)
            except KeyboardInterrupt:
                done = sum(self.folder.done(video.id) for video in self.videos)
                self.folder.write_table()
                record.write("stopped")
                print(
                    f"\nlavx: interrupted; {done} of {len(self.videos)} videos are done and stay in "
                    f"{self.folder.path}. The same command goes on from there.",
                    file=sys.stderr,
                )
                return 130
            record.close()
            return self._close()

    def _one(self, video: Video, progress: Progress) -> None:
        try:
            line = self._explain(video, progress)
        except (VideoError, ScoreError) as error:
            line = self._failed(video, str(error))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM):
                raise RequestError(
                    f"cannot write to {self.folder.path} ({error.strerror}). Finished videos stay; the same "
                    "command goes on once there is room."
                ) from error
            line = self._failed(video, f"{type(error).__name__}: {error}")
        except RequestError:
            raise
        except Exception as error:  # one video must not take the others with it
            log.info("%s", traceback.format_exc())
            line = self._failed(video, f"{type(error).__name__}: {error} (see run.log)")
        progress.video_done(line)

    def _failed(self, video: Video, reason: str) -> str:
        log.info("%s failed: %s", video.id, reason)
        self.folder.write_failure(video.id, {"video_id": video.id, "label": video.label, "error": reason})
        return f"{video.id}: FAILED: {reason}"

    def _explain(self, video: Video, progress: Progress) -> str:
        start = time.perf_counter()
        fold = prepare(self.network, self.dataset, video)
        stopwatch = Stopwatch(self.network.device)
        seeds = Seeds(self.seed, video.id)
        with stopwatch("decode"):
            clip = self.network.read(video.path)
        with stopwatch("inference"):
            frames = torch.from_numpy(clip.frames).to(self.network.device).float()
            probabilities = self.network(frames[None]).double().softmax(-1)[0].cpu().numpy()
        if not np.isfinite(probabilities).all():
            raise ScoreError(f"{video.path}: the network's scores for the clip are NaN or infinite")
        target = _target(self.target, int(probabilities.argmax()), video, self.dataset.classes)
        explanation = self.explainer(
            clip.frames,
            target,
            self.scorer,
            seeds,
            stopwatch,
            self.segmentations,
            progress.begin(f"{video.id} explanation"),
        )
        games_watch = Stopwatch(self.network.device)
        with stopwatch("metrics"):
            curves = self.games(
                clip.frames,
                explanation.heatmap,
                target,
                self.scorer,
                seeds,
                games_watch,
                progress.begin(f"{video.id} evaluation"),
            )
            more = self._more(video, clip, explanation, target, curves, seeds, games_watch)
        outcome = Outcome(clip, target, probabilities, explanation, curves, more)
        with self.folder.writing(video.id) as folder:
            write_arrays(folder / "explanation.npz", self._arrays(outcome))
            with stopwatch("visualization"):
                self._draw(folder, video, outcome)
            row = self._row(video, fold, outcome, dict(stopwatch.seconds))
            write_text(folder / "metrics.json", json.dumps(row, indent=2) + "\n")
        self.folder.write_table()
        return (
            f"{video.id}: {self.dataset.classes[target]} {row['score']:.3f}, deletion AUC "
            f"{row['deletion_auc']:.3f}, insertion AUC {row['insertion_auc']:.3f}, "
            f"{time.perf_counter() - start:.1f} s"
        )

    def _more(
        self,
        video: Video,
        clip: Clip,
        explanation: Explanation,
        target: int,
        curves: dict[str, Curve],
        seeds: Seeds,
        stopwatch: Stopwatch,
    ) -> dict[str, float | None]:
        """The metrics beside the games; those against the truth only where there is one."""
        heatmap, removal = explanation.heatmap, self.games.removal
        masked = masked_score(clip.frames, heatmap, target, self.scorer, removal, seeds, stopwatch)
        more: dict[str, float | None] = {**average_drop(float(curves["deletion"].scores[0]), masked)}
        truth = self.dataset.truth(video)
        if truth is not None:
            more |= localization(heatmap, truth_in_clip(truth, clip.geometry))
        if self.games.crossed is not None:
            curves = self.games.crossed(clip.frames, heatmap, target, self.scorer, seeds, stopwatch)
            more |= {f"cross_{game}_auc": curve.auc for game, curve in curves.items()}
        return more

    def _arrays(self, outcome: Outcome) -> dict[str, Any]:
        geometry = outcome.clip.geometry
        explanation = outcome.explanation
        return {
            "attribution": explanation.attribution,
            "heatmap": explanation.heatmap,
            "target": outcome.target,
            "probabilities": outcome.probabilities,
            "full": explanation.full,
            "empty": explanation.empty,
            "n_samples": explanation.n_samples,
            "frame_indices": np.array(geometry.frame_indices),
            "fps": geometry.fps,
            "source_size": np.array(geometry.source_size),
            "scaled_size": np.array(geometry.scaled_size),
            "crop": np.array(geometry.crop),
            **{f"regions_{name}": array for name, array in explanation.regions.arrays().items()},
        }

    def _row(self, video: Video, fold: int | None, outcome: Outcome, seconds: dict[str, float]) -> dict[str, Any]:
        curves = outcome.curves
        predicted = int(outcome.probabilities.argmax())
        return {
            "video_id": video.id,
            "label": video.label,
            **({} if fold is None else {"fold": fold}),
            "predicted": predicted,
            "target": outcome.target,
            "score": float(outcome.probabilities[outcome.target]),
            "deletion_auc": curves["deletion"].auc,
            "insertion_auc": curves["insertion"].auc,
            **outcome.more,
            "n_regions": outcome.explanation.regions.n_regions,
            "n_samples": outcome.explanation.n_samples,
            "seconds": {stage: round(seconds.get(stage, 0.0), 4) for stage in _STAGES},
            "minimal_masks": minimal_masks(curves),
            "curves": {
                game: {"fractions": curve.fractions.tolist(), "scores": curve.scores.tolist()}
                for game, curve in curves.items()
            },
            "error": None,
        }

    def _draw(self, folder: Path, video: Video, outcome: Outcome) -> None:
        clip, geometry = outcome.clip.frames, outcome.clip.geometry
        overlay = self.explainer.visualization(clip, outcome.explanation.heatmap)
        classes = self.dataset.classes
        predicted = int(outcome.probabilities.argmax())
        dataset, net, method = self.names
        panel.draw_panel(
            folder / "panel.png",
            frames=clip,
            overlay=overlay,
            heatmap=outcome.explanation.heatmap,
            seconds=geometry.seconds,
            caption=panel.Caption(
                video_id=video.id,
                dataset=dataset,
                net=net,
                method=method,
                target=classes[outcome.target],
                score=float(outcome.probabilities[outcome.target]),
                predicted=classes[predicted],
                predicted_score=float(outcome.probabilities[predicted]),
                label=None if video.label is None else classes[video.label],
            ),
            scale=self.explainer.visualization.scale(),
            curves={game: (c.fractions, c.scores, c.auc) for game, c in outcome.curves.items()},
        )
        panel.write_overlay(folder / "overlay.mp4", frames=clip, overlay=overlay, seconds=geometry.seconds)

    def _close(self) -> int:
        """Print the table of this cell and say where it lies."""
        table = self.folder.write_table()
        ids = [video.id for video in self.videos]
        if not len(table):
            print(f"No video is done yet; another worker has them. Results: {self.folder.path.resolve()}")
            return 0
        table = table[table.video_id.astype(str).isin(ids)]
        failed = table[table.error.notna()]
        done = table[table.error.isna()]
        if len(done):
            columns = ["score", "deletion_auc", "insertion_auc", *(f"seconds_{stage}" for stage in _STAGES)]
            means = done[columns].mean()
            print(f"\n{' '.join(self.names)}, mean of {len(done)} videos:")
            print(f"  score          {means.score:.3f}")
            print(f"  deletion AUC   {means.deletion_auc:.3f}  (lower is better)")
            print(f"  insertion AUC  {means.insertion_auc:.3f}  (higher is better)")
            stages = ", ".join(f"{stage} {means[f'seconds_{stage}']:.2f}" for stage in _STAGES)
            print(f"  seconds        {stages}")
        if len(table) < len(ids):
            print(f"  elsewhere      {len(ids) - len(table)} videos are in the hands of other workers")
        for entry in failed.itertuples():
            print(f"  failed         {entry.video_id}: {entry.error}")
        print(f"Results: {self.folder.path.resolve()}")
        return 1 if len(failed) else 0


def run_cell(config: DictConfig, dataset: str, net: str, method: str) -> int:
    """Run the cell of a composed configuration into `<outputs>/<name>/<dataset>/<net>/<method>`."""
    folder = Path(config.outputs) / config.name / dataset / net / method
    try:
        with workers.device(config.device) as device:
            return Cell(config, (dataset, net, method), device).run()
    except RequestError as error:
        if folder.exists():
            _note(folder, "unusable", str(error))
        raise
    except Exception as error:  # one cell must not take the others of a sweep with it
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "run.log").open("a") as file:
            file.write(traceback.format_exc())
        reason = f"{type(error).__name__}: {error}"
        _note(folder, "failed", f"{reason} (see run.log)")
        first = reason.splitlines()[0]
        print(f"lavx: {dataset} {net} {method} failed: {first}. Traceback: {folder / 'run.log'}", file=sys.stderr)
        return 1


def _note(folder: Path, state: str, error: str) -> None:
    with suppress(OSError):  # a full disk is why, perhaps
        grid.note(folder, state, error)
