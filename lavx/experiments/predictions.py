"""Predictions of networks, kept in a file as they come, so that no video is classified twice."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from lavx.errors import RequestError
from lavx.files import read_json_lines
from lavx.outputs import check_outputs, contradiction
from lavx.types import OutputKind

Key = tuple[str | int | None, ...]
"""All that a prediction depends on: the network's weights by their SHA-256, the video, ..."""

_NO_NUMBERS = ("device", "timeout", "retries", "backoff", "trust_checkpoint")  # settings that change no prediction

P = TypeVar("P")


class PredictionStore(Generic[P]):
    """All predictions so far, in a file of one line each that survives an interruption.

    A line is the JSON list of the key's parts and the prediction's fields. Keys hold the SHA-256 of the weights,
    so that lines of other weights are never returned.

    Args:
        path: the file; its folder must exist.
        kind: the dataclass of the predictions, whose fields JSON can hold.
    """

    def __init__(self, path: Path, kind: type[P]) -> None:
        self.path = path
        self._predictions: dict[Key, P] = {}
        n_fields = len(dataclasses.fields(kind))  # type: ignore[arg-type]
        for values in read_json_lines(path):
            with suppress(ValueError, TypeError):  # a line of something else
                self._predictions[tuple(values[:-n_fields])] = kind(*values[-n_fields:])

    def get(self, key: Key) -> P | None:
        """The prediction; None if there is none yet."""
        return self._predictions.get(key)

    def add(self, predictions: Iterable[tuple[Key, P]]) -> None:
        """Keep some predictions."""
        lines = []
        for key, prediction in predictions:
            self._predictions[key] = prediction
            lines.append(json.dumps([*key, *dataclasses.astuple(prediction)]) + "\n")  # type: ignore[call-overload]
        with self.path.open("a") as file:
            file.write("".join(lines))


def digest(net: Mapping[str, Any], network: Any) -> str:
    """A hash of all that decides a network's predictions: its settings, and the content of its files.

    Args:
        net: the settings that it was built from.
        network: itself, whose `weights` hold the hashes of its files.
    """
    settings = {key: value for key, value in net.items() if key not in _NO_NUMBERS}
    settings["_target_"] = str(net.get("_target_")).rpartition(".")[2]  # its module may be renamed
    text = json.dumps([settings, network.weights], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check_output(network: Any) -> None:
    """Refuse a network whose outputs are not scores of classes that exclude each other.

    Raises:
        ValueError: saying what they are.
    """
    output = getattr(network, "output", "logits")
    if output not in ("logits", "probabilities"):
        raise ValueError(
            "accuracy needs a network that gives logits or probabilities of classes that exclude each other; its "
            f"output is {output or 'not known'}. Set output=logits or output=probabilities if it does."
        )


def answers(network: Any, clips: Tensor) -> Tensor:
    """The outputs (B, K) of a network for clips float (B, T, H, W, 3), of the kind that it says they are.

    Raises:
        RequestError: if they are not one row a clip, or cannot be of that kind.
    """
    kind: OutputKind = getattr(network, "output", None) or "logits"
    try:
        outputs = check_outputs(network(clips), len(clips), None)
        found = contradiction(outputs, kind) if outputs.isfinite().all() else None
        if found and kind == "logits":  # one row may look like probabilities by chance; a black clip's hardly too
            black = check_outputs(network(torch.zeros_like(clips[:1])), 1, None)
            found = contradiction(torch.cat([outputs, black]), kind)
    except (TypeError, ValueError) as error:
        raise RequestError(str(error)) from error
    if found:
        raise RequestError(f"{found}. Set net.output to what they are")
    return outputs


def probabilities(network: Any, outputs: Tensor) -> Tensor:
    """Class probabilities, float64 (B, K), from the outputs (B, K) of a network that `check_output` accepts."""
    outputs = outputs.double()
    return outputs if getattr(network, "output", "logits") == "probabilities" else outputs.softmax(-1)
