"""How well a heatmap lies where the ground truth is: pointing game, IoU, energy inside; and where its colors lie.

All but `drawn_color` look at the raw heatmap (T, H, W), never at what is drawn of it. A method with few regions
gives many voxels the same importance; ties then count in proportion instead of being broken by chance.
Used for video by Gaya-Morey et al. (REVEX, arXiv 2401.11796, version 2).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lavx import checks
from lavx.methods.visualization import VISIBLE
from lavx.types import Geometry

THRESHOLD = 0.4  # of the thresholded IoU and that of boxes
_MEASURED = ("pointing_game", "iou", "iou_thresholded", "iou_boxes", "energy_inside")


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


def thresholded_iou(
    heatmap: NDArray[np.floating], truth: NDArray[np.bool_], threshold: float = THRESHOLD
) -> float:
    """Intersection over union of the ground truth and the voxels above a threshold: in [0, 1].

    Source: the IoU of Gaya-Morey et al. (REVEX), whose published notebook takes 0.4.

    Args:
        heatmap: float (T, H, W), larger = more important; brought to [0, 1] by `unit` first.
        truth: bool (T, H, W).
        threshold: in [0, 1); what is more important than this counts as found.

    Raises:
        ValueError: if the two differ in shape, the ground truth is empty or the threshold is not in [0, 1).
    """
    return _overlap(_found(heatmap, truth, threshold), truth)


def box_iou(heatmap: NDArray[np.floating], truth: NDArray[np.bool_], threshold: float = THRESHOLD) -> float:
    """Intersection over union of boxes, frame by frame, over the whole clip: in [0, 1].

    In every frame one box lies around all voxels above the threshold and one around the ground truth. A frame
    without any has no box. Source: as `thresholded_iou`; the published code leaves a ground truth
    that is a mask as it is, so that not even its own box reaches 1.

    Args:
        heatmap: as for `thresholded_iou`.
        truth: bool (T, H, W).
        threshold: as for `thresholded_iou`.

    Raises:
        ValueError: as `thresholded_iou`.
    """
    return _overlap(boxes(_found(heatmap, truth, threshold)), boxes(truth))


def boxes(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The smallest box around what is True in each frame of a mask (T, H, W), as a mask."""
    rows: NDArray[np.bool_] = np.asarray(mask.any(axis=2))
    columns: NDArray[np.bool_] = np.asarray(mask.any(axis=1))
    return _span(rows)[:, :, None] & _span(columns)[:, None, :]


def _span(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """From the first True of each row (n, size) to the last."""
    after = np.logical_or.accumulate(inside, axis=1)
    before = np.logical_or.accumulate(inside[:, ::-1], axis=1)[:, ::-1]
    return after & before


def _found(heatmap: NDArray[np.floating], truth: NDArray[np.bool_], threshold: float) -> NDArray[np.bool_]:
    _check(heatmap, truth)
    if checks.between("threshold", threshold, 0, 1) == 1:
        raise ValueError("threshold must be less than 1: nothing is more important than the most important voxel")
    return unit(heatmap) > threshold


def _overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float(np.count_nonzero(one & other) / np.count_nonzero(one | other))


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
    `iou_thresholded` and `iou_boxes` are those at a threshold of 0.4.
    """
    fraction = float(truth.mean())
    if fraction == 0:
        nothing: dict[str, float | None] = dict.fromkeys(_MEASURED)
        return nothing | {"truth_fraction": 0.0}
    return {
        "pointing_game": pointing_game(heatmap, truth),
        "iou": iou(heatmap, truth),
        "iou_thresholded": thresholded_iou(heatmap, truth),
        "iou_boxes": box_iou(heatmap, truth),
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
