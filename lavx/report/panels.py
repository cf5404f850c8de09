"""Panels of single videos, as in the paper's appendix: a row for each method.

Frames and attributions come from a video's `explanation.npz`, the colors from the visualization of its cell.
"""

from __future__ import annotations

import textwrap
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lavx.drawing.frames import heat
from lavx.drawing.style import CURVE_COLORS, INK, SOFT, plain_axes
from lavx.experiments.record import CurvePoints
from lavx.explanation_file import read_ground_truth, read_result
from lavx.methods.outlines import outline_ground_truth, with_lines
from lavx.methods.visualization import Heatmap, PosNeg, SignificantRegions, Study, drawn_by
from lavx.report.plots import GRID, cut, heading, new_figure
from lavx.report.study import Study as Results
from lavx.report.tables import method_title
from lavx.types import Evidence

if TYPE_CHECKING:
    from lavx.types import Visualization

_OWN: dict[str, Any] = {kind.__name__: kind for kind in (SignificantRegions, Study, Heatmap, PosNeg)}
_NOT_DRAWN = ("coalition_outputs", "empty_outputs", "outputs", "probabilities")  # large, and not needed
_SHOWN = 3  # videos that a note names
_LINE = 18  # characters of a method's name beside a row


@dataclass(frozen=True)
class _Row:
    """One method of a panel: two images uint8 (H, W, 3), the score of the clip and the curves."""

    method: str
    frame: NDArray[np.uint8]
    overlay: NDArray[np.uint8]
    score: float
    curves: dict[str, CurvePoints]


class Panels:
    """Draws the panels of a study, and keeps account of what they lack.

    Args:
        study: the results.
    """

    def __init__(self, study: Results) -> None:
        self.study = study
        self._visualizations: dict[Path, Visualization] = {}
        self._lacking: dict[tuple[str, str], list[str]] = {}  # (cell, reason) -> videos
        self._notes: list[str] = []

    def draw(self, dataset: str, net: str, video_id: str) -> Figure | None:
        """Hottest frame, explanation and both curves of one video, a row a method; None without any row."""
        rows = []
        for method in self.study.methods:
            key = (dataset, net, method, video_id)
            if key in self.study.places:
                try:
                    pair = hottest(self.study.places[key], self._visualization(self.study.places[key].parents[1]))
                except ValueError as error:
                    self._lacking.setdefault((" / ".join(key[:3]), str(error)), []).append(video_id)
                    continue
                record = self.study.record(key)
                assert record.score is not None
                curves = {name: record.curve(name) for name in CURVE_COLORS}
                rows.append(_Row(method, *pair, record.score, curves))
        return _draw(rows) if rows else None

    def notes(self) -> list[str]:
        """What the panels drawn so far lack, why, and what to do about it."""
        lines = []
        for (cell, reason), videos in self._lacking.items():
            names = ", ".join(videos[:_SHOWN]) + (", ..." if len(videos) > _SHOWN else "")
            count = "1 video" if len(videos) == 1 else f"{len(videos)} videos"
            lines.append(
                f"{cell} is left out of the panels of {count} ({names}): {reason}. To have it drawn, delete these "
                "videos' folders and run the cell again."
            )
        return lines + self._notes

    def _visualization(self, cell: Path) -> Visualization:
        if cell not in self._visualizations:
            try:
                self._visualizations[cell] = visualization_of(cell)
            except ValueError as error:
                self._visualizations[cell] = Heatmap()
                name = " / ".join(cell.parts[-3:])
                self._notes.append(f"{name} is drawn in lavx's usual heatmap colors in the panels: {error}.")
        return self._visualizations[cell]


def visualization_of(cell: Path) -> Visualization:
    """The visualization that a cell's `config.yaml` names, with its parameters.

    Raises:
        ValueError: if that is none of lavx's own. Others are not built, as a file in a results folder must not
            decide which code is run.
    """
    try:
        node = dict(yaml.safe_load((cell / "config.yaml").read_text(encoding="utf-8"))["method"]["visualization"])
        name = str(node.pop("_target_")).rpartition(".")[2]
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise ValueError("its config.yaml names no visualization") from error
    if name not in _OWN:
        raise ValueError(f"its visualization {name} is none of lavx's own ({', '.join(_OWN)})")
    try:
        made: Visualization = _OWN[name](**node)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"its visualization {name} has parameters that this lavx does not take ({error})"
        ) from error
    return made


def hottest(place: Path, visualization: Visualization) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The frame of a clip that shows most of the explanation, bare and drawn over: uint8 (H, W, 3) each.

    Args:
        place: the folder of a video's results.
        visualization: what draws the explanation.

    Raises:
        ValueError: if `explanation.npz` does not hold what that takes.
    """
    arrays = _stored(place / "explanation.npz")
    frames, heatmap = arrays["frames"], arrays["heatmap"]
    try:  # of all frames: the colors are those of the whole clip
        drawing = drawn_by(visualization, frames, _evidence(arrays))
    except ValueError as error:
        raise ValueError(f"its explanation.npz cannot be drawn ({error})") from error
    k = int(heat(drawing, heatmap).argmax())
    overlay = with_lines(drawing)[k].copy()
    truth = read_ground_truth(arrays)
    if truth is not None:
        outline_ground_truth(overlay, truth[k])
    return frames[k], overlay


def _evidence(arrays: dict[str, NDArray[Any]]) -> Evidence:
    """What is stored of an explanation; in lavx 0.1 that was the heatmap alone."""
    whole = all(name in arrays for name in ("attribution", "full", "empty", "coalitions"))
    return read_result(arrays).evidence() if whole else Evidence(arrays["heatmap"])


def _stored(file: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an explanation, among them frames and heatmap."""
    try:
        with np.load(file) as stored:
            arrays = {name: stored[name] for name in stored.files if name not in _NOT_DRAWN}
    except FileNotFoundError as error:
        raise ValueError(f"there is no {file.name}") from error
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"its {file.name} is damaged") from error
    if "frames" not in arrays:
        raise ValueError(f"its {file.name} holds no frames, which lavx 0.1 did not store")
    if "heatmap" not in arrays:
        raise ValueError(f"its {file.name} holds no heatmap")
    return arrays


def _draw(rows: Sequence[_Row]) -> Figure:
    image = rows[0].frame
    width = min(2.2, 1.25 * image.shape[1] / image.shape[0])
    figure = new_figure(1.0 + 2 * width + 5.2, 0.55 + 1.35 * len(rows))
    grid = figure.subplots(len(rows), 4, squeeze=False, width_ratios=(width, width, 2.4, 2.4))
    for axes, row in zip(grid, rows, strict=True):
        _draw_images(axes[:2], row)
        for plot, (name, ink) in zip(axes[2:], CURVE_COLORS.items(), strict=True):
            _draw_curve(plot, row.curves[name], row.score, ink, high=name == "deletion")
    for above in grid[:-1, 2:].flat:
        above.set_xticklabels([])
    for axes, words in zip(grid[0], ("hottest frame", "explanation", "deletion", "insertion"), strict=True):
        heading(axes, words)
    for axes, verb in zip(grid[-1][2:], ("removed", "inserted"), strict=True):
        axes.set_xlabel(f"voxels {verb} (%)", fontsize=8, color=SOFT)
    return figure


def _draw_images(axes: Sequence[Axes], row: _Row) -> None:
    for plot, shown in zip(axes, (row.frame, row.overlay), strict=True):
        plot.imshow(shown, interpolation="nearest")
        plot.set_xticks([])
        plot.set_yticks([])
        plain_axes(plot, ())
    words = "\n".join(textwrap.wrap(cut(method_title(row.method), 4 * _LINE), _LINE))
    axes[0].set_ylabel(words, fontsize=8.5, color=INK, parse_math=False)


def _draw_curve(axes: Axes, curve: CurvePoints, score: float, ink: str, high: bool) -> None:
    """Draw one curve; its area is written at the top where `high`, else at the bottom."""
    x, y = np.asarray(curve.fractions), np.asarray(curve.scores)
    axes.plot(100 * x, y, color=ink, linewidth=1.4)
    axes.fill_between(100 * x, y, color=ink, alpha=0.13, linewidth=0)
    axes.axhline(score, color=SOFT, linewidth=0.7, linestyle=(0, (4, 3)))
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 1.02)
    axes.set_yticks([0, 0.5, 1])
    axes.text(0.97, 0.92 if high else 0.08, f"AUC {np.trapezoid(y, x):.3f}", transform=axes.transAxes,
              ha="right", va="top" if high else "bottom", fontsize=7.5, color=INK)  # fmt: skip
    axes.grid(color=GRID, linewidth=0.6)
    plain_axes(axes)
