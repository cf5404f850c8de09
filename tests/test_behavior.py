from math import exp, inf, log, nan
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from lavx.methods.behavior import Logit, LogOdds, PredictionLoss, Probability
from lavx.types import OUTPUT_KINDS

CONF = Path(__file__).parents[1] / "conf" / "method" / "behavior"
BEHAVIORS = [Probability(), Logit(), LogOdds(), PredictionLoss()]
ALL = pytest.mark.parametrize("behavior", BEHAVIORS, ids=repr)
KINDS = pytest.mark.parametrize("kind", OUTPUT_KINDS)
REFUSED = {(Logit(), "probabilities"), (LogOdds(), "regression"), (PredictionLoss(), "regression")}


@pytest.fixture
def logits():
    return torch.randn(50, 7, generator=torch.Generator().manual_seed(0)) * 3


@pytest.mark.parametrize("file", sorted(CONF.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_file_is_built_and_named_after_its_class(file):
    assert type(instantiate(OmegaConf.load(file))).__name__.lower() == file.stem.replace("_", "")


def test_each_equals_its_definition_on_logits(logits):
    probability = torch.softmax(logits.double(), 1)[:, 3]
    for behavior, expected in [
        (Probability(), probability),
        (Logit(), logits[:, 3]),
        (LogOdds(), torch.log(probability / (1 - probability))),
        (PredictionLoss(), -torch.nn.functional.cross_entropy(logits, torch.full((50,), 3), reduction="none")),
    ]:
        torch.testing.assert_close(behavior(logits.double(), 3, "logits"), expected.double(), rtol=1e-5, atol=1e-6)


# One row of each kind; softmax of (0, log 3) is (1/4, 3/4), sigmoid of log 4 is 4/5.
ROWS = {
    "logits": [0, log(3)],
    "probabilities": [0.25, 0.75],
    "multilabel": [0.9, 0.2],
    "multilabel_logits": [-1, log(4)],
    "regression": [3.5, -12.25],
}
BY_HAND = [
    (Probability(), "logits", 0.75),
    (Probability(), "probabilities", 0.75),
    (Probability(), "multilabel", 0.2),
    (Probability(), "multilabel_logits", 0.8),
    (Probability(), "regression", -12.25),
    (Logit(), "logits", log(3)),
    (Logit(), "multilabel", log(0.25)),
    (Logit(), "multilabel_logits", log(4)),
    (Logit(), "regression", -12.25),
    (LogOdds(), "logits", log(3)),
    (LogOdds(), "probabilities", log(3)),
    (LogOdds(), "multilabel", log(0.25)),
    (LogOdds(), "multilabel_logits", log(4)),
    (PredictionLoss(), "logits", log(0.75)),
    (PredictionLoss(), "probabilities", log(0.75)),
    (PredictionLoss(), "multilabel", log(0.2)),
    (PredictionLoss(), "multilabel_logits", log(0.8)),
]


def test_every_kind_of_every_behavior_is_computed_here_or_refused():
    computed = {(behavior, kind) for behavior, kind, _ in BY_HAND}
    assert computed | REFUSED == {(behavior, kind) for behavior in BEHAVIORS for kind in OUTPUT_KINDS}
    assert not computed & REFUSED


@pytest.mark.parametrize(("behavior", "kind", "expected"), BY_HAND, ids=str)
def test_each_kind_is_what_it_is_by_hand(behavior, kind, expected):
    rows = torch.tensor([ROWS[kind], ROWS[kind]], dtype=torch.float64)
    assert behavior(rows, 1, kind).tolist() == pytest.approx([expected, expected], abs=1e-12)


@pytest.mark.parametrize(
    ("behavior", "kind", "message"),
    [
        (Logit(), "probabilities", "Logit needs logits, .* known only up to a constant: use LogOdds"),
        (
            LogOdds(),
            "regression",
            "LogOdds needs probabilities, .* have none: use Logit or Probability",
        ),
        (PredictionLoss(), "regression", "PredictionLoss needs probabilities, .* regression have none"),
    ],
)
def test_a_behavior_that_a_kind_does_not_have_is_refused(behavior, kind, message):
    with pytest.raises(ValueError, match=message):
        behavior(torch.tensor([ROWS[kind]]), 1, kind)


@ALL
@pytest.mark.parametrize("kind", ["scores", "", None, 0])
def test_an_unknown_kind_is_refused(behavior, kind, logits):
    with pytest.raises(ValueError, match="kind must be one of logits, probabilities, multilabel, .*, got"):
        behavior(logits, 3, kind)


@ALL
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_more_of_the_target_scores_higher_and_scores_are_at_least_single(behavior, dtype):
    logits = torch.zeros(9, 4, dtype=dtype)
    logits[:, 2] = torch.linspace(-4, 4, 9)
    rows = {
        "logits": logits,
        "probabilities": logits.softmax(1),
        "multilabel": logits.sigmoid(),
        "multilabel_logits": logits,
        "regression": logits,
    }
    for kind in OUTPUT_KINDS:
        if (behavior, kind) not in REFUSED:
            scores = behavior(rows[kind], 2, kind)
            assert scores.shape == (9,)
            assert scores.dtype == (dtype if dtype == torch.float64 else torch.float32)
            assert (scores.diff() > 0).all()


@pytest.mark.parametrize(("behavior", "kind"), [(behavior, kind) for behavior, kind, _ in BY_HAND], ids=str)
def test_sure_networks_still_give_finite_scores(behavior, kind):
    sure = [[200.0, -200.0, 0.0], [-200.0, 200.0, 0.0]]
    rows = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]] if kind in ("probabilities", "multilabel") else sure)
    scores = behavior(rows, 0, kind)
    assert scores.isfinite().all() and scores[0] > scores[1]


def test_logarithms_of_probabilities_end_where_the_module_says():
    rows = torch.tensor([[0.0, 1.0], [1e-9, 1.0], [1.0, 0.0]], dtype=torch.float64)
    end = log((1 - 1e-7) / 1e-7)
    for kind in ("probabilities", "multilabel"):
        assert LogOdds()(rows, 0, kind).tolist() == pytest.approx([-end, -end, end])
        assert PredictionLoss()(rows, 0, kind).tolist() == pytest.approx([log(1e-7), log(1e-7), 0])
    assert Logit()(rows, 0, "multilabel").tolist() == pytest.approx([-end, -end, end])


def test_log_odds_do_not_saturate_where_probability_does():
    logits = torch.tensor([[100.0, 0.0, 0.0], [110.0, 0.0, 0.0]])
    for kind in ("logits", "multilabel_logits"):
        assert Probability()(logits, 0, kind).diff() == 0
        assert LogOdds()(logits, 0, kind).diff().item() == pytest.approx(10)
    assert PredictionLoss()(-logits, 0, "multilabel_logits").tolist() == pytest.approx([-100, -110])


@ALL
@KINDS
@pytest.mark.parametrize("target", [-1, 7, 400, True, 1.5])
def test_a_target_that_is_no_class_is_refused(behavior, kind, target, logits):
    with pytest.raises(ValueError, match=f"class index, 0 to 6 for 7 classes, got {target}"):
        behavior(logits.sigmoid(), target, kind)


@ALL
@KINDS
def test_outputs_have_a_row_a_clip(behavior, kind):
    with pytest.raises(ValueError, match=r"outputs must be \(B, K\), a row a clip, got \(7,\)"):
        behavior(torch.zeros(7), 0, kind)


@pytest.mark.parametrize("behavior", [Probability(), LogOdds(), PredictionLoss()], ids=repr)
@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_one_of_a_single_class_is_no_probability(behavior, kind):
    with pytest.raises(ValueError, match=f"of kind {kind} share .* at least 2 classes, got 1: .*multilabel"):
        behavior(torch.zeros(3, 1), 0, kind)


def test_a_single_output_is_explained_as_what_it_is():
    rows = torch.tensor([[0.25]], dtype=torch.float64)
    assert Logit()(rows, 0, "logits").item() == 0.25
    assert Probability()(rows, 0, "multilabel").item() == 0.25
    assert Probability()(rows, 0, "regression").item() == 0.25
    assert Probability()(rows, 0, "multilabel_logits").item() == pytest.approx(1 / (1 + exp(-0.25)))
    with pytest.raises(ValueError, match="class index, 0 to 0 for 1 classes, got 1"):
        Probability()(rows, 1, "regression")


@ALL
@pytest.mark.parametrize("kind", ["probabilities", "multilabel"])
@pytest.mark.parametrize("value", [-0.01, 1.01, -inf, 40])
def test_what_lies_outside_of_0_to_1_is_no_probability(behavior, kind, value):
    rows = torch.tensor([[0.5, 0.5], [0.5, value]])
    message = rf"of kind {kind} must be in \[0, 1\], got .*: say what kind they are, logits, .*regression"
    with pytest.raises(ValueError, match=message):
        behavior(rows, 0, kind)


def test_rounding_and_nan_are_no_reason_to_refuse_probabilities():
    rows = torch.tensor([[1.0004, -0.0004], [nan, 0.5]])
    scores = Probability()(rows, 0, "probabilities")
    assert scores[0].item() == pytest.approx(1.0004) and scores[1].isnan()  # the game says so of the scores
