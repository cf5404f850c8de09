"""Where ratings are kept: one SQLite file, in which an answer is on the disk before its rater is told so.

A single thread writes. It commits what has come meanwhile at once, so that fifty raters wait for one write of the
disk
and not for fifty, and answers each of them after that. Answers are never changed: what is taken back is marked so.
"""

from __future__ import annotations

import queue
import re
import secrets
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from lavx.errors import RequestError
from lavx.rating.items import Group, Item
from lavx.rating.protocol import LONGEST_REMARK, Protocol
from lavx.rating.schedule import PRACTICE, Scheduler

VERSION = 1
MOST_RATERS = 10_000
_LINK = re.compile(r"[A-Za-z0-9_-]{22}")
_AT_ONCE = 64  # requests in one transaction
_LONGEST_TIME = 24 * 3600 * 1000  # milliseconds

_SCHEMA = """
CREATE TABLE study (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE items (
  id INTEGER PRIMARY KEY, role TEXT NOT NULL, dataset TEXT NOT NULL, net TEXT NOT NULL, method TEXT NOT NULL,
  video_id TEXT NOT NULL, class_name TEXT NOT NULL, place TEXT NOT NULL);
CREATE TABLE raters (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, link TEXT UNIQUE, enrolled TEXT NOT NULL, agreed TEXT,
  withdrawn TEXT);
CREATE TABLE trials (
  id INTEGER PRIMARY KEY, rater INTEGER NOT NULL REFERENCES raters, position INTEGER NOT NULL, kind TEXT NOT NULL,
  item INTEGER NOT NULL REFERENCES items, other INTEGER REFERENCES items, token TEXT NOT NULL UNIQUE,
  UNIQUE (rater, position));
CREATE TABLE answers (
  id INTEGER PRIMARY KEY, trial INTEGER NOT NULL REFERENCES trials, attempt INTEGER NOT NULL, value INTEGER NOT
  NULL,
  reaction_ms INTEGER, remark TEXT NOT NULL, received TEXT NOT NULL, undone TEXT, UNIQUE (trial, attempt));
"""

T = TypeVar("T")


class Refused(Exception):
    """A request of a page that cannot be granted.

    Args:
        status: of HTTP.
        message: for the rater.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Rater:
    """A rater of a study.

    Attributes:
        id: number, from 1.
        name: how tables call the rater.
        link: the secret part of the address of the rater's page.
    """

    id: int
    name: str
    link: str


@dataclass(frozen=True)
class State:
    """Where a rater is.

    Attributes:
        stage: "welcome", "trial", "done" or "withdrawn".
        done: answers so far, of the current part: practice, or the rest.
        total: questions in it.
        practice: whether the current question is practice.
        token: names the current question; empty where there is none.
        attempt: how often an answer to it was taken back.
        item: number of the item shown.
        other: number of the second item of a pair.
        last: names the question whose answer can be taken back; empty where there is none.
        last_attempt: how often an answer to that one was taken back.
        upcoming: token of the question after it; empty where there is none.
    """

    stage: str
    done: int = 0
    total: int = 0
    practice: bool = False
    token: str = ""
    attempt: int = 0
    item: int = 0
    other: int | None = None
    last: str = ""
    last_attempt: int = 0
    upcoming: str = ""


def now() -> str:
    """A time stamp."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def connect(file: Path) -> sqlite3.Connection:
    """Open a study's file such that what was committed outlives a power loss."""
    connection = sqlite3.connect(file, isolation_level=None, timeout=30)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")  # what a rater has deleted is not left in the file
    return connection


def create(file: Path, protocol: Protocol, items: Sequence[Item], seconds: float) -> None:
    """Begin a study in a new file; it is there whole or not at all."""
    connection = connect(file)
    try:
        connection.execute("BEGIN EXCLUSIVE")
        for statement in filter(str.strip, _SCHEMA.split(";")):
            connection.execute(statement)
        values = {
            "version": str(VERSION),
            "created": now(),
            "protocol": protocol.to_json(),
            "seconds": repr(seconds),
            "key": secrets.token_urlsafe(16),
        }
        connection.executemany("INSERT INTO study VALUES (?, ?)", values.items())
        rows = [(i.role, i.dataset, i.net, i.method, i.video_id, i.class_name, i.place) for i in items]
        connection.executemany(
            "INSERT INTO items (role, dataset, net, method, video_id, class_name, place) VALUES (?, ?, ?, ?, ?, "
            "?, ?)",
            rows,
        )
        connection.execute("COMMIT")
    finally:
        connection.close()


@dataclass(frozen=True)
class Content:
    """What a study's file says of the study itself.

    Attributes:
        protocol: of the study.
        items: by number.
        seconds: length of the loop.
        created: when the study began.
        key: needed to begin from another computer.
    """

    protocol: Protocol
    items: dict[int, Item]
    seconds: float
    created: str
    key: str


def read_content(file: Path) -> Content | None:
    """What is in a study's file; None where none was begun in it.

    Raises:
        RequestError: if it is none, is damaged, or was made by a later lavx.
    """
    if not file.exists() or not file.stat().st_size:
        return None
    try:
        connection = connect(file)
        try:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'study'").fetchone():
                return None
            values = dict(connection.execute("SELECT key, value FROM study").fetchall())
            version = int(values["version"])
            if version > VERSION:
                raise RequestError(
                    f"{file} was written by a later lavx (version {version}; this one reads up to {VERSION})"
                )
            rows = connection.execute("SELECT * FROM items ORDER BY id").fetchall()
        finally:
            connection.close()
        items = {row["id"]: Item(*(row[key] for key in row.keys()[1:])) for row in rows}
        protocol = Protocol.from_json(values["protocol"])
        return Content(protocol, items, float(values["seconds"]), values["created"], values["key"])
    except (sqlite3.DatabaseError, KeyError, TypeError, ValueError) as error:
        raise RequestError(f"{file} is no file of lavx rate, or a damaged one ({error})") from error


class Store:
    """The ratings of a study, for many raters at once.

    Args:
        file: the study's, begun.
        content: what it says of the study.
    """

    def __init__(self, file: Path, content: Content) -> None:
        self.content = content
        self._scheduler = Scheduler(content.protocol, content.items)
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._db: sqlite3.Connection
        self._scrub = False  # whether deleted answers are still in the log of the file
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._work, args=(file, ready), daemon=True)
        self._thread.start()
        ready.result()

    def close(self) -> None:
        """Answer what has come, and close the file."""
        self._jobs.put(None)
        self._thread.join()

    def _submit(self, job: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        self._jobs.put((job, future))
        return future

    def _work(self, file: Path, ready: Future[None]) -> None:
        try:
            self._db = connect(file)
        except sqlite3.Error as error:
            ready.set_exception(error)
            return
        ready.set_result(None)
        try:
            ended = False
            while not ended:
                batch = [self._jobs.get()]
                while len(batch) < _AT_ONCE and not self._jobs.empty():
                    batch.append(self._jobs.get())
                ended = None in batch
                self._run([entry for entry in batch if entry is not None])
        finally:
            self._db.close()

    def _run(self, batch: list[tuple[Callable[[], Any], Future[Any]]]) -> None:
        """Run jobs in one transaction, each whole or not at all; tell their results once they are on the disk."""
        results: list[tuple[Future[Any], Any, Exception | None]] = []
        batch = [entry for entry in batch if entry[1].set_running_or_notify_cancel()]
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for job, future in batch:
                results.append((future, *self._run_one(job)))
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            for _, future in batch:
                future.set_exception(error)
            return
        if self._scrub:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._scrub = False
        for future, result, failure in results:
            if failure is not None:
                future.set_exception(failure)
            else:
                future.set_result(result)

    def _run_one(self, job: Callable[[], Any]) -> tuple[Any, Exception | None]:
        self._db.execute("SAVEPOINT job")
        try:
            result, failure = job(), None
        except sqlite3.OperationalError:
            raise  # of the file or the disk: it concerns all
        except Exception as error:  # noqa: BLE001  the rater who asked is told
            self._db.execute("ROLLBACK TO job")
            result, failure = None, error
        self._db.execute("RELEASE job")
        return result, failure

    # --- What pages ask for: each returns a future, whose result is on the disk ---

    def enroll(self, name: str | None = None) -> Future[Rater]:
        """A new rater, or the one of that name."""
        return self._submit(lambda: self._enroll(name))

    def raters(self) -> Future[list[Rater]]:
        """All of them."""
        return self._submit(lambda: [_rater(row) for row in self._db.execute("SELECT * FROM raters ORDER BY id")])

    def state(self, link: str) -> Future[State]:
        """Where the rater of a link is."""
        return self._submit(lambda: self._state(self._rater(link)))

    def agree(self, link: str) -> Future[State]:
        """Note that the rater has read the instructions, and agrees where that is asked for."""
        return self._submit(lambda: self._agree(link))

    def answer(
        self, link: str, token: str, attempt: int, value: object, reaction_ms: object, remark: object
    ) -> Future[State]:
        """Keep an answer; the same one again changes nothing."""
        return self._submit(lambda: self._answer(link, token, attempt, value, reaction_ms, remark))

    def undo(self, link: str, token: str, attempt: int) -> Future[State]:
        """Take back the last answer, which the request names; the same request again changes nothing."""
        return self._submit(lambda: self._undo(link, token, attempt))

    def withdraw(self, link: str) -> Future[State]:
        """Delete all answers of a rater."""
        return self._submit(lambda: self._withdraw(link))

    def item(self, link: str, token: str, side: int) -> Future[int]:
        """Number of the item of one of a rater's questions: the first (0), or the second of a pair (1)."""
        return self._submit(lambda: self._item(link, token, side))

    # --- The same, in the thread of the file ---

    def _rater(self, link: str) -> sqlite3.Row:
        row = None
        if _LINK.fullmatch(link):
            row = self._db.execute("SELECT * FROM raters WHERE link = ?", (link,)).fetchone()
        if row is None:
            raise Refused(404, "There is no such page. Please use the link that you were given, whole.")
        return row  # type: ignore[no-any-return]

    def _enroll(self, name: str | None) -> Rater:
        row = None
        if name is not None:
            row = self._db.execute("SELECT * FROM raters WHERE name = ?", (name,)).fetchone()
        if row is not None:
            return _rater(row)
        number = self._db.execute("SELECT COALESCE(MAX(id), 0) FROM raters").fetchone()[0]
        if number >= MOST_RATERS:
            raise Refused(403, "This study takes no more raters.")
        given = name or f"r{number + 1:03d}"
        link = secrets.token_urlsafe(16)
        rater = self._db.execute(
            "INSERT INTO raters (name, link, enrolled) VALUES (?, ?, ?)", (given, link, now())
        ).lastrowid
        assert rater is not None
        trials = self._scheduler.trials(rater - 1, self._blocks())
        rows = [
            (rater, k, trial.kind, trial.item, trial.other, secrets.token_urlsafe(16))
            for k, trial in enumerate(trials)
        ]
        self._db.executemany(
            "INSERT INTO trials (rater, position, kind, item, other, token) VALUES (?, ?, ?, ?, ?, ?)", rows
        )
        return Rater(rater, given, link)

    def _blocks(self) -> list[set[Group]]:
        """What the raters were given who have not withdrawn."""
        if self.content.protocol.items_per_rater is None:
            return []
        rows = self._db.execute(
            "SELECT DISTINCT rater, item FROM trials JOIN raters ON raters.id = rater "
            "WHERE kind = 'rating' AND withdrawn IS NULL"
        )
        blocks: dict[int, set[Group]] = {}
        for rater, item in rows:
            blocks.setdefault(rater, set()).add(self.content.items[item].group)
        return list(blocks.values())

    def _open(self, rater: int) -> list[sqlite3.Row]:
        """The next two questions that have no answer."""
        return self._db.execute(
            "SELECT t.*, (SELECT COUNT(*) FROM answers u WHERE u.trial = t.id) AS attempt FROM trials t "
            "WHERE t.rater = ? AND NOT EXISTS (SELECT 1 FROM answers a WHERE a.trial = t.id AND a.undone IS NULL) "
            "ORDER BY t.position LIMIT 2",
            (rater,),
        ).fetchall()

    def _state(self, rater: sqlite3.Row) -> State:
        if rater["withdrawn"] is not None:
            return State("withdrawn")
        if rater["agreed"] is None:
            return State("welcome")
        first = self._db.execute(
            "SELECT COUNT(*) FROM trials WHERE rater = ? AND kind = ?", (rater["id"], PRACTICE)
        ).fetchone()[0]
        total = self._db.execute("SELECT COUNT(*) FROM trials WHERE rater = ?", (rater["id"],)).fetchone()[0]
        found = self._open(rater["id"])
        position = found[0]["position"] if found else total
        practice = position < first
        part = (
            {"done": position, "total": first} if practice else {"done": position - first, "total": total - first}
        )
        if not found:
            return State("done", **part, **self._last(rater["id"]))
        trial = found[0]
        return State(
            "trial",
            **part,
            practice=practice,
            token=trial["token"],
            attempt=trial["attempt"],
            item=trial["item"],
            other=trial["other"],
            upcoming=found[1]["token"] if len(found) > 1 else "",
            **self._last(rater["id"]),
        )

    def _last(self, rater: int) -> dict[str, Any]:
        row = self._db.execute(
            "SELECT t.token, a.attempt FROM trials t JOIN answers a ON a.trial = t.id "
            "WHERE t.rater = ? AND a.undone IS NULL ORDER BY t.position DESC LIMIT 1",
            (rater,),
        ).fetchone()
        return {} if row is None else {"last": row["token"], "last_attempt": row["attempt"]}

    def _agree(self, link: str) -> State:
        rater = self._rater(link)
        if rater["withdrawn"] is None and rater["agreed"] is None:
            self._db.execute("UPDATE raters SET agreed = ? WHERE id = ?", (now(), rater["id"]))
        return self._state(self._rater(link))

    def _trial(self, rater: sqlite3.Row, token: str) -> sqlite3.Row:
        if rater["withdrawn"] is not None or rater["agreed"] is None:
            raise Refused(409, "There is no question to answer now.")
        row = self._db.execute(
            "SELECT t.*, (SELECT COUNT(*) FROM answers u WHERE u.trial = t.id AND u.undone IS NOT NULL) AS "
            "attempt "
            "FROM trials t WHERE t.rater = ? AND t.token = ?",
            (rater["id"], token),
        ).fetchone()
        if row is None:
            raise Refused(404, "There is no such question.")
        return row  # type: ignore[no-any-return]

    def _answer(
        self, link: str, token: str, attempt: int, value: object, reaction_ms: object, remark: object
    ) -> State:
        rater = self._rater(link)
        trial = self._trial(rater, token)
        try:
            number = self.content.protocol.check_answer(value)
        except ValueError as error:
            raise Refused(400, f"{error}.") from error
        words, duration = self._words(remark), _duration(reaction_ms)
        given = self._db.execute(
            "SELECT * FROM answers WHERE trial = ? AND undone IS NULL", (trial["id"],)
        ).fetchone()
        if given is not None:
            if (given["attempt"], given["value"]) == (
                attempt,
                number,
            ):  # sent again, as the acknowledgment was lost
                return self._state(rater)
            raise Refused(409, "This question has been answered already, perhaps in another window.")
        if attempt != trial["attempt"]:
            raise Refused(409, "This answer was taken back.")
        if self._open(rater["id"])[0]["id"] != trial["id"]:
            raise Refused(409, "Questions are answered in their order.")
        self._db.execute(
            "INSERT INTO answers (trial, attempt, value, reaction_ms, remark, received) VALUES (?, ?, ?, ?, ?, ?)",
            (trial["id"], attempt, number, duration, words, now()),
        )
        return self._state(rater)

    def _words(self, remark: object) -> str:
        if remark in (None, ""):
            return ""
        if not self.content.protocol.remarks:
            raise Refused(400, "This study takes no remarks.")
        if not isinstance(remark, str) or len(remark) > LONGEST_REMARK or not _is_text(remark):
            raise Refused(400, f"A remark must be a text of at most {LONGEST_REMARK} characters.")
        return remark

    def _undo(self, link: str, token: str, attempt: int) -> State:
        rater = self._rater(link)
        trial = self._trial(rater, token)
        if attempt < trial["attempt"]:  # sent again, as the acknowledgment was lost
            return self._state(rater)
        if self._last(rater["id"]) != {"last": token, "last_attempt": attempt}:
            raise Refused(409, "Only the last answer can be taken back.")
        self._db.execute(
            "UPDATE answers SET undone = ? WHERE trial = ? AND attempt = ?", (now(), trial["id"], attempt)
        )
        return self._state(rater)

    def _withdraw(self, link: str) -> State:
        rater = self._rater(link)
        if rater["withdrawn"] is None:
            self._db.execute(
                "DELETE FROM answers WHERE trial IN (SELECT id FROM trials WHERE rater = ?)", (rater["id"],)
            )
            self._db.execute("UPDATE raters SET withdrawn = ? WHERE id = ?", (now(), rater["id"]))
            self._scrub = True
        return self._state(self._rater(link))

    def _item(self, link: str, token: str, side: int) -> int:
        trial = self._trial(self._rater(link), token)
        number = trial["item"] if side == 0 else trial["other"]
        if number is None:
            raise Refused(404, "There is no such video.")
        return int(number)


def _rater(row: sqlite3.Row) -> Rater:
    return Rater(row["id"], row["name"], row["link"])


def _is_text(value: str) -> bool:
    """Whether a text can be stored: lone surrogates, which JSON can hold, cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\x00" not in value


def _duration(value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LONGEST_TIME:
        raise Refused(400, "A reaction time must be a whole number of milliseconds, at most a day.")
    return value
