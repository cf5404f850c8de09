import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf
from skimage.color import deltaE_ciede2000, rgb2lab

from lavx.methods.outlines import DARK, GROUND_TRUTH, LIGHT, outline, outline_ground_truth
from lavx.methods.regions import LabelRegions, SoftGrid, Windows
from lavx.methods.visualization import (
    COLORMAPS,
    NOTHING,
    NOTHING_EXACT,
    Heatmap,
    PosNeg,
    SignificantRegions,
    Study,
    drawn_by,
    study_cut,
    study_map,
    voxels,
)
from lavx.types import Evidence

CONF = Path(__file__).parents[1] / "conf" / "method" / "visualization"
BOTH = pytest.mark.parametrize("component", [Heatmap, PosNeg])
SHAPE = (4, 10, 12)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def frames(rng):
    return rng.integers(0, 256, (*SHAPE, 3), dtype=np.uint8)


@pytest.fixture
def heatmap(rng):
    return rng.normal(size=SHAPE).astype(np.float32)


def stays(component, frames, heatmap, **parameters):
    """Which voxels a highlight leaves alone; the frames must be bright and colored."""
    drawn = component(blend="highlight", alpha=1.0, **parameters)(frames, heatmap)
    return (drawn == frames).all(axis=-1)


@pytest.fixture
def bright():
    return np.full((*SHAPE, 3), (250, 120, 30), dtype=np.uint8)


@BOTH
@pytest.mark.parametrize("blend", ["alpha", "highlight"])
@pytest.mark.parametrize("keep", ["all", "top_fraction", "threshold", "cumulative"])
@pytest.mark.parametrize("sign", ["positive", "both"])
@pytest.mark.parametrize("stretch", [True, False])
def test_every_combination_draws_and_leaves_its_input_alone(
    component, blend, keep, sign, stretch, frames, heatmap
):
    draw = component(keep=keep, sign=sign, stretch=stretch, blend=blend)
    before = frames.copy(), heatmap.copy()
    drawn = draw(frames, heatmap)
    assert drawn.dtype == np.uint8 and drawn.shape == frames.shape
    if blend == "alpha" or keep != "all" or sign == "positive":
        assert (drawn != frames).any()
    assert (frames == before[0]).all() and (heatmap == before[1]).all()
    shown = draw.display(heatmap)
    assert shown.dtype == np.float32 and shown.shape == SHAPE
    assert np.abs(shown).max() == 1 and shown.min() >= (-1 if component is PosNeg and sign == "both" else 0)
    assert (draw(frames, heatmap) == drawn).all()


@BOTH
@pytest.mark.parametrize("blend", ["alpha", "highlight"])
def test_alpha_zero_returns_the_frames(component, blend, frames, heatmap):
    assert (component(blend=blend, alpha=0)(frames, heatmap) == frames).all()


@pytest.mark.parametrize("amount", [0.1, 0.3, 0.5, 1.0])
@pytest.mark.parametrize(("component", "importance"), [(Heatmap, lambda h: h - h.min()), (PosNeg, np.abs)])
def test_top_fraction_keeps_that_share(component, importance, amount, bright, heatmap):
    kept = stays(component, bright, heatmap, keep="top_fraction", amount=amount, sign="both")
    assert kept.sum() == round(amount * heatmap.size)
    if amount < 1:
        assert importance(heatmap)[kept].min() > importance(heatmap)[~kept].max()


def test_top_fraction_keeps_ties_together(bright):
    regions = np.arange(480).reshape(SHAPE) // 48  # ten regions
    kept = stays(Heatmap, bright, regions + 1.0, keep="top_fraction", amount=0.25)
    assert set(np.unique(regions[kept])) == {7, 8, 9}
    assert (~kept[regions < 7]).all()


def test_top_fraction_drops_the_negative_ones(bright, heatmap):
    heatmap -= np.quantile(heatmap, 0.9)
    kept = stays(Heatmap, bright, heatmap, keep="top_fraction", amount=0.3)
    assert (kept == (heatmap > 0)).all()


def test_threshold_is_relative_to_the_largest_importance(bright, heatmap):
    kept = stays(Heatmap, bright, heatmap, keep="threshold", amount=0.4)
    assert (kept == (heatmap >= 0.4 * heatmap.max())).all()
    kept = stays(PosNeg, bright, heatmap, keep="threshold", amount=0.4)
    assert (kept == (np.abs(heatmap) >= 0.4 * np.abs(heatmap).max())).all()


@pytest.mark.parametrize("amount", [0.2, 0.5, 0.9])
def test_cumulative_keeps_the_smallest_set_that_holds_the_share(amount, bright, heatmap):
    kept = stays(Heatmap, bright, heatmap, keep="cumulative", amount=amount)
    importance = np.maximum(heatmap.astype(np.float64), 0)
    assert importance[kept].sum() >= amount * importance.sum()
    assert importance[kept].sum() - importance[kept].min() < amount * importance.sum()


def test_cumulative_of_everything_keeps_everything_positive(bright, heatmap):
    assert (stays(Heatmap, bright, heatmap, keep="cumulative", amount=1) == (heatmap > 0)).all()


@pytest.mark.parametrize("keep", ["all", "top_fraction", "threshold", "cumulative"])
@pytest.mark.parametrize("stretch", [True, False])
def test_pos_neg_is_symmetric(keep, stretch, heatmap):
    draw = PosNeg(keep=keep, stretch=stretch)
    assert (draw.display(-heatmap) == -draw.display(heatmap)).all()


def test_pos_neg_signs_are_those_of_the_heatmap(heatmap):
    assert (np.sign(PosNeg().display(heatmap)) == np.sign(heatmap)).all()
    assert (PosNeg(sign="positive").display(heatmap) >= 0).all()


def test_pos_neg_is_green_for_and_magenta_against():
    gray = np.full((1, 1, 2, 3), 128, dtype=np.uint8)
    (red, green, blue), against = PosNeg()(gray, np.array([[[1.0, -1.0]]]))[0, 0].astype(int)
    assert green > max(red, blue) + 30
    assert min(against[0], against[2]) > against[1] + 30


def test_hotter_is_never_shown_colder(heatmap):
    order = np.argsort(heatmap, axis=None)
    for draw in (Heatmap(sign="both"), Heatmap(), PosNeg(), Heatmap(stretch=False)):
        assert (np.diff(draw.display(heatmap).ravel()[order]) >= 0).all()


def test_a_min_max_stretch_ends_at_the_least_and_the_largest_level(heatmap):
    kept = Heatmap(keep="top_fraction", amount=0.5, stretch="min_max", sign="both")
    shown, levels = kept.display(heatmap), kept._levels(heatmap)[1]
    values = heatmap[levels]
    expected = (values - values.min()) / np.ptp(values)
    assert shown[levels] == pytest.approx(expected, abs=1e-6)
    assert np.count_nonzero(shown == 1) == 1  # percentiles put all of the top 2 % there
    assert np.count_nonzero(Heatmap(stretch=True, sign="both").display(heatmap) == 1) > 1
    assert np.array_equal(PosNeg(stretch="min_max").display(heatmap), PosNeg(stretch=False).display(heatmap))


def test_stretch_uses_all_colors_where_zero_is_far(heatmap):
    far = 0.5 + 0.001 * heatmap  # as RISE gives it
    assert np.ptp(Heatmap().display(far)) == 1
    assert Heatmap(stretch=False).display(far).min() > 0.98


@BOTH
def test_highlight_takes_light_and_color_from_the_rest(component, bright, heatmap):
    draw = component(blend="highlight", alpha=1.0, keep="top_fraction")
    drawn = draw(bright, heatmap)
    rest = (drawn != bright).any(axis=-1)
    assert 0.69 * heatmap.size <= rest.sum() < heatmap.size
    assert np.ptp(drawn[rest], axis=-1).max() == 0
    assert drawn[rest].mean() < 0.3 * bright.mean()
    assert (drawn[~rest] == bright[~rest]).all()
    assert draw.scale() is None


@BOTH
@pytest.mark.parametrize(
    "heatmap", [np.zeros(SHAPE), np.full(SHAPE, 0.7), np.full(SHAPE, -0.7), np.full(SHAPE, 1e-320)]
)
@pytest.mark.parametrize("keep", ["all", "top_fraction", "threshold", "cumulative"])
def test_a_constant_heatmap_singles_nothing_out(component, heatmap, keep, frames):
    draw = component(keep=keep)
    assert (draw(frames, heatmap) == frames).all()
    assert (draw.display(heatmap) == 0).all()


@pytest.mark.parametrize("keep", ["all", "top_fraction", "threshold", "cumulative"])
def test_nothing_positive_nothing_drawn(keep, frames, heatmap):
    negative = -np.abs(heatmap) - 0.1
    assert (Heatmap(keep=keep)(frames, negative) == frames).all()
    assert (Heatmap(keep=keep, sign="both")(frames, negative) != frames).any()
    assert (PosNeg(keep=keep).display(negative).max()) <= 0


@BOTH
def test_one_hot_voxel_is_shown(component):
    frames, heatmap = np.zeros((1, 8, 8, 3), dtype=np.uint8), np.zeros((1, 8, 8))
    heatmap[0, 3, 4] = 1e-6
    drawn = component()(frames, heatmap)
    assert np.argwhere(drawn.any(axis=-1)).tolist() == [[0, 3, 4]]


@BOTH
def test_scale_tells_the_ends(component):
    scale = component().scale()
    assert (scale.low, scale.high) == ((-1, 1) if component is PosNeg else (0, 1))
    assert scale.colormap is COLORMAPS[component().colormap]
    assert component(colormap="viridis").scale().colormap.name == "viridis"


@BOTH
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"keep": "best"}, "keep must be one of all, top_fraction, threshold, cumulative, got 'best'"),
        ({"sign": "negative"}, "sign must be one of positive, both, got 'negative'"),
        ({"blend": "add"}, "blend must be one of alpha, highlight, got 'add'"),
        ({"amount": 0}, r"amount must be a fraction in \(0, 1\], got 0"),
        ({"amount": 30}, r"amount must be a fraction in \(0, 1\], got 30"),
        ({"amount": "0.3"}, r"amount must be a fraction in \(0, 1\], got '0.3'"),
        ({"alpha": -0.1}, r"alpha must be in \[0, 1\], got -0.1"),
        ({"alpha": float("nan")}, r"alpha must be in \[0, 1\], got nan"),
        ({"amount": True}, r"amount must be a fraction in \(0, 1\], got True"),
        ({"keep": ["all"]}, r"keep must be one of .*, got \['all'\]"),
        ({"stretch": "yes"}, "stretch must be true, false or min_max, got 'yes'"),
        ({"colormap": "rainbows"}, r"colormap must be mint_magenta or heat or magenta_green .* got 'rainbows'"),
    ],
)
def test_bad_parameters_are_refused(component, parameters, message):
    with pytest.raises(ValueError, match=message):
        component(**parameters)


@BOTH
def test_bad_arrays_are_refused(component, frames, heatmap):
    draw = component()
    with pytest.raises(ValueError, match=r"frames must be uint8 \(T, H, W, 3\), got float64"):
        draw(frames / 255, heatmap)
    with pytest.raises(ValueError, match=r"the frames' shape \(T, H, W\) = \(4, 10, 12\), got \(3, 10, 12\)"):
        draw(frames, heatmap[:3])
    with pytest.raises(ValueError, match=r"a heatmap must be \(T, H, W\) with something in it, got \(10, 12\)"):
        draw.display(heatmap[0])
    heatmap[0, 0, :2] = np.nan, np.inf
    with pytest.raises(ValueError, match="2 of 480 values of the heatmap are NaN or infinite"):
        draw(frames, heatmap)
    with pytest.raises(ValueError, match="2 of 480 values of the heatmap are NaN or infinite"):
        draw.display(heatmap)


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_yaml_builds_and_writes_every_parameter_out(path, frames, heatmap):
    text = path.read_text()
    assert text.startswith("# ") and "lavx run" in text
    config = OmegaConf.create(text)
    draw = instantiate(config, _convert_="all")
    assert set(config) == {"_target_", *(field.name for field in dataclasses.fields(draw))}
    assert draw(frames, heatmap).shape == frames.shape
    assert draw == type(draw)()


REGIONS = LabelRegions(np.repeat(np.arange(20).reshape(1, 4, 5), 4, axis=0).repeat(3, axis=1).repeat(4, axis=2))
WIDE = (4, 12, 20)


def evidence(attribution, std_error=None, regions=REGIONS, **more):
    attribution = np.asarray(attribution, dtype=np.float64)
    return Evidence(voxels(regions, attribution), attribution, regions, std_error=std_error, **more)


def gray(level=128):
    return np.full((*WIDE, 3), level, dtype=np.uint8)


class TestStudyCut:
    def test_keeps_what_holds_the_share_of_the_positive_importance(self):
        values = np.array([5.0, -9, 3, 1, 1, 0])
        assert study_cut(values, amount=0.5).tolist() == [True] + 5 * [False]
        assert study_cut(values, amount=0.51).tolist() == [True, False, True, False, False, False]
        assert study_cut(values, amount=1.0).tolist() == [True, False, True, True, True, False]

    def test_keeps_a_share_or_a_number_of_the_regions(self):
        values = np.arange(-10.0, 10)
        assert np.flatnonzero(study_cut(values, "regions", 0.3)).tolist() == list(range(14, 20))
        assert np.flatnonzero(study_cut(values, "regions", 3)).tolist() == [17, 18, 19]
        assert study_cut(values, "regions", 50).sum() == study_cut(values, "regions", 1.0).sum() == 9

    def test_equal_ones_stay_together(self):
        assert study_cut(np.array([2.0, 2, 2, 1]), "regions", 1).tolist() == [True, True, True, False]

    def test_of_nothing_positive_nothing_is_kept(self):
        assert not study_cut(-np.arange(4.0)).any()
        assert not study_map(evidence(-np.arange(20.0))).any()

    @pytest.mark.parametrize("regions", [REGIONS, SoftGrid(WIDE, (2, 3, 3)), Windows(WIDE, (2, 3, 4))])
    def test_the_map_is_the_heatmap_inside_the_cut_and_0_elsewhere(self, regions):
        given = evidence(np.random.default_rng(0).normal(size=regions.n_regions), regions=regions)
        cut = study_map(given)
        assert cut.dtype == np.float32 and cut.shape == WIDE and 0 < (cut > 0).mean() < 0.5
        np.testing.assert_array_equal(cut[cut > 0], given.heatmap[cut > 0])
        if regions is REGIONS:
            kept = study_cut(given.attribution)
            np.testing.assert_array_equal(cut > 0, kept[regions.labels])

    def test_large_regions_count_as_much_as_small_ones(self):
        labels = np.zeros(WIDE, dtype=int)
        labels[..., 1:5], labels[..., :1] = 1, 2
        given = evidence([1.0, 0.9, 0.8], regions=LabelRegions(labels))
        assert (study_map(given, amount=0.4) > 0).mean() > 0.9  # the first two regions
        assert (study_map(Evidence(given.heatmap), amount=0.4) > 0).mean() == (labels == 0).mean()

    def test_a_share_of_the_voxels_is_what_earlier_versions_drew(self):
        given = evidence(np.random.default_rng(0).normal(size=20))
        cut = study_map(given, "voxels", 0.3)
        frames = gray()
        np.testing.assert_array_equal(
            Study("voxels").draw(frames, given).frames, Heatmap("top_fraction")(frames, given.heatmap)
        )
        assert (cut > 0).mean() == pytest.approx(0.3)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((np.ones(3), "voxels"), "keep must be one of cumulative, regions, got 'voxels'"),
            ((np.ones(3), "cumulative", 3), r"amount must be a fraction in \(0, 1\], got 3"),
            ((np.ones(3), "regions", 0), "amount must be a whole number >= 1, got 0"),
            ((np.array([1, np.nan]),), "importance must hold finite numbers"),
            ((np.ones(0),), "importance must hold finite numbers"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            study_cut(*arguments)

    def test_a_cut_there_is_not_is_refused(self):
        with pytest.raises(ValueError, match="keep must be one of cumulative, regions, voxels, got 'best'"):
            study_map(evidence(np.ones(20)), "best")
        with pytest.raises(ValueError, match="keep must be one of cumulative, regions, voxels, got 'best'"):
            Study("best")


class TestSignificantRegions:
    def test_only_what_differs_from_no_effect_is_drawn_and_the_rest_is_left_as_it_is(self, rng):
        values = rng.normal(0, 0.1, 20)
        values[[2, 5]] = 3.0, -2.0
        drawing = SignificantRegions().draw(gray(), evidence(values, np.full(20, 0.1)))
        labels = REGIONS.labels
        assert set(np.unique(labels[drawing.opacity > 0])) == {2, 5}
        assert (drawing.frames == 128)[~np.isin(labels, (2, 5))].all()
        assert (drawing.frames != 128).any(axis=-1)[np.isin(labels, (2, 5))].all()
        assert (drawing.outlined == np.where(labels == 2, 1, np.where(labels == 5, -1, 0))).all()
        assert drawing.scale.limit == pytest.approx(3) and drawing.scale.threshold == pytest.approx(2)

    def test_the_scale_ends_at_the_largest_attribution_and_begins_at_no_effect(self):
        values = np.zeros(20)
        values[:4] = 8.0, 4, 1, 0.5
        opacity = SignificantRegions().draw(gray(), evidence(values, np.full(20, 0.01))).opacity
        shown = [float(opacity[REGIONS.labels == k].max()) for k in range(5)]
        assert shown == pytest.approx([1, 1, 0.25, 0.125, 0])

    def test_pure_noise_draws_nothing_and_says_so(self):
        empty = 0
        for seed in range(200):
            values = np.random.default_rng(seed).normal(0, 0.3, 20)
            drawing = SignificantRegions().draw(gray(), evidence(values, np.full(20, 0.3)))
            if not drawing.opacity.any():
                empty += 1
                assert (drawing.frames == gray()).all() and not drawing.outlined.any()
                assert drawing.note == NOTHING == "nothing stands out at this number of samples"
                assert drawing.scale.limit is None
        assert empty >= 185

    def test_exact_attributions_have_the_other_regions_for_a_measure(self, rng):
        values = rng.normal(0, 0.01, 20)
        assert SignificantRegions().draw(gray(), evidence(values, is_exact=True)).note == NOTHING_EXACT
        assert SignificantRegions().draw(gray(), evidence(values)).note == NOTHING
        values[7] = 0.8
        drawing = SignificantRegions().draw(gray(), evidence(values, is_exact=True))
        assert drawing.note == "1 of 20 regions stand out, the largest by a score of 0.8"
        unknown = SignificantRegions().draw(gray(), evidence(values))
        assert unknown.note == "1 of 20 regions stand out (sampling error unknown)"
        assert set(np.unique(REGIONS.labels[drawing.opacity > 0])) == {7}

    def test_a_mean_score_is_drawn_by_its_distance_from_the_mean(self):
        values = np.full(20, 0.4)
        values[3], values[4] = 0.7, 0.2
        given = evidence(values, np.full(20, 0.01), neutral=0.4)
        drawing = SignificantRegions().draw(gray(), given)
        assert set(np.unique(REGIONS.labels[drawing.opacity > 0])) == {3, 4}
        assert drawing.scale.limit == pytest.approx(0.3)
        positive = SignificantRegions(sign="positive").draw(gray(), given)
        assert set(np.unique(REGIONS.labels[positive.opacity > 0])) == {3}

    def test_a_given_limit_makes_pictures_comparable(self):
        half, full = (
            SignificantRegions(limit=4.0).draw(gray(), evidence(np.eye(20)[0] * top, np.full(20, 0.1)))
            for top in (1.0, 4.0)
        )
        assert half.opacity.max() == pytest.approx(0.5) and full.opacity.max() == 1
        assert half.scale.limit == full.scale.limit == 4

    def test_of_a_heatmap_alone_everything_is_drawn(self, frames, heatmap):
        drawing = SignificantRegions().draw(frames, Evidence(heatmap))
        assert drawing.opacity.max() == 1 and (drawing.opacity > 0).mean() > 0.9
        assert SignificantRegions().draw(frames, Evidence(np.zeros(SHAPE))).note == "nothing stands out"
        assert (SignificantRegions()(frames, np.full(SHAPE, 0.3)) == frames).all()
        assert SignificantRegions()(frames, heatmap).shape == frames.shape

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"rate": 1}, r"rate must be in \(0, 1\), got 1"),
            ({"rate": 0}, r"rate must be in \(0, 1\), got 0"),
            ({"limit": 0}, "limit must be a number > 0, got 0"),
            ({"sign": "negative"}, "sign must be one of positive, both, got 'negative'"),
            ({"lines": 1}, "lines must be true or false, got 1"),
        ],
    )
    def test_bad_parameters_are_refused(self, parameters, message):
        with pytest.raises(ValueError, match=message):
            SignificantRegions(**parameters)


def test_a_visualization_that_knows_only_heatmaps_still_draws(frames, heatmap):
    class Invert:
        def scale(self):
            return None

        def __call__(self, frames, heatmap):
            return 255 - frames

    drawing = drawn_by(Invert(), frames, Evidence(heatmap))
    assert (drawing.frames == 255 - frames).all() and drawing.opacity is None and drawing.outlined is None


# Footage on which colors may vanish, as RGB: lawns, red actors, dark and bright scenes, skin, sky, plain colors.
FOOTAGE = {
    "lawn": (86, 150, 60), "dark lawn": (60, 110, 45), "bright lawn": (130, 180, 80), "red": (225, 50, 45),
    "dark red": (150, 20, 25), "dark": (12, 12, 15), "night": (20, 25, 50), "bright": (245, 245, 242),
    "gray": (128, 128, 128), "skin": (205, 150, 120), "sky": (120, 170, 220), "blue": (50, 85, 230),
    "yellow": (235, 205, 45), "green": (45, 190, 70), "brown": (110, 75, 50), "orange": (230, 120, 30),
}  # fmt: skip
# Machado et al. 2009, severity 1, for linear RGB: what the three common color blindnesses see.
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}  # fmt: skip


def linear(color):
    c = np.asarray(color, dtype=np.float64) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def seen(color, blindness="none"):
    c = np.clip(linear(color) @ np.transpose(BLINDNESS[blindness]), 0, 1)
    return rgb2lab(np.where(c <= 0.0031308, 12.92 * c, 1.055 * c ** (1 / 2.4) - 0.055))


def contrast(one, other):
    light = sorted(linear(c) @ (0.2126, 0.7152, 0.0722) + 0.05 for c in (one, other))
    return light[1] / light[0]


def tints(footage):
    """What the strongest regions for and against the target look like on footage: RGB each."""
    frames = np.full((*WIDE, 3), footage, dtype=np.uint8)
    values = np.zeros(20)
    values[0], values[19] = 1, -1
    drawn = SignificantRegions().draw(frames, evidence(values, np.full(20, 0.01))).frames
    return drawn[0, 0, 0], drawn[-1, -1, -1]


@pytest.mark.parametrize("footage", FOOTAGE.values(), ids=FOOTAGE.keys())
def test_colors_and_lines_hold_on_any_footage(footage):
    for tint in tints(footage):
        assert deltaE_ciede2000(seen(tint), seen(footage)) > 12  # 2 is just noticeable, 10 seen at a glance
        for beside in (tint, footage):
            assert max(contrast(LIGHT, beside), contrast(DARK, beside)) > 4.5


def test_earlier_colors_do_not():
    lawn, red = np.array(FOOTAGE["green"]), np.array(FOOTAGE["red"])
    for old, footage in (("magenta_green", lawn), ("heat", red)):
        tint = 0.3 * footage + 0.7 * 255 * np.array(COLORMAPS[old](0.85)[:3])
        assert deltaE_ciede2000(seen(tint), seen(footage)) < 12


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_for_and_against_stay_apart_for_every_eye_on_any_footage(blindness):
    for footage in FOOTAGE.values():
        favor, against = tints(footage)
        assert deltaE_ciede2000(seen(favor, blindness), seen(against, blindness)) > 15


def test_steps_of_the_colors_look_equally_large():
    colors = rgb2lab(COLORMAPS["mint_magenta"](np.linspace(0.51, 1, 9))[:, :3])
    steps = np.linalg.norm(np.diff(colors, axis=0), axis=1)
    assert steps.max() < 1.3 * steps.min()


def test_lines_run_around_the_area_light_inside_and_dark_outside():
    image, area = np.full((20, 20, 3), 128, np.uint8), np.zeros((20, 20), bool)
    area[5:12, 6:15] = True
    outline(image, area)
    assert (image[5, 6:15] == 255).all() and (image[4, 6:15] == 0).all()
    assert (image[7:10, 8:12] == 128).all() and (image[:3] == 128).all()
    dashed = np.full((20, 20, 3), 128, np.uint8)
    outline(dashed, area, dashed=True)
    assert 0 < (dashed == 255).sum() < (image == 255).sum()
    truth = np.full((20, 20, 3), 128, np.uint8)
    outline_ground_truth(truth, area)
    assert {tuple(c) for c in truth.reshape(-1, 3)} == {(128, 128, 128), (0, 0, 0), GROUND_TRUTH}
    assert (truth[area] == 128).all()


def test_an_area_at_the_edge_of_the_image_has_a_line_there():
    image = np.full((8, 8, 3), 128, np.uint8)
    outline(image, np.ones((8, 8), bool))
    assert (image[0] == 255).all() and (image[1:-1, 1:-1] == 128).all()
    untouched = np.full((8, 8, 3), 128, np.uint8)
    outline(untouched, np.zeros((8, 8), bool))
    outline_ground_truth(untouched, np.zeros((8, 8), bool))
    assert (untouched == 128).all()
