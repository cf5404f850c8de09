from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import lavx
from lavx.methods import sampling, selection, summary
from lavx.methods.removal import Blur
from lavx.types import Coalitions
from lavx.video import probe


def color_probabilities(clips):
    """Probabilities of red, green and blue by the mean color: a bare function of float32 clips."""
    assert clips.dtype == np.float32 and clips.shape[-1] == 3
    means = clips.mean((1, 2, 3)) + 1
    return means / means.sum(1, keepdims=True)


@pytest.fixture
def red_corner():
    """A dark clip whose upper left quarter is red in the first half."""
    clip = np.full((8, 28, 28, 3), 20, dtype=np.uint8)
    clip[:4, :14, :14] = (220, 10, 10)
    return clip


@pytest.mark.parametrize("method", ["rise", "lime", "kernel_shap", "loco", "univariate", "occlusion"])
def test_a_bare_function_is_explained_by_every_method(red_corner, method):
    e = lavx.explain(color_probabilities, red_corner, method, classes=["red", "green", "blue"], progress=False)
    assert e.class_name(e.target) == "red" and e.kind == "probabilities"
    assert e.score == pytest.approx(color_probabilities(red_corner[None].astype(np.float32))[0, 0], abs=1e-6)
    assert e.heatmap.shape == (8, 28, 28) and e.heatmap.dtype == np.float32
    inside = e.heatmap[:4, :14, :14].mean()
    assert inside > e.heatmap[4:].mean() and inside > e.heatmap[:, 14:].mean()
    assert e.top(2)[0][0] == "red" and "red" in repr(e) and method in repr(e)


def test_the_same_seed_gives_the_same_explanation(red_corner):
    one, two, other = (
        lavx.explain(color_probabilities, red_corner, n_samples=50, seed=seed, progress=False)
        for seed in (1, 1, 2)
    )
    assert np.array_equal(one.heatmap, two.heatmap) and not np.array_equal(one.heatmap, other.heatmap)


def test_evaluation_prefers_the_explanation_to_the_controls(red_corner):
    found = {
        method: lavx.evaluate(color_probabilities, red_corner, e, progress=False)
        for method in ("kernel_shap", "center", "random")
        if (e := lavx.explain(color_probabilities, red_corner, method, progress=False))
    }
    best = found["kernel_shap"]
    assert best.deletion_auc < min(found["center"].deletion_auc, found["random"].deletion_auc)
    assert best.insertion_auc > max(found["center"].insertion_auc, found["random"].insertion_auc)
    assert set(best.curves) == {"deletion", "insertion"}
    assert set(best.minimal_masks) == {"deletion", "insertion", "deletion_absolute", "insertion_absolute"}
    assert 0 <= best.average_drop <= 1 and "lower is better" in repr(best)


def test_ground_truth_is_compared_where_it_is_given(red_corner):
    truth = np.zeros(red_corner.shape[:3], dtype=bool)
    truth[:4, :14, :14] = True
    e = lavx.explain(color_probabilities, red_corner, "kernel_shap", progress=False)
    found = lavx.evaluate(color_probabilities, red_corner, e, ground_truth=truth, progress=False)
    assert found.localization["pointing_game"] == 1 and "pointing_game 1.000" in repr(found)


def test_another_clip_is_not_evaluated(red_corner):
    e = lavx.explain(color_probabilities, red_corner, n_samples=20, progress=False)
    with pytest.raises(ValueError, match="the clip is not the one that was explained"):
        lavx.evaluate(color_probabilities, red_corner[::-1], e, progress=False)


class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = torch.nn.Parameter(torch.randn(3, 5, generator=generator))

    def forward(self, clips):  # (B, 3, T, H, W), normalized
        return clips.mean((2, 3, 4)) @ self.weight


def test_a_torch_module_is_explained_with_its_own_preprocessing(red_corner):
    module = Small()
    classifier = lavx.classifier(module, layout="BCTHW", mean=[110, 120, 130], std=[50, 60, 70])
    e = lavx.explain(classifier, red_corner, n_samples=100, progress=False)
    inputs = (torch.from_numpy(red_corner).float() - torch.tensor([110.0, 120, 130])) / torch.tensor(
        [50.0, 60, 70]
    )
    logits = module(inputs.permute(3, 0, 1, 2)[None])[0].detach()
    assert e.outputs == pytest.approx(logits.numpy(), abs=1e-5) and e.kind == "logits"
    assert e.score == pytest.approx(float(logits.softmax(0).max()), abs=1e-6)


@pytest.mark.parametrize("output", ["multilabel", "regression", "multilabel_logits"])
def test_other_outputs_are_explained_without_a_softmax(red_corner, output):
    def redness(clips):
        return clips[..., 0].mean((1, 2, 3))[:, None] / 255

    e = lavx.explain(redness, red_corner, "loco", output=output, progress=False)
    expected = redness(red_corner[None].astype(np.float32))[0, 0]
    assert e.score == pytest.approx(
        1 / (1 + np.exp(-expected)) if output.endswith("logits") else expected, rel=1e-5
    )
    with pytest.raises(ValueError, match="say output=|give output="):
        lavx.explain(redness, red_corner, "loco", progress=False)


def test_floats_are_shown_to_the_classifier_as_they_are(red_corner):
    seen = []

    def record(clips):
        seen.append(clips.copy())
        return color_probabilities(clips)

    exact = red_corner / 255 * 0.9
    lavx.explain(record, exact, "loco", value_range=(0, 1), progress=False)
    assert seen[0][0] == pytest.approx(exact * 255, abs=1e-4)


def test_pictures_are_drawn_saved_and_shown(red_corner, tmp_path):
    e = lavx.explain(color_probabilities, red_corner, n_samples=800, fps=4, name="corner", progress=False)
    found = lavx.evaluate(color_probabilities, red_corner, e, n_steps=10, progress=False)
    assert e.panel(tmp_path / "why.png", evaluation=found) == tmp_path / "why.png"
    with Image.open(tmp_path / "why.png") as with_curves:
        assert e.panel().size[1] < with_curves.size[1]
    assert e._repr_png_().startswith(b"\x89PNG")
    assert e.overlay().shape == red_corner.shape and not np.array_equal(e.overlay(), red_corner)
    assert e.overlay(tmp_path / "why.mp4") == tmp_path / "why.mp4" and probe(tmp_path / "why.mp4").n_frames >= 8
    assert e.times[0].tolist() == [k / 4 for k in range(8)] and e.times[1] == "s"


def test_an_explanation_is_saved_and_loaded_whole(red_corner, tmp_path):
    for method in ("rise", "kernel_shap", "occlusion", "random"):
        e = lavx.explain(color_probabilities, red_corner, method, classes=["r", "g", "b"], progress=False)
        path = e.save(tmp_path / f"{method}.npz")
        again = lavx.Explanation.load(path)
        for name in ("attribution", "heatmap", "frames", "outputs"):
            assert np.array_equal(getattr(again, name), getattr(e, name))
        for name in ("target", "classes", "method", "kind", "score"):
            assert getattr(again, name) == getattr(e, name)
        assert np.array_equal(again.result.coalitions.kept, e.result.coalitions.kept)
        assert again.visualization == e.visualization and np.array_equal(again.overlay(), e.overlay())
        e.save(tmp_path / "again.npz")
        assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()


def test_scores_are_summarized_again_without_a_forward_pass(red_corner, tmp_path):
    e = lavx.explain(color_probabilities, red_corner, "lime", n_samples=300, progress=False)
    again = lavx.Explanation.load(e.save(tmp_path / "e.npz"))
    other = again.summarized(summary.MeanWhenKept())
    kept, scores = e.result.coalitions.kept, e.result.scores
    assert other.attribution == pytest.approx([scores[kept[:, r]].mean() for r in range(kept.shape[1])])
    assert other.heatmap.shape == e.heatmap.shape and not np.array_equal(other.heatmap, e.heatmap)
    with pytest.raises(ValueError, match="keeps no coalitions"):
        lavx.explain(color_probabilities, red_corner, "center", progress=False).summarized(summary.MeanWhenKept())


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 torn"])
def test_a_damaged_file_is_no_explanation(tmp_path, content):
    (tmp_path / "e.npz").write_bytes(content)
    with pytest.raises(ValueError, match="e.npz is no explanation, or a damaged one"):
        lavx.Explanation.load(tmp_path / "e.npz")
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        lavx.Explanation.load(tmp_path / "none.npz")


def test_files_of_other_versions_are_refused_with_the_reason(red_corner, tmp_path):
    np.savez(tmp_path / "x.npz", a=1)
    with pytest.raises(ValueError, match="is no explanation: it lacks attribution, heatmap"):
        lavx.Explanation.load(tmp_path / "x.npz")
    e = lavx.explain(color_probabilities, red_corner, "center", progress=False)
    np.savez(tmp_path / "new.npz", **{**e.arrays(), "version": 99})
    with pytest.raises(ValueError, match="was written by a later lavx"):
        lavx.Explanation.load(tmp_path / "new.npz")
    old = {name: array for name, array in e.arrays().items() if name not in ("version", "frames")}
    np.savez(tmp_path / "old.npz", **old)
    with pytest.raises(ValueError, match="of lavx 0.1, which stored no frames"):
        lavx.Explanation.load(tmp_path / "old.npz")


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"method": "ries"}, ValueError, "rise"),
        ({"method": 3}, TypeError, "method must be a name .*, an Explainer or a Control, got a int"),
        ({"target": 7}, ValueError, "target=7 is neither a class nor an index from 0 to 2"),
        ({"output": "percent"}, ValueError, "output must be one of logits, probabilities"),
        ({"classes": ["a"]}, ValueError, "gives 3 outputs a clip, but there are 1 class names"),
        ({"batch_size": 0}, ValueError, "batch_size must be auto or a whole number"),
        ({"method": "rise", "n_segments": 7}, ValueError, "n_segments"),
    ],
)
def test_wrong_arguments_are_refused(red_corner, arguments, error, message):
    with pytest.raises(error, match=message):
        lavx.explain(color_probabilities, red_corner, **arguments, progress=False)


def test_options_replace_steps_of_the_preset(red_corner):
    e = lavx.explain(color_probabilities, red_corner, n_samples=40, removal=Blur(3), progress=False)
    assert e.result.n_samples == 40 and e.result.empty > 0.34  # a blurred clip is still reddish
    with pytest.raises(ValueError, match="n_samples go with the name of a method"):
        lavx.explain(color_probabilities, red_corner, lavx.method("rise"), n_samples=40, progress=False)


def test_a_video_needs_a_network_that_reads_videos(red_corner):
    with pytest.raises(TypeError, match="reads no videos: give the clip's frames"):
        lavx.explain(color_probabilities, "my.mp4", progress=False)


class TwoRounds:
    """Draws coalitions, looks at their scores, and asks for the complements of the better half."""

    one_round = False

    def check(self, selection):
        pass

    def rounds(self, selection, n_regions, rng):
        first = selection.draw(n_regions, 40, rng)
        scores = yield first
        better = first.kept[np.argsort(scores)[20:]]
        yield Coalitions(~better, np.ones(len(better)))


def test_a_sampling_may_see_scores_and_ask_for_more():
    effects = np.arange(6.0)
    game = lavx.FunctionGame(lambda kept: kept @ effects, 6)
    played, scores = lavx.play(
        game, selection.Bernoulli(), TwoRounds(), summary.Ridge(alpha=1e-9), np.random.default_rng(0)
    )
    assert len(played) == len(scores) == 60
    assert scores == pytest.approx(played.kept @ effects)
    assert summary.Ridge(alpha=1e-9)(played, scores, game.full, game.empty) == pytest.approx(effects, abs=1e-6)


def test_the_exact_shapley_values_of_shapiq_on_a_game_of_a_clip(red_corner, rng):
    """Kernel SHAP with all coalitions against an exact computer that plays the same game."""
    shapiq = pytest.importorskip("shapiq")  # the core is tested without it, too
    from lavx.game import ScoredClip
    from lavx.methods.behavior import Probability
    from lavx.methods.removal import Black
    from lavx.methods.segmentation import Grid
    from lavx.networks.adapt import classifier

    weights = rng.normal(0, 1e-3, (*red_corner.shape, 2)).astype(np.float32)

    def saturating(clips):
        return np.tanh(np.einsum("bthwc,thwck->bk", clips, weights) / 50)

    clip = ScoredClip(classifier(saturating, output="logits"), red_corner, 0)
    game = clip.game(clip.segment(Grid((2, 2, 2))), Black(), Probability())
    exact = shapiq.ExactComputer(lambda kept: game(kept.astype(bool)), n_players=8)("SV", order=1)
    coalitions, scores = lavx.play(
        game, selection.ShapleyKernel(), sampling.All(), summary.ShapleyRegression(), np.random.default_rng(0)
    )
    found = summary.ShapleyRegression()(coalitions, scores, game.full, game.empty)
    assert found == pytest.approx([exact[(player,)] for player in range(8)], abs=1e-6)
    assert len(scores) == 2**8 - 2


def test_controls_differ_and_smooth_noise_is_smooth(red_corner):
    found = {kind: lavx.explain(color_probabilities, red_corner, kind, progress=False).attribution.reshape(4, 7, 7)
             for kind in ("random", "smooth_noise", "center")}  # fmt: skip
    steps = {kind: np.abs(np.diff(values, axis=2)).mean() / values.std() for kind, values in found.items()}
    assert steps["smooth_noise"] < 0.7 * steps["random"]
    with pytest.raises(ValueError, match="kind must be one of random, center, smooth_noise, got blob"):
        control = lavx.method("random")
        type(control)("blob", (4, 7, 7), control.removal, control.behavior, control.visualization)


@pytest.fixture(scope="module")
def explanations():
    clip = np.full((8, 28, 28, 3), 20, dtype=np.uint8)
    clip[:4, :14, :14] = (220, 10, 10)
    return [
        lavx.explain(color_probabilities, clip, method, classes=["red", "green", "blue"], progress=False)
        for method in ("rise", "loco")
    ]


class TestPictures:
    def test_color_lies_on_the_ground_truth_and_is_measured_as_it_is_drawn(self, explanations, red_corner):
        truth = (red_corner[..., 0] > 100) & (red_corner[..., 1] < 50)
        e = explanations[1]
        found = lavx.evaluate(color_probabilities, red_corner, e, ground_truth=truth, n_steps=3, progress=False)
        opacity = e.drawing.opacity
        assert found.color["color_inside"] == pytest.approx(opacity[truth].sum() / opacity.sum(), rel=1e-5)
        assert found.color["color_recall"] == pytest.approx((opacity[truth] >= 0.25).mean())
        assert found.color["tinted"] == pytest.approx((opacity >= 0.25).mean())
        assert found.color["color_inside"] > 0.8 and found.color["color_recall"] > 0.8
        assert set(e.color()) == {"tinted"}

    def test_ground_truth_is_kept_with_the_explanation_and_outlined(self, explanations, tmp_path):
        truth = np.zeros((8, 28, 28), bool)
        truth[2:5, 3:9, 10:20] = True
        e = replace(explanations[0], ground_truth=truth)
        again = lavx.Explanation.load(e.save(tmp_path / "e.npz"))
        assert np.array_equal(again.ground_truth, truth) and again.color() == e.color()
        yellow = [
            (np.asarray(one.panel()) == (255, 221, 0)).all(axis=-1).any() for one in (explanations[0], again)
        ]
        assert yellow == [False, True]

    def test_files_of_earlier_versions_are_drawn_with_the_errors_that_their_scores_tell(
        self, explanations, tmp_path
    ):
        for e in explanations:
            arrays = e.arrays()
            for name in ("std_error", "neutral", "neutral_std_error", "coalition_units", "coalition_outputs"):
                arrays.pop(name, None)
            np.savez(tmp_path / "old.npz", **arrays)
            old = lavx.Explanation.load(tmp_path / "old.npz")
            assert np.array_equal(old.overlay(), e.overlay()) and old.drawing.opacity.any()
            assert old.result.is_exact == e.result.is_exact and old.drawing.note == e.drawing.note
            np.savez(tmp_path / "other.npz", **{**arrays, "method": "mine"})
            other = lavx.Explanation.load(tmp_path / "other.npz")
            assert other.std_error is None and not other.result.is_exact
            assert other.panel(tmp_path / "other.png").exists()

    def test_figures_have_the_options_of_a_paper(self, explanations, tmp_path):
        e = explanations[0]
        for kind in ("png", "pdf", "svg"):
            file = e.panel(tmp_path / f"e.{kind}", frames="hottest", n_frames=2, width_mm=85, title=False)
            assert file.stat().st_size > 5000
        with pytest.raises(
            ValueError, match="there is no option colour of a picture; there are frames, n_frames,"
        ):
            e.panel(colour="red")

    def test_explanations_stand_side_by_side_on_one_scale(self, explanations, tmp_path):
        assert lavx.compare_panel(explanations, tmp_path / "c.pdf", width_mm=174, n_frames=4).exists()
        one, own = (
            np.asarray(lavx.compare_panel(explanations, one_scale=flag, title=False)) for flag in (True, False)
        )
        assert one.shape == own.shape and (one != own).any()
        with pytest.raises(ValueError, match="give one label for each of the 2 explanations, got 1"):
            lavx.compare_panel(explanations, labels=["a"])

    def test_the_largest_attribution_of_all_ends_the_common_scale(self, explanations, monkeypatch):
        seen = []
        monkeypatch.setattr("lavx.drawing.comparison.draw_comparison", lambda path, rows, *rest: seen.extend(rows))
        with pytest.raises(Exception, match="cannot identify image"):
            lavx.compare_panel(explanations)
        limits = {row.drawing.scale.limit for row in seen}
        assert limits == {max(e.drawing.scale.limit for e in explanations)}
        assert seen[0].label == f"rise on color_probabilities, score {explanations[0].score:.3f}"
