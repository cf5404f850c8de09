"""A cell: the videos of one dataset, explained on one network with one method, into one run folder."""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lavx import stopping
from lavx.datasets.base import Dataset, Video
from lavx.errors import RequestError, check_whole
from lavx.experiments import status, workers
from lavx.experiments.cell_table import print_table
from lavx.experiments.class_map import class_map
from lavx.experiments.compose import build, build_network, videos_of
from lavx.experiments.environment import environment
from lavx.experiments.explain_video import Outcome, VideoExplainer, check_target
from lavx.experiments.identity import identity
from lavx.experiments.log_files import logging_to
from lavx.experiments.progress import Bars
from lavx.experiments.record import VideoRecord
from lavx.experiments.record_index import Summary
from lavx.experiments.run_folder import RunFolder
from lavx.experiments.segmentation_cache import SegmentationCache
from lavx.experiments.settings import Settings
from lavx.experiments.variation import Variation
from lavx.experiments.videos import check_unchanged, chosen_videos
from lavx.explainer import Control, Explainer
from lavx.files import FINISHED_STAY, why_not_writable, writing_to
from lavx.game import BatchSizes, NetworkError, ScoredClip, ScoreError, TargetError
from lavx.metrics.insertion_deletion import InsertionDeletion
from lavx.text import visible
from lavx.types import Network
from lavx.video import VideoError

log = logging.getLogger(__name__)

# Where a run happens and how much of it is asked for: not what it computes. All other keys make a run another.
_NOT_PART_OF_A_RUN = (
    "name",
    "label",
    "outputs",
    "trained",
    "n_videos",
    "videos",
    "device",
    "batch_size",
    "threads",
    "roots",
    "video",
    "start",
    "end",
    "windows",
    "trusted_modules",
    "check_noise",
    "figure",
)
_LONG = 60  # seconds; what is expected to take longer is announced


@dataclass(frozen=True)
class Request:
    """What a cell is asked to do, before any network is built.

    Attributes:
        config: the settings of `lavx run`.
        names: the dataset's, network's and method's parts of the run folder.
        identity: what decides the numbers.
        dataset: the dataset.
        everything: all its videos.
        videos: those to explain.
        method: how to explain.
        metric: how explanations are evaluated.
        folder: where results go.
        variation: what the method is, to be noted there; None where it is not to be.
    """

    config: Settings
    names: tuple[str, str, str]
    identity: dict[str, Any]
    dataset: Dataset
    everything: list[Video]
    videos: list[Video]
    method: Explainer | Control
    metric: InsertionDeletion
    folder: RunFolder
    variation: Variation | None = None

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do, so that no network is needed."""
        if not self.folder.holds(self.identity):
            return False
        explained = self.folder.explained()
        return all(self.folder.folder(video.id).name in explained for video in self.videos)


def request(config: Settings, names: tuple[str, str, str], variation: Variation | None = None) -> Request:
    """Check and build what settings ask for.

    Raises:
        RequestError: if the request is invalid.
    """
    check_whole(config, "n_videos", 1, or_null=True)
    check_whole(config, "seed", 0)
    dataset: Dataset = build(config.dataset, "dataset")
    method = build(config.method, "method")
    metric = build(config.metric, "metric")
    if "classes" not in config.net:
        check_target(config.target, tuple(dataset.classes))
    everything = videos_of(dataset)
    videos = chosen_videos(config, names[0], everything)
    folder = RunFolder(Path(config.outputs) / config.name / Path(*names))
    own = run_identity(config)
    return Request(config, names, own, dataset, everything, videos, method, metric, folder, variation)


def run_identity(config: Settings) -> dict[str, Any]:
    """The part of the settings that decides what a run computes."""
    own = identity(config, _NOT_PART_OF_A_RUN)
    if own.get("class_map") is None:  # as in the folders of lavx 0.1, which had no such key
        own.pop("class_map", None)
    own["net"] = {key: value for key, value in own["net"].items() if key != "device"}
    return own


def claimed_by(asked: Request, network: Network) -> BatchSizes:
    """Make the run folder this configuration's and this network's; returns its batch sizes.

    Raises:
        RequestError: if the folder is another's, or the batch size is none.
    """
    try:
        batches = BatchSizes(network, asked.config.batch_size)
    except ValueError as error:
        raise RequestError(str(error)) from error
    place = network.device
    label = torch.cuda.get_device_name(place) if place.type == "cuda" else str(place)
    where = environment(network.weights, label, asked.config.seed)
    with logging_to(asked.folder.path / "run.log"):
        asked.folder.claim(asked.identity, where | {"batch_size": asked.config.batch_size})
    _note_variation(asked)
    return batches


def _note_variation(asked: Request) -> None:
    if asked.variation is not None:
        asked.variation.write(asked.folder.path)


def video_explainer(asked: Request, device: str | None = None) -> VideoExplainer:
    """Build the network and make the run folder this configuration's.

    Args:
        asked: what is to be done.
        device: where the network goes; None leaves it to the settings.

    Raises:
        RequestError: if the network cannot be had, or the folder is another configuration's.
    """
    config = asked.config
    placed = {"device": device} if device is not None and "device" in config.net else {}
    # The folds of all videos, for more of them may be asked for in the same folder later.
    network = build_network(config, asked.names, asked.dataset, asked.everything, **placed)
    if "classes" in config.net:
        check_target(config.target, network.classes or tuple(asked.dataset.classes))
    # Before the folder is this configuration's, so that another may still have it.
    classes = class_map(asked.dataset.classes, network.classes, config.class_map, f"net={asked.names[1]}")
    return VideoExplainer(
        names=asked.names,
        dataset=asked.dataset,
        network=network,
        method=asked.method,
        metric=asked.metric,
        target=config.target,
        seed=config.seed,
        batches=claimed_by(asked, network),
        segmenter=SegmentationCache(Path(config.outputs) / config.name / ".segmentations"),
        classes=classes,
        check_noise=config.check_noise,
    )


class Cell:
    """A cell at work.

    Args:
        asked: what is to be done.
        explainer: explains its videos.
    """

    def __init__(self, asked: Request, explainer: VideoExplainer) -> None:
        self.asked = asked
        self.explainer = explainer
        self._announced = False
        self._explained = False

    def run(self) -> int:
        """Explain every video that is not explained yet; returns the exit status."""
        folder, videos = self.asked.folder, self.asked.videos
        state = status.Record(folder.path, [folder.folder(video.id).name for video in videos])
        with logging_to(folder.path / "run.log"), state.working():
            device, threads = self.explainer.network.device, torch.get_num_threads()
            log.info("On %s, threads=%d, batch_size=%s.", device, threads, self.asked.config.batch_size)
            explained = folder.explained()
            missing = [video for video in videos if not self._done(video, explained)]
            if len(missing) < len(videos):
                print(f"{len(videos) - len(missing)} of {len(videos)} videos are done already.", flush=True)
            try:
                with Bars(len(missing), " ".join(self.asked.names)) as progress:
                    for video in missing:
                        stopping.check()
                        with folder.claimed(video.id) as mine:
                            # Another worker may hold it, or have finished it since.
                            if mine and not folder.done(video.id):
                                start = time.perf_counter()
                                progress.video_done(self._one(video, progress))
                                state.video_done(time.perf_counter() - start)
            except KeyboardInterrupt as stop:
                return self._interrupted(state, stop)
            except SystemExit as stop:  # submitit, before it has the job queued again
                state.write("stopped", f"stopped by its launcher ({stop})")
                raise
            state.close()
            return self.finish()

    def finish(self) -> int:
        """Say how the cell ended; returns the exit status."""
        return print_table(self.asked.folder, self.asked.names, self.asked.videos)

    def _done(self, video: Video, explained: Mapping[str, Summary]) -> bool:
        folder = self.asked.folder
        place = folder.folder(video.id)
        record = explained.get(place.name)
        if record is None or record.video_id != video.id:
            if (damage := folder.damage(video.id)) is not None:
                log.warning("%s: %s is explained again", damage, video.id)
            return False
        check_unchanged(video, record.video, place)
        return True

    def _interrupted(self, state: status.Record, stop: KeyboardInterrupt) -> int:
        folder, videos = self.asked.folder, self.asked.videos
        why = stopping.reason(stop)
        log.info("%s", why)
        with suppress(OSError):  # a full disk, perhaps
            state.write("stopped", why)
            folder.write_table()
        explained = folder.explained()
        done = sum(folder.folder(video.id).name in explained for video in videos)
        print(
            f"\nlavx: {why}; {done} of {len(videos)} videos are done and stay in {folder.path}. The same "
            "command resumes there.",
            file=sys.stderr,
        )
        return stopping.exit_status(stop)

    def _one(self, video: Video, progress: Bars) -> str:
        """Explain one video, or record why that is impossible; returns a line for the terminal."""
        try:
            return self._explain(video, progress)
        except (NetworkError, TargetError) as error:
            if not self._explained:  # nor will any other video be
                self.asked.folder.release()
                raise RequestError(f"net={self.asked.names[1]}: {error}") from error
            return self._failed(video, str(error))
        except (VideoError, ScoreError) as error:
            return self._failed(video, str(error))
        except RequestError:
            raise
        except SystemExit as stop:
            if _of_launcher(stop):
                raise
            return self._failed(video, f"the network ended Python (sys.exit({stop.code!r}))")
        except Exception as error:  # one video must not take the others with it
            if why_not_writable(error, self.asked.folder.path) is not None:
                raise
            if isinstance(error, OSError):
                return self._failed(video, f"{type(error).__name__}: {error}")
            log.info("%s", traceback.format_exc())
            return self._failed(video, f"{type(error).__name__}: {error} (see run.log)")

    def _failed(self, video: Video, reason: str) -> str:
        reason = visible(reason, lines=True)
        log.info("%s failed: %s", visible(video.id), reason)
        if self.asked.folder.done(video.id):  # what went wrong came after its results were written
            return f"{visible(video.id)}: done, but {reason}"
        label = self.explainer.classes(video.label)
        self.asked.folder.write_record(VideoRecord.failed(video.id, label, reason))
        return f"{visible(video.id)}: FAILED: {reason}"

    def _explain(self, video: Video, progress: Bars) -> str:
        start = time.perf_counter()
        folder = self.asked.folder

        passes = progress.of(visible(video.id))
        outcome = self.explainer.explain(video, passes, folder.scores_file(video.id), self._announce)
        with folder.writing(video.id) as place:
            record = self.explainer.write(outcome, place)
        self._explained = True
        folder.written(record)
        return self.line(outcome, record, time.perf_counter() - start)

    def line(self, outcome: Outcome, record: VideoRecord, seconds: float) -> str:
        """What the terminal says of an explained video."""
        explanation = outcome.explanation
        return (
            f"{visible(record.video_id)}: {explanation.class_name(explanation.target)} {record.score:.3f}, "
            f"deletion AUC {record.area('deletion'):.3f}, insertion AUC {record.area('insertion'):.3f}, "
            f"{seconds:.1f} s"
        )

    def _announce(self, clip: ScoredClip) -> None:
        """Say once what a slow network has ahead of it."""
        if self._announced:
            return
        self._announced = True
        explainers = (self.asked.method, getattr(self.asked.method, "when", None))
        samplings = [getattr(explainer, "sampling", None) for explainer in explainers]
        n_samples = sum(getattr(sampling, "n_samples", 0) for sampling in samplings)
        n_passes = n_samples + 2 * self.asked.metric.usual_steps
        seconds = clip.stopwatch.seconds["inference"] / clip.n_passes
        if n_passes * seconds > _LONG:
            seconds = clip.time_pass()  # the first one warms up, and may take a hundred times as long
        if n_passes * seconds > _LONG:
            print(
                f"A forward pass takes {seconds:.2g} s: some {n_passes:,} of them a video, about "
                f"{status.duration(n_passes * seconds)}. What is scored is kept if the run is cut off.",
                flush=True,
            )


def _of_launcher(stop: SystemExit) -> bool:
    """Whether submitit ends this process, which it does before it has the job queued again."""
    modules = (frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(stop.__traceback__))
    return any(name.partition(".")[0] == "submitit" for name in modules)


def run_cell(config: Settings, dataset: str, net: str, method: str, variation: Variation | None = None) -> int:
    """Run a cell into `<outputs>/<name>/<dataset>/<net>/<method>`; returns the exit status.

    Args:
        config: the settings of `lavx run`.
        dataset: what the dataset is called.
        net: what the network is called.
        method: what the method is called.
        variation: what it is; None where that is not to be noted.
    """
    folder = Path(config.outputs) / config.name / dataset / net / method

    def job() -> int:
        with workers.device(config.device) as device:
            asked = request(config, (dataset, net, method), variation)
            if asked.is_done:
                return _nothing_left(asked)
            return Cell(asked, video_explainer(asked, device)).run()

    return noted(folder, job)


def noted(folder: Path, job: Callable[[], int]) -> int:
    """Run the job of a cell, and note in its folder how it ended where it could not; returns the exit status.

    Raises:
        RequestError: if the job does, or the folder cannot be written.
    """
    try:
        with writing_to(folder, FINISHED_STAY):
            return job()
    except RequestError as error:
        if folder.exists():
            _note(folder, "invalid", str(error))
        raise
    except KeyboardInterrupt as stop:
        if folder.exists():
            _note(folder, "stopped", stopping.reason(stop))
        raise
    except Exception as error:  # one cell must not take the others of a sweep with it
        reason = f"{type(error).__name__}: {error}"
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / "run.log").open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(traceback.format_exc())
        _note(folder, "failed", f"{reason} (see run.log)")
        names, first = " ".join(folder.parts[-3:]), reason.splitlines()[0]
        print(f"lavx: {names} failed: {first}. Traceback: {folder / 'run.log'}", file=sys.stderr)
        return 1


def _nothing_left(asked: Request) -> int:
    folder, videos = asked.folder, asked.videos
    _note_variation(asked)
    explained = folder.explained()
    for video in videos:
        place = folder.folder(video.id)
        record = explained.get(place.name)
        check_unchanged(video, record.video if record else None, place)
    print(f"{len(videos)} of {len(videos)} videos are done already.", flush=True)
    state = status.Record(folder.path, [folder.folder(video.id).name for video in videos])
    if not state.was_done:
        with state.working():
            state.close()
    return print_table(folder, asked.names, videos)


def _note(folder: Path, state: str, error: str) -> None:
    with suppress(OSError):  # a full disk is why, perhaps
        status.note(folder, state, error)
