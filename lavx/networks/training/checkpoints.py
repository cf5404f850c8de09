"""The files of weights of a training: checkpoints to resume from, and `best.pth`."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lavx.files import whole
from lavx.networks.training.setup import TrainingSetup

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of mmengine: weights, optimizer, schedule.

    Attributes:
        file: where it is.
        step: batches done.
    """

    file: Path
    step: int


def last_checkpoint(setup: TrainingSetup) -> Checkpoint | None:
    """The latest checkpoint that is whole; a killed process may leave half a file."""
    steps = {"epoch": setup.steps_per_epoch, "iter": 1}
    found = []
    for file in setup.folder.glob("*.pth"):
        match = re.fullmatch(r"(epoch|iter)_(\d+)", file.stem)
        if match:
            found.append(Checkpoint(file, int(match[2]) * steps[match[1]]))
    for checkpoint in sorted(found, key=lambda each: each.step, reverse=True):
        try:
            torch.load(checkpoint.file, map_location="meta", weights_only=False, mmap=True)
        except Exception:  # whatever torch makes of a file that is cut off
            log.warning("%s is damaged; resuming from an older checkpoint", checkpoint.file)
            continue
        return checkpoint
    return None


def write_best(setup: TrainingSetup, recognizer: nn.Module, meta: Mapping[str, Any]) -> None:
    """Write `best.pth`, whole or not at all.

    Args:
        setup: says where to, with which dtype, and what `meta` begins with.
        recognizer: whose weights.
        meta: when they were reached and how good they are.
    """
    dtype = setup.recipe.dtype
    state_dict = {
        name: value.detach().cpu().to(dtype) if value.is_floating_point() else value.cpu()
        for name, value in recognizer.state_dict().items()
        if not name.startswith("data_preprocessor")
    }
    content = io.BytesIO()  # torch.save to a file hides that the disk is full
    torch.save(
        {"state_dict": state_dict, "meta": {"classes": list(setup.classes), **setup.about, **meta}}, content
    )
    with whole(setup.best_file) as part:
        part.write_bytes(content.getbuffer())


def read_meta(file: Path) -> dict[str, Any]:
    """What `best.pth` says of its weights: classes, data, where they started from, accuracy."""
    meta: dict[str, Any] = torch.load(file, weights_only=True)["meta"]
    return meta
