"""Paired differences between methods, networks and datasets: what the contrasts of claims are made of.

The unit is the video. What several networks say of one is averaged, over those on which every method of a claim
has a number for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lavx.report.hypotheses import Contrast
from lavx.report.study import by_video, shared
from lavx.report.tables import title

Values = NDArray[np.float64]


class Compared:
    """One metric of some methods, for contrasts.

    Args:
        table: rows with dataset, net, method, video_id and `column`.
        column: the metric.
        methods: those that a video must have to count.
        higher_is_better: its direction.
    """

    def __init__(
        self, table: pd.DataFrame, column: str, methods: Sequence[str], higher_is_better: bool = True
    ) -> None:
        self.column, self.methods, self.higher_is_better = column, tuple(methods), higher_is_better
        self.table = table
        self._shared = shared(table, column, methods)
        self._blocks: dict[tuple[str | None, str | None], pd.DataFrame] = {}

    @property
    def cells(self) -> list[tuple[str, str]]:
        """The (dataset, net) that have results."""
        pairs = self._shared.reset_index("video_id").index.unique().sort_values()
        return [(str(dataset), str(net)) for dataset, net in pairs]

    def blocks(self, dataset: str | None = None, net: str | None = None) -> pd.DataFrame:
        """A row a video, a column a method."""
        if (dataset, net) not in self._blocks:
            found = self._shared
            for key, value in (("dataset", dataset), ("net", net)):
                found = found if value is None else found[found.index.get_level_values(key) == value]
            self._blocks[dataset, net] = by_video(found)
        return self._blocks[dataset, net]

    def values(self, method: str, dataset: str | None = None, net: str | None = None) -> Values:
        """The numbers of a method, one a video."""
        return self.blocks(dataset, net)[method].to_numpy(dtype=np.float64)

    def better(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        factor: float = 1,
        margin: float = 0,
        dataset: str | None = None,
        net: str | None = None,
    ) -> list[Contrast]:
        """Of each pair the first is better, by at least `factor` and `margin`, within the videos.

        Args:
            pairs: (better, worse).
            factor: times which the worse one is taken, where higher is better.
            margin: by how much the first may even be worse (below 0: by how much it must be better).
            dataset: of the videos; None for all.
            net: None for all.
        """
        found, where = self.blocks(dataset, net), "".join(f" on {title(one)}" for one in (dataset, net) if one)
        sign = 1 if self.higher_is_better else -1
        word = "above" if self.higher_is_better else "below"
        times = "" if factor == 1 else f"{factor:g} times "
        return [
            Contrast(f"{title(a)} {word} {times}{title(b)}{where}", sign * (found[a] - factor * found[b]) + margin)
            for a, b in pairs
        ]

    def alike(self, pairs: Sequence[tuple[str, str]], margin: float) -> list[Contrast]:
        """The two of each pair differ by less than a margin: two one-sided tests each (Schuirmann 1987)."""
        found = self.blocks()
        return [
            Contrast(f"{title(a)} at most {margin:g} {word} {title(b)}", margin - sign * (found[a] - found[b]))
            for a, b in pairs
            for sign, word in ((1, "above"), (-1, "below"))
        ]

    def gap_between(self, first: str, second: str, low: float, high: float) -> list[Contrast]:
        """The first method exceeds the second by something from `low` to `high`."""
        found = self.blocks()
        gap = found[first] - found[second]
        name = f"{title(first)} minus {title(second)}"
        return [Contrast(f"{name} above {low:g}", gap - low), Contrast(f"{name} below {high:g}", high - gap)]

    def within(self, method: str, low: float, high: float) -> list[Contrast]:
        """A method's mean lies from `low` to `high`."""
        values = self.values(method)
        return [
            Contrast(f"{title(method)} above {low:g}", values - low),
            Contrast(f"{title(method)} below {high:g}", high - values),
        ]

    def higher_on(
        self, dataset: str, other: str, method: str | None, net: str | None = None, shift: float = 0, sign: int = 1
    ) -> Contrast:
        """A method, or the mean of all, is higher on one dataset than on another, whose videos are others.

        Args:
            dataset: where it is higher.
            other: where it is lower.
            method: None for the mean of all.
            net: None for the mean of all.
            shift: by how much more than this.
            sign: -1 for at most `shift` instead.
        """
        first, second = (
            blocks.mean(axis=1) if method is None else blocks[method]
            for blocks in (self.blocks(dataset, net), self.blocks(other, net))
        )
        who = "the mean of all methods" if method is None else title(method)
        where = "" if net is None else f", {title(net)}"
        how = f" by more than {shift:g}" if shift and sign > 0 else f" by less than {shift:g}" if sign < 0 else ""
        what = f"{who} on {title(dataset)} above {title(other)}{how}{where}"
        return Contrast(what, sign * (first - shift), sign * second)

    def better_on(self, net: str, others: Sequence[str], method: str) -> list[Contrast]:
        """A method is better on one network than on others, on the same videos."""
        wide = self._shared[method].unstack("net").reindex(columns=[net, *others]).dropna()
        sign = 1 if self.higher_is_better else -1
        return [
            Contrast(
                f"{title(method)} better on {title(net)} than on {title(other)}", sign * (wide[net] - wide[other])
            )
            for other in others
        ]


def nearly_linear(
    table: pd.DataFrame, columns: Sequence[str], methods: Sequence[str], most: float
) -> list[Contrast]:
    """Metrics in `columns`, in equal steps, rise in nearly a straight line, for each method.

    Per video, the part along the second orthogonal polynomial is compared with that along the first: its mean is
    at most `most` times as large, in either direction.
    """
    steps = np.arange(len(columns)) - (len(columns) - 1) / 2
    line = steps / np.linalg.norm(steps)
    bend = steps**2 - (steps**2).mean()
    bend /= np.linalg.norm(bend)
    contrasts = []
    for method in methods:
        own = table[table.method == method].dropna(subset=list(columns))
        own = own.groupby(["dataset", "video_id"])[list(columns)].mean()
        rises, bends = own.to_numpy() @ line, own.to_numpy() @ bend
        for sign in (1, -1):
            word = "upward" if sign > 0 else "downward"
            contrasts.append(Contrast(f"{title(method)} bends {word} little", most * rises - sign * bends))
    return contrasts
