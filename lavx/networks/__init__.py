"""Classifiers: what lavx explains. Names are imported when they are first used.

`lavx.classifier` wraps a torch module or a function for clips in memory; the classes here also read videos.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lavx.networks.adapt import classifier
    from lavx.networks.function import Function
    from lavx.networks.huggingface import HuggingFace
    from lavx.networks.onnx import Onnx
    from lavx.networks.openmmlab.network import Network as OpenMMLab
    from lavx.networks.torch_module import TorchModule
    from lavx.networks.torchvision import Torchvision
    from lavx.networks.video_input import VideoInput
    from lavx.networks.video_network import VideoNetwork

_PLACES = {
    "Function": ("function", "Function"),
    "HuggingFace": ("huggingface", "HuggingFace"),
    "Onnx": ("onnx", "Onnx"),
    "OpenMMLab": ("openmmlab.network", "Network"),
    "TorchModule": ("torch_module", "TorchModule"),
    "Torchvision": ("torchvision", "Torchvision"),
    "VideoInput": ("video_input", "VideoInput"),
    "VideoNetwork": ("video_network", "VideoNetwork"),
    "classifier": ("adapt", "classifier"),
}

__all__ = [
    "Function",
    "HuggingFace",
    "Onnx",
    "OpenMMLab",
    "TorchModule",
    "Torchvision",
    "VideoInput",
    "VideoNetwork",
    "classifier",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'lavx.networks' has no attribute {name!r}")
    module, attribute = _PLACES[name]
    value = getattr(importlib.import_module(f"lavx.networks.{module}"), attribute)
    globals()[name] = value
    return value
