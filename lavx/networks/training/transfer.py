"""Starting from the weights of another training: all but the classification layers, which are new."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lavx.networks.openmmlab import checkpoints

_CLASSIFICATION_LAYERS = ("cls_head.fc_cls.", "neck.aux_head.fc.")  # by the names that mmaction2 gives them


@dataclass(frozen=True)
class InitialWeights:
    """The weights that a training starts from.

    Attributes:
        state_dict: tensors by name; those of classification layers are ignored.
        source: where they came from, for messages.
    """

    state_dict: Mapping[str, torch.Tensor]
    source: str


def is_classification_layer(name: str) -> bool:
    """Whether a weight belongs to the layers whose outputs are the classes."""
    return name.startswith(_CLASSIFICATION_LAYERS)


def with_classes(settings: Any, n_classes: int) -> Any:
    """A copy of a config for training, whose classification layers have `n_classes` outputs."""
    settings = copy.deepcopy(settings)
    model = settings.model
    model.cls_head.num_classes = n_classes
    model.backbone.pretrained = None
    auxiliary = (model.get("neck") or {}).get("aux_head_cfg")
    if auxiliary is not None:
        auxiliary["out_channels"] = n_classes
    # With fcn_test, TPN's head copies itself when first used, and all later validations would use that copy.
    model.test_cfg = None
    return settings


def begin_with(recognizer: nn.Module, weights: InitialWeights) -> None:
    """Load all weights but those of the classification layers, which keep what they have.

    Raises:
        ValueError: if the others are not exactly the recognizer's.
    """
    own = {name: value for name, value in recognizer.state_dict().items() if is_classification_layer(name)}
    given = {name.removeprefix("module."): value for name, value in weights.state_dict.items()}
    pretrained = {name: value for name, value in given.items() if not is_classification_layer(name)}
    checkpoints.fill(recognizer, pretrained | own, Path(weights.source))
