"""Being asked to stop: by Ctrl-C, by a scheduler (SIGTERM), or by a terminal that is closed (SIGHUP)."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

INTERRUPTED = 130
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
_PATIENCE = 10.0  # seconds that the workers of a sweep have to write down where they are


class Stopped(KeyboardInterrupt):
    """This process was sent a signal that asks it to stop.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


_asked: int | None = None  # the signal that came first; later ones change nothing
_n_jobs = 0  # at work in this process
_passed_on = threading.Event()  # set when the workers of a sweep were told


def exit_status(stop: KeyboardInterrupt) -> int:
    """The conventional exit status: 128 and the number of the signal."""
    return 128 + stop.number if isinstance(stop, Stopped) else INTERRUPTED


def reason(stop: KeyboardInterrupt) -> str:
    """Why the work stopped, in words."""
    if not isinstance(stop, Stopped):
        return "interrupted"
    why = {"SIGTERM": " (a scheduler, or kill)", "SIGHUP": " (the terminal was closed)"}
    name = signal.Signals(stop.number).name
    return f"stopped by {name}{why.get(name, '')}"


def raise_again(status: int) -> None:
    """Raise what a job answered with the exit status of; nothing for the status of a job that was not stopped."""
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    if status - 128 in _SIGNALS:
        raise Stopped(status - 128)


def check() -> None:
    """Stop now if a signal came whose exception was swallowed, as by a network's own `except:`."""
    if _asked is not None:
        raise Stopped(_asked)


@contextmanager
def listening() -> Iterator[None]:
    """Raise `Stopped` in the main thread when SIGTERM or SIGHUP comes.

    A signal that somebody else handles or ignores (submitit, `nohup`) is left to them. The worker of a launcher
    goes on listening when a job has ended: it leaves it to the process that started it to stop.
    """
    global _asked
    previous = {}
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if signal.getsignal(number) is signal.SIG_DFL:
                previous[number] = signal.signal(number, _stop)
    if previous:
        _asked = None
        _passed_on.clear()
    try:
        yield
    finally:
        if not _is_worker():
            for number, handler in previous.items():
                signal.signal(number, handler)
            if previous:
                _asked = None  # what begins later in this process was not asked to stop


@contextmanager
def working() -> Iterator[None]:
    """A job at work in this process."""
    global _n_jobs
    with listening():
        _n_jobs += 1
        try:
            check()
            yield
        finally:
            _n_jobs -= 1


def _is_worker() -> bool:
    return multiprocessing.parent_process() is not None


def _stop(number: int, frame: FrameType | None) -> None:
    global _asked
    if _asked is not None:
        return
    if _n_jobs == 0 and (_is_worker() or _pass_on(number)):
        return
    _asked = number
    raise Stopped(number)


def _pass_on(number: int) -> bool:
    """Let the workers of a sweep stop first, which then ends here as their exception; False if there are none."""
    workers = multiprocessing.active_children()
    if not workers or _passed_on.is_set():
        return False
    _passed_on.set()
    for worker in workers:
        with suppress(OSError, TypeError):
            os.kill(worker.pid, number)  # type: ignore[arg-type]
    late = threading.Timer(_PATIENCE, os.kill, (os.getpid(), number))
    late.daemon = True
    late.start()
    return True
