"""Smoothing: a step that any method can take, between the attribution and what is shown of it.

A Gaussian smooths the heatmap, which is what is drawn and judged; attributions, scores and what is removed stay as
they are. Whether that pleases people, or metrics, is a question that Gaya-Morey et al. (arXiv 2401.11796) leave
open at the end of section 6.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from lavx import checks
from lavx.types import Regions


class Gaussian:
    """Smooths heatmaps with a Gaussian, borders reflected.

    Args:
        sigma: in voxels, one number for all axes or three for (T, H, W); 0 leaves an axis as it is.
    """

    def __init__(self, sigma: float | Sequence[float] = (0, 3.5, 3.5)) -> None:
        self.sigma = checks.sigmas("sigma", sigma)

    def __call__(self, regions: Regions) -> Regions:
        """The same regions, whose heatmaps are smooth."""
        return SmoothedRegions(regions, self.sigma) if any(self.sigma) else regions


class SmoothedRegions:
    """Regions whose heatmaps are smoothed; masks and means are those of the regions themselves.

    Args:
        regions: any regions.
        sigma: of the Gaussian, in voxels along (T, H, W).
    """

    def __init__(self, regions: Regions, sigma: Sequence[float]) -> None:
        self.regions = regions
        self.sigma = checks.sigmas("sigma", sigma)
        self.shape = regions.shape
        self.n_regions = regions.n_regions

    @property
    def frames_per_region(self) -> float | None:
        """In how many frames a region is, in the mean; None where the regions do not say it."""
        frames: float | None = getattr(self.regions, "frames_per_region", None)
        return frames

    def to(self, device: torch.device) -> SmoothedRegions:
        """Put the tensors inside on `device`, in place."""
        self.regions = copy.copy(self.regions).to(device)  # which others may use where they are
        return self

    def masks(self, coalitions: Tensor) -> Tensor:
        """Masks of coalitions, not smoothed: float (B, T, H, W), 1 = kept."""
        return self.regions.masks(coalitions)

    def heatmap(self, attribution: Tensor) -> Tensor:
        """The attribution of each voxel, smoothed: float (T, H, W)."""
        sharp = self.regions.heatmap(attribution)
        smooth = ndimage.gaussian_filter(sharp.cpu().numpy(), self.sigma, mode="reflect")
        return torch.from_numpy(smooth).to(sharp)

    def mean(self, volume: Tensor) -> Tensor:
        """Mean of a volume (T, H, W, C) over each region: float (R, C)."""
        return self.regions.mean(volume)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Those of the regions, and `smoothing`, the sigmas along (T, H, W)."""
        return self.regions.arrays() | {"smoothing": np.array(self.sigma)}
