"""EtriActivity3D: daily activities of elderly and young people, seen by a home robot (Jang et al. 2020).

Jang, Kim, Park, Jang, Lee and Kim, "ETRI-Activity3D: A Large-Scale RGB-D Dataset for Robots to Recognize Daily
Activities of the Elderly", IROS 2020, arXiv 2003.01920.
"""

from __future__ import annotations

import functools
import gzip
import re
from dataclasses import dataclass
from pathlib import Path

from lavx import checks
from lavx.datasets.base import Video
from lavx.datasets.folds import stored_folds
from lavx.datasets.layouts import (
    Inventory,
    Origin,
    find_videos,
    readable,
    shipped_names,
    some,
)

ORIGIN = Origin(
    title="EtriActivity3D",
    what="55 daily activities of 50 elderly and 50 young people in 112,620 videos (Jang et al. 2020).",
    source=(
        "ETRI gives it to those who sign its license agreement: ai4robot.github.io/etri-activity3d-en. lavx takes "
        "the RGB videos only."
    ),
    disk="296 GB for the RGB videos",
)
SPLIT_KINDS = ("stratified", "by_subject", "authors")
N_SUBJECTS = 100

_FILE = re.compile(r"A(\d{3})_?P(\d{3})_?G(\d{3})_?C(\d{3})", re.IGNORECASE)
_AUTHORS_LIST = re.compile(r".*test_k(\d+)_video\.txt(\.gz)?")


@dataclass(frozen=True)
class Recording:
    """What a file name such as `A001_P001_G001_C001.mp4` says; all count from 1.

    Attributes:
        action: 1 to 55; the label is one less.
        subject: 1 to 100.
        group: the group of cameras, which stands for a place in the apartment.
        camera: 1 to 8.
    """

    action: int
    subject: int
    group: int
    camera: int

    @property
    def elderly(self) -> bool:
        """Whether the subject is one of the 50 elderly, P001 to P050, and not of the 50 young adults.

        Source: Jang et al. 2020, who filmed 50 people of 64 to 88 years and 50 in their 20s; the dataset is
        given out in two halves by these numbers, P001-P050 and P051-P100.
        """
        return self.subject <= 50


def parse(name: str) -> Recording | None:
    """What a file name without suffix says; None where it is not one of the dataset's."""
    match = _FILE.fullmatch(name)
    if not match:
        return None
    recording = Recording(*(int(number) for number in match.groups()))
    valid = 1 <= recording.action <= 55 and 1 <= recording.subject <= N_SUBJECTS
    return recording if valid else None


class EtriActivity3D:
    """A folder of EtriActivity3D's RGB videos, in any subfolders.

    Folds are files, drawn once with `seed` and then read. `stratified` deals the videos of each class over the
    folds, so that every subject is on both sides of each; so did the authors of the paper that lavx repeats,
    whose own lists are read with `authors`. `by_subject` keeps all videos of a subject in one fold: it alone
    says how a network does on people that it has never seen.

    Args:
        root: folder of the videos, searched with all its subfolders.
        fold: which fold, from 0; None for all videos.
        part: with a fold, `test` for the videos that it holds out or `train` for the others.
        split_kind: `stratified`, `by_subject` or `authors`.
        k: how many folds.
        seed: of the draw of the folds.
        age: `elderly` or `young` takes those subjects alone; the folds stay the same. None for all.
        splits: the folder where lavx keeps the files of the folds that it draws.
        authors_lists: the folder of the authors' lists `..._test_k<1..k>_video.txt` (or `.txt.gz`), lines
            `video label`; list k1 is fold 0.
        check: decode every video first and leave out those that cannot be (slow). Empty files always are.
    """

    name = "etri_activity3d"

    def __init__(
        self,
        root: str | Path | None,
        fold: int | None = None,
        part: str = "test",
        split_kind: str = "stratified",
        k: int = 5,
        seed: int = 0,
        age: str | None = None,
        splits: str | Path = "~/.cache/lavx/splits",
        authors_lists: str | Path | None = None,
        check: bool = False,
    ) -> None:
        if split_kind not in SPLIT_KINDS:
            raise ValueError(f"dataset.split_kind must be one of {', '.join(SPLIT_KINDS)}, got {split_kind!r}.")
        if k < 2:
            raise ValueError(f"dataset.k must be >= 2, got {k}.")
        if fold is not None and not 0 <= fold < k:
            raise ValueError(f"dataset.fold must be from 0 to {k - 1}, or null for all videos, got {fold}.")
        if part not in ("train", "test"):
            raise ValueError(f"dataset.part must be train or test, got {part!r}.")
        if age not in (None, "elderly", "young"):
            raise ValueError(f"dataset.age must be elderly, young or null for both, got {age!r}.")
        if split_kind == "authors" and not authors_lists:
            raise ValueError(
                "dataset.split_kind=authors needs dataset.authors_lists, the folder of the authors' lists "
                "(EtriActivity3D_test_k1_video.txt and so on)."
            )
        self.classes = shipped_names("etri_activity3d")
        self.root = ORIGIN.folder(root)
        self.fold = fold
        self.part = part
        self.split_kind = split_kind
        self.k = k
        self.seed = seed
        self.age = age
        self.splits = Path(splits).expanduser()
        self.authors_lists = Path(authors_lists).expanduser() if authors_lists else None
        self.check = checks.boolean("check", check)

    def videos(self) -> list[Video]:
        """The videos of the fold, or all, by id; the log counts those that are missing or left out."""
        return self.inventory().warn(self.name)

    def ground_truth(self, video: Video) -> None:
        """There are no masks."""
        return None

    def recording(self, video: Video) -> Recording:
        """Action, subject, group and camera of a video."""
        recording = parse(video.id)
        if recording is None:
            raise ValueError(f"{video.id!r} is not a name of EtriActivity3D such as A001_P001_G001_C001.")
        return recording

    def fold_of(self, video: Video) -> int:
        """The fold that holds a video out, from 0.

        Raises:
            ValueError: if no fold does.
        """
        folds = self.folds
        if video.id not in folds:
            raise ValueError(f"{video.id} is in none of the {self.k} folds ({self.split_kind}).")
        return folds[video.id]

    @functools.cached_property
    def folds(self) -> dict[str, int]:
        """The fold of every video by id."""
        if self.split_kind == "authors":
            return self._authors_folds()
        videos = self._on_disk[0]
        subjects = [self.recording(video).subject for video in videos]
        return stored_folds(
            self.splits,
            self.name,
            ids=[video.id for video in videos],
            labels=[self.recording(video).action - 1 for video in videos],
            k=self.k,
            seed=self.seed,
            kind=self.split_kind,
            groups=subjects if self.split_kind == "by_subject" else None,
        )

    def inventory(self) -> Inventory:
        """The videos, and what is missing of the fold."""
        videos, left_out = self._on_disk
        left_out = dict(left_out)
        missing: list[str] = []
        if self.fold is not None:
            folds = self.folds
            unlisted = [video.id for video in videos if video.id not in folds]
            if unlisted:
                left_out["in no fold"] = unlisted
            chosen = {name for name, fold in folds.items() if (fold == self.fold) == (self.part == "test")}
            missing = sorted(chosen - {video.id for video in videos})
            videos = [video for video in videos if video.id in chosen]
        if self.age:
            videos = [v for v in videos if self.recording(v).elderly == (self.age == "elderly")]
            missing = [
                n for n in missing if (parse(n) or Recording(0, 0, 0, 0)).elderly == (self.age == "elderly")
            ]
        if not videos:
            raise FileNotFoundError(
                f"dataset.root={self.root} holds no video of fold {self.fold}, part {self.part}, age {self.age}."
            )
        videos, unreadable = readable(videos, decode=self.check)
        return Inventory(videos, missing, unreadable, left_out)

    @functools.cached_property
    def _on_disk(self) -> tuple[list[Video], dict[str, list[str]]]:
        """All videos by id, and the other files by why they are passed over."""
        videos: dict[str, Video] = {}
        left_out: dict[str, list[str]] = {}
        for path in find_videos(self.root):
            recording = parse(path.stem)
            name = path.stem.upper()
            if recording is None:
                left_out.setdefault("not a name of the dataset such as A001_P001_G001_C001", []).append(path.name)
            elif name in videos:
                left_out.setdefault("a second file of the same name", []).append(str(path.relative_to(self.root)))
            else:
                videos[name] = Video(name, path, recording.action - 1)
        if not videos:
            raise FileNotFoundError(
                f"dataset.root={self.root} holds no video with a name such as A001_P001_G001_C001.mp4, nor do its "
                f"subfolders. {ORIGIN.title}: {ORIGIN}"
            )
        return [videos[name] for name in sorted(videos)], left_out

    def _authors_folds(self) -> dict[str, int]:
        assert self.authors_lists is not None
        if not self.authors_lists.is_dir():
            raise FileNotFoundError(f"dataset.authors_lists={self.authors_lists} is not a folder.")
        lists = {
            int(match.group(1)) - 1: path
            for path in sorted(self.authors_lists.iterdir())
            if (match := _AUTHORS_LIST.fullmatch(path.name))
        }
        there = sorted(fold + 1 for fold in lists)
        if there != list(range(1, self.k + 1)):
            raise ValueError(
                f"dataset.authors_lists={self.authors_lists} holds the lists {there}, "
                f"but dataset.k={self.k} needs 1 to {self.k}: files ..._test_k1_video.txt or .txt.gz."
            )
        folds: dict[str, int] = {}
        for fold, file in sorted(lists.items()):
            for name in self._read_authors_list(file):
                if name in folds:
                    raise ValueError(f"{file}: {name} is in list {folds[name] + 1} too.")
                folds[name] = fold
        return folds

    def _read_authors_list(self, file: Path) -> list[str]:
        names = []
        opened = gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8")
        with opened as stream:
            for number, line in enumerate(stream, start=1):
                if not line.strip():
                    continue
                words = line.split()
                name = Path(words[0]).stem.upper()
                recording = parse(name)
                if recording is None or len(words) != 2 or words[1] != str(recording.action - 1):
                    raise ValueError(
                        f"{file}, line {number}: expected a video and its label, such as "
                        f"A018_P064_G001_C007.mp4 17, got {line.strip()!r}."
                    )
                names.append(name)
        if len(set(names)) != len(names):
            double = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"{file}: {some(double)} more than once.")
        return names
