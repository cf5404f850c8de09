"""Figures for a paper, drawn from what a run folder holds of its videos."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lavx.api import Explanation, compare_panel
from lavx.drawing.sheet import FORMATS
from lavx.drawing.strips import Style
from lavx.errors import RequestError
from lavx.experiments.record import EXPLANATION, METRICS, VideoRecord
from lavx.experiments.run_folder import RunFolder
from lavx.metrics.insertion_deletion import Curve

FIGURES = "figures"
_KEYS = ("format", "compare")  # what is no option of a picture's style


def figure_style(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a picture's style among those of a figure.

    Raises:
        RequestError: if one is not allowed.
    """
    style = {name: value for name, value in options.items() if name not in _KEYS}
    kind = options.get("format")
    if kind is not None and kind not in FORMATS:
        raise RequestError(f"figure.format must be {', '.join(FORMATS)} or null, got {kind!r}")
    if not isinstance(options.get("compare", False), bool):
        raise RequestError(f"figure.compare must be true or false, got {options['compare']!r}")
    try:
        Style(**style)
    except (TypeError, ValueError) as error:
        raise RequestError(f"figure: {error}") from error
    return style


def draw_figures(folder: RunFolder, video_ids: Iterable[str], options: Mapping[str, Any]) -> list[Path]:
    """Draw a figure of each video that is explained; returns the files.

    Args:
        folder: the cell's.
        video_ids: of which videos.
        options: the `figure` part of the settings of `lavx explain`.

    Raises:
        RequestError: if an option is not allowed, or there is no room for what is asked for.
    """
    style, kind = figure_style(options), options.get("format")
    if kind is None:
        return []
    places = [folder.folder(video) for video in video_ids]
    files = []
    for place in places:
        if not (place / EXPLANATION).exists():
            continue
        file = folder.path / FIGURES / f"{place.name}.{kind}"
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            part = file.with_name(f".{uuid.uuid4().hex[:8]}.part.{kind}")  # the ending says what to write
            _draw(place, part, style, bool(options.get("compare")))
            part.replace(file)
        except ValueError as error:
            raise RequestError(f"figure: {error}") from error
        files.append(file)
    return files


def _draw(place: Path, file: Path, style: dict[str, Any], compare: bool) -> None:
    if compare:
        found = sorted(place.parents[3].glob(f"*/*/{place.parent.name}/{place.name}/{EXPLANATION}"))
        compare_panel([Explanation.load(path) for path in found], file, one_scale=False, **style)
        return
    explanation = Explanation.load(place / EXPLANATION)
    record = VideoRecord.read(place / METRICS)
    curves = {
        name: Curve(np.array(points.fractions), np.array(points.scores)) for name, points in record.curves.items()
    }
    explanation.panel(file, evaluation=curves, **style)
