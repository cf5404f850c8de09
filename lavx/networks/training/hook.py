"""What happens in a training beside mmengine's own: how it starts, its validations, the best weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook

from lavx.files import write_text
from lavx.networks.training import random_state
from lavx.networks.training.checkpoints import write_best
from lavx.networks.training.observer import Observer
from lavx.networks.training.setup import TrainingSetup
from lavx.networks.training.transfer import begin_with

_VALIDATED = "validated"  # in setup.folder: the iterations done at the last validation
_VALIDATED_BEFORE = "looked"  # its name in version 0.1.0


class TrainingHook(Hook):
    """Starts a training, keeps its best weights and tells an observer.

    Args:
        setup: the training.
        observer: told of steps and validations.
        best: the top-1 accuracy of `best.pth` where the training is resumed; None if there is none.
    """

    priority = "LOW"

    def __init__(self, setup: TrainingSetup, observer: Observer, best: float | None) -> None:
        self.setup, self.observer, self.best = setup, observer, best
        self._before_validation = random_state.save()

    def before_train(self, runner: Any) -> None:
        """Give the recognizer its initial weights, or make up for a validation that was cut off."""
        if runner.iter == 0:
            self._initialize(runner.model)
        # The checkpoint is written before the validation: the process may have ended between the two.
        elif self.setup.recipe.validates_after(runner.epoch, runner.iter) and self._validated() != runner.iter:
            runner.val_loop.run()

    def _initialize(self, recognizer: Any) -> None:
        if self.setup.start is not None:
            begin_with(recognizer, self.setup.start)
            return
        embedding = getattr(recognizer.backbone, "time_embed", None)
        if self.setup.recipe.time_embedding is not None and isinstance(embedding, torch.Tensor):
            torch.nn.init.normal_(embedding, std=self.setup.recipe.time_embedding)

    def _validated(self) -> int | None:
        """The iterations done at the last validation."""
        for name in (_VALIDATED, _VALIDATED_BEFORE):
            file = self.setup.folder / name
            if file.exists():
                return int(file.read_text())
        return None

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Seed each epoch, so that after resuming it draws what it would have drawn."""
        # At the first step, not before it: how many draws the start of the loader takes depends on its workers.
        if batch_idx == 0 and runner.epoch:
            random_state.seed_torch(self.setup.seed, runner.epoch)

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Tell the loss, or end where it is not finite."""
        loss = float(outputs["loss"].detach())
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss} after {runner.iter + 1} steps; take a smaller learning rate"
                + ("" if self.setup.precision == "fp32" else ", or precision=fp32")
            )
        self.observer.stepped(runner.iter + 1, loss)

    def before_val(self, runner: Any) -> None:
        """Save the generators: how often one validates must not change what is learned."""
        self._before_validation = random_state.save()

    def after_val(self, runner: Any) -> None:
        """Restore the generators."""
        random_state.restore(self._before_validation)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Keep the weights if they are the best so far, the first of equals, and tell the accuracy."""
        assert metrics is not None
        values = {
            "top1": float(metrics["acc/top1"]),
            "top5": float(metrics["acc/top5"]),
            "median_score": float(metrics["score/median"]),
        }
        epoch = runner.epoch if self.setup.recipe.by_epoch else 0
        if self.best is None or values["top1"] > self.best:
            self.best = values["top1"]
            write_best(self.setup, runner.model, {"epoch": epoch, "iteration": runner.iter, **values})
        self.observer.validated(epoch, runner.iter, values)
        write_text(self.setup.folder / _VALIDATED, str(runner.iter))
