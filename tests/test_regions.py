import numpy as np
import pytest
import torch

from lavx.methods.regions import LabelRegions, SoftGrid, Windows

SHAPE = (4, 12, 10)


def label_regions() -> LabelRegions:
    labels = np.random.default_rng(0).integers(0, 6, SHAPE)
    labels.ravel()[:6] = np.arange(6)
    return LabelRegions(labels)


def every_kind():
    return [label_regions(), SoftGrid(SHAPE, (2, 3, 2)), Windows(SHAPE, (2, 3, 2))]


@pytest.mark.parametrize("regions", every_kind(), ids=lambda r: type(r).__name__)
def test_masks_of_all_and_none_are_exactly_one_and_zero(regions):
    both = torch.tensor([[True], [False]]).expand(2, regions.n_regions)
    masks = regions.masks(both)
    assert masks.shape == (2, *SHAPE)
    assert (masks[0] == 1).all() and (masks[1] == 0).all()


@pytest.mark.parametrize("regions", every_kind(), ids=lambda r: type(r).__name__)
def test_masks_stay_in_range_and_shrink_with_the_coalition(regions):
    kept = torch.rand(5, regions.n_regions, generator=torch.Generator().manual_seed(0)) < 0.7
    fewer = kept.clone()
    fewer[:, ::2] = False
    assert regions.masks(kept).min() >= 0 and regions.masks(kept).max() <= 1
    assert (regions.masks(fewer) <= regions.masks(kept) + 1e-6).all()


@pytest.mark.parametrize("regions", every_kind(), ids=lambda r: type(r).__name__)
def test_constant_attribution_and_constant_volume_stay_constant(regions):
    heatmap = regions.heatmap(torch.full((regions.n_regions,), 0.3))
    assert torch.allclose(heatmap, torch.full(SHAPE, 0.3))
    mean = regions.mean(torch.full((*SHAPE, 3), 7.0))
    assert torch.allclose(mean, torch.full((regions.n_regions, 3), 7.0))


@pytest.mark.parametrize("regions", every_kind(), ids=lambda r: type(r).__name__)
def test_wrong_number_of_columns_is_refused(regions):
    with pytest.raises(ValueError, match=f"coalitions must be \\(B, {regions.n_regions}\\)"):
        regions.masks(torch.ones(2, regions.n_regions + 1, dtype=torch.bool))


def test_label_masks_and_means_equal_a_loop_over_voxels():
    regions = label_regions()
    kept = torch.tensor([[True, False, True, True, False, False]])
    volume = torch.rand(*SHAPE, 3, generator=torch.Generator().manual_seed(1))
    labels = regions.labels
    for index in np.ndindex(SHAPE):
        assert regions.masks(kept)[(0, *index)] == float(kept[0, labels[index]])
    for region in range(regions.n_regions):
        assert np.allclose(regions.mean(volume)[region], volume.numpy()[labels == region].mean(0), atol=1e-5)


@pytest.mark.parametrize("labels", [[[[0, 2]]], [[[-1, 0]]]])
def test_labels_with_gaps_are_refused(labels):
    with pytest.raises(ValueError, match="from 0 to R - 1"):
        LabelRegions(np.array(labels))


@pytest.mark.parametrize("labels", [[[[0.0, 1.0]]], [[[False, True]]], [[["a"]]]])
def test_labels_that_are_no_whole_numbers_are_refused(labels):
    with pytest.raises(ValueError, match="labels must be whole numbers, got an array of"):
        LabelRegions(np.array(labels))


@pytest.mark.parametrize("shape, expected", [((8, 224, 224), (7, 13, 13)), ((8, 64, 64), (7, 13, 13))])
def test_the_standard_windows_are_1183_and_cover_the_clip(shape, expected):
    windows = Windows(shape, (4, 7, 7))
    assert windows.windows == expected and windows.n_regions == 1183
    one_removed = ~torch.eye(1183, dtype=torch.bool)[[0, 600, 1182]]
    removed = 1 - windows.masks(one_removed)
    assert torch.isfinite(windows.heatmap(torch.ones(1183))).all()
    assert removed[0, 0, 0, 0] == 1 and removed[2, -1, -1, -1] == 1
    if shape[1] == 224:
        assert removed.sum((1, 2, 3)).tolist() == [2 * 32 * 32] * 3


def test_windows_equal_a_loop_over_windows():
    windows = Windows((4, 8, 6), (2, 2, 3))
    boxes = []
    for t in range(3):
        for y in range(3):
            for x in range(5):
                boxes.append((slice(t, t + 2), slice(2 * y, 2 * y + 4), slice(x, x + 2)))
    assert windows.n_regions == len(boxes)
    kept = torch.rand(6, len(boxes), generator=torch.Generator().manual_seed(2)) < 0.9
    attribution = torch.rand(len(boxes), generator=torch.Generator().manual_seed(3))
    expected, total, count = torch.ones(6, 4, 8, 6), torch.zeros(4, 8, 6), torch.zeros(4, 8, 6)
    for i, box in enumerate(boxes):
        expected[(~kept[:, i], *box)] = 0
        total[box] += attribution[i]
        count[box] += 1
    assert torch.equal(windows.masks(kept), expected)
    assert torch.allclose(windows.heatmap(attribution), total / count)


@pytest.mark.parametrize("kind, match", [(SoftGrid, "does not fit"), (Windows, "smaller than a voxel")])
def test_more_cells_than_voxels_are_refused(kind, match):
    with pytest.raises(ValueError, match=match):
        kind((2, 4, 4), (4, 2, 2))


@pytest.mark.parametrize("kind", [SoftGrid, Windows])
def test_a_shape_of_two_axes_is_refused(kind):
    with pytest.raises(ValueError, match=r"shape must be three whole numbers >= 1, for \(T, H, W\), got \(4, 4\)"):
        kind((4, 4), (2, 2, 2))
    with pytest.raises(ValueError, match=r"(cells|divisions) must be three whole numbers .*, got \(2, 2\)"):
        kind((4, 4, 4), (2, 2))
    with pytest.raises(ValueError, match=r"the labels' shape must be three .*, got \(2, 2\)"):
        LabelRegions([[0, 0], [1, 1]])


@pytest.mark.parametrize(
    ("divisions", "size"), [(n, size) for n in (1, 2, 3, 4, 5, 7) for size in range(n, 60, 3)]
)
def test_half_a_stride_cuts_windows_where_they_always_were(divisions, size):
    edges = np.floor(np.arange(2 * divisions + 1) * size / (2 * divisions) + 0.5).astype(int)
    expected = [range(first, end) for first, end in zip(edges[:-2], edges[2:], strict=True)]
    (_, _, columns) = Windows((1, 1, size), (1, 1, divisions))._axes
    assert [np.flatnonzero(row).tolist() for row in columns.numpy()] == [list(span) for span in expected]


@pytest.mark.parametrize("stride", [0.1, 0.25, 1 / 3, 0.5, 0.7, 1])
@pytest.mark.parametrize(("divisions", "size"), [(1, 9), (3, 17), (4, 8), (7, 56), (7, 224)])
def test_windows_of_any_stride_cover_a_clip_from_end_to_end_evenly(divisions, size, stride):
    windows = Windows((1, 1, size), (1, 1, divisions), (1, 1, stride))
    spans = [np.flatnonzero(row) for row in windows._axes[2].numpy()]
    assert spans[0][0] == 0 and spans[-1][-1] == size - 1
    assert all(later[0] <= earlier[-1] + 1 for earlier, later in zip(spans[:-1], spans[1:], strict=True))
    width = size / divisions
    steps = np.diff([span[0] for span in spans])
    assert all(abs(len(span) - width) < 1 for span in spans)
    assert all(step < stride * width + 1 for step in steps) and np.ptp([0, *np.diff(steps)]) <= 2
    assert len(spans) == 1 + np.ceil(round((divisions - 1) / stride, 9))
    kept = torch.ones(1, windows.n_regions, dtype=torch.bool)
    assert windows.masks(kept).all() and not windows.masks(~kept).any()


def test_a_whole_stride_makes_windows_that_do_not_overlap():
    windows = Windows((8, 14, 14), (4, 7, 7), (1, 1, 1))
    one = torch.eye(windows.n_regions, dtype=torch.bool)
    assert windows.n_regions == 196
    assert torch.equal((1 - windows.masks(~one)).sum(0), torch.ones(8, 14, 14))


def test_a_stride_is_stored_only_where_it_is_not_the_usual_half():
    assert set(Windows((4, 4, 4), (2, 2, 2)).arrays()) == {"windows"}
    found = Windows((4, 4, 4), (2, 2, 2), (1, 0.5, 0.5)).arrays()
    assert found["windows_stride"].tolist() == [1, 0.5, 0.5]


@pytest.mark.parametrize("stride", [(0, 0.5, 0.5), (0.5, 0.5), (1.5, 1, 1), (float("nan"), 1, 1)])
def test_a_stride_that_is_none_is_refused(stride):
    with pytest.raises(ValueError, match=r"stride must be three fractions in \(0, 1\], for \(T, H, W\)"):
        Windows((4, 4, 4), (2, 2, 2), stride)
