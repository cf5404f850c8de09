import logging

import numpy as np
import pytest
import torch

from lavx.game import BatchSizes, FunctionGame, ScoredClip, ScoreError, Seeds, Stopwatch
from lavx.methods.behavior import Logit, Probability
from lavx.methods.regions import LabelRegions
from lavx.methods.removal import Black, Mean

CPU = torch.device("cpu")


@pytest.fixture
def regions(clip):
    return LabelRegions(np.arange(4 * 8 * 8).reshape(4, 8, 8) // 32)


def scored(network, clip, batch_size=3, **kwargs):
    batches = BatchSizes(network, batch_size)
    batches.rows_checked = True  # which would be passes of its own
    return ScoredClip(network, clip, 1, batches=batches, **kwargs)


def score(network, clip, regions, kept, behavior=None, **kwargs):
    return scored(network, clip, **kwargs).game(regions, Black(), behavior or Probability())(kept)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100, "auto"])
def test_scores_equal_a_loop_whatever_the_batch_size(network, clip, regions, rng, batch_size):
    kept = rng.random((7, 8)) < 0.5
    scores = score(network, clip, regions, kept, batch_size=batch_size)
    for row, value in zip(kept, scores, strict=True):
        perturbed = clip * row[regions.labels][..., None]
        logit = (perturbed * network.weight.numpy()).sum()
        assert value == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-9)


def test_progress_is_told_every_pass_once(network, clip, regions):
    told = []

    def progress(stage, n_passes):
        told.append((stage, n_passes))
        return told.append

    score(network, clip, regions, np.ones((6, 8), dtype=bool), progress=progress)
    assert told == [("explanation", 7), 3, 3, 1]


def test_the_clip_and_the_baseline_are_scored_once(network, clip, regions, rng):
    one = scored(network, clip, batch_size=4)
    game = one.game(regions, Black(), Probability())
    assert game.full == one.score(Probability()) == pytest.approx(one.probabilities[1])
    game(rng.random((3, 8)) < 0.5)
    game(rng.random((3, 8)) < 0.5)
    assert game.empty == pytest.approx(0.5)  # black is zeros, whose logits are equal
    assert network.calls == [1, 4, 3] and one.n_passes == 8


def test_the_baseline_alone_can_be_asked_for(network, clip, regions):
    game = scored(network, clip).game(regions, Mean(), Probability(), with_baseline=False)
    game(np.ones((2, 8), dtype=bool))
    assert network.calls == [1, 2]
    assert game.empty == game(np.zeros((1, 8), dtype=bool))[0] and network.calls == [1, 2, 1, 1]


def test_no_coalition_gives_no_score(network, clip, regions):
    assert score(network, clip, regions, np.ones((0, 8), dtype=bool)).shape == (0,)


@pytest.mark.parametrize("kept", [np.ones((2, 7), bool), np.ones((2, 8)), np.ones(8, bool)])
def test_coalitions_of_another_shape_or_type_are_refused(network, clip, regions, kept):
    with pytest.raises(ValueError, match=r"coalitions must be bool \(S, 8\), one column a region, got"):
        score(network, clip, regions, kept)
    with pytest.raises(ValueError, match=r"coalitions must be bool \(S, 8\), one column a region, got"):
        FunctionGame(lambda coalitions: coalitions.sum(1), 8)(kept)


def test_a_function_is_a_game():
    game = FunctionGame(lambda coalitions: coalitions @ np.array([1.0, 2.0, 4.0]), 3)
    assert game.full == 7 and game.empty == 0 and game(np.eye(3, dtype=bool)).tolist() == [1, 2, 4]
    with pytest.raises(ValueError, match=r"the function must give \(2,\) scores, gave \(2, 1\)"):
        FunctionGame(lambda coalitions: coalitions[:, :1] * 1.0, 3)(np.ones((2, 3), dtype=bool))


@pytest.mark.parametrize(
    "answer, message",
    [
        (lambda clips: torch.zeros(1, 2), r"for 3 clips it gave \(1, 2\)"),  # would be broadcast
        (lambda clips: torch.zeros(len(clips)), r"a row a clip: for 1 clips it gave \(1,\)"),
        (
            lambda clips: torch.zeros(len(clips), 2 + (len(clips) > 1)),
            "gave 2 outputs for a clip before and 3 now",
        ),
        (lambda clips: np.zeros((len(clips), 2)), "must answer with a tensor of real numbers, it gave ndarray"),
    ],
)
def test_answers_of_another_shape_are_refused(clip, regions, answer, message):
    class Wrong:
        device, output, classes = CPU, "logits", None

        def __call__(self, clips):
            return answer(clips)

    with pytest.raises(ScoreError, match=message):
        score(Wrong(), clip, regions, np.ones((2, 8), dtype=bool))


class Fixed:
    """Answers with the same row whatever it is shown."""

    device, output, classes = CPU, None, None

    def __init__(self, row, **attributes):
        self.row = torch.tensor(row)
        vars(self).update(attributes)

    def __call__(self, clips):
        return self.row.expand(len(clips), -1)


@pytest.mark.parametrize(
    "row, kind, probabilities",
    [
        ([0.25, 0.75], "probabilities", [0.25, 0.75]),
        ([0.0, 3.0], "logits", [1 / (1 + np.exp(3)), 1 / (1 + np.exp(-3))]),
    ],
)
def test_outputs_are_probabilities_or_logits_by_what_they_look_like(clip, row, kind, probabilities):
    found = ScoredClip(Fixed(row), clip)
    assert found.kind == kind and found.probabilities == pytest.approx(probabilities, rel=1e-6)
    assert found.target == 1


@pytest.mark.parametrize("row, message", [([0.2, 0.3], "but to 0.5, 0.5"), ([0.5], "a single column")])
def test_outputs_that_can_be_several_things_are_asked_about(clip, row, message):
    with pytest.raises(ValueError, match=message):
        ScoredClip(Fixed(row), clip)
    assert ScoredClip(Fixed(row), clip, output="multilabel").probabilities == pytest.approx(row)


def test_targets_are_found_by_name_and_unknown_ones_refused(clip):
    network = Fixed([0.0, 3.0, 1.0], classes=("run", "jump", "7"))
    assert ScoredClip(network, clip, "jump").target == 1
    assert ScoredClip(network, clip, "2").target == 2 and ScoredClip(network, clip, "7").target == 2
    for target in (3, -1, "swim", True, 1.0):
        with pytest.raises(ValueError, match=r"neither a class \(run, jump, 7\) nor an index from 0 to 2"):
            ScoredClip(network, clip, target)
    with pytest.raises(ValueError, match="gives 3 outputs a clip, but there are 2 class names"):
        ScoredClip(network, clip, classes=["a", "b"])
    with pytest.raises(ValueError, match="a regression with 3 outputs needs a target"):
        ScoredClip(network, clip, output="regression")


def test_gradients_are_not_kept(clip, regions):
    weight = torch.ones(2, requires_grad=True)

    class Learning:
        device, output, classes = CPU, "logits", None

        def __call__(self, clips):
            answer = clips.mean((1, 2, 3, 4))[:, None] * weight
            assert not answer.requires_grad
            return answer

    score(Learning(), clip, regions, np.ones((2, 8), dtype=bool))


def test_finished_batches_are_not_scored_again(network, clip, regions, rng):
    class Store(dict):
        def get(self, key):
            return np.array(super().get(key, []))

        def add(self, key, scores):
            self[key] = [*super().get(key, []), *scores]

    kept = rng.random((9, 8)) < 0.5
    whole = score(network, clip, regions, kept, batch_size=4)
    store, forward, left = Store(), network.__call__, 3

    class CutOff(type(network)):
        def __call__(self, clips):
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            return forward(clips)

    with pytest.raises(KeyboardInterrupt):
        score(CutOff(network.weight), clip, regions, kept, batch_size=4, store=store)
    network.calls.clear()
    resumed = score(network, clip, regions, kept, batch_size=4, store=store)
    assert network.calls == [1, 2] and resumed.tolist() == whole.tolist()
    other = score(network, clip, regions, ~kept, batch_size=4, store=store)
    assert other.tolist() == score(network, clip, regions, ~kept, batch_size=4).tolist()


def test_nested_stages_count_as_the_outermost():
    watch = Stopwatch(CPU)
    with watch("metrics"), watch("inference"):
        pass
    assert set(watch.seconds) == {"metrics"}


def test_streams_depend_on_seed_name_and_step_alone():
    draws = {
        (seed, name, step): Seeds(seed, name).numpy(step).integers(2**62)
        for seed in (0, 1) for name in ("a", "b") for step in ("x", "y")
    }  # fmt: skip
    assert len(set(draws.values())) == 8
    assert Seeds(0, "a").torch("x").initial_seed() == draws[0, "a", "x"]
    Seeds(0, "b\udcff").numpy("x")  # a file name that is no UTF-8


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(network, clip, regions, value):
    one = scored(network, clip)
    network.weight[0] = value
    with pytest.raises(ScoreError, match="gave 6 scores of 6 that are NaN or infinite for class 1"):
        one.game(regions, Black(), Logit())(np.ones((5, 8), dtype=bool))
    with pytest.raises(ScoreError, match="outputs for the clip are NaN or infinite"):
        scored(network, clip)


@pytest.mark.parametrize("batch_size", [0, -1, "big", 2.5, True])
def test_a_batch_size_that_is_none_is_refused(network, batch_size):
    with pytest.raises(ValueError, match="batch_size must be auto or a whole number >= 1"):
        BatchSizes(network, batch_size)


def test_a_batch_that_does_not_fit_is_halved_and_loses_nothing(network, clip, regions, rng, caplog):
    class Small:
        device, output, classes = CPU, "logits", None

        def __call__(self, clips):
            if len(clips) > 2:
                raise torch.OutOfMemoryError("out of memory")
            return network(clips)

    kept = rng.random((11, 8)) < 0.5
    with caplog.at_level(logging.WARNING):
        scores = score(Small(), clip, regions, kept, batch_size=8)
    assert np.allclose(scores, score(network, clip, regions, kept, batch_size=1))
    assert "A batch of 8 clips does not fit in memory; going on with 4." in caplog.text


def test_other_errors_of_the_network_are_not_taken_for_want_of_memory(clip, regions):
    class Broken:
        device, output, classes = CPU, "logits", None

        def __call__(self, clips):
            raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        score(Broken(), clip, regions, np.ones((2, 8), dtype=bool))


def test_a_name_of_several_classes_is_ambiguous(clip):
    network = Fixed([0.0, 3.0, 1.0], classes=("run", "jump", "run"))
    with pytest.raises(
        ValueError, match=r"target=run is the name of several classes, \[0, 2\]: give one of these"
    ):
        ScoredClip(network, clip, "run")
    assert ScoredClip(network, clip, 2).target == 2
