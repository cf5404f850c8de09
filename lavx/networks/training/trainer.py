"""Training a recognizer with mmengine's Runner, by the training settings of its mmaction2 config."""

from __future__ import annotations

import contextlib
import copy
import gc
import io
import json
import logging
import random
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import Dataset, Sampler

from lavx.datasets.base import DrawnAnew, Video
from lavx.files import whole, write_text
from lavx.networks.openmmlab import checkpoints, library
from lavx.networks.openmmlab.view import DECODING, View
from lavx.video import VideoInfo, read_frames

log = logging.getLogger(__name__)

STORED = {"fp32": torch.float32, "fp16": torch.float16}
TRAINING, HELD_OUT = 1, 2  # second number of a drawing's seed; 0 is the dataset that `lavx run` explains

# The layers that tell classes apart, by the names that mmaction2 gives them.
_CLASSIFIERS = ("cls_head.fc_cls.", "neck.aux_head.fc.")
_KEPT_CHECKPOINTS = 2  # mmengine deletes the older one before it writes the newer


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Args:
        epochs: passes over the training videos; not beside `iterations`.
        iterations: batches in all, for videos that are drawn anew or a short try; not beside `epochs`.
        batch_size: clips a step, on one device.
        learning_rate: at its highest; None for what the settings of the optimizer say.
        optim_wrapper: mmengine's settings of the optimizer; None for those of the network's config, its learning
            rate in proportion to the batch where the config says what batch it is meant for.
        param_scheduler: mmengine's settings of the learning rate's course; None for those of the network's config,
            moved in proportion to `epochs` or `iterations`. A `OneCycleLR` takes the whole training and
            rises to the rate, unless it says otherwise.
        validate_every: epochs (or iterations) between two looks at the held-out videos; None for every epoch (or
            ten times in all).
        checkpoint_every: epochs (or iterations) between two checkpoints to go on from; None as above.
        workers: processes that read clips.
        time_embedding: standard deviation at which TimeSformer's time embedding starts; None for mmaction2's own,
            near zero, from which it grows if the rest is pretrained. From scratch, the network learns what is
            there but stays blind to the order for thousands of steps.
        store: number type of the weights of `best.pth`: fp32 or fp16.

    Raises:
        ValueError: if an argument is not one of those allowed.
    """

    epochs: int | None = 10
    iterations: int | None = None
    batch_size: int = 8
    learning_rate: float | None = None
    optim_wrapper: Mapping[str, Any] | None = None
    param_scheduler: Sequence[Mapping[str, Any]] | None = None
    validate_every: int | None = None
    checkpoint_every: int | None = None
    workers: int = 4
    time_embedding: float | None = None
    store: str = "fp32"

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.iterations is None):
            raise ValueError(
                "training.epochs or training.iterations must be set, and the other null; got "
                f"epochs={self.epochs}, iterations={self.iterations}."
            )
        least = {"batch_size": 1, "validate_every": 1, "checkpoint_every": 1, "workers": 0}
        least |= {"epochs": 1} if self.epochs is not None else {"iterations": 1}
        for name, bound in least.items():
            value = getattr(self, name)
            if value is None and name.endswith("_every"):
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < bound:
                raise ValueError(f"training.{name} must be a whole number >= {bound}, got {value}.")
        if self.store not in STORED:
            raise ValueError(f"training.store must be {' or '.join(STORED)}, got {self.store}.")
        for name in ("learning_rate", "time_embedding"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and value > 0):
                raise ValueError(f"training.{name} must be above 0, or null, got {value}.")


class Clips(Dataset):
    """What a training asks of its videos: clip `index` for a `DataLoader`; `epoch * len + i` is clip i anew."""

    def __init__(self, layout: str) -> None:
        self.layout = layout

    def __len__(self) -> int:
        raise NotImplementedError

    def pack(self, frames: NDArray[np.uint8], label: int) -> dict[str, Any]:
        """A sample as mmaction2's pipelines end: frames (T, H, W, 3) in the layout of the recognizer."""
        from mmaction.structures import ActionDataSample

        axes = (0, 3, 1, 2) if self.layout == "NCHW" else (3, 0, 1, 2)
        inputs = torch.from_numpy(np.ascontiguousarray(frames.transpose(axes)))
        if self.layout == "NCTHW":
            inputs = inputs[None]
        return {"inputs": inputs, "data_samples": ActionDataSample().set_gt_label(label)}


class DrawnClips(Clips):
    """Clips of videos that are drawn by code: each index is a new one.

    Args:
        dataset: what draws.
        view: the network's.
        seed: of the drawings.
        split: `TRAINING` or `HELD_OUT`.
        length: how many there are.
    """

    def __init__(self, dataset: DrawnAnew, view: View, seed: int, split: int, length: int) -> None:
        super().__init__(view.layout)
        self.dataset, self.view, self.seed, self.split, self.length = dataset, view, seed, split, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        shown = self.view.sample(self.dataset.n_frames, self.dataset.fps)
        frames, label = self.dataset.drawn((self.seed, self.split, index), shown)
        return self.pack(self.view.cut(frames, "a drawing")[0], label)


class TrainingClips(Clips):
    """Clips of video files through the random steps of a config's `train_pipeline`.

    All that is random in clip i of an epoch comes from (seed, epoch, i): the number of workers changes nothing,
    and a training that goes on in the middle sees what it would have seen.

    Args:
        videos: labeled ones.
        infos: what each holds, by id.
        settings: the mmengine config.
        config: its name, for messages.
        layout: of the recognizer's inputs.
        seed: of all that is random.

    Raises:
        ValueError: if the config has no `train_pipeline`.
    """

    def __init__(
        self,
        videos: Sequence[Video],
        infos: Mapping[str, VideoInfo],
        settings: Any,
        config: str,
        layout: str,
        seed: int,
    ) -> None:
        super().__init__(layout)
        from mmengine.dataset import Compose

        if "train_pipeline" not in settings:
            raise ValueError(f"net.config={config} has no train_pipeline; choose one of mmaction2's, or add it.")
        self.videos, self.infos, self.seed = videos, infos, seed
        steps: list[Any] = []
        for step in settings.train_pipeline:
            if step["type"] in DECODING:  # with PyAV, as everywhere in lavx
                if step["type"].endswith("Decode"):
                    steps.append(_decode)
            else:
                steps.append(dict(step))
        with library.quiet(), _draws((seed,)):  # ColorJitter draws its order when it is built
            self.pipeline = Compose(steps)

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> dict[str, Any]:
        epoch, place = divmod(index, len(self.videos))
        video = self.videos[place]
        info = self.infos[video.id]
        results = {
            "filename": str(video.path),
            "total_frames": info.n_frames,
            "avg_fps": info.fps,
            "start_index": 0,
            "modality": "RGB",
            "label": video.label,
        }
        with _draws((self.seed, epoch, place)):
            packed: dict[str, Any] = self.pipeline(results)
        return packed


class HeldOutClips(Clips):
    """The clips that `lavx run` would explain.

    Args:
        videos: labeled ones, none shorter than a clip.
        infos: what each holds, by id.
        view: the network's.
    """

    def __init__(self, videos: Sequence[Video], infos: Mapping[str, VideoInfo], view: View) -> None:
        super().__init__(view.layout)
        self.videos, self.infos, self.view = videos, infos, view

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> dict[str, Any]:
        video = self.videos[index]
        assert video.label is not None
        info = self.infos[video.id]
        frames = read_frames(video.path, self.view.sample(info.n_frames, info.fps))
        return self.pack(self.view.cut(frames, str(video.path))[0], video.label)


class Epochs(Sampler[int]):
    """Indices for `Clips`, in an order that depends on seed and epoch alone."""

    def __init__(self, dataset: Clips, seed: int, shuffle: bool) -> None:
        self.length, self.seed, self.shuffle, self.epoch = len(dataset), seed, shuffle, 0

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        order = np.arange(self.length)
        if self.shuffle:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length)
        return iter((self.epoch * self.length + order).tolist())

    def set_epoch(self, epoch: int) -> None:
        """Tell the epoch that comes next, as mmengine does."""
        self.epoch = epoch


@dataclass
class Observer:
    """Who is told how a training goes.

    Attributes:
        stepped: told the iterations done and the loss of the last.
        validated: told the epoch and the iterations done, and top-1, top-5 and the median score of the right
            class on the held-out videos.
    """

    stepped: Callable[[int, float], object]
    validated: Callable[[int, int, dict[str, float]], object]


@dataclass
class Training:
    """One training: everything that `fit` needs.

    Attributes:
        folder: for mmengine's own files: checkpoints, log, TensorBoard's events.
        settings: the mmengine config of the network.
        recipe: how to train.
        training: the clips to learn from.
        held_out: the clips to judge by.
        seed: of weights, order, dropout.
        device: where to train.
        precision: fp32; fp16 or bf16 for mixed precision, on a GPU.
        start: weights to begin with, but for the classifying layers, and where they came from; None for random.
        drawn: whether the training clips are new ones each time, so that their order need not be shuffled.
        tensorboard: whether to write its events too.
        classes: their names, for the weights' `meta`.
        about: what else goes there.
    """

    folder: Path
    settings: Any
    recipe: Recipe
    training: Clips
    held_out: Clips
    seed: int
    device: torch.device
    precision: str
    start: tuple[Mapping[str, torch.Tensor], str] | None
    drawn: bool
    tensorboard: bool
    classes: tuple[str, ...]
    about: dict[str, Any] = field(default_factory=dict)

    def every(self, interval: int | None) -> int:
        """An interval of the recipe, in epochs or iterations."""
        return interval or max(1, (self.recipe.iterations or 1) // 10)

    def looks_after(self, epoch: int, iteration: int) -> bool:
        """Whether the held-out videos are looked at after so many epochs and iterations."""
        recipe = self.recipe
        done, of = (epoch, recipe.epochs) if recipe.epochs is not None else (iteration, recipe.iterations)
        return done == of or done % self.every(recipe.validate_every) == 0

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch; an incomplete last one is left out."""
        return max(1, len(self.training) // self.recipe.batch_size)

    @property
    def total_steps(self) -> int:
        """Batches in all."""
        if self.recipe.iterations is not None:
            return self.recipe.iterations
        assert self.recipe.epochs is not None
        return self.recipe.epochs * self.steps_per_epoch


def with_classes(settings: Any, n_classes: int) -> Any:
    """A copy of a config whose classifying layers have `n_classes` outputs, and that is good for training."""
    settings = copy.deepcopy(settings)
    model = settings.model
    model.cls_head.num_classes = n_classes
    model.backbone.pretrained = None
    auxiliary = (model.get("neck") or {}).get("aux_head_cfg")
    if auxiliary is not None:
        auxiliary["out_channels"] = n_classes
    model.test_cfg = None  # fcn_test copies TPN's head when first used, and judges by that copy ever after
    return settings


def classifying(name: str) -> bool:
    """Whether a weight belongs to the layers that tell classes apart, which a new training replaces."""
    return name.startswith(_CLASSIFIERS)


def check(training: Training) -> None:
    """Refuse settings of optimizer or learning rate that cannot be used.

    Raises:
        ValueError: saying why.
    """
    _optim_wrapper(training)
    _param_scheduler(training)


def fit(training: Training, observer: Observer) -> None:
    """Train, from the last whole checkpoint in `training.folder` where there is one.

    Leaves `best.pth` beside that folder: the weights with the highest top-1 on the held-out videos, the first of
    equals.

    Raises:
        FloatingPointError: if the loss is no number any more.
    """
    library.load()
    checkpoint = _last_checkpoint(training.folder)
    with _flags_restored():
        with library.quiet():
            runner = _runner(training, checkpoint, observer)
        for handler in runner.logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.setLevel(logging.ERROR)
        try:
            runner.train()
        finally:
            del runner
            gc.collect()  # it holds itself in circles, and with it what it has on the GPU


def _runner(training: Training, checkpoint: Path | None, observer: Observer) -> Any:
    from mmengine.runner import Runner

    class OnDevice(Runner):
        """A Runner that trains where it is told and may read its own checkpoints."""

        def wrap_model(self, model_wrapper_cfg: Any, model: nn.Module) -> nn.Module:
            return model.to(training.device)

        def load_checkpoint(self, filename: str, *_: Any, **__: Any) -> dict[str, Any]:
            # mmengine's own way cannot read what it wrote, its Python objects, with PyTorch >= 2.6; and it brings
            # the optimizer's state to the first GPU, wherever the weights are.
            content: dict[str, Any] = torch.load(filename, map_location="cpu", weights_only=False)
            self.model.load_state_dict(content["state_dict"])
            return content

    recipe, settings = training.recipe, training.settings
    by_epoch = recipe.epochs is not None
    looks = training.every(recipe.validate_every)
    if by_epoch:
        loop = dict(type="EpochBasedTrainLoop", max_epochs=recipe.epochs, val_interval=looks)
    else:
        loop = dict(type="IterBasedTrainLoop", max_iters=recipe.iterations, val_interval=looks)
    backends = ["LocalVisBackend"] + ["TensorboardVisBackend"] * training.tensorboard
    return OnDevice(
        model=settings.model,
        work_dir=str(training.folder),
        train_dataloader=_loader(training, training.training, recipe.batch_size, shuffle=not training.drawn),
        train_cfg=loop,
        optim_wrapper=_optim_wrapper(training),
        param_scheduler=_param_scheduler(training),
        val_dataloader=_loader(training, training.held_out, 2 * recipe.batch_size, shuffle=None),
        val_cfg=dict(),
        val_evaluator=[dict(type="AccMetric"), dict(type="LavxMedianScore")],
        default_hooks=dict(
            logger=dict(type="LoggerHook", interval=20),
            checkpoint=dict(
                type="CheckpointHook",
                interval=training.every(recipe.checkpoint_every),
                by_epoch=by_epoch,
                max_keep_ckpts=_KEPT_CHECKPOINTS,
            ),
        ),
        custom_hooks=[_hook(training, observer)],
        log_processor=dict(by_epoch=by_epoch),
        visualizer=dict(
            type="Visualizer",
            name=f"lavx-{uuid.uuid4().hex}",
            vis_backends=[dict(type=backend) for backend in backends],
        ),
        load_from=None if checkpoint is None else str(checkpoint),
        resume=checkpoint is not None,
        # On a GPU some steps backward have no deterministic form, which PyTorch would refuse then.
        randomness=dict(seed=training.seed, deterministic=training.device.type == "cpu"),
        default_scope="mmaction",
        experiment_name=f"lavx-{uuid.uuid4().hex}",
    )


def _loader(training: Training, clips: Clips, batch_size: int, shuffle: bool | None) -> dict[str, Any]:
    """Settings of a `DataLoader`; `shuffle` None for clips to judge by, all of them once and in order."""
    workers = training.recipe.workers
    learning = shuffle is not None
    sampler: dict[str, Any] = dict(type="DefaultSampler", shuffle=False)
    if learning:
        sampler = dict(type="LavxEpochs", seed=training.seed, shuffle=shuffle)
    settings = dict(
        batch_size=batch_size,
        num_workers=workers,
        sampler=sampler,
        dataset=clips,
        collate_fn=dict(type="pseudo_collate"),
        drop_last=learning and len(clips) >= batch_size,  # batch norm cannot learn from a last clip alone
        pin_memory=training.device.type == "cuda",
    )
    return settings | (dict(persistent_workers=True, prefetch_factor=4) if workers else {})


def _optim_wrapper(training: Training) -> dict[str, Any]:
    recipe, settings = training.recipe, training.settings
    if recipe.optim_wrapper is not None:
        wrapper = json.loads(json.dumps(recipe.optim_wrapper))
    elif "optim_wrapper" in settings:
        wrapper = settings.optim_wrapper.to_dict()
        meant_for = _batch_meant(settings)
        if meant_for:
            wrapper["optimizer"]["lr"] *= recipe.batch_size / meant_for
    else:
        raise ValueError("the network's config has no optim_wrapper; set training.optim_wrapper.")
    if recipe.learning_rate is not None:
        wrapper["optimizer"]["lr"] = recipe.learning_rate
    if "lr" not in wrapper["optimizer"]:
        raise ValueError("training.optim_wrapper has no optimizer.lr; set training.learning_rate.")
    if training.precision != "fp32":
        dtype = {"fp16": "float16", "bf16": "bfloat16"}[training.precision]
        wrapper |= dict(type="AmpOptimWrapper", dtype=dtype)
    return dict(wrapper)


def _batch_meant(settings: Any) -> int | None:
    """The batch that a config's learning rate is meant for, as it says, or as its name says: `_8xb8-`."""
    said = (settings.get("auto_scale_lr") or {}).get("base_batch_size")
    if said:
        return int(said)
    named = re.search(r"_(\d+)xb(\d+)-", Path(settings.filename or "").name)
    return int(named[1]) * int(named[2]) if named else None


def _param_scheduler(training: Training) -> list[dict[str, Any]]:
    recipe, settings = training.recipe, training.settings
    if recipe.param_scheduler is None:
        given = settings.get("param_scheduler") or []
        steps = [dict(step) for step in (given if isinstance(given, list | tuple) else [given])]
        ends = [int(step.get("end") or 0) for step in steps if step.get("by_epoch", True)]
        meant_for = max([*ends, 0]) or int((settings.get("train_cfg") or {}).get("max_epochs") or 0)
        if not meant_for:
            return steps
        length = recipe.epochs if recipe.epochs is not None else training.total_steps
        moved = {"by_epoch": recipe.epochs is not None}
        return [
            _stretched(step, length / meant_for) | moved if step.get("by_epoch", True) else step for step in steps
        ]
    steps = [json.loads(json.dumps(step)) for step in recipe.param_scheduler]
    for step in steps:
        if step["type"] == "OneCycleLR":
            step.setdefault("total_steps", training.total_steps)
            step.setdefault("by_epoch", False)
            step.setdefault("eta_max", _optim_wrapper(training)["optimizer"]["lr"])
    return steps


def _stretched(step: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """A scheduler's settings for `factor` times as many epochs."""
    stretched = dict(step)
    for key in ("begin", "end", "T_max", "milestones"):
        value = stretched.get(key)
        if isinstance(value, list | tuple):
            stretched[key] = [max(1, round(one * factor)) for one in value]
        elif value:
            stretched[key] = max(1, round(value * factor))
    return stretched


def _hook(training: Training, observer: Observer) -> Any:
    """What happens in a training beside mmengine's own."""
    from mmengine.hooks import Hook

    looked = training.folder / "looked"

    class LavxHook(Hook):
        priority = "LOW"

        def __init__(self) -> None:
            self.draws: tuple[Any, ...] = ()
            self.best: float | None = None

        def before_train(self, runner: Any) -> None:
            file = training.folder.parent / "best.pth"
            if runner.iter:  # resumed
                if file.exists():
                    self.best = torch.load(file, weights_only=True)["meta"]["top1"]
                # The checkpoint comes before the look: who was cut off between the two has not looked yet.
                if training.looks_after(runner.epoch, runner.iter) and self.looked() != runner.iter:
                    runner.val_loop.run()
                return
            if training.start is not None:
                begin_with(runner.model, *training.start)
                return
            embedding = getattr(runner.model.backbone, "time_embed", None)
            if training.recipe.time_embedding is not None and isinstance(embedding, torch.Tensor):
                torch.nn.init.normal_(embedding, std=training.recipe.time_embedding)

        def looked(self) -> int | None:
            """The iterations after which the held-out videos were looked at last."""
            return int(looked.read_text()) if looked.exists() else None

        def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
            # So that an epoch after a resumption draws what it would have drawn. At its first step, not before it:
            # how many draws the start of the loader takes depends on its workers.
            if batch_idx == 0 and runner.epoch:
                torch.manual_seed(int(np.random.SeedSequence((training.seed, runner.epoch)).generate_state(1)[0]))

        def after_train_iter(
            self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
        ) -> None:
            loss = float(outputs["loss"].detach())
            if not np.isfinite(loss):
                raise FloatingPointError(
                    f"the loss is {loss} after {runner.iter + 1} steps; take a smaller learning rate"
                    + ("" if training.precision == "fp32" else ", or precision=fp32")
                )
            observer.stepped(runner.iter + 1, loss)

        def before_val(self, runner: Any) -> None:  # how often one looks must not change what is learned
            self.draws = _generators()

        def after_val(self, runner: Any) -> None:
            _restore(self.draws)

        def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
            assert metrics is not None
            values = {
                "top1": float(metrics["acc/top1"]),
                "top5": float(metrics["acc/top5"]),
                "median_score": float(metrics["score/median"]),
            }
            epoch = runner.epoch if training.recipe.epochs is not None else 0
            if self.best is None or values["top1"] > self.best:
                self.best = values["top1"]
                meta = training.about | {"epoch": epoch, "iteration": runner.iter, **values}
                _write_weights(training, runner.model, meta)
            observer.validated(epoch, runner.iter, values)
            write_text(looked, str(runner.iter))

    return LavxHook()


def begin_with(recognizer: nn.Module, start: Mapping[str, torch.Tensor], source: str) -> None:
    """Load all weights but those of the classifying layers, which keep what they have.

    Raises:
        ValueError: if the others are not exactly the recognizer's.
    """
    own = {name: value for name, value in recognizer.state_dict().items() if classifying(name)}
    given = {name.removeprefix("module."): value for name, value in start.items()}
    checkpoints.fill(
        recognizer, {name: value for name, value in given.items() if not classifying(name)} | own, Path(source)
    )


def _write_weights(training: Training, recognizer: nn.Module, meta: dict[str, Any]) -> None:
    """Write `best.pth`, whole or not at all."""
    dtype = STORED[training.recipe.store]
    stored = {
        name: value.detach().cpu().to(dtype) if value.is_floating_point() else value.cpu()
        for name, value in recognizer.state_dict().items()
        if not name.startswith("data_preprocessor")
    }
    content = io.BytesIO()  # torch.save to a file hides that the disk is full
    torch.save({"state_dict": stored, "meta": {"classes": list(training.classes), **meta}}, content)
    with whole(training.folder.parent / "best.pth") as part:
        part.write_bytes(content.getbuffer())


def _last_checkpoint(folder: Path) -> Path | None:
    """The latest of mmengine's checkpoints that is whole; a killed process may leave half a file."""
    numbered = {}
    for file in folder.glob("*.pth"):
        match = re.fullmatch(r"(?:epoch|iter)_(\d+)", file.stem)
        if match:
            numbered[int(match[1])] = file
    for number in sorted(numbered, reverse=True):
        try:
            torch.load(numbered[number], map_location="meta", weights_only=False, mmap=True)
        except Exception:  # whatever torch makes of a file that is cut off
            log.warning("%s is damaged; an older checkpoint is taken", numbered[number])
            continue
        return numbered[number]
    return None


def _decode(results: dict[str, Any]) -> dict[str, Any]:
    """The step between sampling and resizing: the sampled frames of `filename`."""
    frames = read_frames(results["filename"], results["frame_inds"].ravel())
    size = (int(frames.shape[1]), int(frames.shape[2]))
    return results | {"imgs": list(frames), "original_shape": size, "img_shape": size}


@contextlib.contextmanager
def _draws(seed: tuple[int, ...]) -> Iterator[None]:
    """Let the global generators, from which mmaction2's steps draw, start from `seed` for a while."""
    states = _generators()
    words = np.random.SeedSequence(seed).generate_state(4)
    random.seed(int(words[0]))
    np.random.seed(words)
    torch.default_generator.manual_seed(int(words[1]))  # not those of GPUs, which would not be restored
    try:
        yield
    finally:
        _restore(states)


def _generators() -> tuple[Any, ...]:
    """The states of the global generators."""
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


def _restore(states: tuple[Any, ...]) -> None:
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])


@contextlib.contextmanager
def _flags_restored() -> Iterator[None]:
    """Undo what a Runner sets for the whole process."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    flags = (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = flags
