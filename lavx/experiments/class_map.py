"""Classes of a dataset and of a network: which is which, by name or by a table that the user gives."""

from __future__ import annotations

import csv
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from lavx.datasets.base import Video
from lavx.errors import RequestError

log = logging.getLogger(__name__)

NONE = "none"  # instead of a table: no class of the dataset is one of the network's
_SHOWN = 5  # names in a message


def _plain(name: str) -> str:
    """A name without case, spaces, underscores and punctuation."""
    return re.sub(r"[\W_]+", "", name.casefold()) or name


class ClassMap:
    """The network's index of each class of a dataset.

    Classes are the same where their names are, or else where these differ only in case, spaces and punctuation and
    no other name does; unless a table says otherwise. A network whose class names nobody knows (None) is taken to
    have the dataset's, in their order, if it has as many; which is logged.

    Args:
        dataset: names of the dataset's classes, in the order of its labels.
        network: names of the network's classes, in the order of its outputs; None where unknown.
        table: by class of the dataset the network's class, None where it has none; several of the former may be
            the same of the latter. Classes that are not in it are matched by name.

    Attributes:
        indices: for each class of the dataset the network's index; None where the network does not have it.

    Raises:
        ValueError: if the table names classes that there are not, or the network has several classes of one name
            that the dataset has.
    """

    def __init__(
        self,
        dataset: Sequence[str],
        network: Sequence[str] | None,
        table: Mapping[str, str | None] | None = None,
    ) -> None:
        self.indices: tuple[int | None, ...]
        if network is None:
            log.warning("The network names no classes; its outputs are taken for the dataset's %d.", len(dataset))
            network = tuple(dataset)
        if tuple(network) == tuple(dataset):
            self.indices = tuple(range(len(dataset)))
        else:
            _check_once(dataset, network)
            find = _finder(network)
            twins = _twins(dataset)
            self.indices = tuple(find(name, name not in twins) for name in dataset)
        if table:
            given = _given(table, dataset, network)
            self.indices = tuple(given.get(k, index) for k, index in enumerate(self.indices))
        self._say_what_is_absent(dataset)

    @classmethod
    def without_labels(cls, dataset: Sequence[str]) -> ClassMap:
        """The map in which the network has none of the dataset's classes."""
        found = cls((), ())
        found.indices = (None,) * len(dataset)
        return found

    @property
    def is_disjoint(self) -> bool:
        """Whether there are classes in the dataset, and the network has none of them."""
        return bool(self.indices) and all(index is None for index in self.indices)

    def _say_what_is_absent(self, dataset: Sequence[str]) -> None:
        absent = [name for name, index in zip(dataset, self.indices, strict=True) if index is None]
        if absent and not self.is_disjoint:
            log.warning(
                "The network lacks %d of the dataset's %d classes (%s): videos of these have no label here.",
                len(absent),
                len(dataset),
                ", ".join(absent[:_SHOWN]) + ", ..." * (len(absent) > _SHOWN),
            )

    def relabeled(self, videos: Iterable[Video]) -> list[Video]:
        """The videos with the network's labels; those of classes that it does not have are left out."""
        mapped = [(video, self(video.label)) for video in videos]
        return [replace(video, label=label) for video, label in mapped if label is not None]

    def __call__(self, label: int | None) -> int | None:
        """The network's index of a label of the dataset; None where it does not have that class."""
        return None if label is None else self.indices[label]


def class_map(
    dataset: Sequence[str], network: Sequence[str] | None, request: str | None, what: str = "net"
) -> ClassMap:
    """The map that the key `class_map` asks for.

    Args:
        dataset: names of the dataset's classes.
        network: names of the network's classes; None where unknown.
        request: None for classes of the same names, the path of a table, or `none` for no labels.
        what: which network it is, for messages.

    Raises:
        RequestError: if the table cannot be used, or the network has none of the dataset's classes.
    """
    if request is not None and not isinstance(request, str):
        raise RequestError(f"class_map must be null, none or the path of a table, got {request!r}")
    if request is not None and request.lower() == NONE:
        return ClassMap.without_labels(dataset)
    table = None if request is None else read_table(Path(request).expanduser())
    try:
        found = ClassMap(dataset, network, table)
    except ValueError as error:
        raise RequestError(f"{what if request is None else f'class_map={request}'}: {error}") from error
    if found.is_disjoint:
        raise RequestError(
            f"{what} has none of the {len(dataset)} classes of the dataset ({_listed(dataset)}); its "
            f"{len(network or ())} are {_listed(network or ())}. Give the network's class for each class of the "
            "dataset with class_map=table.csv, or class_map=none to do without labels"
        )
    return found


def read_table(path: Path) -> dict[str, str | None]:
    """A table of the network's class for each class of the dataset.

    Args:
        path: `.csv`, with a row `dataset class,network class` each, after a header `dataset,network` or none; or
            `.yaml`, a mapping. An empty or null class means that the network has none.

    Raises:
        RequestError: if it is none.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        pairs = _rows(text) if path.suffix.lower() == ".csv" else _mapping(text)
    except OSError as error:
        raise RequestError(f"class_map={path}: {error.strerror}. Give a table, .csv or .yaml, or none") from error
    except (ValueError, csv.Error, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise RequestError(
            f"class_map={path} is no table of the network's class for each class of the dataset: {reason}"
        ) from error
    return pairs


def _rows(text: str) -> dict[str, str | None]:
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines(), strict=True) if any(row)]
    if rows and [cell.lower() for cell in rows[0]] == ["dataset", "network"]:
        rows = rows[1:]
    wrong = [row for row in rows if len(row) != 2 or not row[0]]
    if wrong or not rows:
        raise ValueError(
            f"a row must be dataset class,network class; got {','.join(wrong[0])}" if wrong else "empty"
        )
    return _unambiguous([(name, other or None) for name, other in rows])


def _mapping(text: str) -> dict[str, str | None]:
    content: Any = yaml.safe_load(text)
    if not isinstance(content, dict) or not content:
        raise ValueError("it must be a mapping, dataset class: network class")
    return _unambiguous([(str(name), None if other is None else str(other)) for name, other in content.items()])


def _unambiguous(pairs: Sequence[tuple[str, str | None]]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name, other in pairs:
        if found.setdefault(name, other) != other:
            raise ValueError(f"{name} is both {found[name]} and {other}")
    return found


def _given(
    table: Mapping[str, str | None], dataset: Sequence[str], network: Sequence[str]
) -> dict[int, int | None]:
    """By index of the dataset's class, the network's index that a table says."""
    of_dataset, of_network = _finder(dataset), _finder(network)
    given: dict[int, int | None] = {}
    for name, other in table.items():
        index, place = of_dataset(name), None if other is None else of_network(other)
        if index is None:
            raise ValueError(f"{name} is no class of the dataset, which has {_listed(dataset)}")
        if other is not None and place is None:
            raise ValueError(f"{other} is no class of the network, which has {_listed(network)}")
        if given.setdefault(index, place) != place:
            raise ValueError(f"{dataset[index]} is there twice, as two classes of the network")
    return given


def _check_once(dataset: Sequence[str], network: Sequence[str]) -> None:
    counts = Counter(network)
    double = [name for name in dataset if counts[name] > 1]
    if double:
        raise ValueError(
            f"the network has {counts[double[0]]} classes of the name {double[0]}, so nobody knows which is the "
            "dataset's. Give each class of the network a name of its own"
        )


def _twins(names: Sequence[str]) -> set[str]:
    """The names that are not the only ones of their plain name, such as C and C++."""
    counts = Counter(map(_plain, names))
    return {name for name in names if counts[_plain(name)] > 1}


def _finder(names: Sequence[str]) -> Callable[..., int | None]:
    """What finds the index of a name: its own, or else the one that is the same but for case and punctuation."""
    exact = {name: index for index, name in reversed(list(enumerate(names)))}
    twins = _twins(names)
    plain = {_plain(name): index for index, name in enumerate(names) if name not in twins}

    def find(name: str, loosely: bool = True) -> int | None:
        return exact.get(name, plain.get(_plain(name)) if loosely else None)

    return find


def _listed(names: Sequence[str]) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
