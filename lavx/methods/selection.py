"""Selection: which regions a sample keeps.

Every selection can do one or both of: `enumerate` all coalitions it stands for, and `draw` a number of them.
`kind` names what the rows are, so that a summary can say whether it understands them. The clip itself (all
kept) and the baseline (none kept) are never among them: the explainer always scores both besides.

Shapes: R regions, S samples; a coalition is a row of bool (S, R), True = region kept.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

SIZES = ("uniform", "kernel")

_MOST_REGIONS = 16  # of a complete enumeration of coalitions: 65,534 passes
_MOST_PERMUTED = 7  # of a complete enumeration of permutations: 30,240 passes
_MOST_COALITIONS = 2**_MOST_REGIONS
_MOST_ROUNDS = 100  # of replacing duplicates; each replaces at least half of them in the mean

Kept = NDArray[np.bool_]


@dataclass(frozen=True)
class Coalitions:
    """Which regions each sample keeps.

    Attributes:
        kept: bool (S, R), True = region kept.
        weights: float64 (S,), > 0. For kind "shapley" the share of the Shapley kernel's mass that the row
            stands for, of all rows together 1; otherwise ones.

    Raises:
        ValueError: if the shapes do not fit or a weight is not a positive number.
    """

    kept: Kept
    weights: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.kept.ndim != 2 or self.kept.dtype != np.bool_:
            raise ValueError(f"kept must be bool (S, R), got {self.kept.dtype} {self.kept.shape}")
        if self.weights.shape != self.kept.shape[:1]:
            raise ValueError(f"weights must be ({len(self.kept)},), one a row, got {self.weights.shape}")
        if not (np.isfinite(self.weights) & (self.weights > 0)).all():
            raise ValueError("weights must be positive numbers, one a row")

    def __len__(self) -> int:
        return len(self.kept)


def _equally(kept: Kept) -> Coalitions:
    return Coalitions(kept, np.ones(len(kept)))


def _check_count(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be a whole number >= 1, got {value!r}")


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

    Source: Lei et al. 2018 (LOCO); Zeiler and Fergus 2014 (occlusion).
    """

    kind: ClassVar[str] = "leave_one_out"
    samplings: ClassVar[tuple[str, ...]] = ("all",)

    def enumerate(self, n_regions: int) -> Coalitions:
        """All R coalitions, in the order of the regions."""
        _check_count("n_regions", n_regions)
        return _equally(~np.eye(n_regions, dtype=bool))

    def draw(self, n_regions: int, n_samples: int, rng: np.random.Generator) -> Coalitions:
        """Refused: with some rows missing, their regions would get no value."""
        raise _only_all(self.kind, n_regions)


@dataclass(frozen=True)
class OnlyOne:
    """A single region, R rows: row i keeps region i.

    Source: Guyon and Elisseeff 2003 (single variable predictors).
    """

    kind: ClassVar[str] = "only_one"
    samplings: ClassVar[tuple[str, ...]] = ("all",)

    def enumerate(self, n_regions: int) -> Coalitions:
        """All R coalitions, in the order of the regions."""
        _check_count("n_regions", n_regions)
        return _equally(np.eye(n_regions, dtype=bool))

    def draw(self, n_regions: int, n_samples: int, rng: np.random.Generator) -> Coalitions:
        """Refused: with some rows missing, their regions would get no value."""
        raise _only_all(self.kind, n_regions)


def _only_all(kind: str, n_regions: int) -> ValueError:
    return ValueError(
        f"selection {kind} needs one sample for each of the {n_regions} regions and cannot draw fewer. "
        f"Use method/sampling=all, or fewer regions."
    )


@dataclass(frozen=True)
class Bernoulli:
    """Each region is kept independently of the others.

    Source: Petsiuk et al. 2018 (RISE); Ribeiro et al. 2016 (LIME), section 3.3, with p = 0.5.

    Args:
        p_keep: probability that a region is kept, in (0, 1).
    """

    p_keep: float = 0.5
    kind: ClassVar[str] = "independent"
    samplings: ClassVar[tuple[str, ...]] = ("budget",)

    def __post_init__(self) -> None:
        number = isinstance(self.p_keep, int | float) and not isinstance(self.p_keep, bool)
        if not number or not 0 < self.p_keep < 1:
            raise ValueError(f"p_keep must be in (0, 1), got {self.p_keep!r}")

    def enumerate(self, n_regions: int) -> Coalitions:
        """Refused: its rows are random."""
        raise ValueError(
            "selection bernoulli draws at random and has no list of all its samples. "
            "Use method/sampling=budget with method.sampling.n_samples."
        )

    def draw(self, n_regions: int, n_samples: int, rng: np.random.Generator) -> Coalitions:
        """Draw `n_samples` coalitions."""
        _check_count("n_regions", n_regions)
        _check_count("n_samples", n_samples)
        return _equally(rng.random((n_samples, n_regions), dtype=np.float32) < self.p_keep)


@dataclass(frozen=True)
class ExactlyK:
    """The same number of regions in every sample, each choice of them as likely as any other.

    Args:
        k: regions kept, 1 to R - 1; null where `fraction` is given.
        fraction: share of the regions kept, in (0, 1), rounded to at least one kept and one removed; null
            where `k` is given.
    """

    k: int | None = None
    fraction: float | None = None
    kind: ClassVar[str] = "exactly_k"
    samplings: ClassVar[tuple[str, ...]] = ("all", "budget")

    def __post_init__(self) -> None:
        if (self.k is None) == (self.fraction is None):
            raise ValueError(f"give either k or fraction, got k={self.k} and fraction={self.fraction}")
        if self.k is not None:
            _check_count("k", self.k)
        if self.fraction is not None:
            number = isinstance(self.fraction, int | float) and not isinstance(self.fraction, bool)
            if not number or not 0 < self.fraction < 1:
                raise ValueError(f"fraction must be in (0, 1), got {self.fraction!r}")

    def enumerate(self, n_regions: int) -> Coalitions:
        """All choices of k regions, where they are at most 65,536."""
        k = self._size(n_regions)
        if math.comb(n_regions, k) > _MOST_COALITIONS:
            raise ValueError(
                f"selection exactly_k has more than {_MOST_COALITIONS} ways to keep {k} of {n_regions} regions. "
                f"Use method/sampling=budget."
            )
        return _equally(_subsets(n_regions, k))

    def draw(self, n_regions: int, n_samples: int, rng: np.random.Generator) -> Coalitions:
        """Draw `n_samples` coalitions, independently of each other."""
        _check_count("n_samples", n_samples)
        first = np.arange(n_regions) < self._size(n_regions)
        return _equally(rng.permuted(np.tile(first, (n_samples, 1)), axis=1))

    def _size(self, n_regions: int) -> int:
        _check_count("n_regions", n_regions)
        if self.k is None:
            assert self.fraction is not None
            return min(max(1, round(self.fraction * n_regions)), max(1, n_regions - 1))
        if self.k >= n_regions:
            raise ValueError(
                f"k must be less than the number of regions, got k={self.k} for {n_regions} regions. "
                f"Use method.selection.fraction, which fits any number of them."
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
    samplings: ClassVar[tuple[str, ...]] = ("all", "budget")

    def __post_init__(self) -> None:
        if not isinstance(self.paired, bool):
            raise ValueError(f"paired must be true or false, got {self.paired!r}")
        if self.sizes not in SIZES:
            raise ValueError(f"sizes must be one of {', '.join(SIZES)}, got {self.sizes!r}")

    def enumerate(self, n_regions: int) -> Coalitions:
        """All 2^R - 2 coalitions, where R is at most 16."""
        _check_count("n_regions", n_regions)
        if n_regions > _MOST_REGIONS:
            raise ValueError(
                f"all coalitions of {n_regions} regions are 2^{n_regions} - 2; at most {_MOST_REGIONS} regions "
                f"can be enumerated. Use method/sampling=budget."
            )
        every = [_both(n_regions, size) for size in range(1, n_regions // 2 + 1)]
        return _joined(n_regions, every, [_mass(n_regions, size) for size in range(1, len(every) + 1)])

    def draw(self, n_regions: int, n_samples: int, rng: np.random.Generator) -> Coalitions:
        """Draw at most `n_samples` coalitions, none of them twice.

        Fewer than `n_samples` only where there are no more, or where a pair does not fit (an odd rest).
        """
        _check_count("n_regions", n_regions)
        _check_count("n_samples", n_samples)
        if n_samples == 1 and self.paired:
            raise ValueError("n_samples must be at least 2, a coalition and its complement, got 1")
        last = n_regions // 2
        if n_regions < 2 or (n_regions < 64 and n_samples >= 2**n_regions - 2):
            return _joined(
                n_regions,
                [_both(n_regions, size) for size in range(1, last + 1)],
                [_mass(n_regions, size) for size in range(1, last + 1)],
            )
        masses = np.array([_mass(n_regions, size) for size in range(1, last + 1)])
        if self.sizes == "kernel":
            shares = masses
        else:
            shares = np.ones(last)
            shares[-1] = 1 if n_regions % 2 else 0.5  # the middle size is its own complement
        rows: list[Kept] = []
        rest = n_samples
        for size in range(1, last + 1):
            count = math.comb(n_regions, size) * (1 if 2 * size == n_regions else 2)
            if rest * shares[size - 1] / shares[size - 1 :].sum() < count:
                break
            rows.append(_both(n_regions, size))
            rest -= count
        done = len(rows)
        whole = _joined(n_regions, rows, masses[:done].tolist())
        drawn, weights = self._drawn(n_regions, rest, masses[done:], shares[done:], done + 1, rng)
        weights *= masses[done:].sum() / masses.sum() / weights.sum()
        whole_weights = whole.weights * (masses[:done].sum() / masses.sum())
        return Coalitions(np.concatenate([whole.kept, drawn]), np.concatenate([whole_weights, weights]))

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
        else:  # each side of the middle is drawn for itself
            twice = sizes[2 * sizes != n_regions][::-1]
            masses = np.concatenate([masses, masses[: len(twice)][::-1]])
            shares = np.concatenate([shares, shares[: len(twice)][::-1]])
            masses[[*range(len(twice)), *range(-len(twice), 0)]] /= 2
            shares[[*range(len(twice)), *range(-len(twice), 0)]] /= 2
            sizes = np.concatenate([sizes, n_regions - twice])
            n_draws = n_rows
        # Systematic sampling: one offset for all, so that each size gets its share of the draws to within one.
        steps = (np.arange(n_draws) + rng.random()) / n_draws
        chosen = np.searchsorted(np.cumsum(shares)[:-1] / shares.sum(), steps, side="right")
        kept = _distinct(n_regions, sizes[chosen], self.paired, rng)
        weights = masses[chosen] / shares[chosen]
        if self.paired:
            kept = np.stack([kept, ~kept], axis=1).reshape(-1, n_regions)
            weights = np.repeat(weights, 2)
        return kept, weights


def _mass(n_regions: int, size: int) -> float:
    """Mass of the Shapley kernel on all coalitions of `size` or R - `size` regions, up to a factor."""
    return (1 if 2 * size == n_regions else 2) / (size * (n_regions - size))


def _both(n_regions: int, size: int) -> Kept:
    """All coalitions of `size` and R - `size` regions, each followed by its complement."""
    kept = _subsets(n_regions, size)
    if 2 * size == n_regions:
        kept = kept[kept[:, 0]]
    return np.stack([kept, ~kept], axis=1).reshape(-1, n_regions)


def _joined(n_regions: int, rows: list[Kept], masses: list[float]) -> Coalitions:
    """Whole sizes; the masses are shared within each, and all weights sum to 1."""
    kept = np.concatenate([np.empty((0, n_regions), dtype=bool), *rows])
    weights = np.concatenate(
        [np.empty(0), *(np.full(len(r), m / len(r)) for r, m in zip(rows, masses, strict=True))]
    )
    return Coalitions(kept, weights / weights.sum() if len(weights) else weights)


def _distinct(n_regions: int, sizes: NDArray[np.int64], paired: bool, rng: np.random.Generator) -> Kept:
    """One coalition of each of the sizes (ascending), no two the same (if paired: nor complements).

    Each row is uniform over the coalitions of its size. Rows of a size are consecutive cuts of a permutation:
    they share no region until the permutation is used up.
    """
    small = np.minimum(sizes, n_regions - sizes)
    of_size, first, inverse, counts = np.unique(sizes, return_index=True, return_inverse=True, return_counts=True)
    index = np.arange(len(sizes)) - first[inverse]
    # Two cuts of half the regions are complements of each other: a pair twice.
    cuts = np.where(paired & (2 * small == n_regions), 1, n_regions // small)
    starts = np.unique(np.stack([sizes, index // cuts]), axis=1, return_inverse=True)[1].ravel()
    ranks = rng.permuted(np.tile(np.arange(n_regions, dtype=np.int32), (starts.max() + 1, 1)), axis=1)[starts]
    low = (index % cuts * small)[:, None].astype(np.int32)
    kept: Kept = (ranks >= low) & (ranks < low + small[:, None].astype(np.int32))
    kept ^= (small != sizes)[:, None]

    crowded = np.zeros(len(sizes), dtype=bool)
    for size, begin, count in zip(of_size.tolist(), first.tolist(), counts.tolist(), strict=True):
        half = paired and 2 * size == n_regions
        if math.comb(n_regions, size) < 2 * count * (2 if half else 1):
            every = _subsets(n_regions, size)
            every = every[every[:, 0]] if half else every
            kept[begin : begin + count] = every[rng.permutation(len(every))[:count]]
            crowded[begin : begin + count] = True
    for _ in range(_MOST_ROUNDS):
        flip = (2 * small == n_regions) & ~kept[:, 0] & paired
        packed = np.packbits(kept ^ flip[:, None], axis=1)
        packed = packed.view(f"V{packed.shape[1]}").ravel()
        again = np.ones(len(kept), dtype=bool)
        again[np.unique(packed, return_index=True)[1]] = False
        again &= ~crowded
        if not again.any():
            break
        kept[again] = rng.permuted(kept[again], axis=1)
    return kept


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
    samplings: ClassVar[tuple[str, ...]] = ("all", "budget")

    def __post_init__(self) -> None:
        if not isinstance(self.antithetic, bool):
            raise ValueError(f"antithetic must be true or false, got {self.antithetic!r}")

    def enumerate(self, n_regions: int) -> Coalitions:
        """The rows of all R! permutations, where R is at most 7."""
        _check_count("n_regions", n_regions)
        if n_regions > _MOST_PERMUTED:
            raise ValueError(
                f"{n_regions} regions have {n_regions}! permutations; at most {_MOST_PERMUTED} regions can be "
                f"enumerated. Use method/sampling=budget."
            )
        return _prefixes(np.array(list(itertools.permutations(range(n_regions)))))

    def draw(self, n_regions: int, n_samples: int, rng: np.random.Generator) -> Coalitions:
        """Draw as many whole permutations as `n_samples` rows hold."""
        _check_count("n_regions", n_regions)
        _check_count("n_samples", n_samples)
        count = n_samples // max(1, n_regions - 1)
        if count == 0:
            raise ValueError(
                f"a permutation of {n_regions} regions takes {n_regions - 1} samples, got n_samples={n_samples}. "
                f"Raise method.sampling.n_samples or use fewer regions."
            )
        n_drawn = (count + 1) // 2 if self.antithetic else count
        places = rng.permuted(np.tile(np.arange(n_regions), (n_drawn, 1)), axis=1)
        if self.antithetic:
            places = np.stack([places, n_regions - 1 - places], axis=1).reshape(-1, n_regions)[:count]
        return _prefixes(places)


def _prefixes(places: NDArray[np.int64]) -> Coalitions:
    """The rows of permutations given by the place of each region, (P, R)."""
    n_regions = places.shape[1]
    kept = places[:, None, :] < np.arange(1, n_regions)[None, :, None]
    return _equally(kept.reshape(-1, n_regions))
