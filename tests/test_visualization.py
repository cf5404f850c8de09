import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from lavx.methods.visualization import COLORMAPS, Heatmap, PosNeg

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
        ({"stretch": "yes"}, "stretch must be true or false, got 'yes'"),
        ({"colormap": "rainbows"}, r"colormap must be heat or magenta_green .* got 'rainbows'"),
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
    if path.stem in ("heatmap", "pos_neg"):
        assert draw == type(draw)()
