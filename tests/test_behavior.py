from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from lavx.methods.behavior import Logit, LogOdds, PredictionLoss, Probability

CONF = Path(__file__).parents[1] / "conf" / "method" / "behavior"
ALL = pytest.mark.parametrize("behavior", [Probability(), Logit(), LogOdds(), PredictionLoss()], ids=repr)


@pytest.fixture
def logits():
    return torch.randn(50, 7, generator=torch.Generator().manual_seed(0)) * 3


@pytest.mark.parametrize("file", sorted(CONF.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_file_is_built_and_named_after_its_class(file):
    assert type(instantiate(OmegaConf.load(file))).__name__.lower() == file.stem.replace("_", "")


def test_each_equals_its_definition(logits):
    probability = torch.softmax(logits.double(), 1)[:, 3]
    for behavior, expected in [
        (Probability(), probability),
        (Logit(), logits[:, 3]),
        (LogOdds(), torch.log(probability / (1 - probability))),
        (PredictionLoss(), -torch.nn.functional.cross_entropy(logits, torch.full((50,), 3), reduction="none")),
    ]:
        torch.testing.assert_close(behavior(logits.double(), 3), expected.double(), rtol=1e-5, atol=1e-6)


@ALL
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_more_of_the_target_scores_higher_and_scores_are_at_least_single(behavior, dtype):
    logits = torch.zeros(9, 4, dtype=dtype)
    logits[:, 2] = torch.linspace(-4, 4, 9)
    scores = behavior(logits, 2)
    assert scores.shape == (9,) and scores.dtype == (dtype if dtype == torch.float64 else torch.float32)
    assert (scores.diff() > 0).all()


@ALL
def test_sure_networks_still_give_finite_scores(behavior):
    logits = torch.tensor([[200.0, -200.0, 0.0], [-200.0, 200.0, 0.0]])
    assert behavior(logits, 0).isfinite().all()


def test_log_odds_do_not_saturate_where_probability_does():
    logits = torch.tensor([[100.0, 0.0, 0.0], [110.0, 0.0, 0.0]])
    assert Probability()(logits, 0).diff() == 0
    assert LogOdds()(logits, 0).diff().item() == pytest.approx(10)


@ALL
@pytest.mark.parametrize("target", [-1, 7, 400])
def test_a_target_that_is_no_class_is_refused(behavior, target, logits):
    with pytest.raises(ValueError, match=f"class index, 0 to 6 for 7 classes, got {target}"):
        behavior(logits, target)


@ALL
def test_logits_have_a_row_a_clip(behavior):
    with pytest.raises(ValueError, match=r"logits must be \(B, K\), a row a clip, got \(7,\)"):
        behavior(torch.zeros(7), 0)


def test_log_odds_need_another_class():
    with pytest.raises(ValueError, match="at least 2 classes, got 1. Use method/behavior=logit"):
        LogOdds()(torch.zeros(3, 1), 0)
