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


def test_an_estimate_leaves_nan_out_and_is_that_of_scipy(rng):
    values = rng.normal(2, 1, 40)
    e = st.estimate([*values, math.nan])
    assert (e.n, e.mean) == (40, pytest.approx(values.mean()))
    assert (e.low, e.high) == pytest.approx(tuple(stats.ttest_1samp(values, 0).confidence_interval()))
    assert st.estimate([]).n == 0 and math.isnan(st.estimate([]).mean)
    assert st.estimate([5.0]).mean == 5 and math.isnan(st.estimate([5.0]).low)


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
