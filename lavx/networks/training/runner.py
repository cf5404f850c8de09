"""The settings of mmengine's Runner for a training."""

from __future__ import annotations

import uuid
from typing import Any

import torch
from mmengine.runner import Runner
from torch import nn

from lavx.networks.training.checkpoints import Checkpoint, read_meta
from lavx.networks.training.clips import Clips, EpochSampler
from lavx.networks.training.hook import TrainingHook
from lavx.networks.training.median_score import MedianScore
from lavx.networks.training.observer import Observer
from lavx.networks.training.setup import TrainingSetup

_KEPT_CHECKPOINTS = 2  # mmengine deletes the older one before it writes the newer


class DeviceRunner(Runner):
    """A Runner that trains on a given device and can read its own checkpoints.

    Args:
        device: where to train.
        settings: those of mmengine's Runner.
    """

    def __init__(self, device: torch.device, **settings: Any) -> None:
        self._device = device
        super().__init__(**settings)

    def wrap_model(self, model_wrapper_cfg: Any, model: nn.Module) -> nn.Module:
        """Put the recognizer on the device."""
        return model.to(self._device)

    def load_checkpoint(self, filename: str, *_: Any, **__: Any) -> dict[str, Any]:
        """Read a checkpoint into the recognizer."""
        # mmengine's own way cannot read what it wrote, its Python objects, with PyTorch >= 2.6; and it brings the
        # optimizer's state to the first GPU, wherever the weights are.
        content: dict[str, Any] = torch.load(filename, map_location="cpu", weights_only=False)
        self.model.load_state_dict(content["state_dict"])
        return content


def build_runner(setup: TrainingSetup, observer: Observer, checkpoint: Checkpoint | None) -> DeviceRunner:
    """A Runner for a training, from a checkpoint where one is given."""
    best = None
    if checkpoint is not None and setup.best_file.exists():
        best = float(read_meta(setup.best_file)["top1"])
    return DeviceRunner(
        setup.device,
        model=setup.settings.model,
        work_dir=str(setup.folder),
        train_dataloader=_training_loader(setup),
        train_cfg=_loop(setup),
        optim_wrapper=setup.optim_wrapper,
        param_scheduler=setup.param_scheduler,
        val_dataloader=_validation_loader(setup),
        val_cfg=dict(),
        val_evaluator=[dict(type="AccMetric"), MedianScore()],
        default_hooks=_default_hooks(setup),
        custom_hooks=[TrainingHook(setup, observer, best)],
        log_processor=dict(by_epoch=setup.recipe.by_epoch),
        visualizer=_visualizer(setup),
        load_from=None if checkpoint is None else str(checkpoint.file),
        resume=checkpoint is not None,
        # On a GPU some steps backward have no deterministic form, which PyTorch would refuse then.
        randomness=dict(seed=setup.seed, deterministic=setup.device.type == "cpu"),
        default_scope="mmaction",
        experiment_name=f"lavx-{uuid.uuid4().hex}",
    )


def _loop(setup: TrainingSetup) -> dict[str, Any]:
    recipe = setup.recipe
    if recipe.by_epoch:
        length: dict[str, Any] = dict(type="EpochBasedTrainLoop", max_epochs=recipe.epochs)
    else:
        length = dict(type="IterBasedTrainLoop", max_iters=recipe.iterations)
    return length | dict(val_interval=recipe.validation_interval)


def _default_hooks(setup: TrainingSetup) -> dict[str, Any]:
    return dict(
        logger=dict(type="LoggerHook", interval=20),
        checkpoint=dict(
            type="CheckpointHook",
            interval=setup.recipe.checkpoint_interval,
            by_epoch=setup.recipe.by_epoch,
            max_keep_ckpts=_KEPT_CHECKPOINTS,
        ),
    )


def _visualizer(setup: TrainingSetup) -> dict[str, Any]:
    backends = ["LocalVisBackend"] + ["TensorboardVisBackend"] * setup.tensorboard
    return dict(
        type="Visualizer",
        name=f"lavx-{uuid.uuid4().hex}",
        vis_backends=[dict(type=backend) for backend in backends],
    )


def _training_loader(setup: TrainingSetup) -> dict[str, Any]:
    clips, batch_size = setup.training, setup.recipe.batch_size
    return _loader(setup, clips, batch_size) | dict(
        sampler=EpochSampler(len(clips), setup.seed, clips.shuffled),
        drop_last=len(clips) >= batch_size,  # batch norm cannot learn from a last clip alone
    )


def _validation_loader(setup: TrainingSetup) -> dict[str, Any]:
    return _loader(setup, setup.validation, 2 * setup.recipe.batch_size) | dict(
        sampler=dict(type="DefaultSampler", shuffle=False), drop_last=False
    )


def _loader(setup: TrainingSetup, clips: Clips, batch_size: int) -> dict[str, Any]:
    """What the settings of both `DataLoader`s share."""
    workers = setup.recipe.workers
    settings = dict(
        batch_size=batch_size,
        num_workers=workers,
        dataset=clips,
        collate_fn=dict(type="pseudo_collate"),
        pin_memory=setup.device.type == "cuda",
    )
    return settings | (dict(persistent_workers=True, prefetch_factor=4) if workers else {})
