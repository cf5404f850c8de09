"""Behavior: what is watched while regions are removed.

All take outputs (B, K), a class index and what kind of outputs they are (`lavx.types.OutputKind`), and give
scores (B,), float32 or float64; larger = more of the target. A behavior that outputs of a kind do not have is
refused rather than replaced by another.

Where a network only gives probabilities, its float32 has rounded those near 0 and 1. Logarithms of them are
taken of p clipped to [1e-7, 1 - 1e-7], so that they are finite: log-odds end at about -16 and 16. Networks that
give logits have no such ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lavx import checks
from lavx.types import OUTPUT_KINDS, OutputKind

_CLIP = 1e-7
_ROUNDING = 1e-3  # how far outside [0, 1] a probability may be rounded

_ONE_OF_SEVERAL = ("logits", "probabilities")
_IN_UNIT = ("probabilities", "multilabel")


def _checked(outputs: Tensor, target: int, kind: OutputKind) -> Tensor:
    """The outputs in at least single precision."""
    checks.one_of("kind", kind, OUTPUT_KINDS)
    if outputs.ndim != 2:
        raise ValueError(f"outputs must be (B, K), a row a clip, got {tuple(outputs.shape)}")
    n_classes = outputs.shape[1]
    if not checks.is_whole(target) or not 0 <= target < n_classes:
        raise ValueError(
            f"target must be a class index, 0 to {n_classes - 1} for {n_classes} classes, got {target}"
        )
    # NaN passes on to the check of the scores, which speaks of it.
    if kind in _IN_UNIT and ((outputs < -_ROUNDING) | (outputs > 1 + _ROUNDING)).any():
        raise ValueError(
            f"outputs of kind {kind} must be in [0, 1], got {outputs.min():.4g} to {outputs.max():.4g}: say what "
            f"kind they are, {', '.join(k for k in OUTPUT_KINDS if k not in _IN_UNIT)}"
        )
    return outputs if outputs.dtype == torch.float64 else outputs.float()


def _check_several(outputs: Tensor, kind: OutputKind) -> None:
    # Of a single class the softmax is 1 whatever the network says: a flat explanation without a word.
    if kind in _ONE_OF_SEVERAL and outputs.shape[1] < 2:
        raise ValueError(
            f"outputs of kind {kind} share one probability among at least 2 classes, got 1: a single output is of "
            f"kind multilabel (a probability), multilabel_logits (before a sigmoid) or regression; Logit takes it "
            f"as it is"
        )


def _refuse_regression(behavior: object, kind: OutputKind) -> None:
    if kind == "regression":
        raise ValueError(
            f"{type(behavior).__name__} needs probabilities, and outputs of kind regression have none: use Logit "
            f"or Probability, which take them as they are"
        )


@dataclass(frozen=True)
class Probability:
    """The target's probability, in [0, 1]: by the softmax of logits, by the sigmoid of multilabel logits.

    Outputs of kind regression are taken as they are: a number that is no probability.
    """

    def __call__(self, outputs: Tensor, target: int, kind: OutputKind) -> Tensor:
        """Scores (B,) of outputs (B, K).

        Raises:
            ValueError: if `target` is no class, or the outputs are not of this kind.
        """
        outputs = _checked(outputs, target, kind)
        _check_several(outputs, kind)
        if kind == "logits":
            return outputs.softmax(dim=1)[:, target]
        if kind == "multilabel_logits":
            return outputs[:, target].sigmoid()
        return outputs[:, target]


@dataclass(frozen=True)
class Logit:
    """The target's logit, unbounded.

    Logits of either kind and the outputs of a regression are taken as they are. Of a multilabel probability p
    it is log(p / (1 - p)), p clipped as this module says. Probabilities that share one softmax are refused:
    their logits are known only up to a constant, another one for each clip.
    """

    def __call__(self, outputs: Tensor, target: int, kind: OutputKind) -> Tensor:
        """Scores (B,) of outputs (B, K).

        Raises:
            ValueError: if `target` is no class, or the outputs are not of this kind or are probabilities.
        """
        outputs = _checked(outputs, target, kind)
        if kind == "probabilities":
            raise ValueError(
                "Logit needs logits, and those of probabilities are known only up to a constant: use LogOdds"
            )
        return outputs[:, target].logit(eps=_CLIP) if kind == "multilabel" else outputs[:, target]


@dataclass(frozen=True)
class LogOdds:
    """log(p / (1 - p)) of the target's probability p, unbounded; 0 = as likely as not.

    From logits it is computed without p, so that it stays finite where p rounds to 0 or 1. From probabilities
    it ends where this module says. Refused for regression.
    """

    def __call__(self, outputs: Tensor, target: int, kind: OutputKind) -> Tensor:
        """Scores (B,) of outputs (B, K).

        Raises:
            ValueError: if `target` is no class, or the outputs are not of this kind or of a regression.
        """
        outputs = _checked(outputs, target, kind)
        _refuse_regression(self, kind)
        _check_several(outputs, kind)
        if kind == "logits":
            others = torch.cat([outputs[:, :target], outputs[:, target + 1 :]], dim=1)
            return outputs[:, target] - others.logsumexp(dim=1)
        return outputs[:, target] if kind == "multilabel_logits" else outputs[:, target].logit(eps=_CLIP)


@dataclass(frozen=True)
class PredictionLoss:
    """log(p) of the target's probability p, which is minus its cross entropy; at most 0.

    A loss is larger where the network is worse, a score has to be larger where it sees more of the target:
    hence the sign. From probabilities, p is clipped to at least 1e-7. Refused for regression.
    """

    def __call__(self, outputs: Tensor, target: int, kind: OutputKind) -> Tensor:
        """Scores (B,) of outputs (B, K).

        Raises:
            ValueError: if `target` is no class, or the outputs are not of this kind or of a regression.
        """
        outputs = _checked(outputs, target, kind)
        _refuse_regression(self, kind)
        _check_several(outputs, kind)
        if kind == "logits":
            return outputs.log_softmax(dim=1)[:, target]
        if kind == "multilabel_logits":
            return torch.nn.functional.logsigmoid(outputs[:, target])
        return outputs[:, target].clamp(_CLIP, 1).log()
