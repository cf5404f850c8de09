import json

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import jaccard_score
from test_run import NAMES, cache, folder, request_cell  # noqa: F401

from lavx.experiments.record import VideoRecord
from lavx.experiments.run import run_cell
from lavx.game import ScoredClip
from lavx.methods.removal import Black, Mean
from lavx.metrics import faithfulness
from lavx.metrics import localization as loc
from lavx.report import write_report
from lavx.types import Geometry


@pytest.fixture
def truth():
    truth = np.zeros((2, 4, 5), dtype=bool)
    truth[1, 1:3, 1:4] = True
    return truth


def test_a_perfect_heatmap_scores_one_and_its_opposite_zero(truth):
    assert loc.localization(truth.astype(float), truth) == {
        "pointing_game": 1, "iou": 1, "iou_thresholded": 1, "iou_boxes": 1, "energy_inside": 1,
        "truth_fraction": 6 / 40,
    }  # fmt: skip
    opposite = loc.localization((~truth).astype(float), truth)
    assert [opposite[name] for name in ("pointing_game", "iou", "iou_thresholded", "energy_inside")] == [
        0,
        0,
        0,
        0,
    ]


def test_a_heatmap_that_says_nothing_gets_what_chance_gives(truth):
    flat = np.full(truth.shape, 0.7)
    fraction = 6 / 40
    assert loc.pointing_game(flat, truth) == pytest.approx(fraction)
    assert loc.energy_inside(flat, truth) == pytest.approx(fraction)
    assert loc.iou(flat, truth) == pytest.approx(6 * fraction / (12 - 6 * fraction))


def test_the_metrics_equal_a_count_by_hand(truth, rng):
    for _ in range(20):
        heatmap = rng.normal(size=truth.shape)
        most = np.argsort(-heatmap, axis=None)
        chosen = np.zeros(truth.size, dtype=bool)
        chosen[most[:6]] = True
        inside = (chosen & truth.ravel()).sum()
        assert loc.iou(heatmap, truth) == pytest.approx(inside / (12 - inside))
        assert loc.pointing_game(heatmap, truth) == truth.ravel()[most[0]]
        positive = np.maximum(heatmap, 0)
        assert loc.energy_inside(heatmap, truth) == pytest.approx(positive[truth].sum() / positive.sum())


def test_ties_count_in_proportion_and_no_order_of_voxels_matters(truth):
    heatmap = np.zeros(truth.shape)
    heatmap[1, 1, :] = 2.0  # five voxels, three of them inside; the sixth place is tied among all others
    others = 3 / 35
    assert loc.pointing_game(heatmap, truth) == pytest.approx(3 / 5)
    assert loc.iou(heatmap, truth) == pytest.approx((3 + others) / (12 - 3 - others))
    assert loc.iou(heatmap[:, ::-1, ::-1], truth[:, ::-1, ::-1]) == pytest.approx(loc.iou(heatmap, truth))


def test_a_positive_scale_and_rises_constant_change_nothing(truth, rng):
    heatmap = rng.random(truth.shape)
    heatmap -= heatmap.min()
    for name in ("pointing_game", "iou", "energy_inside"):
        metric = getattr(loc, name)
        assert metric(3 * heatmap + 5, truth) == pytest.approx(metric(heatmap, truth))


def test_the_thresholded_iou_equals_scikit_learns(truth, rng):
    for threshold in (0, 0.4, 0.9):
        heatmap = rng.normal(size=truth.shape)
        found = np.maximum(heatmap, 0) / heatmap.max() > threshold
        expected = jaccard_score(truth.ravel(), found.ravel())
        assert loc.thresholded_iou(heatmap, truth, threshold) == pytest.approx(expected)
        assert loc.thresholded_iou(7 * heatmap, truth, threshold) == pytest.approx(expected)


def test_boxes_lie_around_all_that_is_found_in_a_frame():
    truth = np.zeros((3, 6, 6), dtype=bool)
    truth[0, 1, 1] = truth[0, 3, 4] = True  # a box of 3 x 4
    truth[1, 2:4, 2:4] = True  # a box of 2 x 2
    assert loc.boxes(truth).sum(axis=(1, 2)).tolist() == [12, 4, 0]
    assert loc.box_iou(truth.astype(float), truth) == 1
    heatmap = truth * np.array([1.0, 0.4, 0])[:, None, None]  # the second frame is not above the threshold
    assert loc.box_iou(heatmap, truth, 0.4) == pytest.approx(12 / 16)
    assert loc.box_iou(heatmap, truth, 0.3) == 1
    heatmap[0, 5, 5] = 1  # which widens the box of the first frame to 5 x 5
    assert loc.box_iou(heatmap, truth, 0.3) == pytest.approx((12 + 4) / (25 + 4))
    assert loc.thresholded_iou(heatmap, truth, 0.3) == pytest.approx(6 / 7)
    assert loc.box_iou(np.full(truth.shape, -1.0), truth) == 0  # nothing is found


@pytest.mark.parametrize(
    ("threshold", "message"),
    [(-0.1, r"must be in \[0, 1\], got -0.1"), ("half", "must be in"), (1, "must be less than 1")],
)
def test_a_threshold_out_of_range_is_refused(truth, threshold, message):
    with pytest.raises(ValueError, match=message):
        loc.box_iou(truth.astype(float), truth, threshold)


def test_unit_brings_a_heatmap_to_zero_and_one(rng):
    assert loc.unit(np.array([[[-2.0, 0.0, 1.0, 4.0]]])).ravel().tolist() == [0, 0, 0.25, 1]
    assert loc.unit(np.array([[[0.5, 0.6, 0.7]]])).ravel() == pytest.approx([0, 0.5, 1])
    assert not loc.unit(np.full((1, 2, 2), 3.0)).any() and not loc.unit(np.full((1, 2, 2), -3.0)).any()


def test_a_truth_that_the_clip_does_not_show_is_no_number(truth):
    nothing = np.zeros_like(truth)
    assert loc.localization(truth.astype(float), nothing) == {
        "pointing_game": None, "iou": None, "iou_thresholded": None, "iou_boxes": None, "energy_inside": None,
        "truth_fraction": 0.0,
    }  # fmt: skip
    with pytest.raises(ValueError, match="ground truth is empty"):
        loc.iou(truth.astype(float), nothing)
    with pytest.raises(ValueError, match=r"heatmap's shape \(2, 4, 5\), got \(1, 4, 5\)"):
        loc.iou(truth.astype(float), truth[:1])


def test_the_truth_is_sampled_resized_and_cropped_as_the_frames_are():
    truth = np.zeros((6, 8, 12), dtype=bool)
    truth[4, 2:6, 6:10] = True
    geometry = Geometry((0, 4, 4), 10.0, (8, 12), (16, 24), (2, 4, 12, 16))  # doubled, then cropped
    mapped = loc.ground_truth_in_clip(truth, geometry)
    expected = truth[[0, 4, 4]].repeat(2, 1).repeat(2, 2)[:, 2:14, 4:20]
    np.testing.assert_array_equal(mapped, expected)
    halved = Geometry((4,), 10.0, (8, 12), (4, 6), (0, 0, 4, 6))
    assert np.argwhere(loc.ground_truth_in_clip(truth, halved)[0]).tolist() == [[1, 3], [1, 4], [2, 3], [2, 4]]


def test_a_truth_of_another_video_is_refused():
    geometry = Geometry((0, 7), 10.0, (8, 12), (8, 12), (0, 0, 8, 12))
    with pytest.raises(ValueError, match=r"\(n_frames, 8, 12\).*got \(9, 8, 11\)"):
        loc.ground_truth_in_clip(np.zeros((9, 8, 11), dtype=bool), geometry)
    with pytest.raises(ValueError, match="has 7 frames, but the clip shows frame 7"):
        loc.ground_truth_in_clip(np.zeros((7, 8, 12), dtype=bool), geometry)


def test_average_drop_and_increase():
    assert faithfulness.average_drop(0.8, 0.6) == pytest.approx({"average_drop": 0.25, "increase": 0})
    assert faithfulness.average_drop(0.8, 0.9) == {"average_drop": 0, "increase": 1}
    assert faithfulness.average_drop(0.0, 0.0) == {"average_drop": 0, "increase": 0}


@pytest.mark.parametrize("removal", [Black(), Mean()])
def test_the_soft_mask_is_what_the_network_sees(clip, network, rng, removal):
    heatmap = rng.normal(size=clip.shape[:3])
    score = faithfulness.masked_score(ScoredClip(network, clip, 1), heatmap, removal)
    mask = loc.unit(heatmap)[..., None].astype(np.float32)
    baseline = 0 if isinstance(removal, Black) else clip.mean((0, 1, 2))
    seen = torch.from_numpy(mask * clip + (1 - mask) * baseline)[None]
    assert score == pytest.approx(float(network(seen).softmax(-1)[0, 1]), abs=1e-5)
    assert network.calls[:2] == [1, 1]


def test_a_cell_writes_them_and_the_crossed_games_where_asked_for(request_cell, tmp_path):  # noqa: F811
    run_cell(request_cell("n_videos=2"), *NAMES)
    table = pd.read_csv(folder(tmp_path) / "results.csv")
    assert {"average_drop", "increase", "pointing_game", "iou", "energy_inside", "color_inside", "color_recall",
            "tinted"} <= set(table.columns)  # fmt: skip
    assert "cross_deletion_auc" not in table and table.iou.between(0, 1).all()
    crossed = request_cell("n_videos=2", "name=crossed", "+method/removal@metric.cross_removal=black")
    run_cell(crossed, *NAMES)
    run = tmp_path / "out" / "crossed" / "shapes" / "toy" / "rise"
    entry = json.loads((run / "videos" / "shapes-0001" / "metrics.json").read_text())
    assert entry["cross_deletion_auc"] == pytest.approx(entry["deletion_auc"])  # the same baseline: the same game
    assert entry["cross_insertion_auc"] == pytest.approx(entry["insertion_auc"])
    assert 0 < entry["average_drop_area"] < 1


def test_a_cell_judges_the_map_that_is_asked_for(request_cell, tmp_path, capsys):  # noqa: F811
    both = request_cell("n_videos=2", "name=both", "metric.map=both")
    assert run_cell(both, *NAMES) == 0
    run = tmp_path / "out" / "both" / "shapes" / "toy" / "rise"
    record = VideoRecord.read(run / "videos" / "shapes-0001" / "metrics.json")
    assert {"deletion_auc_drawn", "insertion_auc_drawn"} <= set(record.more)
    relative = {name for name in record.minimal_masks if "absolute" not in name}
    assert set(record.curves) == relative == {
        "deletion", "insertion", "deletion_drawn", "insertion_drawn"}  # fmt: skip
    alone = request_cell("n_videos=2", "name=alone", "metric.map=drawn")
    assert run_cell(alone, *NAMES) == 0
    found = VideoRecord.read(tmp_path / "out/alone/shapes/toy/rise/videos/shapes-0001/metrics.json")
    assert found.deletion_auc is None and found.area("deletion") == pytest.approx(
        record.more["deletion_auc_drawn"]
    )
    assert "drawn map" in capsys.readouterr().out
    page = (write_report(tmp_path / "out", "alone").folder / "index.html").read_text()
    assert "Deletion AUC, drawn map" in page and f'"deletion":"{found.area("deletion"):.3f}"' in page


class TestDrawnColor:
    def test_as_it_is_defined(self):
        opacity = np.array([[[1.0, 0.5, 0.25, 0.24, 0, 0, 0, 0]]])
        truth = np.array([[[1, 1, 0, 0, 1, 1, 0, 0]]], dtype=bool)
        found = loc.drawn_color(opacity, truth)
        assert found == {
            "tinted": pytest.approx(3 / 8),
            "color_inside": pytest.approx(1.5 / 1.99),
            "color_recall": pytest.approx(2 / 4),
        }

    def test_an_empty_picture_has_nothing_anywhere(self):
        truth = np.ones((1, 2, 2), dtype=bool)
        assert loc.drawn_color(np.zeros((1, 2, 2)), truth) == {"tinted": 0, "color_inside": 0, "color_recall": 0}

    def test_without_a_ground_truth_only_the_tint_is_known(self):
        assert loc.drawn_color(np.ones((1, 2, 2)), None) == {"tinted": 1}
        unseen = loc.drawn_color(np.ones((1, 2, 2)), np.zeros((1, 2, 2), dtype=bool))
        assert unseen == {"tinted": 1, "color_inside": None, "color_recall": None}

    def test_another_shape_is_refused(self):
        with pytest.raises(ValueError, match=r"the opacity's shape \(1, 2, 2\), got \(1, 2, 3\)"):
            loc.drawn_color(np.ones((1, 2, 2)), np.ones((1, 2, 3), dtype=bool))
