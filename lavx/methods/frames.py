"""Importance per frame: what an attribution says of when.

The importance of frame t is the sum over the regions of (attribution - neutral) times the share of the region that
lies in frame t. So a region's effect is spread evenly over its own voxels, and the frames share out what the
regions do: of Shapley values, the frames together have the score of the clip less that of the baseline. It is a
weighted sum of the attribution, whose error over draws of the coalitions follows from how far each draw moves the
attribution; no forward pass is spent on it. Regions that span all frames spread evenly over all of them, whatever
the network looks at: what is not cut in time cannot say when.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lavx.types import Estimate, Regions

_BINOMIAL = (1, 3, 3, 1)


@dataclass(frozen=True)
class FrameImportance:
    """Importance per frame, see this module.

    Attributes:
        values: float64 (T,), larger = more important for the target.
        std_error: float64 (T,), over draws of the coalitions; None where nothing was drawn, or where the summary
            does not know it.
        how: what became of removed frames where that was asked for itself, such as "reverse"; empty where the
            importance is that of the regions.
    """

    values: NDArray[np.float64]
    std_error: NDArray[np.float64] | None = None
    how: str = ""

    @property
    def peak(self) -> int:
        """The most important frame, the first of several."""
        return int(self.values.argmax())

    @property
    def moment(self) -> float:
        """The most important place between two frames, such as 4.5 between the frames 4 and 5.

        What changes a network's mind happens between frames: a change has frames on either side, of which the
        nearest two count three times as much here as the next two, so that errors of single frames even out. 0 for
        a clip of one frame.
        """
        return float(np.convolve(self.values, _BINOMIAL)[2:-2].argmax()) + 0.5 if len(self.values) > 1 else 0.0


def shares(regions: Regions, device: torch.device | None = None) -> NDArray[np.float64]:
    """The share of each region that lies in each frame: float64 (R, T), each row in sum 1.

    A cell that fades has in a frame what its weights there are of all its weights.

    Args:
        regions: what the rows stand for.
        device: where the regions' tensors are; None for the CPU.
    """
    columns = []
    for frame in range(regions.shape[0]):
        # One frame at a time: all T of them as channels would be T times the clip.
        inside = torch.zeros(*regions.shape, 1, dtype=torch.float64, device=device)
        inside[frame] = 1
        columns.append(regions.mean(inside)[:, 0].cpu().numpy())
    return np.stack(columns, axis=1)


def frame_importance(regions: Regions, estimate: Estimate, device: torch.device | None = None) -> FrameImportance:
    """Importance per frame of an attribution.

    Args:
        regions: what the attribution's entries stand for.
        estimate: the attribution, with the influence of each draw where it is known.
        device: where the regions' tensors are; None for the CPU.
    """
    share = shares(regions, device)
    values = (estimate.attribution - estimate.neutral) @ share
    if estimate.influence is None:
        return FrameImportance(values)
    moves = estimate.influence
    if estimate.neutral_influence is not None:
        moves = moves - estimate.neutral_influence[:, None]
    unknown = ~np.isfinite(moves).all(axis=0)
    std_error = np.sqrt(((np.where(unknown, 0.0, moves) @ share) ** 2).sum(axis=0))
    std_error[(share[unknown] > 0).any(axis=0)] = np.inf  # of a region there nothing is known
    return FrameImportance(values, std_error)
