"""What lies in an outputs folder: the numbers of every explained video, and what is not there yet."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from lavx.errors import RequestError
from lavx.experiments.identity import CONFIG, difference
from lavx.experiments.record import METRICS as RECORD
from lavx.experiments.record import NewerVersionError, VideoRecord
from lavx.experiments.record_index import RecordIndex, Summary
from lavx.experiments.status import STATUS, cell_files, requested
from lavx.experiments.variation import Variation, method_key
from lavx.rating.analysis import RULES, exclusions
from lavx.rating.ratings import Ratings, read_ratings
from lavx.text import visible

METHODS = ("lime", "kernel_shap", "rise", "loco", "univariate", "occlusion")
CONTROLS = ("random", "center", "smooth_noise")
KEYS = ["dataset", "net", "method", "video_id"]
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Metric:
    """A column of numbers and how to read it.

    Attributes:
        key: name of the column.
        title: for people.
        higher_is_better: direction.
    """

    key: str
    title: str
    higher_is_better: bool


METRICS = (
    Metric("deletion_auc", "Deletion AUC", False),
    Metric("insertion_auc", "Insertion AUC", True),
    Metric("deletion_auc_drawn", "Deletion AUC, drawn map", False),
    Metric("insertion_auc_drawn", "Insertion AUC, drawn map", True),
    Metric("cross_deletion_auc", "Deletion AUC, other baseline", False),
    Metric("cross_insertion_auc", "Insertion AUC, other baseline", True),
    Metric("average_drop", "Average drop", False),
    Metric("average_drop_area", "Share left by the mask of the average drop", False),
    Metric("increase", "Increase", True),
    Metric("pointing_game", "Pointing game", True),
    Metric("iou", "IoU", True),
    Metric("energy_inside", "Energy inside", True),
)
RATING = Metric("rating", "User score", True)


@dataclass(frozen=True)
class UserStudy:
    """What people think of the explanations.

    Attributes:
        ratings: all of them.
        broken: the rules of exclusion that each rater breaks, by name.
        rules: those that apply.
    """

    ratings: Ratings
    broken: dict[str, list[str]]
    rules: tuple[str, ...]

    @property
    def kept(self) -> list[str]:
        """The raters that break no rule."""
        return [rater for rater, rules in self.broken.items() if not rules]


@dataclass
class Study:
    """One run's results.

    Attributes:
        name: of the run.
        folder: `<outputs>/<name>`.
        table: a row for each explained video of each cell: dataset, net, method, video_id, the metrics that
            its `metrics.json` holds, `seconds_<stage>`, `mask_<curve>_<threshold>` (NaN where never reached).
        places: the folder of each video's results by (dataset, net, method, video_id).
        coverage: a row for each cell of the expected grid: done, failed, missing.
        missing: what is not there, in sentences.
        failures: videos that could not be explained and why, in sentences.
        differing: cells whose methods have one name but not the same parameters, in sentences.
        ratings: a row for each user score that counts, or None where there are none.
        users: the whole user study; None where there is none.
    """

    name: str
    folder: Path
    table: pd.DataFrame
    places: dict[tuple[str, ...], Path] = field(default_factory=dict)
    coverage: pd.DataFrame = field(default_factory=pd.DataFrame)
    missing: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    ratings: pd.DataFrame | None = None
    users: UserStudy | None = None

    def record(self, key: tuple[str, ...]) -> VideoRecord:
        """All that is known of an explained video, curves too, by (dataset, net, method, video_id)."""
        return VideoRecord.read(self.places[key] / RECORD)

    @property
    def methods(self) -> list[str]:
        """Those that have results: the study's six, then others, then the controls."""
        return ordered(self.table.method)

    @property
    def metrics(self) -> list[Metric]:
        """Those that have results."""
        return [metric for metric in METRICS if metric.key in self.table and self.table[metric.key].notna().any()]

    @property
    def thresholds(self) -> list[str]:
        """Of the minimal masks, as they are written in `metrics.json`."""
        names = {str(c).rsplit("_", 1)[1] for c in self.table if str(c).startswith("mask_")}
        return sorted(names, key=float)


def method_of(name: str) -> str:
    """The method that a variation is of; a method itself."""
    return name.partition("-")[0]


def is_control(name: str) -> bool:
    """Whether a method, or what it varies, is a control."""
    return method_of(name) in CONTROLS


def ordered(methods: Any) -> list[str]:
    """Methods in the order in which they are always shown, each followed by its variations."""
    present = {str(name) for name in methods}
    others = sorted({method_of(name) for name in present} - set(METHODS) - set(CONTROLS))
    place = {method: k for k, method in enumerate((*METHODS, *others, *CONTROLS))}
    return sorted(present, key=lambda name: (place[method_of(name)], method_of(name) != name, name))


def read_study(
    outputs: Path,
    name: str,
    nets: Sequence[str] = (),
    methods: Sequence[str] = (),
    scale: Sequence[float] = (-2, 2),
    exclude: Collection[str] = tuple(RULES),
) -> Study:
    """Read a run.

    Args:
        outputs: the root folder of all results.
        name: of the run.
        nets: networks that are expected beside those that sweeps planned.
        methods: methods that are expected beside those that sweeps planned.
        scale: smallest and largest user score where `ratings.csv` does not say.
        exclude: the rules of `lavx.rating.analysis.RULES` by which raters are excluded.

    Raises:
        RequestError: if there is nothing to report, saying what to run, or `ratings.csv` is not usable.
    """
    folder = outputs / name
    command = "lavx run" if (str(outputs), name) == ("outputs", "default") else (
        f"lavx run name={name} outputs={outputs}"
    )  # fmt: skip
    cells = [file.parent for file in cell_files(folder, "config.yaml")]
    if not cells:
        known = sorted(place.name for place in outputs.glob("[!.]*") if cell_files(place, "config.yaml"))
        hint = f" There are runs named {', '.join(known)}: name=..." if known else ""
        raise RequestError(f"{folder} holds no results. First run: {command}.{hint}")
    study = Study(name, folder, pd.DataFrame())
    rows: list[dict[str, Any]] = []
    found = [_Cell.at(place) for place in sorted({*cells, *(file.parent for file in cell_files(folder, STATUS))})]
    for cell in found:
        rows += _rows(study, cell)
    if not rows:
        reasons = "; ".join(study.failures[:3])
        raise RequestError(
            f"{folder} holds {len(cells)} cells but no explained video yet. {reasons or 'They may be running.'} "
            f"Go on with: {command}"
        )
    study.table = pd.DataFrame(rows).sort_values(KEYS, ignore_index=True)
    _cover(study, found, nets, methods)
    study.differing = _differing(found)
    _rate(study, scale, exclude)
    return study


def _rows(study: Study, cell: _Cell) -> Iterator[dict[str, Any]]:
    """The rows of a cell's explained videos; what is there of it is noted."""
    for folder, record in RecordIndex(cell.place).read().items():
        row, masks = _checked(record).numbers()
        video, error = visible(row.pop("video_id")), row.pop("error")
        cell.videos[folder] = video
        if error is not None:
            cell.failed.add(video)
            study.failures.append(f"{' / '.join(cell.key)} / {video}: {visible(error)}")
            continue
        cell.done.add(video)
        study.places[(*cell.key, video)] = cell.place / "videos" / folder
        for curve, reached in masks.items():
            row |= {f"mask_{curve}_{t}": np.nan if f is None else f for t, f in reached.items()}
        yield dict(zip(KEYS, (*cell.key, video), strict=True)) | row


def _checked(record: Summary | OSError | ValueError) -> Summary:
    if isinstance(record, Summary):
        return record
    if isinstance(record, NewerVersionError):
        raise RequestError(str(record)) from record
    raise RequestError(f"{record}. Run the cell again: it explains the video anew.") from record


@dataclass
class _Cell:
    """What is there of a cell, and what was asked for.

    Attributes:
        key: dataset, net and method.
        place: its folder.
        variation: what the method is.
        asked: the folders of the videos asked for; None where that was not noted.
        videos: ids by folder.
        done: ids of videos explained.
        failed: ids of videos that could not be.
    """

    key: tuple[str, str, str]
    place: Path
    variation: Variation
    asked: list[str] | None
    videos: dict[str, str] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)

    @classmethod
    def at(cls, place: Path) -> _Cell:
        variation = Variation.read(place)
        dataset, net = map(visible, place.parts[-3:-1])
        return cls((dataset, net, visible(method_key(place, variation))), place, variation, requested(place))


def _cover(study: Study, cells: Sequence[_Cell], nets: Sequence[str], methods: Sequence[str]) -> None:
    """Compare what is there with what was asked for: the cells of the sweeps, and what is expected beside them."""
    rows = []
    for dataset in sorted({cell.key[0] for cell in cells}):
        own = [cell for cell in cells if cell.key[0] == dataset]
        ids = {folder: video for cell in own for folder, video in cell.videos.items()}
        everything = {*ids.values()} | {ids.get(name, visible(name)) for cell in own for name in cell.asked or ()}
        expected: dict[str, dict[str, _Cell | None]] = {
            net: {} for net in sorted({*nets, *(c.key[1] for c in own)})
        }
        present = {cell.key[2] for cell in own}
        for net, there in expected.items():
            there |= dict.fromkeys({*methods, *(present if net in nets else ())})
            there |= {cell.key[2]: cell for cell in own if cell.key[1] == net}
            gone = []
            for method in ordered(there):
                cell = there[method]
                if cell is None or not (cell.done or cell.failed):
                    gone.append(method)
                rows.append((dataset, net, method, *_counted(study, cell, everything, ids)))
            if len(gone) == len(there):
                study.missing.append(f"{dataset} / {net}: every method")
            else:
                study.missing += [f"{dataset} / {net} / {method}: the whole cell" for method in gone]
    study.coverage = pd.DataFrame(
        rows, columns=["dataset", "net", "method", "changes", "done", "failed", "missing"]
    )


def _counted(
    study: Study, cell: _Cell | None, everything: set[str], ids: Mapping[str, str]
) -> tuple[str, int, int, int]:
    """The changes of a cell's method, and how many of its videos are done, failed and missing."""
    if cell is None:
        return "", 0, 0, len(everything)
    wanted = everything if cell.asked is None else {ids.get(name, visible(name)) for name in cell.asked}
    left = sorted(wanted - cell.done - cell.failed)
    if left and (cell.done or cell.failed):
        names = ", ".join(left[:3]) + (", ..." if len(left) > 3 else "")
        study.missing.append(f"{' / '.join(cell.key)}: {len(left)} of {len(wanted)} videos ({names})")
    return visible(", ".join(cell.variation.changes)), len(cell.done), len(cell.failed), len(left)


def _differing(cells: Sequence[_Cell]) -> list[str]:
    """What keeps cells from being compared: methods of one name that differ, and other metrics or targets."""
    first: dict[str, tuple[_Cell, Any]] = {}
    lines = []
    for cell in cells:
        try:
            config = dict(yaml.load((cell.place / CONFIG).read_text(encoding="utf-8"), _LOADER))
        except (OSError, ValueError, TypeError, yaml.YAMLError):
            continue  # not begun, or damaged
        for same, keys in ((cell.key[2], ("method",)), ("", ("metric", "target"))):
            part = {key: config.get(key) for key in keys}
            other, theirs = first.setdefault(same, (cell, part))
            for line in difference(theirs, part):
                lines.append(f"{' / '.join(cell.key)} differs from {' / '.join(other.key)} in {line}")
    return lines


def _rate(study: Study, scale: Sequence[float], exclude: Collection[str]) -> None:
    """Read what people think of the explanations, where they were asked."""
    ratings = read_ratings(study.folder / "ratings.csv", study.table, scale)
    if ratings is None:
        return
    rules = tuple(rule for rule in RULES if rule in exclude)
    study.users = UserStudy(ratings, exclusions(ratings, rules), rules)
    scores = ratings.scores(study.users.kept)
    study.ratings = scores if len(scores) else None


def blocks(table: pd.DataFrame, column: str, methods: Sequence[str]) -> pd.DataFrame:
    """What can be compared fairly: a row for each (dataset, video), a column for each method.

    Only a (dataset, net, video) for which every one of the methods has a number counts. Those of the same video
    on several networks are averaged: they are not independent, and the video is what was drawn at random.
    """
    return by_video(shared(table, column, methods))


def shared(table: pd.DataFrame, column: str, methods: Sequence[str]) -> pd.DataFrame:
    """A row for each (dataset, net, video) for which every one of the methods has a number, a column a method."""
    index = ["dataset", "net", "video_id"]
    chosen = table[table.method.isin(methods) & table[column].notna()]
    wide = chosen.pivot_table(index=index, columns="method", values=column, aggfunc="mean")
    return wide.reindex(columns=list(methods)).dropna()


def by_video(wide: pd.DataFrame) -> pd.DataFrame:
    """The mean over networks of what `shared` gave: a row for each (dataset, video)."""
    return wide.groupby(level=["dataset", "video_id"]).mean()


def complete(table: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    """The rows of some methods, for each (dataset, net, video) that all of them have."""
    chosen = table[table.method.isin(methods)]
    counts = chosen.groupby(["dataset", "net", "video_id"]).method.transform("nunique")
    return chosen[counts == len(methods)]


def comparable(table: pd.DataFrame, column: str, methods: Sequence[str]) -> list[str]:
    """The methods with a number for at least half of the (dataset, net, video) that the fullest one has.

    One that has only begun would leave hardly any video to compare the others on. The controls, which cost
    almost nothing and so may be far ahead, are not counted.
    """
    counts = table[table.method.isin(methods) & table[column].notna()].groupby("method").size()
    fullest = max(
        (n for m, n in counts.items() if not is_control(str(m))), default=counts.max() if len(counts) else 0
    )
    return [m for m in methods if m in counts and counts[m] * 2 >= fullest]
