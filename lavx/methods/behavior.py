"""Behavior: what is watched while regions are removed.

All take logits (B, K) and a class index, and give scores (B,); larger = more of the target.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


def _checked(logits: Tensor, target: int) -> Tensor:
    """The logits in at least single precision."""
    if logits.ndim != 2:
        raise ValueError(f"logits must be (B, K), a row a clip, got {tuple(logits.shape)}")
    n_classes = logits.shape[1]
    if isinstance(target, bool) or not 0 <= target < n_classes:
        raise ValueError(
            f"target must be a class index, 0 to {n_classes - 1} for {n_classes} classes, got {target}"
        )
    return logits if logits.dtype == torch.float64 else logits.float()


@dataclass(frozen=True)
class Probability:
    """Softmax probability of the target, in [0, 1]."""

    def __call__(self, logits: Tensor, target: int) -> Tensor:
        """Scores (B,) of logits (B, K)."""
        return _checked(logits, target).softmax(dim=1)[:, target]


@dataclass(frozen=True)
class Logit:
    """The target's logit as the network gives it, unbounded."""

    def __call__(self, logits: Tensor, target: int) -> Tensor:
        """Scores (B,) of logits (B, K)."""
        return _checked(logits, target)[:, target]


@dataclass(frozen=True)
class LogOdds:
    """log(p / (1 - p)) of the target's probability p, unbounded; 0 = as likely as all others together.

    Computed from the logits, so that it stays finite where p rounds to 0 or 1.
    """

    def __call__(self, logits: Tensor, target: int) -> Tensor:
        """Scores (B,) of logits (B, K)."""
        logits = _checked(logits, target)
        if logits.shape[1] < 2:
            raise ValueError("log_odds needs a network of at least 2 classes, got 1. Use method/behavior=logit.")
        others = torch.cat([logits[:, :target], logits[:, target + 1 :]], dim=1)
        return logits[:, target] - others.logsumexp(dim=1)


@dataclass(frozen=True)
class PredictionLoss:
    """Minus the cross entropy of the target, at most 0.

    The sign is turned: a loss is larger where the network is worse, a score has to be larger where it sees
    more of the target.
    """

    def __call__(self, logits: Tensor, target: int) -> Tensor:
        """Scores (B,) of logits (B, K)."""
        return _checked(logits, target).log_softmax(dim=1)[:, target]
