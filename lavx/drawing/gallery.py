"""Pictures of what each option of each step does to one clip: a row for each option.

As in figures 2 to 7 of Gaya-Morey et al. 2024 (arXiv 2401.11796):
segmentations side by side, coalitions by selection, removals, and the methods' perturbations and explanations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from skimage.segmentation import mark_boundaries

from lavx.explainer import Explainer
from lavx.files import whole
from lavx.game import ScoredClip, Seeds
from lavx.methods.outlines import with_lines
from lavx.methods.regions import LabelRegions
from lavx.methods.removal import Freeze, Reverse, Shuffle
from lavx.methods.sampling import All, Budget
from lavx.methods.visualization import drawn_by
from lavx.types import Drawable, Regions, Removal, Sampling, Segmentation, Selection

Row = tuple[str, Sequence[NDArray[np.uint8]]]

_WHOLE_FRAMES = (Freeze, Reverse, Shuffle)
_GUTTER = 2.0  # inches for the words at the left
_PICTURE = 1.5  # inches, width of a picture


def draw_rows(path: Path, title: str, rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Write a PNG with a row of pictures an entry.

    Args:
        path: file to write.
        title: above all.
        rows: what each row is called (lines of its own) and its pictures uint8 (H, W, 3).
        columns: what stands above each picture of the first row.
    """
    height, width = rows[0][1][0].shape[:2]
    cell = _PICTURE * height / width + 0.12
    size = (_GUTTER + len(columns) * (_PICTURE + 0.08) + 0.1, 0.75 + len(rows) * cell)
    figure = Figure(size, dpi=130)
    figure.text(0.1 / size[0], 1 - 0.15 / size[1], title, va="top", fontsize=11, fontweight="bold")
    for r, (words, pictures) in enumerate(rows):
        bottom = size[1] - 0.7 - (r + 1) * cell + 0.06
        figure.text(0.1 / size[0], (bottom + cell / 2 - 0.06) / size[1], words, va="center", fontsize=8)
        for c, picture in enumerate(pictures):
            left = _GUTTER + c * (_PICTURE + 0.08)
            axes = figure.add_axes((left / size[0], bottom / size[1], _PICTURE / size[0], (cell - 0.12) / size[1]))
            axes.imshow(picture, interpolation="nearest", aspect="auto")
            axes.set_axis_off()
            if r == 0:
                axes.set_title(columns[c], fontsize=7, pad=2)
    with whole(path) as part:
        figure.savefig(part, format="png")


def _frames(n_shown: int, n_frames: int) -> NDArray[np.intp]:
    return np.unique(np.linspace(0, n_frames - 1, n_shown).round().astype(int))


def _bytes(perturbed: torch.Tensor) -> NDArray[np.uint8]:
    return perturbed.clamp(0, 255).round().byte().cpu().numpy()


def _bordered(frame: NDArray[np.uint8], labels: NDArray[np.int32]) -> NDArray[np.uint8]:
    times = max(1, 256 // len(frame))  # small frames are enlarged, so that borders stay thin beside regions
    large, marked = (array.repeat(times, axis=0).repeat(times, axis=1) for array in (frame, labels))
    borders: NDArray[np.uint8] = (mark_boundaries(large, marked, color=(1, 1, 0), mode="inner") * 255).astype(
        np.uint8
    )
    return borders


def segmentation_rows(
    clip: NDArray[np.uint8], segmentations: Mapping[str, Segmentation], seeds: Seeds, shown: NDArray[np.intp]
) -> list[Row]:
    """The borders of each segmentation's regions on the frames; soft and overlapping ones as a few regions."""
    rows: list[Row] = []
    for name, segmentation in segmentations.items():
        regions = segmentation(clip, seeds.numpy("segmentation"))
        if isinstance(regions, LabelRegions):
            pictures = [_bordered(clip[t], regions.labels[t]) for t in shown]
        else:
            kept = torch.zeros(1, regions.n_regions, dtype=torch.bool)
            kept[0, :: max(1, regions.n_regions // 12)] = True
            # Windows are shown removed (their masks are 1 where every window over a voxel is kept).
            mask = regions.masks(~kept)[0].numpy()
            pictures = [(clip[t] * (0.25 + 0.75 * mask[t][..., None])).astype(np.uint8) for t in shown]
        rows.append((f"{name}\n{regions.n_regions} regions", pictures))
    return rows


def selection_rows(
    clip: NDArray[np.uint8], regions: Regions, selections: Mapping[str, Selection], seeds: Seeds, n_shown: int
) -> list[Row]:
    """Some coalitions of each selection, as the middle frame with the removed regions black."""
    rows: list[Row] = []
    middle = len(clip) // 2
    for name, selection in selections.items():
        sampling: Sampling = Budget(1000) if isinstance(selection, Drawable) else All()
        drawn = next(sampling.rounds(selection, regions.n_regions, seeds.numpy("sampling"))).kept
        chosen = drawn[np.linspace(0, len(drawn) - 1, n_shown).round().astype(int)]
        masks = regions.masks(torch.from_numpy(chosen))[:, middle].numpy()
        rows.append(
            (f"{name}\n{len(drawn)} samples", [(clip[middle] * m[..., None]).astype(np.uint8) for m in masks])
        )
    return rows


def removal_rows(
    clip: NDArray[np.uint8],
    regions: Regions,
    removals: Mapping[str, Removal],
    seeds: Seeds,
    shown: NDArray[np.intp],
) -> list[Row]:
    """The same half of the regions removed by each removal; of those that replace frames, all but both ends."""
    kept = torch.from_numpy(seeds.numpy("sampling").random((1, regions.n_regions)) < 0.5)
    frames = torch.from_numpy(clip).float()
    rows: list[Row] = [("the clip", [clip[t] for t in shown])]
    n_frames = len(clip)
    by_frame = LabelRegions(np.broadcast_to(np.arange(n_frames)[:, None, None], clip.shape[:3]).copy())
    ends = torch.tensor([[t in (0, n_frames - 1) for t in range(n_frames)]])
    for name, removal in removals.items():
        of, those = (by_frame, ends) if isinstance(removal, _WHOLE_FRAMES) else (regions, kept)
        perturbed = removal.prepare(frames, of, seeds.torch("removal"))(of.masks(those))
        rows.append((name, list(_bytes(perturbed)[0][shown])))
    return rows


def method_rows(clip: ScoredClip, methods: Mapping[str, Explainer], shown: NDArray[np.intp]) -> list[Row]:
    """For each method one of its perturbed clips, and its explanation of the target."""
    rows: list[Row] = [("the clip", [clip.frames[t] for t in shown])]
    for name, method in methods.items():
        result = method(clip)
        regions = result.regions
        kept = torch.from_numpy(result.coalitions.kept[[result.n_samples // 2]]).to(clip.device)
        fill = method.removal.prepare(clip.tensor, regions, clip.seeds.torch("removal"))
        rows.append((f"{name}\na perturbed clip", list(_bytes(fill(regions.masks(kept)))[0][shown])))
        overlay = with_lines(drawn_by(method.visualization, clip.frames, result.evidence()))
        words = f"{name}\nthe explanation\n{regions.n_regions} regions\n{result.n_samples} samples"
        rows.append((words, list(overlay[shown])))
    return rows


def draw_gallery(
    folder: Path,
    clip: ScoredClip,
    seconds: Sequence[float],
    target: str,
    steps: Mapping[str, Mapping[str, Any]],
    methods: Mapping[str, Explainer],
    n_frames: int,
) -> list[Path]:
    """Draw all pictures of one clip into `folder`; returns the files.

    Args:
        folder: must be there.
        clip: the clip and its network.
        seconds: where in the video each frame lies.
        target: name of the explained class.
        steps: for "segmentation", "selection" and "removal" the options by name.
        methods: the methods by name.
        n_frames: frames shown a row.
    """
    shown = _frames(n_frames, len(clip.frames))
    columns = [f"{seconds[t]:.2f} s" for t in shown]
    frames, seeds = clip.frames, clip.seeds
    regions = steps["segmentation"]["slic"](frames, seeds.numpy("segmentation"))
    pictures: dict[str, tuple[str, list[Row], Sequence[str]]] = {
        "segmentations": (
            "Segmentations",
            segmentation_rows(frames, steps["segmentation"], seeds, shown),
            columns,
        ),
        "selections": (
            f"Selections: samples of {regions.n_regions} supervoxels, middle frame",
            selection_rows(frames, regions, steps["selection"], seeds, n_frames),
            [f"sample {i + 1}" for i in range(n_frames)],
        ),
        "removals": (
            "Removals: the same half of the supervoxels",
            removal_rows(frames, regions, steps["removal"], seeds, shown),
            columns,
        ),
        "methods": (
            f"Methods: why {target}?",
            method_rows(clip, methods, shown),
            columns,
        ),
    }
    files = []
    for name, (title, rows, heads) in pictures.items():
        files.append(folder / f"{name}.png")
        draw_rows(files[-1], title, rows, heads)
    return files
