"""What classifiers answer, whatever they answer with: made a tensor of and checked each time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lavx.outputs import NetworkError
from lavx.types import OUTPUT_KINDS, OutputKind


def check_output(output: Any) -> OutputKind | None:
    """An output kind, or None.

    Raises:
        ValueError: if it is neither.
    """
    if output is not None and output not in OUTPUT_KINDS:
        raise ValueError(
            f"output must be one of {', '.join(OUTPUT_KINDS)}, or None to be found out; got {output!r}."
        )
    kind: OutputKind | None = output
    return kind


def read_classes(classes: Sequence[str] | str | Path | None) -> tuple[str, ...] | None:
    """Class names: a file of one name a line (UTF-8), the names themselves, or None where nobody knows them.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if they are no names, none, or a line between others is empty.
    """
    if classes is None:
        return None
    if isinstance(classes, str | Path):
        names = _read_lines(Path(classes).expanduser())
        source = str(classes)
    elif isinstance(classes, Iterable) and not isinstance(classes, Mapping | set | frozenset | bytes):
        names, source = list(classes), "classes"
    else:
        raise ValueError(f"classes must be names in order, a file of one name a line, or None; got {classes!r}.")
    wrong = [name for name in names if not isinstance(name, str) or not name.strip()]
    if wrong or not names:
        found = f"{wrong[0]!r}" if wrong else "none"
        raise ValueError(
            f"{source}: class names must be one or more texts, in the order of the outputs; got {found}."
        )
    return tuple(names)


def _read_lines(path: Path) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(f"classes={path}: there is no such file. Give a file of one class name a line.")
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is no text in UTF-8, one class name a line.") from error
    return [line.strip() for line in lines]


def pick(answer: Any) -> Any:
    """The class scores in what a network answers: its `.logits`, or the one tensor in a dictionary or tuple.

    Raises:
        NetworkError: if there is more than one that could be it, or none.
    """
    if isinstance(answer, Tensor | np.ndarray):
        return answer
    logits = answer.get("logits") if isinstance(answer, Mapping) else getattr(answer, "logits", None)
    if isinstance(logits, Tensor):
        return logits
    parts: dict[Any, Any] = {}
    if isinstance(answer, Mapping):
        parts = dict(answer)
    elif isinstance(answer, tuple | list):
        parts = dict(enumerate(answer))
    tensors = {key: part for key, part in parts.items() if isinstance(part, Tensor)}
    if len(tensors) == 1 and all(part is None for key, part in parts.items() if key not in tensors):
        return next(iter(tensors.values()))
    said = ", ".join(f"{key}: {tuple(part.shape)}" for key, part in tensors.items())
    what = f"{_kind(answer)} with tensors {said}" if said else _kind(answer)
    raise NetworkError(
        f"the network answers {what}, and lavx cannot tell where the class scores are. Give pick, a function that "
        "takes them out: pick=lambda answer: answer[0]."
    )


def _kind(answer: Any) -> str:
    kind = type(answer)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


class Answers:
    """Checks every answer of a classifier and makes a tensor of it.

    NaN and infinite values pass: which of them matter is for the one who asked to say.

    Args:
        name: of the classifier, for messages.
        n_classes: how many columns there must be; None for as many as in the first answer.
    """

    def __init__(self, name: str, n_classes: int | None = None) -> None:
        self.name = name
        self._n_classes = n_classes
        self._whose = "class names were given"

    def __call__(self, answer: Any, n_clips: int) -> Tensor:
        """The answer as a tensor (n_clips, K) of its own memory: 64 bits become float64, all else float32.

        Args:
            answer: a tensor, a NumPy array, nested lists, or anything else that NumPy makes an array of.
            n_clips: how many clips it is about.

        Raises:
            NetworkError: if it is not one row of real numbers a clip, or not as wide as those before.
        """
        values = self._numbers(answer)
        if values.ndim != 2 or len(values) != n_clips or values.shape[1] == 0:
            alone = values.ndim < 2 or len(values) == 1
            hint = "; for one that takes one clip at a time give a layout without B, such as THWC" if alone else ""
            raise NetworkError(
                f"{self.name} answered {tuple(values.shape)} for {n_clips} clip{'s' * (n_clips != 1)}; it must be "
                f"({n_clips}, K), a row of K class scores a clip{hint}."
            )
        self._check_width(values.shape[1])
        return values

    def row(self, answer: Any) -> Tensor:
        """The same for the answer (K,) or (1, K) to one clip that was given without an axis of clips: (1, K)."""
        values = self._numbers(answer)
        values = values[None] if values.ndim == 1 else values
        if values.ndim != 2 or len(values) != 1 or values.shape[1] == 0:
            shape = tuple(values.shape)
            raise NetworkError(
                f"{self.name} answered {shape} for one clip; it must be (K,), or (1, K): class scores."
            )
        self._check_width(values.shape[1])
        return values

    def _check_width(self, n_classes: int) -> None:
        if self._n_classes is None:
            self._n_classes, self._whose = n_classes, "columns were answered before"
        if n_classes != self._n_classes:
            raise NetworkError(f"{self.name} answered {n_classes} columns, but {self._n_classes} {self._whose}.")

    def _numbers(self, answer: Any) -> Tensor:
        if not isinstance(answer, Tensor):
            answer = self._array(answer)
        if answer.dtype == torch.bool or answer.is_complex() or answer.layout != torch.strided or answer.is_meta:
            what = "a tensor without values" if answer.is_meta else str(answer.dtype)
            raise NetworkError(f"{self.name} answered {what}; class scores must be real numbers.")
        if answer.is_quantized:
            answer = answer.dequantize()
        return answer.detach().to(torch.float64 if answer.dtype.itemsize > 4 else torch.float32, copy=True)

    def _array(self, answer: Any) -> Tensor:
        """Through NumPy, which knows the arrays of other libraries."""
        if np.ma.is_masked(answer):
            raise NetworkError(f"{self.name} answered an array with masked values; class scores must be numbers.")
        try:
            if isinstance(answer, list | tuple) and any(isinstance(row, Tensor) for row in answer):
                answer = [row.detach().cpu().numpy() if isinstance(row, Tensor) else row for row in answer]
            array = np.array(answer)
        except (ValueError, TypeError, RuntimeError) as error:
            raise NetworkError(
                f"{self.name} answered {_kind(answer)}, of which no array can be made ({error})."
            ) from error
        if array.dtype.kind not in "fiu":
            found = f"an array of {array.dtype}" if isinstance(answer, np.ndarray) else _kind(answer)
            raise NetworkError(f"{self.name} answered {found}; class scores must be real numbers.")
        return torch.from_numpy(array.astype(np.float64) if array.dtype.itemsize > 4 else array.astype(np.float32))
