"""Sampling: how many of a selection's coalitions are scored, and in how many rounds.

`rounds` is a generator: it yields coalitions and is sent their scores, so that a sampling may look at them
before it asks for more. `All` and `Budget` ask once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lavx import checks
from lavx.types import Drawable, Enumerable, Estimating, Rounds, Selection, Summary


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
        _drawable(selection, self)

    def rounds(self, selection: Selection, n_regions: int, rng: np.random.Generator) -> Rounds:
        """Yield coalitions of `n_regions` regions, `n_samples` of them or what the selection makes of that."""
        yield _drawable(selection, self).draw(n_regions, self.n_samples, rng)


@dataclass(frozen=True)
class Adaptive:
    """As many coalitions as it takes until the attribution is known well enough.

    Coalitions are drawn in rounds that end at numbers of samples in equal ratios. After each the error is looked
    at that the summary gives for all of them: the mean squared standard error, as a share of the variance of the
    attribution over the regions, which is 1 - the estimated retest correlation. The draws never depend on the
    scores; whether there are more of them does. An error that is small by chance would end the sampling too
    early and then be reported, so that two looks in a row have to find it small enough, and the larger of the two
    is reported.

    Args:
        tolerance: the error that is small enough, in (0, 1).
        minimum: coalitions of the first round.
        maximum: coalitions after which sampling ends in any case.
        n_looks: rounds at most, >= 2.
    """

    tolerance: float = 0.1
    minimum: int = 100
    maximum: int = 1000
    n_looks: int = 6
    one_round: ClassVar[bool] = False

    def __post_init__(self) -> None:
        checks.inside_unit("tolerance", self.tolerance)
        checks.whole("minimum", self.minimum)
        checks.whole("n_looks", self.n_looks, 2)
        if checks.whole("maximum", self.maximum) < self.minimum:
            raise ValueError(f"maximum must be at least minimum={self.minimum}, got {self.maximum}")

    def check(self, selection: Selection) -> None:
        """Raise ValueError if the selection cannot draw."""
        _drawable(selection, self)

    def check_summary(self, summary: Summary) -> None:
        """Raise ValueError if the summary does not know how far off it is."""
        if not isinstance(summary, Estimating):
            raise ValueError(
                f"Adaptive stops by the summary's own error, and {type(summary).__name__} does not say one: use "
                f"Budget, or a summary with estimate(), such as CrossFittedShapley"
            )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Coalitions drawn in all by the end of each round."""
        steps = np.geomspace(self.minimum, self.maximum, self.n_looks)
        return tuple(dict.fromkeys(2 * round(step / 2) if step < self.maximum else self.maximum for step in steps))

    def rounds(self, selection: Selection, n_regions: int, rng: np.random.Generator) -> Rounds:
        """Yield coalitions up to the maximum; whoever plays them stops by `settled`."""
        drawing, drawn = _drawable(selection, self), 0
        every = drawing.draw(n_regions, self.maximum, rng)
        if not every.drawn.any():  # so few that they are all listed
            yield every
            return
        for size in self.sizes:
            coalitions = drawing.draw(n_regions, size - drawn, rng)
            drawn += len(coalitions)
            yield coalitions

    def settled(self, errors: Sequence[float]) -> bool:
        """Whether the last two of the errors found so far are small enough."""
        return len(errors) > 1 and max(errors[-2:]) <= self.tolerance


def _enumerable(selection: Selection) -> Enumerable:
    if not isinstance(selection, Enumerable):
        raise ValueError(
            f"All scores every coalition, and {type(selection).__name__} has no list of them, it only draws at "
            f"random: use Budget"
        )
    return selection


def _drawable(selection: Selection, sampling: object) -> Drawable:
    if not isinstance(selection, Drawable):
        raise ValueError(
            f"{type(sampling).__name__} draws at random, and {type(selection).__name__} has only a list of all "
            f"its coalitions: use All"
        )
    return selection
