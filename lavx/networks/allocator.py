"""Let glibc keep the memory that large tensors used, instead of mapping it afresh for each of them."""

from __future__ import annotations

import ctypes
import functools
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


@functools.cache
def keep_freed_memory() -> None:
    """Make malloc serve large blocks from the heap and never trim it (glibc only; elsewhere nothing happens).

    On the CPU about half the time of a batch goes into page faults of freshly mapped memory otherwise. The
    price is that freed memory stays with the process.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # absent in other C libraries, musl among them
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, -1)
