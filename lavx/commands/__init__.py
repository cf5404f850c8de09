"""The commands, one module each."""

from __future__ import annotations

import sys
from collections.abc import Callable

from lavx.errors import RequestError

OK, SOME_FAILED, UNUSABLE, INTERRUPTED = 0, 1, 2, 130

statuses: list[int] = []  # of the jobs that ran in this process; the command's exit status is the worst


def guarded(job: Callable[[], int]) -> int:
    """Run one job; an unusable request becomes its message and exit status 2."""
    try:
        status = job()
    except RequestError as error:
        print(f"lavx: {error}", file=sys.stderr)
        status = UNUSABLE
    except Exception:
        statuses.append(SOME_FAILED)
        raise
    statuses.append(status)
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    return status
