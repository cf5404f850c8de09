"""The global random generators of Python, NumPy and PyTorch (that of the CPU): saved, restored, seeded."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class RandomState:
    """The states of the three generators."""

    python: Any
    numpy: Any
    torch: torch.Tensor


def save() -> RandomState:
    """The present states."""
    return RandomState(random.getstate(), np.random.get_state(), torch.get_rng_state())


def restore(state: RandomState) -> None:
    """Set the generators to what `save` returned."""
    random.setstate(state.python)
    np.random.set_state(state.numpy)
    torch.set_rng_state(state.torch)


@contextlib.contextmanager
def seeded(*seed: int) -> Iterator[None]:
    """Start the generators from a seed of any number of parts; restore them at the end."""
    state = save()
    words = np.random.SeedSequence(seed).generate_state(4)
    random.seed(int(words[0]))
    np.random.seed(words)
    torch.default_generator.manual_seed(int(words[1]))  # torch.manual_seed would seed the GPUs' as well
    try:
        yield
    finally:
        restore(state)


def seed_torch(*seed: int) -> None:
    """Seed PyTorch's generators, those of the GPUs as well."""
    torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
