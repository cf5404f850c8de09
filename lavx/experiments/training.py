"""`lavx train`: a network trained on a dataset, or on all folds of it but one, in one folder.

<outputs>/<name>/training/<dataset>/
  lengths.jsonl          what each video holds, so that it is decoded for that once
  <net>/
    config.py            the network as `net.config` takes it
    accuracy.md, .csv    of the folds, with mean and standard deviation
    [fold<k>/]
      best.pth           the weights, as `net.checkpoint` takes them
      accuracy.json  history.csv  curves.png  config.yaml  environment.json  run.log
      runner/            mmengine's own: checkpoints to resume from, log, TensorBoard's events
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from filelock import FileLock, Timeout
from tqdm import tqdm

from lavx import stopping
from lavx.drawing.learning_curves import draw_curves
from lavx.errors import RequestError, check_whole
from lavx.experiments import identity as identities
from lavx.experiments import workers
from lavx.experiments.compose import build
from lavx.experiments.environment import environment
from lavx.experiments.evaluation import TOP
from lavx.experiments.log_files import logging_to
from lavx.experiments.settings import Settings
from lavx.experiments.training_data import TrainingData, split_dataset, training_data
from lavx.experiments.training_folds import read_accuracy, write_fold_table
from lavx.experiments.training_history import read_history
from lavx.files import write_text, writing_to
from lavx.networks.allocator import keep_freed_memory
from lavx.networks.checkpoints import check_hash, read_checkpoint
from lavx.networks.device import PRECISIONS, find_device
from lavx.networks.openmmlab import checkpoints, library
from lavx.networks.openmmlab.view import View
from lavx.networks.training.checkpoints import last_checkpoint, read_meta
from lavx.networks.training.fit import fit
from lavx.networks.training.observer import Observer
from lavx.networks.training.recipe import Recipe
from lavx.networks.training.setup import TrainingSetup, config_text
from lavx.networks.training.transfer import InitialWeights, begin_with, with_classes

# Where a training happens, and what it leaves beside its weights: not what it computes.
_OUTSIDE_IDENTITY = ("name", "outputs", "device", "threads", "tensorboard")
_RESUMES = "The same command resumes from the last checkpoint once there is room."


def run_training(config: Settings, dataset: str, net: str) -> int:
    """Run the training of a composed configuration; returns the exit status."""
    with workers.device(config.device) as device:
        return TrainingJob(config, (dataset, net), device).run()


class TrainingJob:
    """One dataset or fold and one network, ready to be trained.

    Args:
        config: the composed configuration of `lavx train`.
        names: the dataset's and the network's parts of the folder.
        device: where to train; None leaves it to the configuration.

    Attributes:
        folder: of all that the training leaves.
        parent: the same without the fold.
        split: the datasets to train and to validate on.

    Raises:
        RequestError: if the request is invalid.
    """

    def __init__(self, config: Settings, names: tuple[str, str], device: str | None = None) -> None:
        check_whole(config, "seed", 0)
        check_whole(config, "fold", 0, or_null=True)
        self.config = config
        self.names = names
        self.recipe: Recipe = build(config.training, "training")
        self.identity = _identity(config)
        _check_tensorboard(config.tensorboard)
        self.device = _training_device(config.device if device is None else device, config.precision)
        self.parent = Path(config.outputs) / config.name / "training" / Path(*names)
        self.folder = self.parent if config.fold is None else self.parent / f"fold{config.fold}"
        self.split = split_dataset(config, names[0])

    @property
    def title(self) -> str:
        """What is trained, for messages and pictures."""
        fold = "" if self.config.fold is None else f" fold {self.config.fold}"
        return " ".join(self.names) + fold

    def run(self) -> int:
        """Train unless it is done already; returns the exit status."""
        lock = self._acquire()
        if lock is None:
            print(f"Another process is training {self.title}: {self.folder}")
            return 0
        try:
            with self._errors_as_requests(), logging_to(self.folder / "run.log"):
                return self._run()
        finally:
            lock.release()

    def _acquire(self) -> FileLock | None:
        """The lock of the folder; None if another process has it."""
        lock = FileLock(self.folder / ".lock")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout:
            return None
        except OSError as error:
            raise RequestError(f"cannot write to {self.folder} ({error.strerror}); set outputs=...") from error
        return lock

    @contextmanager
    def _errors_as_requests(self) -> Iterator[None]:
        """Say what to do about a full disk, a small GPU and a diverging loss."""
        try:
            with writing_to(self.folder, _RESUMES):
                yield
        except torch.OutOfMemoryError as error:
            raise RequestError(
                f"{self.title}: the GPU's memory is too small for {self.recipe.batch_size} clips a step; take a "
                f"smaller training.batch_size, under another name=... or after deleting {self.folder}"
            ) from error
        except FloatingPointError as error:
            raise RequestError(
                f"{self.title}: {error}; under another name=... or after deleting {self.folder}"
            ) from error

    def _run(self) -> int:
        if identities.holds(self.folder, self.identity) and read_accuracy(self.folder / "accuracy.json"):
            print(f"{self.title} is trained already.")
            return self._report()
        setup, weights = self._setup()
        identities.claim(self.folder, self.identity, environment(weights, str(self.device), self.config.seed))
        write_text(self.parent / "config.py", config_text(setup.settings))
        print(
            f"{self.title}: {setup.about['n_training']} training videos, {setup.about['n_held_out']} held-out "
            f"videos, {len(setup.classes)} classes, {setup.total_steps} steps of {self.recipe.batch_size} on "
            f"{self.device}, from {weights['file']}",
            flush=True,
        )
        try:
            self._fit(setup)
        except KeyboardInterrupt as stop:
            print(
                f"\nlavx: {stopping.reason(stop)}. The same command resumes from the last checkpoint in "
                f"{self.folder}.",
                file=sys.stderr,
            )
            return stopping.exit_status(stop)
        return self._report()

    def _setup(self) -> tuple[TrainingSetup, dict[str, Any]]:
        """What is trained, and the file and hash of the weights that it starts from."""
        with _refused("net", ModuleNotFoundError):
            library.load()
        if self.device.type == "cpu":
            keep_freed_memory()
        config, classes = self.config, self.split.training.classes
        with _refused("net", OSError, ValueError):
            settings = library.read_config(checkpoints.config_file(config.net.config))
            settings = with_classes(settings, len(classes))
            start, weights = self._start(settings)
            view = View(settings, self.names[1], config.net.config)
        with _refused("net", ValueError):
            lengths_file = self.parent.parent / "lengths.jsonl"
            data = training_data(self.split, self.names[0], self.recipe, settings, view, config.seed, lengths_file)
        with _refused("training", ValueError):
            setup = TrainingSetup(
                folder=self.folder / "runner",
                settings=settings,
                recipe=self.recipe,
                training=data.training,
                validation=data.validation,
                seed=config.seed,
                device=self.device,
                precision=config.precision,
                start=start,
                tensorboard=config.tensorboard,
                classes=tuple(classes),
                about=self._about(weights, data),
            )
        return setup, weights

    def _about(self, weights: Mapping[str, Any], data: TrainingData) -> dict[str, Any]:
        """What `best.pth` and `accuracy.json` say of the training."""
        return {
            "dataset": self.names[0],
            "network": self.names[1],
            "fold": self.config.fold,
            "seed": self.config.seed,
            "start": weights["file"],
            "n_training": data.n_training,
            "n_held_out": data.n_validation,
            "n_left_out": data.n_left_out,
        }

    def _start(self, settings: Any) -> tuple[InitialWeights | None, dict[str, Any]]:
        """The weights to start from, checked against the network; and their file and hash."""
        net = self.config.net
        if net.checkpoint == "random":
            return None, {"file": f"random (seed {self.config.seed})", "sha256": None}
        file = checkpoints.weights_file(net.config, net.checkpoint)
        sha256 = check_hash(file)
        content = read_checkpoint(file, net.trust_checkpoint)
        start = InitialWeights(content["state_dict"], str(file))
        begin_with(library.build_recognizer(settings.model), start)
        return start, {"file": str(file), "sha256": sha256}

    def _fit(self, setup: TrainingSetup) -> None:
        checkpoint = last_checkpoint(setup)
        resumed = 0 if checkpoint is None else checkpoint.step
        history = read_history(self.folder / "history.csv", setup, resumed)
        total, n_classes = setup.total_steps, len(setup.classes)
        with tqdm(
            total=total, initial=resumed, desc=self.title, unit="step", disable=None, leave=False
        ) as progress:

            def stepped(iteration: int, loss: float) -> None:
                history.stepped(iteration, loss)
                progress.set_postfix_str(f"loss {loss:.3f}", refresh=False)
                progress.update(iteration - progress.n)

            def validated(epoch: int, iteration: int, values: dict[str, float]) -> None:
                history.validated(iteration, values)
                draw_curves(self.folder / "curves.png", history.table(), self.title, n_classes > TOP)
                when = f"epoch {epoch}" if epoch else f"step {iteration} of {total}"
                accuracy = f"{_accuracy(values, n_classes)}, median score {values['median_score']:.3f}"
                tqdm.write(f"{self.title}, {when}: {accuracy}", file=sys.stdout)
                sys.stdout.flush()

            try:
                fit(setup, Observer(stepped, validated), checkpoint)
            finally:
                history.write()
        meta = read_meta(setup.best_file)
        write_text(self.folder / "accuracy.json", json.dumps(meta, indent=2) + "\n")

    def _report(self) -> int:
        """Print the accuracy of the best weights, and the table of all folds."""
        meta = json.loads((self.folder / "accuracy.json").read_text())
        accuracy = _accuracy(meta, len(meta["classes"]))
        n_validations = int(pd.read_csv(self.folder / "history.csv").top1.notna().sum())
        best = f", the best of {n_validations} validations (optimistically biased)" if n_validations > 1 else ""
        print(f"{self.title}: {accuracy} on {meta['n_held_out']} held-out videos{best}")
        if self.config.fold is not None:
            print(write_fold_table(self.parent, self.identity))
        print(f"Results: {self.folder.resolve()}")
        return 0


@contextmanager
def _refused(key: str, *errors: type[Exception]) -> Iterator[None]:
    """Say to which part of the configuration an error belongs."""
    try:
        yield
    except errors as error:
        raise RequestError(f"{key}: {error}") from error


def _identity(config: Settings) -> dict[str, Any]:
    """The part of the resolved configuration that decides what a training computes."""
    identity = identities.identity(config, _OUTSIDE_IDENTITY)
    identity["training"].pop("workers", None)
    identity["net"] = {key: identity["net"][key] for key in ("config", "checkpoint")}
    return identity


def _check_tensorboard(wanted: bool) -> None:
    if wanted and importlib.util.find_spec("tensorboard") is None:
        raise RequestError(
            "tensorboard=true needs the package tensorboard: pip install tensorboard, or set tensorboard=false"
        )


def _training_device(device: str, precision: str) -> torch.device:
    try:
        found = find_device(device)
    except ValueError as error:
        raise RequestError(str(error)) from error
    if precision not in PRECISIONS:
        raise RequestError(f"precision must be one of {', '.join(PRECISIONS)}; got {precision}")
    if precision != "fp32" and found.type != "cuda":
        raise RequestError(f"precision={precision} trains on a GPU only, and device={device} is {found.type} here")
    return found


def _accuracy(values: Mapping[str, float], n_classes: int) -> str:
    top5 = f", top-5 {values['top5']:.1%}" if n_classes > TOP else ""
    return f"top-1 {values['top1']:.1%}{top5}"
