"""Importing OpenMMLab: mmengine, mmcv and mmaction2, without their noise and without what their packages lack.

`load` comes before any other import of them. Imports take seconds, so they happen inside functions.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import logging
import sys
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep OpenMMLab's construction logs and its dependencies' deprecation warnings off the terminal."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)


def _supply_missing_localizer() -> None:
    """Let `import mmaction.models` work although the published wheel lacks `localizers/drn`.

    mmaction2 1.2.0 imports `DRN`, a temporal localizer, from a folder that its wheel leaves out. lavx does
    not use it: where the folder is absent, a class that refuses to be built takes its place.
    """
    spec = importlib.util.find_spec("mmaction")
    assert spec is not None and spec.submodule_search_locations
    if (Path(spec.submodule_search_locations[0]) / "models" / "localizers" / "drn").is_dir():
        return

    class DRN(nn.Module):
        def __init__(self, *_: Any, **__: Any) -> None:
            raise NotImplementedError("mmaction2's wheel does not contain the localizer DRN")

    package = types.ModuleType("mmaction.models.localizers.drn")
    package.__path__ = []
    module = types.ModuleType("mmaction.models.localizers.drn.drn")
    module.DRN = DRN  # type: ignore[attr-defined]
    sys.modules.setdefault(package.__name__, package)
    sys.modules.setdefault(module.__name__, module)


def _check_installed() -> None:
    missing = [name for name in ("mmaction", "mmcv", "mmengine") if importlib.util.find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(
            f'the networks of OpenMMLab need {", ".join(missing)}: pip install "lavx[openmmlab]"', name=missing[0]
        )


@functools.cache
def load() -> None:
    """Import mmaction2 and register its modules, and lavx's TANet, in mmengine's registries (once a process).

    Raises:
        ModuleNotFoundError: if OpenMMLab's packages are not installed; it says the command.
    """
    _check_installed()
    with quiet():
        _supply_missing_localizer()
        from mmaction.registry import MODELS
        from mmaction.utils import dependency, register_all_modules
        from mmengine.runner import runner

        # Its multimodal models are written for transformers 4, and importing them with 5 fails.
        dependency.WITH_MULTIMODAL = False
        # A training would ask torchvision for its version, among others, and end where that does not load.
        runner.collect_env = dict
        register_all_modules(init_default_scope=True)
        from mmaction.models.backbones.resnet import Bottleneck
        from mmaction.models.backbones.tanet import TANet

        @MODELS.register_module()
        class ShallowTANet(TANet):
            """TANet with one bottleneck a stage, for small inputs."""

            arch_settings = {**TANet.arch_settings, 14: (Bottleneck, (1, 1, 1, 1))}


def read_config(path: str) -> Any:
    """Read an mmengine config: a file, or a name inside mmaction2's own `configs/recognition` folder.

    Raises:
        FileNotFoundError: if there is no such file, naming both places looked in.
    """
    load()
    from mmengine.config import Config

    own = Path(path).expanduser()
    packaged = packaged_configs() / "recognition" / path
    for candidate in (own, packaged):
        if candidate.is_file():
            with quiet():
                return Config.fromfile(str(candidate))
    raise FileNotFoundError(f"config={path} is neither a file nor one of mmaction2's ({packaged.parent}).")


def packaged_configs() -> Path:
    """The folder of the configs that mmaction2's wheel carries."""
    load()
    import mmaction

    return Path(mmaction.__file__).parent / ".mim" / "configs"


def official_checkpoint(config: str) -> str:
    """The address of the weights that mmaction2 publishes for one of its configs, from its own metafiles.

    Raises:
        LookupError: if mmaction2 publishes none for that config.
    """
    import yaml

    metafile = packaged_configs() / "recognition" / Path(config).parent / "metafile.yml"
    if metafile.is_file():
        for entry in yaml.safe_load(metafile.read_text())["Models"]:
            if Path(entry["Config"]).name == Path(config).name and "Weights" in entry:
                return str(entry["Weights"]).strip("()")
    raise LookupError(f"mmaction2 publishes no weights for config={config}; set checkpoint to a file.")


def build_recognizer(model_config: Any) -> nn.Module:
    """Build mmaction2's recognizer from the `model` part of a config, with random weights, in eval mode."""
    load()
    from mmaction.registry import MODELS

    model_config = model_config.copy()
    # Backbones would otherwise fetch ImageNet weights that the checkpoint overwrites anyway.
    model_config.backbone.pretrained = None
    with quiet():
        recognizer: nn.Module = MODELS.build(model_config)
    for module in recognizer.modules():
        # TimeSformer's stochastic depth holds a NumPy scalar here, which torch.compile cannot trace.
        if hasattr(module, "drop_prob"):
            module.drop_prob = float(module.drop_prob)  # type: ignore[arg-type, assignment]
    return recognizer.eval()


def logits(recognizer: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """Class scores before the softmax, one view a clip: float (B, n_classes)."""
    output: torch.Tensor = recognizer.extract_feat(inputs, stage="head")[0]  # type: ignore[operator]
    return output
