from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from lavx.methods.sampling import All, Budget
from lavx.methods.selection import Bernoulli, ExactlyK, LeaveOneOut, OnlyOne, Permutation, ShapleyKernel

CONF = Path(__file__).parents[1] / "conf" / "method" / "sampling"
SELECTIONS = [LeaveOneOut(), OnlyOne(), Bernoulli(), ExactlyK(k=2), ShapleyKernel(), Permutation()]


@pytest.mark.parametrize("file", sorted(CONF.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_file_is_built(file):
    assert type(instantiate(OmegaConf.load(file))).__name__.lower() == file.stem


def test_the_standard_budget_is_that_of_the_methods():
    assert instantiate(OmegaConf.load(CONF / "budget.yaml")) == Budget(1000)


@pytest.mark.parametrize("selection", SELECTIONS, ids=lambda s: s.kind)
@pytest.mark.parametrize("sampling", [All(), Budget(40)], ids=["all", "budget"])
def test_check_refuses_exactly_what_would_fail_later(selection, sampling, rng):
    try:
        sampling.check(selection)
    except ValueError:
        with pytest.raises(ValueError):
            sampling(selection, 5, rng)
    else:
        assert sampling(selection, 5, rng).kept.shape[1] == 5


def test_budget_hands_over_its_number_and_its_generator():
    a, b = Budget(30)(Bernoulli(), 8, np.random.default_rng(3)), Bernoulli().draw(8, 30, np.random.default_rng(3))
    assert np.array_equal(a.kept, b.kept)


@pytest.mark.parametrize("n_samples", [0, -3, 2.5, True, "many"])
def test_a_budget_is_a_whole_number(n_samples):
    with pytest.raises(ValueError, match="n_samples must be a whole number >= 1, got"):
        Budget(n_samples)


def test_what_does_not_fit_is_refused_with_what_does():
    with pytest.raises(ValueError, match="'independent' draws at random.*Use method/sampling=budget"):
        All().check(Bernoulli())
    with pytest.raises(ValueError, match="'leave_one_out' needs one sample for each region.*method/sampling=all"):
        Budget(10).check(LeaveOneOut())
