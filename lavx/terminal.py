"""Printing to a terminal or a pipe that may go away while the work goes on."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any

_GONE = (errno.EPIPE, errno.EIO, errno.ENXIO, errno.EBADF, errno.ENODEV)  # nobody is there to read


class _Output(io.FileIO):
    """A file descriptor that swallows what cannot be written to it."""

    lost: OSError | None = None

    def write(self, data: Any) -> int:
        """Write some bytes; all of them count as written once the reader is gone."""
        if self.lost is None:
            try:
                return super().write(data)
            except OSError as error:
                self.lost = error
        return memoryview(data).nbytes


def outlast_terminal() -> None:
    """Make what this process prints vanish quietly once nobody can read it: `| head -1`, a closed terminal.

    The results are files; a reader who has gone away is no reason to give them up.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # it was closed before this process began
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif type(stream) is io.TextIOWrapper and _raw(stream) is None:
            try:
                number = stream.fileno()
                stream.flush()
            except (OSError, ValueError):
                continue
            output = io.BufferedWriter(_Output(number, "w", closefd=False))
            wrapped = io.TextIOWrapper(
                output,
                encoding=stream.encoding,
                errors="backslashreplace",
                line_buffering=stream.line_buffering,
                write_through=stream.write_through,
            )
            setattr(sys, name, wrapped)


def why_lost() -> str | None:
    """Why standard output was lost although somebody may be waiting for it, as on a full disk; else None."""
    stream = sys.stdout
    if not isinstance(stream, io.TextIOWrapper) or (raw := _raw(stream)) is None:
        return None
    stream.flush()
    return None if raw.lost is None or raw.lost.errno in _GONE else raw.lost.strerror


def _raw(stream: io.TextIOWrapper) -> _Output | None:
    raw = getattr(stream.buffer, "raw", None)
    return raw if isinstance(raw, _Output) else None
