"""Units of coalitions, standard errors, and what is beyond noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lavx
from lavx.diagnostics import sampling_error
from lavx.experiments.score_store import FileScoreStore
from lavx.game import ScoredClip
from lavx.methods import segmentation
from lavx.methods.behavior import Probability
from lavx.methods.regions import SoftGrid
from lavx.methods.removal import Black
from lavx.methods.selection import Bernoulli, ExactlyK, LeaveOneOut, OnlyOne, Permutation, ShapleyKernel
from lavx.methods.significance import retest_correlation, significant
from lavx.methods.summary import MeanWhenKept, WeightedMean
from lavx.types import Coalitions

SOFT = segmentation.SoftGrid((2, 2, 2))


# Units


def test_a_row_is_a_unit_unless_said_otherwise():
    coalitions = Coalitions(np.ones((3, 2), bool), np.ones(3))
    assert coalitions.units.tolist() == [0, 1, 2] and coalitions.drawn.all()


@pytest.mark.parametrize("units", [np.zeros(2, int), np.zeros(3), np.array([0, 1, -2])])
def test_units_that_do_not_fit_are_refused(units):
    with pytest.raises(ValueError, match=r"units must be \(3,\) whole numbers >= -1, one a row"):
        Coalitions(np.ones((3, 2), bool), np.ones(3), units)


def test_rounds_keep_their_units_apart():
    one = Coalitions(np.ones((3, 2), bool), np.ones(3), np.array([-1, 0, 0]))
    two = Coalitions(np.ones((2, 2), bool), np.ones(2), np.array([0, -1]))
    assert Coalitions.joined([one, two]).units.tolist() == [-1, 0, 0, 1, -1]


@pytest.mark.parametrize("selection", [Bernoulli(), ExactlyK(k=2)])
def test_independent_rows_are_units(selection, rng):
    assert selection.draw(6, 20, rng).units.tolist() == list(range(20))


@pytest.mark.parametrize("selection", [LeaveOneOut(), OnlyOne(), ExactlyK(k=2), ShapleyKernel(), Permutation()])
def test_what_is_listed_in_full_is_no_draw(selection):
    assert not selection.enumerate(5).drawn.any()


def test_complements_are_one_unit_and_listed_sizes_none(rng):
    coalitions = ShapleyKernel().draw(12, 300, rng)
    sizes = coalitions.kept.sum(axis=1)
    assert np.array_equal(~coalitions.drawn, (sizes == 1) | (sizes == 11))
    for unit in np.unique(coalitions.units[coalitions.drawn]):
        first, second = coalitions.kept[coalitions.units == unit]
        assert np.array_equal(first, ~second)
    assert len(np.unique(ShapleyKernel(paired=False).draw(40, 100, rng).units)) == 100


def test_a_permutation_and_its_reverse_are_one_unit(rng):
    assert Permutation().draw(5, 15, rng).units.tolist() == [0] * 8 + [1] * 4
    assert Permutation(antithetic=False).draw(5, 8, rng).units.tolist() == [0] * 4 + [1] * 4


# Standard errors


def test_a_jackknife_by_hand(rng):
    coalitions = Bernoulli().draw(4, 30, rng)
    scores = rng.random(30)
    found = MeanWhenKept().estimate(coalitions, scores, 1.0, 0.0)
    left_out = []
    for s in range(30):
        rest = np.arange(30) != s
        part = Coalitions(coalitions.kept[rest], coalitions.weights[rest])
        left_out.append(MeanWhenKept()(part, scores[rest], 1.0, 0.0))
    by_hand = np.sqrt(29 / 30 * ((found.attribution - left_out) ** 2).sum(axis=0))
    np.testing.assert_allclose(np.sqrt((found.influence**2).sum(axis=0)), by_hand, rtol=1e-10)
    assert found.neutral == pytest.approx(scores.mean())


def test_a_region_that_one_unit_keeps_has_no_known_error():
    kept = np.array([[True, False], [True, True], [True, False]])
    found = MeanWhenKept().estimate(Coalitions(kept, np.ones(3)), np.array([0.1, 0.5, 0.3]), 1.0, 0.0)
    assert np.isfinite(found.influence[:, 0]).all() and np.isinf(found.influence[:, 1]).any()


@pytest.mark.parametrize("summary", [MeanWhenKept(), WeightedMean()])
def test_attributions_with_and_without_their_error_are_the_same(summary, rng):
    coalitions = Bernoulli().draw(6, 50, rng)
    scores = rng.random(50)
    found = summary.estimate(coalitions, scores, 0.9, 0.1)
    np.testing.assert_allclose(found.attribution, summary(coalitions, scores, 0.9, 0.1), rtol=1e-12)


# Significance


def test_the_false_discovery_rate_of_noise_and_of_a_mixture(rng):
    false = found_any = 0.0
    shares = []
    for _ in range(400):
        found_any += significant(rng.normal(size=100), np.ones(100)).any()
        mixed = rng.normal(size=100) + np.where(np.arange(100) < 20, 4.0, 0.0)
        found = significant(mixed, np.ones(100))
        false = found[20:].sum()
        shares.append(false / max(1, found.sum()))
        assert found[:20].sum() > 8
    assert found_any / 400 < 0.08
    assert np.mean(shares) < 0.055


def test_significance_against_a_value_and_without_error():
    attribution = np.array([0.5, 0.5, 0.9])
    assert significant(attribution, np.full(3, 0.01), against=0.5).tolist() == [False, False, True]
    assert significant(attribution, np.zeros(3), against=0.5).tolist() == [False, False, True]
    with pytest.raises(ValueError, match=r"rate must be in \(0, 1\), got 5"):
        significant(attribution, np.zeros(3), rate=5)


def test_the_retest_correlation_is_that_of_two_draws(rng):
    truth = rng.normal(size=4000)
    one, two = (truth + rng.normal(0, 0.5, 4000) for _ in range(2))
    expected = np.corrcoef(one, two)[0, 1]
    assert retest_correlation(one, np.full(4000, 0.5)) == pytest.approx(expected, abs=0.03)
    assert retest_correlation(one, np.full(4000, 5.0)) == 0
    assert retest_correlation(np.ones(3), np.ones(3)) is None


# In an explanation


def explained(network, clip, method="rise", **options):
    return lavx.explain(network, clip, method, target=1, progress=False, check_noise=False, **options)


def test_an_explanation_keeps_its_error_and_all_outputs(network, clip, tmp_path):
    e = explained(network, clip, segmentation=SOFT, n_samples=60)
    assert e.std_error.shape == e.attribution.shape and (e.std_error > 0).all()
    result = e.result
    assert result.influence.shape == (60, 8) and result.outputs.shape == (60, 2)
    scores = Probability()(torch.from_numpy(result.outputs), 1, "logits")
    np.testing.assert_allclose(scores, result.scores, atol=1e-6)
    empty = Probability()(torch.from_numpy(result.empty_outputs[None]), 1, "logits")
    assert float(empty[0]) == pytest.approx(result.empty, abs=1e-6)
    again = lavx.Explanation.load(e.save(tmp_path / "e.npz")).result
    for name in ("std_error", "neutral_std_error", "outputs", "empty_outputs"):
        assert np.array_equal(getattr(again, name), getattr(result, name)), name
    assert again.neutral == result.neutral and np.array_equal(again.coalitions.units, result.coalitions.units)
    (note,) = lavx.Explanation.load(tmp_path / "e.npz").notes
    assert note == e.notes[0] and "of 8 regions beyond noise; estimated retest correlation 0." in note


def test_a_file_from_before_there_were_errors_is_read(network, clip, tmp_path):
    e = explained(network, clip, "loco", segmentation=segmentation.Grid((2, 2, 2)))
    new = ("std_error", "neutral_std_error", "neutral", "coalition_units", "coalition_outputs", "empty_outputs")
    np.savez(tmp_path / "e.npz", **{name: a for name, a in e.arrays().items() if name not in new})
    again = lavx.Explanation.load(tmp_path / "e.npz")
    assert again.std_error is None and again.result.outputs is None
    assert again.result.is_exact and again.notes == ("exact",)  # as the method of this name lists its coalitions


def test_exact_methods_say_so_and_controls_say_nothing(network, clip):
    e = explained(network, clip, "loco", segmentation=segmentation.Grid((2, 2, 2)))
    assert e.result.is_exact and e.std_error is None and e.notes == ("exact",)
    assert e.diagnostics["estimated_retest_correlation"] == 1 and e.diagnostics["regions_beyond_noise"] is None
    control = explained(network, clip, "random", cells=(2, 2, 2))
    assert not control.result.is_exact and control.notes == ()
    assert control.diagnostics["estimated_retest_correlation"] is None


def test_a_summary_of_ones_own_may_offer_a_standard_error(network, clip):
    class Mine:
        def check(self, selection):
            pass

        check_coalitions = check

        def __call__(self, coalitions, scores, full, empty):
            return np.arange(8.0)

    class WithError(Mine):
        def std_error(self, coalitions, scores, full, empty):
            return np.full(8, 0.5)

    e = explained(network, clip, segmentation=SOFT, n_samples=20, summary=WithError())
    assert e.std_error.tolist() == [0.5] * 8 and e.diagnostics["regions_beyond_noise"] == 6
    unknown = explained(network, clip, segmentation=SOFT, n_samples=20, summary=Mine())
    assert unknown.std_error is None and unknown.notes == ()
    assert sampling_error(unknown.result) == {"estimated_retest_correlation": None, "regions_beyond_noise": None}


def test_another_summary_of_the_same_scores_has_its_own_error(network, clip):
    e = explained(network, clip, segmentation=SOFT, n_samples=60)
    other = e.summarized(WeightedMean())
    assert not np.array_equal(other.std_error, e.std_error)
    assert np.array_equal(e.summarized(MeanWhenKept()).std_error, e.std_error)


# Outputs that outlive a run that was cut off


def test_outputs_of_finished_batches_are_resumed(network, clip, tmp_path, rng):
    kept = rng.random((10, 8)) < 0.5
    regions = SoftGrid(clip.shape[:3], (2, 2, 2))

    def play(store):
        scored = ScoredClip(network, clip, 1, store=store)
        scored.batches.batch_size = 4
        game = scored.game(regions, Black(), Probability(), keep_outputs=True)
        return game(kept), game.outputs, game.empty_outputs, scored.n_passes

    scores, outputs, empty, n_passes = play(FileScoreStore(tmp_path / "scores", "x"))
    assert n_passes == 12
    lines = (tmp_path / "scores").read_text().splitlines(keepends=True)
    (tmp_path / "scores").write_text("".join(lines[:3]))  # what it is about, and two batches
    again = play(FileScoreStore(tmp_path / "scores", "x"))
    assert again[3] == 1 + 11 - 8
    for one, two in zip((scores, outputs, empty), again, strict=False):
        assert np.array_equal(one, two)


def test_batches_that_were_stored_without_outputs_are_scored_again(network, clip, tmp_path, rng):
    kept = rng.random((6, 8)) < 0.5
    regions = SoftGrid(clip.shape[:3], (2, 2, 2))
    for keep in (False, True):
        scored = ScoredClip(network, clip, 1, store=FileScoreStore(tmp_path / "scores", "x"))
        game = scored.game(regions, Black(), Probability(), keep_outputs=keep)
        game(kept)
        assert scored.n_passes == 8
    assert game.outputs.shape == (6, 2)
