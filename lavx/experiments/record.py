"""The schema of `metrics.json`: what a run stores of one video, for all that write or read it.

A file of lavx 0.1 has no version and is read as version 1. Whoever changes the fields or their meaning raises
`VERSION` and says in `_CONVERSIONS` how the version before becomes the new one.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

METRICS, EXPLANATION = "metrics.json", "explanation.npz"
PARTIAL = ".partial"  # holds the scores of videos that are being explained
VERSION = 2

STAGES = ("decode", "segmentation", "perturbation", "inference", "summary", "metrics", "visualization")
"""What the seconds of a video are told by."""

_CURVES = ("deletion", "insertion")
_DRAWN = "_drawn"  # ends the names of what was measured on the drawn heatmap
_REQUIRED = ("output", "predicted", "target", "score", "n_regions", "n_samples")
# Metrics that are measured together: as soon as one of them has a number, the others are written too, as null.
_GROUPS = (
    ("fold",),
    ("average_drop", "increase"),
    ("pointing_game", "iou", "energy_inside", "truth_fraction"),
    ("cross_deletion_auc", "cross_insertion_auc"),
    ("peak_frame", "peak_second", "peak_importance", "peak_std_error", "moment_second", "per_frame"),
)
_OF_FAILURES = ("version", "video_id", "video", "label", "error")
_NOT_IN_TABLES = ("version", "video", "output", "minimal_masks", "curves", "per_frame")


class NewerVersionError(ValueError):
    """The file was written by a lavx that is newer than this one."""


@dataclass(frozen=True)
class VideoFile:
    """Which file a video was when it was decoded.

    Attributes:
        sha256: of its content, in hexadecimal.
        size: in bytes.
        mtime_ns: when it was last changed, in nanoseconds.
    """

    sha256: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class CurvePoints:
    """The points of a deletion or insertion curve.

    Attributes:
        fractions: of the voxels, removed or inserted, from 0 to 1.
        scores: of the target, as many.
    """

    fractions: tuple[float, ...]
    scores: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.fractions) != len(self.scores):
            raise ValueError(
                f"fractions and scores must have the same length, got {len(self.fractions)} and {len(self.scores)}"
            )


@dataclass(frozen=True)
class PerFrame:
    """Importance per frame, see `lavx.methods.frames`.

    Attributes:
        seconds: of the frames in the video.
        importance: of each frame, larger = more important for the target.
        std_error: of each importance over draws of the coalitions; empty where nothing was drawn, or nobody knows.
        how: what became of removed frames where that was asked for itself, such as "reverse"; else empty.
    """

    seconds: tuple[float, ...]
    importance: tuple[float, ...]
    std_error: tuple[float, ...] = ()
    how: str = ""

    def __post_init__(self) -> None:
        if len(self.seconds) != len(self.importance) or len(self.std_error) not in (0, len(self.importance)):
            raise ValueError(
                f"seconds, importance and std_error must have the same length, got {len(self.seconds)}, "
                f"{len(self.importance)} and {len(self.std_error)}"
            )


@dataclass(frozen=True, kw_only=True)
class VideoRecord:
    """The results of one video, or why there are none.

    Optional metrics are None where they were not measured. Every number is finite.

    Attributes:
        version: of the schema.
        video_id: the video's.
        video: the file that was decoded; None where that was not noted (lavx 0.1).
        label: index of the class that the dataset gives; None where it gives none.
        fold: whose weights scored the video; None where one file of weights scores all.
        output: what the network's outputs are, one of `lavx.types.OUTPUT_KINDS`.
        predicted: index of the class with the largest score.
        target: index of the explained class.
        score: of the target for the clip.
        deletion_auc: area under the deletion curve of the raw heatmap; lower is better. None where only the drawn
            one was judged, whose area is in `more`, as `deletion_auc_drawn`.
        insertion_auc: area under the insertion curve; higher is better. Likewise.
        average_drop: share of the score that is lost where the heatmap masks the clip, in [0, 1]; lower is better.
        increase: 1 where the masked clip scores higher than the clip, else 0.
        pointing_game: 1 where the most important voxel lies in the ground truth, else 0; a share if several tie.
        iou: of the ground truth and as many of the most important voxels, in [0, 1].
        energy_inside: share of the positive heat that lies in the ground truth, in [0, 1].
        truth_fraction: share of the clip's voxels that the ground truth holds; with 0 the three above are None.
        cross_deletion_auc: `deletion_auc` with another baseline than the explanation's.
        cross_insertion_auc: `insertion_auc` likewise.
        more: further metrics by column name, which none of the fields has.
        n_regions: regions of the clip.
        n_samples: coalitions scored.
        seconds: wall clock by stage, one for each of `STAGES`.
        minimal_masks: for each curve, by threshold, the smallest fraction of voxels that reaches it; None where
            it is never reached.
        curves: "deletion" and "insertion" of the raw heatmap, "deletion_drawn" and "insertion_drawn" of the drawn
            one; at least one of the two pairs.
        peak_frame: the clip's most important frame, from 0; None where that was not noted.
        peak_second: where it lies in the video.
        peak_importance: its importance.
        peak_std_error: the standard error of that; None where nothing was drawn, or nobody knows.
        moment_second: where the most important place between two frames lies, see `lavx.methods.frames`.
        per_frame: importance of all frames; None where that was not noted.
        error: why the video was not explained; None where it was.

    Raises:
        ValueError: if a field is missing or of the wrong type, or a number is not finite.
    """

    version: int = field(default=VERSION, init=False)
    video_id: str
    video: VideoFile | None = None
    label: int | None
    fold: int | None = None
    output: str | None = None
    predicted: int | None = None
    target: int | None = None
    score: float | None = None
    deletion_auc: float | None = None
    insertion_auc: float | None = None
    average_drop: float | None = None
    increase: float | None = None
    pointing_game: float | None = None
    iou: float | None = None
    energy_inside: float | None = None
    truth_fraction: float | None = None
    cross_deletion_auc: float | None = None
    cross_insertion_auc: float | None = None
    more: dict[str, float | None] = field(default_factory=dict)
    n_regions: int | None = None
    n_samples: int | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    minimal_masks: dict[str, dict[str, float | None]] = field(default_factory=dict)
    curves: dict[str, CurvePoints] = field(default_factory=dict)
    peak_frame: int | None = None
    peak_second: float | None = None
    peak_importance: float | None = None
    peak_std_error: float | None = None
    moment_second: float | None = None
    per_frame: PerFrame | None = None
    error: str | None = None

    def __post_init__(self) -> None:
        for name, hint in _hints(VideoRecord).items():
            object.__setattr__(self, name, _typed(getattr(self, name), hint, name))
        taken = sorted(self.more.keys() & {*_hints(VideoRecord), *_COLUMNS})
        if taken:
            raise ValueError(f"more must not hold {', '.join(taken)}: there are columns of these names already")
        if self.error is None:
            self._check_complete()
        else:
            self._check_empty()

    def _check_empty(self) -> None:
        results = [
            f.name
            for f in dataclasses.fields(self)
            if f.name not in _OF_FAILURES and getattr(self, f.name) not in (None, {})
        ]
        if results:
            raise ValueError(f"a video with an error has no results, got {', '.join(results)}")

    def _check_complete(self) -> None:
        lacking = [name for name in _REQUIRED if getattr(self, name) is None]
        lacking += [f"seconds.{stage}" for stage in STAGES if stage not in self.seconds]
        suffix = self._judged
        names = [f"{name}{suffix}" for name in _CURVES]
        lacking += [f"{part}.{name}" for part in ("minimal_masks", "curves") for name in names
                    if name not in getattr(self, part)]  # fmt: skip
        lacking += [f"{name}_auc{suffix}" for name in _CURVES if self.area(name) is None]
        if lacking:
            raise ValueError(f"{', '.join(lacking)} missing; a video that was explained has all of them")

    @property
    def _judged(self) -> str:
        """What the names of the curves end in: that of the drawn heatmap, if the raw one was not judged."""
        return _DRAWN if "deletion" not in self.curves and f"deletion{_DRAWN}" in self.curves else ""

    def area(self, name: str) -> float | None:
        """Area under the "deletion" or "insertion" curve: of the raw heatmap, or of the drawn one alone judged."""
        suffix = self._judged
        found: float | None = self.more.get(f"{name}_auc{suffix}") if suffix else getattr(self, f"{name}_auc")
        return found

    def curve(self, name: str) -> CurvePoints:
        """The curve of `area`."""
        return self.curves[f"{name}{self._judged}"]

    @classmethod
    def failed(cls, video_id: str, label: int | None, error: str, video: VideoFile | None = None) -> VideoRecord:
        """The record of a video that could not be explained."""
        return cls(video_id=video_id, label=label, error=error, video=video)

    def with_metrics(self, metrics: Mapping[str, float | None]) -> VideoRecord:
        """A record with these metrics too: in the fields of their names, where there are such, else in `more`."""
        own = {name for group in _GROUPS for name in group}
        known = {name: value for name, value in metrics.items() if name in own}
        more = {name: value for name, value in metrics.items() if name not in own}
        changes: dict[str, Any] = {**known, "more": self.more | more}
        return dataclasses.replace(self, **changes)

    def to_json(self) -> str:
        """What `metrics.json` holds."""
        return json.dumps(self._content(), indent=2, allow_nan=False) + "\n"

    def _content(self) -> dict[str, Any]:
        content = dataclasses.asdict(self)
        if self.error is not None:
            return {name: content[name] for name in _OF_FAILURES}
        absent = [name for group in _GROUPS if all(content[n] is None for n in group) for name in group]
        flat: dict[str, Any] = {}
        for name, value in content.items():
            if name == "more":
                flat |= value
            elif name not in absent:
                flat[name] = value
        return flat

    def row(self) -> dict[str, Any]:
        """The record in a row of `results.csv`: the numbers, `seconds_<stage>`, and the error last."""
        content = {name: value for name, value in self._content().items() if name not in _NOT_IN_TABLES}
        error, seconds = content.pop("error"), content.pop("seconds", {})
        return content | {f"seconds_{stage}": value for stage, value in seconds.items()} | {"error": error}

    @classmethod
    def read(cls, path: Path) -> VideoRecord:
        """Read `metrics.json`.

        Raises:
            ValueError: saying which file is not usable and why; NewerVersionError if this lavx is too old for it.
            OSError: if the file cannot be read at all.
        """
        try:
            return _from_json(path.read_bytes().decode("utf-8"))
        except NewerVersionError as error:
            raise NewerVersionError(f"{path}: {error}") from error
        except ValueError as error:
            raise ValueError(f"{path} is no result of lavx run ({error})") from error


# The columns of results.csv in their order; "more" stands for all whose names are not known here.
_COLUMNS = [
    *(f.name for f in dataclasses.fields(VideoRecord) if f.name not in (*_NOT_IN_TABLES, "seconds", "error")),
    *(f"seconds_{stage}" for stage in STAGES),
    "error",
]


def read_result(folder: Path) -> VideoRecord:
    """Read the `metrics.json` of a video's folder, whose explanation must be there too.

    That is not read here, so that a run of thousands of videos is resumed in seconds: whoever reads it checks it.

    Raises:
        ValueError: as `VideoRecord.read` does, and if the explanation is missing or empty.
        OSError: if `metrics.json` cannot be read at all.
    """
    record = VideoRecord.read(folder / METRICS)
    if record.error is None:
        check_explanation(folder)
    return record


def check_explanation(folder: Path) -> None:
    """Refuse a video's folder whose explanation is missing or empty.

    Raises:
        ValueError: saying which.
    """
    explanation = folder / EXPLANATION
    try:
        size = explanation.stat().st_size
    except FileNotFoundError:
        raise ValueError(f"{explanation} is missing") from None
    if not size:
        raise ValueError(f"{explanation} is empty")


def columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The columns of a table of rows, in the same order whichever row has which of them."""
    names = dict.fromkeys(name for row in rows for name in row)
    place = {name: k for k, name in enumerate(_COLUMNS)}
    return sorted(names, key=lambda name: place.get(name, place["more"]))


def _from_json(text: str) -> VideoRecord:
    if not text.strip():
        raise ValueError("it is empty")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no JSON, or was cut off: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"it holds {_named(content)} where an object is needed")
    version = _typed(content.pop("version", 1), int, "version")
    if version > VERSION:
        raise NewerVersionError(
            f"a newer lavx wrote it (version {version}; this one reads up to {VERSION}). Update lavx to read it."
        )
    if version < 1:
        raise ValueError(f"version must be 1 or more, got {version}")
    for older in range(version, VERSION):
        content = _CONVERSIONS[older](content)
    given = {f.name for f in dataclasses.fields(VideoRecord)} - {"version", "more"}
    lacking = [name for name in _OF_FAILURES[1:] if name not in content]
    if lacking:
        raise ValueError(f"{', '.join(lacking)} missing")
    known: dict[str, Any] = {name: value for name, value in content.items() if name in given}
    return VideoRecord(**known, more={name: value for name, value in content.items() if name not in given})


def _from_1(content: dict[str, Any]) -> dict[str, Any]:
    """Of lavx 0.1, whose networks all gave logits, and which noted nothing of the video's file."""
    return content | {"video": None, "output": None if content.get("error") else "logits"}


_CONVERSIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1}


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _typed(value: Any, hint: Any, name: str) -> Any:
    """A value as the type of a field, made of what JSON has; raises ValueError if it is none of that type."""
    if get_origin(hint) in (UnionType, Union):  # all of ours are X | None
        return None if value is None else _typed(value, get_args(hint)[0], name)
    if get_origin(hint) is dict:
        inner = get_args(hint)[1]
        return {
            str(key): _typed(v, inner, f"{name}.{key}") for key, v in _is(dict, value, "an object", name).items()
        }
    if get_origin(hint) is tuple:
        numbers = _is((list, tuple), value, "a list of numbers", name)
        if all(type(v) is float for v in numbers) and all(map(math.isfinite, numbers)):
            return tuple(numbers)  # nearly all of a file lies here, and files are read by the thousand
        return tuple(_typed(v, get_args(hint)[0], name) for v in numbers)
    if dataclasses.is_dataclass(hint):
        return _object(value, hint, name)
    if hint is str:
        return _is(str, value, "text", name)
    wanted = "a whole number" if hint is int else "a number"
    if isinstance(value, bool):  # which Python takes for a number
        raise _wrong(value, wanted, name)
    if hint is int:
        return int(_is(Integral, value, wanted, name))
    try:
        number = float(_is(Real, value, wanted, name))
    except OverflowError:  # a whole number of hundreds of digits
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a finite number, got {number}")
    return number


def _object(value: Any, kind: Any, name: str) -> Any:
    if isinstance(value, kind):
        value = {f.name: getattr(value, f.name) for f in dataclasses.fields(kind)}
    hints = _hints(kind)
    wanted = f"an object with {', '.join(hints)}"
    if not isinstance(value, dict) or value.keys() != hints.keys():
        raise _wrong(value, wanted, name)
    try:
        return kind(**{key: _typed(value[key], hint, f"{name}.{key}") for key, hint in hints.items()})
    except ValueError as error:
        raise ValueError(str(error) if str(error).startswith(name) else f"{name}: {error}") from error


def _is(kinds: type | tuple[type, ...], value: Any, wanted: str, name: str) -> Any:
    if not isinstance(value, kinds):
        raise _wrong(value, wanted, name)
    return value


def _wrong(value: Any, wanted: str, name: str) -> ValueError:
    return ValueError(f"{name} must be {wanted}, got {_named(value)}")


def _named(value: Any) -> str:
    words = repr(value)
    return words if len(words) <= 60 else f"{words[:57]}..."
