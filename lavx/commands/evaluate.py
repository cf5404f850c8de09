"""`lavx evaluate`: the accuracy of a network on a dataset, by class and by fold, and its confusion matrix."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from tqdm import tqdm

from lavx import stopping
from lavx.commands import OK, SOME_FAILED, begin_job, gathering, guarded
from lavx.errors import RequestError, check_whole
from lavx.files import FINISHED_STAY, writing_to
from lavx.text import visible

if TYPE_CHECKING:
    from lavx.datasets.base import Dataset, Video
    from lavx.experiments.evaluation import EvaluatedVideo
    from lavx.experiments.settings import Settings

_MOST_LINES = 10  # of the same kind


@hydra.main(version_base="1.3", config_path="pkg://lavx.conf", config_name="evaluate")
def _main(config: DictConfig) -> int:
    """Evaluate as Hydra composed it; returns the exit status. In a sweep this may be another process."""
    choices = HydraConfig.get().runtime.choices
    begin_job()

    def job() -> int:
        from lavx.experiments.compose import settings
        from lavx.experiments.names import cell_part

        return evaluate(settings(config), (cell_part(choices["dataset"]), cell_part(choices["net"])))

    return guarded(job)


def main() -> None:
    """Evaluate what Hydra composes: a network, or several in a sweep."""
    with gathering():
        _main()


def evaluate(config: Settings, names: tuple[str, str]) -> int:
    """Classify videos and write predictions and accuracy to `<outputs>/<name>/evaluation/<dataset>/<net>/`."""
    from lavx.datasets.check import draw
    from lavx.experiments.compose import build, videos_of
    from lavx.experiments.log_files import logging_to

    check_whole(config, "n_videos", 1, or_null=True)
    check_whole(config, "seed", 0)
    check_whole(config, "workers", 1)
    dataset = build(config.dataset, "dataset")
    every = videos_of(dataset)
    labeled = [video for video in every if video.label is not None]
    if not labeled:
        raise RequestError(f"none of the {len(every)} videos of {names[0]} has a label; nothing can be evaluated")
    videos = draw(labeled, config.n_videos, config.seed)
    folder = Path(config.outputs) / config.name / "evaluation" / Path(*names)
    with writing_to(folder, FINISHED_STAY):
        folder.mkdir(parents=True, exist_ok=True)
        with logging_to(folder / "run.log", logging.ERROR):  # a bar is on the terminal
            return _evaluate(config, names, dataset, videos, len(every) - len(labeled), folder)


def _evaluate(
    config: Settings,
    names: tuple[str, str],
    dataset: Dataset,
    videos: Sequence[Video],
    n_unlabeled: int,
    folder: Path,
) -> int:
    import torch

    from lavx.experiments import workers
    from lavx.experiments.class_map import class_map
    from lavx.experiments.compose import build_network
    from lavx.experiments.environment import environment
    from lavx.experiments.evaluation import Evaluator, Prediction, write_evaluation
    from lavx.experiments.predictions import PredictionStore, digest

    with workers.device(config.device) as device:
        placed = {"device": device} if "device" in config.net else {}
        network = build_network(config, names, dataset, videos, **placed)
        labeled = len(videos)
        classes_of = class_map(dataset.classes, network.classes, config.class_map, f"net={names[1]}")
        videos = classes_of.relabeled(videos)
        if not videos:
            raise RequestError(f"net={names[1]} has none of the classes of the {labeled} videos of {names[0]}")
        classes = network.classes or dataset.classes
        store = PredictionStore(folder / "answers.jsonl", Prediction)
        # mmaction2's networks have all else in their config: so keyed since 0.1.0, whose files are still read.
        settings = f"{config.net.get('config') or digest(config.net, network)} {config.precision}"
        try:
            evaluator = Evaluator(network, dataset, store, settings, config.batch_size, config.workers)
        except ValueError as error:
            raise RequestError(str(error)) from error
        missing = len(evaluator.missing(videos))
        if missing < len(videos):
            print(f"{len(videos) - missing} of {len(videos)} videos are done already.", flush=True)
        words = f"evaluate {' '.join(names)}"
        try:
            with tqdm(total=missing, desc=words, unit="video", disable=None, leave=False, file=sys.stderr) as bar:
                evaluator(videos, bar.update)
        except KeyboardInterrupt as stop:
            n_done = len(videos) - len(evaluator.missing(videos))
            print(
                f"\nlavx: {stopping.reason(stop)}; {n_done} of {len(videos)} videos are done and stay in "
                f"{folder}. The same command resumes from there.",
                file=sys.stderr,
            )
            return stopping.exit_status(stop)
    place = torch.cuda.get_device_name(network.device) if network.device.type == "cuda" else str(network.device)
    more = {
        "without_label": n_unlabeled + labeled - len(videos),
        "precision": config.precision,
        **environment(network.weights, place, config.seed),
    }
    evaluated = evaluator.evaluated(videos)
    summary = write_evaluation(folder, names, evaluated, classes, more)
    print(visible("\n".join(_lines(names, summary, evaluated, classes)), lines=True))
    picture = ", confusion.png" if summary["n"] else ""
    print(f"Results: {folder.resolve()}: accuracy.json, predictions.csv, classes.csv{picture}")
    return SOME_FAILED if summary["failed"] else OK


def _lines(
    names: Sequence[str], summary: Mapping[str, Any], evaluated: Sequence[EvaluatedVideo], classes: Sequence[str]
) -> list[str]:
    """The short table; also the worst classes where there are too many for a picture with names."""
    from lavx.drawing.confusion_matrix import MOST_NAMES

    lines = [f"{' '.join(names)}: {summary['n']} videos, {len(classes)} classes; accuracy in %:"]
    for key, words in (("top1", "top-1"), ("top5", "top-5")):
        interval = summary[f"{key}_interval"]
        more = f"  (95 % interval {_percent(interval[0])} to {_percent(interval[1])})" if interval else ""
        lines.append(f"  {words:19} {_percent(summary[key]):>5}{more}")
    lines.append(f"  {'mean class accuracy':19} {_percent(summary['mean_class_accuracy']):>5}")
    lines += _fold_lines(summary)
    if len(classes) > MOST_NAMES:
        lines += _confusion_lines(evaluated, classes)
    if summary["without_label"]:
        lines.append(f"  without label {summary['without_label']}, left out")
    failed = [each for each in evaluated if each.prediction.error is not None]
    if failed:
        lines.append(f"  failed {len(failed)}")
        lines += [f"    {each.video.id}: {each.prediction.error}" for each in failed[:_MOST_LINES]]
        if len(failed) > _MOST_LINES:
            lines.append(f"    and {len(failed) - _MOST_LINES} more, in predictions.csv")
    return lines


def _confusion_lines(evaluated: Sequence[EvaluatedVideo], classes: Sequence[str]) -> list[str]:
    """The classes with the lowest recall, and the most frequent wrong predictions."""
    from lavx.experiments.evaluation import class_rows, confusion_of, confusions

    matrix = confusion_of(evaluated, len(classes))
    rows = [row for row in class_rows(matrix, classes) if row["n"]]
    rows.sort(key=lambda row: row["recall"])
    lines = ["  worst classes"]
    for row in rows[:_MOST_LINES]:
        confused = f", {row['mistakes']} predicted as {row['mistake']}" if row["mistake"] else ""
        lines.append(f"    {row['class']}: {row['right']} of {row['n']} correct{confused}")
    lines.append("  most frequent confusions")
    for label, predicted, n in confusions(matrix)[:_MOST_LINES]:
        lines.append(f"    {classes[label]} predicted as {classes[predicted]}: {n}")
    return lines


def _fold_lines(summary: Mapping[str, Any]) -> list[str]:
    """A line a fold, and their mean and standard deviation."""
    if "folds" not in summary:
        return []
    keys = ("top1", "top5", "mean_class_accuracy")
    lines = ["  fold    videos          top-1          top-5  mean class accuracy"]
    for fold in summary["folds"]:
        one, five, mean = (_percent(fold[key]) for key in keys)
        lines.append(f"  {fold['fold']:<8}{fold['n']:>6}{one:>15}{five:>15}{mean:>21}")
    one, five, mean = (_with_sd(summary["over_folds"][key]) for key in keys)
    lines.append(f"  mean ± sd     {one:>15}{five:>15}{mean:>21}")
    return lines


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _with_sd(value: Mapping[str, float | None]) -> str:
    sd = "" if value["sd"] is None else f" ± {_percent(value['sd'])}"
    return _percent(value["mean"]) + sd
