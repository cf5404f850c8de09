"""How well a heatmap lies where the ground truth is: pointing game, IoU, energy inside; and where its colors lie.

All but `drawn_color` look at the raw heatmap (T, H, W), never at what is drawn of it. A method with few regions
gives many voxels the same importance; ties then count in proportion instead of being broken by chance.
Used for video by Gaya-Morey et al. (REVEX, arXiv 2401.11796, version 2).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lavx.methods.visualization import VISIBLE
from lavx.types import Geometry


def ground_truth_in_clip(truth: NDArray[np.bool_], geometry: Geometry) -> NDArray[np.bool_]:
    """Map a ground truth in source frames to the clip: bool (T, h, w).

    Each sampled frame's mask is resized to the nearest pixel and cropped as the frame itself was.

    Args:
        truth: bool (n_frames, H, W) in source frames.
        geometry: where the clip lies in its video.

    Raises:
        ValueError: if the ground truth is not of this video's size or length.
    """
    if truth.ndim != 3 or truth.shape[1:] != tuple(geometry.source_size):
        raise ValueError(
            f"the ground truth must be (n_frames, {geometry.source_size[0]}, {geometry.source_size[1]}), the size "
            f"of the source's frames; got {truth.shape}"
        )
    if max(geometry.frame_indices) >= len(truth):
        raise ValueError(
            f"the ground truth has {len(truth)} frames, but the clip shows frame {max(geometry.frame_indices)}"
        )
    starts, sizes = geometry.crop[:2], geometry.crop[2:]
    rows, columns = (
        ((np.arange(start, start + size) + 0.5) * source / scaled).astype(int)
        for start, size, source, scaled in zip(
            starts, sizes, geometry.source_size, geometry.scaled_size, strict=True
        )
    )
    return truth[np.asarray(geometry.frame_indices)][:, rows][:, :, columns].astype(bool)


def unit(heatmap: NDArray[np.floating]) -> NDArray[np.float64]:
    """The heatmap in [0, 1]: 0 what does not speak for the target, 1 the most important voxel.

    A heatmap with negative values is cut at 0. One that is positive everywhere, as RISE gives it, begins at its
    coldest voxel: what that has too tells no voxel from another. All zeros where nothing stands out.
    """
    values = np.asarray(heatmap, dtype=np.float64)
    low, high = max(values.min(), 0.0), values.max()
    if high <= low:
        return np.zeros_like(values)
    return np.clip((values - low) / (high - low), 0, 1)


def pointing_game(heatmap: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    """Whether the most important voxel lies inside the ground truth: 1 or 0, the share of them where several tie.

    Source: Zhang et al. 2016 (Top-down neural attention by excitation backprop), section 4.1, with no
    tolerance around the ground truth.
    """
    _check(heatmap, truth)
    return float(truth[heatmap == heatmap.max()].mean())


def iou(heatmap: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    """Intersection over union of the ground truth and as many of the most important voxels: in [0, 1].

    Taking as many voxels as the ground truth has needs no threshold. Voxels that tie for the last places count in
    proportion. Source: the IoU of Gaya-Morey et al. (REVEX), with this area in place of thresholds.
    """
    _check(heatmap, truth)
    size = int(truth.sum())
    last = np.partition(heatmap.ravel(), heatmap.size - size)[heatmap.size - size]
    above, tied = heatmap > last, heatmap == last
    places = size - int(above.sum())
    shared = float(truth[above].sum() + places * truth[tied].mean())
    return shared / (2 * size - shared)


def energy_inside(heatmap: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    """Share of the heatmap's positive energy that lies inside the ground truth: in [0, 1].

    The heatmap is brought to [0, 1] by `unit` first. One that says nothing spreads its energy evenly. Source:
    the energy-based pointing game of Wang et al. 2020 (Score-CAM), section 4.3.
    """
    _check(heatmap, truth)
    energy = unit(heatmap)
    total = energy.sum()
    return float(energy[truth].sum() / total) if total > 0 else float(truth.mean())


def localization(heatmap: NDArray[np.floating], truth: NDArray[np.bool_]) -> dict[str, float | None]:
    """All that compares a heatmap with the ground truth, both (T, H, W); None where the clip shows nothing of it.

    `truth_fraction` is the share of voxels inside the ground truth: what a heatmap gets by chance.
    """
    fraction = float(truth.mean())
    if fraction == 0:
        return {"pointing_game": None, "iou": None, "energy_inside": None, "truth_fraction": 0.0}
    return {
        "pointing_game": pointing_game(heatmap, truth),
        "iou": iou(heatmap, truth),
        "energy_inside": energy_inside(heatmap, truth),
        "truth_fraction": fraction,
    }


def drawn_color(opacity: NDArray[np.floating], truth: NDArray[np.bool_] | None) -> dict[str, float | None]:
    """Where the color of a picture lies: what a reader sees of an explanation, whatever its numbers say.

    Args:
        opacity: (T, H, W) in [0, 1], as it was drawn, 1 for full opacity.
        truth: bool (T, H, W), the ground truth; None where there is none.

    Returns:
        `tinted`, the share of voxels drawn at a quarter of full opacity or more. With a ground truth also
        `color_inside`, the share of the color, weighted by opacity, that lies on it; and `color_recall`, the share
        of it that is drawn at a quarter of full opacity or more; both are None where the clip shows nothing of it.
        All are in [0, 1], and 0 for an empty picture.
    """
    drawn = opacity >= VISIBLE
    found: dict[str, float | None] = {"tinted": float(drawn.mean())}
    if truth is None:
        return found
    if opacity.shape != truth.shape:
        raise ValueError(f"the ground truth must have the opacity's shape {opacity.shape}, got {truth.shape}")
    if not truth.any():
        return found | {"color_inside": None, "color_recall": None}
    total = float(opacity.sum(dtype=np.float64))
    inside = float(opacity[truth].sum(dtype=np.float64)) / total if total > 0 else 0.0
    return found | {"color_inside": inside, "color_recall": float(drawn[truth].mean())}


def _check(heatmap: NDArray[np.floating], truth: NDArray[np.bool_]) -> None:
    if heatmap.shape != truth.shape:
        raise ValueError(f"the ground truth must have the heatmap's shape {heatmap.shape}, got {truth.shape}")
    if not truth.any():
        raise ValueError("the ground truth is empty; there is nothing to point at")
