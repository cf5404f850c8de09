import numpy as np
import pytest

from lavx import presets
from lavx.explainer import MethodResult, estimated, play
from lavx.game import FunctionGame
from lavx.methods.regions import LabelRegions
from lavx.methods.sampling import All, Budget
from lavx.methods.selection import ShapleyKernel
from lavx.methods.significance import FEWEST, noise_of_answers, significant
from lavx.methods.summary import ShapleyRegression
from lavx.methods.visualization import NOTHING, NOTHING_EXACT, SignificantRegions, voxels

N = 400  # pictures of pure noise


def share_marked(draw, std_error):
    return np.mean([significant(draw(np.random.default_rng(k)), std_error).any() for k in range(N)])


def test_pure_noise_marks_something_at_most_at_the_rate():
    errors = np.linspace(0.5, 2, 195)
    marked = share_marked(lambda rng: errors * rng.standard_normal(195), errors)
    assert 0.005 < marked < 0.05 + 3 * np.sqrt(0.05 * 0.95 / N)


@pytest.mark.parametrize("n_regions", [20, 195, 1183])
@pytest.mark.parametrize("kind", ["normal", "uniform", "difference"])
def test_exact_noise_marks_next_to_nothing(kind, n_regions):
    draws = {
        "normal": lambda rng: rng.standard_normal(n_regions),
        "uniform": lambda rng: rng.random(n_regions),
        "difference": lambda rng: rng.random() - rng.random(n_regions),  # as leaving one out of random answers
    }
    assert share_marked(draws[kind], None) <= 0.05


def test_of_what_is_marked_at_most_the_rate_is_noise():
    wrong = []
    for k in range(N):
        rng = np.random.default_rng(k)
        effect = np.zeros(195)
        effect[:30] = 4
        marked = significant(effect + rng.standard_normal(195), np.ones(195))
        wrong.append(marked[30:].sum() / max(1, marked.sum()))
        assert marked[:30].sum() > 10
    assert np.mean(wrong) <= 0.05 + 3 * np.std(wrong) / np.sqrt(N)


def test_one_strong_region_is_found_either_way():
    values = np.random.default_rng(0).normal(0, 0.01, 195)
    values[[3, 7]] = 0.5, -0.4
    for std_error in (np.full(195, 0.01), None):
        assert np.flatnonzero(significant(values, std_error)).tolist() == [3, 7]


def test_a_mean_score_is_tested_against_its_mean():
    values = 0.4 + 0.01 * np.random.default_rng(0).standard_normal(196)
    assert significant(values, np.full(196, 0.01)).all()
    assert not significant(values, np.full(196, 0.01), against=float(values.mean())).any()


def test_a_region_of_which_nothing_is_known_is_not_marked():
    assert significant(np.array([1.0, 1.0]), np.array([np.inf, 0.1])).tolist() == [False, True]


def test_the_noise_of_the_network_adds_to_the_error():
    values = np.array([1.0, 0.0, 0.0])
    assert significant(values, np.full(3, 0.1)).tolist() == [True, False, False]
    assert not significant(values, np.full(3, 0.1), noise=1.0).any()


def test_few_exact_regions_are_marked_beyond_the_noise_of_the_network():
    values = np.array([0.3, 0.2, -0.1, 1e-8, 0.0])
    assert len(values) < FEWEST
    assert significant(values, None, noise=1e-7).tolist() == [True, True, True, False, False]


def test_where_most_regions_do_exactly_nothing_the_others_are_marked():
    values = np.zeros(100)
    values[:5] = 0.2, 0.1, 0.3, -0.1, 1e-12
    assert significant(values, None, noise=1e-7).tolist() == [True] * 4 + [False] * 96


@pytest.mark.parametrize("std_error", [None, np.zeros(50)])
def test_nothing_at_all_marks_nothing(std_error):
    assert not significant(np.zeros(50), std_error).any()
    assert significant(np.zeros(0), None).shape == (0,)


def test_a_larger_rate_marks_no_less():
    rng = np.random.default_rng(1)
    values = rng.normal(0, 1, 195) + 3 * (np.arange(195) < 40)
    marked = [significant(values, np.ones(195), rate) for rate in (0.01, 0.05, 0.2)]
    assert all((less <= more).all() for less, more in zip(marked[:-1], marked[1:], strict=True))
    assert marked[0].sum() < marked[-1].sum()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"attribution": np.zeros((2, 2))},
            r"attribution must be \(R,\), one finite number a region, got \(2, 2\)",
        ),
        ({"attribution": np.full(3, np.nan)}, r"attribution must be \(R,\), one finite number"),
        ({"std_error": np.ones(2)}, r"std_error must be \(3,\), one number >= 0 a region, or None"),
        ({"std_error": -np.ones(3)}, r"std_error must be \(3,\), one number >= 0 a region, or None"),
        ({"rate": 1.0}, r"rate must be in \(0, 1\), got 1.0"),
        ({"rate": 0}, r"rate must be in \(0, 1\), got 0"),
        ({"noise": -1.0}, "noise must be a finite number >= 0, got -1.0"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    arguments = {"attribution": np.zeros(3), "std_error": np.ones(3)} | changes
    with pytest.raises(ValueError, match=message):
        significant(**arguments)


LAWS = {
    "normal": lambda rng, n: rng.normal(0.5, 0.1, n),
    "uniform": lambda rng, n: rng.random(n),
    "softmax": lambda rng, n: np.exp(x := rng.normal(size=(n, 8)))[:, 0] / np.exp(x).sum(axis=1),
}


def picture(seed, law, selection, sampling, summary, n_regions=196):
    """The default picture of a network that answers at random."""
    rng = np.random.default_rng(seed)
    game = FunctionGame(lambda kept: LAWS[law](rng, len(kept)), n_regions)
    coalitions, scores = play(game, selection, sampling, summary, np.random.default_rng(seed + 10**6))
    found = estimated(summary, coalitions, scores, game.full, game.empty)
    regions = LabelRegions(np.arange(n_regions).reshape(1, 1, -1))
    result = MethodResult(heatmap=voxels(regions, found["attribution"]), regions=regions, coalitions=coalitions,
                          scores=scores, full=game.full, empty=game.empty, **found)  # fmt: skip
    return SignificantRegions().draw(np.full((1, 1, n_regions, 3), 128, np.uint8), result.evidence())


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("method", ["rise", "lime", "kernel_shap", "loco", "univariate"])
def test_of_random_answers_nearly_all_default_pictures_are_empty_and_say_so(method, law):
    sampled = method in ("rise", "lime", "kernel_shap")
    m = presets.method(method, **({"n_samples": 150} if sampled else {}))
    n_regions = 64 if sampled else 196
    drawn = [picture(seed, law, m.selection, m.sampling, m.summary, n_regions) for seed in range(60)]
    empty = [d for d in drawn if not d.opacity.any()]
    assert len(empty) >= 54  # 95 % of 60 are 57, three standard deviations below which are 52
    assert {d.note for d in empty} == {NOTHING if sampled else NOTHING_EXACT}


@pytest.mark.parametrize("law", LAWS)
def test_of_random_answers_to_all_coalitions_of_few_regions_too(law):
    parts = ShapleyKernel(), All(), ShapleyRegression()
    drawn = [picture(seed, law, *parts, n_regions=8) for seed in range(100)]
    assert sum(not d.opacity.any() for d in drawn) >= 90


def test_effects_of_few_regions_are_found_among_all_coalitions():
    effects = np.array([0.3, 0, 0, -0.2, 0, 0, 0, 0.1])
    game = FunctionGame(lambda kept: kept @ effects + 0.2 * kept[:, 0] * kept[:, 7], 8)
    coalitions, scores = play(game, ShapleyKernel(), All(), ShapleyRegression(), np.random.default_rng(0))
    noise = noise_of_answers(coalitions.kept, scores)
    attribution = ShapleyRegression()(coalitions, scores, game.full, game.empty)
    assert noise > 0
    assert np.flatnonzero(significant(attribution, None, noise=noise)).tolist() == [0, 3, 7]


def test_the_noise_of_answers_is_that_of_shapley_values():
    values, noises = [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        game = FunctionGame(lambda kept, rng=rng: rng.normal(size=len(kept)), 6)
        coalitions, scores = play(game, ShapleyKernel(), All(), ShapleyRegression(), rng)
        values.append(ShapleyRegression()(coalitions, scores, game.full, game.empty))
        noises.append(noise_of_answers(coalitions.kept, scores))
    assert np.sqrt(np.mean(np.square(noises))) == pytest.approx(np.std(values), rel=0.1)


def test_of_some_coalitions_nothing_is_known_so():
    coalitions, scores = play(
        FunctionGame(lambda kept: kept.mean(axis=1), 8), ShapleyKernel(), Budget(60), ShapleyRegression(),
        np.random.default_rng(0),
    )  # fmt: skip
    assert noise_of_answers(coalitions.kept, scores) == 0
