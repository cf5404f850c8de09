"""One door for classifiers: modules need their layout, functions do not, classifiers stay as they are."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lavx.networks.adapt import classifier
from lavx.networks.function import Function
from lavx.networks.torch_module import TorchModule


class Colors(nn.Module):
    """Mean colors of clips (B, C, T, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3, 4))


def colors(clips: np.ndarray) -> np.ndarray:
    return clips.mean((1, 2, 3))


@pytest.fixture
def clips() -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (2, 3, 6, 7, 3)).astype(np.float32))


def test_a_module_with_its_layout(clips: Tensor) -> None:
    normalization = dict(mean=0.5, std=0.25, scale=1 / 255)
    made = classifier(Colors(), layout="BCTHW", classes=["r", "g", "b"], output="regression", **normalization)
    assert type(made) is TorchModule and made.classes == ("r", "g", "b") and made.output == "regression"
    torch.testing.assert_close(made(clips), (clips / 255 - 0.5).mean((1, 2, 3)) / 0.25, atol=1e-5, rtol=0)


def test_an_export_is_a_module(clips: Tensor) -> None:
    program = torch.export.export(Colors(), (clips.movedim(-1, 1).contiguous(),))
    torch.testing.assert_close(classifier(program, layout="BCTHW")(clips), clips.mean((1, 2, 3)))


def test_a_module_without_its_layout_is_asked_for_it() -> None:
    with pytest.raises(
        ValueError, match="layout must be given for Colors, .* 3 channels: BCTHW for most .*BTCHW for"
    ):
        classifier(Colors())


def test_functions_get_arrays(clips: Tensor) -> None:
    for model in (colors, lambda array: colors(array)):
        made = classifier(model)
        assert type(made) is Function and made.output is None and made.classes is None
        torch.testing.assert_close(made(clips).float(), clips.mean((1, 2, 3)))
    made = classifier(lambda array: array.mean((1, 2, 3)), layout="CTHW", timeout=60, retries=1, backoff=0.5)
    torch.testing.assert_close(made(clips), clips.mean((1, 2, 3)))


class Ready:
    """A classifier of lavx's own kind."""

    device = torch.device("cpu")
    output: Any = "logits"
    classes = None

    def __call__(self, clips: Tensor) -> Tensor:
        return clips.mean((1, 2, 3))


def test_a_classifier_stays_as_it_is() -> None:
    for ready in (Ready(), classifier(colors), classifier(Colors(), layout="BCTHW")):
        assert classifier(ready) is ready
    with pytest.raises(ValueError, match="Ready is a classifier already; leave out layout, mean"):
        classifier(Ready(), layout="BCTHW", mean=1)


def test_a_classifier_that_is_not_quite_one_is_told_so() -> None:
    wrong = Ready()
    wrong.output = "softmax"
    with pytest.raises(
        ValueError, match="Ready: device must be a torch.device and output one of .*; got device.*'soft"
    ):
        classifier(wrong)
    wrong = Ready()
    wrong.device = "cpu"  # type: ignore[assignment]
    with pytest.raises(ValueError, match="got 'cpu' and 'logits'"):
        classifier(wrong)


def test_a_module_with_attributes_of_these_names_is_a_module(clips: Tensor) -> None:
    module = Colors()
    module.output = nn.Linear(3, 3)
    module.classes, module.device = 3, torch.device("cpu")  # type: ignore[assignment]
    assert type(classifier(module, layout="BCTHW")) is TorchModule


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (colors, dict(precision="bf16"), "colors is a function, which takes no precision"),
        (colors, dict(prepare=len, pick=len), "colors is a function, which takes no prepare, pick"),
        (Colors(), dict(layout="BCTHW", timeout=5), "Colors is a torch module, which takes no timeout"),
        (Colors(), dict(layout="BCTHW", retries=0), "Colors is a torch module, which takes no retries"),
        (Colors(), dict(layout="BCHW"), "layout must hold each of the letters"),
        (Colors(), dict(layout="BCTHW", mean=0.5), "do not fit values in 0..255"),
        (Colors, {}, "a classifier is a torch.nn.Module, a function .*; got the class Colors; build it"),
        ("net.onnx", {}, "a classifier is a torch.nn.Module, a function .*; got 'net.onnx'"),
        (None, {}, "a classifier is .*; got None"),
    ],
)
def test_other_things_are_refused(model: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classifier(model, **options)


def test_every_option_is_taken_by_someone() -> None:
    options = set(inspect.signature(classifier).parameters) - {"model"}
    taken = set(inspect.signature(Function).parameters) | set(inspect.signature(TorchModule).parameters)
    assert options == taken - {"function", "module"}
