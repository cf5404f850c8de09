"""The recipe of a training: how long, in what batches, with which optimizer and schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

DTYPES = {"fp32": torch.float32, "fp16": torch.float16}
_DEFAULT_VALIDATIONS = 10  # of a training in iterations; likewise its checkpoints


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Args:
        epochs: passes over the training videos; not beside `iterations`.
        iterations: batches in all, for videos that are drawn by code or a short try; not beside `epochs`.
        batch_size: clips a step, on one device.
        learning_rate: its maximum; None for what the settings of the optimizer say.
        optim_wrapper: mmengine's settings of the optimizer; None for those of the network's config, its learning
            rate scaled by the batch size where the config says for which batch size it is meant.
        param_scheduler: mmengine's settings of the learning rate schedule; None for those of the network's config,
            scaled to `epochs` or `iterations`. A `OneCycleLR` lasts the whole training and rises to the learning
            rate, unless it says otherwise.
        validate_every: epochs (or iterations) between two validations; None for every epoch (or ten validations
            in all).
        checkpoint_every: epochs (or iterations) between two checkpoints to resume from; None as above.
        workers: processes that read clips.
        time_embedding: standard deviation of TimeSformer's initial time embedding; None for mmaction2's own, near
            zero, from which it grows if the rest is pretrained. From scratch, the network learns what is there
            but stays blind to the order of frames for thousands of steps.
        store: dtype of the weights in `best.pth`: fp32 or fp16.

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
                "epochs or iterations must be set, and the other null; got "
                f"epochs={self.epochs}, iterations={self.iterations}"
            )
        for name in ("epochs", "iterations", "validate_every", "checkpoint_every"):
            if getattr(self, name) is not None:
                self._check_whole(name, 1)
        self._check_whole("batch_size", 1)
        self._check_whole("workers", 0)
        self._check_positive_or_none("learning_rate")
        self._check_positive_or_none("time_embedding")
        if self.store not in DTYPES:
            raise ValueError(f"store must be {' or '.join(DTYPES)}, got {self.store}")

    def _check_whole(self, name: str, least: int) -> None:
        value = getattr(self, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"{name} must be a whole number >= {least}, got {value}")

    def _check_positive_or_none(self, name: str) -> None:
        value = getattr(self, name)
        if value is not None and not (isinstance(value, int | float) and value > 0):
            raise ValueError(f"{name} must be above 0, or null, got {value}")

    @property
    def by_epoch(self) -> bool:
        """Whether the length and the intervals are in epochs; else in iterations."""
        return self.epochs is not None

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights in `best.pth`."""
        return DTYPES[self.store]

    @property
    def validation_interval(self) -> int:
        """Epochs or iterations between two validations."""
        return self.validate_every or self._default_interval

    @property
    def checkpoint_interval(self) -> int:
        """Epochs or iterations between two checkpoints."""
        return self.checkpoint_every or self._default_interval

    @property
    def _default_interval(self) -> int:
        return max(1, (self.iterations or 1) // _DEFAULT_VALIDATIONS)

    def validates_after(self, epoch: int, iteration: int) -> bool:
        """Whether a validation follows so many epochs and iterations."""
        done, total = (epoch, self.epochs) if self.by_epoch else (iteration, self.iterations)
        return done == total or done % self.validation_interval == 0
