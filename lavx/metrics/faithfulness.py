"""What the clip loses when only what a heatmap marks is left of it: average drop and increase."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lavx.game import ScoredClip
from lavx.methods.behavior import Probability
from lavx.metrics.localization import unit
from lavx.types import Removal


def average_drop(full: float, masked: float) -> dict[str, float]:
    """What the clip loses when only what the heatmap shows is left of it.

    Source: Chattopadhay et al. 2018 (Grad-CAM++), section 4.1: a video's term of the average drop, and of the
    rate of increase in confidence. Their means over videos are the paper's numbers, as fractions.

    Args:
        full: score of the clip.
        masked: score of the clip under the heatmap as a soft mask.

    Returns:
        average_drop in [0, 1], lower is better; increase, 1 where the score grew, else 0, higher is better.
    """
    drop = max(0.0, full - masked) / full if full > 0 else 0.0
    return {"average_drop": drop, "increase": float(masked > full)}


def masked_score(clip: ScoredClip, heatmap: NDArray[np.floating], removal: Removal) -> float:
    """Probability of the target for the clip under the heatmap as a soft mask in [0, 1]: one forward pass.

    Args:
        clip: the clip that the heatmap explains.
        heatmap: float (T, H, W), larger = more important; brought to [0, 1] by `unit`.
        removal: what takes the place of what the mask removes; with black, the mask multiplies the clip.
    """
    regions = SoftMask(unit(heatmap))
    game = clip.game(regions, removal, Probability(), stage="evaluation", stream="soft mask", with_baseline=False)
    return float(game(np.ones((1, 1), dtype=bool))[0])


class SoftMask:
    """The clip as one region whose mask is soft.

    Args:
        mask: float (T, H, W) in [0, 1], 1 = kept.
    """

    n_regions = 1

    def __init__(self, mask: NDArray[np.floating]) -> None:
        frames, height, width = mask.shape
        self.shape = (frames, height, width)
        self._mask = torch.from_numpy(np.asarray(mask, dtype=np.float32))

    def to(self, device: torch.device) -> SoftMask:
        """Put the mask on `device`; returns itself."""
        self._mask = self._mask.to(device)
        return self

    def masks(self, coalitions: Tensor) -> Tensor:
        """The mask where the one region is kept, else zeros: float (B, T, H, W)."""
        return coalitions[:, :1, None, None].to(self._mask) * self._mask

    def heatmap(self, attribution: Tensor) -> Tensor:
        """The one attribution everywhere: float (T, H, W)."""
        return attribution.expand(self.shape)

    def mean(self, volume: Tensor) -> Tensor:
        """Mean of a volume (T, H, W, C) over the clip: float (1, C)."""
        return volume.mean((0, 1, 2))[None]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The mask."""
        return {"mask": self._mask.cpu().numpy()}
