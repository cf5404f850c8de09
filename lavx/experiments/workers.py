"""What one worker of several takes of its machine: some CPU threads and one GPU."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lavx.errors import RequestError

_MOST_ON_A_GPU = 64


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def n_threads(request: int | str, launcher: Mapping[str, Any] | None) -> int | None:
    """CPU threads for a worker; None leaves PyTorch's own choice.

    Args:
        request: `auto`, or a number.
        launcher: the settings of Hydra's launcher in a sweep; None for a single run.

    Raises:
        RequestError: if the request is neither.
    """
    if isinstance(request, int) and not isinstance(request, bool) and request >= 1:
        return request
    if request != "auto":
        raise RequestError(f"threads must be auto or a whole number >= 1, got {request}")
    kind = "" if launcher is None else str(launcher.get("_target_", ""))
    share: int | None = None
    if launcher is not None and "joblib" in kind:
        n_jobs = int(launcher.get("n_jobs") or 1)
        n_jobs = n_jobs if n_jobs > 0 else max(1, _cores() + 1 + n_jobs)
        share = max(1, _cores() // n_jobs)
    elif launcher is not None and "submitit" in kind:
        share = launcher.get("cpus_per_task") or (1 if "Local" in kind else _cores())
    elif launcher is not None and "ray" in kind:
        share = max(1, int(((launcher.get("ray") or {}).get("remote") or {}).get("num_cpus") or 1))
    limit = os.environ.get("OMP_NUM_THREADS", "")
    if share is not None and limit.isdigit() and int(limit) >= 1:
        share = min(share, int(limit))
    return share


@contextmanager
def device(request: str) -> Iterator[str]:
    """The device for a worker: with `auto` on a machine of several GPUs, the one that fewest workers hold.

    Each worker holds a lock named after its GPU for as long as it works, so that workers of any launcher, and
    of several commands, spread over the GPUs. GPUs hidden by CUDA_VISIBLE_DEVICES are never taken.
    """
    names = _gpus() if request == "auto" else []
    if len(names) < 2:
        yield request
        return
    folder = Path(tempfile.gettempdir()) / f"lavx-gpus-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    folder.mkdir(exist_ok=True)
    for place in range(_MOST_ON_A_GPU):
        for number, name in enumerate(names):
            lock = FileLock(folder / f"{name}.{place}")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            try:
                yield f"cuda:{number}"
            finally:
                lock.release()
            return
    yield request


def _gpus() -> list[str]:
    """A name for each visible GPU that is the same in every process of this machine."""
    import torch

    if not torch.cuda.is_available():
        return []
    properties = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    return [str(getattr(p, "uuid", number)) for number, p in enumerate(properties)]
