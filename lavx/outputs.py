"""What a classifier answers: one row a clip, of logits or probabilities, an entry for each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lavx.text import visible
from lavx.types import OutputKind

TOLERANCE = 1e-3
"""How far probabilities may leave [0, 1], and their sum may be from 1: what half precision rounds."""


_BEFORE = ("logits", "multilabel_logits")  # a softmax or a sigmoid

_FAR = 0.05  # no rounding puts the sum of probabilities that far from 1
_SUM_ERROR = 0.01  # of sums of quantized probabilities and percentages
_MOST_ROUNDING = 0.1  # of the same, where many classes are rounded


class ScoreError(ValueError):
    """The network gave scores that nothing can be computed from."""


class NetworkError(ScoreError):
    """The network answers what it must not to any clip, or what it answers is not known."""


class TargetError(ValueError):
    """The class that is to be explained is none of the network's."""


def check_outputs(outputs: Tensor, n_clips: int, n_classes: int | None) -> Tensor:
    """The outputs, if they are one row a clip, in memory that the network will not use again.

    Args:
        outputs: what the classifier answered.
        n_clips: how many clips it was given.
        n_classes: how many outputs it gave a clip before; None where these are the first.

    Raises:
        TypeError: if they are no tensor of real numbers.
        ValueError: if they are not (n_clips, K), with the same K each time.
    """
    if not isinstance(outputs, Tensor) or not _is_numbers(outputs):
        found = type(outputs).__name__
        if isinstance(outputs, Tensor):
            found = f"one of {outputs.dtype}, {outputs.layout}, on {outputs.device}"
        raise TypeError(f"the network must answer with a tensor of real numbers, it gave {found}")
    shape = tuple(outputs.shape)
    if outputs.ndim != 2 or shape[0] != n_clips or shape[1] == 0:
        raise ValueError(
            f"the network must answer (batch, classes), a row a clip: for {n_clips} clips it gave {shape}"
        )
    if n_classes is not None and shape[1] != n_classes:
        raise ValueError(f"the network gave {n_classes} outputs for a clip before and {shape[1]} now")
    return outputs.clone()


def _is_numbers(outputs: Tensor) -> bool:
    special = outputs.is_complex() or outputs.dtype == torch.bool or outputs.is_quantized
    return not special and outputs.layout == torch.strided and not outputs.is_meta


def detect_output(rows: Tensor | NDArray[Any]) -> OutputKind:
    """Find out what a classifier answers, from its rows (2, K) of a clip and of its baseline.

    Rows in [0, 1] that sum to 1 both times, each within `TOLERANCE`, are probabilities. Rows that leave [0, 1] are
    logits. Anything between may be several things.

    Raises:
        ValueError: if it cannot be told: it asks for `output`.
    """
    values = torch.as_tensor(rows).double()
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"rows must be (B, K), a row a clip, got {tuple(values.shape)}.")
    if not values.isfinite().all():
        raise ValueError(
            "the classifier answers NaN or infinite values to the clip or to a black one, which say nothing of "
            "what its outputs are: give output=logits, probabilities, multilabel, multilabel_logits or regression."
        )
    if values.shape[1] == 1:
        raise ValueError(
            "the classifier answers a single column, which may be anything: say output=multilabel for a "
            "probability, output=multilabel_logits for a score before a sigmoid, or output=regression."
        )
    if values.min() < -TOLERANCE or values.max() > 1 + TOLERANCE:
        if (whole := _scaled(values)) is not None:
            raise ValueError(
                f"the classifier answers values that look like probabilities times {whole:g}, {_ranges(values)}: "
                "let it answer them in 0..1, or say output=logits if they are that."
            )
        return "logits"
    if ((values.sum(1) - 1).abs() <= TOLERANCE).all():
        return "probabilities"
    raise ValueError(
        f"the classifier answers values in [0, 1] that do not sum to 1 (but to {_numbers(values.sum(1))}), which "
        "may be several things: say output=logits, output=probabilities or output=multilabel."
    )


def _scaled(values: Tensor) -> float | None:
    """The number that rows (B, K) of probabilities seem to have been multiplied with; None where nothing looks so.

    They are percentages, or probabilities quantized to 8 bits, without a sign (0..255) or with one (-128..127).
    """
    is_whole = bool((values == values.round()).all())
    rounding = values.shape[1] / 2 if is_whole else 0.0
    for whole, least in ((100, 0), (255, 0), (256, 0), (256, -128)):
        shares = values - least
        inside = bool(shares.min() >= 0 and shares.max() <= whole)
        error = (shares.sum(1) - whole).abs().max()
        if inside and error <= max(_SUM_ERROR * whole, min(rounding, _MOST_ROUNDING * whole)):
            return float(whole) if is_whole or whole == 100 else None
    return None


def _ranges(values: Tensor) -> str:
    return f"{float(values.min()):g} to {float(values.max()):g}, rows that sum to {_numbers(values.sum(1))}"


def contradiction(rows: Tensor, kind: OutputKind) -> str | None:
    """Why rows (B, K), all finite, cannot be of the kind that somebody said; None where they can.

    What looks like probabilities may be logits by chance, where there are few rows.
    """
    inside = _inside(rows)
    error = (rows.double().sum(1) - 1).abs().max()
    if kind in _BEFORE and rows.shape[1] > 1 and inside and error <= TOLERANCE:
        return f"the network is said to answer {kind}, but its rows are in [0, 1] and sum to 1: probabilities"
    if kind in ("probabilities", "multilabel") and not inside:
        found = f"{float(rows.min()):.4g} to {float(rows.max()):.4g}"
        return f"the network is said to answer {kind}, which are in [0, 1], but it answers {found}"
    if kind == "probabilities" and error > _FAR:
        return (
            "the network is said to answer probabilities of classes that exclude each other, but its rows sum to "
            f"{_numbers(rows.sum(1)[:3])}"
        )
    return None


def _inside(rows: Tensor) -> bool:
    return bool(rows.min() >= -TOLERANCE and rows.max() <= 1 + TOLERANCE)


def doubt(rows: Tensor, kind: OutputKind) -> str | None:
    """Why rows (B, K), all finite, are hardly of the kind that somebody said; None where they may well be."""
    if kind in _BEFORE and rows.shape[1] > 1 and _inside(rows):
        return (
            f"The network is said to answer {kind}, but its answers to the clip and to a black one are all in "
            "[0, 1], as probabilities are: output=multilabel, if they are that."
        )
    return None


def _numbers(values: Tensor) -> str:
    return ", ".join(f"{float(value):.4g}" for value in values)


def probabilities(outputs: NDArray[np.float64], kind: OutputKind) -> NDArray[np.float64]:
    """What outputs (..., K) say of each class, in [0, 1]; regression outputs as they are."""
    values = torch.from_numpy(outputs)
    if kind == "logits":
        return values.softmax(-1).numpy()
    return values.sigmoid().numpy() if kind == "multilabel_logits" else outputs


def class_index(target: int | str, classes: Sequence[str] | None, n_classes: int, also: Sequence[str] = ()) -> int:
    """The index of a class given by its name or its index.

    Args:
        target: the name or index.
        classes: the names; None where unknown.
        n_classes: how many there are.
        also: what else is allowed where the target comes from, for the message.

    Raises:
        TargetError: if there is no such class, listing those there are.
    """
    if classes is not None and target in classes:
        places = [index for index, name in enumerate(classes) if name == target]
        if len(places) > 1:
            raise TargetError(
                f"target={visible(str(target))} is the name of several classes, {places}: give one of these "
                "indices"
            )
        return places[0]
    number = int(target) if isinstance(target, str) and target.isdecimal() else target
    if isinstance(number, int | np.integer) and not isinstance(number, bool) and 0 <= number < n_classes:
        return int(number)
    names = ", ".join((classes or ())[:8]) + (", ..." if classes is not None and len(classes) > 8 else "")
    allowed = ", ".join([*also, f"a class ({names})" if names else "a class"])
    raise TargetError(f"target={visible(str(target))} is neither {allowed} nor an index from 0 to {n_classes - 1}")


def check_classes(classes: Sequence[str] | None, n_classes: int) -> None:
    """Refuse class names that are not one an output.

    Raises:
        ValueError: saying how many there are of each.
    """
    if classes is not None and len(classes) != n_classes:
        raise ValueError(f"the network gives {n_classes} outputs a clip, but there are {len(classes)} class names")
