import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lavx.report import statistics as st


@pytest.mark.parametrize(
    "k, q",  # Demsar 2006, table 5(a), alpha = 0.05
    [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949), (8, 3.031), (9, 3.102), (10, 3.164)],
)
def test_the_critical_difference_has_the_published_values(k, q):
    n = 30
    assert st.nemenyi(k, n) == pytest.approx(q * math.sqrt(k * (k + 1) / (6 * n)), abs=6e-4)


def test_the_friedman_test_is_scipys_and_survives_ties(rng):
    values = rng.normal(size=(12, 5)) + np.arange(5) * 0.4
    assert st.friedman(values) == pytest.approx(tuple(stats.friedmanchisquare(*values.T)))
    assert st.friedman(np.ones((6, 4))) == (0.0, 1.0)
    assert st.friedman(values[:, :2]) is None and st.friedman(values[:1]) is None


def test_ranks_begin_with_the_best_and_ties_share():
    blocks = np.array([[0.1, 0.3, 0.3], [0.5, 0.2, 0.9]])
    assert st.ranks(blocks, higher_is_better=False).tolist() == [[1, 2.5, 2.5], [2, 1, 3]]
    assert st.ranks(blocks, higher_is_better=True).tolist() == [[3, 1.5, 1.5], [2, 3, 1]]


def test_an_estimate_is_seeded_leaves_nan_out_and_agrees_with_scipy(rng):
    values = rng.normal(2, 1, 40)
    e = st.estimate([*values, math.nan], seed=3)
    assert (e.n, e.mean) == (40, pytest.approx(values.mean())) and e == st.estimate(values, seed=3)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", rng=np.random.default_rng(0))
    assert (e.low, e.high) == pytest.approx(tuple(theirs.confidence_interval), abs=0.05)
    assert st.estimate([], 0).n == 0 and math.isnan(st.estimate([], 0).mean)
    assert st.estimate([5.0]).mean == 5 and math.isnan(st.estimate([5.0]).low)


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says(rng):
    samples = [st.estimate(rng.normal(size=30), seed=k) for k in range(300)]
    assert 0.88 <= np.mean([e.low <= 0 <= e.high for e in samples]) <= 0.98


def test_groups_are_the_largest_that_are_not_significantly_different():
    average = pd.Series({"a": 1.0, "b": 1.8, "c": 2.6, "d": 5.0, "e": 5.5})
    assert st.alike(average, 1.0) == [["a", "b"], ["b", "c"], ["d", "e"]]
    assert st.alike(average, 10.0) == [["a", "b", "c", "d", "e"]]
    assert st.alike(average, 0.1) == []


def test_a_comparison_finds_a_clear_winner(rng):
    blocks = pd.DataFrame(rng.normal(size=(30, 4)) + [0, 0, 0, 3], columns=list("abcd"))
    found = st.compare(blocks, higher_is_better=True)
    assert found.average.idxmin() == "d" and found.p < 0.001
    assert not any("d" in group for group in found.groups)
    assert st.compare(blocks[["a"]], True) is None


@pytest.mark.parametrize("n", [2, 7, 300])
def test_the_interval_is_that_of_the_resamples_drawn_one_by_one(rng, n):
    values = rng.normal(2, 1, n)
    drawn = np.random.default_rng(3).integers(n, size=(st.N_RESAMPLES, n))
    assert (st._resamples(n, 3) == [np.bincount(row, minlength=n) for row in drawn]).all()
    e = st.estimate(values, seed=3)
    assert (e.low, e.high) == pytest.approx(tuple(np.quantile(values[drawn].mean(1), [0.025, 0.975])), abs=1e-12)
