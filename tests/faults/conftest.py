"""What the fault-injection suite shares: lavx in processes that start at once, and the table of counts at the end.

scripts/test -m slow tests/faults
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cells import finished
from lavx_process import Lavx

_FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_FOLDER):
            item.add_marker(pytest.mark.slow)


@dataclass
class Tally:
    """The counts of one test, a row of the table.

    Attributes:
        faults: injected.
        lost: finished results that are gone.
        wrong: results that differ from those of an undisturbed run, or that say nothing of what went wrong.
        tracebacks: that a user would have seen.
        notes: what else there is to say.
    """

    name: str
    faults: int = 0
    lost: int = 0
    wrong: int = 0
    tracebacks: int = 0
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def clean(self) -> bool:
        return (self.lost, self.wrong, self.tracebacks) == (0, 0, 0)


_ROWS = pytest.StashKey[list[Tally]]()


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Iterator[Tally]:
    """Counts for the table; a test asserts that it is `clean`."""
    row = Tally(request.node.name.removeprefix("test_").replace("_", " "))
    request.config.stash.setdefault(_ROWS, []).append(row)
    start = time.monotonic()
    yield row
    row.seconds = time.monotonic() - start


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash.get(_ROWS, [])
    if not rows:
        return
    terminalreporter.section("faults injected")
    total = Tally("all")
    for row in rows:
        for count in ("faults", "lost", "wrong", "tracebacks", "seconds"):
            setattr(total, count, getattr(total, count) + getattr(row, count))
    width = max(len(row.name) for row in rows)
    terminalreporter.write_line(f"{'':{width}}  faults   lost  wrong  tracebacks  seconds")
    for row in (*rows, total):
        notes = f"  {', '.join(row.notes)}" if row.notes else ""
        terminalreporter.write_line(
            f"{row.name:{width}}  {row.faults:6}  {row.lost:5}  {row.wrong:5}  {row.tracebacks:10}  "
            f"{row.seconds:7.0f}{notes}"
        )


@pytest.fixture(scope="session")
def lavx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lavx]:
    """Starts commands, all with the same cache of videos."""
    with Lavx(tmp_path_factory.mktemp("cache")) as processes:
        yield processes


@pytest.fixture(scope="module")
def whole(lavx: Lavx, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished cell, undisturbed."""
    return finished(lavx, tmp_path_factory.mktemp("whole"))
