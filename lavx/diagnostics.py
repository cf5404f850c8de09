"""Whether an explanation can be trusted at all: noise in the network's score, regions that cannot say when."""

from __future__ import annotations

import logging

import numpy as np

from lavx.explainer import Control, Explainer, MethodResult
from lavx.game import ScoredClip, ScoreError
from lavx.methods.regions import frames_per_region
from lavx.methods.significance import retest_correlation, significant

log = logging.getLogger(__name__)

Diagnostics = dict[str, float | None]

NOISY = 0.1  # of the attribution's spread
SLOW = 1.0  # seconds a forward pass, beyond which nobody wants four more
STILL = 1e-6  # of scores, which are float32
FEW = 0.5  # of the regions asked for


def diagnose(
    clip: ScoredClip, method: Explainer | Control, result: MethodResult, check_noise: bool | None = None
) -> Diagnostics:
    """What a result is worth, by name.

    Args:
        clip: what was explained.
        method: how.
        result: what it said.
        check_noise: whether to look at the network's noise, in four forward passes; None where one takes less than
            a second.

    Returns:
        `score_noise`: how far the score moves under a relative change of 1e-7 of the clip, root mean square; None
        where that was not looked at. `attribution_noise`: what that makes of the attribution, root mean square, as
        a share of the attribution's standard deviation; None where unknown. `frames_per_region`: in how many
        frames a region is, in the mean. `n_segments`: the regions asked for; None where no number is.
        `score_range`: the largest score less the smallest, of all that the method played; None for a control.
        `estimated_retest_correlation` and `regions_beyond_noise`: see `lavx.methods.significance`; and what the
        sampling and the summary have to say, by name.
    """
    if check_noise is None:
        check_noise = clip.stopwatch.seconds["inference"] / max(1, clip.n_passes) < SLOW
    score_noise = _score_noise(clip, method) if check_noise else None
    found: Diagnostics = {
        "score_noise": score_noise,
        "attribution_noise": None
        if score_noise is None
        else _attribution_noise(clip, method, result, score_noise),
        "frames_per_region": frames_per_region(result.regions),
        "n_segments": getattr(getattr(method, "segmentation", None), "n_segments", None),
        "score_range": _score_range(result),
        **sampling_error(result),
        **result.more,
    }
    if _never_moves(found):
        log.warning("The network's score is the same whatever is removed: the explanation says nothing.")
    elif _is_noisy(found):
        log.warning("%s", noise_in_words(found))
    return found


def sampling_error(result: MethodResult) -> Diagnostics:
    """What the draw of the coalitions leaves open: see `lavx.methods.significance`.

    `estimated_retest_correlation` is 1 where all coalitions were scored; both are None where nobody knows.
    """
    if result.is_exact:
        return {"estimated_retest_correlation": 1.0, "regions_beyond_noise": None}
    if result.neutral_std_error is None:
        return {"estimated_retest_correlation": None, "regions_beyond_noise": None}
    beyond = significant(result.attribution, result.neutral_std_error, against=result.neutral)
    return {
        "estimated_retest_correlation": retest_correlation(result.attribution, result.neutral_std_error),
        "regions_beyond_noise": float(beyond.sum()),
    }


def sampling_error_in_words(result: MethodResult) -> tuple[str, ...]:
    """What the draw of the coalitions leaves open, in a few words; nothing where nobody knows."""
    if result.is_exact:
        return ("exact",)
    found = sampling_error(result)
    beyond, correlation = found["regions_beyond_noise"], found["estimated_retest_correlation"]
    if beyond is None or correlation is None:
        return ()
    return (
        f"{beyond:.0f} of {result.regions.n_regions} regions beyond noise; "
        f"estimated retest correlation {correlation:.2f}",
    )


def _score_noise(clip: ScoredClip, method: Explainer | Control) -> float | None:
    try:
        noise = clip.noise(method.behavior)
    except (RuntimeError, ValueError, ScoreError) as error:  # the explanation is there, and worth keeping
        log.info("the noise of the score is not known: %s", error)
        return None
    return noise if np.isfinite(noise) else None


def _attribution_noise(
    clip: ScoredClip, method: Explainer | Control, result: MethodResult, score_noise: float
) -> float | None:
    """The summary of scores that moved once more, against the one that there is."""
    if not isinstance(method, Explainer) or not result.n_samples:
        return None
    spread = float(result.attribution.std())
    if score_noise == 0 or spread == 0:
        return 0.0 if score_noise == 0 else None
    moves = clip.seeds.numpy("noise").normal(0, score_noise, result.n_samples + 2)
    full, empty = result.full + moves[0], result.empty + moves[1]
    moved = method.summary(result.coalitions, result.scores + moves[2:], full, empty)
    return float(np.sqrt(np.mean((moved - result.attribution) ** 2)) / spread)


def _score_range(result: MethodResult) -> float | None:
    if not result.n_samples:
        return None
    scores = np.append(result.scores, [result.full, result.empty])
    return float(scores.max() - scores.min())


def _never_moves(found: Diagnostics) -> bool:
    moved = found.get("score_range")
    return moved is not None and moved <= STILL


def _is_noisy(found: Diagnostics) -> bool:
    share = found.get("attribution_noise")
    return share is not None and share > NOISY


def noise_in_words(found: Diagnostics) -> str:
    """How much of an attribution is noise."""
    return (
        f"The network's score moves by {found['score_noise']:.2g} when the clip changes by a ten millionth; that "
        f"moves the attribution by {100 * (found['attribution_noise'] or 0):.0f} % of its spread, which is noise."
    )


def notes(found: Diagnostics, n_regions: int) -> tuple[str, ...]:
    """What a reader of the explanation must know, in a few words each."""
    said = []
    share, asked = found.get("attribution_noise"), found.get("n_segments")
    if _never_moves(found):
        said.append("the score never moves")
    elif share is not None and share > NOISY:
        said.append(f"noise: {100 * share:.0f} % of the spread")
    if asked is not None and n_regions < FEW * asked:
        said.append(f"only {n_regions} of {asked:.0f} regions")
    return tuple(said)
