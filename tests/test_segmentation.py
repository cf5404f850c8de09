import logging
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from scipy import ndimage

from lavx.datasets.shapes import draw
from lavx.methods import regions
from lavx.methods.segmentation import (
    _LIBRARIES,
    Felzenszwalb,
    Grid,
    Merged,
    Quickshift,
    Slic,
    SoftGrid,
    Watershed,
    Windows,
    computed_by,
)
from lavx.video import read_frames

CONF = Path(__file__).parents[1] / "conf" / "method" / "segmentation"
REAL = "kinetics400/mmaction2_demo.mp4"
FRAMEWISE = [Felzenszwalb, Quickshift, Watershed]
LABELS = [Grid(), Slic(), Merged(200)] + [kind(carry=carry) for kind in FRAMEWISE for carry in ("stack", "flow")]


def name(segmentation):
    return " ".join([type(segmentation).__name__, getattr(segmentation, "carry", "")]).strip()


def cut(segmentation, clip, seed=0):
    return segmentation(clip, np.random.default_rng(seed))


def resized(frames, size):
    scale = size / min(frames.shape[1:3])
    shape = [max(size, round(n * scale)) for n in frames.shape[2:0:-1]]
    frames = np.stack([cv2.resize(frame, shape) for frame in frames])
    top, left = ((n - size) // 2 for n in frames.shape[1:3])
    return np.ascontiguousarray(frames[:, top : top + size, left : left + size])


@pytest.fixture(scope="module")
def drawn():
    return resized(draw([3]).frames[::2], 64)


@pytest.fixture(scope="module")
def real(shared_clips):
    return read_frames(shared_clips / REAL, range(100, 164, 8))


@pytest.fixture
def small_clip():
    return np.random.default_rng(0).integers(0, 256, (3, 18, 20, 3), dtype=np.uint8)


def disconnected(labels):
    """Labels whose voxels are not one piece (6 neighbors), by SciPy."""
    boxes = enumerate(ndimage.find_objects(labels + 1))
    return [label for label, box in boxes if ndimage.label(labels[box] == label)[1] != 1]


@pytest.mark.parametrize("segmentation", LABELS, ids=name)
def test_every_voxel_is_in_one_region_and_their_number_is_near_the_request(segmentation, drawn, caplog):
    found = cut(segmentation, drawn)
    labels = found.labels
    assert labels.shape == drawn.shape[:3]
    assert sorted(set(labels.ravel().tolist())) == list(range(found.n_regions))
    assert 0.6 * 200 <= found.n_regions <= 1.4 * 200 and not caplog.records
    one_each = torch.eye(found.n_regions, dtype=torch.bool)
    assert found.masks(one_each).sum(0).eq(1).all()


@pytest.mark.parametrize("size", [64, 224])
@pytest.mark.parametrize("segmentation", LABELS, ids=name)
def test_the_number_of_regions_of_a_real_clip_is_near_the_request(segmentation, real, size):
    assert 0.6 * 200 <= cut(segmentation, resized(real, size)).n_regions <= 1.4 * 200


@pytest.mark.parametrize("segmentation", [s for s in LABELS if getattr(s, "carry", "") != "flow"], ids=name)
def test_regions_are_connected_unless_flow_carries_them(segmentation, drawn):
    assert disconnected(cut(segmentation, drawn).labels) == []


@pytest.mark.parametrize("kind", FRAMEWISE)
def test_stacked_regions_lie_in_one_frame_each(kind, drawn):
    labels = cut(kind(carry="stack"), drawn).labels
    frames = [set(frame.ravel().tolist()) for frame in labels]
    assert sum(map(len, frames)) == len(set.union(*frames))


@pytest.mark.parametrize("kind", FRAMEWISE)
def test_regions_carried_by_flow_all_begin_in_the_first_frame(kind, drawn):
    labels = cut(kind(carry="flow"), drawn).labels
    assert disconnected(labels[:1]) == []
    assert set(labels[0].ravel()) == set(labels.ravel())


def test_flow_follows_a_moving_square():
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), (0, 0), 2)
    square = cv2.GaussianBlur(rng.integers(128, 256, (20, 20, 3), dtype=np.uint8), (0, 0), 2)
    clip, inside = np.repeat(texture[None], 6, 0), np.zeros((6, 64, 64), dtype=bool)
    for t in range(6):
        box = slice(20 + t, 40 + t), slice(10 + 2 * t, 30 + 2 * t)
        clip[t][box], inside[t][box] = square, True
    labels = cut(Watershed(n_segments=64, carry="flow"), clip).labels
    carried = labels[inside].reshape(6, 20, 20)
    still = np.mean(labels[5] == labels[0], where=~inside.any(0))
    assert np.mean(carried[5] == carried[0]) > 0.85 and still > 0.9
    assert np.mean(labels[5][inside[0]] == carried[0].ravel()) < 0.6


def test_a_still_clip_keeps_its_labels_under_flow(drawn):
    still = np.repeat(drawn[:1], 4, 0)
    labels = cut(Felzenszwalb(n_segments=50, carry="flow"), still).labels
    assert (labels == labels[0]).all()


def test_flow_does_not_depend_on_the_number_of_threads(drawn):
    threads, found = cv2.getNumThreads(), []
    try:
        for n in (1, 3):
            cv2.setNumThreads(n)
            found.append(cut(Watershed(carry="flow"), drawn).labels)
            assert cv2.getNumThreads() == n
    finally:
        cv2.setNumThreads(threads)
    assert np.array_equal(*found)


@pytest.mark.parametrize("segmentation", LABELS, ids=name)
def test_the_same_generator_gives_the_same_regions(segmentation, drawn):
    before = drawn.copy()
    assert np.array_equal(cut(segmentation, drawn, 5).labels, cut(segmentation, drawn, 5).labels)
    assert np.array_equal(drawn, before)


@pytest.mark.parametrize("segmentation", LABELS[1:], ids=name)
def test_a_colored_square_is_cut_out(segmentation):
    clip = np.full((4, 48, 48, 3), (30, 60, 90), dtype=np.uint8)
    clip[:, 12:36, 8:32] = (220, 40, 30)
    inside = np.zeros(clip.shape[:3], dtype=bool)
    inside[:, 12:36, 8:32] = True
    kind = type(segmentation)
    labels = cut(kind(40, carry=segmentation.carry) if kind in FRAMEWISE else kind(40), clip).labels
    share = np.bincount(labels.ravel(), inside.ravel()) / np.bincount(labels.ravel())
    right = np.where((share > 0.5)[labels], inside, ~inside)
    assert right.mean() > 0.95  # borders may be a pixel off


def test_grid_boxes_are_as_equal_as_they_can_be(small_clip):
    found = cut(Grid((2, 4, 3)), small_clip)
    assert found.n_regions == 24
    for box in ndimage.find_objects(found.labels + 1):
        size = [s.stop - s.start for s in box]
        assert size[0] in (1, 2) and size[1] in (4, 5) and size[2] in (6, 7)
        assert len(np.unique(found.labels[box])) == 1


def test_soft_grid_and_windows_are_those_of_the_paper():
    clip = np.zeros((8, 64, 64, 3), dtype=np.uint8)
    soft, windows = cut(SoftGrid(), clip), cut(Windows(), clip)
    assert isinstance(soft, regions.SoftGrid) and soft.n_regions == 196
    assert isinstance(windows, regions.Windows) and windows.windows == (7, 13, 13)
    assert windows.n_regions == 1183


def test_slic_is_scikit_images_own_where_its_grid_fits(real):
    from skimage.segmentation import slic

    clip = resized(real, 224)
    expected = slic(clip, n_segments=200, compactness=20, spacing=(0.2, 1, 1), start_label=0, channel_axis=-1)
    start = time.perf_counter()
    labels = cut(Slic(), clip).labels
    assert time.perf_counter() - start < 5  # 0.5 s on a core that does nothing else
    assert np.array_equal(labels, expected)


@pytest.mark.parametrize("kind", [Slic, *FRAMEWISE])
def test_n_segments_is_followed(kind, drawn):
    few, many = (cut(kind(n), drawn).n_regions for n in (60, 400))
    assert 0.6 * 60 <= few <= 1.4 * 60 and 0.6 * 400 <= many <= 1.4 * 400


@pytest.mark.parametrize("segmentation", LABELS[1:], ids=name)
def test_a_clip_of_one_color_is_cut_without_an_error(segmentation):
    found = cut(segmentation, np.zeros((4, 32, 32, 3), dtype=np.uint8))
    assert found.n_regions >= 1


def test_a_number_of_regions_far_from_the_request_is_logged(caplog):
    with caplog.at_level(logging.WARNING, "lavx.methods.segmentation"):
        found = cut(Felzenszwalb(), np.zeros((4, 32, 32, 3), dtype=np.uint8))
    assert f"Felzenszwalb gave {found.n_regions} regions, not about n_segments=200" in caplog.text


@pytest.mark.parametrize("segmentation", LABELS[1:], ids=name)
def test_a_clip_of_one_frame_is_cut(segmentation, drawn):
    found = cut(segmentation, drawn[:1])
    assert found.shape == (1, 64, 64) and 0.6 * 200 <= found.n_regions <= 1.4 * 200


def test_merged_regions_are_exactly_as_many_as_asked_for_and_nested(drawn):
    few, more = (cut(Merged(n), drawn).labels for n in (12, 60))
    assert few.max() + 1 == 12 and more.max() + 1 == 60
    assert all(len(np.unique(few[more == region])) == 1 for region in range(60))


def test_merged_regions_are_scikit_learns_agglomeration_of_neighbors(drawn):
    from sklearn.cluster import AgglomerativeClustering

    spacing = np.sqrt(drawn[..., 0].size / (300 * 2**3))
    small = cut(Slic(300, spacing=(spacing, 1, 1)), drawn).labels
    segmentation = Merged(25)
    touching = np.zeros((small.max() + 1,) * 2)
    for axis in range(3):
        one, other = (np.moveaxis(small, axis, 0)[part].ravel() for part in (slice(None, -1), slice(1, None)))
        touching[one, other] = touching[other, one] = 1
    by_sklearn = AgglomerativeClustering(25, connectivity=touching).fit(segmentation._features(drawn, small))
    found = cut(segmentation, drawn).labels
    pairs = set(zip(found.ravel().tolist(), by_sklearn.labels_[small].ravel().tolist(), strict=True))
    assert len(pairs) == 25  # the same groups under other numbers


def test_merged_regions_are_shorter_in_time_the_longer_the_clip_counts(drawn):
    long, short = (cut(Merged(40, duration=duration), drawn).frames_per_region for duration in (0.3, 4))
    assert short < long <= 8


@pytest.mark.parametrize(
    "build, match",
    [
        (lambda: Merged(40, 30), "n_small must be at least n_segments, got n_small=30 and n_segments=40"),
        (lambda: Merged(duration=0), "duration must be a number > 0, got 0"),
        (lambda: Merged(color=-1), "color must be a finite number >= 0, got -1"),
        (lambda: Grid((4, 7)), r"cells must be three whole numbers >= 1.*got \(4, 7\)"),
        (lambda: SoftGrid((4, 0, 7)), "cells must be three whole numbers >= 1"),
        (lambda: Windows((4, 7.5, 7)), "divisions must be three whole numbers >= 1"),
        (lambda: Slic(0), "n_segments must be a whole number >= 1, got 0"),
        (lambda: Slic(compactness=0), "compactness must be a number > 0, got 0"),
        (lambda: Slic(spacing=(1, 1)), r"spacing must be three numbers > 0.*got \(1, 1\)"),
        (lambda: Felzenszwalb(carry="copy"), "carry must be one of stack, flow, got 'copy'"),
        (lambda: Felzenszwalb(sigma=-1), "sigma must be a finite number >= 0, got -1"),
        (lambda: Felzenszwalb(smallest=0), r"smallest must be a fraction in \(0, 1\]"),
        (lambda: Felzenszwalb(tries=0), "tries must be a whole number >= 1"),
        (lambda: Quickshift(ratio=2), r"ratio must be in \[0, 1\], got 2"),
        (lambda: Quickshift(kernel_size=0.5), "kernel_size must be a finite number >= 1, got 0.5"),
        (lambda: Watershed(compactness=-1), "compactness must be a finite number >= 0, got -1"),
        (lambda: Slic(True), "n_segments must be a whole number >= 1, got True"),
        (lambda: Slic(200.5), "n_segments must be a whole number >= 1, got 200.5"),
        (lambda: Slic(spacing=(0, 1, 1)), r"spacing must be three numbers > 0.*got \(0, 1, 1\)"),
        (lambda: Slic(compactness=float("inf")), "compactness must be a number > 0, got inf"),
    ],
)
def test_unusable_parameters_are_refused(build, match):
    with pytest.raises(ValueError, match=match):
        build()


@pytest.mark.parametrize(
    "segmentation, match",
    [
        (Grid((4, 7, 7)), r"grid of \(4, 7, 7\) cells does not fit a clip of \(3, 18, 20\)"),
        (SoftGrid((4, 7, 7)), "does not fit"),
        (Windows((4, 7, 7)), "smaller than a voxel"),
        (Slic(2000), "n_segments=2000 is more than the 1080 voxels"),
        (Watershed(2000), "n_segments=2000 is more than the 1080 voxels"),
    ],
)
def test_more_regions_than_the_clip_holds_are_refused(segmentation, match, small_clip):
    with pytest.raises(ValueError, match=match):
        cut(segmentation, small_clip)


def test_frames_too_small_for_flow_are_refused(small_clip):
    with pytest.raises(ValueError, match="at least 16 x 16 pixels, got 12 x 20: use carry=stack"):
        cut(Watershed(20, carry="flow"), small_clip[:, :12])


@pytest.mark.parametrize("clip", [np.zeros((2, 4, 4, 3)), np.zeros((4, 4, 3), dtype=np.uint8)])
def test_what_is_no_clip_is_refused(clip):
    with pytest.raises(ValueError, match=r"must be uint8 \(T, H, W, 3\)"):
        cut(Grid((1, 1, 1)), clip)


def built(file):
    with initialize_config_module("lavx.conf", version_base="1.3"):
        config = compose("run", overrides=[f"method/segmentation={file.stem}"])
    return instantiate(config.method.segmentation, _convert_="all")


@pytest.mark.parametrize("file", sorted(CONF.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_yaml_cuts_a_clip(file, drawn):
    segmentation = built(file)
    assert cut(segmentation, drawn).shape == (8, 64, 64)


def test_the_flow_option_is_felzenszwalb_carried_by_flow():
    segmentation = instantiate(yaml.safe_load((CONF / "flow.yaml").read_text()), _convert_="all")
    assert isinstance(segmentation, Felzenszwalb) and segmentation.carry == "flow"


def test_what_computes_a_segmentation_is_its_class_its_version_and_the_libraries_it_uses(monkeypatch):
    import skimage

    assert computed_by(Slic()) == f"Slic 1 scikit-image {skimage.__version__}"
    assert computed_by(Watershed()) == f"Watershed 1 scikit-image {skimage.__version__} opencv {cv2.__version__}"
    assert computed_by(Grid()) == "Grid 1"
    monkeypatch.setattr(Slic, "version", 2)
    monkeypatch.setitem(_LIBRARIES, "scikit-image", "9.9")
    assert computed_by(Slic()) == "Slic 2 scikit-image 9.9"


def test_nobody_says_when_a_class_without_a_version_cuts_differently():
    class Halves:
        def __call__(self, clip, rng):
            return regions.LabelRegions(np.indices(clip.shape[:3])[2] * 2 // clip.shape[2])

    assert computed_by(Halves()) is None


def test_what_is_carried_from_any_start_is_not_stored():
    assert computed_by(built(CONF / "optical_flow.yaml")) is None


VERSIONED = sorted(set(CONF.glob("*.yaml")) - {CONF / "optical_flow.yaml"})


@pytest.mark.parametrize("file", VERSIONED, ids=lambda file: file.stem)
def test_every_option_says_what_computes_it(file):
    segmentation = built(file)
    assert computed_by(segmentation).startswith(f"{type(segmentation).__name__} 1")
    assert not {"version", "libraries"} & set(vars(segmentation))  # of the class, not parameters


@pytest.mark.parametrize(("stride", "windows"), [(0.5, (3, 5, 5)), (1, (2, 3, 3)), ((1, 0.5, 0.25), (2, 5, 9))])
def test_windows_have_the_stride_that_is_asked_for(stride, windows, rng):
    clip = np.zeros((4, 24, 24, 3), dtype=np.uint8)
    assert Windows((2, 3, 3), stride)(clip, rng).windows == windows


@pytest.mark.parametrize("stride", [0, 2, "half", (0.5, 0.5), None])
def test_a_stride_of_windows_that_is_none_is_refused(stride):
    with pytest.raises(ValueError, match=r"stride must be three fractions in \(0, 1\], for .*, or one, got"):
        Windows((2, 3, 3), stride)
