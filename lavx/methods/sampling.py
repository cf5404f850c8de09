"""Sampling: how many of a selection's coalitions are scored, and in how many rounds.

`rounds` is a generator: it yields coalitions and is sent their scores, so that a sampling may look at them
before it asks for more. Those here ask once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lavx import checks
from lavx.types import Drawable, Enumerable, Rounds, Selection


@dataclass(frozen=True)
class All:
    """Every coalition that the selection has, in one round."""

    one_round: ClassVar[bool] = True

    def check(self, selection: Selection) -> None:
        """Raise ValueError if the selection has no list of all its coalitions."""
        _enumerable(selection)

    def rounds(self, selection: Selection, n_regions: int, rng: np.random.Generator) -> Rounds:
        """Yield all coalitions of `n_regions` regions; `rng` is not used."""
        yield _enumerable(selection).enumerate(n_regions)


@dataclass(frozen=True)
class Budget:
    """A number of coalitions drawn at random, in one round.

    Args:
        n_samples: coalitions, each of which takes one forward pass; those of the clip and of the baseline are
            not counted; >= 1.
    """

    n_samples: int = 1000
    one_round: ClassVar[bool] = True

    def __post_init__(self) -> None:
        checks.whole("n_samples", self.n_samples)

    def check(self, selection: Selection) -> None:
        """Raise ValueError if the selection cannot draw."""
        _drawable(selection)

    def rounds(self, selection: Selection, n_regions: int, rng: np.random.Generator) -> Rounds:
        """Yield coalitions of `n_regions` regions, `n_samples` of them or what the selection makes of that."""
        yield _drawable(selection).draw(n_regions, self.n_samples, rng)


def _enumerable(selection: Selection) -> Enumerable:
    if not isinstance(selection, Enumerable):
        raise ValueError(
            f"All scores every coalition, and {type(selection).__name__} has no list of them, it only draws at "
            f"random: use Budget"
        )
    return selection


def _drawable(selection: Selection) -> Drawable:
    if not isinstance(selection, Drawable):
        raise ValueError(
            f"Budget draws at random, and {type(selection).__name__} has only a list of all its coalitions: "
            f"use All"
        )
    return selection
