"""One door for classifiers in memory: a torch module, a function, or what is a classifier already."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lavx.networks.clip_format import Channels
from lavx.networks.function import Function
from lavx.networks.torch_module import LAYOUTS, TorchModule
from lavx.types import OUTPUT_KINDS, Classifier, OutputKind


def classifier(
    model: Any,
    *,
    layout: str | None = None,
    channels: Channels | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    scale: float | str | None = None,
    dtype: str | None = None,
    output: OutputKind | None = None,
    classes: Sequence[str] | str | Path | None = None,
    device: str | None = None,
    precision: str | None = None,
    prepare: Callable[[Tensor], Any] | None = None,
    pick: Callable[[Any], Any] | None = None,
    batch: int | None = None,
    name: str | None = None,
    timeout: float | None = None,
    retries: int | None = None,
    backoff: float | None = None,
) -> Classifier:
    """Make a classifier that lavx can explain of a torch module or a function.

    Args:
        model: a `torch.nn.Module` or what `torch.export` makes (see `lavx.networks.torch_module.TorchModule`); a
            function of an array (see `lavx.networks.function.Function`); or a classifier, which stays as it is.
        layout: the order of the axes of what it takes, such as `BCTHW`: a module needs it, a function gets `BTHWC`
            unless it is given.
        channels: `RGB` (unless given) or `BGR`.
        mean: subtracted after `scale`: of values in 0..255 unless `scale` is 1/255.
        std: divided by after that.
        scale: multiplied with the values 0..255 first; 1 unless given.
        dtype: of the array it takes.
        output: what it answers: `logits`, `probabilities`, `multilabel`, `multilabel_logits` or `regression`; None
            to find out.
        classes: names in the order of its outputs, or a file of one a line.
        device: where a module is moved, and where clips are made: `auto`, `cpu`, `cuda` or `cuda:N`. Unless given
            a module stays where it is.
        precision: of a module: `fp32`, `bf16` or `fp16`.
        prepare: for a module with other inputs than one tensor: made from the normalized batch.
        pick: for a module with other answers than one tensor: takes the class scores out.
        batch: clips a call, for a module that takes no other number.
        name: in messages.
        timeout: seconds that a call of a function may take.
        retries: how often a call of a function that fails is made again.
        backoff: seconds before the first of these.

    Raises:
        ValueError: if it is none of these, a module is given without its layout, or an option does not go with it.
    """
    options = {key: value for key, value in locals().items() if key != "model" and value is not None}
    if _is_classifier(model):
        if options:
            raise ValueError(f"{_called(model)} is a classifier already; leave out {', '.join(options)}.")
        given: Classifier = model
        return given
    if isinstance(model, nn.Module | torch.export.ExportedProgram):
        if layout is None:
            raise ValueError(
                f"layout must be given for {_called(model)}, for lavx does not guess which axis of its input "
                f"holds the 3 channels: {LAYOUTS}."
            )
        return _built(TorchModule, "a torch module", model, options)
    if isinstance(model, type) or not callable(model):
        found = f"the class {model.__qualname__}; build it" if isinstance(model, type) else f"{model!r:.100}"
        raise ValueError(
            "a classifier is a torch.nn.Module, a function of an array of clips, or an object with device, "
            f"output, classes and __call__ (lavx.types.Classifier); got {found}."
        )
    return _built(Function, "a function", model, options)


def _is_classifier(model: Any) -> bool:
    """Whether it follows `lavx.types.Classifier`; a torch module may have attributes of these names by chance."""
    if isinstance(model, type) or not callable(model):
        return False
    if not all(hasattr(model, attribute) for attribute in ("device", "output", "classes")):
        return False
    right = isinstance(model.device, torch.device) and (
        model.output is None or isinstance(model.output, str) and model.output in OUTPUT_KINDS
    )
    if not right and not isinstance(model, nn.Module):
        raise ValueError(
            f"{_called(model)}: device must be a torch.device and output one of {', '.join(OUTPUT_KINDS)} or "
            f"None; got {model.device!r} and {model.output!r}."
        )
    return right


def _built(kind: type, what: str, model: Any, options: dict[str, Any]) -> Any:
    allowed = inspect.signature(kind).parameters
    foreign = [key for key in options if key not in allowed]
    if foreign:
        raise ValueError(f"{_called(model)} is {what}, which takes no {', '.join(foreign)}.")
    return kind(model, **options)


def _called(model: Any) -> str:
    return str(getattr(model, "__qualname__", type(model).__qualname__))
