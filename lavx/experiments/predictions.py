"""What networks answered to videos, kept in a file as it comes, so that nothing is asked twice."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch

from lavx.files import read_json_lines

Key = tuple[str | int | None, ...]


class Reader(Protocol):
    """A network as far as asking it needs one."""

    device: torch.device
    weights: dict[str, Any]

    def read(self, path: Path) -> Any:
        """The clip of a video."""

    def __call__(self, clips: torch.Tensor) -> torch.Tensor:
        """Class scores before the softmax."""


A = TypeVar("A")


class AnswerBook(Generic[A]):
    """All answers so far, in a file of one line each that survives an interruption.

    A line is the JSON list of the key's parts and the answer's fields. A key says all that the answer depends
    on: the network's weights by their SHA-256 and the video, so that lines of other weights are passed over.

    Args:
        path: the file; its folder must exist.
        kind: the dataclass of the answers, whose fields JSON can hold.
    """

    def __init__(self, path: Path, kind: type[A]) -> None:
        self.path = path
        self._answers: dict[Key, A] = {}
        n_fields = len(dataclasses.fields(kind))  # type: ignore[arg-type]
        for values in read_json_lines(path):
            with suppress(ValueError, TypeError):  # not a line of these answers
                self._answers[tuple(values[:-n_fields])] = kind(*values[-n_fields:])

    def get(self, key: Key) -> A | None:
        """The answer, if it was given already."""
        return self._answers.get(key)

    def add(self, answers: Iterable[tuple[Key, A]]) -> None:
        """Keep some answers."""
        lines = []
        for key, answer in answers:
            self._answers[key] = answer
            lines.append(json.dumps([*key, *dataclasses.astuple(answer)]) + "\n")  # type: ignore[call-overload]
        with self.path.open("a") as file:
            file.write("".join(lines))
