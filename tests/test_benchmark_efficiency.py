import itertools
import json
import math

import numpy as np
import pytest

from lavx import presets
from lavx.benchmark.efficiency import VideoBenchmark, retest, settings_of
from lavx.benchmark.efficiency_tables import cells, markdown
from lavx.benchmark.measures import correlation, covered, n_top, relative_error, top_overlap
from lavx.benchmark.reference import MeanWhenKept, RegressionLimit, Shapley, estimand_of, reference
from lavx.benchmark.shared_scores import Draw, SharedScores, SharingClip, fingerprint
from lavx.commands.benchmark import benchmark
from lavx.errors import RequestError
from lavx.experiments.settings import nested
from lavx.game import FunctionGame, Seeds
from lavx.methods.regions import LabelRegions, SoftGrid
from lavx.methods.removal import Black
from lavx.methods.sampling import Budget
from lavx.methods.segmentation import Grid
from lavx.methods.selection import Bernoulli, ShapleyKernel
from lavx.methods.summary import MeanWhenKept as MeanSummary
from lavx.methods.summary import Ridge, ShapleyRegression, WeightedMean
from lavx.metrics.insertion_deletion import InsertionDeletion
from lavx.types import silent

# Measures


def test_the_error_ignores_a_constant_and_counts_squares():
    truth = np.array([0.0, 1.0, 2.0, 5.0])
    assert relative_error(truth + 7, truth) == pytest.approx(0)
    assert relative_error(np.full(4, 3.0), truth) == pytest.approx(1)
    assert relative_error(3 * truth, truth) == pytest.approx(4)  # off by twice the reference
    assert relative_error(truth, np.ones(4)) is None


def test_overlap_counts_the_largest():
    truth = np.arange(100.0)
    other = truth.copy()
    other[95:], other[:5] = truth[:5], truth[95:]
    assert n_top(100) == 10 and n_top(8) == 2 and n_top(1) == 1
    assert top_overlap(truth, truth) == 1 and top_overlap(-truth, truth) == 0
    assert top_overlap(other, truth) == 0.5


def test_coverage_of_intervals_that_are_right_is_nominal(rng):
    noise, own = 2.0, 1.0
    truth = rng.normal(size=20_000)
    found = truth + noise * rng.normal(size=truth.size)
    seen = truth + own * rng.normal(size=truth.size)
    inside = covered(found, np.full_like(truth, noise), seen, np.full_like(truth, own))
    assert inside.mean() == pytest.approx(0.95, abs=0.01)
    without = covered(found, np.full_like(truth, noise), seen, np.zeros_like(truth))
    assert without.mean() < 0.93  # the reference's noise is not blamed on the intervals
    assert covered(truth, np.zeros_like(truth), truth, np.zeros_like(truth)).all()


def test_correlation_is_pearsons(rng):
    one, other = rng.normal(size=(2, 30))
    assert correlation(one, other) == pytest.approx(np.corrcoef(one, other)[0, 1])
    assert correlation(one, np.ones(30)) is None


# References


def all_coalitions(n):
    return np.array(list(itertools.product([False, True], repeat=n)))


def table_game(n=6, seed=0):
    """Interactions of all orders: a random number for each coalition, and some for each region."""
    values = np.random.default_rng(seed).random(2**n) + all_coalitions(n)[:, ::-1] @ np.linspace(0, 1, n)
    return FunctionGame(lambda kept: values[kept @ (1 << np.arange(n))], n)


def shapley_values(game):
    n = game.n_regions
    found = np.zeros(n)
    for kept in all_coalitions(n):
        for i in np.flatnonzero(~kept):
            size = int(kept.sum())
            weight = math.factorial(size) * math.factorial(n - size - 1) / math.factorial(n)
            with_it = kept.copy()
            with_it[i] = True
            found[i] += weight * (game(with_it[None])[0] - game(kept[None])[0])
    return found


def chances(kept, p):
    return np.where(kept, p, 1 - p).prod(axis=1)


def similarity(kept, width):
    return np.sqrt(np.exp(-((1 - np.sqrt(kept.mean(axis=1))) ** 2) / width**2))


def weighted_means(game, weights):
    kept = all_coalitions(game.n_regions)
    return (weights * game(kept)) @ kept / (weights @ kept)


def regression(game, weights):
    kept = all_coalitions(game.n_regions)
    x = np.c_[np.ones(len(kept)), kept]
    return np.linalg.solve(x.T @ (x * weights[:, None]), x.T @ (weights * game(kept)))[1:]


KEPT = all_coalitions(6)
TRUTHS = [
    (Shapley(), shapley_values),
    (MeanWhenKept(0.4), lambda game: weighted_means(game, chances(KEPT, 0.4))),
    (MeanWhenKept(0.6, 0.3), lambda game: weighted_means(game, chances(KEPT, 0.6) * similarity(KEPT, 0.3))),
    (RegressionLimit(0.4, 0.3), lambda game: regression(game, chances(KEPT, 0.4) * similarity(KEPT, 0.3))),
]


@pytest.mark.parametrize("estimand, truth", TRUTHS, ids=lambda value: getattr(value, "name", ""))
def test_references_are_unbiased_and_know_their_error(estimand, truth):
    game = table_game()
    expected = truth(game)
    found = [reference(game, estimand, 60, Seeds(seed).numpy) for seed in range(80)]
    mean, spread = (part(np.stack([r.attribution for r in found]), axis=0) for part in (np.mean, np.std))
    assert (np.abs(mean - expected) < 3.5 * spread / math.sqrt(80)).all()
    assert (3.5 * spread / math.sqrt(80) < 0.5 * np.ptp(expected)).all()  # or the test would see no bias
    inside = [np.abs(r.attribution - expected) < 1.96 * r.std_error for r in found]
    assert 0.88 < np.mean(inside) < 0.98
    squares = np.mean([((r.attribution - expected - (r.attribution - expected).mean()) ** 2).sum() for r in found])
    own = [r.error * ((r.attribution - r.attribution.mean()) ** 2).sum() for r in found]
    assert np.mean(own) == pytest.approx(squares, rel=0.25)


@pytest.mark.parametrize("estimand", [estimand for estimand, _ in TRUTHS], ids=lambda value: value.name)
def test_the_reference_of_a_sum_is_exact(estimand):
    slopes = np.array([3.0, -1.0, 0.0, 0.5, 2.0])
    game = FunctionGame(lambda kept: 0.2 + kept @ slopes, 5)
    found = reference(game, estimand, 400, Seeds(0).numpy)
    around = found.attribution - found.attribution.mean()
    share = 1.0
    if isinstance(
        estimand, MeanWhenKept
    ):  # a kept region's mean moves by the part of its slope that chance leaves
        kept = all_coalitions(5)
        weights = chances(kept, estimand.p_keep)
        weights = weights * (1 if estimand.kernel_width is None else similarity(kept, estimand.kernel_width))
        means = (weights * game(kept)) @ kept / (weights @ kept)
        share = np.ptp(means) / np.ptp(slopes)
    assert around == pytest.approx(share * (slopes - slopes.mean()), abs=1e-3)
    assert found.error < 1e-5


def test_a_larger_reference_begins_with_the_coalitions_of_a_smaller_one():
    asked = []
    game = FunctionGame(lambda kept: asked.append(kept.copy()) or kept.mean(axis=1), 7)
    for n_samples in (2000, 3000):
        reference(game, MeanWhenKept(0.5), n_samples, Seeds(0).numpy)
    scored = [np.packbits(kept).tobytes() for kept in asked if len(kept) > 1]
    assert set(scored[:4]) < set(scored[4:]) and len(scored) == 10


def test_a_reference_takes_some_samples():
    with pytest.raises(ValueError, match="a reference takes at least 20 samples, got 10"):
        reference(table_game(), Shapley(), 10, Seeds(0).numpy)


def test_a_single_region_has_all():
    game = FunctionGame(lambda kept: kept[:, 0] * 2.0, 1)
    found = reference(game, Shapley(), 100, Seeds(0).numpy)
    assert found.attribution.tolist() == [2.0] and found.error == 0


def test_every_preset_that_draws_has_an_estimand():
    named = {name: estimand_of(presets.method(name)) for name in presets.names()}
    assert named["rise"] == MeanWhenKept(0.5) and named["kernel_shap"] == Shapley()
    assert named["lime"] == RegressionLimit(0.5, 0.25)
    assert all(named[name] is None for name in ("loco", "univariate", "occlusion", "random", "center"))


@pytest.mark.parametrize(
    "estimand, selection, summary",
    [
        (Shapley(), ShapleyKernel(), ShapleyRegression()),
        (MeanWhenKept(0.4), Bernoulli(0.4), MeanSummary()),
        (MeanWhenKept(0.4, 0.3), Bernoulli(0.4), WeightedMean(0.3)),
        (RegressionLimit(0.4, 0.3), Bernoulli(0.4), Ridge(1.0, 0.3)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_summaries_converge_to_their_references(estimand, selection, summary):
    """Two ways that share no code: the summary on very many samples, and the estimand's own reference."""
    game = table_game(7, seed=1)
    coalitions = selection.draw(7, 60_000, np.random.default_rng(3))
    converged = summary(coalitions, game(coalitions.kept), game.full, game.empty)
    found = reference(game, estimand, 20_000, Seeds(0).numpy)
    assert relative_error(converged, found.attribution) < 0.01
    assert (np.abs(converged - found.attribution) < 5 * found.std_error + 0.01).all()
    assert (
        estimand_of(presets.method("lime", selection=selection, summary=summary, sampling=Budget(10))) == estimand
    )


# Scores that are shared


def sharing(network, clip, store, seed=0):
    return SharingClip(network, clip, 1, seeds=Draw(seed, "v"), progress=silent, store=store)


def test_scores_are_shared_within_a_process_and_after_it(network, clip, tmp_path, rng):
    regions = LabelRegions(np.arange(clip[..., 0].size).reshape(clip.shape[:3]) % 6)
    kept = Bernoulli().draw(6, 30, rng).kept
    store = SharedScores(tmp_path / "v.jsonl", "about")
    one = sharing(network, clip, store)
    first = one.game(regions, Black(), presets.method("rise").behavior)(kept)
    n_passes = one.n_passes
    again = one.game(regions, Black(), presets.method("rise").behavior, stage="explanation")(kept)
    assert one.n_passes == n_passes and (again == first).all()
    later = sharing(network, clip, SharedScores(tmp_path / "v.jsonl", "about"))
    before = later.n_passes
    assert (later.game(regions, Black(), presets.method("rise").behavior)(kept) == first).all()
    assert later.n_passes == before


def test_games_of_other_regions_and_removals_share_nothing(network, clip, tmp_path, rng):
    kept = Bernoulli().draw(8, 10, rng).kept
    scored = sharing(network, clip, SharedScores(tmp_path / "v.jsonl", "about"))
    behavior = presets.method("rise").behavior
    grid, halves = SoftGrid(scored.shape, (2, 2, 2)), LabelRegions(np.arange(256).reshape(4, 8, 8) // 32)
    assert fingerprint(grid) != fingerprint(halves) != fingerprint(LabelRegions(halves.labels[::-1].copy()))
    scores = [
        scored.game(regions, removal, behavior)(kept)
        for regions in (grid, halves)
        for removal in (Black(), Black(feather=1))
    ]
    for one, other in itertools.combinations(scores, 2):
        assert (one != other).any()


def test_draws_differ_in_the_samples_alone():
    streams = [Draw(0, "v", number) for number in range(2)]
    assert Seeds(0, "v").numpy("sampling").random() == streams[0].numpy("sampling").random()
    assert streams[0].numpy("sampling").random() != streams[1].numpy("sampling").random()
    for step in ("segmentation", "removal"):
        assert streams[0].numpy(step).random() == streams[1].numpy(step).random()


# One video


def test_the_rows_of_a_video(network, clip, tmp_path):
    truth = np.zeros(clip.shape[:3], dtype=bool)
    truth[1:3, 2:5, 2:5] = True
    scored = sharing(network, clip, SharedScores(tmp_path / "v.jsonl", "about"))
    grid = Grid((2, 2, 2))
    settings = settings_of(["kernel_shap", "loco", "random"], [20, 80])
    for setting in settings:
        if hasattr(setting.explainer, "segmentation"):
            setting.explainer.segmentation = grid
        else:
            setting.explainer.cells = (2, 2, 2)
    video = VideoBenchmark(scored, "v", 0, None, truth, 2, 4000, InsertionDeletion(Black(), 8))
    rows = list(video.rows(settings))
    assert [(row.method, row.n_samples, row.draw) for row in rows] == [
        ("kernel_shap", 20, 0),
        ("kernel_shap", 20, 1),
        ("kernel_shap", 80, 0),
        ("kernel_shap", 80, 1),
        ("loco", None, 0),
        ("random", None, 0),
    ]
    few, many, loco, random = rows[0], rows[2], rows[4], rows[5]
    assert few.estimand == "Shapley values" and 0 < many.error < few.error < 1
    assert few.reference_error == many.reference_error < 0.01
    assert few.retest is None and rows[1].retest > 0.5
    assert loco.exact and loco.error == 0 and loco.coverage is None
    assert random.error is None and random.passes == 0 and random.insertion is not None
    assert few.deletion is not None and rows[1].deletion is None  # curves are of the first draw
    assert 0 <= few.tinted <= 1 and few.color_inside is not None
    found = cells([row.as_json() for row in rows])
    assert [cell["passes"] for cell in found] == [20, 80, 8, 0]
    assert found[0]["error"]["mean"] == pytest.approx((few.error + rows[1].error) / 2)


def test_a_method_that_scores_all_coalitions_draws_once(network, clip, tmp_path):
    scored = sharing(network, clip, SharedScores(tmp_path / "v.jsonl", "about"))
    settings = settings_of(["kernel_shap"], [1000])  # of 8 regions there are 254
    settings[0].explainer.segmentation = Grid((2, 2, 2))
    (row,) = VideoBenchmark(scored, "v", 0, None, None, 3, 100, None).rows(settings)
    assert row.exact and row.passes == 254 and row.error == 0 and row.insertion is None


def test_retest_compares_voxels_where_regions_differ(network, clip, tmp_path):
    from lavx.api import explained

    scored = sharing(network, clip, SharedScores(tmp_path / "v.jsonl", "about"))
    one, other = (
        explained(scored, presets.method("loco", segmentation=Grid(cells)), "loco", check_noise=False)
        for cells in ((2, 2, 2), (2, 4, 2))
    )
    assert retest(one, one) == pytest.approx(1)
    both = np.corrcoef(one.heatmap.ravel(), other.heatmap.ravel())[0, 1]
    assert retest(one, other) == pytest.approx(both, abs=1e-5)


def test_passes_for_the_importance_per_frame_count(network, clip, tmp_path):
    store = SharedScores(tmp_path / "v.jsonl", "about")
    settings = settings_of(["auto"], [20])
    settings[0].explainer.segmentation = Grid((2, 2, 2))
    passes = []
    for _ in range(2):  # kept scores are counted like others
        video = VideoBenchmark(sharing(network, clip, store), "v", 0, None, None, 1, 40, None)
        (row,) = video.rows(settings)
        passes.append(row.passes)
    assert passes[0] == passes[1] > 20


# Tables


def row(video, error, own=0.01, method="rise", **more):
    empty = dict.fromkeys(
        ("reference_split_half", "top_overlap", "coverage", "coverage_top", "retest", "retest_estimated",
         "color_inside", "color_recall", "tinted", "insertion", "deletion")
    )  # fmt: skip
    fixed = {"n_samples": 250, "passes": 250, "n_regions": 9, "exact": False, "estimand": "means", "draw": 0}
    own_error = {"error": error, "reference_error": own, "summary_seconds": 0.1}
    return {"video": video, "method": method, **empty, **fixed, **own_error, **more}


def test_cells_are_over_videos():
    rows = [row(f"v{i}", error) for i, error in enumerate((0.1, 0.2, 0.9))] + [row("v0", 0.3)]
    (cell,) = cells(rows)
    assert cell["n_videos"] == 3 and cell["error"]["n"] == 3
    assert cell["error"]["median"] == pytest.approx(0.2) and cell["error"]["mean"] == pytest.approx(1.3 / 3)
    assert cell["error"]["median_low"] <= 0.2 <= cell["error"]["median_high"]
    assert cell["error_is_sure"] and cell["coverage"]["mean"] is None


def test_an_error_that_its_reference_does_not_carry_is_marked():
    sure, unsure = [row("v", 0.5, 0.05)], [row("v", 0.5, 0.06, method="lime")]
    about = {"net": "tpn", "dataset": "shapes", "n_videos": 1, "n_draws": 1}
    text = markdown({**about, "cells": cells(sure + unsure)})
    assert "| rise | 250 | 9 | 0.50 | 0.05 |" in text and "| lime | 250 | 9 | 0.50 \\* | 0.06 |" in text
    assert "more than a tenth of this error" in text and "rise, lime: means." in text
    assert "tenth" not in markdown({**about, "cells": cells(sure)})


# The command


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="there is no method 'shap'"):
        settings_of(["shap"], [10])
    sizes = [(s.method, s.n_samples) for s in settings_of(["lime", "loco"], [10, 20])]
    assert sizes == [("lime", 10), ("lime", 20), ("loco", None)]


def configuration(tmp_path, **changes):
    return nested(
        {
            "what": "efficiency", "name": "b", "outputs": str(tmp_path), "trained": str(tmp_path),
            "methods": ["rise"], "n_samples": [30], "n_draws": 2,
            "n_reference": 40, "n_steps": 3, "seed": 0, "n_videos": 2,
            "videos": None, "target": "predicted", "device": "cpu", "precision": "fp32", "batch_size": "auto",
            "class_map": None, "dataset": {"_target_": "toy.FoldedShapes", "root": str(tmp_path / "videos")},
            "net": {"_target_": "toy.ToyNetwork"}, "trusted_modules": ["toy"], **changes,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"what": "speed"}, "what must be one of efficiency, .*all; got 'speed'"),
        ({"n_reference": 5}, "n_reference must be a whole number >= 20, got 5"),
        ({"n_samples": [0]}, "n_samples must be a whole number >= 1, got 0"),
        ({"n_steps": 0}, "n_steps must be a whole number >= 1, got 0"),
        ({"methods": ["rice"]}, "methods: there is no method 'rice' .did you mean rise.."),
        ({"methods": ["kernel_shap"], "n_samples": [1]}, "shapes-0000: n_samples must be at least 2"),
    ],
)
def test_an_invalid_request_is_refused(tmp_path, changes, message):
    with pytest.raises(RequestError, match=message):
        benchmark(configuration(tmp_path, **changes), ("shapes", "toy"))


def test_the_command_measures_writes_and_resumes(tmp_path, capsys, monkeypatch):
    import toy

    config = configuration(tmp_path, methods=["rise", "loco", "center"])
    assert benchmark(config, ("shapes", "toy")) == 0
    folder = tmp_path / "b" / "benchmark" / "shapes" / "toy"
    found = json.loads((folder / "efficiency.json").read_text())
    assert len(found["rows"]) == 2 * (2 + 1 + 1) and found["n_videos"] == 2
    assert (folder / "efficiency.md").read_text() in capsys.readouterr().out
    assert (folder / "efficiency.png").read_bytes()[:4] == b"\x89PNG"

    passes = []
    forward = toy.ToyNetwork.__call__
    monkeypatch.setattr(toy.ToyNetwork, "__call__", lambda self, x: passes.append(len(x)) or forward(self, x))
    assert benchmark(config, ("shapes", "toy")) == 0
    again = json.loads((folder / "efficiency.json").read_text())
    for row in (*found["rows"], *again["rows"]):
        del row["summary_seconds"]
    assert again["rows"] == found["rows"]
    assert sum(passes) <= 2 * 20  # the clips alone, and the look at what a network does to a batch

    passes.clear()
    assert benchmark(configuration(tmp_path, seed=1), ("shapes", "toy")) == 0
    assert sum(passes) > 100  # other draws, other scores


def test_a_video_that_cannot_be_read_is_told_and_the_others_are_measured(tmp_path, capsys, monkeypatch):
    import toy

    from lavx.video import VideoError

    read = toy.ToyNetwork.read

    def reading(self, path, start=None, end=None):
        if "0001" in path.name:
            raise VideoError("no frames")
        return read(self, path, start, end)

    monkeypatch.setattr(toy.ToyNetwork, "read", reading)
    assert benchmark(configuration(tmp_path), ("shapes", "toy")) == 1
    assert "shapes-0001: failed: no frames" in capsys.readouterr().out
    found = json.loads((tmp_path / "b" / "benchmark" / "shapes" / "toy" / "efficiency.json").read_text())
    assert {row["video"] for row in found["rows"]} == {"shapes-0000"}
