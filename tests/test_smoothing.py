"""Smoothing of heatmaps: what is shown changes, attributions and what is removed do not."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

import lavx
from lavx.methods.regions import LabelRegions, SoftGrid
from lavx.methods.removal import Mean
from lavx.methods.segmentation import Grid, Windows
from lavx.methods.segmentation import SoftGrid as CutSoftGrid
from lavx.methods.smoothing import Gaussian, SmoothedRegions
from lavx.methods.visualization import Heatmap


@pytest.fixture
def clip(rng):
    return rng.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)


def bright_left(clips):
    halves = ((clips[:, :, :, :8] / 255) ** 2, (clips[:, :, :, 8:] / 255) ** 2)
    return np.stack([5 * half.mean((1, 2, 3, 4)) for half in halves], 1)


def explained(clip, method="loco", **options):
    if method == "loco":
        options = {"segmentation": Grid((2, 4, 4))} | options
    return lavx.explain(bright_left, clip, method, target=0, progress=False, **options)


def test_the_heatmap_is_scipys_filter_of_the_sharp_one(clip):
    sharp, smooth = explained(clip), explained(clip, smoothing=Gaussian((0.5, 2, 3)))
    expected = gaussian_filter(sharp.heatmap.astype(np.float64), (0.5, 2, 3), mode="reflect")
    assert smooth.heatmap == pytest.approx(expected, abs=1e-6)
    assert np.ptp(smooth.heatmap) < np.ptp(sharp.heatmap)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("loco", {"segmentation": Windows((2, 3, 3)), "removal": Mean()}),
        ("rise", {"segmentation": CutSoftGrid((2, 3, 3)), "removal": Mean()}),
        ("random", {"cells": (2, 3, 3)}),
    ],
)
def test_attributions_scores_and_removal_stay_as_they_are(clip, method, options):
    sharp = explained(clip, method, **options)
    smooth = explained(clip, method, smoothing=Gaussian(2), **options)
    assert np.array_equal(sharp.attribution, smooth.attribution)
    assert np.array_equal(sharp.result.scores, smooth.result.scores)
    assert (sharp.result.full, sharp.result.empty) == (smooth.result.full, smooth.result.empty)
    assert not np.array_equal(sharp.heatmap, smooth.heatmap)


def test_an_attribution_that_is_the_same_everywhere_stays_so_and_the_mean_stays():
    regions = Gaussian((1, 2, 2))(SoftGrid((4, 12, 12), (2, 3, 3)))
    assert regions.heatmap(torch.full((18,), 0.7, dtype=torch.float64)) == pytest.approx(0.7)
    labels = np.arange(4 * 12 * 12).reshape(4, 12, 12)
    values = torch.rand(labels.size, dtype=torch.float64)
    assert float(Gaussian(2)(LabelRegions(labels)).heatmap(values).mean()) == pytest.approx(float(values.mean()))


def test_no_sigma_is_no_smoothing_and_one_axis_can_be_left_out():
    regions = LabelRegions(np.arange(8).reshape(2, 2, 2))
    assert Gaussian(0)(regions) is regions
    values = torch.arange(8, dtype=torch.float64)
    per_frame = Gaussian((0, 1, 1))(regions).heatmap(values).numpy()
    assert per_frame[1] - per_frame[0] == pytest.approx(np.full((2, 2), 4.0))


def test_it_is_stored_and_read_again(clip, tmp_path):
    smooth = explained(clip, smoothing=Gaussian((0, 2, 2)))
    again = lavx.Explanation.load(smooth.save(tmp_path / "smooth.npz"))
    assert np.array_equal(again.heatmap, smooth.heatmap)
    assert isinstance(again.result.regions, SmoothedRegions) and again.result.regions.sigma == (0, 2, 2)
    summary = lavx.method("loco").summary
    assert np.array_equal(again.summarized(summary).heatmap, smooth.heatmap)
    shown = [each.drawn(Heatmap()).frames for each in (again, smooth, explained(clip))]
    assert np.array_equal(shown[0], shown[1]) and (shown[1] != shown[2]).any()


def test_what_it_wraps_is_not_moved_and_says_what_it_said():
    inner = SoftGrid((4, 8, 8), (2, 2, 2))
    smooth = Gaussian(1)(inner)
    assert smooth.frames_per_region == inner.frames_per_region
    smooth.to(torch.device("meta"))
    assert inner._axes[0].device.type == "cpu"
    coalitions = torch.eye(8, dtype=torch.bool)
    assert torch.equal(Gaussian(1)(inner).masks(coalitions), inner.masks(coalitions))


@pytest.mark.parametrize("sigma", [-1, True, (1, 2), "wide", (1, 2, float("nan"))])
def test_a_sigma_that_is_none_is_refused(sigma):
    with pytest.raises(ValueError, match="sigma must be a finite number of voxels >= 0, or three of them"):
        Gaussian(sigma)


def test_a_step_by_name_is_refused_with_what_to_give():
    with pytest.raises(ValueError, match=r"smoothing must be an object of .* Gaussian\(\), got 'gaussian'"):
        lavx.method("lime", smoothing="gaussian")
    assert lavx.method("lime", smoothing=None).smoothing is None
