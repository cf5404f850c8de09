"""What a classifier answers: one row a clip, of logits or probabilities, an entry for each class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax
from torch import Tensor

from lavx.types import OUTPUT_KINDS, OutputKind

_SUM_TOLERANCE = 1e-3  # of a row of probabilities, which half precision and quantization move from 1


def check_outputs(outputs: Tensor, n_clips: int, n_classes: int | None) -> Tensor:
    """The outputs, if they are one row a clip.

    Args:
        outputs: what the classifier answered.
        n_clips: how many clips it was given.
        n_classes: how many outputs it gave a clip before; None where these are the first.

    Raises:
        TypeError: if they are no tensor of real numbers.
        ValueError: if they are not (n_clips, K), with the same K each time.
    """
    if not isinstance(outputs, Tensor) or outputs.is_complex():
        raise TypeError(f"the network must answer with a tensor of real numbers, it gave {type(outputs).__name__}")
    shape = tuple(outputs.shape)
    if outputs.ndim != 2 or shape[0] != n_clips or shape[1] == 0:
        raise ValueError(
            f"the network must answer (batch, classes), a row a clip: for {n_clips} clips it gave {shape}"
        )
    if n_classes is not None and shape[1] != n_classes:
        raise ValueError(f"the network gave {n_classes} outputs for a clip before and {shape[1]} now")
    return outputs


def detect_output(rows: NDArray[np.floating]) -> OutputKind:
    """What outputs are, by the rows (n, K) for a clip and its baseline.

    Rows in [0, 1] that sum to 1 (within 0.001) are probabilities; rows with values outside [0, 1] are logits.

    Raises:
        ValueError: if they can be several things, asking for `output`.
    """
    if rows.shape[1] == 1:
        raise ValueError(
            "the network gives one number a clip, which can mean several things: give output=multilabel (a "
            "probability), multilabel_logits (before a sigmoid) or regression"
        )
    if rows.min() < 0 or rows.max() > 1:
        return "logits"
    sums = rows.sum(axis=1)
    if (np.abs(sums - 1) <= _SUM_TOLERANCE).all():
        return "probabilities"
    found = " and ".join(f"{total:.4g}" for total in sums)
    raise ValueError(
        f"the network's outputs lie in [0, 1] but sum to {found} for the clip and its baseline: give "
        f"output={'|'.join(OUTPUT_KINDS)}"
    )


def probabilities(outputs: NDArray[np.float64], kind: OutputKind) -> NDArray[np.float64]:
    """What outputs (..., K) say of each class, in [0, 1]; regression outputs as they are."""
    if kind == "logits":
        return np.asarray(softmax(outputs, axis=-1))
    return np.asarray(expit(outputs)) if kind == "multilabel_logits" else outputs


def class_index(target: int | str, classes: Sequence[str] | None, n_classes: int, also: Sequence[str] = ()) -> int:
    """The index of a class given by its name or its index.

    Args:
        target: the name or index.
        classes: the names; None where unknown.
        n_classes: how many there are.
        also: what else is allowed where the target comes from, for the message.

    Raises:
        ValueError: if there is no such class, listing those there are.
    """
    if classes is not None and target in classes:
        return list(classes).index(str(target))
    number = int(target) if isinstance(target, str) and target.isdecimal() else target
    if isinstance(number, int | np.integer) and not isinstance(number, bool) and 0 <= number < n_classes:
        return int(number)
    names = ", ".join((classes or ())[:8]) + (", ..." if classes is not None and len(classes) > 8 else "")
    allowed = ", ".join([*also, f"a class ({names})" if names else "a class"])
    raise ValueError(f"target={target} is neither {allowed} nor an index from 0 to {n_classes - 1}")


def check_classes(classes: Sequence[str] | None, n_classes: int) -> None:
    """Refuse class names that are not one an output.

    Raises:
        ValueError: saying how many there are of each.
    """
    if classes is not None and len(classes) != n_classes:
        raise ValueError(f"the network gives {n_classes} outputs a clip, but there are {len(classes)} class names")
