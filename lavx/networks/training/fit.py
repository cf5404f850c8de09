"""Running a training."""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import Iterator

import torch

from lavx.networks.openmmlab import library
from lavx.networks.training.checkpoints import Checkpoint
from lavx.networks.training.observer import Observer
from lavx.networks.training.setup import TrainingSetup


def fit(setup: TrainingSetup, observer: Observer, checkpoint: Checkpoint | None = None) -> None:
    """Train, and leave `best.pth`: the weights with the highest top-1 accuracy of all validations.

    Args:
        setup: the training.
        observer: told of steps and validations.
        checkpoint: what to resume from; None to start.

    Raises:
        FloatingPointError: if the loss is not finite.
    """
    library.load()
    from lavx.networks.training.runner import build_runner

    with _process_flags_restored():
        with library.quiet():
            runner = build_runner(setup, observer, checkpoint)
        for handler in runner.logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.setLevel(logging.ERROR)
        try:
            runner.train()
        finally:
            del runner
            gc.collect()  # it holds itself in circles, and with it what it has on the GPU


@contextlib.contextmanager
def _process_flags_restored() -> Iterator[None]:
    """Undo what a Runner sets for the whole process."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    flags = (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = flags
