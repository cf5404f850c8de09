"""The log of a run: its own file, and the grave things on the terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class _LogFile(logging.FileHandler):
    """A log that a full disk cuts off, which is told where results are written."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Leave a line out that cannot be written."""

    def close(self) -> None:
        """Close the file, with or without its last lines."""
        with suppress(OSError):
            super().close()


@contextmanager
def logging_to(path: Path, shown: int = logging.WARNING) -> Iterator[None]:
    """Send lavx's log to the run's own file, and what is at least as grave as `shown` to the terminal."""
    root = logging.getLogger("lavx")
    to_file = _LogFile(path, encoding="utf-8", errors="backslashreplace")
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    to_terminal = logging.StreamHandler(sys.stderr)
    to_terminal.setLevel(shown)
    to_terminal.setFormatter(logging.Formatter("lavx: %(message)s"))
    root.setLevel(logging.INFO)
    root.propagate = False
    for handler in (to_file, to_terminal):
        root.addHandler(handler)
    try:
        yield
    finally:
        for handler in (to_file, to_terminal):
            root.removeHandler(handler)
            handler.close()
