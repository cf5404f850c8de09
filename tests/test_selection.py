from math import comb, factorial
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from lavx.methods.selection import Bernoulli, ExactlyK, LeaveOneOut, OnlyOne, Permutation, ShapleyKernel
from lavx.types import Coalitions, Drawable, Enumerable

CONF = Path(__file__).parents[1] / "conf" / "method" / "selection"
DRAWN = [
    Bernoulli(), ExactlyK(k=3), ExactlyK(fraction=0.3), ShapleyKernel(), ShapleyKernel(paired=False),
    ShapleyKernel(sizes="kernel"), Permutation(), Permutation(antithetic=False),
]  # fmt: skip
SHAPLEY = [ShapleyKernel(p, s) for p in (True, False) for s in ("uniform", "kernel")]


def seeded(seed=0):
    return np.random.default_rng(seed)


def distinct(kept):
    return len(np.unique(kept, axis=0))


@pytest.mark.parametrize("file", sorted(CONF.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_file_is_built_and_named_after_its_class(file):
    selection = instantiate(OmegaConf.load(file), _convert_="all")
    assert type(selection).__name__.lower() == file.stem.replace("_", "")
    assert selection.kind and isinstance(selection, Enumerable | Drawable)


@pytest.mark.parametrize(
    ("selection", "enumerable", "drawable"),
    [
        (LeaveOneOut(), True, False),
        (OnlyOne(), True, False),
        (Bernoulli(), False, True),
        (ExactlyK(k=3), True, True),
        (ShapleyKernel(), True, True),
        (Permutation(), True, True),
    ],
    ids=repr,
)
def test_a_selection_has_only_what_it_can_do(selection, enumerable, drawable):
    assert (isinstance(selection, Enumerable), isinstance(selection, Drawable)) == (enumerable, drawable)
    assert (hasattr(selection, "enumerate"), hasattr(selection, "draw")) == (enumerable, drawable)


@pytest.mark.parametrize("selection", DRAWN, ids=repr)
def test_the_same_seed_draws_the_same(selection):
    a, b, c = (selection.draw(20, 200, seeded(seed)) for seed in (0, 0, 1))
    assert a.kept.tobytes() == b.kept.tobytes() and a.weights.tobytes() == b.weights.tobytes()
    assert not np.array_equal(a.kept, c.kept)


@pytest.mark.parametrize("selection", DRAWN, ids=repr)
@pytest.mark.parametrize("n_regions", [7, 50, 197])
def test_as_many_rows_as_asked_for_with_a_weight_each(selection, n_regions):
    coalitions = selection.draw(n_regions, 404, seeded())
    expected = {7: 126, 50: 404, 197: 404}[n_regions] if isinstance(selection, ShapleyKernel) else 404
    if isinstance(selection, Permutation):
        expected = 404 // (n_regions - 1) * (n_regions - 1)
    assert coalitions.kept.shape == (expected, n_regions) and coalitions.weights.shape == (expected,)
    if not isinstance(selection, ShapleyKernel):
        assert (coalitions.weights == 1).all()


def test_one_by_one_selections_are_in_the_order_of_the_regions():
    assert np.array_equal(LeaveOneOut().enumerate(5).kept, ~np.eye(5, dtype=bool))
    assert np.array_equal(OnlyOne().enumerate(5).kept, np.eye(5, dtype=bool))
    assert len(LeaveOneOut().enumerate(1183)) == 1183


def test_bernoulli_keeps_each_region_independently():
    kept = Bernoulli(0.3).draw(10, 40_000, seeded()).kept.astype(float)
    assert np.abs(kept.mean(axis=0) - 0.3).max() < 0.01
    assert np.abs(np.corrcoef(kept.T) - np.eye(10)).max() < 0.03


def test_exactly_k_keeps_exactly_k_each_region_equally_often():
    kept = ExactlyK(k=3).draw(10, 20_000, seeded()).kept
    assert (kept.sum(axis=1) == 3).all() and np.abs(kept.mean(axis=0) - 0.3).max() < 0.02
    every = ExactlyK(k=3).enumerate(10).kept
    assert len(every) == distinct(every) == comb(10, 3) and (every.sum(axis=1) == 3).all()


@pytest.mark.parametrize(("fraction", "n_regions", "k"), [(0.5, 10, 5), (0.01, 10, 1), (0.99, 10, 9), (0.5, 1, 1)])
def test_a_fraction_keeps_at_least_one_and_removes_at_least_one(fraction, n_regions, k):
    assert (ExactlyK(fraction=fraction).draw(n_regions, 5, seeded()).kept.sum(axis=1) == k).all()


@pytest.mark.parametrize("n_regions", range(1, 11))
def test_the_shapley_kernel_enumerates_every_coalition_with_its_mass(n_regions):
    coalitions = ShapleyKernel().enumerate(n_regions)
    assert len(coalitions) == distinct(coalitions.kept) == 2**n_regions - 2
    sizes = coalitions.kept.sum(axis=1)
    kernel = np.array([(n_regions - 1) / (comb(n_regions, s) * s * (n_regions - s)) for s in sizes.tolist()])
    np.testing.assert_allclose(coalitions.weights, kernel / kernel.sum() if len(kernel) else [], rtol=1e-12)


@pytest.mark.parametrize("selection", SHAPLEY, ids=repr)
@pytest.mark.parametrize("n_regions", [1, 2, 3, 4, 7, 8])
def test_a_budget_that_covers_everything_enumerates_it(selection, n_regions):
    drawn, every = selection.draw(n_regions, max(2, 2**n_regions - 2), seeded()), selection.enumerate(n_regions)
    assert np.array_equal(drawn.kept, every.kept) and np.array_equal(drawn.weights, every.weights)


@pytest.mark.parametrize("selection", SHAPLEY, ids=repr)
@pytest.mark.parametrize("n_regions", [3, 5, 6, 8, 11, 40, 197, 200])
@pytest.mark.parametrize("n_samples", [2, 3, 10, 61, 240, 1000])
def test_shapley_rows_are_distinct_neither_empty_nor_full_and_hold_all_the_mass(selection, n_regions, n_samples):
    coalitions = selection.draw(n_regions, n_samples, seeded())
    sizes = coalitions.kept.sum(axis=1)
    assert sizes.min() > 0 and sizes.max() < n_regions
    assert distinct(coalitions.kept) == len(coalitions)
    most = min(n_samples, 2**n_regions - 2)
    assert most - (most % 2 if selection.paired else 0) == len(coalitions)
    assert coalitions.weights.sum() == pytest.approx(1, abs=1e-12)
    if selection.paired:
        assert np.array_equal(coalitions.kept[0::2], ~coalitions.kept[1::2])
        assert np.array_equal(coalitions.weights[0::2], coalitions.weights[1::2])


@pytest.mark.parametrize("selection", SHAPLEY, ids=repr)
def test_shapley_sizes_are_enumerated_from_outside_in_as_far_as_the_budget_reaches(selection):
    n_samples = 2200 if selection.sizes == "kernel" else 3900  # size 2 and 18 take 380; of 9.5 sizes, or by mass
    sizes = selection.draw(20, n_samples, seeded()).kept.sum(axis=1)
    counts = np.bincount(sizes, minlength=21)
    assert counts[[1, 2, 18, 19]].tolist() == [20, 190, 190, 20]
    assert counts[0] == counts[20] == 0 and (counts[3:18] > 0).all()
    assert (counts[3:18] < [comb(20, size) for size in range(3, 18)]).all()


def test_shapley_sizes_get_their_share_of_the_draws_to_within_one_pair():
    counts = np.bincount(ShapleyKernel().draw(201, 1000, seeded()).kept.sum(axis=1), minlength=202)[1:201]
    assert counts.min() >= 5 and counts.max() <= 5 and np.array_equal(counts, counts[::-1])
    counts = np.bincount(ShapleyKernel(sizes="kernel").draw(201, 4000, seeded()).kept.sum(axis=1), minlength=202)
    mass = 1 / (np.arange(1, 201) * (201 - np.arange(1, 201)))
    assert np.abs(counts[2:200] - 4000 * (mass / mass.sum())[1:199]).max() < 40


@pytest.mark.parametrize("selection", SHAPLEY, ids=repr)
def test_shapley_weights_estimate_the_kernel_without_bias(selection):
    """The mean over draws of the weighted moments is the kernel's own."""
    every = selection.enumerate(8)
    exact = (every.kept * every.weights[:, None]).T @ every.kept.astype(float)
    total = np.zeros((8, 8))
    for seed in range(400):
        drawn = selection.draw(8, 60, seeded(seed))
        total += (drawn.kept * drawn.weights[:, None]).T @ drawn.kept.astype(float)
    np.testing.assert_allclose(total / 400, exact, atol=4e-3)


@pytest.mark.parametrize("antithetic", [True, False])
def test_permutations_add_one_region_at_a_time(antithetic):
    walks = Permutation(antithetic).draw(9, 100, seeded()).kept.reshape(-1, 8, 9)
    assert len(walks) == 12
    assert (walks.sum(axis=2) == np.arange(1, 9)).all() and (walks[:, 1:] >= walks[:, :-1]).all()
    assert np.array_equal(walks[0], ~walks[1][::-1]) is antithetic


@pytest.mark.parametrize("n_regions", [1, 2, 5])
def test_all_permutations_are_enumerated(n_regions):
    kept = Permutation().enumerate(n_regions).kept
    assert kept.shape == (factorial(n_regions) * (n_regions - 1), n_regions)
    if n_regions > 1:
        assert distinct(kept.reshape(factorial(n_regions), -1)) == factorial(n_regions)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Bernoulli(1.0), r"p_keep must be in \(0, 1\), got 1.0"),
        (lambda: Bernoulli("x"), r"p_keep must be in \(0, 1\), got 'x'"),
        (lambda: ExactlyK(), "give either k or fraction, got k=None"),
        (lambda: ExactlyK(k=3, fraction=0.5), "give either k or fraction"),
        (lambda: ExactlyK(k=0), "k must be a whole number >= 1, got 0"),
        (lambda: ExactlyK(fraction=1.0), r"fraction must be in \(0, 1\), got 1.0"),
        (lambda: ShapleyKernel(paired="yes"), "paired must be true or false, got 'yes'"),
        (lambda: ShapleyKernel(sizes="even"), "sizes must be one of uniform, kernel, got 'even'"),
        (lambda: Permutation(antithetic=3), "antithetic must be true or false, got 3"),
        (lambda: Coalitions(np.ones((2, 3)), np.ones(2)), r"kept must be bool \(S, R\), got float64 \(2, 3\)"),
        (lambda: Coalitions(np.ones((2, 3), bool), np.ones(3)), r"weights must be \(2,\), one a row, got \(3,\)"),
        (lambda: Coalitions(np.ones((2, 3), bool), np.array([1, 0.0])), "weights must be positive numbers"),
        (lambda: ExactlyK(k=True), "k must be a whole number >= 1, got True"),
        (lambda: Bernoulli(float("nan")), r"p_keep must be in \(0, 1\), got nan"),
        (lambda: LeaveOneOut().enumerate(0), "n_regions must be a whole number >= 1, got 0"),
        (lambda: OnlyOne().enumerate(2.0), "n_regions must be a whole number >= 1, got 2.0"),
        (lambda: Bernoulli().draw(5, 0, seeded()), "n_samples must be a whole number >= 1, got 0"),
        (
            lambda: ExactlyK(k=5).draw(5, 9, seeded()),
            "less than the number of regions, got k=5 for 5 .*give fraction",
        ),
        (lambda: ExactlyK(k=20).enumerate(40), "more than 65536 ways to keep 20 of 40 regions: .* Budget"),
        (lambda: ShapleyKernel().enumerate(17), r"2\^17 - 2, and at most 16 regions .* Budget"),
        (lambda: ShapleyKernel().draw(9, 1, seeded()), "n_samples must be at least 2, .* got 1"),
        (lambda: Permutation().enumerate(8), "8! permutations, and at most 7 regions .* Budget"),
        (lambda: Permutation().draw(200, 198, seeded()), "takes 199 samples, got n_samples=198: raise n_samples"),
    ],
)
def test_what_cannot_be_done_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
