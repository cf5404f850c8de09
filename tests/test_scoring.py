import logging

import numpy as np
import pytest
import torch

from lavx.game import ScoreError, Scorer, Stopwatch
from lavx.methods.behavior import Logit, Probability
from lavx.methods.regions import LabelRegions
from lavx.methods.removal import Black

CPU = torch.device("cpu")


@pytest.fixture
def regions(clip):
    return LabelRegions(np.arange(4 * 8 * 8).reshape(4, 8, 8) // 32)


def score(network, clip, regions, kept, **kwargs):
    frames = torch.from_numpy(clip).float()
    fill = Black().prepare(frames, regions, torch.Generator())
    scorer = Scorer(network, kwargs.pop("batch_size", 3))
    return scorer(kept, regions, fill, kwargs.pop("behavior", Probability()), 1, Stopwatch(CPU), **kwargs)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100, "auto"])
def test_scores_equal_a_loop_whatever_the_batch_size(network, clip, regions, rng, batch_size):
    kept = rng.random((7, 8)) < 0.5
    scores = score(network, clip, regions, kept, batch_size=batch_size)
    for row, value in zip(kept, scores, strict=True):
        perturbed = clip * row[regions.labels][..., None]
        logit = (perturbed * network.weight.numpy()).sum()
        assert value == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-9)


def test_progress_is_told_every_pass_once(network, clip, regions):
    done = []
    score(network, clip, regions, np.ones((7, 8), dtype=bool), advance=done.append)
    assert done == [3, 3, 1]


def test_no_coalition_gives_no_score(network, clip, regions):
    assert score(network, clip, regions, np.ones((0, 8), dtype=bool)).shape == (0,)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(network, clip, regions, value):
    network.weight[0] = value
    with pytest.raises(ScoreError, match="gave 5 scores of 5 that are NaN or infinite for class 1"):
        score(network, clip, regions, np.ones((5, 8), dtype=bool), behavior=Logit())


@pytest.mark.parametrize("batch_size", [0, -1, "big", 2.5, True])
def test_a_batch_size_that_is_none_is_refused(network, batch_size):
    with pytest.raises(ValueError, match="batch_size must be auto or a whole number >= 1"):
        Scorer(network, batch_size)


def test_a_batch_that_does_not_fit_is_halved_and_loses_nothing(network, clip, regions, rng, caplog):
    class Small:
        device = CPU

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
        device = CPU

        def __call__(self, clips):
            raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        score(Broken(), clip, regions, np.ones((2, 8), dtype=bool))
