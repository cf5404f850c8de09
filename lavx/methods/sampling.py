"""Sampling: how many of a selection's coalitions are scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lavx.methods.selection import Coalitions


class Selection(Protocol):
    """What a sampling asks of a selection (`lavx.methods.selection`)."""

    @property
    def kind(self) -> str:
        """What its rows are."""
        ...

    @property
    def samplings(self) -> tuple[str, ...]:
        """Names of the samplings it can be used with."""
        ...

    def enumerate(self, n_regions: int) -> Coalitions:
        """All coalitions it stands for."""
        ...

    def draw(self, n_regions: int, n_samples: int, rng: np.random.Generator) -> Coalitions:
        """A number of draws."""
        ...


def _check(selection: Selection, sampling: str) -> None:
    if sampling not in selection.samplings:
        why = {
            "all": f"selection of kind {selection.kind!r} draws at random: there is no list of all its samples",
            "budget": f"selection of kind {selection.kind!r} needs one sample for each region, not a budget",
        }[sampling]
        raise ValueError(f"{why}. Use method/sampling={' or '.join(selection.samplings)}.")


@dataclass(frozen=True)
class All:
    """Every coalition that the selection stands for."""

    def check(self, selection: Selection) -> None:
        """Refuse a selection that has no list of all its coalitions, before anything is computed.

        Raises:
            ValueError: with the reason.
        """
        _check(selection, "all")

    def __call__(self, selection: Selection, n_regions: int, rng: np.random.Generator) -> Coalitions:
        """The coalitions of `n_regions` regions; `rng` is not used."""
        return selection.enumerate(n_regions)


@dataclass(frozen=True)
class Budget:
    """A number of draws.

    Args:
        n_samples: passes through the network, those of the clip and the baseline not counted; >= 1.
    """

    n_samples: int = 1000

    def __post_init__(self) -> None:
        if isinstance(self.n_samples, bool) or not isinstance(self.n_samples, int) or self.n_samples < 1:
            raise ValueError(f"n_samples must be a whole number >= 1, got {self.n_samples!r}")

    def check(self, selection: Selection) -> None:
        """Refuse a selection that cannot draw, before anything is computed.

        Raises:
            ValueError: with the reason.
        """
        _check(selection, "budget")

    def __call__(self, selection: Selection, n_regions: int, rng: np.random.Generator) -> Coalitions:
        """Draw coalitions of `n_regions` regions."""
        return selection.draw(n_regions, self.n_samples, rng)
