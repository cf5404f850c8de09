"""Which items a rater sees, in which order: drawn from the study's seed and the rater's number alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from lavx.errors import RequestError
from lavx.rating.items import ATTENTION, RATED, Group, Item
from lavx.rating.protocol import Protocol

PRACTICE, RATING, CHECK, REPEAT = "practice", "rating", "attention", "repeat"
KINDS = (PRACTICE, RATING, CHECK, REPEAT)


@dataclass(frozen=True)
class Trial:
    """One question to a rater.

    Attributes:
        kind: one of `KINDS`.
        item: number of the item that is shown, in pairs of the first.
        other: number of the second of a pair; None otherwise.
    """

    kind: str
    item: int
    other: int | None = None


class Scheduler:
    """Draws the trials of raters.

    Args:
        protocol: of the study.
        items: all of it, by number.

    Raises:
        RequestError: if the protocol asks for more than there is.
    """

    def __init__(self, protocol: Protocol, items: dict[int, Item]) -> None:
        self.protocol = protocol
        self.groups: dict[Group, dict[str, int]] = defaultdict(dict)
        self.controls: list[tuple[int, Group]] = []
        for number, item in sorted(items.items()):
            if item.role == RATED:
                self.groups[item.group][item.method] = number
            else:
                self.controls.append((number, item.group))
        self._check()

    def _check(self) -> None:
        protocol = self.protocol
        methods = len(next(iter(self.groups.values())))
        if protocol.design == "pairs" and methods < 2:
            raise RequestError(
                "design=pairs compares methods, and there is only one: give methods=[...] of two or more"
            )
        if protocol.items_per_rater is not None and protocol.items_per_rater < self.per_group:
            raise RequestError(
                f"items_per_rater must be at least {self.per_group}, a video with all {methods} methods, so that "
                f"they "
                f"are compared within raters and videos; got {protocol.items_per_rater}"
            )
        if protocol.repeats > self.n_items // 3:
            raise RequestError(
                f"repeats must be at most a third of a rater's {self.n_items} items, which they are to lie far "
                f"from; "
                f"got {protocol.repeats}"
            )
        if protocol.practice > self.n_items:
            raise RequestError(
                f"practice must be at most the number of a rater's items, {self.n_items}, got {protocol.practice}"
            )

    @property
    def per_group(self) -> int:
        """Ratings that a video on a network takes."""
        n = len(next(iter(self.groups.values())))
        return n * (n - 1) // 2 if self.protocol.design == "pairs" else n

    @property
    def n_groups(self) -> int:
        """Videos on networks that one rater sees."""
        asked = self.protocol.items_per_rater
        return len(self.groups) if asked is None else min(len(self.groups), asked // self.per_group)

    @property
    def n_items(self) -> int:
        """Ratings that count of one rater."""
        return self.n_groups * self.per_group

    def trials(self, rater: int, earlier: Sequence[set[Group]]) -> list[Trial]:
        """The trials of a rater in their order.

        Args:
            rater: number of the rater, from 0.
            earlier: what the raters before have been given.
        """
        rng = np.random.default_rng([self.protocol.seed, rater])
        chosen = self._block(earlier, rng)
        rated = [trial for group in chosen for trial in self._of_group(group, rng)]
        order = [rated[k] for k in rng.permutation(len(rated))]
        order = self._with_repeats(order, rng)
        for check in self._checks(rng):
            order.insert(int(rng.integers(1, len(order) + 1)), check)
        return [*self._practice(), *order]

    def _block(self, earlier: Sequence[set[Group]], rng: np.random.Generator) -> list[Group]:
        """The groups of one rater: those least often rated, and least often together.

        Every group is given to as many raters as any other, or one more; within a rater, datasets and networks
        are as balanced as the groups allow, and every pair of groups is met by as many raters as can be had.
        """
        groups = list(self.groups)
        if self.n_groups == len(groups):
            return groups
        counts = Counter(group for block in earlier for group in block)
        together = Counter(pair for block in earlier for pair in combinations(sorted(block), 2))
        chosen: list[Group] = []
        ties = {group: float(value) for group, value in zip(groups, rng.random(len(groups)), strict=True)}
        while len(chosen) < self.n_groups:
            strata = Counter(group[:2] for group in chosen)

            def rank(group: Group, strata: Counter[tuple[str, str]] = strata) -> tuple[float, ...]:
                met = sum(together[(min(group, other), max(group, other))] for other in chosen)
                return counts[group], strata[group[:2]], met, ties[group]

            chosen.append(min((group for group in groups if group not in chosen), key=rank))
        return chosen

    def _of_group(self, group: Group, rng: np.random.Generator) -> list[Trial]:
        numbers = list(self.groups[group].values())
        if self.protocol.design != "pairs":
            return [Trial(RATING, number) for number in numbers]
        pairs = list(combinations(numbers, 2))
        swapped = rng.random(len(pairs)) < 0.5
        return [Trial(RATING, *((b, a) if swap else (a, b))) for (a, b), swap in zip(pairs, swapped, strict=True)]

    def _with_repeats(self, order: list[Trial], rng: np.random.Generator) -> list[Trial]:
        """Repeats of items of the first third lie in the last one; those of pairs with the sides swapped."""
        third = len(order) // 3
        for k in rng.choice(third, self.protocol.repeats, replace=False) if self.protocol.repeats else ():
            first = order[k]
            again = Trial(REPEAT, first.item) if first.other is None else Trial(REPEAT, first.other, first.item)
            order.insert(int(rng.integers(2 * third, len(order) + 1)), again)
        return order

    def _checks(self, rng: np.random.Generator) -> list[Trial]:
        if self.protocol.design != "pairs":
            return [Trial(CHECK, number) for number, _ in self.controls]
        checks = []
        for number, group in self.controls:
            real = int(rng.choice(list(self.groups[group].values())))
            checks.append(Trial(CHECK, *((number, real) if rng.random() < 0.5 else (real, number))))
        return checks

    def _practice(self) -> list[Trial]:
        """The same for every rater, so that all learn the scale from the same items."""
        rng = np.random.default_rng([self.protocol.seed, 2**32])
        pool = [trial for group in self.groups for trial in self._of_group(group, rng)]
        chosen = rng.permutation(len(pool))[: self.protocol.practice]
        return [Trial(PRACTICE, pool[k].item, pool[k].other) for k in chosen]


def attention_items(items: Sequence[Item], n: int, seed: int) -> list[Item]:
    """Items whose heatmap will be random, over the frames of some that are rated.

    Raises:
        RequestError: if there are fewer videos than that.
    """
    groups = {item.group: item for item in items}
    if n > len(groups):
        raise RequestError(f"attention must be at most the number of videos on networks, {len(groups)}, got {n}")
    chosen = np.random.default_rng([seed, 2**32 + 1]).permutation(len(groups))[:n]
    sources = [list(groups.values())[k] for k in sorted(chosen)]
    return [Item(ATTENTION, s.dataset, s.net, "random", s.video_id, s.class_name, s.place) for s in sources]
