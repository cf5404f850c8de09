"""`ratings.csv`: the tidy table of a study, written by `lavx rate export` and read by `lavx report`."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lavx.errors import RequestError
from lavx.files import whole, write_text
from lavx.rating.schedule import CHECK, KINDS, RATING
from lavx.rating.store import connect, read_content
from lavx.text import csv_cell, csv_of

KEYS = ("dataset", "net", "method", "video_id")
NEEDED = ("rater", *KEYS, "score")
COLUMNS = (
    *NEEDED, "other_method", "kind", "design", "low", "high", "class", "position", "questions", "reaction_ms",
    "taken_back", "remark", "answered",
)  # fmt: skip
_PAIRS = "pairs"

_ANSWERS = """
SELECT r.name AS rater, i.dataset, i.net, i.method, i.video_id, a.value AS score, o.method AS other_method, t.kind,
  i.class_name AS class, t.position,
  (SELECT COUNT(*) FROM trials q WHERE q.rater = r.id) AS questions,
  a.reaction_ms, a.attempt AS taken_back, a.remark, a.received AS answered
FROM answers a JOIN trials t ON t.id = a.trial JOIN raters r ON r.id = t.rater JOIN items i ON i.id = t.item
  LEFT JOIN items o ON o.id = t.other
WHERE a.undone IS NULL ORDER BY r.id, t.position
"""


def export(file: Path, table: Path, copy: Path) -> int:
    """Write a study's ratings as a table, and a copy of its file; a study that is going on is not disturbed.

    Args:
        file: the study's.
        table: CSV, a row an answer.
        copy: SQLite, with everything that is stored but the secret links.

    Returns:
        How many answers there are.

    Raises:
        RequestError: if there is no study, or a file in the way was not written by lavx.
    """
    content = read_content(file)
    if content is None:
        raise RequestError(f"{file} holds no study. Begin one with lavx rate")
    _check_own(table)
    with whole(copy) as part:
        _copy(file, part)
        with sqlite3.connect(part) as connection:
            frame = pd.read_sql_query(_ANSWERS, connection)
        connection.close()
    low, high = content.protocol.range
    frame = frame.assign(design=content.protocol.design, low=low, high=high)
    frame["other_method"] = frame["other_method"].fillna("")
    frame["reaction_ms"] = frame["reaction_ms"].astype("Int64")
    write_text(table, csv_of(frame[list(COLUMNS)]))
    return len(frame)


def _check_own(table: Path) -> None:
    """Refuse to write over a table of somebody's own making."""
    if not table.exists():
        return
    with table.open(encoding="utf-8", errors="replace", newline="") as content:
        header = next(csv.reader(content), [])
    if header != list(COLUMNS):
        raise RequestError(f"{table} was not written by lavx rate export. Move it away first")


def _copy(file: Path, part: Path) -> None:
    source, target = connect(file), sqlite3.connect(part)
    try:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")
        target.execute("UPDATE raters SET link = NULL")
        target.execute("DELETE FROM study WHERE key = 'key'")
        target.commit()
        target.execute("VACUUM")  # so that the links are not left in free pages
    finally:
        source.close()
        target.close()


@dataclass(frozen=True)
class Ratings:
    """The ratings of a study.

    Attributes:
        frame: a row an answer: `COLUMNS`, of which those that the file lacks are empty.
        design: "likert", "slider" or "pairs".
        low: the smallest possible score.
        high: the largest.
    """

    frame: pd.DataFrame
    design: str
    low: float
    high: float

    def of_kind(self, kind: str) -> pd.DataFrame:
        """The answers of one kind."""
        return self.frame[self.frame.kind == kind]

    def scores(self, raters: Collection[str]) -> pd.DataFrame:
        """What counts of these raters, a row for each explanation they scored: `NEEDED`.

        In pairs each of the two explanations has a row: 1 where it was the better one, else 0.
        """
        own = self.of_kind(RATING)
        own = own[own.rater.isin(raters)]
        if self.design == _PAIRS:
            second = own.assign(method=own.other_method, score=1 - own.score)
            own = pd.concat([own, second])
        return own[list(NEEDED)].reset_index(drop=True)


def read_ratings(file: Path, items: pd.DataFrame, scale: Sequence[float] = (-2, 2)) -> Ratings | None:
    """Read `ratings.csv`; None where there is none, or it has no row.

    Args:
        file: written by `export`, or by hand with the columns `NEEDED`.
        items: the explanations that there are: columns `KEYS`.
        scale: smallest and largest score where the file does not say.

    Raises:
        RequestError: if columns are missing; if a score is no number or out of range, an explanation is unknown,
        or
            a rater scores one twice: with the number of the line.
    """
    if not file.exists():
        return None
    rows, lines = _rows(file)
    if not rows:
        return None
    known = {column: {csv_cell(name): str(name) for name in items[column].unique()} for column in KEYS}
    known["other_method"] = known["method"]
    for row in rows:
        for column, names in known.items():
            row[column] = names.get(row[column], row[column])
    design = _same(file, rows, "design")
    low, high = float(_same(file, rows, "low") or scale[0]), float(_same(file, rows, "high") or scale[1])
    there = set(items[list(KEYS)].astype(str).itertuples(index=False, name=None))
    seen: dict[tuple[str, ...], int] = {}
    for row, line in zip(rows, lines, strict=True):
        where = f"{file}, line {line}"
        row["kind"] = row["kind"] or RATING
        _check_score(row["score"], low, high, where, told=bool(row["low"]))
        _check_known(row, there, where)
        named = tuple(row[column] for column in ("rater", *KEYS, "other_method", "kind"))
        if row["kind"] == RATING and named in seen:
            raise RequestError(
                f"{where}: rater {row['rater']} scored this explanation in line {seen[named]} already"
            )
        seen[named] = line
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    for column in ("score", "position", "questions", "reaction_ms", "taken_back"):
        frame[column] = pd.to_numeric(frame[column], errors="coerce")
    return Ratings(frame, design or "likert", low, high)


def _rows(file: Path) -> tuple[list[dict[str, str]], list[int]]:
    """The rows, all columns in each, and the lines on which they end."""
    rows, lines = [], []
    with file.open(encoding="utf-8-sig", newline="") as content:
        reader = csv.DictReader(content)
        try:
            lacking = [column for column in NEEDED if column not in (reader.fieldnames or ())]
            if lacking:
                raise RequestError(
                    f"{file} lacks the columns {', '.join(lacking)}. It needs {', '.join(NEEDED)}, a row a score."
                )
            for row in reader:
                rows.append({column: (row.get(column) or "").strip() for column in COLUMNS})
                lines.append(reader.line_num)
        except (UnicodeDecodeError, csv.Error) as error:
            raise RequestError(f"{file}, line {reader.line_num + 1}: it is no CSV in UTF-8 ({error})") from error
    return rows, lines


def _same(file: Path, rows: Sequence[Mapping[str, str]], column: str) -> str:
    found = sorted({row[column] for row in rows})
    if len(found) > 1:
        raise RequestError(
            f"{file} has several values of {column} ({', '.join(found)}): one table is of one study"
        )
    return found[0]


def _check_score(text: str, low: float, high: float, where: str, told: bool) -> None:
    try:
        score = float(text)
    except ValueError:
        raise RequestError(f"{where}: the score must be a number from {low:g} to {high:g}, got {text!r}") from None
    if not low <= score <= high:
        advice = "" if told else ". If your scale is another one, say so: scale=[1,5]"
        raise RequestError(f"{where}: the score must be from {low:g} to {high:g}, got {text}{advice}")


def _check_known(row: Mapping[str, str], there: Collection[tuple[str, ...]], where: str) -> None:
    if not row["rater"]:
        raise RequestError(f"{where}: the rater must have a name")
    if row["kind"] not in KINDS:
        raise RequestError(f"{where}: kind must be one of {', '.join(KINDS)}, got {row['kind']!r}")
    if row["kind"] == CHECK:  # of heatmaps that are not among the results
        return
    for method in filter(None, (row["method"], row["other_method"])):
        key = (row["dataset"], row["net"], method, row["video_id"])
        if key not in there:
            raise RequestError(f"{where}: there is no explanation {' / '.join(key)} in the results")
