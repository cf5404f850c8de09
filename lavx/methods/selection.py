"""Selection: which regions a sample keeps.

A selection can `enumerate` all the coalitions it stands for, `draw` some of them, or both; `All` needs the
first, `Budget` the second. `kind` names what the rows are, so that a summary can say whether it can use them.
The clip (all regions kept) and the baseline (none kept) are never among them: both are scored besides.

Shapes: R regions, S samples; a coalition is a row of bool (S, R), True = region kept.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from lavx import checks
from lavx.types import Coalitions, Kept

SIZES = ("uniform", "kernel")

_MOST_REGIONS = 16  # of a complete enumeration of coalitions: 65,534 forward passes
_MOST_PERMUTED = 7  # of a complete enumeration of permutations: 30,240 forward passes
_MOST_COALITIONS = 2**_MOST_REGIONS
_MOST_REDRAWS = 100  # of repeated rows; each is expected to resolve at least half of them


def _equally(kept: Kept, units: NDArray[np.int64] | None = None) -> Coalitions:
    """Coalitions that weigh the same; a unit each where no units are given."""
    return Coalitions(kept, np.ones(len(kept)), np.arange(len(kept)) if units is None else units)


def _listed(kept: Kept) -> NDArray[np.int64]:
    """The units of coalitions that are there whatever is drawn."""
    return np.full(len(kept), -1)


def _subsets(n: int, size: int) -> Kept:
    """All subsets of `size` out of n: bool (C(n, size), n), in lexicographic order."""
    count = math.comb(n, size)
    members = itertools.chain.from_iterable(itertools.combinations(range(n), size))
    kept = np.zeros((count, n), dtype=bool)
    np.put_along_axis(kept, np.fromiter(members, np.int64, count * size).reshape(count, size), True, axis=1)
    return kept


@dataclass(frozen=True)
class LeaveOneOut:
    """All regions but one, R rows: row i keeps all but region i.

    It has no `draw`: a region whose row is missing would get no value.

    Source: Lei et al. 2018 (LOCO); Zeiler and Fergus 2014 (occlusion).
    """

    kind: ClassVar[str] = "leave_one_out"

    def enumerate(self, n_regions: int) -> Coalitions:
        """All R coalitions, in the order of the regions."""
        kept = ~np.eye(checks.whole("n_regions", n_regions), dtype=bool)
        return _equally(kept, _listed(kept))


@dataclass(frozen=True)
class OnlyOne:
    """A single region, R rows: row i keeps region i.

    It has no `draw`: a region whose row is missing would get no value.

    Source: Guyon and Elisseeff 2003 (single variable predictors).
    """

    kind: ClassVar[str] = "only_one"

    def enumerate(self, n_regions: int) -> Coalitions:
        """All R coalitions, in the order of the regions."""
        kept = np.eye(checks.whole("n_regions", n_regions), dtype=bool)
        return _equally(kept, _listed(kept))


@dataclass(frozen=True)
class Bernoulli:
    """Each region is kept independently of the others.

    Source: Petsiuk et al. 2018 (RISE); Ribeiro et al. 2016 (LIME), section 3.3, with p = 0.5.

    Args:
        p_keep: probability that a region is kept, in (0, 1).
    """

    p_keep: float = 0.5
    kind: ClassVar[str] = "independent"

    def __post_init__(self) -> None:
        checks.inside_unit("p_keep", self.p_keep)

    def draw(self, n_regions: int, n_samples: int, rng: np.random.Generator) -> Coalitions:
        """Draw `n_samples` coalitions."""
        shape = checks.whole("n_samples", n_samples), checks.whole("n_regions", n_regions)
        return _equally(rng.random(shape, dtype=np.float32) < self.p_keep)


@dataclass(frozen=True)
class ExactlyK:
    """The same number of regions in every sample, each choice of them as likely as any other.

    Args:
        k: regions kept, 1 to R - 1; None where `fraction` is given.
        fraction: share of the regions kept, in (0, 1), rounded to at least one kept and one removed; None
            where `k` is given.
    """

    k: int | None = None
    fraction: float | None = None
    kind: ClassVar[str] = "exactly_k"

    def __post_init__(self) -> None:
        if (self.k is None) == (self.fraction is None):
            raise ValueError(f"give either k or fraction, got k={self.k} and fraction={self.fraction}")
        if self.k is not None:
            checks.whole("k", self.k)
        if self.fraction is not None:
            checks.inside_unit("fraction", self.fraction)

    def enumerate(self, n_regions: int) -> Coalitions:
        """All choices of k regions, where they are at most 65,536."""
        k = self._size(n_regions)
        if math.comb(n_regions, k) > _MOST_COALITIONS:
            raise ValueError(
                f"ExactlyK has more than {_MOST_COALITIONS} ways to keep {k} of {n_regions} regions: draw some of "
                f"them with Budget"
            )
        kept = _subsets(n_regions, k)
        return _equally(kept, _listed(kept))

    def draw(self, n_regions: int, n_samples: int, rng: np.random.Generator) -> Coalitions:
        """Draw `n_samples` coalitions, independently of each other."""
        checks.whole("n_samples", n_samples)
        first = np.arange(n_regions) < self._size(n_regions)
        return _equally(rng.permuted(np.tile(first, (n_samples, 1)), axis=1))

    def _size(self, n_regions: int) -> int:
        checks.whole("n_regions", n_regions)
        if self.k is None:
            assert self.fraction is not None
            return min(max(1, round(self.fraction * n_regions)), max(1, n_regions - 1))
        if self.k >= n_regions:
            raise ValueError(
                f"k must be less than the number of regions, got k={self.k} for {n_regions} regions: give "
                f"fraction instead, which fits any number of them"
            )
        return self.k


@dataclass(frozen=True)
class ShapleyKernel:
    """The coalitions of Kernel SHAP: weighted least squares over them gives Shapley values.

    All coalitions of a size are enumerated, smallest and largest sizes first, as long as the budget holds what
    falls to them; the rest of the budget is spread evenly over the sizes in between and drawn there, without
    duplicates. Within a size, draws come from cuts of one permutation, so that no region is kept much more
    often than another. Every row carries the share of the kernel's mass that it stands for, whatever the rule
    it was drawn by.

    Sizes are drawn uniformly by default rather than by the kernel: with the weights corrected both estimate
    the same regression, and uniform sizes are the ones that its leverage scores ask for. Measured against
    sizes drawn by the kernel, the error is about the same at 12 regions and about a quarter less at 100 and 200.

    Source: Lundberg and Lee 2017, theorem 2 (kernel); Covert and Lee 2021 (pairs); Musco and
    Witter 2025 (Leverage SHAP: sizes); the enumeration from outside in is that of `shap.KernelExplainer`.

    Args:
        paired: draw each coalition together with its complement, which cancels all interactions of even order.
        sizes: "uniform", or "kernel" for sizes drawn in proportion to the kernel's mass.
    """

    paired: bool = True
    sizes: str = "uniform"
    kind: ClassVar[str] = "shapley"

    def __post_init__(self) -> None:
        checks.boolean("paired", self.paired)
        checks.one_of("sizes", self.sizes, SIZES)

    def enumerate(self, n_regions: int) -> Coalitions:
        """All 2^R - 2 coalitions, where R is at most 16."""
        checks.whole("n_regions", n_regions)
        if n_regions > _MOST_REGIONS:
            raise ValueError(
                f"all coalitions of {n_regions} regions are 2^{n_regions} - 2, and at most {_MOST_REGIONS} "
                f"regions can be enumerated: draw some of them with Budget"
            )
        return _of_whole_sizes(n_regions, n_regions // 2)

    def draw(self, n_regions: int, n_samples: int, rng: np.random.Generator) -> Coalitions:
        """Draw at most `n_samples` coalitions, none of them twice.

        Fewer than `n_samples` only where there are no more, or where a pair does not fit (an odd rest).
        """
        checks.whole("n_regions", n_regions)
        checks.whole("n_samples", n_samples)
        if n_samples == 1 and self.paired:
            raise ValueError("n_samples must be at least 2, a coalition and its complement, got 1")
        last = n_regions // 2
        if n_regions < 2 or (n_regions < 64 and n_samples >= 2**n_regions - 2):
            return _of_whole_sizes(n_regions, last)

        # "Size s" stands here for both s and R - s: the kernel weighs them the same, and pairs come from both.
        masses = np.array([_mass(n_regions, size) for size in range(1, last + 1)])
        shares = self._shares(n_regions, masses)
        done, rest = _whole_sizes(n_regions, n_samples, shares)
        whole = _of_whole_sizes(n_regions, done)
        drawn, weights = self._drawn(n_regions, rest, masses[done:], shares[done:], done + 1, rng)

        # The kernel's mass on the drawn sizes is known exactly. Scaling the drawn rows to it leaves to chance only
        # how the mass lies within those sizes, and all weights together are 1.
        weights *= masses[done:].sum() / masses.sum() / weights.sum()
        whole_weights = whole.weights * (masses[:done].sum() / masses.sum())
        units = np.arange(len(drawn)) // (2 if self.paired else 1)
        return Coalitions(
            np.concatenate([whole.kept, drawn]),
            np.concatenate([whole_weights, weights]),
            np.concatenate([whole.units, units]),
        )

    def _shares(self, n_regions: int, masses: NDArray[np.float64]) -> NDArray[np.float64]:
        """How the budget is spread over the sizes 1 to R // 2, up to a factor."""
        if self.sizes == "kernel":
            return masses
        shares = np.ones(len(masses))
        # The middle size of an even R is R - s as well: it stands for one size where the others stand for two.
        shares[-1] = 1 if n_regions % 2 else 0.5
        return shares

    def _drawn(
        self,
        n_regions: int,
        n_rows: int,
        masses: NDArray[np.float64],
        shares: NDArray[np.float64],
        smallest: int,
        rng: np.random.Generator,
    ) -> tuple[Kept, NDArray[np.float64]]:
        """Rows of the sizes from `smallest` to the middle and their complements', and weights up to a factor."""
        sizes = np.arange(smallest, smallest + len(masses))
        if self.paired:
            n_draws = n_rows // 2
        else:
            # Each side of the middle is drawn for itself, so that s and R - s share what belonged to both.
            twice = sizes[2 * sizes != n_regions][::-1]
            masses = np.concatenate([masses, masses[: len(twice)][::-1]])
            shares = np.concatenate([shares, shares[: len(twice)][::-1]])
            masses[[*range(len(twice)), *range(-len(twice), 0)]] /= 2
            shares[[*range(len(twice)), *range(-len(twice), 0)]] /= 2
            sizes = np.concatenate([sizes, n_regions - twice])
            n_draws = n_rows

        # Systematic sampling: the draws stand at equal steps along the stacked shares, and one random offset moves
        # them all. Each size is hit as often as its share says, to within one draw; independent draws would miss
        # that by about the root of it, which the regression would see as noise.
        steps = (np.arange(n_draws) + rng.random()) / n_draws
        chosen = np.searchsorted(np.cumsum(shares)[:-1] / shares.sum(), steps, side="right")
        kept = _distinct(n_regions, sizes[chosen], self.paired, rng)

        # A size of share q and mass m is drawn about n q times; m / q for each of its rows restores m.
        weights = masses[chosen] / shares[chosen]
        if self.paired:
            kept = np.stack([kept, ~kept], axis=1).reshape(-1, n_regions)
            weights = np.repeat(weights, 2)
        return kept, weights


def _mass(n_regions: int, size: int) -> float:
    """Mass of the Shapley kernel on all coalitions of `size` or R - `size` regions, up to a factor.

    The kernel of a coalition of s regions is (R - 1) / (C(R, s) s (R - s)). There are C(R, s) of them, which
    cancels: however many coalitions a size has, together they weigh 1 / (s (R - s)).
    """
    return (1 if 2 * size == n_regions else 2) / (size * (n_regions - size))


def _whole_sizes(n_regions: int, n_samples: int, shares: NDArray[np.float64]) -> tuple[int, int]:
    """How many sizes, from the smallest on, can be enumerated; and the rows that are left of the budget.

    Enumerated coalitions are exact where drawn ones are noisy. A size is worth it as soon as what would fall to
    it of the budget that is left pays for all its coalitions.
    """
    rest = n_samples
    for i in range(len(shares)):
        size = i + 1
        count = math.comb(n_regions, size) * (1 if 2 * size == n_regions else 2)
        if rest * shares[i] / shares[i:].sum() < count:
            return i, rest
        rest -= count
    return len(shares), rest


def _of_whole_sizes(n_regions: int, last: int) -> Coalitions:
    """All coalitions of 1 to `last` regions and their complements: a size's mass is shared within it."""
    rows = [_with_complements(n_regions, size) for size in range(1, last + 1)]
    masses = [_mass(n_regions, size) for size in range(1, last + 1)]
    kept = np.concatenate([np.empty((0, n_regions), dtype=bool), *rows])
    weights = np.concatenate(
        [np.empty(0), *(np.full(len(r), m / len(r)) for r, m in zip(rows, masses, strict=True))]
    )
    return Coalitions(kept, weights / weights.sum() if len(weights) else weights, _listed(kept))


def _with_complements(n_regions: int, size: int) -> Kept:
    """All coalitions of `size` and R - `size` regions, each followed by its complement."""
    kept = _subsets(n_regions, size)
    if 2 * size == n_regions:
        kept = kept[kept[:, 0]]  # the others are the complements of these
    return np.stack([kept, ~kept], axis=1).reshape(-1, n_regions)


def _distinct(n_regions: int, sizes: NDArray[np.int64], paired: bool, rng: np.random.Generator) -> Kept:
    """One coalition of each of the sizes (ascending), no two the same (if paired: nor complements).

    Each row is uniform over the coalitions of its size. A coalition drawn twice would be a forward pass spent
    on a score that is known.
    """
    kept = _cuts(n_regions, sizes, paired, rng)
    crowded = _draw_crowded(kept, sizes, paired, rng)
    # Only a pair of halves can be the same pair in another order: of those, the one with region 0 stands for both.
    mirrored = (2 * sizes == n_regions) & paired
    for _ in range(_MOST_REDRAWS):
        again = _repeated(kept ^ (mirrored & ~kept[:, 0])[:, None]) & ~crowded
        if not again.any():
            break
        # Shuffling a row keeps its size. At most half of the size's coalitions are taken (the others are
        # crowded), so that a shuffle succeeds with a chance of at least 1/2: no repeat lives to the last round.
        kept[again] = rng.permuted(kept[again], axis=1)
    return kept


def _cuts(n_regions: int, sizes: NDArray[np.int64], paired: bool, rng: np.random.Generator) -> Kept:
    """Rows of a size as consecutive cuts of a permutation of the regions, a new one where it is used up.

    For 3 of 9 regions, one permutation gives three rows that share no region. Each row alone is as random as
    before, but together they keep every region equally often, which independent rows do only in the mean: the
    columns of the regression are balanced at no cost. Sizes above the middle are cut as the complement, whose
    size is small, or a permutation would hold only one of them.
    """
    small = np.minimum(sizes, n_regions - sizes)
    _, first, inverse = np.unique(sizes, return_index=True, return_inverse=True)
    index = np.arange(len(sizes)) - first[inverse]  # of the row among those of its size
    # Two cuts of half the regions are complements of each other: as pairs, the same pair twice.
    n_cuts = np.where(paired & (2 * small == n_regions), 1, n_regions // small)
    permutation = np.unique(np.stack([sizes, index // n_cuts]), axis=1, return_inverse=True)[1].ravel()
    places = np.tile(np.arange(n_regions, dtype=np.int32), (permutation.max() + 1, 1))
    places = rng.permuted(places, axis=1)[permutation]
    low = (index % n_cuts * small)[:, None].astype(np.int32)
    kept: Kept = (places >= low) & (places < low + small[:, None].astype(np.int32))
    kept ^= (small != sizes)[:, None]
    return kept


def _draw_crowded(
    kept: Kept, sizes: NDArray[np.int64], paired: bool, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Replace the rows of sizes that have fewer than twice as many coalitions as are drawn, in place.

    Redrawing until no two are the same would take ever longer there; such sizes have few coalitions, so that
    they can be listed and drawn from without replacement.

    Returns:
        bool (S,): which rows these are.
    """
    n_regions = kept.shape[1]
    crowded = np.zeros(len(sizes), dtype=bool)
    for size, begin, count in zip(*map(np.ndarray.tolist, _runs(sizes)), strict=True):
        half = paired and 2 * size == n_regions
        if math.comb(n_regions, size) < 2 * count * (2 if half else 1):
            every = _subsets(n_regions, size)
            every = every[every[:, 0]] if half else every
            kept[begin : begin + count] = every[rng.permutation(len(every))[:count]]
            crowded[begin : begin + count] = True
    return crowded


def _runs(sizes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.intp], NDArray[np.intp]]:
    """The different sizes, where the rows of each begin, and how many they are."""
    return np.unique(sizes, return_index=True, return_counts=True)


def _repeated(kept: Kept) -> NDArray[np.bool_]:
    """Which rows are the same as an earlier one."""
    packed = np.packbits(kept, axis=1)
    packed = packed.view(f"V{packed.shape[1]}").ravel()  # a row as one value, which is what np.unique is fast on
    again = np.ones(len(kept), dtype=bool)
    again[np.unique(packed, return_index=True)[1]] = False
    return again


@dataclass(frozen=True)
class Permutation:
    """Regions added one after the other in random order: each sample keeps one more than the one before.

    A permutation gives R - 1 rows, keeping its first 1, 2, ..., R - 1 regions.

    Source: Castro et al. 2009; Mitchell et al. 2022 (antithetic).

    Args:
        antithetic: follow each permutation by the same one backwards.
    """

    antithetic: bool = True
    kind: ClassVar[str] = "permutation"

    def __post_init__(self) -> None:
        checks.boolean("antithetic", self.antithetic)

    def enumerate(self, n_regions: int) -> Coalitions:
        """The rows of all R! permutations, where R is at most 7."""
        checks.whole("n_regions", n_regions)
        if n_regions > _MOST_PERMUTED:
            raise ValueError(
                f"{n_regions} regions have {n_regions}! permutations, and at most {_MOST_PERMUTED} regions can be "
                f"enumerated: draw some of them with Budget"
            )
        every = _prefixes(np.array(list(itertools.permutations(range(n_regions)))))
        return _equally(every, _listed(every))

    def draw(self, n_regions: int, n_samples: int, rng: np.random.Generator) -> Coalitions:
        """Draw as many whole permutations as `n_samples` rows hold."""
        checks.whole("n_regions", n_regions)
        checks.whole("n_samples", n_samples)
        count = n_samples // max(1, n_regions - 1)
        if count == 0:
            raise ValueError(
                f"a permutation of {n_regions} regions takes {n_regions - 1} samples, got n_samples={n_samples}: "
                f"raise n_samples or use fewer regions"
            )
        n_drawn = (count + 1) // 2 if self.antithetic else count
        places = rng.permuted(np.tile(np.arange(n_regions), (n_drawn, 1)), axis=1)
        if self.antithetic:
            places = np.stack([places, n_regions - 1 - places], axis=1).reshape(-1, n_regions)[:count]
        units = np.repeat(np.arange(count) // (2 if self.antithetic else 1), n_regions - 1)
        return _equally(_prefixes(places), units)


def _prefixes(places: NDArray[np.int64]) -> Kept:
    """The rows of permutations given by the place of each region, (P, R)."""
    n_regions = places.shape[1]
    kept = places[:, None, :] < np.arange(1, n_regions)[None, :, None]
    return kept.reshape(-1, n_regions)
