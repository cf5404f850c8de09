"""The public API: explain a classifier's answer to a clip, evaluate the explanation, keep it and look at it."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from lavx import explanation_file as file
from lavx import presets
from lavx.clips import as_clip
from lavx.diagnostics import Diagnostics, diagnose, notes, sampling_error_in_words
from lavx.explainer import Control, Explainer, MethodResult, estimated
from lavx.game import BatchSizes, ScoredClip, Seeds
from lavx.methods.behavior import Probability
from lavx.methods.frames import FrameImportance, frame_importance
from lavx.methods.outlines import with_lines
from lavx.methods.regions import flat_in_time, frames_per_region
from lavx.methods.removal import Black
from lavx.methods.sampling import All
from lavx.methods.selection import Bernoulli
from lavx.methods.visualization import SignificantRegions, drawn_by, study_map
from lavx.metrics.faithfulness import average_drop, masked_score
from lavx.metrics.insertion_deletion import (
    DRAWN,
    Curve,
    InsertionDeletion,
    absolute_minimal_masks,
    minimal_masks,
)
from lavx.metrics.localization import drawn_color, localization, unit
from lavx.networks.adapt import classifier as adapt
from lavx.outputs import probabilities
from lavx.progress import terminal_bar
from lavx.types import (
    OUTPUT_KINDS,
    Attribution,
    Classifier,
    Clip,
    Drawing,
    Estimate,
    Evidence,
    Frames,
    Geometry,
    OutputKind,
    Progress,
    Removal,
    Summary,
    Visualization,
    silent,
)


@dataclass(frozen=True)
class Explanation:
    """Why a classifier gives a class its score for one clip.

    Attributes:
        result: what the method says: attribution, heatmap, regions, coalitions and their scores.
        frames: uint8 (T, H, W, 3), the clip as the classifier sees it before normalization.
        target: index of the explained class.
        outputs: float64 (K,), the classifier's outputs for the clip.
        kind: what they are.
        classes: their names; None where nobody knows them.
        method: what the method is called.
        visualization: how `overlay` and `panel` draw the heatmap.
        geometry: where the clip lies in its video; None for a clip that was handed in.
        fps: frames of the clip a second; None where unknown.
        name: of the clip or video.
        network: name of the classifier; empty where it has none.
        seconds: by stage: "segmentation", "perturbation", "inference", "summary".
        n_passes: clips that the classifier has seen for this explanation.
        diagnostics: what tells whether it can be trusted, see `lavx.diagnostics.diagnose`; empty in one that was
            loaded from a file.
        ground_truth: bool (T, H, W), where the answer lies, outlined in pictures; None where unknown.
    """

    result: MethodResult
    frames: Frames
    target: int
    outputs: NDArray[np.float64]
    kind: OutputKind
    classes: tuple[str, ...] | None = None
    method: str = ""
    visualization: Visualization = field(default_factory=SignificantRegions)
    geometry: Geometry | None = None
    fps: float | None = None
    name: str = ""
    network: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    n_passes: int = 0
    diagnostics: Diagnostics = field(default_factory=dict)
    ground_truth: NDArray[np.bool_] | None = None

    @property
    def attribution(self) -> Attribution:
        """Importance float64 (R,) of each region; larger = more important for the target."""
        return self.result.attribution

    @property
    def std_error(self) -> NDArray[np.float64] | None:
        """Standard error float64 (R,) of the attribution over draws of the coalitions.

        None where all coalitions were scored (`result.is_exact`), or where the summary does not know it.
        """
        return self.result.std_error

    @property
    def per_frame(self) -> FrameImportance:
        """Importance per frame (T,) with its standard error: see `lavx.methods.frames`."""
        found = self.result.per_frame
        if found is None:  # of a result that was put together by hand
            return frame_importance(self.result.regions, Estimate(self.attribution, neutral=self.result.neutral))
        return found

    @property
    def heatmap(self) -> NDArray[np.float32]:
        """Importance float32 (T, H, W) of each voxel."""
        return self.result.heatmap

    @property
    def score(self) -> float:
        """What the classifier says of the target: a probability, or the output of a regression."""
        return float(self.probabilities[self.target])

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """What it says of each class, float64 (K,); regression outputs as they are."""
        return probabilities(self.outputs, self.kind)

    @property
    def times(self) -> tuple[NDArray[np.float64], str]:
        """Where each frame lies (T,), in "s", or in "frames" where seconds are unknown."""
        if self.geometry is not None:
            return np.array(self.geometry.seconds), "s"
        frames = np.arange(len(self.frames), dtype=np.float64)
        return (frames, "frames") if self.fps is None else (frames / self.fps, "s")

    def class_name(self, index: int) -> str:
        """The name of a class, or its number where names are unknown."""
        return f"class {index}" if self.classes is None else self.classes[index]

    def top(self, n: int = 5) -> list[tuple[str, float]]:
        """The classes with the largest outputs and what the classifier says of them, largest first."""
        order = np.argsort(-self.outputs, kind="stable")[:n]
        return [(self.class_name(int(index)), float(self.probabilities[index])) for index in order]

    @property
    def evidence(self) -> Evidence:
        """What a visualization is given to draw."""
        share = self.diagnostics.get("attribution_noise") or 0.0
        return self.result.evidence(share * float(self.attribution.std()))

    @cached_property
    def drawing(self) -> Drawing:
        """What its own visualization draws of it."""
        return self.drawn()

    def drawn(self, visualization: Visualization | None = None) -> Drawing:
        """What a visualization draws of it: frames under colors, how opaque they are, where lines run.

        Args:
            visualization: how to draw; None for the explanation's own.
        """
        return drawn_by(visualization or self.visualization, self.frames, self.evidence)

    def color(self, ground_truth: NDArray[np.bool_] | None = None) -> dict[str, float | None]:
        """Where the color of its picture lies, see `lavx.metrics.localization.drawn_color`.

        Args:
            ground_truth: bool (T, H, W); None for the explanation's own.

        Returns:
            Empty where the visualization does not say how opaque its colors are.
        """
        opacity = self.drawing.opacity
        truth = self.ground_truth if ground_truth is None else ground_truth
        return {} if opacity is None else drawn_color(opacity, truth)

    def summarized(self, summary: Summary) -> Explanation:
        """The same scores summarized in another way, without a forward pass.

        Raises:
            ValueError: if the summary cannot use these coalitions, or the regions were not stored.
        """
        result = self.result
        if not result.n_samples:
            raise ValueError("this explanation keeps no coalitions: a control, or a file of lavx 0.1")
        summary.check_coalitions(result.coalitions)
        found = estimated(summary, result.coalitions, result.scores, result.full, result.empty, result.regions)
        if result.per_frame is not None and result.per_frame.how:  # a game of its own, not part of these scores
            found["per_frame"] = result.per_frame
        spread = result.regions.heatmap(torch.from_numpy(found["attribution"]))
        heatmap = spread.cpu().numpy().astype(np.float32)
        return replace(self, result=replace(result, heatmap=heatmap, **found))

    def overlay(self, path: str | Path | None = None, visualization: Visualization | None = None) -> Frames | Path:
        """The explanation over the frames, with the visualization's lines.

        Args:
            path: an .mp4 to write, the clip beside the overlay; None for the frames as an array.
            visualization: how to draw; None for the method's own.

        Returns:
            uint8 (T, H, W, 3), or the path where one was given.
        """
        drawn = with_lines(self.drawing if visualization is None else self.drawn(visualization))
        if path is None:
            return drawn
        from lavx.drawing.overlay import write_overlay

        write_overlay(path, frames=self.frames, overlay=drawn, seconds=self.times[0])
        return Path(path)

    def panel(
        self,
        path: str | Path | None = None,
        *,
        evaluation: Evaluation | Mapping[str, Curve] | None = None,
        visualization: Visualization | None = None,
        ground_truth: NDArray[np.bool_] | None = None,
        caption: Any = None,
        **style: Any,
    ) -> Any:
        """One picture: frames, what is drawn over them, importance over time, and the curves of an evaluation.

        Args:
            path: a file to write, .png, .pdf or .svg; None for a picture.
            evaluation: what `evaluate` gave for this explanation, or curves by name.
            visualization: how to draw; None for the explanation's own.
            ground_truth: bool (T, H, W), outlined; None for the explanation's own.
            caption: a `lavx.drawing.panel.Caption`; None for what the explanation knows.
            style: which frames, how large, and what else is drawn, such as `frames="hottest"`, `n_frames=4`,
                `width_mm=85`, `font_size=7`, `title=False`: see `lavx.drawing.strips.Style`.

        Returns:
            The path where one was given, else a `PIL.Image.Image`.

        Raises:
            ValueError: if an option is not one of those allowed, or there is no room for what is asked for.
        """
        from lavx.drawing.panel import draw_panel

        target = path if path is not None else io.BytesIO()
        times, unit = self.times
        curves = evaluation.shown if isinstance(evaluation, Evaluation) else evaluation or {}
        draw_panel(
            target,
            frames=self.frames,
            drawing=self.drawing if visualization is None else self.drawn(visualization),
            heatmap=self.heatmap,
            seconds=times,
            unit=unit,
            caption=self._caption() if caption is None else caption,
            curves={name: (curve.fractions, curve.scores, curve.auc) for name, curve in curves.items()},
            frames_per_region=self.frames_per_region_if_flat,
            ground_truth=self.ground_truth if ground_truth is None else ground_truth,
            per_frame=self.per_frame,
            style=_style(style),
        )
        if path is not None:
            return Path(path)
        from PIL import Image

        assert isinstance(target, io.BytesIO)
        return Image.open(target)

    @property
    def frames_per_region_if_flat(self) -> float | None:
        """In how many frames a region is, in the mean, where that is nearly all of them; else None."""
        return frames_per_region(self.result.regions) if flat_in_time(self.result.regions) else None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of the sampling error and the diagnostics, in a few words each."""
        return (
            *sampling_error_in_words(self.result),
            *notes(self.diagnostics, self.result.regions.n_regions),
        )

    def _caption(self) -> Any:
        from lavx.drawing.panel import Caption

        predicted = int(self.outputs.argmax())
        return Caption(
            video_id=self.name,
            dataset="",
            net=self.network,
            method=self.method,
            target=self.class_name(self.target),
            score=self.score,
            predicted=self.class_name(predicted),
            predicted_score=float(self.probabilities[predicted]),
            notes=self.notes,
        )

    def _repr_png_(self) -> bytes:
        """How a notebook shows it."""
        picture = io.BytesIO()
        self.panel().save(picture, format="PNG")
        return picture.getvalue()

    def __repr__(self) -> str:
        """One line: what is explained, how, and how the attribution is made."""
        size = " x ".join(map(str, self.frames.shape[:3]))
        return (
            f"<lavx.Explanation of {self.class_name(self.target)!r} ({self.score:.3f}) by {self.method}: "
            f"{self.result.regions.n_regions} regions, {self.result.n_samples} samples, clip {size}>"
        )

    def save(self, path: str | Path) -> Path:
        """Write all of it to an .npz that `Explanation.load` reads; there whole or not at all."""
        file.write_arrays(Path(path), self.arrays())
        return Path(path)

    def arrays(self) -> dict[str, Any]:
        """What `save` writes."""
        return {
            "version": file.VERSION,
            **file.result_arrays(self.result),
            **file.geometry_arrays(self.geometry),
            "frames": self.frames,
            "target": self.target,
            "outputs": self.outputs,
            "probabilities": self.probabilities,
            "kind": self.kind,
            "method": self.method,
            "network": self.network,
            "name": self.name,
            **({} if self.classes is None else {"classes": np.array(self.classes, dtype=np.str_)}),
            **({} if self.fps is None else {"clip_fps": self.fps}),
            **({} if self.ground_truth is None else {"ground_truth": np.packbits(self.ground_truth)}),
        }

    @staticmethod
    def load(path: str | Path) -> Explanation:
        """Read what `save` wrote, or the explanation.npz of a run folder.

        Raises:
            ValueError: if the file is no explanation or is damaged, or of lavx 0.1, which stored no frames.
            FileNotFoundError: if it is not there.
        """
        arrays = file.read_arrays(Path(path))
        if "frames" not in arrays:
            raise ValueError(f"{path} is of lavx 0.1, which stored no frames: explain the video again")
        method = str(arrays["method"])
        result = file.read_result(arrays)
        return Explanation(
            result=result if "coalition_units" in arrays else _with_errors(result, method),
            frames=arrays["frames"],
            target=int(arrays["target"]),
            outputs=arrays["outputs"],
            kind=cast(OutputKind, str(arrays["kind"])),
            classes=tuple(arrays["classes"].tolist()) if "classes" in arrays else None,
            method=method,
            visualization=presets.method(method).visualization
            if method in presets.names()
            else SignificantRegions(),
            geometry=file.read_geometry(arrays),
            fps=float(arrays["clip_fps"]) if "clip_fps" in arrays else None,
            name=str(arrays["name"]),
            network=str(arrays["network"]),
            ground_truth=file.read_ground_truth(arrays),
        )


@dataclass(frozen=True)
class Evaluation:
    """How well an explanation describes the classifier on its clip.

    Attributes:
        curves: "deletion" and "insertion" of the heatmap; "deletion_drawn" and "insertion_drawn" of what the study
            would draw of it. Those that were asked for.
        minimal_masks: for each curve, the smallest fraction of voxels by threshold; None where never reached.
            Thresholds are shares of the clip's score, under "deletion_absolute" and "insertion_absolute"
            probabilities (which a regression has none of).
        average_drop: share of the score that is lost when only what the heatmap marks is left; lower is better.
        increase: 1 where the score grew by that, else 0.
        masked_area: share of the clip that the heatmap leaves then, on which both depend, in [0, 1].
        localization: pointing game, IoU and energy inside the ground truth; empty without one.
        color: where the color of its picture lies, see `Explanation.color`; empty where that is not known.
    """

    curves: dict[str, Curve]
    minimal_masks: dict[str, dict[str, float | None]]
    average_drop: float
    increase: float
    masked_area: float
    localization: dict[str, float | None] = field(default_factory=dict)
    color: dict[str, float | None] = field(default_factory=dict)

    @property
    def deletion_auc(self) -> float:
        """Area under the score while the most important voxels are removed first; lower is better."""
        return self._auc("deletion")

    @property
    def insertion_auc(self) -> float:
        """Area under the score while the most important voxels are inserted first; higher is better."""
        return self._auc("insertion")

    @property
    def shown(self) -> dict[str, Curve]:
        """The curves "deletion" and "insertion" of a picture: of the heatmap, or of the drawn one alone judged."""
        suffix = "" if "deletion" in self.curves else DRAWN
        return {name: self.curves[f"{name}{suffix}"] for name in ("deletion", "insertion")}

    def _auc(self, name: str) -> float:
        if name not in self.curves:
            raise ValueError(f"the raw heatmap was not judged, only the drawn one: see curves['{name}_drawn'].auc")
        return self.curves[name].auc

    def __repr__(self) -> str:
        """The areas and what else was measured."""
        found = "".join(f", {key} {value:.3f}" for key, value in self.localization.items() if value is not None)
        areas = ", ".join(
            f"{name.replace('_', ' AUC, ', 1) if '_' in name else f'{name} AUC'} {curve.auc:.3f} "
            f"({'lower' if name.startswith('deletion') else 'higher'} is better)"
            for name, curve in self.curves.items()
        )
        return f"<lavx.Evaluation: {areas}, average drop {self.average_drop:.3f}{found}>"


def explain(
    classifier: Any,
    clip: Any,
    method: str | Explainer | Control = "auto",
    target: int | str | None = None,
    *,
    layout: str = "THWC",
    value_range: Sequence[float] | None = None,
    classes: Sequence[str] | None = None,
    output: OutputKind | None = None,
    seed: int = 0,
    batch_size: int | str = "auto",
    fps: float | None = None,
    name: str = "",
    progress: bool | Progress = True,
    check_noise: bool | None = None,
    **options: Any,
) -> Explanation:
    """Explain the score that a video classifier gives to a class of a clip.

    Args:
        classifier: a function of float32 clips (B, T, H, W, 3) in 0..255 that gives (B, K); what `lavx.classifier`
            made of a torch module; or a network of `lavx.networks`.
        clip: uint8 or float (T, H, W, 3), RGB, numpy or torch, of the size that the classifier takes; or, for a
            network that reads videos, the path of one.
        method: "auto" (where and when, in at most 300 forward passes), "when", "rise", "lime", "kernel_shap",
            "loco", "univariate", "occlusion", the controls "random", "center" and "smooth_noise", or an
            `Explainer`.
        target: index or name of the class to explain; None for the predicted one.
        layout: the order of the clip's axes, a permutation of "THWC".
        value_range: black and white of a float clip; None for (0, 255).
        classes: names of the classes; None for the classifier's own.
        output: what the outputs are (see `lavx.types.OutputKind`); None for what the classifier says or, for a
            function, for what its answers to the clip and to a black one show.
        seed: of all draws; the same seed gives the same explanation.
        batch_size: clips a forward pass: "auto" or a number.
        fps: frames of the clip a second, for time axes.
        name: of the clip, for titles; it also seeds the draws.
        progress: True for a bar on a terminal, False for none, or a `lavx.types.Progress`.
        check_noise: whether to see, in four more forward passes, how far the score moves when the clip changes by
            its last bits (`Explanation.diagnostics`); None for networks that take less than a second a pass.
        options: further arguments of the method's preset, such as `n_samples=4000`, `removal=Blur(8)`.

    Raises:
        TypeError: if the classifier or the clip is of no usable type.
        ValueError: if an argument is not one of those allowed.
        lavx.ScoreError: if the classifier's outputs are unusable.
        lavx.VideoError: if the video cannot be used.
    """
    explainer, method_name = _method(method, options)
    scored, geometry = _scored(
        classifier, clip, target, layout, value_range, classes, output, seed, batch_size, name, progress
    )
    return explained(
        scored, explainer, method_name, geometry=geometry, fps=fps, name=name, check_noise=check_noise
    )


def explained(
    clip: ScoredClip,
    method: Explainer | Control,
    method_name: str,
    *,
    geometry: Geometry | None = None,
    fps: float | None = None,
    name: str = "",
    check_noise: bool | None = None,
    ground_truth: NDArray[np.bool_] | None = None,
) -> Explanation:
    """Explain a clip that is scored already; see `explain`."""
    result = method(clip)
    return Explanation(
        result=result,
        frames=clip.frames,
        target=clip.target,
        outputs=clip.outputs,
        kind=clip.kind,
        classes=clip.classes,
        method=method_name,
        visualization=method.visualization,
        geometry=geometry,
        fps=fps,
        name=name,
        network=str(getattr(clip.classifier, "name", "") or ""),
        seconds=dict(clip.stopwatch.seconds),
        n_passes=clip.n_passes,
        diagnostics=diagnose(clip, method, result, check_noise),
        ground_truth=ground_truth,
    )


def evaluate(
    classifier: Any,
    clip: Any,
    explanation: Explanation,
    *,
    ground_truth: NDArray[np.bool_] | None = None,
    removal: Removal | None = None,
    n_steps: int | str = "auto",
    map: str = "raw",
    layout: str = "THWC",
    value_range: Sequence[float] | None = None,
    output: OutputKind | None = None,
    seed: int = 0,
    batch_size: int | str = "auto",
    progress: bool | Progress = True,
) -> Evaluation:
    """Evaluate an explanation: what becomes of the score when the voxels that it ranks first go, or come, first?

    Args:
        classifier: the one that was explained.
        clip: the clip that was explained, as for `explain`.
        explanation: what `explain` gave.
        ground_truth: bool (T, H, W) of the clip, True where the answer lies; None for the explanation's own.
        removal: what takes the place of removed voxels; None for black.
        n_steps: most steps of a curve; "auto" for one a region, see `lavx.metrics.insertion_deletion.level_sets`.
        map: which heatmap is judged: "raw"; "drawn", what the study would draw of it; "both".
        layout: as for `explain`.
        value_range: as for `explain`.
        output: as for `explain`; None for what the explanation says.
        seed: of removals that draw.
        batch_size: as for `explain`.
        progress: as for `explain`.

    Raises:
        ValueError: if the clip is not the explained one, or an argument is not one of those allowed.
        lavx.ScoreError: if the classifier's outputs are unusable.
    """
    scored, _ = _scored(
        classifier,
        clip,
        explanation.target,
        layout,
        value_range,
        explanation.classes,
        output or explanation.kind,
        seed,
        batch_size,
        explanation.name,
        progress,
    )
    if scored.frames.shape != explanation.frames.shape or (scored.frames != explanation.frames).any():
        raise ValueError("the clip is not the one that was explained: its frames differ")
    truth = explanation.ground_truth if ground_truth is None else ground_truth
    metric = InsertionDeletion(removal or Black(), n_steps, map=map)
    return replace(evaluated(scored, explanation.result, metric, truth), color=explanation.color(truth))


def evaluated(
    clip: ScoredClip,
    result: MethodResult,
    metric: InsertionDeletion,
    ground_truth: NDArray[np.bool_] | None = None,
) -> Evaluation:
    """Evaluate what a method said of a clip that is scored already; see `evaluate`."""
    heatmap = result.heatmap
    drawn = None if metric.map == "raw" else study_map(Evidence(heatmap, result.attribution, result.regions))
    curves = metric(clip, heatmap, drawn)
    absolute = {} if clip.kind == "regression" else absolute_minimal_masks(curves)
    drop = average_drop(clip.score(Probability()), masked_score(clip, heatmap, metric.removal))
    return Evaluation(
        curves=curves,
        minimal_masks=minimal_masks(curves) | absolute,
        average_drop=drop["average_drop"],
        increase=drop["increase"],
        masked_area=float(unit(heatmap).mean()),
        localization={} if ground_truth is None else localization(heatmap, ground_truth),
    )


def _with_errors(result: MethodResult, method: str) -> MethodResult:
    """The result of an earlier version, which stored no standard errors, with those that its scores tell.

    Only where the preset of the method's name gives the same attribution, from rows that were drawn one by one, or
    are listed in full.
    """
    preset = presets.method(method) if method in presets.names() else None
    if not result.n_samples or not isinstance(preset, Explainer):
        return result
    rows = result.coalitions
    if isinstance(preset.sampling, All):
        rows = replace(rows, units=np.full(len(rows), -1))
    elif not isinstance(preset.selection, Bernoulli):
        return result
    try:
        found = estimated(preset.summary, rows, result.scores, result.full, result.empty, result.regions)
    except ValueError:  # rows that another method drew
        return result
    if not np.allclose(found["attribution"], result.attribution, rtol=1e-6, atol=1e-9):
        return result
    return replace(result, **(found | {"attribution": result.attribution}), coalitions=rows)


def compare_panel(
    explanations: Sequence[Explanation],
    path: str | Path | None = None,
    *,
    labels: Sequence[str] | None = None,
    title: str | bool = True,
    visualization: Visualization | None = None,
    one_scale: bool = True,
    **style: Any,
) -> Any:
    """Several explanations of one video side by side, a row for each method or network.

    Args:
        explanations: what `explain` or `Explanation.load` gave, of the same clip, or of what different networks
            see of the same video.
        path: a file to write, .png, .pdf or .svg; None for a picture.
        labels: what the rows are called; None for method, network and score.
        title: a line above; True for the class explained, where it is the same in all; False for none.
        visualization: how to draw all of them; None for each explanation's own.
        one_scale: whether a color means the same attribution in all rows; otherwise each row's colors end at its
            own largest attribution. Visualizations whose scale cannot be given keep their own.
        style: which frames and how large, such as `frames="hottest"`, `n_frames=4`, `width_mm=174`,
            `font_size=7`: see `lavx.drawing.strips.Style`.

    Returns:
        The path where one was given, else a `PIL.Image.Image`.

    Raises:
        ValueError: if there is nothing to compare, labels are not as many, an option is not one of those allowed,
            or there is no room for what is asked for.
    """
    from lavx.drawing.comparison import Row, draw_comparison

    if labels is not None and len(labels) != len(explanations):
        raise ValueError(f"give one label for each of the {len(explanations)} explanations, got {len(labels)}")
    drawings = [e.drawing if visualization is None else e.drawn(visualization) for e in explanations]
    limits = [getattr(drawing.scale, "limit", None) or 0.0 for drawing in drawings]
    shared = one_scale and all(hasattr(visualization or e.visualization, "limit") for e in explanations)
    if shared and max(limits, default=0.0) > 0:
        drawings = [
            e.drawn(replace(cast(Any, visualization or e.visualization), limit=max(limits))) for e in explanations
        ]
    names = [_row_name(e) for e in explanations] if labels is None else labels
    rows = [
        Row(name, e.frames, drawing, e.heatmap, *e.times, e.ground_truth)
        for name, e, drawing in zip(names, explanations, drawings, strict=True)
    ]
    classes = {e.class_name(e.target) for e in explanations}
    if title is True:
        title = f"Explained class: {classes.pop()}" if len(classes) == 1 else ""
    target = path if path is not None else io.BytesIO()
    draw_comparison(target, rows, _style(style), title or "", shared)
    if path is not None:
        return Path(path)
    from PIL import Image

    assert isinstance(target, io.BytesIO)
    return Image.open(target)


def _row_name(explanation: Explanation) -> str:
    how = f"{explanation.method} on {explanation.network}" if explanation.network else explanation.method
    return f"{how}, score {explanation.score:.3f}"


def _style(options: dict[str, Any]) -> Any:
    """The style of a picture with some options, which are checked by name."""
    from lavx.drawing.strips import Style

    allowed = [option.name for option in fields(Style)]
    unknown = [name for name in options if name not in allowed]
    if unknown:
        raise ValueError(f"there is no option {', '.join(unknown)} of a picture; there are {', '.join(allowed)}")
    return Style(**options)


def _method(method: str | Explainer | Control, options: dict[str, Any]) -> tuple[Explainer | Control, str]:
    """The method and what it is called."""
    if isinstance(method, str):
        return presets.method(method, **options), method
    if not isinstance(method, Explainer | Control):
        raise TypeError(
            f"method must be a name ({', '.join(presets.names())}), an Explainer or a Control, got a "
            f"{type(method).__name__}"
        )
    if options:
        raise ValueError(f"{', '.join(options)} go with the name of a method; an Explainer has its own parameters")
    return method, type(method).__name__.lower()


def _scored(
    classifier: Any,
    clip: Any,
    target: int | str | None,
    layout: str,
    value_range: Sequence[float] | None,
    classes: Sequence[str] | None,
    output: OutputKind | None,
    seed: int,
    batch_size: int | str,
    name: str,
    progress: bool | Progress,
) -> tuple[ScoredClip, Geometry | None]:
    black_box: Classifier = adapt(classifier)
    exact, geometry = None, None
    if isinstance(clip, str | Path):
        if not hasattr(black_box, "read"):
            raise TypeError("this classifier reads no videos: give the clip's frames, uint8 (T, H, W, 3)")
        clip = black_box.read(clip)
    if isinstance(clip, Clip):
        frames, geometry = clip.frames, clip.geometry
    else:
        frames, exact = as_clip(clip, layout, value_range)
    if output is not None and output not in OUTPUT_KINDS:
        raise ValueError(f"output must be one of {', '.join(OUTPUT_KINDS)}, got {output!r}")
    scored = ScoredClip(
        black_box,
        frames,
        target,
        classes=classes,
        output=output,
        exact=exact,
        batches=BatchSizes(black_box, batch_size),
        seeds=Seeds(seed, name),
        progress=_progress(progress),
    )
    return scored, geometry


def _progress(progress: bool | Progress) -> Progress:
    if callable(progress):
        return progress
    return terminal_bar if progress else silent
