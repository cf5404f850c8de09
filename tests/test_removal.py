from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from hydra.utils import instantiate
from scipy.ndimage import gaussian_filter

from lavx.methods.regions import LabelRegions, SoftGrid, Windows
from lavx.methods.removal import Black, Blur, Constant, Freeze, Gray, Inpaint, Mean, Noise, Reverse, Shuffle

CONF = Path(__file__).parents[1] / "conf" / "method" / "removal"
SHAPE = (4, 18, 21)
FEATHERS = [0, 1.5, (0, 2, 2)]
BUILD = {
    "black": Black,
    "gray": Gray,
    "constant": lambda feather=0: Constant((200, 10, 0.5), feather),
    "mean": Mean,
    "blur": lambda feather=0: Blur(3, feather=feather),
    "blur in time": lambda feather=0: Blur(3, 1.5, feather),
    "pull_push": lambda feather=0: Inpaint(feather=feather),
    "telea": lambda feather=0: Inpaint("telea", feather=feather),
    "navier_stokes": lambda feather=0: Inpaint("navier_stokes", feather=feather),
    "noise": lambda feather=0: Noise(feather=feather),
    "normal noise": lambda feather=0: Noise(std=40, feather=feather),
}


@pytest.fixture
def clip():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (*SHAPE, 3), generator=generator).float()


@pytest.fixture
def regions():
    t, y, x = np.ogrid[:4, :18, :21]
    return LabelRegions((t // 2) * 9 + (y // 6) * 3 + x // 7)


@pytest.fixture
def masks(regions):
    kept = torch.rand(5, regions.n_regions, generator=torch.Generator().manual_seed(1)) < 0.5
    return regions.masks(kept)


def prepared(removal, clip, regions, seed=0):
    return removal.prepare(clip, regions, torch.Generator().manual_seed(seed))


def baseline(removal, clip, regions):
    """What the removal's own document says it is, without masks."""
    with_all_removed = prepared(removal, clip, regions)(torch.zeros(1, *clip.shape[:3]))
    return with_all_removed[0]


@pytest.mark.parametrize("feather", FEATHERS, ids=str)
@pytest.mark.parametrize("name", BUILD)
def test_all_kept_is_bit_identical_and_all_removed_is_the_same_baseline_in_any_batch(
    name, feather, clip, regions, masks
):
    before = clip.clone()
    fill = prepared(BUILD[name](feather), clip, regions)
    batch = torch.cat([masks, torch.ones(1, *SHAPE), torch.zeros(1, *SHAPE)])
    perturbed = fill(batch)
    hard = baseline(BUILD[name](), clip, regions)
    assert perturbed.shape == (7, *SHAPE, 3) and perturbed.dtype == torch.float32
    assert torch.equal(perturbed[5], clip)
    assert torch.equal(perturbed[6], hard)
    assert torch.isfinite(perturbed).all() and perturbed.min() >= 0 and perturbed.max() <= 255.001
    assert torch.equal(clip, before)


@pytest.mark.parametrize("name", BUILD)
def test_kept_voxels_stay_and_removed_ones_are_the_baseline_where_masks_are_hard(name, clip, regions, masks):
    removal = BUILD[name]()
    perturbed = prepared(removal, clip, regions)(masks)
    hard = baseline(removal, clip, regions)
    for mask, got in zip(masks.bool(), perturbed, strict=True):
        assert torch.equal(got[mask], clip[mask])
        if not isinstance(removal, Inpaint):
            assert torch.equal(got[~mask], hard[~mask])


@pytest.mark.parametrize("name", BUILD)
def test_masks_between_mix_clip_and_baseline(name, clip, regions):
    removal = BUILD[name]()
    got = prepared(removal, clip, regions)(torch.full((1, *SHAPE), 0.25))[0]
    assert torch.allclose(got, 0.25 * clip + 0.75 * baseline(removal, clip, regions))


@pytest.mark.parametrize("algorithm", ["pull_push", "telea", "navier_stokes"])
def test_inpainting_takes_nothing_from_the_hole_however_soft_its_edges(algorithm):
    clip = torch.full((4, 40, 40, 3), 50.0)
    masks = torch.ones(1, 4, 40, 40)
    masks[:, :, 10:30, 10:30] = 0
    changed = clip.clone()
    changed[:, 10:30, 10:30] = 250
    got = prepared(Inpaint(algorithm, feather=(0, 1, 1)), changed, None)(masks)[0]
    assert (got[:, 15:25, 15:25] - 50).abs().max() <= 5  # of 200; Telea's own error on one color


def test_black_gray_and_constant_are_those_colors(clip, regions):
    assert (baseline(Black(), clip, regions) == 0).all()
    assert (baseline(Gray(), clip, regions) == 128).all()
    assert (baseline(Constant((1, 2, 250)), clip, regions) == torch.tensor([1.0, 2.0, 250.0])).all()


def test_mean_equals_a_loop_over_regions(clip, regions):
    expected = np.empty((*SHAPE, 3))
    for region in range(regions.n_regions):
        inside = regions.labels == region
        expected[inside] = clip.numpy().astype(np.float64)[inside].mean(0)
    assert np.allclose(baseline(Mean(), clip, regions), expected, atol=1e-4)


@pytest.mark.parametrize(
    "regions", [SoftGrid(SHAPE, (2, 3, 3)), Windows(SHAPE, (2, 3, 3))], ids=["soft", "windows"]
)
def test_mean_of_regions_that_overlap_stays_among_their_colors(regions, clip):
    colors = regions.mean(clip)
    got = baseline(Mean(), clip, regions)
    assert (got >= colors.amin(0) - 1e-3).all() and (got <= colors.amax(0) + 1e-3).all()


@pytest.mark.parametrize("space, time", [(1, 0), (4, 0), (2.5, 1.5), (0, 2), (30, 10)])
def test_blur_equals_scipy(space, time, clip, regions):
    expected = gaussian_filter(clip.numpy().astype(np.float64), (time, space, space, 0))
    assert np.allclose(baseline(Blur(space, time), clip, regions), expected, atol=1e-3)


def test_noise_is_in_range_drawn_once_and_from_the_generator(clip, regions):
    removal, nothing = Noise(50, 100), torch.zeros(2, *SHAPE)
    fill = prepared(removal, clip, regions, seed=3)
    first = fill(nothing)
    assert torch.equal(first[0], first[1]) and torch.equal(first, fill(nothing))
    assert torch.equal(first, prepared(removal, clip, regions, seed=3)(nothing))
    assert not torch.equal(first, prepared(removal, clip, regions, seed=4)(nothing))
    assert 50 <= first.min() < 51 and 99 < first.max() <= 100
    assert abs(first[0].mean() - 75) < 1


def test_normal_noise_has_the_middle_as_mean_and_the_given_deviation(regions, clip):
    got = baseline(Noise(std=20), clip, regions)
    assert abs(got.mean() - 127.5) < 2 and abs(got.std() - 20) < 1
    clipped = baseline(Noise(100, 110, std=500), clip, regions)
    assert clipped.min() == 100 and clipped.max() == 110


@pytest.mark.parametrize("sigma", [0.7, 2, 9])
def test_feathered_masks_equal_scipys_normalized_blur(sigma, clip, regions, masks):
    white = torch.full_like(clip, 255)
    got = prepared(Black(sigma), white, regions)(masks)[..., 0].numpy() / 255
    for mask, soft in zip(1 - masks.numpy().astype(np.float64), got, strict=True):
        blurred = gaussian_filter(mask, sigma, mode="constant")
        expected = 1 - blurred / gaussian_filter(np.ones(SHAPE), sigma, mode="constant")
        assert np.allclose(soft, expected, atol=1.1e-3)
    assert ((got > 0.01) & (got < 0.99)).any()


def test_feather_by_axis_leaves_edges_in_time_hard(clip, regions):
    masks = torch.ones(1, *SHAPE)
    masks[:, 2:, :9] = 0
    soft = prepared(Black((0, 2, 2)), torch.full_like(clip, 255), regions)(masks)[0, ..., 0] / 255
    assert (soft[:2] == 1).all() and torch.equal(soft[2], soft[3])
    assert 0 < soft[2, 8, 10] < soft[2, 9, 10] < 1


def hole(shape):
    """A mask that removes a box in all frames, and another in some."""
    masks = torch.ones(1, *shape)
    masks[:, :, 8:20, 10:22] = 0
    masks[:, 3:5, 30:40, 30:40] = 0
    return masks


@pytest.mark.parametrize("algorithm", ["pull_push", "telea", "navier_stokes"])
def test_inpainting_restores_a_clip_of_one_color(algorithm):
    shape = (7, 45, 50)
    clip = torch.tensor([37.0, 201.0, 255.0]).expand(*shape, 3)
    got = prepared(Inpaint(algorithm), clip, None)(hole(shape))[0]
    assert torch.equal(got, clip) if algorithm == "pull_push" else (got - clip).abs().max() <= 2


@pytest.mark.parametrize("kept", [1, 30])
def test_pull_push_restores_one_color_from_a_few_voxels(kept):
    shape = (5, 33, 47)
    clip = torch.full((*shape, 3), 93.0)
    masks = torch.zeros(2, *shape)
    masks.view(2, -1)[:, torch.randperm(masks[0].numel(), generator=torch.Generator().manual_seed(0))[:kept]] = 1
    assert torch.equal(prepared(Inpaint(), clip, None)(masks)[1], clip)


@pytest.mark.parametrize("algorithm", ["pull_push", "telea", "navier_stokes"])
def test_inpainting_is_near_a_ramp_and_far_better_than_black(algorithm):
    shape = (8, 48, 48)
    t, y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in shape), indexing="ij")
    clip = torch.stack([4 * x, 3 * y + x, 10 * t + 3 * y], -1)
    masks = hole(shape)
    removed = masks[0] == 0
    got, black = (prepared(r, clip, None)(masks)[0] for r in (Inpaint(algorithm), Black()))
    error, worst = ((a - clip)[removed].abs().mean() for a in (got, black))
    assert error < 0.15 * worst


def test_pull_push_takes_from_frames_before_and_after():
    clip = torch.rand(1, 24, 24, 3, generator=torch.Generator().manual_seed(0)).expand(8, -1, -1, -1) * 255
    masks = torch.ones(1, 8, 24, 24)
    masks[:, 4] = 0
    got = prepared(Inpaint(), clip, None)(masks)[0, 4]
    assert (got - clip[4]).abs().mean() < (clip[4].mean() - clip[4]).abs().mean()
    assert abs(got.mean() - clip[4].mean()) < 8


@pytest.mark.parametrize("algorithm, method", [("telea", cv2.INPAINT_TELEA), ("navier_stokes", cv2.INPAINT_NS)])
def test_opencvs_algorithms_are_opencvs_frame_by_frame_and_black_without_anything_kept(algorithm, method, clip):
    masks = torch.ones(1, *SHAPE)
    masks[:, :3, 5:9, 4:12] = 0
    masks[:, 3] = 0
    got = prepared(Inpaint(algorithm, radius=4), clip, None)(masks)[0]
    frame = cv2.inpaint(clip[1].byte().numpy(), (masks[0, 1] == 0).byte().numpy(), 4, method)
    assert np.array_equal(got[1].numpy(), frame)
    assert (got[3] == 0).all()


@pytest.mark.parametrize(
    "build, match",
    [
        (lambda: Black(-1), "feather must be a finite number of voxels >= 0.*got -1"),
        (lambda: Mean([1, 2]), r"or three of them for \(T, H, W\), got \[1, 2\]"),
        (lambda: Gray(float("nan")), "feather must be a finite"),
        (lambda: Constant((0, 0)), r"three numbers in 0\.\.255.*got \(0, 0\)"),
        (lambda: Black(True), "feather must be a finite number of voxels .*got True"),
        (lambda: Black("abc"), "feather must be a finite number of voxels .*got abc"),
        (lambda: Constant((0, 0, 256)), r"three numbers in 0\.\.255"),
        (lambda: Constant((0, 0, float("nan"))), r"three numbers in 0\.\.255"),
        (lambda: Constant(7), r"three numbers in 0\.\.255, for red, green and blue, got 7"),
        (lambda: Blur(-2), "sigma_space must be a finite number >= 0, got -2"),
        (lambda: Blur(2, float("inf")), "sigma_time must be a finite number >= 0, got inf"),
        (lambda: Blur(0), "both 0, which would remove nothing"),
        (lambda: Inpaint("magic"), "algorithm must be one of pull_push, telea, navier_stokes, got 'magic'"),
        (lambda: Inpaint(radius=0), r"radius must be in \[1, 100\], got 0"),
        (lambda: Inpaint(radius=101), r"radius must be in \[1, 100\], got 101"),
        (lambda: Noise(5, 5), "low must be less than high, got low=5, high=5"),
        (lambda: Noise(-1), r"low must be in \[0, 255\], got -1"),
        (lambda: Noise(high=256), r"high must be in \[0, 255\], got 256"),
        (lambda: Noise(std=0), "std must be a number > 0, got 0"),
        (lambda: Noise(std=float("inf")), "std must be a number > 0, got inf"),
    ],
)
def test_unusable_parameters_are_refused(build, match):
    with pytest.raises(ValueError, match=match):
        build()


@pytest.mark.parametrize(
    "file", sorted(set(CONF.glob("*.yaml")) - {CONF / "baseline_video.yaml"}), ids=lambda file: file.stem
)
def test_every_yaml_builds_a_removal(file, clip, regions, masks):
    removal = instantiate(yaml.safe_load(file.read_text()), _convert_="all")
    if isinstance(removal, Freeze | Reverse | Shuffle):
        regions = LabelRegions(np.broadcast_to(np.arange(4)[:, None, None], SHAPE).copy())
        masks = regions.masks(torch.rand(5, 4, generator=torch.Generator().manual_seed(1)) < 0.5)
    assert prepared(removal, clip, regions)(masks).shape == (5, *SHAPE, 3)


@pytest.mark.gpu
@pytest.mark.parametrize("name", BUILD)
def test_a_gpu_gives_what_the_cpu_gives(name, clip, regions, masks):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    batch = torch.cat([masks, torch.ones(1, *SHAPE), torch.zeros(1, *SHAPE)])
    expected = prepared(BUILD[name](1.5), clip, regions)(batch)
    got = prepared(BUILD[name](1.5), clip.cuda(), regions.to(torch.device("cuda")))(batch.cuda())
    assert got.is_cuda and torch.allclose(got.cpu(), expected, atol=0.6)
    assert torch.equal(got[5].cpu(), clip)


# ---------------------------------------------------------------- removals that break time and keep content


def whole_frames(kept, shape=(6, 5, 4)):
    """Regions of one frame each, masks of coalitions, and a clip whose frame t shows only the value 10 t."""
    regions = LabelRegions(np.broadcast_to(np.arange(shape[0])[:, None, None], shape).copy())
    clip = (10.0 * torch.arange(shape[0])).view(-1, 1, 1, 1).expand(*shape, 3).clone()
    return clip, regions, regions.masks(torch.tensor([[c == "1" for c in row] for row in kept]))


def shown(removal, kept, seed=0):
    """Which frame is shown when, for each row of kept frames such as "110010"."""
    clip, regions, masks = whole_frames(kept)
    perturbed = prepared(removal, clip, regions, seed)(masks)
    assert (perturbed == perturbed[:, :, :1, :1, :1]).all()  # of whole frames
    return (perturbed[:, :, 0, 0, 0] / 10).tolist()


def test_a_frozen_frame_shows_the_last_kept_one_or_the_first_kept():
    assert shown(Freeze(), ["110010", "001001", "000001"]) == [
        [0, 1, 1, 1, 4, 4],
        [2, 2, 2, 2, 2, 5],
        [5] * 6,
    ]


def test_a_clip_frozen_as_a_whole_stands_still_and_shows_the_mean_of_all_frames():
    assert shown(Freeze(), ["000000"]) == [[2.5] * 6]


def test_each_removed_stretch_runs_backwards_for_itself():
    assert shown(Reverse(), ["000000", "100011", "001001", "101010"]) == [
        [5, 4, 3, 2, 1, 0],
        [0, 3, 2, 1, 4, 5],
        [1, 0, 2, 4, 3, 5],
        [0, 1, 2, 3, 4, 5],
    ]


def test_shuffled_frames_stay_within_their_stretch_in_an_order_drawn_once_a_clip():
    for seed in range(5):
        whole, two, single = shown(Shuffle(), ["000000", "000100", "101010"], seed)
        assert sorted(whole) == [0, 1, 2, 3, 4, 5]
        assert sorted(two[:3]) == [0, 1, 2] and two[3] == 3 and sorted(two[4:]) == [4, 5]
        assert single == [0, 1, 2, 3, 4, 5]
    assert shown(Shuffle(), ["000000"], 1) == shown(Shuffle(), ["000000"], 1) != shown(Shuffle(), ["000000"], 2)


@pytest.mark.parametrize("removal", [Freeze(), Shuffle(), Reverse()], ids=lambda r: type(r).__name__)
def test_time_is_broken_in_any_batch_alike_and_all_kept_is_bit_identical(removal):
    clip, regions, masks = whole_frames(["111111", "000000", "010110", "111111"])
    clip = clip + torch.rand(clip.shape, generator=torch.Generator().manual_seed(0))
    fill = prepared(removal, clip, regions)
    together = fill(masks)
    assert torch.equal(together, torch.cat([fill(mask[None]) for mask in masks]))
    assert torch.equal(together[0], clip) and not torch.equal(together[1], clip)


@pytest.mark.parametrize("removal", [Freeze(), Shuffle(), Reverse()], ids=lambda r: type(r).__name__)
def test_regions_that_are_parts_of_frames_are_refused_where_frames_are_replaced(removal, clip, regions):
    for unusable in (regions, SoftGrid((4, 18, 21), (3, 1, 1)), Windows((4, 18, 21), (2, 3, 1))):
        with pytest.raises(ValueError, match=f"{type(removal).__name__} shows other frames.*Grid.cells=.8, 1, 1"):
            prepared(removal, clip, unusable)
    for usable in (SoftGrid((4, 18, 21), (4, 1, 1)), Windows((4, 18, 21), (2, 1, 1))):
        prepared(removal, clip, usable)
