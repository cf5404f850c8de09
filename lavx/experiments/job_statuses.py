"""How the jobs of a sweep tell their exit statuses: through a folder that all of them see."""

from __future__ import annotations

import os
import shutil
import uuid
from contextlib import suppress
from pathlib import Path

from lavx.errors import RequestError

_FOLDER = "LAVX_STATUSES"  # the environment variable that names it, which launchers hand on


def gather(place: Path) -> None:
    """Have the jobs that begin from now on tell their exit statuses.

    Args:
        place: a folder that all of them see.

    Raises:
        RequestError: if it cannot be written.
    """
    folder = place.absolute() / f".sweep-{uuid.uuid4().hex[:8]}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise RequestError(f"cannot write to {place} ({error.strerror}); set outputs=...") from error
    os.environ[_FOLDER] = str(folder)


def tell(status: int) -> None:
    """Tell the exit status of a job, where a sweep asked for it."""
    if folder := os.environ.get(_FOLDER):
        with suppress(OSError):  # the sweep has ended
            Path(folder, uuid.uuid4().hex).write_text(str(status))


def gathered() -> list[int] | None:
    """What the jobs told since `gather`; None where that was not called."""
    folder = os.environ.pop(_FOLDER, None)
    if folder is None:
        return None
    found = [_told(file) for file in Path(folder).iterdir()]
    shutil.rmtree(folder, ignore_errors=True)
    return found


def _told(file: Path) -> int:
    text = file.read_text()
    return int(text) if text.isdigit() else 1  # cut off: the disk is full, or the job was killed
