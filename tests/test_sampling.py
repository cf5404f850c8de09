from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from lavx.methods.sampling import All, Budget
from lavx.methods.selection import Bernoulli, ExactlyK, LeaveOneOut, OnlyOne, Permutation, ShapleyKernel

CONF = Path(__file__).parents[1] / "conf" / "method" / "sampling"
SELECTIONS = [LeaveOneOut(), OnlyOne(), Bernoulli(), ExactlyK(k=2), ShapleyKernel(), Permutation()]
BOTH = pytest.mark.parametrize("sampling", [All(), Budget(40)], ids=["all", "budget"])


def rounds(sampling, selection, n_regions, rng):
    """The coalitions of all rounds, each round answered with scores of zero."""
    play = sampling.rounds(selection, n_regions, rng)
    found = [next(play)]
    while True:
        try:
            found.append(play.send(np.zeros(len(found[-1]))))
        except StopIteration:
            return found


@pytest.mark.parametrize("file", sorted(CONF.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_file_is_built(file):
    assert type(instantiate(OmegaConf.load(file))).__name__.lower() == file.stem


def test_the_standard_budget_is_that_of_the_methods():
    assert instantiate(OmegaConf.load(CONF / "budget.yaml")) == Budget(1000)


@pytest.mark.parametrize("selection", SELECTIONS, ids=lambda s: s.kind)
@BOTH
def test_check_refuses_exactly_what_would_fail_later(selection, sampling, rng):
    try:
        sampling.check(selection)
    except ValueError as error:
        with pytest.raises(ValueError, match=str(error)):
            next(sampling.rounds(selection, 5, rng))
    else:
        assert next(sampling.rounds(selection, 5, rng)).kept.shape[1] == 5


@BOTH
def test_one_round_is_one_round(sampling, rng):
    assert sampling.one_round is True
    assert len(rounds(sampling, ShapleyKernel(), 6, rng)) == 1


def test_a_budget_hands_over_its_number_and_its_generator():
    (a,) = rounds(Budget(30), Bernoulli(), 8, np.random.default_rng(3))
    b = Bernoulli().draw(8, 30, np.random.default_rng(3))
    assert np.array_equal(a.kept, b.kept) and np.array_equal(a.weights, b.weights)


def test_all_is_all_and_leaves_the_generator_alone(rng):
    before = rng.bit_generator.state
    (a,) = rounds(All(), ExactlyK(k=2), 6, rng)
    assert np.array_equal(a.kept, ExactlyK(k=2).enumerate(6).kept) and rng.bit_generator.state == before


@pytest.mark.parametrize("n_samples", [0, -3, 2.5, True, "many", None])
def test_a_budget_is_a_whole_number(n_samples):
    with pytest.raises(ValueError, match="n_samples must be a whole number >= 1, got"):
        Budget(n_samples)


def test_what_does_not_fit_is_refused_with_what_does():
    with pytest.raises(ValueError, match="All scores every coalition, and Bernoulli has no list .*: use Budget"):
        All().check(Bernoulli())
    with pytest.raises(ValueError, match="Budget draws at random, and LeaveOneOut has only a list .*: use All"):
        Budget(10).check(LeaveOneOut())
