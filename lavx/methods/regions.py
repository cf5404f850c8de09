"""Regions: the units of a clip that are removed or kept, whichever way they tile it.

A label map cannot express windows that overlap or cells with soft borders, and masks alone cannot feed a
regression. So every kind of regions says how many there are, turns coalitions into masks, a volume into one
mean a region, and an attribution into a heatmap; who uses it need not know which kind it is.

Shapes: a clip is (T, H, W), R regions, B coalitions. Masks are 1 where the clip is kept, 0 where it is removed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from lavx import checks
from lavx.types import Regions

HALF = (0.5, 0.5, 0.5)  # of a window's size along (T, H, W): the usual stride


def _three(name: str, values: Sequence[int]) -> tuple[int, int, int]:
    return checks.three(name, values, checks.whole, "whole numbers >= 1, for (T, H, W)")


def _check_columns(coalitions: Tensor, n_regions: int) -> None:
    if coalitions.ndim != 2 or coalitions.shape[1] != n_regions:
        raise ValueError(
            f"coalitions must be (B, {n_regions}), one column a region, got {tuple(coalitions.shape)}"
        )


class LabelRegions:
    """Regions that do not overlap, given by a label a voxel.

    Args:
        labels: whole numbers (T, H, W), 0 to R - 1, each of them somewhere.
    """

    def __init__(self, labels: ArrayLike) -> None:
        array = np.asarray(labels)
        if array.dtype.kind not in "iu":
            raise ValueError(f"labels must be whole numbers, got an array of {array.dtype}")
        self.shape = _three("the labels' shape", array.shape)
        counts = np.bincount(array.ravel()) if array.min() >= 0 else np.zeros(1, dtype=int)
        if (counts == 0).any():
            raise ValueError(
                "labels must run from 0 to R - 1 with none left out, got "
                f"{array.min()} to {array.max()} with {len(np.unique(array))} different"
            )
        self.n_regions = len(counts)
        self._labels = torch.from_numpy(np.ascontiguousarray(array.ravel(), dtype=np.int64))
        self._counts = torch.from_numpy(counts.astype(np.float32))

    @property
    def labels(self) -> NDArray[np.int32]:
        """The label of each voxel: int32 (T, H, W)."""
        return self._labels.cpu().numpy().reshape(self.shape).astype(np.int32)

    @property
    def frames_per_region(self) -> float:
        """In how many frames a region is, in the mean: 1 to T."""
        frames = np.repeat(np.arange(self.shape[0]), self.shape[1] * self.shape[2])
        pairs = self._labels.cpu().numpy() * self.shape[0] + frames
        return float(np.count_nonzero(np.bincount(pairs)) / self.n_regions)

    def to(self, device: torch.device) -> LabelRegions:
        """Put the tensors inside on `device`, in place."""
        self._labels, self._counts = self._labels.to(device), self._counts.to(device)
        return self

    def masks(self, coalitions: Tensor) -> Tensor:
        """Masks of coalitions: float (B, T, H, W), 1 = kept."""
        _check_columns(coalitions, self.n_regions)
        return coalitions.float().index_select(1, self._labels).view(-1, *self.shape)

    def heatmap(self, attribution: Tensor) -> Tensor:
        """The attribution of each voxel's region: float (T, H, W)."""
        return attribution.index_select(0, self._labels).view(self.shape)

    def mean(self, volume: Tensor) -> Tensor:
        """Mean of a volume (T, H, W, C) over each region: float (R, C)."""
        channels = volume.shape[-1]
        total = volume.new_zeros(self.n_regions, channels)
        total.index_add_(0, self._labels, volume.reshape(-1, channels))
        return total / self._counts[:, None]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """`labels` int32 (T, H, W)."""
        return {"labels": self.labels}


class SoftGrid:
    """Cells whose borders fade: the grid is scaled trilinearly to the clip (3D RISE).

    Source: Petsiuk et al. 2018 (RISE), section 3.2, in three dimensions and without the random shift.

    Args:
        shape: (T, H, W) of the clip.
        cells: cells along (T, H, W), each between 1 and the clip's own size there.
    """

    def __init__(self, shape: Sequence[int], cells: Sequence[int]) -> None:
        self.shape = _three("shape", shape)
        self.cells = _three("cells", cells)
        if any(n > size for n, size in zip(self.cells, self.shape, strict=True)):
            raise ValueError(f"a soft grid of {self.cells} cells does not fit a clip of shape {self.shape}")
        self.n_regions = int(np.prod(self.cells))
        # How much of each cell is at each position of an axis: trilinear weights are the product of three.
        self._axes = [
            F.interpolate(torch.eye(n)[None], size=size, mode="linear", align_corners=False)[0]
            for n, size in zip(self.cells, self.shape, strict=True)
        ]

    @property
    def frames_per_region(self) -> float:
        """In how many frames a cell is, faded ones among them, in the mean: 1 to T."""
        return float((self._axes[0] > 0).sum(1).float().mean())

    def to(self, device: torch.device) -> SoftGrid:
        """Put the tensors inside on `device`, in place."""
        self._axes = [axis.to(device) for axis in self._axes]
        return self

    def masks(self, coalitions: Tensor) -> Tensor:
        """Masks of coalitions: float (B, T, H, W) in [0, 1]; all cells kept is exactly 1, none exactly 0."""
        _check_columns(coalitions, self.n_regions)
        return self._scale(coalitions.float())

    def heatmap(self, attribution: Tensor) -> Tensor:
        """The attribution scaled trilinearly: float (T, H, W)."""
        return self._scale(attribution[None])[0]

    def _scale(self, values: Tensor) -> Tensor:
        cells = values.view(-1, 1, *self.cells)
        return F.interpolate(cells, size=self.shape, mode="trilinear", align_corners=False)[:, 0]

    def mean(self, volume: Tensor) -> Tensor:
        """Mean of a volume (T, H, W, C) over each cell, weighted as the cell fades: float (R, C)."""
        axes = [axis.to(volume.dtype) for axis in self._axes]
        total = torch.einsum("it,jh,kw,thwc->ijkc", *axes, volume)
        weight = torch.einsum("i,j,k->ijk", *(axis.sum(1) for axis in axes))
        return (total / weight[..., None]).reshape(self.n_regions, -1)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """`soft_grid`: the cells along (T, H, W)."""
        return {"soft_grid": np.array(self.cells)}


class Windows:
    """Windows that may overlap: each spans one division of the clip along every axis, a stride apart.

    A voxel is removed when any window over it is removed. Where a division is not a whole number of voxels,
    borders are rounded, so that the windows always cover the clip from end to end; they differ in size by a
    voxel then.

    Source: Zeiler and Fergus 2014, section 4.2 (occlusion sensitivity), in three dimensions.

    Args:
        shape: (T, H, W) of the clip.
        divisions: kernel size as a part of the clip: (4, 7, 7) is 1/4 x 1/7 x 1/7, which gives
            7 x 13 x 13 = 1,183 windows with a stride of a half.
        stride: how far a window is from the next, as a share of its size along (T, H, W), in (0, 1]. The most that
            this allows: windows are evenly spaced from one end of the clip to the other.
    """

    def __init__(self, shape: Sequence[int], divisions: Sequence[int], stride: Sequence[float] = HALF) -> None:
        self.shape = _three("shape", shape)
        self.divisions = _three("divisions", divisions)
        if any(n > size for n, size in zip(self.divisions, self.shape, strict=True)):
            raise ValueError(
                f"windows of 1/{self.divisions} of the clip are smaller than a voxel for shape {self.shape}"
            )
        self.stride = checks.three("stride", stride, checks.fraction, "fractions in (0, 1], for (T, H, W)")
        self._axes = [self._spans(*axis) for axis in zip(self.divisions, self.shape, self.stride, strict=True)]
        self.windows = tuple(len(axis) for axis in self._axes)
        self.n_regions = int(np.prod(self.windows))

    @staticmethod
    def _spans(divisions: int, size: int, stride: float) -> Tensor:
        """Which positions each window covers along one axis: float (n_windows, size)."""
        gaps = math.ceil((divisions - 1) / stride - 1e-9)  # 1e-9: a stride such as 0.1 is not exact
        # Each end is the nearest voxel. Rounding the ends rather than a step keeps errors from adding up: the last
        # is the clip's end. In whole numbers, (2a + b) // 2b rounds a / b, halves up, which makes windows even.
        whole = 2 * divisions * max(gaps, 1)
        starts = 2 * (divisions - 1) * size * np.arange(gaps + 1)
        ends = starts + 2 * size * max(gaps, 1)
        first, end = ((each + whole // 2) // whole for each in (starts, ends))
        position = np.arange(size)
        inside = (position >= first[:, None]) & (position < end[:, None])
        return torch.from_numpy(inside.astype(np.float32))

    @property
    def frames_per_region(self) -> float:
        """In how many frames a window is, in the mean: 1 to T."""
        return float((self._axes[0] > 0).sum(1).float().mean())

    def to(self, device: torch.device) -> Windows:
        """Put the tensors inside on `device`, in place."""
        self._axes = [axis.to(device) for axis in self._axes]
        return self

    def _spread(self, values: Tensor) -> Tensor:
        """Sum at each voxel of the values (B, R) of the windows over it: (B, T, H, W)."""
        # A window covers a voxel if it does along each of the three axes, so three small matrices do what a table
        # of all windows by all voxels, a thousand times the clip, would.
        time, height, width = (axis.to(values.dtype) for axis in self._axes)
        grid = values.view(-1, *self.windows)
        return torch.einsum("bijk,it,jh,kw->bthw", grid, time, height, width)

    def masks(self, coalitions: Tensor) -> Tensor:
        """Masks of coalitions: float (B, T, H, W), 1 where every window over the voxel is kept."""
        _check_columns(coalitions, self.n_regions)
        # Sums of few zeros and ones a voxel: exact in floating point.
        return (self._spread((~coalitions).float()) == 0).float()

    def heatmap(self, attribution: Tensor) -> Tensor:
        """Mean attribution of the windows over each voxel: float (T, H, W)."""
        both = torch.stack([attribution, torch.ones_like(attribution)])
        total, covering = self._spread(both)
        return total / covering

    def mean(self, volume: Tensor) -> Tensor:
        """Mean of a volume (T, H, W, C) over each window: float (R, C)."""
        axes = [axis.to(volume.dtype) for axis in self._axes]
        total = torch.einsum("it,jh,kw,thwc->ijkc", *axes, volume)
        size = torch.einsum("i,j,k->ijk", *(axis.sum(1) for axis in axes))
        return (total / size[..., None]).reshape(self.n_regions, -1)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """`windows`: the divisions along (T, H, W); `windows_stride`, where it is not a half."""
        stride = {} if self.stride == HALF else {"windows_stride": np.array(self.stride)}
        return {"windows": np.array(self.divisions)} | stride


_NEARLY_ALL = 0.9  # of the frames


def frames_per_region(regions: object) -> float | None:
    """In how many frames a region is, in the mean; None for regions that do not say it."""
    frames: float | None = getattr(regions, "frames_per_region", None)
    return frames


def flat_in_time(regions: Regions) -> bool:
    """Whether regions span nearly all of several frames, so that heat over time is flat by construction."""
    frames = frames_per_region(regions)
    return frames is not None and regions.shape[0] > 1 and frames >= _NEARLY_ALL * regions.shape[0]
