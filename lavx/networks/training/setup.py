"""Everything that one training needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from lavx.networks.training.clips import Clips
from lavx.networks.training.optimization import optim_wrapper, param_scheduler
from lavx.networks.training.recipe import Recipe
from lavx.networks.training.transfer import InitialWeights


@dataclass
class TrainingSetup:
    """One training, ready for `fit`.

    Attributes:
        folder: for mmengine's own files: checkpoints, log, TensorBoard's events.
        settings: the mmengine config of the network.
        recipe: how to train.
        training: the clips to train on.
        validation: the clips to validate on.
        seed: of weights, order, dropout.
        device: where to train.
        precision: fp32; fp16 or bf16 for mixed precision, on a GPU.
        start: the weights to start from; None for random ones.
        tensorboard: whether to write its events too.
        classes: their names, for the weights' `meta`.
        about: what else goes there.
        optim_wrapper: mmengine's settings of the optimizer.
        param_scheduler: mmengine's settings of the learning rate schedule.

    Raises:
        ValueError: if the settings of optimizer or learning rate cannot be used.
    """

    folder: Path
    settings: Any
    recipe: Recipe
    training: Clips
    validation: Clips
    seed: int
    device: torch.device
    precision: str
    start: InitialWeights | None
    tensorboard: bool
    classes: tuple[str, ...]
    about: dict[str, Any] = field(default_factory=dict)
    optim_wrapper: dict[str, Any] = field(init=False)
    param_scheduler: list[dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.optim_wrapper = optim_wrapper(self.recipe, self.settings, self.precision)
        learning_rate = self.optim_wrapper["optimizer"]["lr"]
        self.param_scheduler = param_scheduler(self.recipe, self.settings, self.total_steps, learning_rate)

    @property
    def best_file(self) -> Path:
        """`best.pth`, beside `folder`."""
        return self.folder.parent / "best.pth"

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch; an incomplete last one is left out."""
        return max(1, len(self.training) // self.recipe.batch_size)

    @property
    def total_steps(self) -> int:
        """Batches in all."""
        if self.recipe.epochs is not None:
            return self.recipe.epochs * self.steps_per_epoch
        assert self.recipe.iterations is not None
        return self.recipe.iterations


def config_text(settings: Any) -> str:
    """An mmengine config as a file that networks take: the network, what it sees, and how it is trained."""
    from mmengine.config import Config

    names = ("model", "val_pipeline", "train_pipeline", "optim_wrapper", "param_scheduler", "auto_scale_lr")
    plain = settings.to_dict()
    kept = {name: plain[name] for name in names if name in plain}
    return f"# Written by lavx train.\n{Config(kept).pretty_text}"
