"""Noise in the network's score, and regions that cannot say when."""

from __future__ import annotations

import logging

import cv2
import numpy as np
import pytest
import torch

import lavx
from lavx.datasets.shapes import Shapes
from lavx.diagnostics import notes
from lavx.game import BatchSizes, NetworkError, ScoredClip
from lavx.methods import segmentation
from lavx.methods.behavior import Probability
from lavx.methods.regions import LabelRegions, SoftGrid, Windows, flat_in_time, frames_per_region
from lavx.methods.removal import Black
from lavx.methods.segmentation import Grid, Slic
from lavx.video import read_frames

SOFT = segmentation.SoftGrid((2, 2, 2))


class Quantized:
    """Its logit hangs on the last bits of the clip, as a network's may whose activations are quantized."""

    device = torch.device("cpu")
    output = "logits"
    classes = None

    def __init__(self, network, size: float) -> None:
        self.network, self.size = network, size

    def __call__(self, clips):
        logits = self.network(clips)
        bits = clips.contiguous().view(torch.int32).flatten(1).long().sum(1)
        logits[:, 1] += self.size * (bits * 7919 % 1000 / 1000 - 0.5)
        return logits


def explained(network, clip, method="rise", **options):
    return lavx.explain(network, clip, method, target=1, progress=False, n_samples=60, **options)


def test_a_smooth_network_has_no_noise(network, clip, caplog):
    with caplog.at_level(logging.WARNING, "lavx"):
        found = explained(network, clip, segmentation=SOFT).diagnostics
    assert found["score_noise"] < 1e-6 and found["attribution_noise"] < 1e-3
    assert "moves" not in caplog.text


@pytest.mark.parametrize("method", ["rise", "lime", "kernel_shap"])
def test_a_network_that_jumps_is_noise(network, clip, caplog, method):
    with caplog.at_level(logging.WARNING, "lavx"):
        explanation = explained(Quantized(network, 2.0), clip, method, segmentation=Grid((2, 2, 2)))
    found = explanation.diagnostics
    assert found["score_noise"] > 0.05 and found["attribution_noise"] > 0.1
    assert "when the clip changes by a ten millionth; that moves the attribution by" in caplog.text
    assert any(note.startswith("noise: ") for note in explanation.notes)


def test_the_noise_predicted_is_that_of_another_draw(network, clip):
    """The share that is said to be noise is how far two explanations differ that only noise tells apart."""
    one = explained(Quantized(network, 1.0), clip, segmentation=Grid((2, 2, 2)))
    nearly = clip.astype(np.float32) * np.float32(1 - 1e-7)
    other = explained(Quantized(network, 1.0), nearly, segmentation=Grid((2, 2, 2)))
    differing = np.sqrt(np.mean((one.attribution - other.attribution) ** 2) / 2) / one.attribution.std()
    assert one.diagnostics["attribution_noise"] == pytest.approx(differing, rel=1.0)


def test_looking_for_noise_changes_nothing_else(network, clip):
    looked = explained(network, clip, segmentation=SOFT, check_noise=True)
    not_looked = explained(network, clip, segmentation=SOFT, check_noise=False)
    assert looked.n_passes == not_looked.n_passes
    for name, array in looked.arrays().items():
        assert np.array_equal(array, not_looked.arrays()[name]), name
    assert not_looked.diagnostics["score_noise"] is None and not_looked.diagnostics["attribution_noise"] is None


def test_a_slow_network_is_spared(network, clip, monkeypatch):
    monkeypatch.setattr("lavx.diagnostics.SLOW", 0.0)
    assert explained(network, clip, segmentation=SOFT).diagnostics["score_noise"] is None
    assert explained(network, clip, segmentation=SOFT, check_noise=True).diagnostics["score_noise"] is not None


def test_a_control_has_a_score_but_no_attribution_to_be_noisy(network, clip):
    found = lavx.explain(network, clip, "center", progress=False).diagnostics
    assert found["score_noise"] < 1e-6 and found["attribution_noise"] is None


def test_a_network_that_fails_at_a_second_look_loses_no_explanation(network, clip):
    asked = []

    def fails_later(clips):
        asked.append(len(clips))
        if len(asked) > 4:
            raise RuntimeError("gone")
        return network(torch.as_tensor(clips)).numpy()

    classifier = lavx.classifier(fails_later, output="logits")
    found = lavx.explain(classifier, clip, "rise", segmentation=SOFT, n_samples=10, progress=False).diagnostics
    assert found["score_noise"] is None


def test_frames_per_region():
    labels = np.zeros((4, 2, 2), dtype=int)
    assert frames_per_region(LabelRegions(labels)) == 4
    labels[2:] = 1
    labels[3, 0, 0] = 2
    assert frames_per_region(LabelRegions(labels)) == pytest.approx((2 + 2 + 1) / 3)
    assert frames_per_region(Windows((8, 8, 8), (4, 4, 4))) == 2
    assert frames_per_region(SoftGrid((8, 8, 8), (1, 2, 2))) == 8
    assert frames_per_region(object()) is None


def test_regions_through_all_frames_are_said_once_with_what_cuts_time(rng, network, caplog):
    clip = rng.integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    slic = Slic(n_segments=9, spacing=(0.01, 1, 1))
    method = lavx.Explainer(
        slic, *(getattr(lavx.presets.method("lime", n_samples=30), step) for step in
                ("selection", "sampling", "removal", "behavior", "summary", "visualization"))
    )  # fmt: skip
    with caplog.at_level(logging.WARNING, "lavx"):
        explanation = lavx.explain(network, clip, method, target=1, progress=False)
        lavx.explain(network, clip, method, target=1, progress=False)
    assert flat_in_time(explanation.result.regions)
    assert caplog.text.count("says little about when something happens") == 1
    assert f"cuts time with {slic.cutting_time((4, 8, 8))}" in caplog.text
    assert explanation.diagnostics["frames_per_region"] == explanation.frames_per_region_if_flat
    assert explanation.diagnostics["n_segments"] == 9


def test_the_spacing_that_is_offered_cuts_time(tmp_path, rng):
    video = Shapes(tmp_path, n_videos=1).videos()[0]
    clip = np.stack([cv2.resize(frame, (64, 64)) for frame in read_frames(video.path, tuple(range(0, 16, 2)))])
    name, _, numbers = Slic().cutting_time(clip.shape[:3]).partition("=")
    assert name == "spacing" and numbers == "[5,1,1]"
    cut = Slic(spacing=[float(n) for n in numbers.strip("[]").split(",")])(clip, rng)
    assert Slic()(clip, rng).frames_per_region > 7 and cut.frames_per_region < 3


def test_too_few_regions_are_shown():
    assert notes({"n_segments": 200.0, "attribution_noise": None}, 80) == ("only 80 of 200 regions",)
    assert notes({"n_segments": 200.0, "attribution_noise": 0.25}, 150) == ("noise: 25 % of the spread",)
    assert notes({}, 3) == ()


def test_probabilities_that_are_said_to_be_logits_are_refused(network, clip):
    def softmax(clips):
        return torch.softmax(network(torch.as_tensor(clips)), 1)

    wrong = lavx.classifier(softmax, output="logits")
    with pytest.raises(NetworkError, match="said to answer logits, but its rows are in .0, 1. and sum to 1"):
        ScoredClip(wrong, clip)
    right = lavx.classifier(softmax, output="probabilities")
    assert ScoredClip(right, clip).kind == "probabilities"


@pytest.mark.parametrize(("kind", "rows"), [("probabilities", "-3 to 4"), ("multilabel", "-3 to 4")])
def test_logits_that_are_said_to_be_probabilities_are_refused(clip, kind, rows):
    wrong = lavx.classifier(lambda clips: np.tile([[-3.0, 4.0, 1.0]], (len(clips), 1)), output=kind)
    with pytest.raises(NetworkError, match=f"said to answer {kind}, which are in .0, 1., but it answers {rows}"):
        ScoredClip(wrong, clip)


def test_probabilities_that_do_not_sum_to_one_are_refused(clip):
    wrong = lavx.classifier(lambda clips: np.tile([[0.9, 0.8]], (len(clips), 1)), output="probabilities")
    with pytest.raises(NetworkError, match="its rows sum to 1.7"):
        ScoredClip(wrong, clip)
    assert ScoredClip(lavx.classifier(lambda c: np.tile([[0.9, 0.8]], (len(c), 1)), output="multilabel"), clip)


@pytest.mark.parametrize("kind", ["logits", "multilabel_logits"])
def test_probabilities_that_do_not_sum_to_one_are_doubted_as_logits(network, clip, caplog, kind):
    with caplog.at_level(logging.WARNING, "lavx"):
        ScoredClip(Answering(network, torch.sigmoid), clip, output=kind)
        assert (
            f"said to answer {kind}, but its answers to the clip and to a black one are all in [0, 1]"
            in caplog.text
        )
        caplog.clear()
        ScoredClip(network, clip, output=kind)
    assert not caplog.text
    with pytest.raises(NetworkError, match="its rows are in .0, 1. and sum to 1: probabilities"):
        ScoredClip(Answering(network, lambda rows: rows.softmax(1)), clip, output=kind)


def test_logits_that_look_like_probabilities_once_are_logits(clip):
    """A black clip tells."""

    def logits(clips):
        return np.stack([np.clip(clips.mean((1, 2, 3, 4)), 0, 0.25), 0.75 + 0 * clips.mean((1, 2, 3, 4))], 1)

    assert ScoredClip(lavx.classifier(logits, output="logits"), clip).kind == "logits"


def test_one_row_for_a_batch_is_refused(network, clip):
    class OneRow:
        device, output, classes = network.device, "logits", None

        def __call__(self, clips):
            return network(clips)[:1]

    with pytest.raises(NetworkError, match="a row a clip: for .* clips it gave"):
        lavx.explain(OneRow(), clip, segmentation=SOFT, n_samples=10, progress=False)


def test_class_names_of_another_number_are_the_network_s_fault(network, clip):
    with pytest.raises(NetworkError, match="gives 2 outputs a clip, but there are 3 class names"):
        ScoredClip(network, clip, classes=["a", "b", "c"])


class Answering:
    """Another network's answers, changed."""

    device = torch.device("cpu")
    output = "logits"
    classes = None

    def __init__(self, network, change) -> None:
        self.network, self.change = network, change

    def __call__(self, clips):
        return self.change(self.network(clips))


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows[:1].expand(len(rows), -1),
        lambda rows: rows[-1:].expand(len(rows), -1),
        lambda rows: rows.flip(0),
        lambda rows: rows.mean(0, keepdim=True).expand(len(rows), -1),
        lambda rows: rows - rows.mean(0) if len(rows) > 1 else rows,
    ],
    ids=["first", "last", "reversed", "mean", "less the mean"],
)
def test_a_network_that_mixes_the_clips_of_a_batch_is_refused(network, clip, change):
    wrong = Answering(network, change)
    with pytest.raises(NetworkError, match="depends on the others in its batch.*; or set batch_size=1"):
        explained(wrong, clip, segmentation=SOFT)
    alone = explained(wrong, clip, segmentation=SOFT, batch_size=1)
    assert np.array_equal(alone.attribution, explained(network, clip, segmentation=SOFT, batch_size=1).attribution)


def test_mixing_is_looked_for_once_for_all_clips_of_a_network(network, clip):
    batches = BatchSizes(network, 4)
    for _ in range(2):
        scored = ScoredClip(network, clip, 1, batches=batches)
        scored.game(SOFT(clip, np.random.default_rng(0)), Black(), Probability())(np.ones((2, 8), dtype=bool))
        assert scored.n_passes == 4
    assert network.calls == [1, 1, 2, 3, 1, 3]


def test_what_rounds_or_draws_is_not_taken_for_mixing(network, clip):
    """Kernels of another batch size round otherwise; a network that draws at random is noise."""
    rounding = Answering(network, lambda rows: rows + 1e-4 * len(rows))
    assert explained(rounding, clip, segmentation=SOFT).n_passes
    generator = torch.Generator().manual_seed(0)
    drawing = Answering(network, lambda rows: rows + torch.randn(rows.shape, generator=generator))
    assert any(note.startswith("noise: ") for note in explained(drawing, clip, segmentation=SOFT).notes)


def test_a_network_that_does_not_fit_in_memory_twice_is_not_looked_at(network, clip):
    class Small(Answering):
        def __call__(self, clips):
            if len(clips) > 1:
                raise torch.OutOfMemoryError
            return super().__call__(clips)

    small = Small(network, lambda rows: rows)
    assert explained(small, clip, segmentation=SOFT, batch_size=4).n_passes


@pytest.mark.parametrize("how", ["changes the clips", "answers in the same memory"])
def test_memory_that_a_network_shares_with_lavx_does_no_harm(network, clip, how):
    class Sharing(Answering):
        answers: dict = {}

        def __call__(self, clips):
            rows = self.network(clips)
            if how == "changes the clips":
                clips.zero_()
                return rows
            return self.answers.setdefault(len(rows), torch.empty_like(rows)).copy_(rows)

    sharing = explained(Sharing(network, None), clip, segmentation=SOFT)
    assert np.array_equal(sharing.attribution, explained(network, clip, segmentation=SOFT).attribution)


def test_a_score_that_never_moves_is_said(network, clip, caplog):
    still = Answering(network, lambda rows: torch.zeros_like(rows) + torch.tensor([1.0, 2.0]))
    with caplog.at_level(logging.WARNING, "lavx"):
        explanation = explained(still, clip, segmentation=SOFT)
    assert explanation.diagnostics["score_range"] == 0 and "the score never moves" in explanation.notes
    assert "the same whatever is removed" in caplog.text
    assert explained(network, clip, segmentation=SOFT).diagnostics["score_range"] > 0.1
    assert lavx.explain(still, clip, "center", progress=False).diagnostics["score_range"] is None
