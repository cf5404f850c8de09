"""Standard errors against games whose attributions are known."""

import numpy as np

from lavx.explainer import estimated
from lavx.game import FunctionGame
from lavx.methods.selection import Bernoulli, ShapleyKernel
from lavx.methods.summary import MeanWhenKept, ShapleyRegression


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


def test_intervals_cover_the_known_attributions():
    """95 % intervals of all regions, and of the ten largest of each game."""
    inside, largest = [], []
    for seed in range(60):
        function = Conjunctions(40, seed)
        expected = function.mean_when_kept()
        found = estimated(MeanWhenKept(), *played(function, Bernoulli(), 300, seed))
        z = np.abs(found["attribution"] - expected) / (found["std_error"] + 1e-9)
        inside.append(np.mean(z < 1.96))
        largest.append(np.mean(z[np.argsort(-np.abs(expected - expected.mean()))[:10]] < 1.96))
    assert np.mean(inside) > 0.9 and np.mean(largest) > 0.85
