"""Who is told how a training goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Observer:
    """Functions that a training calls.

    Attributes:
        stepped: told the iterations done and the loss of the last.
        validated: told the epochs (0 where the recipe counts iterations) and iterations done, and `top1`, `top5`
            and `median_score`, that of the right class, over the validation clips.
    """

    stepped: Callable[[int, float], object]
    validated: Callable[[int, int, dict[str, float]], object]
