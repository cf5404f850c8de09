"""The commands, one module each."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lavx import stopping
from lavx.errors import RequestError
from lavx.experiments import job_statuses
from lavx.files import why_not_writable
from lavx.terminal import outlast_terminal
from lavx.text import print_any_text, visible

OK, SOME_FAILED, UNUSABLE = 0, 1, 2

statuses: list[int] = []  # of the jobs that ran in this process; the command's exit status is the worst


def guarded(job: Callable[[], int]) -> int:
    """Run one job; an invalid request, or a disk that is full, becomes a message and exit status 2.

    Raises:
        KeyboardInterrupt: if the job was interrupted; `stopping.Stopped` if by a signal.
    """
    outlast_terminal()  # here too, as a launcher may have put the job into another process
    print_any_text()
    try:
        with stopping.working():
            status = job()
    except RequestError as error:
        print(f"lavx: {visible(str(error), lines=True)}", file=sys.stderr)
        status = UNUSABLE
    except KeyboardInterrupt as stop:
        _tell(stopping.exit_status(stop))
        raise
    except Exception as error:
        if (reason := why_not_writable(error)) is None:
            _tell(SOME_FAILED)
            raise
        print(f"lavx: cannot write ({reason}): {' '.join(str(error).split())}", file=sys.stderr)
        status = UNUSABLE
    _tell(status)
    stopping.raise_again(status)
    return status


def begin_job(threads: int | str | None = None) -> None:
    """Make ready for a job, which a launcher may have put anywhere: go to where the command was given.

    Args:
        threads: CPU threads as the configuration has them; None to leave them.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    runtime = HydraConfig.get()
    here = Path(runtime.runtime.cwd)
    if here.is_dir() and here != Path.cwd():
        os.chdir(here)  # a Ray worker starts elsewhere
    if threads is None:
        return
    from lavx.experiments.workers import n_threads

    launcher: Any = None
    if runtime.mode == RunMode.MULTIRUN:
        launcher = OmegaConf.to_container(runtime.launcher, resolve=False)
    number = n_threads(threads, launcher)
    if number is not None:
        import torch

        torch.set_num_threads(number)


def _tell(status: int) -> None:
    statuses.append(status)
    job_statuses.tell(status)


@contextmanager
def gathering() -> Iterator[None]:
    """Learn the exit statuses of a sweep's jobs, wherever its launcher runs them."""
    try:
        yield
    finally:
        statuses.extend(job_statuses.gathered() or [])  # beside those of this process: the worst counts
