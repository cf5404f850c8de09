"""JHMDB-21: 928 clips of 21 actions with the actor's silhouette in every frame (Jhuang et al. 2013).

Jhuang, Gall, Zuffi, Schmid and Black, "Towards understanding action recognition", ICCV 2013.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lavx.datasets.base import Video
from lavx.datasets.layouts import ClassNames, Inventory, Origin, find_videos, readable
from lavx.video import VideoError, probe

log = logging.getLogger(__name__)

ORIGIN = Origin(
    title="JHMDB-21",
    what="21 actions in 928 short clips of films, with the actor's mask in every frame (Jhuang et al. 2013).",
    source=(
        "It is on its project page at the Max Planck Institute for Intelligent Systems, jhmdb.is.tue.mpg.de: the "
        "videos, the splits and the puppet masks."
    ),
    disk="less than 1 GB for these three",
)
CLASSES = (
    "brush_hair",
    "catch",
    "clap",
    "climb_stairs",
    "golf",
    "jump",
    "kick_ball",
    "pick",
    "pour",
    "pullup",
    "push",
    "run",
    "shoot_ball",
    "shoot_bow",
    "shoot_gun",
    "sit",
    "stand",
    "swing_baseball",
    "throw",
    "walk",
    "wave",
)
PARTS = {"train": ("1",), "test": ("2",), "all": ("1", "2")}
PACKED_MASKS = "actor_masks_packbits_320x240.npz"  # one bit a pixel, rows packed; one array a video
PACKED_WIDTH = 320

_VIDEO_FOLDERS = ("ReCompress_Videos", "videos", "Videos", ".")


class Jhmdb21:
    """JHMDB-21 in its published layout, or with its masks in one packed file.

    Below `root`: the videos in class folders, in `ReCompress_Videos/`, `videos/` or `root` itself, with any
    suffix; `splits/<class>_test_split<split>.txt` (lines `name 1` for training, `name 2` for testing); and
    either `puppet_mask/<class>/<video>/puppet_mask.mat` (`part_mask`, height x width x frames) or
    `actor_masks_packbits_320x240.npz` (by `<class>/<video>`, rows packed to bits). Without masks, no ground truth.

    Args:
        root: the folder.
        split: which of the three official splits, 1 to 3.
        part: `train`, `test` or `all`.
        classes: some of the 21, in the order that the labels take; None for all.
    """

    name = "jhmdb21"

    def __init__(
        self,
        root: str | Path | None,
        split: int = 1,
        part: str = "test",
        classes: Sequence[str] | None = None,
    ) -> None:
        if split not in (1, 2, 3):
            raise ValueError(f"dataset.split must be 1, 2 or 3, got {split!r}.")
        if part not in PARTS:
            raise ValueError(f"dataset.part must be {', '.join(PARTS)}, got {part!r}.")
        known = ClassNames(CLASSES, "JHMDB-21")
        chosen = CLASSES if classes is None else classes
        if isinstance(chosen, str):
            raise ValueError(f"dataset.classes must be a list such as [golf,pullup], got {chosen!r}.")
        self.classes = ClassNames(
            [CLASSES[known.label(str(name), "dataset.classes")] for name in chosen], "JHMDB-21"
        ).names
        self.root = ORIGIN.folder(root)
        self.split = split
        self.part = part
        folders = (self.root / name for name in _VIDEO_FOLDERS)
        found = [folder for folder in folders if any((folder / name).is_dir() for name in CLASSES)]
        if not found:
            raise FileNotFoundError(
                f"dataset.root={self.root} has no class folders ({CLASSES[0]}, {CLASSES[1]}, ...), nor has "
                f"{', '.join(_VIDEO_FOLDERS[:-1])} in it. {ORIGIN.title}: {ORIGIN}"
            )
        self._videos = found[0]
        if not (self.root / "splits").is_dir():
            raise FileNotFoundError(
                f"{self.root / 'splits'} is not there: the folder of the official splits, "
                f"{CLASSES[0]}_test_split1.txt and so on. {ORIGIN.source}"
            )

    def videos(self) -> list[Video]:
        """The videos of the part of the split, in the order of its files; the log counts the missing."""
        return self.inventory().warn(self.name)

    def inventory(self) -> Inventory:
        """The videos, what is missing of those in the split, and what is in no split."""
        videos: list[Video] = []
        missing: list[str] = []
        unlisted: list[str] = []
        for label, name in enumerate(self.classes):
            there = {path.stem: path for path in find_videos(self._videos / name)}
            parts = self._split_of(name)
            for stem, part in parts.items():
                if part not in PARTS[self.part]:
                    continue
                if stem in there:
                    videos.append(Video(f"{name}__{stem}", there[stem], label))
                else:
                    missing.append(f"{name}/{stem}")
            unlisted += [f"{name}/{stem}" for stem in sorted(there.keys() - parts.keys())]
        if not videos:
            raise FileNotFoundError(
                f"{self._videos} holds none of the {len(missing)} videos of split {self.split}, part {self.part}."
            )
        videos, unreadable = readable(videos)
        return Inventory(videos, missing, unreadable, {"in no split": unlisted} if unlisted else {})

    def ground_truth(self, video: Video) -> NDArray[np.bool_] | None:
        """The actor's silhouette, bool (n_frames, height, width) in source frames; None where there are no masks.

        Raises:
            VideoError: if the video's mask is missing, damaged, or of another length than the video.
        """
        mask = self._mask(video)
        if mask is None:
            return None
        info = probe(video.path)
        if len(mask) != info.n_frames:
            raise VideoError(f"{video.path}: has {info.n_frames} frames, but its mask has {len(mask)}.")
        rows, columns = (
            ((np.arange(size) + 0.5) * given / size).astype(int)  # the nearest pixel of the mask
            for size, given in zip((info.height, info.width), mask.shape[1:], strict=True)
        )
        return mask[:, rows][:, :, columns]

    def _mask(self, video: Video) -> NDArray[np.bool_] | None:
        """The mask as it is stored, bool (n_frames, height, width)."""
        folder, stem = video.path.parent.name, video.path.stem
        packed = self.root / PACKED_MASKS
        if (self.root / "puppet_mask").is_dir():
            return _matlab_mask(self.root / "puppet_mask" / folder / stem / "puppet_mask.mat", video)
        if packed.is_file():
            with np.load(packed) as stored:
                if f"{folder}/{stem}" not in stored:
                    raise VideoError(f"{video.path}: {packed} has no mask of {folder}/{stem}.")
                rows = stored[f"{folder}/{stem}"]
            return np.unpackbits(rows, axis=2, count=PACKED_WIDTH).astype(bool)
        log.info("%s: neither puppet_mask nor %s is there, so there is no ground truth.", self.root, PACKED_MASKS)
        return None

    def _split_of(self, name: str) -> dict[str, str]:
        """By name of video without suffix, 1 for training or 2 for testing."""
        file = self.root / "splits" / f"{name}_test_split{self.split}.txt"
        if not file.is_file():
            raise FileNotFoundError(f"{file} is not there; each class has such a file. {ORIGIN.source}")
        parts = {}
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            if not line.strip():
                continue
            stem, _, part = line.strip().rpartition(" ")
            if part not in ("0", "1", "2") or not stem.strip():
                raise ValueError(
                    f"{file}, line {number}: expected a video and 1 (train), 2 (test) or 0 (neither), "
                    f"got {line!r}."
                )
            parts[Path(stem.strip()).stem] = part
        return parts


def _matlab_mask(file: Path, video: Video) -> NDArray[np.bool_]:
    from scipy.io import loadmat

    if not file.is_file():
        raise VideoError(f"{video.path}: its mask {file} is not there.")
    try:
        mask = np.asarray(loadmat(file)["part_mask"])
    except (KeyError, ValueError, TypeError, NotImplementedError, OSError) as error:
        raise VideoError(f"{video.path}: its mask {file} cannot be read ({error}).") from error
    if mask.ndim == 2:  # MATLAB drops a last axis of length 1
        mask = mask[..., None]
    return np.moveaxis(mask, -1, 0) > 0
