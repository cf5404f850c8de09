"""A training: a network fitted to a dataset, or to one of its folds, into one folder.

<outputs>/<name>/training/<dataset>/
  lengths.jsonl          what each video holds, so that it is decoded for that once
  <net>/
    config.py            the network as `net.config` takes it
    accuracy.md, .csv    of the folds, with mean and standard deviation
    [fold<k>/]
      best.pth           the weights, as `net.checkpoint` takes them
      accuracy.json  history.csv  curves.png  config.yaml  environment.json  run.log
      runner/            mmengine's own: checkpoints to go on from, log, TensorBoard's events
"""

from __future__ import annotations

import errno
import importlib.util
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from filelock import FileLock, Timeout
from omegaconf import DictConfig
from tqdm import tqdm

from lavx.datasets.base import Dataset, DrawnAnew, Video
from lavx.datasets.lengths import lengths
from lavx.drawing.learning_curves import draw_curves
from lavx.errors import RequestError, check_whole
from lavx.experiments import run_folder as results
from lavx.experiments.cell import build, logging_to, videos_of
from lavx.experiments.evaluation import TOP
from lavx.files import write_text
from lavx.networks.allocator import keep_freed_memory
from lavx.networks.device import PRECISIONS, find_device
from lavx.networks.openmmlab import checkpoints, library
from lavx.networks.openmmlab.view import View
from lavx.networks.training import trainer
from lavx.networks.training.trainer import Recipe
from lavx.video import VideoInfo

# Where a training happens, and what it leaves beside its weights: not what it computes.
_NOT_PART_OF_A_TRAINING = ("name", "outputs", "device", "threads", "tensorboard")
_HELD_OUT_PARTS = {"train": "test", None: "test"}  # what to judge by where the configuration's part says nothing
_LOSSES_A_LINE = 10  # steps whose mean loss is one line of the history
_SECONDS_A_WRITE = 20


class Training:
    """One dataset or fold and one network, ready to be trained.

    Args:
        config: the composed configuration of `lavx train`.
        names: the dataset's and the network's parts of the folder.
        device: where to train; None leaves it to the configuration.

    Raises:
        RequestError: if anything asked for cannot be done.
    """

    def __init__(self, config: DictConfig, names: tuple[str, str], device: str | None = None) -> None:
        check_whole(config, "seed", 0)
        check_whole(config, "fold", 0, or_null=True)
        self.config = config
        self.names = names
        self.recipe: Recipe = build(config.training, "training")
        self.identity = results.identity(config, _NOT_PART_OF_A_TRAINING)
        self.identity["training"].pop("workers", None)
        self.identity["net"] = {key: self.identity["net"][key] for key in ("config", "checkpoint")}
        if config.tensorboard and importlib.util.find_spec("tensorboard") is None:
            raise RequestError(
                "tensorboard=true needs the package tensorboard: pip install tensorboard, or leave it away"
            )
        self.place = self._place(config.device if device is None else device)
        self.parent = Path(config.outputs) / config.name / "training" / Path(*names)
        self.folder = self.parent if config.fold is None else self.parent / f"fold{config.fold}"
        self._parts = self._datasets()

    def run(self) -> int:
        """Train unless it is done already; returns the exit status."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / ".lock")
            lock.acquire(timeout=0)
        except Timeout:
            print(f"Another process is training {self._title()}: {self.folder}")
            return 0
        except OSError as error:
            raise RequestError(f"cannot write to {self.folder} ({error.strerror}); set outputs=...") from error
        try:
            with logging_to(self.folder / "run.log"):
                return self._run()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM):
                raise
            raise RequestError(
                f"cannot write to {self.folder} ({error.strerror}). The same command goes on from the last "
                "checkpoint once there is room."
            ) from error
        except torch.OutOfMemoryError as error:
            raise RequestError(
                f"{self._title()}: the GPU's memory is too small for {self.recipe.batch_size} clips a step; take "
                f"a smaller training.batch_size, under another name=... or after deleting {self.folder}"
            ) from error
        finally:
            lock.release()

    def _run(self) -> int:
        if results.holds(self.folder, self.identity) and (self.folder / "accuracy.json").exists():
            print(f"{self._title()} is trained already.")
            return self._close()
        library.load()
        if self.place.type == "cpu":
            keep_freed_memory()
        dataset, held_out = self._parts
        classes = dataset.classes
        net = self.config.net
        try:
            settings = library.read_config(checkpoints.config_file(net.config))
        except OSError as error:
            raise RequestError(str(error)) from error
        settings = trainer.with_classes(settings, len(classes))
        start, weights_of = self._start(settings)
        try:
            view = View(settings, self.names[1], net.config)
            clips, counts = self._clips(dataset, held_out, settings, view)
        except ValueError as error:
            raise RequestError(str(error)) from error
        training = trainer.Training(
            folder=self.folder / "runner",
            settings=settings,
            recipe=self.recipe,
            training=clips[0],
            held_out=clips[1],
            seed=self.config.seed,
            device=self.place,
            precision=self.config.precision,
            start=start,
            drawn=isinstance(dataset, DrawnAnew),
            tensorboard=self.config.tensorboard,
            classes=tuple(classes),
            about={
                "dataset": self.names[0],
                "network": self.names[1],
                "fold": self.config.fold,
                "seed": self.config.seed,
                "start": weights_of["file"],
                **counts,
            },
        )
        try:
            trainer.check(training)
        except ValueError as error:
            raise RequestError(str(error)) from error
        environment = results.environment(weights_of, str(self.place), self.config.seed)
        results.claim(self.folder, self.identity, environment)
        write_text(self.parent / "config.py", _dumped(settings))
        print(
            f"{self._title()}: {counts['n_training']} videos to learn from, {counts['n_held_out']} held out, "
            f"{len(classes)} classes, {training.total_steps} steps of {self.recipe.batch_size} on {self.place}, "
            f"from {weights_of['file']}",
            flush=True,
        )
        try:
            self._fit(training)
        except KeyboardInterrupt:
            print(
                f"\nlavx: interrupted. The same command goes on from the last checkpoint in {self.folder}.",
                file=sys.stderr,
            )
            return 130
        except FloatingPointError as error:
            raise RequestError(
                f"{self._title()}: {error}; under another name=... or after deleting {self.folder}"
            ) from error
        return self._close()

    def _fit(self, training: trainer.Training) -> None:
        history = _History(self.folder / "history.csv", training)
        total, n_classes = training.total_steps, len(training.classes)
        with tqdm(total=total, desc=self._title(), unit="step", disable=None, leave=False) as bar:

            def stepped(iteration: int, loss: float) -> None:
                history.stepped(iteration, loss)
                bar.set_postfix_str(f"loss {loss:.3f}", refresh=False)
                bar.update(iteration - bar.n)

            def validated(epoch: int, iteration: int, values: dict[str, float]) -> None:
                history.validated(iteration, values)
                draw_curves(
                    self.folder / "curves.png", history.table(), self._title(), len(training.classes) > TOP
                )
                at = f"epoch {epoch}" if epoch else f"step {iteration} of {total}"
                words = f"{self._title()}, {at}: {_accuracy(values, n_classes)}"
                tqdm.write(f"{words}, median score {values['median_score']:.3f}", file=sys.stdout)
                sys.stdout.flush()

            try:
                trainer.fit(training, trainer.Observer(stepped, validated))
            finally:
                history.write()
        meta = torch.load(self.folder / "best.pth", weights_only=True)["meta"]
        write_text(self.folder / "accuracy.json", json.dumps(meta, indent=2) + "\n")

    def _close(self) -> int:
        """Say how good the best weights are, and the folds together."""
        meta = json.loads((self.folder / "accuracy.json").read_text())
        accuracy = _accuracy(meta, len(meta["classes"]))
        looks = int(pd.read_csv(self.folder / "history.csv").top1.notna().sum())
        best = f", the best of {looks} looks at them" if looks > 1 else ""
        print(f"{self._title()}: {accuracy} on {meta['n_held_out']} held-out videos{best}")
        if self.config.fold is not None:
            print(_write_folds(self.parent, self.identity))
        print(f"Results: {self.folder.resolve()}")
        return 0

    def _title(self) -> str:
        fold = "" if self.config.fold is None else f" fold {self.config.fold}"
        return " ".join(self.names) + fold

    def _datasets(self) -> tuple[Dataset, Dataset]:
        """The videos to learn from and those held out."""
        node, fold = self.config.dataset, self.config.fold
        if "fold" in node:
            if fold is None and node.fold is None:
                k = node.get("k", 5)
                raise RequestError(
                    f"dataset={self.names[0]} is split in {k} folds; choose one with fold=0, or train them all "
                    f"with -m fold={','.join(map(str, range(k)))}"
                )
            if node.fold is not None and fold is None:
                raise RequestError(f"give the fold of a training as fold={node.fold}, not as dataset.fold")
        elif fold is not None:
            raise RequestError(f"fold={fold}: dataset={self.names[0]} has no folds; leave fold away")
        more = {} if fold is None else {"fold": fold}
        if "part" not in node:
            dataset = build(node, "dataset", **more)
            if isinstance(dataset, DrawnAnew):
                return dataset, dataset
            raise RequestError(
                f"dataset={self.names[0]} has no part to learn from and part to judge by; lavx train takes "
                "datasets that have (dataset.part), or whose videos are drawn"
            )
        held_out = _HELD_OUT_PARTS.get(node.part, node.part)
        return build(node, "dataset", part="train", **more), build(node, "dataset", part=held_out, **more)

    def _clips(
        self, dataset: Dataset, held_out: Dataset, settings: Any, view: View
    ) -> tuple[tuple[trainer.Clips, trainer.Clips], dict[str, int]]:
        """The clips to learn from and to judge by, and how many videos there are of each."""
        seed = self.config.seed
        if isinstance(dataset, DrawnAnew):
            n_training = self.recipe.batch_size * (self.recipe.iterations or 0)
            if not n_training:
                raise RequestError(
                    f"dataset={self.names[0]} is drawn anew for each step and has no epochs: set "
                    "training.epochs=null training.iterations=1000"
                )
            n_held_out = dataset.n_held_out
            drawn = (
                trainer.DrawnClips(dataset, view, seed, trainer.TRAINING, n_training),
                trainer.DrawnClips(dataset, view, seed, trainer.HELD_OUT, n_held_out),
            )
            return drawn, {"n_training": n_training, "n_held_out": n_held_out, "n_left_out": 0}
        parts = [videos_of(dataset), videos_of(held_out)]
        labeled = [[video for video in part if video.label is not None] for part in parts]
        found = lengths(
            [video for part in labeled for video in part],
            self.parent.parent / "lengths.jsonl",
            max(1, self.recipe.workers),
        )
        usable = [[video for video in part if _usable(video, found, view)] for part in labeled]
        n_left_out = sum(map(len, parts)) - sum(map(len, usable))
        if n_left_out:
            reasons = [f"{info}" for info in found.values() if isinstance(info, str)]
            example = f", such as {reasons[0]}" if reasons else ""
            print(f"{n_left_out} videos are left out (unreadable, too short or without label){example}")
        for part, what in zip(usable, ("to learn from", "to judge by"), strict=True):
            if not part:
                raise RequestError(f"dataset={self.names[0]} has no usable video {what}")
        infos = {name: info for name, info in found.items() if isinstance(info, VideoInfo)}
        clips = (
            trainer.TrainingClips(usable[0], infos, settings, self.config.net.config, view.layout, seed),
            trainer.HeldOutClips(usable[1], infos, view),
        )
        counts = {"n_training": len(usable[0]), "n_held_out": len(usable[1]), "n_left_out": n_left_out}
        return clips, counts

    def _start(self, settings: Any) -> tuple[tuple[Mapping[str, torch.Tensor], str] | None, dict[str, Any]]:
        """The weights to begin with, checked against the network; and where they come from."""
        net = self.config.net
        if net.checkpoint == "random":
            return None, {"file": f"random (seed {self.config.seed})", "sha256": None}
        try:
            file = checkpoints.weights_file(net.config, net.checkpoint)
            sha256 = checkpoints.check_hash(file)
            content = checkpoints.read_checkpoint(file, net.trust_checkpoint)
            trainer.begin_with(library.build_recognizer(settings.model), content["state_dict"], str(file))
        except (OSError, ValueError) as error:
            raise RequestError(str(error)) from error
        return (content["state_dict"], str(file)), {"file": str(file), "sha256": sha256}

    def _place(self, device: str) -> torch.device:
        try:
            place = find_device(device)
        except ValueError as error:
            raise RequestError(str(error)) from error
        if self.config.precision not in PRECISIONS:
            raise RequestError(f"precision must be one of {', '.join(PRECISIONS)}; got {self.config.precision}")
        if self.config.precision != "fp32" and place.type != "cuda":
            raise RequestError(
                f"precision={self.config.precision} trains on a GPU only, and device={device} is {place.type} here"
            )
        return place


class _History:
    """The course of a training, in a file that a resumed one takes up where its checkpoint is."""

    def __init__(self, file: Path, training: trainer.Training) -> None:
        self.file = file
        self.training = training
        self.rows: dict[int, dict[str, float]] = {}
        self.losses: list[float] = []
        if file.exists():
            self.rows = {int(row["step"]): row for row in pd.read_csv(file).to_dict("records")}  # type: ignore[misc]
        self._resumed = False
        self._written = time.monotonic()

    def stepped(self, iteration: int, loss: float) -> None:
        if not self._resumed:  # what was done after the checkpoint is done anew
            self.rows = {step: row for step, row in self.rows.items() if step < iteration}
            self._resumed = True
        self.losses.append(loss)
        if iteration % _LOSSES_A_LINE == 0 or iteration == self.training.total_steps:
            self._add(iteration, {"loss": float(np.mean(self.losses))})
            self.losses.clear()
            if time.monotonic() - self._written > _SECONDS_A_WRITE:
                self.write()

    def validated(self, iteration: int, values: Mapping[str, float]) -> None:
        self._add(iteration, dict(values))
        self.write()

    def write(self) -> None:
        write_text(self.file, self.table().to_csv(index=False))
        self._written = time.monotonic()

    def table(self) -> pd.DataFrame:
        columns = ["step", "epoch", "loss", "top1", "top5", "median_score"]
        return pd.DataFrame([self.rows[step] for step in sorted(self.rows)]).reindex(columns=columns)

    def _add(self, iteration: int, values: Mapping[str, float]) -> None:
        epoch = round(iteration / self.training.steps_per_epoch, 4)
        self.rows.setdefault(iteration, {"step": iteration, "epoch": epoch}).update(values)


def _usable(video: Video, found: Mapping[str, VideoInfo | str], view: View) -> bool:
    info = found[video.id]
    return isinstance(info, VideoInfo) and info.n_frames >= view.n_frames


def _accuracy(values: Mapping[str, float], n_classes: int) -> str:
    top5 = f", top-5 {values['top5']:.1%}" if n_classes > TOP else ""
    return f"top-1 {values['top1']:.1%}{top5}"


def _dumped(settings: Any) -> str:
    """The config as a file that `net.config` takes: what a network is and sees, and how it is to learn."""
    from mmengine.config import Config

    names = ("model", "val_pipeline", "train_pipeline", "optim_wrapper", "param_scheduler", "auto_scale_lr")
    plain = settings.to_dict()
    kept = {name: plain[name] for name in names if name in plain}
    return f"# Written by lavx train.\n{Config(kept).pretty_text}"


def _write_folds(parent: Path, identity: Mapping[str, Any]) -> str:
    """The table of the folds trained in the same way, with mean and sample standard deviation; also to files."""
    rows: list[dict[str, Any]] = []
    for file in sorted(parent.glob("fold*/accuracy.json"), key=lambda file: int(file.parent.name[4:])):
        meta = json.loads(file.read_text())
        if not results.holds(file.parent, {**identity, "fold": meta["fold"]}):
            print(f"{file.parent} was trained in another way and is left out of the table.")
            continue
        rows.append({key: meta[key] for key in ("fold", "n_training", "n_held_out", "top1", "top5")})
    table = pd.DataFrame(rows)
    write_text(parent / "accuracy.csv", table.to_csv(index=False))
    lines = ["| fold | learned from | held out | top-1 % | top-5 % |", "|---|---|---|---|---|"]
    for row in rows:
        top1, top5 = (f"{100 * row[key]:.1f}" for key in ("top1", "top5"))
        lines.append(f"| {row['fold']} | {row['n_training']} | {row['n_held_out']} | {top1} | {top5} |")
    top1, top5 = (_mean_sd([100 * row[key] for row in rows]) for key in ("top1", "top5"))
    lines.append(f"| mean ± sd of {len(rows)} | | | {top1} | {top5} |")
    text = "\n".join(lines)
    write_text(parent / "accuracy.md", text + "\n")
    return text


def _mean_sd(values: Sequence[float]) -> str:
    sd = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{np.mean(values):.1f}{sd}"


def run_training(config: DictConfig, dataset: str, net: str) -> int:
    """Run the training of a composed configuration; returns the exit status."""
    from lavx.experiments import workers

    with workers.device(config.device) as device:
        return Training(config, (dataset, net), device).run()
