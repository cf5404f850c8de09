"""Batches of one size, for networks that take no other."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def in_batches_of(size: int, clips: Tensor, call: Callable[[Tensor], Tensor]) -> Tensor:
    """Outputs (B, K) of clips (B, ...), `size` at a time; the last batch is filled up by its last clip.

    Args:
        size: clips a call.
        clips: any number of them.
        call: answers (size, K) for (size, ...).
    """
    outputs = []
    for part in clips.split(size):
        n_missing = size - len(part)
        filled = torch.cat([part, part[-1:].expand(n_missing, *part.shape[1:])]) if n_missing else part
        outputs.append(call(filled)[: len(part)])
    return torch.cat(outputs)
