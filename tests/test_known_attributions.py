"""Standard errors against games whose attributions are known."""

import numpy as np
import pytest

from lavx.explainer import estimated
from lavx.game import FunctionGame
from lavx.methods.selection import Bernoulli, Permutation, ShapleyKernel
from lavx.methods.summary import MeanWhenKept, PermutationMean, Ridge, ShapleyRegression


class Conjunctions:
    """A game of a fifth of its regions: values that count where all the regions of a term are kept."""

    def __init__(self, n_regions, seed, n_terms=30):
        rng = np.random.default_rng(seed)
        important = rng.permutation(n_regions)[: max(4, n_regions // 5)]
        self.members = np.zeros((n_terms, n_regions), dtype=bool)
        for members in self.members:
            members[rng.choice(important, rng.integers(1, 5), replace=False)] = True
        self.values = rng.exponential(size=n_terms) * rng.choice([1, 1, 1, 1, -1], n_terms) / n_terms

    def __call__(self, kept):
        return 0.1 + (~(~kept[:, None] & self.members).any(axis=2)) @ self.values

    def shapley(self):
        """Each term is shared out equally among its members."""
        return (self.values / self.members.sum(axis=1)) @ self.members

    def mean_when_kept(self):
        """Each other member of a term is kept half the time."""
        return 0.1 + self.values @ 0.5 ** (self.members.sum(axis=1)[:, None] - self.members)


def played(function, selection, n_samples, seed=0):
    game = FunctionGame(function, function.members.shape[1])
    coalitions = selection.draw(game.n_regions, n_samples, np.random.default_rng(seed))
    return coalitions, game(coalitions.kept), game.full, game.empty


def test_the_known_attributions_are_those_of_all_coalitions():
    function = Conjunctions(6, 0)
    every = np.array([[k >> i & 1 for i in range(6)] for k in range(64)], dtype=bool)
    scores = function(every)
    expected = [scores[every[:, i]].mean() for i in range(6)]
    np.testing.assert_allclose(function.mean_when_kept(), expected)
    listed = ShapleyKernel().enumerate(6)
    game = FunctionGame(function, 6)
    found = ShapleyRegression()(listed, game(listed.kept), game.full, game.empty)
    np.testing.assert_allclose(found, function.shapley(), atol=1e-9)


@pytest.mark.parametrize(
    ("summary", "selection", "truth", "n_samples"),
    [
        (MeanWhenKept(), Bernoulli(), Conjunctions.mean_when_kept, 300),
        (ShapleyRegression(), ShapleyKernel(), Conjunctions.shapley, 60),
        (ShapleyRegression(), ShapleyKernel(), Conjunctions.shapley, 200),
        (ShapleyRegression(), ShapleyKernel(), Conjunctions.shapley, 1000),
        (PermutationMean(), Permutation(), Conjunctions.shapley, 1600),
    ],
)
def test_intervals_cover_the_known_attributions(summary, selection, truth, n_samples):
    """95 % intervals of all regions, and of the ten largest of each game."""
    inside, largest = [], []
    for seed in range(60):
        function = Conjunctions(40, seed)
        expected = truth(function)
        found = estimated(summary, *played(function, selection, n_samples, seed))
        z = np.abs(found["attribution"] - expected) / (found["std_error"] + 1e-9)
        inside.append(np.mean(z < 1.96))
        largest.append(np.mean(z[np.argsort(-np.abs(expected - expected.mean()))[:10]] < 1.96))
    assert np.mean(inside) > 0.9 and np.mean(largest) > 0.85


def test_intervals_of_ridge_cover_the_regression_on_many_samples():
    inside = []
    for seed in range(10):
        function = Conjunctions(30, seed)
        expected = Ridge()(*played(function, Bernoulli(), 40000, 100 + seed))
        for n_samples in (60, 200, 600):
            found = estimated(Ridge(), *played(function, Bernoulli(), n_samples, seed))
            inside.append(np.mean(np.abs(found["attribution"] - expected) < 1.96 * found["std_error"]))
    assert 0.9 < np.mean(inside) < 0.99


def test_the_penalty_of_kernel_shap_is_logged_and_gone_with_all_samples():
    function = Conjunctions(8, 8)
    game = FunctionGame(function, 8)
    few = ShapleyRegression().estimate(*played(function, ShapleyKernel(), 20))
    every = ShapleyKernel().enumerate(8)
    all_of_them = ShapleyRegression().estimate(every, game(every.kept), game.full, game.empty)
    assert few.more["shrinkage"] > 0.1
    assert all_of_them.more["shrinkage"] == pytest.approx(0, abs=1e-9) and all_of_them.influence is None


def test_one_permutation_tells_nothing_of_its_error():
    found = estimated(PermutationMean(), *played(Conjunctions(6, 9), Permutation(), 10))
    assert np.isinf(found["std_error"]).all()
