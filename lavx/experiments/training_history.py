"""The history of a training, step by step, in a CSV file."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from lavx.files import write_text
from lavx.networks.training.setup import TrainingSetup

_COLUMNS = ("step", "epoch", "loss", "top1", "top5", "median_score")
_LOSSES_A_ROW = 10
_SECONDS_A_WRITE = 20


class History:
    """Losses and accuracies by step.

    Args:
        file: the CSV.
        setup: the training.
        rows: of the steps done before, by step.
    """

    def __init__(self, file: Path, setup: TrainingSetup, rows: Mapping[int, dict[str, float]]) -> None:
        self.file, self.setup = file, setup
        self._rows = dict(rows)
        self._losses: list[float] = []
        self._written = time.monotonic()

    def stepped(self, iteration: int, loss: float) -> None:
        """Add the loss of a step; the mean of every ten is a row."""
        self._losses.append(loss)
        if iteration % _LOSSES_A_ROW == 0 or iteration == self.setup.total_steps:
            self._add(iteration, {"loss": float(np.mean(self._losses))})
            self._losses.clear()
            if time.monotonic() - self._written > _SECONDS_A_WRITE:
                self.write()

    def validated(self, iteration: int, values: Mapping[str, float]) -> None:
        """Add `top1`, `top5` and `median_score` of a validation, and write the file."""
        self._add(iteration, values)
        self.write()

    def write(self) -> None:
        """Write the file, whole or not at all."""
        write_text(self.file, self.table().to_csv(index=False))
        self._written = time.monotonic()

    def table(self) -> pd.DataFrame:
        """The columns step, epoch, loss, top1, top5, median_score; NaN where a step has none."""
        return pd.DataFrame([self._rows[step] for step in sorted(self._rows)]).reindex(columns=list(_COLUMNS))

    def _add(self, iteration: int, values: Mapping[str, float]) -> None:
        epoch = round(iteration / self.setup.steps_per_epoch, 4)
        self._rows.setdefault(iteration, {"step": iteration, "epoch": epoch}).update(values)


def read_history(file: Path, setup: TrainingSetup, resumed: int) -> History:
    """The history of a training that is resumed after so many steps; what came later is done again."""
    rows: dict[int, dict[str, float]] = {}
    if file.exists():
        for row in pd.read_csv(file).to_dict("records"):
            if row["step"] <= resumed:
                rows[int(row["step"])] = {str(key): value for key, value in row.items()}
    return History(file, setup, rows)
