"""The log of a run: its own file, and the grave things on the terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def logging_to(path: Path, shown: int = logging.WARNING) -> Iterator[None]:
    """Send lavx's log to the run's own file, and what is at least as grave as `shown` to the terminal."""
    root = logging.getLogger("lavx")
    to_file = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
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
