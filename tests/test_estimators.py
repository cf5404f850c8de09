"""Estimates by surrogates, standard errors, sampling until settled, and other targets of the same passes."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

import lavx
from lavx.explainer import Explainer, estimated, play
from lavx.game import FunctionGame
from lavx.methods import segmentation
from lavx.methods.behavior import Logit
from lavx.methods.sampling import Adaptive, All, Budget
from lavx.methods.selection import Bernoulli, LeaveOneOut, Permutation, ShapleyKernel
from lavx.methods.summary import (
    CrossFittedMean,
    CrossFittedShapley,
    Difference,
    MeanWhenKept,
    PermutationMean,
    Ridge,
    ShapleyRegression,
)
from lavx.methods.summary.boosting import Leaves, boosted_trees
from lavx.types import Coalitions


def known_game(n_regions: int, seed: int, n_leaves: int = 30) -> tuple[FunctionGame, Leaves]:
    """A game of a fifth of its regions, alone, together and against each other, whose attributions are known."""
    rng = np.random.default_rng(seed)
    important = rng.permutation(n_regions)[: max(4, n_regions // 5)]
    kept = np.zeros((n_leaves, n_regions), dtype=bool)
    removed = np.zeros_like(kept)
    for leaf in range(n_leaves):
        some = rng.choice(important, rng.integers(1, 5), replace=False)
        against = rng.random(len(some)) < 0.2
        kept[leaf, some[~against]], removed[leaf, some[against]] = True, True
    values = rng.exponential(size=n_leaves) * rng.choice([1, 1, 1, 1, -1], n_leaves) / n_leaves
    leaves = Leaves(0.1, values, kept, removed)
    return FunctionGame(leaves, n_regions), leaves


EVERY = np.array(list(product([False, True], repeat=5)))


@pytest.fixture
def leaves() -> Leaves:
    return known_game(5, 0)[1]


# Leaves and trees


def test_leaves_are_the_sum_of_the_conditions_that_hold(leaves):
    by_hand = [
        0.1
        + sum(
            v
            for v, k, r in zip(leaves.values, leaves.kept, leaves.removed, strict=True)
            if row[k].all() and not row[r].any()
        )
        for row in EVERY
    ]
    np.testing.assert_allclose(leaves(EVERY), by_hand, atol=1e-12)


def test_shapley_values_of_leaves_are_those_of_all_permutations(leaves):
    expected = np.zeros(5)
    for order in permutations(range(5)):
        kept = np.zeros((1, 5), dtype=bool)
        for i in order:
            before = leaves(kept)[0]
            kept[0, i] = True
            expected[i] += (leaves(kept)[0] - before) / 120
    np.testing.assert_allclose(leaves.shapley(), expected, atol=1e-12)


@pytest.mark.parametrize("p_keep", [0.5, 0.3])
def test_means_of_leaves_are_those_of_all_coalitions(leaves, p_keep):
    chance = np.prod(np.where(EVERY, p_keep, 1 - p_keep), axis=1)
    scores = leaves(EVERY)
    assert leaves.mean(p_keep) == pytest.approx(chance @ scores)
    when_kept = [np.average(scores[EVERY[:, i]], weights=chance[EVERY[:, i]]) for i in range(5)]
    np.testing.assert_allclose(leaves.mean(p_keep) + leaves.effect_on_mean(p_keep), when_kept, atol=1e-12)


@pytest.mark.filterwarnings("ignore")
def test_shapley_values_of_trees_are_those_of_the_shap_package(rng):
    shap = pytest.importorskip("shap")
    from sklearn.tree import DecisionTreeRegressor

    kept = rng.random((200, 6)) < 0.5
    tree = DecisionTreeRegressor(max_depth=4, random_state=0).fit(kept, known_game(6, 1)[1](kept))
    theirs = shap.TreeExplainer(tree, np.zeros((1, 6)), feature_perturbation="interventional")
    nodes, found = tree.tree_, []

    def walk(node, here, not_here):
        if nodes.children_left[node] < 0:
            found.append((nodes.value[node, 0, 0], here, not_here))
            return
        walk(nodes.children_left[node], here, [*not_here, nodes.feature[node]])
        walk(nodes.children_right[node], [*here, nodes.feature[node]], not_here)

    walk(0, [], [])
    masks = np.zeros((2, len(found), 6), dtype=bool)
    for leaf, (_, here, not_here) in enumerate(found):
        masks[0, leaf, here], masks[1, leaf, not_here] = True, True
    ours = Leaves(0.0, np.array([value for value, _, _ in found]), *masks)
    np.testing.assert_allclose(ours(kept), tree.predict(kept), atol=1e-9)
    np.testing.assert_allclose(ours.shapley(), theirs.shap_values(np.ones((1, 6)))[0], atol=1e-6)


def test_a_linear_surrogate_gives_its_coefficients():
    linear = Leaves.linear(0.5, np.array([0.0, 2.0, -1.0]))
    assert linear(np.array([[True, True, False], [True, False, True]])).tolist() == [2.5, -0.5]
    np.testing.assert_allclose(linear.shapley(), [0, 2, -1], atol=1e-12)
    np.testing.assert_allclose(linear.effect_on_mean(0.25), [0, 1.5, -0.75], atol=1e-12)


def test_boosted_trees_learn_what_they_did_not_see_and_are_the_same_again(rng):
    _, leaves = known_game(40, 2)
    kept = rng.random((600, 40)) < 0.5
    scores = leaves(kept)
    fitted = boosted_trees(kept[:400], scores[:400], np.random.default_rng(0))
    assert np.var(scores[400:] - fitted(kept[400:])) < 0.2 * np.var(scores[400:])
    again = boosted_trees(kept[:400], scores[:400], np.random.default_rng(0))
    assert np.array_equal(again.values, fitted.values) and np.array_equal(again.kept, fitted.kept)


# The estimates


def played(game, selection, n_samples, seed=0):
    coalitions = selection.draw(game.n_regions, n_samples, np.random.default_rng(seed))
    return coalitions, game(coalitions.kept), game.full, game.empty


def relative_error(found, truth):
    found, truth = found - found.mean(), truth - truth.mean()
    return ((found - truth) ** 2).sum() / (truth**2).sum()


@pytest.mark.parametrize("surrogate", ["trees", "linear"])
def test_cross_fitted_shapley_values_share_out_the_whole_and_are_exact_with_all(surrogate):
    game, leaves = known_game(8, 3)
    some = CrossFittedShapley(surrogate)(*played(game, ShapleyKernel(), 60))
    assert some.sum() == pytest.approx(game.full - game.empty)
    every = ShapleyKernel().enumerate(8)
    found = CrossFittedShapley(surrogate).estimate(every, game(every.kept), game.full, game.empty)
    np.testing.assert_allclose(found.attribution, leaves.shapley(), atol=1e-9)
    assert found.influence is None


def test_listed_rows_take_part_beside_drawn_ones():
    game, leaves = known_game(12, 4)
    coalitions, *rest = played(game, ShapleyKernel(), 600)
    assert 0 < (~coalitions.drawn).sum() < len(coalitions)
    assert relative_error(CrossFittedShapley()(coalitions, *rest), leaves.shapley()) < 0.01


@pytest.mark.parametrize(
    ("summary", "plain", "selection", "truth", "share"),
    [
        (CrossFittedShapley(), ShapleyRegression(), ShapleyKernel(), Leaves.shapley, 1),
        (CrossFittedMean(), MeanWhenKept(), Bernoulli(), lambda leaves: leaves.effect_on_mean(0.5), 1 / 4),
    ],
)
def test_few_samples_of_many_regions_tell_trees_more(summary, plain, selection, truth, share):
    """Half the error at the same number of samples; of means, at a quarter of it."""
    errors = []
    for seed in range(4):
        game, leaves = known_game(150, seed, n_leaves=12)
        few, many = played(game, selection, 240, seed), played(game, selection, round(240 / share), seed)
        errors.append([relative_error(s(*p), truth(leaves)) for s, p in ((summary, few), (plain, many))])
    better, worse = np.mean(errors, axis=0)
    print(f"\n{summary}: {better:.3f}, {plain}: {worse:.3f}")
    assert better < worse / 2


def test_a_surrogate_that_knows_nothing_is_corrected(monkeypatch):
    """Consistency: the estimate comes from held-out rows where the surrogate is of no use."""
    from lavx.methods.summary import cross_fitting

    def ignorant(kept, scores, rng):
        return Leaves.linear(0.0, np.full(kept.shape[1], 1e-9))

    monkeypatch.setitem(cross_fitting._FITS, "trees", ignorant)
    game, leaves = known_game(12, 5)
    errors = [relative_error(CrossFittedMean()(*played(game, Bernoulli(), n)), leaves.effect_on_mean(0.5))
              for n in (300, 3000, 30000)]  # fmt: skip
    assert errors[2] < errors[1] < errors[0] and errors[2] < 0.01


@pytest.mark.parametrize(
    ("summary", "selection"), [(CrossFittedShapley(), ShapleyKernel()), (CrossFittedMean(), Bernoulli(0.4))]
)
def test_estimates_are_the_same_again_and_flat_for_a_constant(summary, selection):
    game, _ = known_game(20, 6)
    one, two = (summary(*played(game, selection, 100)) for _ in range(2))
    assert np.array_equal(one, two)
    constant = FunctionGame(lambda kept: np.full(len(kept), 0.25), 20)
    found = summary.estimate(*played(constant, selection, 100))
    np.testing.assert_allclose(found.attribution, found.neutral, atol=1e-12)
    np.testing.assert_allclose(found.influence, 0, atol=1e-12)


def test_the_neutral_value_of_a_mean_is_that_of_all_coalitions():
    game, leaves = known_game(30, 7)
    found = CrossFittedMean().estimate(*played(game, Bernoulli(0.4), 400))
    error = np.sqrt((found.neutral_influence**2).sum())
    assert abs(found.neutral - leaves.mean(0.4)) < 4 * error


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CrossFittedShapley("forest"), "surrogate must be one of trees, linear, got 'forest'"),
        (lambda: CrossFittedMean(n_folds=1), "n_folds must be a whole number >= 2, got 1"),
        (lambda: CrossFittedShapley().check(Bernoulli()), "CrossFittedShapley needs coalitions that carry"),
        (lambda: CrossFittedMean().check(ShapleyKernel()), "kept independently .* ShapleyKernel are not"),
        (
            lambda: CrossFittedMean().check_coalitions(Bernoulli().draw(3, 1, np.random.default_rng(0))),
            "holds out independent draws, and there is only 1: raise n_samples",
        ),
        (
            lambda: CrossFittedMean().check_coalitions(Coalitions(np.ones((3, 2), bool), np.ones(3))),
            "keep all regions or none, so that they tell nothing",
        ),
    ],
)
def test_what_cannot_be_estimated_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Standard errors cover


def covered(summary, selection, truth, n_samples, n_games, n_regions=40):
    """Share of the regions, and of the ten largest of each game, whose 95 % interval holds the truth."""
    inside, inside_top = [], []
    for seed in range(n_games):
        game, leaves = known_game(n_regions, seed)
        expected = truth(leaves)
        found = estimated(summary, *played(game, selection, n_samples, seed))
        z = np.abs(found["attribution"] - expected) / (found["std_error"] + 1e-9)
        inside.append(np.mean(z < 1.96))
        inside_top.append(np.mean(z[np.argsort(-np.abs(expected - expected.mean()))[:10]] < 1.96))
    return np.mean(inside), np.mean(inside_top)


def mean_when_kept(leaves):
    return leaves.mean(0.5) + leaves.effect_on_mean(0.5)


@pytest.mark.parametrize(
    ("summary", "selection", "truth", "n_samples", "n_games"),
    [
        (MeanWhenKept(), Bernoulli(), mean_when_kept, 300, 60),
        (ShapleyRegression(), ShapleyKernel(), Leaves.shapley, 60, 60),
        (ShapleyRegression(), ShapleyKernel(), Leaves.shapley, 200, 60),
        (ShapleyRegression(), ShapleyKernel(), Leaves.shapley, 1000, 60),
        (PermutationMean(), Permutation(), Leaves.shapley, 1600, 60),
        (CrossFittedShapley(), ShapleyKernel(), Leaves.shapley, 200, 12),
        (CrossFittedMean(), Bernoulli(), mean_when_kept, 200, 12),
    ],
)
def test_intervals_cover_the_known_attributions(summary, selection, truth, n_samples, n_games):
    every, largest = covered(summary, selection, truth, n_samples, n_games)
    print(f"\n{summary}, {n_samples} samples: {every:.3f} of all, {largest:.3f} of the ten largest are covered")
    assert every > 0.9 and largest > 0.85


def test_intervals_of_ridge_cover_the_regression_on_many_samples():
    inside = []
    for seed in range(10):
        game, _ = known_game(30, seed)
        expected = Ridge()(*played(game, Bernoulli(), 40000, 100 + seed))
        for n_samples in (60, 200, 600):
            found = estimated(Ridge(), *played(game, Bernoulli(), n_samples, seed))
            inside.append(np.mean(np.abs(found["attribution"] - expected) < 1.96 * found["std_error"]))
    assert 0.9 < np.mean(inside) < 0.99


def test_the_penalty_of_kernel_shap_is_logged_and_gone_with_all_samples():
    game, leaves = known_game(8, 8)
    few = ShapleyRegression().estimate(*played(game, ShapleyKernel(), 20))
    every = ShapleyKernel().enumerate(8)
    all_of_them = ShapleyRegression().estimate(every, game(every.kept), game.full, game.empty)
    assert few.more["shrinkage"] > 0.1
    assert all_of_them.more["shrinkage"] == pytest.approx(0, abs=1e-9) and all_of_them.influence is None


def test_one_permutation_tells_nothing_of_its_error():
    game, _ = known_game(6, 9)
    assert np.isinf(estimated(PermutationMean(), *played(game, Permutation(), 10))["std_error"]).all()


# Sampling until settled


def adaptively(game, sampling, seed=0, summary=None):
    rng = np.random.default_rng(seed)
    return play(game, ShapleyKernel(), sampling, summary or ShapleyRegression(), rng)


def test_sampling_ends_when_settled_and_at_the_maximum():
    game, _ = known_game(20, 10)
    assert Adaptive(0.1, 50, 800, 4).sizes == (50, 126, 318, 800)
    easy, _ = adaptively(game, Adaptive(0.9, 50, 800, 4))
    hard, _ = adaptively(game, Adaptive(1e-6, 50, 800, 4))
    assert len(easy) == 126 and len(hard) == 800  # two looks at least
    assert (np.bincount(hard.units[hard.drawn]) == 2).all()  # pairs of all rounds are kept apart


def test_coalitions_that_are_so_few_are_all_played():
    game, leaves = known_game(7, 11)
    coalitions, scores = adaptively(game, Adaptive(0.1, 20, 200))
    assert len(coalitions) == 126 and not coalitions.drawn.any()


def test_errors_hold_where_sampling_ended_by_them():
    inside, squares, said = [], [], []
    for seed in range(60):
        game, leaves = known_game(30, seed)
        coalitions, scores = adaptively(game, Adaptive(0.15, 60, 2000, 8), seed)
        found = estimated(ShapleyRegression(), coalitions, scores, game.full, game.empty)
        assert len(coalitions) < 2000
        miss = found["attribution"] - leaves.shapley()
        inside.append(np.mean(np.abs(miss) < 1.96 * found["std_error"]))
        squares.append(np.mean(miss**2) / np.var(found["attribution"]))
        said.append(np.mean(found["std_error"] ** 2) / np.var(found["attribution"]))
    print(f"\nstopped: {np.mean(inside):.3f} covered, error {np.mean(squares):.3f}, said {np.mean(said):.3f}")
    assert np.mean(inside) > 0.9 and np.mean(squares) <= np.mean(said) <= 0.15


def test_an_explanation_says_when_it_stopped_and_why(network, clip):
    def explained(tolerance):
        parts = {"segmentation": segmentation.Grid((2, 3, 3)), "sampling": Adaptive(tolerance, 40, 200, 3)}
        return lavx.explain(network, clip, "kernel_shap", 1, progress=False, check_noise=False, **parts)

    settled, cut = explained(0.9), explained(1e-9)
    assert settled.diagnostics["cut_off"] == 0 and settled.diagnostics["estimated_error"] < 0.9
    assert settled.result.n_samples == 90 and cut.result.n_samples == 200
    assert cut.diagnostics["cut_off"] == 1 and cut.notes[1] == "not settled after 200 samples"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Adaptive(tolerance=0), r"tolerance must be in \(0, 1\), got 0"),
        (lambda: Adaptive(minimum=0), "minimum must be a whole number >= 1, got 0"),
        (lambda: Adaptive(n_looks=1), "n_looks must be a whole number >= 2, got 1"),
        (lambda: Adaptive(maximum=50), "maximum must be at least minimum=100, got 50"),
        (lambda: Adaptive().check(LeaveOneOut()), "Adaptive draws at random, and LeaveOneOut has only a list"),
        (lambda: Adaptive().check_summary(Difference()), "stops by the summary's own error, and Difference does"),
    ],
)
def test_adaptive_sampling_refuses_what_it_cannot_use(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_method_is_refused_whose_summary_cannot_say_when_to_stop():
    kernel_shap = lavx.method("kernel_shap")
    parts = {name: getattr(kernel_shap, name) for name in ("segmentation", "removal", "behavior", "visualization")}
    summary = MeanWhenKept()
    assert Explainer(selection=Bernoulli(), sampling=Adaptive(), summary=summary, **parts).sampling == Adaptive()

    class Silent:
        def check(self, selection):
            pass

        check_coalitions = check

        def __call__(self, coalitions, scores, full, empty):
            return np.zeros(coalitions.kept.shape[1])

    with pytest.raises(ValueError, match="and Silent does not say one: use Budget"):
        Explainer(selection=Bernoulli(), sampling=Adaptive(), summary=Silent(), **parts)
    assert All().one_round and Budget().one_round and not Adaptive().one_round


# Other targets


@pytest.mark.parametrize("method", ["rise", "kernel_shap", "loco"])
def test_another_target_is_explained_without_another_pass(network, clip, method, tmp_path):
    grid = segmentation.Grid((2, 2, 2))
    options = {"n_samples": 60} if method != "loco" else {}

    def explained(target):
        return lavx.explain(network, clip, method, target, segmentation=grid, progress=False, **options)

    one, zero = explained(1), explained(0)
    calls = len(network.calls)
    other = one.for_target(0)
    assert len(network.calls) == calls
    np.testing.assert_allclose(other.attribution, zero.attribution, atol=1e-5)
    np.testing.assert_allclose(other.heatmap, zero.heatmap, atol=1e-5)
    assert other.target == 0 and other.score == pytest.approx(zero.score)
    if one.std_error is not None:
        np.testing.assert_allclose(other.std_error, zero.std_error, atol=1e-5)
    loaded = lavx.Explanation.load(one.save(tmp_path / "e.npz")).for_target(0)
    np.testing.assert_allclose(loaded.attribution, other.attribution, atol=1e-12)


def test_a_class_over_another(network, clip, tmp_path):
    grid = segmentation.Grid((2, 2, 2))
    e = lavx.explain(network, clip, "lime", 1, segmentation=grid, n_samples=60, progress=False)
    contrast = e.for_target(1, over=0)
    np.testing.assert_allclose(
        contrast.attribution, e.for_target(1).attribution - e.for_target(0).attribution, atol=1e-6
    )
    again = lavx.Explanation.load(contrast.save(tmp_path / "e.npz"))
    assert "'class 1 over class 0'" in repr(again) and again.over == 0
    with pytest.raises(ValueError, match="target=7 is neither"):
        e.for_target(7)
    with pytest.raises(ValueError, match="target=green is neither"):
        e.for_target(1, over="green")


def test_a_target_needs_outputs_and_the_methods_parts(network, clip, tmp_path):
    with pytest.raises(ValueError, match="keeps no outputs of other classes: a control"):
        lavx.explain(network, clip, "center", progress=False).for_target(0)
    grid = segmentation.Grid((2, 2, 2))
    e = lavx.explain(network, clip, "rise", 1, segmentation=grid, n_samples=60, behavior=Logit(), progress=False)
    loaded = lavx.Explanation.load(e.save(tmp_path / "e.npz"))
    with pytest.raises(ValueError, match="not the one of the method's preset, .* give for_target the summary"):
        loaded.for_target(0)
    given = loaded.for_target(0, summary=MeanWhenKept(), behavior=Logit())
    np.testing.assert_allclose(given.attribution, e.for_target(0).attribution, atol=1e-12)
