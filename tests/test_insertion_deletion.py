import numpy as np
import pytest

from lavx.game import ScoredClip
from lavx.methods.removal import Black
from lavx.metrics.insertion_deletion import (
    Curve,
    InsertionDeletion,
    absolute_minimal_masks,
    level_sets,
    minimal_masks,
)


def play(network, clip, heatmap, n_steps=100):
    return InsertionDeletion(Black(), n_steps)(ScoredClip(network, clip, 1), heatmap)


def test_curves_equal_a_loop_over_voxels_in_order(network, clip, rng):
    heatmap = rng.integers(0, 5, clip.shape[:3]).astype(np.float32)
    curves = play(network, clip, heatmap)
    for step, value in enumerate([None, 4, 3, 2, 1, 0]):
        chosen = np.zeros(heatmap.shape, bool) if value is None else heatmap >= value
        for game, kept in (("insertion", chosen), ("deletion", ~chosen)):
            logit = (clip * kept[..., None] * network.weight.numpy()).sum()
            assert curves[game].fractions[step] == pytest.approx(chosen.mean(), abs=1e-12)
            assert curves[game].scores[step] == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-9)


def test_the_curves_mirror_each_other_when_the_heatmap_is_negated(network, clip, rng):
    heatmap = rng.normal(size=clip.shape[:3]).astype(np.float32)
    curves, mirrored = play(network, clip, heatmap, 16), play(network, clip, -heatmap, 16)
    assert curves["deletion"].auc == pytest.approx(mirrored["insertion"].auc, abs=1e-6)


def test_the_true_heatmap_has_the_best_curves(network, clip, rng):
    truth = (clip * network.weight.numpy()).sum(-1)
    best = play(network, clip, truth)
    for _ in range(5):
        other = play(network, clip, rng.permuted(truth.ravel()).reshape(truth.shape))
        assert best["deletion"].auc < other["deletion"].auc
        assert best["insertion"].auc > other["insertion"].auc


def test_no_pass_is_spent_twice(network, clip, rng):
    play(network, clip, rng.integers(0, 5, clip.shape[:3]))
    looked = 1 + 2  # whether the network mixes clips: a black one, and it beside the clip
    assert sum(network.calls) == 1 + looked + 1 + 4 + 4  # the clip, the baseline, four inner steps of each curve


@pytest.mark.parametrize("n_steps", [1, 2, 7, 100])
def test_level_sets_keep_order_and_ties_within_the_steps(rng, n_steps):
    heatmap = rng.integers(0, 60, (4, 9, 9)).astype(float)
    steps = level_sets(heatmap, n_steps)
    assert steps.max() + 1 <= n_steps and len(np.unique(steps)) == steps.max() + 1
    order = np.argsort(-heatmap.ravel(), kind="stable")
    assert (np.diff(steps.ravel()[order]) >= 0).all()
    for value in np.unique(heatmap):
        assert len(np.unique(steps[heatmap == value])) == 1


def test_many_levels_make_steps_of_equal_size(rng):
    sizes = np.bincount(level_sets(rng.random((10, 10, 10)), 100).ravel())
    assert len(sizes) == 100 and (sizes == 10).all()


def test_a_flat_heatmap_is_one_step(network, clip):
    curves = play(network, clip, np.ones(clip.shape[:3]))
    assert curves["deletion"].fractions.tolist() == [0, 1]
    assert curves["deletion"].scores.tolist() == curves["insertion"].scores[::-1].tolist()


def test_area_and_minimal_masks_of_curves_known_on_paper():
    fractions = np.array([0, 0.25, 0.5, 1])
    curves = {
        "deletion": Curve(fractions, np.array([0.8, 0.4, 0.1, 0.0])),
        "insertion": Curve(fractions, np.array([0.0, 0.2, 0.7, 0.8])),
    }
    assert curves["deletion"].auc == pytest.approx(0.25 * 0.6 + 0.25 * 0.25 + 0.5 * 0.05)
    masks = minimal_masks(curves, (0.5, 0.9))
    assert masks == {"deletion": {"0.5": 0.25, "0.9": 1.0}, "insertion": {"0.5": 0.5, "0.9": 1.0}}


def test_a_threshold_never_reached_is_none_not_a_number():
    flat = Curve(np.array([0, 1]), np.array([0.6, 0.6]))
    low = Curve(np.array([0, 1]), np.array([0.1, 0.2]))
    masks = minimal_masks({"deletion": flat, "insertion": low}, (0.5,))
    assert masks == {"deletion": {"0.5": None}, "insertion": {"0.5": None}}


def test_bad_parameters_and_heatmaps_are_refused(network, clip):
    with pytest.raises(ValueError, match=r"heatmap must be \(T, H, W\) = \(4, 8, 8\), got \(4, 8, 9\)"):
        play(network, clip, np.zeros((4, 8, 9)))
    for n_steps in (0, 2.5, True, np.nan):
        with pytest.raises(ValueError, match="n_steps must be auto or a whole number >= 1, got"):
            InsertionDeletion(Black(), n_steps)
    with pytest.raises(ValueError, match="holds 2 values that are NaN or infinite"):
        level_sets(np.array([[[1, np.nan, np.inf]]]), 10)


def cut(heatmap, share):
    """The heatmap's most important levels, 0 elsewhere."""
    return np.where(heatmap > np.quantile(heatmap, 1 - share), heatmap, 0)


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_the_drawn_curves_are_points_of_the_raw_ones_and_cost_nothing(network, clip, rng, share):
    heatmap = rng.integers(1, 9, clip.shape[:3]).astype(np.float32)
    drawn = cut(heatmap, share) if share < 1 else heatmap
    both = InsertionDeletion(Black(), map="both")(ScoredClip(network, clip, 1), heatmap, drawn)
    passes = sum(network.calls)
    raw = InsertionDeletion(Black())(ScoredClip(network, clip, 1), heatmap)
    assert sum(network.calls) - passes == passes  # as many as for the raw one alone
    alone = InsertionDeletion(Black(), map="drawn")(ScoredClip(network, clip, 1), heatmap, drawn)
    assert list(alone) == ["deletion_drawn", "insertion_drawn"] and len(both) == 4
    for name, curve in alone.items():
        assert both[name].fractions.tolist() == curve.fractions.tolist()
        assert both[name].scores == pytest.approx(curve.scores, abs=1e-6)
        same = name.removesuffix("_drawn")
        assert both[same].scores.tolist() == raw[same].scores.tolist()
    assert minimal_masks(both)["deletion_drawn"] == minimal_masks(alone)["deletion_drawn"]


def test_a_drawn_heatmap_in_another_order_is_judged_by_passes_of_its_own(network, clip, rng):
    heatmap = rng.integers(1, 9, clip.shape[:3]).astype(np.float32)
    drawn = np.where(rng.random(heatmap.shape) < 0.3, heatmap, 0)  # voxels here and there
    both = InsertionDeletion(Black(), map="both")(ScoredClip(network, clip, 1), heatmap, drawn)
    alone = InsertionDeletion(Black())(ScoredClip(network, clip, 1), drawn)
    assert both["deletion_drawn"].scores == pytest.approx(alone["deletion"].scores, abs=1e-6)
    with pytest.raises(ValueError, match="map=both judges the drawn heatmap, and none was given"):
        InsertionDeletion(Black(), map="both")(ScoredClip(network, clip, 1), heatmap)
    with pytest.raises(ValueError, match="map must be one of raw, drawn, both"):
        InsertionDeletion(Black(), map="cut")


def test_every_region_is_a_step_up_to_a_limit(rng):
    assert level_sets(rng.permutation(200 * 4).reshape(8, 10, 10) // 4).max() == 199
    assert level_sets(np.arange(2000.0).reshape(20, 10, 10)).max() == 99


def test_minimal_masks_at_probabilities_do_not_depend_on_the_clips_score():
    fractions = np.array([0, 0.1, 0.3, 1])
    curves = {
        "deletion": Curve(fractions, np.array([0.4, 0.3, 0.2, 0.15])),
        "insertion": Curve(fractions, np.array([0.15, 0.2, 0.35, 0.4])),
    }
    masks = absolute_minimal_masks(curves, (0.1, 0.2, 0.3, 0.5))
    assert masks == {
        "deletion_absolute": {"0.1": None, "0.2": 0.3, "0.3": 0.1, "0.5": 0.0},
        "insertion_absolute": {"0.1": 0.0, "0.2": 0.1, "0.3": 0.3, "0.5": None},
    }
    drawn = absolute_minimal_masks({f"{name}_drawn": curve for name, curve in curves.items()}, (0.2,))
    assert drawn == {"deletion_absolute_drawn": {"0.2": 0.3}, "insertion_absolute_drawn": {"0.2": 0.1}}
    assert minimal_masks(curves, (0.5,))["deletion"] == {"0.5": 0.3}  # half of 0.4, not of 1
    assert not masks.keys() & minimal_masks(curves).keys()
