"""Calls of what may be slow or fail for a while: with a time limit, and again."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import torch

from lavx import checks

logger = logging.getLogger(__name__)


class CallError(RuntimeError):
    """A classifier that lavx called raised an error, which is its `__cause__`."""


class Calls:
    """Calls a function, at most so many seconds, and again where it fails.

    A call that takes too long goes on in its thread, since Python cannot end it, but nobody waits for it.

    Args:
        name: of the function, for messages.
        timeout: seconds a call may take; None for as long as it takes.
        retries: how often a call that failed or took too long is made again.
        backoff: seconds before the first of these; each further one waits twice as long as the last.

    Raises:
        ValueError: if a parameter is not one of those allowed.
    """

    def __init__(self, name: str, timeout: float | None = None, retries: int = 0, backoff: float = 1.0) -> None:
        self.name = name
        self._timeout = None if timeout is None else checks.positive("timeout", timeout)
        self._retries = checks.whole("retries", retries, least=0)
        self._backoff = checks.at_least("backoff", backoff)

    def __call__(self, function: Callable[[Any], Any], argument: Any) -> Any:
        """What the function answers. Lack of memory is passed on at once, for it asks for smaller batches.

        Args:
            function: called with the argument.
            argument: made anew by calling it, for each try: a function may change what it is given.

        Raises:
            CallError: from the function's own error, where the last try failed.
            TimeoutError: where the last try took too long.
        """
        for n_tries in range(1, self._retries + 2):
            try:
                return self._call(function, argument())
            except (torch.OutOfMemoryError, MemoryError):
                raise
            except Exception as error:
                last = error
            if n_tries <= self._retries:
                wait = self._backoff * 2 ** (n_tries - 1)
                logger.warning("%s: %s; again in %g s.", self.name, self._said(last), wait)
                time.sleep(wait)
        tries = f" in the last of {self._retries + 1} tries" if self._retries else ""
        if isinstance(last, _TooSlow):
            raise TimeoutError(
                f"{self.name} {self._said(last)}{tries}; allow it more with timeout=..., give it fewer clips a "
                "call with batch_size=1, or let it take as long as it takes with timeout=None."
            )
        raise CallError(f"{self.name} {self._said(last)}{tries}") from last

    def _said(self, error: Exception) -> str:
        if isinstance(error, _TooSlow):
            return f"did not answer within {self._timeout:g} s"
        return f"raised {type(error).__name__}: {error}"

    def _call(self, function: Callable[[Any], Any], argument: Any) -> Any:
        if self._timeout is None:
            with torch.no_grad():
                return function(argument)
        done: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

        def run() -> None:
            try:
                with torch.no_grad():  # a setting of each thread
                    done.put((True, function(argument)))
            except BaseException as error:  # raised where it is waited for
                done.put((False, error))

        # A daemon: a pool of threads would keep Python from ending for as long as the call takes.
        threading.Thread(target=run, daemon=True, name=f"lavx: {self.name}").start()
        try:
            well, answer = done.get(timeout=self._timeout)
        except queue.Empty:
            raise _TooSlow from None
        if not well:
            raise answer
        return answer


class _TooSlow(Exception):
    """A call took longer than it may."""
