"""Efficiency: how close methods come to what they estimate, and where they draw color, by forward passes.

Every method explains every video with each number of samples, several times with other draws. Compared are the
attribution with an unbiased reference for the same estimand (`lavx.benchmark.reference`), the draws with each
other, the color of the default picture with the ground truth, and the insertion and deletion curves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from lavx import presets
from lavx.api import Explanation, explained
from lavx.benchmark.measures import Vector, correlation, covered, relative_error, top_overlap, top_regions
from lavx.benchmark.reference import Estimand, Reference, estimand_of, reference
from lavx.benchmark.shared_scores import Draw, SharingClip, described, fingerprint
from lavx.explainer import Control, Explainer
from lavx.methods.sampling import Budget
from lavx.metrics.insertion_deletion import InsertionDeletion
from lavx.types import Geometry


@dataclass(frozen=True)
class Setting:
    """A method with a number of samples.

    Attributes:
        method: its name.
        n_samples: asked for; None where the method itself says how many.
        explainer: the method.
    """

    method: str
    n_samples: int | None
    explainer: Explainer | Control


def settings_of(methods: Sequence[str], n_samples: Sequence[int]) -> list[Setting]:
    """All methods, those that draw a number of samples with each of the numbers.

    Raises:
        ValueError: if there is no such method, or it cannot take a number.
    """
    found = []
    for name in methods:
        explainer = presets.method(name)
        if isinstance(getattr(explainer, "sampling", None), Budget):
            found += [Setting(name, n, presets.method(name, n_samples=n)) for n in n_samples]
        else:
            found.append(Setting(name, None, explainer))
    return found


@dataclass
class Row:
    """What was measured of one explanation; None where there is nothing to measure.

    Attributes:
        video: its id.
        method: name of the method.
        n_samples: asked for; None where the method itself says how many.
        draw: number of the draw, from 0.
        passes: coalitions scored, those for the importance per frame among them.
        n_regions: R.
        exact: whether all coalitions that the method stands for were scored.
        estimand: what it estimates; None where it estimates nothing, or nobody has said what.
        error: relative squared error to the reference; 0 where exact.
        reference_error: the reference's own, from its halves.
        reference_split_half: relative squared distance of its halves.
        reference_samples: coalitions that were scored for it.
        top_overlap: share of its largest regions that are among the largest here.
        coverage: share of the 95 % intervals that hold it.
        coverage_top: the same among its largest regions.
        retest: correlation with draw 0, of regions, or of voxels where regions differ; None for that draw.
        retest_estimated: what the method says of it.
        color_inside: see `lavx.metrics.localization.drawn_color`.
        color_recall: likewise.
        tinted: likewise.
        insertion: area under the curve; of draw 0 only.
        deletion: likewise.
        summary_seconds: time of the summary.
    """

    video: str
    method: str
    n_samples: int | None
    draw: int
    passes: int
    n_regions: int
    exact: bool
    estimand: str | None = None
    error: float | None = None
    reference_error: float | None = None
    reference_split_half: float | None = None
    reference_samples: int | None = None
    top_overlap: float | None = None
    coverage: float | None = None
    coverage_top: float | None = None
    retest: float | None = None
    retest_estimated: float | None = None
    color_inside: float | None = None
    color_recall: float | None = None
    tinted: float | None = None
    insertion: float | None = None
    deletion: float | None = None
    summary_seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Name and value of each."""
        return asdict(self)


@dataclass
class VideoBenchmark:
    """Measures all settings on one video.

    Attributes:
        clip: of the video, scored.
        name: its id.
        seed: of the run.
        geometry: where the clip lies in its video.
        ground_truth: bool (T, H, W); None where unknown.
        n_draws: draws of each setting.
        n_reference: samples of each reference.
        metric: the curves; None for none.
    """

    clip: SharingClip
    name: str
    seed: int
    geometry: Geometry | None
    ground_truth: Any
    n_draws: int
    n_reference: int
    metric: InsertionDeletion | None
    _references: dict[str, Reference] = field(default_factory=dict)

    def rows(self, settings: Sequence[Setting]) -> Iterator[Row]:
        """One row a setting and draw; methods that draw nothing have one draw."""
        for setting in settings:
            first: Explanation | None = None
            for number in range(self.n_draws):
                seconds, n_asked = self.clip.stopwatch.seconds["summary"], self.clip.n_asked
                explanation = self._explained(setting, number)
                row = Row(
                    video=self.name,
                    method=setting.method,
                    n_samples=setting.n_samples,
                    draw=number,
                    passes=self.clip.n_asked - n_asked,
                    n_regions=explanation.result.regions.n_regions,
                    exact=explanation.result.is_exact,
                    summary_seconds=self.clip.stopwatch.seconds["summary"] - seconds,
                )
                self._fill_in(row, setting, explanation, first)
                yield row
                first = first or explanation
                if isinstance(setting.explainer, Control) or row.exact:
                    break

    def _explained(self, setting: Setting, number: int) -> Explanation:
        self.clip.seeds = Draw(self.seed, self.name, number)
        return explained(
            self.clip,
            setting.explainer,
            setting.method,
            geometry=self.geometry,
            name=self.name,
            check_noise=False,
            ground_truth=self.ground_truth,
        )

    def _fill_in(self, row: Row, setting: Setting, explanation: Explanation, first: Explanation | None) -> None:
        """Measure all but what the explanation cost."""
        if isinstance(setting.explainer, Explainer):
            self._compare(row, setting.explainer, explanation)
        if first is not None:
            row.retest = retest(first, explanation)
        for name, value in explanation.color().items():
            setattr(row, name, value)
        if self.metric is not None and row.draw == 0:
            curves = self.metric(self.clip, explanation.heatmap)
            row.insertion, row.deletion = curves["insertion"].auc, curves["deletion"].auc

    def _compare(self, row: Row, explainer: Explainer, explanation: Explanation) -> None:
        """Fill in what needs a reference."""
        attribution = explanation.attribution
        if row.exact:
            row.error = row.reference_error = relative_error(attribution, attribution)
            row.top_overlap = 1.0
            return
        row.retest_estimated = explanation.diagnostics.get("estimated_retest_correlation")
        estimand = estimand_of(explainer)
        if estimand is None:
            return
        found = self._reference(explainer, explanation, estimand)
        row.estimand = estimand.name
        row.error = relative_error(attribution, found.attribution)
        row.reference_error, row.reference_split_half = found.error, found.split_half
        row.reference_samples = found.n_samples
        row.top_overlap = top_overlap(attribution, found.attribution)
        if explanation.std_error is not None:
            inside = covered(attribution, explanation.std_error, found.attribution, found.std_error)
            row.coverage = float(inside.mean())
            row.coverage_top = float(inside[top_regions(found.attribution)].mean())

    def _reference(self, explainer: Explainer, explanation: Explanation, estimand: Estimand) -> Reference:
        """The reference of a method's estimand on the regions of an explanation, made once for all methods."""
        regions = explanation.result.regions
        parts = (estimand.name, fingerprint(regions), described(explainer.removal), described(explainer.behavior))
        key = " ".join(parts)
        if key not in self._references:
            seeds = self.clip.seeds = Draw(self.seed, self.name)
            game = self.clip.game(regions, explainer.removal, explainer.behavior, stage="reference")
            self._references[key] = reference(game, estimand, self.n_reference, seeds.numpy)
        return self._references[key]


def retest(one: Explanation, other: Explanation) -> float | None:
    """The correlation of two draws in [-1, 1]: of regions, or of voxels where the regions are not the same."""
    if fingerprint(one.result.regions) == fingerprint(other.result.regions):
        return correlation(one.attribution, other.attribution)
    return correlation(_flat(one), _flat(other))


def _flat(explanation: Explanation) -> Vector:
    return explanation.heatmap.ravel().astype(np.float64)
