"""Importance per frame, and the method `when`."""

import itertools
import math

import numpy as np
import pytest

import lavx
from lavx.datasets.shapes import CLASSES, Shapes
from lavx.explainer import estimated, play
from lavx.game import FunctionGame
from lavx.methods.frames import FrameImportance, frame_importance, shares
from lavx.methods.regions import LabelRegions, SoftGrid, Windows
from lavx.methods.removal import Black, Freeze, Reverse, Shuffle
from lavx.methods.sampling import Budget
from lavx.methods.selection import Bernoulli
from lavx.methods.summary import MeanWhenKept
from lavx.types import Estimate

SHAPE = (4, 6, 5)
TUBES = LabelRegions(np.stack([np.repeat([0, 0, 1], 10), np.repeat([0, 1, 2], 10)] * 2).reshape(4, 6, 5))
REGIONS = {
    "labels": TUBES,
    "soft grid": SoftGrid(SHAPE, (2, 3, 2)),
    "windows": Windows(SHAPE, (2, 3, 2)),
}


def test_a_regions_share_of_a_frame_is_its_part_there():
    assert shares(TUBES) == pytest.approx(
        np.array([[2, 1, 2, 1], [1, 1, 1, 1], [0, 1, 0, 1]]) / np.array([[6], [4], [2]])
    )


@pytest.mark.parametrize("name", REGIONS)
def test_frames_share_out_what_the_regions_do(name):
    regions = REGIONS[name]
    attribution = np.random.default_rng(0).normal(size=regions.n_regions)
    assert shares(regions).sum(axis=1) == pytest.approx(1)
    found = frame_importance(regions, Estimate(attribution, neutral=0.25))
    assert found.values.shape == (4,) and found.std_error is None
    assert found.values.sum() == pytest.approx((attribution - 0.25).sum())
    assert frame_importance(regions, Estimate(np.full(regions.n_regions, 0.25), neutral=0.25)).values == (
        pytest.approx(0, abs=1e-12)
    )


def test_a_cell_in_the_first_frames_matters_there():
    values = frame_importance(SoftGrid(SHAPE, (2, 1, 1)), Estimate(np.array([1.0, 0.0]))).values
    assert (np.diff(values) < 0).all()
    assert FrameImportance(values).peak == 0 and FrameImportance(values).moment == 0.5
    assert FrameImportance(np.array([0.0, 3.0, 0.0, 2.0, 2.0])).moment == 3.5
    assert FrameImportance(np.ones(1)).moment == 0


def test_the_error_of_a_frame_is_the_spread_over_draws():
    regions, effects = SoftGrid((6, 4, 4), (3, 2, 2)), np.linspace(-1, 2, 12)
    game = FunctionGame(lambda kept: kept @ effects + 3 * kept[:, 0] * kept[:, 5], 12)
    found = []
    for seed in range(300):
        coalitions, scores = play(game, Bernoulli(), Budget(120), MeanWhenKept(), np.random.default_rng(seed))
        found.append(estimated(MeanWhenKept(), coalitions, scores, game.full, game.empty, regions)["per_frame"])
    spread = np.std([one.values for one in found], axis=0)
    assert np.mean([one.std_error for one in found], axis=0) == pytest.approx(spread, rel=0.15)


def test_nothing_is_known_of_a_frame_with_a_region_that_only_one_draw_keeps():
    estimate = Estimate(np.zeros(3), np.array([[0.1, 0.0, np.inf], [0.1, 0.2, np.inf]]), 0.0, np.zeros(2))
    error = frame_importance(TUBES, estimate).std_error
    assert np.isfinite(error[[0, 2]]).all() and np.isinf(error[[1, 3]]).all()


# ---------------------------------------------------------------- method=when


def order(clips):
    """Whether the clip begins dark and ends light: the mean of the last frames less that of the first ones."""
    light = clips.mean(axis=(2, 3, 4))
    answer = 1 / (1 + np.exp((light[:, :4].mean(1) - light[:, 4:].mean(1)) / 25))
    return np.stack([answer, 1 - answer], axis=1)


@pytest.fixture
def darker_then_lighter():
    frames = np.zeros((8, 8, 7, 3), dtype=np.uint8)
    frames[:] = np.array([40, 60, 50, 45, 200, 210, 190, 220])[:, None, None, None]
    return frames


def shapley_by_definition(value):
    """Of 8 players, by the sum over all coalitions without a player."""
    phi = np.zeros(8)
    for player in range(8):
        others = [k for k in range(8) if k != player]
        for size in range(8):
            weight = math.factorial(size) * math.factorial(7 - size) / math.factorial(8)
            for some in itertools.combinations(others, size):
                phi[player] += weight * (value[frozenset((*some, player))] - value[frozenset(some)])
    return phi


@pytest.mark.parametrize("removal", [Reverse(), Freeze(), Shuffle(), Black()], ids=lambda r: type(r).__name__)
def test_when_gives_exact_shapley_values_of_stretches_in_256_passes(removal, darker_then_lighter):
    e = lavx.explain(order, darker_then_lighter, "when", removal=removal, progress=False, check_noise=False)
    rows = [frozenset(np.flatnonzero(row).tolist()) for row in e.result.coalitions.kept]
    value = dict(zip(rows, e.result.scores, strict=True))
    value |= {frozenset(): e.result.empty, frozenset(range(8)): e.result.full}
    assert len(value) == 256
    assert e.attribution == pytest.approx(shapley_by_definition(value), abs=1e-9)
    assert e.result.is_exact and e.std_error is None and e.per_frame.std_error is None
    assert e.per_frame.values == pytest.approx(e.attribution)
    assert e.per_frame.values.sum() == pytest.approx(e.result.full - e.result.empty)
    assert e.n_passes <= 1 + 1 + 255  # the clip, what its outputs are, the baseline and 254 coalitions


def test_when_finds_where_the_order_matters(darker_then_lighter):
    e = lavx.explain(order, darker_then_lighter, "when", target=0, progress=False, check_noise=False)
    assert e.result.full > 0.99 and e.result.empty < 0.01
    assert e.per_frame.peak in (3, 4) and e.per_frame.moment == 3.5


def test_when_of_a_longer_clip_has_stretches_of_several_frames(darker_then_lighter):
    clip = np.repeat(darker_then_lighter, 3, axis=0)

    def longer(clips):
        return order(clips[:, 1::3])

    e = lavx.explain(longer, clip, "when", removal=Freeze(), progress=False, check_noise=False)
    assert e.attribution.shape == (8,) and e.per_frame.values.shape == (24,)
    assert e.per_frame.values == pytest.approx(np.repeat(e.attribution / 3, 3))


def test_importance_per_frame_is_stored_and_computed_of_files_without_it(darker_then_lighter, tmp_path):
    e = lavx.explain(order, darker_then_lighter, "rise", n_samples=60, progress=False, check_noise=False)
    assert e.per_frame.std_error is not None and (e.per_frame.std_error > 0).all()
    again = lavx.Explanation.load(e.save(tmp_path / "why.npz"))
    assert np.array_equal(again.per_frame.values, e.per_frame.values)
    assert np.array_equal(again.per_frame.std_error, e.per_frame.std_error)
    assert np.array_equal(again.summarized(MeanWhenKept()).per_frame.std_error, e.per_frame.std_error)
    arrays = {name: array for name, array in e.arrays().items() if not name.startswith("frame_")}
    np.savez(tmp_path / "older.npz", **arrays)
    older = lavx.Explanation.load(tmp_path / "older.npz")
    assert older.per_frame.values == pytest.approx(e.per_frame.values) and older.per_frame.std_error is None


def test_controls_have_importance_per_frame_without_an_error(darker_then_lighter):
    e = lavx.explain(order, darker_then_lighter, "center", progress=False)
    assert e.per_frame.peak in (2, 3, 4, 5) and e.per_frame.std_error is None


def embedded(name):
    from lavx.networks.openmmlab.network import Network

    return Network(name, f"lavx:shapes_{name}.py", "embedded", classes=CLASSES, device="cpu")


@pytest.mark.slow
@pytest.mark.parametrize("net, at_least", [("tpn", 0.9), ("timesformer", 0.9), ("tanet", 0.9)])
def test_when_finds_the_change_of_color_within_one_sampled_frame(net, at_least, tmp_path):
    found = {"when": [], "random": []}
    shapes, network = Shapes(tmp_path, n_videos=30), embedded(net)
    for video in shapes.videos():
        with np.load(video.path.with_suffix(".npz")) as truth:
            turning = int(truth["turning"])
        clip = network.read(video.path)
        change = np.searchsorted(clip.geometry.frame_indices, turning) - 0.5  # between the two frames
        for method, hits in found.items():
            e = lavx.explain(network, video.path, method, name=video.id, progress=False, check_noise=False)
            hits.append(abs(e.per_frame.moment - change) <= 1)
    assert np.mean(found["when"]) >= at_least
    assert 0.2 <= np.mean(found["random"]) <= 0.65  # chance is 0.46
