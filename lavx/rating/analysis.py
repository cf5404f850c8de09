"""What ratings say: of the methods, with raters and videos as random effects, and of the raters themselves.

Raters and videos are both drawn from larger populations, so that a difference of two methods has to hold over
both: its standard error adds up what raters and what videos contribute (min F' of Clark 1973, The
language-as-fixed-effect fallacy; raters and videos count by how many scores they have). In simulations,
intervals of nominal 95 % cover 95 to 99 %; 92 % with two raters, and 93 % with three of whom each has tastes of
their own and sixty videos that do not differ.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from lavx.networks.extras import import_extra
from lavx.rating.ratings import Ratings
from lavx.rating.schedule import CHECK, RATING, REPEAT

RULES = {
    "attention": "agreed with at least half of the random heatmaps shown as attention checks",
    "constant": "gave the same score to all explanations, at least 10",
    "fast": "took less than a second in the median",
    "unrelated": "scores are not positively related (Spearman, one-sided p > 0.05) to the mean of the others' "
    "that are kept, over at least 20 explanations and two others; the least related rater is excluded first",
}
LEVEL = 0.95
_LEAST_CONSTANT, _LEAST_MS, _LEAST_SHARED = 10, 1000, 20
_ITEM = ["dataset", "net", "method", "video_id", "other_method"]
_RESAMPLES = {True: 1000, False: 200}  # with few possible scores, and with many


# --- Raters ---


def exclusions(ratings: Ratings, rules: Collection[str] = tuple(RULES)) -> dict[str, list[str]]:
    """The rules that each rater breaks; an empty list for those that are kept.

    Args:
        ratings: of all raters.
        rules: those of `RULES` that apply.
    """
    middle = (ratings.low + ratings.high) / 2
    rated, checks = ratings.of_kind(RATING), ratings.of_kind(CHECK)
    shown = _sorted_sides(rated) if ratings.design == "pairs" else rated
    wide = shown.pivot_table(index=_ITEM, columns="rater", values="score", aggfunc="mean")
    unrelated = _unrelated(wide)
    broken: dict[str, list[str]] = {}
    for rater in sorted(set(ratings.frame.rater)):
        own = rated[rated.rater == rater]
        found = {
            "attention": _fails_checks(ratings, checks[checks.rater == rater], middle),
            "constant": len(own) >= _LEAST_CONSTANT and own.score.nunique() == 1,
            "fast": bool(own.reaction_ms.median() < _LEAST_MS),
            "unrelated": rater in unrelated,
        }
        broken[rater] = [rule for rule in RULES if rule in rules and found[rule]]
    return broken


def _fails_checks(ratings: Ratings, own: pd.DataFrame, middle: float) -> bool:
    if own.empty:
        return False
    liked = own.score > middle
    if ratings.design == "pairs":  # one of the two is the random heatmap
        liked = (own.score == 1) == (own.method == "random")
    return bool(liked.mean() >= 0.5)


def _unrelated(wide: pd.DataFrame) -> set[str]:
    """The raters (columns) whose scores say nothing of the others'.

    One at a time, as a rater who clicks at random would make the mean of the others useless for the rest.
    """
    found: set[str] = set()
    while True:
        kept = wide.drop(columns=list(found))
        p = {str(rater): _p_of_unrelated(kept, rater) for rater in kept}
        worst = max(p, key=lambda rater: p[rater], default="")
        if not worst or p[worst] <= 1 - LEVEL:
            return found
        found.add(worst)


def _p_of_unrelated(wide: pd.DataFrame, rater: object) -> float:
    """That a rater's scores are not positively related to the mean of the others'; 0 where too few are shared."""
    others = wide.drop(columns=rater)
    shared = wide[rater].notna() & (others.notna().sum(axis=1) >= 2)
    own, theirs = wide[rater][shared], others[shared].mean(axis=1)
    if shared.sum() < _LEAST_SHARED or theirs.nunique() < 2:
        return 0.0
    if own.nunique() < 2:
        return 1.0
    return float(stats.spearmanr(own, theirs, alternative="greater").pvalue)


@dataclass(frozen=True)
class Agreement:
    """Krippendorff's alpha: 1 perfect, 0 as by chance.

    Attributes:
        alpha: NaN with fewer than two raters of the same explanations, or without any difference.
        low: lower end of the 95 % interval, by bootstrap over videos.
        high: upper end.
        n_raters: raters.
        n_items: explanations that at least two of them scored.
    """

    alpha: float
    low: float
    high: float
    n_raters: int
    n_items: int


def agreement(ratings: Ratings, raters: Collection[str], seed: int = 0) -> Agreement:
    """How far raters agree, on an ordinal scale; on an interval scale for the slider, a nominal one for pairs.

    Source: Krippendorff 2004, Content Analysis, chapter 11; videos are resampled whole, as the explanations of one
    are not independent.

    Raises:
        ModuleNotFoundError: if the package krippendorff is not installed; it says the command.
    """
    rated = ratings.of_kind(RATING)
    rated = rated[rated.rater.isin(raters)]
    if ratings.design == "pairs":
        rated = _sorted_sides(rated)
    wide = rated.pivot_table(index=_ITEM, columns="rater", values="score", aggfunc="mean")
    n_raters = rated.rater.nunique()
    if n_raters < 2:
        return Agreement(math.nan, math.nan, math.nan, n_raters, 0)
    wide = wide[wide.notna().sum(axis=1) >= 2]
    domain = np.unique(wide.to_numpy()[wide.notna().to_numpy()])
    if wide.empty or len(domain) < 2:
        return Agreement(math.nan, math.nan, math.nan, n_raters, len(wide))
    counts = np.stack([(wide.to_numpy() == value).sum(axis=1) for value in domain], axis=1)
    level = {"likert": "ordinal", "slider": "interval", "pairs": "nominal"}[ratings.design]
    videos = [f"{dataset}/{video}" for dataset, _, _, video, _ in wide.index]
    _, video = np.unique(videos, return_inverse=True)
    low, high = _alpha_interval(counts, video, domain, level, seed)
    return Agreement(_alpha(counts, domain, level), low, high, n_raters, len(wide))


def _alpha(counts: NDArray[np.integer], domain: NDArray[np.floating], level: str) -> float:
    """Of how often each unit was given each value, (units, values)."""
    krippendorff = import_extra("krippendorff", "rate")
    used = counts.sum(axis=0) > 0
    if used.sum() < 2:
        return math.nan
    return float(
        krippendorff.alpha(value_counts=counts[:, used], value_domain=domain[used], level_of_measurement=level)
    )


def _alpha_interval(
    counts: NDArray[np.integer], video: NDArray[np.integer], domain: NDArray[np.floating], level: str, seed: int
) -> tuple[float, float]:
    n_videos = int(video.max()) + 1
    if n_videos < 2:
        return math.nan, math.nan
    rows = [np.flatnonzero(video == k) for k in range(n_videos)]
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(_RESAMPLES[len(domain) <= 11]):
        drawn = np.concatenate([rows[k] for k in rng.integers(n_videos, size=n_videos)])
        found.append(_alpha(counts[drawn], domain, level))
    low, high = np.nanquantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _sorted_sides(pairs: pd.DataFrame) -> pd.DataFrame:
    """Pairs with their two methods in alphabetic order, whichever side they were shown on."""
    swap = pairs.method > pairs.other_method
    swapped = pairs.assign(
        method=pairs.method.where(~swap, pairs.other_method),
        other_method=pairs.other_method.where(~swap, pairs.method),
        score=pairs.score.where(~swap, 1 - pairs.score),
    )
    return swapped


def self_consistency(ratings: Ratings) -> pd.DataFrame:
    """How raters score the same again: a row a rater with repeats.

    Columns: rater, n (repeated items), same (share of equal scores), difference (mean absolute one), chance (the
    same of two
    of the rater's own scores drawn at random).
    """
    first, again = ratings.of_kind(RATING), ratings.of_kind(REPEAT)
    if ratings.design == "pairs":
        first, again = _sorted_sides(first), _sorted_sides(again)
    both = first.merge(again, on=["rater", *_ITEM], suffixes=("", "_again"))
    rows = []
    for rater, own in both.groupby("rater"):
        gap = (own.score - own.score_again).abs()
        given = first[first.rater == rater].score.to_numpy()
        chance = float(np.abs(given[:, None] - given[None]).mean())
        rows.append((rater, len(own), float((gap == 0).mean()), float(gap.mean()), chance))
    return pd.DataFrame(rows, columns=["rater", "n", "same", "difference", "chance"])


# --- Methods ---


@dataclass(frozen=True)
class Difference:
    """A mean difference over raters and videos.

    Attributes:
        mean: of all (rater, video).
        low: lower end of the 95 % interval; NaN with fewer than two videos.
        high: upper end.
        p: of no difference, two-sided; NaN likewise.
        n_raters: raters.
        n_videos: videos.
    """

    mean: float
    low: float
    high: float
    p: float
    n_raters: int
    n_videos: int


def crossed(cells: pd.DataFrame) -> Difference:
    """The mean of differences (columns rater, video, value), with rater and video as random effects.

    Of a (rater, video) with several values, on several networks, their mean counts.

    With a single rater, only videos are: it says nothing of other raters.
    """
    values = cells.groupby(["rater", "video"]).value.mean()
    means, weights = [], []
    for name in ("rater", "video"):
        groups = values.groupby(name)
        means.append(groups.mean().to_numpy()[None])
        weights.append(groups.size().to_numpy() / len(values))
    mean, low, high, p = _min_f(np.array([values.mean()]), *means, *weights)
    return Difference(float(mean[0]), float(low[0]), float(high[0]), float(p[0]), *map(len, weights))


_Numbers = NDArray[np.float64]


def _min_f(
    mean: _Numbers,
    by_rater: _Numbers,
    by_video: _Numbers,
    of_raters: _Numbers | None = None,
    of_videos: _Numbers | None = None,
) -> tuple[_Numbers, _Numbers, _Numbers, _Numbers]:
    """Mean, interval and p of several studies, from the means of raters (S, R) and of videos (S, V).

    Raters and videos count as much as they have of all scores, shares (R,) and (V,); equally where None.

    Source: Clark 1973, min F' = F1 F2 / (F1 + F2) with its degrees of freedom, as a t statistic.
    """
    if by_video.shape[1] < 2:
        nothing = np.full(len(by_rater), math.nan)
        return mean, nothing, nothing, nothing
    raters, raters_freedom = _spread_of_mean(by_rater, of_raters)
    videos, videos_freedom = _spread_of_mean(by_video, of_videos)
    variance = raters + videos
    parts = raters**2 / raters_freedom + videos**2 / videos_freedom
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.where(variance > 0, variance**2 / parts, videos_freedom)
        t = np.where(variance > 0, np.abs(mean) / np.sqrt(variance), np.where(mean == 0, 0, np.inf))
    half = stats.t.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(variance)
    return mean, mean - half, mean + half, 2 * stats.t.sf(t, freedom)


def _spread_of_mean(means: _Numbers, shares: _Numbers | None) -> tuple[_Numbers, float]:
    """Variance of the mean of groups (S, G), and its degrees of freedom; of one group, 0 and 1."""
    n = means.shape[1]
    if n == 1:
        return np.zeros(len(means)), 1.0
    weights = np.full(n, 1 / n) if shares is None else shares
    center = means @ weights
    variance = ((weights * (means - center[:, None])) ** 2).sum(axis=1) * n / (n - 1)
    return variance, max(1 / float((weights**2).sum()) - 1, 0.5)


def differences(ratings: Ratings, raters: Collection[str], methods: Sequence[str]) -> pd.DataFrame:
    """Every two methods compared within raters and videos: a row a pair.

    A difference is averaged over the networks of a video. In pairs it is the share of wins minus that of losses.
    Columns: method, other, mean, low, high, p, p_holm (corrected over all pairs, Holm 1979), n_raters, n_videos.
    """
    found = []
    table = _paired(ratings, raters)
    for a, b in combinations(methods, 2):
        cells = table(a, b)
        if len(cells):
            found.append((a, b, crossed(cells)))
    corrected = holm([d.p for _, _, d in found])
    rows = [
        (a, b, d.mean, d.low, d.high, d.p, p, d.n_raters, d.n_videos)
        for (a, b, d), p in zip(found, corrected, strict=True)
    ]
    names = ["method", "other", "mean", "low", "high", "p", "p_holm", "n_raters", "n_videos"]
    return pd.DataFrame(rows, columns=names)


class _paired:  # noqa: N801  a function with a table prepared
    """Differences of two methods: columns rater, video, value."""

    def __init__(self, ratings: Ratings, raters: Collection[str]) -> None:
        rated = ratings.of_kind(RATING)
        rated = rated[rated.rater.isin(raters)]
        self._pairs = ratings.design == "pairs"
        if self._pairs:
            self._rows = _sorted_sides(rated)
        else:
            index = ["rater", "dataset", "net", "video_id"]
            self._rows = rated.pivot_table(index=index, columns="method", values="score", aggfunc="mean")

    def __call__(self, a: str, b: str) -> pd.DataFrame:
        if self._pairs:
            first, second = sorted((a, b))
            own = self._rows[(self._rows.method == first) & (self._rows.other_method == second)]
            value = (2 * own.score - 1) * (1 if first == a else -1)
            frame = own[["rater", "dataset", "video_id"]].assign(value=value)
        elif a in self._rows and b in self._rows:
            frame = (self._rows[a] - self._rows[b]).dropna().rename("value").reset_index()
        else:
            return pd.DataFrame(columns=["rater", "video", "value"])
        return frame.assign(video=frame.dataset + "/" + frame.video_id)


def holm(p: Sequence[float]) -> list[float]:
    """p-values corrected for being several; NaN stays."""
    order = [k for k in np.argsort(p) if not math.isnan(p[k])]
    corrected, least = [math.nan] * len(p), 0.0
    for rank, k in enumerate(order):
        least = max(least, min(1.0, p[k] * (len(order) - rank)))
        corrected[k] = least
    return corrected


def method_means(ratings: Ratings, raters: Collection[str]) -> pd.DataFrame:
    """Mean score of each method with rater and video as random effects: columns method, mean, low, high, n."""
    scores = ratings.scores(raters)
    scores = scores.assign(video=scores.dataset + "/" + scores.video_id, value=scores.score)
    rows = []
    for method, own in scores.groupby("method"):
        d = crossed(own)
        rows.append((method, d.mean, d.low, d.high, len(own)))
    return pd.DataFrame(rows, columns=["method", "mean", "low", "high", "n"])


def metric_correlations(
    scores: pd.DataFrame, table: pd.DataFrame, metrics: Sequence[tuple[str, bool]], seed: int = 0
) -> pd.DataFrame:
    """How people and metrics agree on which of a video's explanations is better.

    Spearman's correlation of mean score and metric over the methods of each (dataset, net, video), signed so that
    1 means that the metric calls better what people call better; its mean over videos, with a bootstrap interval.

    Args:
        scores: columns dataset, net, method, video_id, score, of all raters.
        table: the metrics of the same explanations.
        metrics: (column, whether higher is better).
        seed: of the bootstrap.

    Returns:
        Columns metric, mean, low, high, n (videos).
    """
    keys = ["dataset", "net", "method", "video_id"]
    people = scores.groupby(keys).score.mean().reset_index()
    rng = np.random.default_rng(seed)
    rows = []
    for column, higher in metrics:
        both = people.merge(table[[*keys, column]].dropna(), on=keys)
        found = []
        for (dataset, _, video), own in both.groupby(["dataset", "net", "video_id"]):
            if len(own) > 2 and own.score.nunique() > 1 and own[column].nunique() > 1:
                found.append((dataset, video, stats.spearmanr(own.score, own[column]).statistic))
        frame = pd.DataFrame(found, columns=["dataset", "video", "r"])
        values = frame.groupby(["dataset", "video"]).r.mean().to_numpy() * (1 if higher else -1)
        low = high = math.nan
        if len(values) > 1:
            drawn = values[rng.integers(len(values), size=(2000, len(values)))].mean(axis=1)
            low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        rows.append(
            (column, float(values.mean()) if len(values) else math.nan, float(low), float(high), len(values))
        )
    return pd.DataFrame(rows, columns=["metric", "mean", "low", "high", "n"])


# --- Before the study ---


@dataclass(frozen=True)
class Spread:
    """Standard deviations of a rating, in points of the scale.

    Attributes:
        rater: of what single raters add to or take from a method.
        video: of what single videos do.
        noise: of a single rating.
    """

    rater: float = 0.3
    video: float = 0.5
    noise: float = 0.8


def power(
    n_raters: int,
    n_videos: int,
    difference: float,
    spread: Spread = Spread(),  # noqa: B008  frozen
    *,
    scale: tuple[float, float] = (-2, 2),
    pairs: bool = False,
    videos_per_rater: int | None = None,
    n_nets: int = 1,
    n_studies: int = 1000,
    seed: int = 0,
) -> float:
    """Probability that a study tells two methods apart (p < 0.05, as `crossed` has it), by simulation.

    Args:
        n_raters: raters.
        n_videos: videos.
        difference: of the two methods, in points.
        spread: what varies and by how much.
        scale: smallest and largest score; scores are whole numbers.
        pairs: whether raters say which of the two is better instead; all else is in points of the scale.
        videos_per_rater: of all videos; None for all.
        n_nets: networks on which each video is rated.
        n_studies: that are simulated.
        seed: of the simulation.
    """
    rng = np.random.default_rng(seed)
    shape = (n_studies, n_raters, n_videos)
    effect = difference + math.sqrt(2) * (
        rng.normal(0, spread.rater, (n_studies, n_raters, 1))
        + rng.normal(0, spread.video, (n_studies, 1, n_videos))
    )
    middle = sum(scale) / 2
    gap = np.zeros(shape)
    for _ in range(n_nets):
        noise = rng.normal(0, spread.noise, (2, *shape))
        pair = [
            np.clip(np.rint(middle + sign * effect / 2 + own), *scale)
            for sign, own in zip((1, -1), noise, strict=True)
        ]
        latent = effect + noise[0] - noise[1]
        gap += (np.sign(latent) if pairs else pair[0] - pair[1]) / n_nets
    if videos_per_rater is not None and videos_per_rater < n_videos:
        place = np.arange(n_raters)[:, None] * videos_per_rater
        seen = (np.arange(n_videos) - place) % n_videos < videos_per_rater
        gap = np.where(seen, gap, math.nan)
    known = ~np.isnan(gap).all(axis=(0, 1))
    by_rater, by_video = np.nanmean(gap, axis=2), np.nanmean(gap[:, :, known], axis=1)
    _, _, _, p = _min_f(np.nanmean(gap, axis=(1, 2)), by_rater, by_video)
    return float((p < 1 - LEVEL).mean())
