"""The optimizer and the learning rate schedule of a training, as settings of mmengine."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lavx.networks.training.recipe import Recipe

_MIXED = {"fp16": "float16", "bf16": "bfloat16"}


def optim_wrapper(recipe: Recipe, settings: Any, precision: str) -> dict[str, Any]:
    """The settings of the optimizer.

    Args:
        recipe: whose own settings come before those of the config.
        settings: the mmengine config of the network.
        precision: fp32; fp16 or bf16 for mixed precision.

    Raises:
        ValueError: if neither has settings, or there is no learning rate.
    """
    if recipe.optim_wrapper is not None:
        wrapper = json.loads(json.dumps(recipe.optim_wrapper))
    elif "optim_wrapper" in settings:
        wrapper = settings.optim_wrapper.to_dict()
        meant_for = _meant_batch_size(settings)
        if meant_for:
            wrapper["optimizer"]["lr"] *= recipe.batch_size / meant_for
    else:
        raise ValueError("the network's config has no optim_wrapper; set optim_wrapper")
    if recipe.learning_rate is not None:
        wrapper["optimizer"]["lr"] = recipe.learning_rate
    if "lr" not in wrapper["optimizer"]:
        raise ValueError("optim_wrapper has no optimizer.lr; set learning_rate")
    if precision != "fp32":
        wrapper |= dict(type="AmpOptimWrapper", dtype=_MIXED[precision])
    return dict(wrapper)


def _meant_batch_size(settings: Any) -> int | None:
    """The batch size that a config's learning rate is meant for: as it says, or its file name (`_8xb8-`)."""
    said = (settings.get("auto_scale_lr") or {}).get("base_batch_size")
    if said:
        return int(said)
    named = re.search(r"_(\d+)xb(\d+)-", Path(settings.filename or "").name)
    return int(named[1]) * int(named[2]) if named else None


def param_scheduler(recipe: Recipe, settings: Any, total_steps: int, learning_rate: float) -> list[dict[str, Any]]:
    """The settings of the learning rate schedule.

    Args:
        recipe: whose own settings come before those of the config.
        settings: the mmengine config of the network.
        total_steps: batches in all.
        learning_rate: its maximum.

    Raises:
        ValueError: if a OneCycleLR cannot be divided among so few steps.
    """
    if recipe.param_scheduler is None:
        return _schedule_of_config(recipe, settings, total_steps)
    steps = [json.loads(json.dumps(step)) for step in recipe.param_scheduler]
    for step in steps:
        if step["type"] == "OneCycleLR":
            step.setdefault("total_steps", total_steps)
            step.setdefault("by_epoch", False)
            step.setdefault("eta_max", learning_rate)
            _check_one_cycle(step)
    return steps


def _check_one_cycle(step: Mapping[str, Any]) -> None:
    """Refuse a rise of exactly one step, by whose length, 0, PyTorch's formula divides."""
    share, total = step.get("pct_start", 0.3), step["total_steps"]
    if float(share * total) == 1:
        raise ValueError(
            f"a OneCycleLR of {total} steps with pct_start={share} would rise in a single step; take another "
            "number of steps, or another pct_start"
        )


def _schedule_of_config(recipe: Recipe, settings: Any, total_steps: int) -> list[dict[str, Any]]:
    """The config's schedule for as many epochs or iterations as the recipe has."""
    given = settings.get("param_scheduler") or []
    steps = [dict(step) for step in (given if isinstance(given, list | tuple) else [given])]
    ends = [int(step.get("end") or 0) for step in steps if step.get("by_epoch", True)]
    epochs = max([*ends, 0]) or int((settings.get("train_cfg") or {}).get("max_epochs") or 0)
    if not epochs:
        return steps
    length = recipe.epochs if recipe.epochs is not None else total_steps
    return [
        stretched(step, length / epochs) | {"by_epoch": recipe.by_epoch} if step.get("by_epoch", True) else step
        for step in steps
    ]


def stretched(step: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """A scheduler's settings for `factor` times as many epochs."""
    result = dict(step)
    for key in ("begin", "end", "T_max", "milestones"):
        value = result.get(key)
        if isinstance(value, list | tuple):
            result[key] = [max(1, round(one * factor)) for one in value]
        elif value:
            result[key] = max(1, round(value * factor))
    return result
