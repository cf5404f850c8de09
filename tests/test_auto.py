"""The default method: where and when, within 300 forward passes."""

import hydra
import numpy as np
import pytest
from hydra import compose, initialize_config_module

import lavx
from lavx.datasets.shapes import CLASSES, Shapes, draw
from lavx.game import BatchSizes, ScoredClip, Seeds
from lavx.methods.selection import ShapleyKernel
from lavx.methods.summary import ShapleyRegression


@pytest.fixture(scope="module")
def clip():
    """A square on a texture that turns from red into green at frame 5."""
    frames = draw([3]).frames[::2, 8:72, 24:88].copy()
    frames[:5, 20:40, 20:40] = (220, 40, 40)
    frames[5:, 20:40, 20:40] = (40, 220, 40)
    return frames


def order_of_colors(clips):
    """Whether red is followed by green in the middle."""
    middle = clips[:, :, 20:40, 20:40].mean((2, 3)) / 200
    red, green = middle[..., 0] - middle[..., 1], middle[..., 1] - middle[..., 0]
    pairs = red[:, :, None].clip(0) * green[:, None, :].clip(0)
    answer = 20 * (np.triu(pairs, 1) - np.tril(pairs, -1)).mean((1, 2)) - 1
    return np.stack([answer, -answer], axis=1)


def lightness(clips):
    """How light the clip is in its middle: the order of its frames plays no part."""
    answer = (clips[:, :, 20:40, 20:40].mean((1, 2, 3, 4)) - 60) / 20
    return np.stack([answer, -answer], axis=1)


def explained(function, clip, **options):
    return lavx.explain(function, clip, output="logits", progress=False, check_noise=False, **options)


def test_it_is_the_default_and_takes_at_most_300_forward_passes(clip):
    e = explained(order_of_colors, clip)
    assert e.method == "auto" and e.n_passes <= 300
    assert e.result.n_samples == 240 and e.result.more["n_samples_when"] == 56
    assert e.attribution.shape == (40,)
    assert e.attribution.sum() == pytest.approx(e.result.full - e.result.empty)
    with initialize_config_module("lavx.conf", version_base="1.3"):
        method = hydra.utils.instantiate(compose("explain").method, _convert_="all")
    assert method.segmentation.n_segments == 40 and method.when.segmentation.n == 8


def test_the_same_seed_gives_the_same_bytes(clip, tmp_path):
    first, again, other = (
        explained(order_of_colors, clip, seed=seed).save(tmp_path / f"{k}.npz").read_bytes()
        for k, seed in enumerate((0, 0, 1))
    )
    assert first == again != other


def test_when_is_asked_by_playing_backwards_where_the_order_matters(clip, tmp_path):
    e = explained(order_of_colors, clip)
    assert e.per_frame.how == "reverse" and abs(e.per_frame.moment - 4.5) <= 1
    again = lavx.Explanation.load(e.save(tmp_path / "why.npz"))
    assert again.per_frame.how == "reverse"
    assert np.array_equal(again.summarized(ShapleyRegression()).per_frame.values, e.per_frame.values)
    alone = explained(order_of_colors, clip, method="auto", when=None)
    assert alone.per_frame.how == "" and np.array_equal(alone.attribution, e.attribution)
    assert not np.array_equal(alone.per_frame.values, e.per_frame.values)


def test_importance_per_frame_is_that_of_the_regions_where_the_order_plays_no_part(clip):
    e = explained(lightness, clip)
    assert e.per_frame.how == ""
    assert e.per_frame.values.sum() == pytest.approx(e.attribution.sum())


@pytest.mark.parametrize("shape", [(1, 32, 32), (2, 5, 5), (3, 16, 12), (20, 32, 32)], ids=str)
def test_clips_of_any_length_are_explained(shape):
    clip = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)

    def light(clips):
        answer = clips.mean((1, 2, 3, 4)) / 30 - 4
        return np.stack([answer, -answer], axis=1)

    e = explained(light, clip)
    assert e.per_frame.values.shape == (shape[0],) and e.n_passes <= 300 and np.isfinite(e.attribution).all()


def embedded(name):
    from lavx.networks.openmmlab.network import Network

    return Network(name, f"lavx:shapes_{name}.py", "embedded", classes=CLASSES, device="cpu")


@pytest.mark.slow
@pytest.mark.parametrize("net", ["tpn", "timesformer", "tanet"])
def test_the_change_of_color_is_found_within_one_sampled_frame(net, tmp_path):
    network, found = embedded(net), []
    for video in Shapes(tmp_path, n_videos=30).videos():
        with np.load(video.path.with_suffix(".npz")) as truth:
            turning = int(truth["turning"])
        change = np.searchsorted(network.read(video.path).geometry.frame_indices, turning) - 0.5
        e = lavx.explain(network, video.path, name=video.id, progress=False, check_noise=False)
        found.append(abs(e.per_frame.moment - change) <= 1)
    assert np.mean(found) >= 0.9


def relative_error(attribution, reference):
    a, r = attribution - attribution.mean(), reference - reference.mean()
    return ((a - r) ** 2).sum() / (r**2).sum()


@pytest.mark.slow
def test_the_error_is_at_most_half_that_of_1000_plain_samples(tmp_path):
    network, errors = embedded("tpn"), []
    for video in Shapes(tmp_path, n_videos=4).videos():
        frames = network.read(video.path).frames
        pair = []
        for method in (lavx.method("auto", when=None), lavx.method("kernel_shap")):
            found = lavx.explain(network, frames, method, name=video.id, progress=False, check_noise=False)
            scored = ScoredClip(network, frames, seeds=Seeds(7, video.id), batches=BatchSizes(network))
            game = scored.game(found.result.regions, method.removal, method.behavior)
            drawn = ShapleyKernel().draw(game.n_regions, 3000, np.random.default_rng(7))
            reference = ShapleyRegression()(drawn, game(drawn.kept), game.full, game.empty)
            pair.append(relative_error(found.attribution, reference))
        errors.append(pair)
    few, plain = np.median(errors, axis=0)
    print(f"relative error: auto {few:.3f}, kernel_shap of 1,000 samples {plain:.3f}")
    assert few <= plain / 2
