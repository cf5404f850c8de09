from itertools import permutations
from math import comb
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from lavx.methods.selection import Bernoulli, ExactlyK, LeaveOneOut, OnlyOne, Permutation, ShapleyKernel
from lavx.methods.summary import (
    Difference,
    MeanWhenKept,
    PermutationMean,
    Ridge,
    ShapleyRegression,
    Value,
    WeightedMean,
)
from lavx.types import Coalitions, Enumerable

CONF = Path(__file__).parents[1] / "conf" / "method" / "summary"
# Every summary with a selection that it takes, at its own way of sampling, for R regions.
FITTING = [
    (Ridge(), lambda r, rng: Bernoulli().draw(r, 400, rng)),
    (MeanWhenKept(), lambda r, rng: Bernoulli().draw(r, 400, rng)),
    (WeightedMean(), lambda r, rng: ExactlyK(fraction=0.5).draw(r, 400, rng)),
    (ShapleyRegression(), lambda r, rng: ShapleyKernel().draw(r, 400, rng)),
    (PermutationMean(), lambda r, rng: Permutation().draw(r, 400, rng)),
    (Difference(), lambda r, rng: LeaveOneOut().enumerate(r)),
    (Difference(), lambda r, rng: OnlyOne().enumerate(r)),
    (Value(), lambda r, rng: LeaveOneOut().enumerate(r)),
    (Value(), lambda r, rng: OnlyOne().enumerate(r)),
]
EACH = pytest.mark.parametrize(("summary", "sample"), FITTING, ids=lambda x: getattr(x, "__class__", x).__name__)


class Game:
    """Values of single regions plus those of groups that count only when complete: Shapley values on paper."""

    def __init__(self, n_regions, seed, n_groups=None, largest=5):
        rng = np.random.default_rng(seed)
        n_groups = n_groups or 2 * n_regions
        self.alone = rng.normal(size=n_regions)
        self.together = rng.normal(size=n_groups)
        sizes = rng.integers(2, min(largest, n_regions) + 1, n_groups)
        self.groups = rng.permuted(np.arange(n_regions) < sizes[:, None], axis=1).astype(float)
        self.sizes = self.groups.sum(axis=1)
        self.shapley = self.alone + (self.together / self.sizes) @ self.groups
        self.full = float(self.alone.sum() + self.together.sum())

    def __call__(self, kept):
        kept = np.asarray(kept, dtype=float)
        return kept @ self.alone + (kept @ self.groups.T >= self.sizes - 0.5) @ self.together

    def kernel_shap(self, n_samples, seed, **parameters):
        coalitions = ShapleyKernel(**parameters).draw(len(self.alone), n_samples, np.random.default_rng(seed))
        return ShapleyRegression()(coalitions, self(coalitions.kept), self.full, 0.0)


class Table:
    """Any number at all for every coalition."""

    def __init__(self, n_regions, seed):
        self.values = np.random.default_rng(seed).normal(size=2**n_regions)
        self.places = 1 << np.arange(n_regions)
        self.full, self.empty = float(self.values[-1]), float(self.values[0])

    def __call__(self, kept):
        return self.values[np.asarray(kept) @ self.places]

    def shapley(self):
        """Straight from the definition."""
        n = len(self.places)
        result = np.zeros(n)
        for subset in range(2**n):
            size = subset.bit_count()
            for i in range(n):
                if not subset >> i & 1:
                    gain = self.values[subset | 1 << i] - self.values[subset]
                    result[i] += gain / (n * comb(n - 1, size))
        return result


def explain(summary, selection, game, n_samples=None, empty=0.0, seed=0):
    rng = np.random.default_rng(seed)
    n = len(game.places) if isinstance(game, Table) else len(game.alone)
    coalitions = selection.enumerate(n) if n_samples is None else selection.draw(n, n_samples, rng)
    summary.check(selection)
    summary.check_coalitions(coalitions)
    return summary(coalitions, game(coalitions.kept), game.full, empty)


def rms(x):
    return float(np.sqrt(np.mean(np.square(x))))


@pytest.mark.parametrize("file", sorted(CONF.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_file_is_built_and_named_after_its_class(file):
    assert type(instantiate(OmegaConf.load(file))).__name__.lower() == file.stem.replace("_", "")


# Conventions of all


@EACH
def test_larger_is_more_important_for_the_target(summary, sample, rng):
    importance = np.linspace(-1, 1, 12)
    coalitions = sample(12, rng)
    attribution = summary(coalitions, coalitions.kept @ importance, float(importance.sum()), 0.0)
    assert attribution.shape == (12,) and attribution.dtype == np.float64
    assert attribution[-1] > attribution[6] > attribution[0]
    assert np.corrcoef(attribution, importance)[0, 1] > 0.9


@EACH
def test_a_single_region_is_all_there_is(summary, sample, rng):
    coalitions = sample(1, rng)
    summary.check_coalitions(coalitions)
    scores = np.where(coalitions.kept[:, 0], 3.0, 1.0)
    attribution = summary(coalitions, scores, 3.0, 1.0)
    assert attribution.shape == (1,) and np.isfinite(attribution).all()
    if isinstance(summary, ShapleyRegression | PermutationMean | Difference):
        assert attribution[0] == pytest.approx(2)


@EACH
def test_scores_that_do_not_fit_are_refused(summary, sample, rng):
    coalitions = sample(6, rng)
    n = len(coalitions)
    scores = np.zeros(n)
    with pytest.raises(ValueError, match=rf"scores must be \({n},\), one a coalition, got .* \({n + 1},\)"):
        summary(coalitions, np.zeros(n + 1), 0.0, 0.0)
    scores[:2] = np.nan, np.inf
    with pytest.raises(ValueError, match=f"2 of {n} scores are NaN or infinite"):
        summary(coalitions, scores, 0.0, 0.0)
    with pytest.raises(ValueError, match="clip and the baseline must be finite, got nan and 0.0"):
        summary(coalitions, np.zeros(n), float("nan"), 0.0)


# Kernel SHAP


@pytest.mark.parametrize("n_regions", range(2, 11))
def test_kernel_shap_on_all_coalitions_is_the_shapley_value(n_regions):
    game = Table(n_regions, seed=n_regions)
    attribution = explain(ShapleyRegression(), ShapleyKernel(), game, empty=game.empty)
    np.testing.assert_allclose(attribution, game.shapley(), atol=1e-6)


def shap_package(game, n_regions, n_samples, seed=0):
    shap = pytest.importorskip("shap")
    np.random.seed(seed)  # shap draws from numpy's global generator
    explainer = shap.KernelExplainer(lambda x: game(x > 0.5), np.zeros((1, n_regions)), silent=True)
    return explainer.shap_values(np.ones(n_regions), nsamples=n_samples, l1_reg=0, silent=True)


def shapiq_package(game, n_regions, n_samples, seed=0, pairing_trick=False):
    shapiq = pytest.importorskip("shapiq")
    estimator = shapiq.KernelSHAP(n=n_regions, random_state=seed, pairing_trick=pairing_trick)
    values = estimator.approximate(n_samples + 2, game)  # shapiq counts the empty and the full one in
    return np.array([values[(i,)] for i in range(n_regions)])


def shapiq_package_in_pairs(game, n_regions, n_samples, seed=0):
    return shapiq_package(game, n_regions, n_samples, seed, pairing_trick=True)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("n_regions", [3, 8])
def test_kernel_shap_on_all_coalitions_equals_the_shap_package(n_regions):
    game = Table(n_regions, seed=1)
    theirs = shap_package(game, n_regions, 2**n_regions)
    ours = explain(ShapleyRegression(), ShapleyKernel(), game, empty=game.empty)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize(
    "selection", [ShapleyKernel(), ShapleyKernel(paired=False), ShapleyKernel(sizes="kernel")], ids=repr
)
@pytest.mark.parametrize("n_regions", [2, 5, 40, 197])
@pytest.mark.parametrize("n_samples", [2, 20, 196, 400, 1000])
def test_kernel_shap_shares_out_the_whole_at_any_budget(selection, n_regions, n_samples, rng):
    coalitions = selection.draw(n_regions, n_samples, rng)
    scores = rng.normal(size=len(coalitions))
    assert ShapleyRegression()(coalitions, scores, 7.0, -2.0).sum() == pytest.approx(9, abs=1e-6)


def test_kernel_shap_solves_the_constrained_least_squares(rng):
    """Against Lagrange's equations of the same problem, where there are samples enough."""
    coalitions = ShapleyKernel().draw(20, 600, rng)
    scores = rng.normal(size=600)
    z = coalitions.kept.astype(float)
    system = np.ones((21, 21))
    system[:20, :20], system[20, 20] = (z * coalitions.weights[:, None]).T @ z, 0
    right = np.append((z * coalitions.weights[:, None]).T @ (scores - 0.5), 2.5)
    expected = np.linalg.solve(system, right)[:20]
    np.testing.assert_allclose(ShapleyRegression()(coalitions, scores, 3.0, 0.5), expected, atol=1e-9)


def test_kernel_shap_is_exact_for_a_sum_from_two_samples_a_region_on(rng):
    importance = rng.normal(size=30)
    coalitions = ShapleyKernel().draw(30, 200, rng)
    attribution = ShapleyRegression()(coalitions, coalitions.kept @ importance + 4, importance.sum() + 4, 4.0)
    np.testing.assert_allclose(attribution, importance, atol=1e-9)


def test_the_error_of_kernel_shap_shrinks_with_the_budget():
    games = [Game(12, seed) for seed in range(20)]
    errors = [
        rms([game.kernel_shap(n, seed) - game.shapley for seed, game in enumerate(games)])
        for n in (24, 48, 100, 200, 400, 1000, 2000, 4094)
    ]
    assert all(a > b for a, b in zip(errors, errors[1:], strict=False)), errors
    assert errors[-1] < 1e-9


def test_kernel_shap_does_not_explode_where_the_budget_just_determines_the_regression():
    """Plain least squares is 5 times worse than equal shares at two samples a region."""
    games = [Game(100, seed) for seed in range(3)]
    equal = rms([game.full / 100 - game.shapley for game in games])
    for n_samples in (100, 150, 180, 200, 220, 260):
        assert rms([game.kernel_shap(n_samples, 0) - game.shapley for game in games]) < equal


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("package", [shap_package, shapiq_package, shapiq_package_in_pairs])
@pytest.mark.parametrize(("n_regions", "n_samples"), [(12, 300), (40, 400)])
def test_kernel_shap_is_no_worse_than_the_packages_at_equal_budget(package, n_regions, n_samples, record_property):
    games = [Game(n_regions, seed) for seed in range(20)]
    ours = rms([game.kernel_shap(n_samples, seed) - game.shapley for seed, game in enumerate(games)])
    theirs = rms([package(game, n_regions, n_samples, seed) - game.shapley for seed, game in enumerate(games)])
    record_property("error_ratio", ours / theirs)
    print(f"\n{package.__name__}, R={n_regions}, S={n_samples}: error / theirs = {ours / theirs:.2f}")
    assert ours <= theirs


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_kernel_shap_is_no_worse_than_the_packages_at_the_size_of_a_clip():
    games = [Game(200, seed) for seed in range(20)]
    ours = rms([game.kernel_shap(1000, seed) - game.shapley for seed, game in enumerate(games)])
    for package in (shap_package, shapiq_package, shapiq_package_in_pairs):
        theirs = rms([package(game, 200, 1000, seed) - game.shapley for seed, game in enumerate(games)])
        print(f"\n{package.__name__}, R=200, S=1000: error / theirs = {ours / theirs:.2f}")
        assert ours <= theirs


# Permutations


@pytest.mark.parametrize("n_regions", range(1, 7))
def test_the_mean_over_all_permutations_is_the_shapley_value(n_regions):
    game = Table(n_regions, seed=n_regions)
    attribution = explain(PermutationMean(), Permutation(), game, empty=game.empty)
    np.testing.assert_allclose(attribution, game.shapley(), atol=1e-12)


@pytest.mark.parametrize("antithetic", [True, False])
def test_permutation_mean_equals_a_loop_and_shares_out_the_whole(antithetic, rng):
    game = Table(6, seed=0)
    coalitions = Permutation(antithetic).draw(6, 25, rng)
    expected = np.zeros(6)
    for walk in coalitions.kept.reshape(5, 5, 6):
        before, value = np.zeros(6, dtype=bool), game.empty
        for row in [*walk, np.ones(6, dtype=bool)]:
            expected[np.flatnonzero(row & ~before)] += (game(row) - value) / 5
            before, value = row, game(row)
    attribution = PermutationMean()(coalitions, game(coalitions.kept), game.full, game.empty)
    np.testing.assert_allclose(attribution, expected, atol=1e-12)
    assert attribution.sum() == pytest.approx(game.full - game.empty)


def test_the_table_of_this_test_agrees_with_permutations_by_hand():
    game = Table(4, seed=9)
    expected = np.zeros(4)
    for order in permutations(range(4)):
        kept = np.zeros(4, dtype=bool)
        for i in order:
            value = game(kept)
            kept[i] = True
            expected[i] += (game(kept) - value) / 24
    np.testing.assert_allclose(game.shapley(), expected, atol=1e-12)


# LIME


def lime_package(kept, scores, alpha, kernel_width):
    base = pytest.importorskip("lime.lime_base")
    from sklearn.linear_model import Ridge as SklearnRidge
    from sklearn.metrics import pairwise_distances

    data = kept.astype(float)
    distances = pairwise_distances(data, data[:1], metric="cosine").ravel()  # as in lime_image
    regression = base.LimeBase(lambda d: np.sqrt(np.exp(-(d**2) / kernel_width**2)))
    labels = np.stack([scores, 1 - scores], axis=1)
    _, pairs, _, _ = regression.explain_instance_with_data(
        data, labels, distances, 0, data.shape[1], model_regressor=SklearnRidge(alpha=alpha, fit_intercept=True)
    )
    return np.array([importance for _, importance in sorted(pairs)])


@pytest.mark.parametrize(("n_regions", "n_samples"), [(10, 50), (200, 1000), (60, 25)])
@pytest.mark.parametrize(("alpha", "kernel_width"), [(1.0, 0.25), (0.01, 1.0), (10.0, 0.1)])
def test_ridge_equals_the_lime_package(n_regions, n_samples, alpha, kernel_width, rng):
    coalitions = Bernoulli().draw(n_regions, n_samples, rng)
    scores = rng.random(n_samples)
    kept = np.concatenate([np.ones((1, n_regions), dtype=bool), coalitions.kept])
    theirs = lime_package(kept, np.append(0.9, scores), alpha, kernel_width)
    ours = Ridge(alpha, kernel_width)(coalitions, scores, 0.9, 0.1)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_ridge_equals_sklearn_with_rows_that_keep_next_to_nothing(rng):
    from sklearn.linear_model import Ridge as SklearnRidge

    kept = np.concatenate([np.zeros((1, 9), dtype=bool), np.eye(9, dtype=bool), rng.random((40, 9)) < 0.5])
    scores = rng.random(50)
    z = np.concatenate([np.ones((1, 9)), kept])
    distance = 1 - np.sqrt(z.mean(axis=1))
    weights = np.sqrt(np.exp(-(distance**2) / 0.0625))
    theirs = SklearnRidge(alpha=1.0).fit(z, np.append(0.7, scores), sample_weight=weights).coef_
    ours = Ridge()(Coalitions(kept, np.ones(50)), scores, 0.7, 0.0)
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


# RISE


def test_mean_when_kept_is_the_mean_when_kept(rng):
    coalitions = Bernoulli(0.3).draw(15, 300, rng)
    scores = rng.random(300)
    expected = [scores[coalitions.kept[:, i]].mean() for i in range(15)]
    np.testing.assert_allclose(MeanWhenKept()(coalitions, scores, 1.0, 0.0), expected, atol=1e-12)


def test_mean_when_kept_ranks_the_regions_of_a_sum_as_they_are(rng):
    importance = rng.normal(size=10)
    kept = (np.arange(1024)[:, None] >> np.arange(10) & 1).astype(bool)  # the expectation of p = 0.5
    every = MeanWhenKept()(Coalitions(kept, np.ones(1024)), kept @ importance, importance.sum(), 0.0)
    np.testing.assert_allclose(every, importance.sum() / 2 + importance / 2, atol=1e-12)
    assert np.array_equal(np.argsort(every), np.argsort(importance))


def test_mean_when_kept_counts_the_rows_by_their_weights(rng):
    coalitions = ShapleyKernel().draw(8, 60, rng)
    scores = rng.random(60)
    w = coalitions.weights
    expected = [np.average(scores[k], weights=w[k]) for k in coalitions.kept.T]
    np.testing.assert_allclose(MeanWhenKept()(coalitions, scores, 1.0, 0.0), expected, atol=1e-12)


def test_weighted_mean_weighs_by_likeness_to_the_clip(rng):
    coalitions = Bernoulli().draw(8, 200, rng)
    scores = rng.random(200)
    w = np.exp(-((1 - np.sqrt(coalitions.kept.mean(axis=1))) ** 2) / 0.09 / 2)
    expected = [np.average(scores[k], weights=w[k]) for k in coalitions.kept.T]
    np.testing.assert_allclose(WeightedMean(0.3)(coalitions, scores, 1.0, 0.0), expected, atol=1e-12)
    flat = MeanWhenKept()(coalitions, scores, 1.0, 0.0)
    np.testing.assert_allclose(WeightedMean(1e6)(coalitions, scores, 1.0, 0.0), flat, atol=1e-9)


@EACH
def test_a_constant_network_is_flat(summary, sample, rng):
    coalitions = sample(20, rng)
    attribution = summary(coalitions, np.full(len(coalitions), 0.25), 0.25, 0.25)
    np.testing.assert_allclose(attribution, attribution[0], atol=1e-12)


# LOCO, univariate predictors


def test_difference_and_value_equal_a_loop():
    game = Table(6, seed=4)
    for i in range(6):
        without, alone = np.ones(6, dtype=bool), np.zeros(6, dtype=bool)
        without[i], alone[i] = False, True
        left_out = explain(Difference(), LeaveOneOut(), game, empty=game.empty)
        assert left_out[i] == game.full - game(without)
        assert explain(Difference(), OnlyOne(), game, empty=game.empty)[i] == game(alone) - game.empty
        assert explain(Value(), LeaveOneOut(), game)[i] == -game(without)
        assert explain(Value(), OnlyOne(), game)[i] == game(alone)


@pytest.mark.filterwarnings("ignore")
def test_difference_equals_captums_feature_ablation(rng):
    attr = pytest.importorskip("captum.attr")
    import torch

    clip = torch.from_numpy(rng.random((1, 4, 6, 6, 3)))
    labels = torch.from_numpy(rng.integers(0, 7, (4, 6, 6)))
    weight = torch.from_numpy(rng.normal(size=(4, 6, 6, 3)))
    baseline = torch.full_like(clip, 0.2)

    def network(x):
        return torch.sigmoid((x * weight).sum((1, 2, 3, 4)) / 5)

    def score(kept):
        return network(torch.where(torch.from_numpy(kept)[labels][None, ..., None], clip, baseline)).item()

    mask = labels[None, ..., None].expand_as(clip)
    theirs = attr.FeatureAblation(network).attribute(clip, baselines=baseline, feature_mask=mask)[0, ..., 0]
    coalitions = LeaveOneOut().enumerate(7)
    scores = np.array([score(kept) for kept in coalitions.kept])
    full, empty = score(np.ones(7, dtype=bool)), score(np.zeros(7, dtype=bool))
    ours = Difference()(coalitions, scores, full, empty)
    np.testing.assert_allclose(ours[labels.numpy()], theirs.numpy(), atol=1e-12)

    coalitions = OnlyOne().enumerate(7)
    scores = np.array([score(kept) for kept in coalitions.kept])
    inverse = attr.FeatureAblation(network).attribute(baseline, baselines=clip, feature_mask=mask)[0, ..., 0]
    alone = Difference()(coalitions, scores, full, empty)
    np.testing.assert_allclose(alone[labels.numpy()], -inverse.numpy(), atol=1e-12)


# What is refused


@pytest.mark.parametrize(
    ("summary", "selection", "message"),
    [
        (
            ShapleyRegression(),
            Bernoulli(),
            "carry the Shapley kernel's weights, .* Bernoulli .*ShapleyKernel.*Ridge",
        ),
        (ShapleyRegression(), LeaveOneOut(), "those of LeaveOneOut do not"),
        (
            Difference(),
            Bernoulli(),
            "Difference needs one sample a region, .* Bernoulli mix .*LeaveOneOut or OnlyOne",
        ),
        (
            Value(),
            ShapleyKernel(),
            "Value needs one sample a region, .* ShapleyKernel mix .*LeaveOneOut or OnlyOne",
        ),
        (
            PermutationMean(),
            ShapleyKernel(),
            "PermutationMean needs .* ShapleyKernel do not: use the selection Permutation",
        ),
    ],
)
def test_selections_that_make_no_sense_are_refused(summary, selection, message):
    with pytest.raises(ValueError, match=message):
        summary.check(selection)


@pytest.mark.parametrize("summary", [Ridge(), MeanWhenKept(), WeightedMean()], ids=repr)
@pytest.mark.parametrize(
    "selection", [LeaveOneOut(), OnlyOne(), Bernoulli(), ExactlyK(k=2), ShapleyKernel(), Permutation()], ids=repr
)
def test_regressions_and_means_take_any_selection(summary, selection, rng):
    summary.check(selection)
    n = 6
    coalitions = selection.enumerate(n) if isinstance(selection, Enumerable) else selection.draw(n, 60, rng)
    importance = np.arange(6.0)
    attribution = summary(coalitions, coalitions.kept @ importance, importance.sum(), 0.0)
    assert np.array_equal(np.argsort(attribution), np.arange(6)) or selection.kind == "independent"


def rows(*kept):
    return Coalitions(np.array(kept, dtype=bool).reshape(len(kept), -1), np.ones(len(kept)))


@pytest.mark.parametrize(
    ("summary", "coalitions", "message"),
    [
        (MeanWhenKept(), rows([1, 0, 0], [1, 0, 0]), r"2 of 3 regions \(1, 2\) are kept in none of the 2 samples"),
        (
            MeanWhenKept(),
            rows([0] * 9),
            r"9 of 9 regions \(0, 1, 2, 3, 4, ...\) .*: raise n_samples",
        ),
        (WeightedMean(), rows([1, 0]), r"1 of 2 regions \(1\)"),
        (
            WeightedMean(0.01),
            rows([1, 0], [0, 1]),
            "kernel_width=0.01 every coalition .* weight is 0: raise kernel_width",
        ),
        (Ridge(kernel_width=0.01), rows([1, 0], [0, 1]), "kernel_width=0.01 every coalition"),
        (ShapleyRegression(), rows([1, 1], [1, 0], [0, 0]), "2 of 3 samples keep all regions or none"),
        (
            ShapleyRegression(),
            Coalitions(np.ones((0, 4), bool), np.ones(0)),
            "no samples for 4 regions: raise n_samples",
        ),
        (Difference(), rows([1, 0, 1], [0, 1, 1], [1, 1, 0]), "3 samples of 3 regions are neither .* order"),
        (Value(), rows([1, 0]), "1 samples of 2 regions are neither"),
        (PermutationMean(), rows([1, 0, 0]), "1 samples are not whole permutations of 3 regions, 2 samples each"),
        (PermutationMean(), rows([1, 0, 0], [0, 1, 1]), "not whole permutations"),
        (PermutationMean(), rows([1, 1, 0], [1, 0, 0]), "not whole permutations"),
    ],
)
def test_coalitions_that_leave_a_region_without_a_value_are_refused(summary, coalitions, message):
    with pytest.raises(ValueError, match=message):
        summary.check_coalitions(coalitions)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Ridge(alpha=0), "alpha must be a number > 0, got 0"),
        (lambda: Ridge(alpha="x"), "alpha must be a number > 0, got 'x'"),
        (lambda: Ridge(alpha=True), "alpha must be a number > 0, got True"),
        (lambda: Ridge(alpha=float("inf")), "alpha must be a number > 0, got inf"),
        (lambda: Ridge(kernel_width=-1), "kernel_width must be a number > 0, got -1"),
        (lambda: WeightedMean(kernel_width=float("nan")), "kernel_width must be a number > 0, got nan"),
    ],
)
def test_parameters_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()
