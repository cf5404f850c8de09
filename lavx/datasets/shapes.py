"""`shapes`: the embedded dataset, videos drawn by code whose every voxel has a known ground truth.

Each video shows a textured background with clutter and drifting gray distractors. One *actor*, a convex
polygon, appears for a part of the video only and there turns from one of four colors into another. The
ordered pair of colors is the class, so that no single frame decides it, nor does any set of frames without
their order.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lavx.datasets.base import Video
from lavx.video import write_video

N_FRAMES = 16
FPS = 8
HEIGHT, WIDTH = 80, 112
VERSION = 1  # part of the cache's name: raise it when a drawing changes

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (225, 50, 45),
    "green": (45, 190, 70),
    "blue": (50, 85, 230),
    "yellow": (235, 205, 45),
}
# Both directions along the cycle red, green, blue, yellow: every color starts two classes and ends two, and
# each unordered pair is two classes. One color leaves four classes open, a bag of frames leaves two.
PAIRS: tuple[tuple[str, str], ...] = (
    ("red", "green"),
    ("green", "red"),
    ("green", "blue"),
    ("blue", "green"),
    ("blue", "yellow"),
    ("yellow", "blue"),
    ("yellow", "red"),
    ("red", "yellow"),
)
CLASSES: tuple[str, ...] = tuple(f"{first} to {second}" for first, second in PAIRS)


@dataclass(frozen=True)
class Drawing:
    """One drawn video and its ground truth.

    Attributes:
        frames: uint8 (n, HEIGHT, WIDTH, 3), RGB.
        actor: bool (n, HEIGHT, WIDTH), True where the actor covers at least half of the pixel.
        label: index into `CLASSES`.
        acting: (first, last) source frame, both inclusive, in which the actor is there.
        turning: first source frame with the second color.
    """

    frames: NDArray[np.uint8]
    actor: NDArray[np.bool_]
    label: int
    acting: tuple[int, int]
    turning: int


@functools.cache
def _upsampling(cells: int, size: int) -> NDArray[np.float32]:
    """Linear interpolation from `cells` knots to `size` pixels: float (size, cells)."""
    position = np.linspace(0, cells - 1, size)
    knots = np.arange(cells)
    return np.clip(1 - np.abs(position[:, None] - knots), 0, None).astype(np.float32)


def _texture(cells: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Smooth noise in [-1, 1] with `cells` knots a side: float (HEIGHT, WIDTH, 1)."""
    knots = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
    smooth = _upsampling(cells, HEIGHT) @ knots @ _upsampling(cells, WIDTH).T
    return np.asarray(smooth[..., None], dtype=np.float32)


def _polygon(
    n_corners: int,
    radius: NDArray[np.float32] | float,
    center: NDArray[np.float32],
    angle: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Coverage in [0, 1] of a regular polygon: float (n, HEIGHT, WIDTH); center (n, 2) as (y, x), angle (n,)."""
    y = np.arange(HEIGHT, dtype=np.float32)[None, :, None] - center[:, 0, None, None]
    x = np.arange(WIDTH, dtype=np.float32)[None, None, :] - center[:, 1, None, None]
    apothem = radius * math.cos(math.pi / n_corners)
    distance = np.full((len(center), HEIGHT, WIDTH), -np.inf, dtype=np.float32)
    for corner in range(n_corners):
        normal = angle + 2 * math.pi * corner / n_corners
        np.maximum(
            distance,
            y * np.sin(normal)[:, None, None] + x * np.cos(normal)[:, None, None] - apothem,
            out=distance,
        )
    return np.clip(0.5 - distance, 0, 1)


def draw(seed: Sequence[int], label: int | None = None, frames: Sequence[int] | None = None) -> Drawing:
    """Draw one video; the same seed gives the same bytes.

    Args:
        seed: whole numbers that seed the video's own generator, such as (seed, split, number).
        label: the class, an index into `CLASSES`; drawn at random where None.
        frames: source frames to draw (training draws only those that the networks look at); all where None.
    """
    rng = np.random.default_rng(list(seed))
    drawn_label = int(rng.integers(len(CLASSES)))
    label = drawn_label if label is None else label
    shown = np.arange(N_FRAMES) if frames is None else np.asarray(frames)
    time = shown.astype(np.float32)

    background = rng.uniform(60, 170) + rng.uniform(-25, 25, 3).astype(np.float32)
    scene = background + 28 * _texture(4, rng) + 16 * _texture(9, rng) + 10 * _texture(24, rng)
    movie = np.repeat(scene[None], len(shown), axis=0)

    for _ in range(int(rng.integers(4, 8))):  # clutter: stands still, gray or pale
        center = rng.uniform((0, 0), (HEIGHT, WIDTH)).astype(np.float32)[None]
        shade = rng.uniform(20, 235) + rng.uniform(-18, 18, 3).astype(np.float32)
        angle = rng.uniform(0, 2 * math.pi, 1).astype(np.float32)
        cover = 0.7 * _polygon(int(rng.integers(3, 7)), rng.uniform(3, 7), center, angle)[..., None]
        movie += cover * (shade - movie)

    for _ in range(2):  # distractors: drift through the whole video, gray
        start = rng.uniform((10, 10), (HEIGHT - 10, WIDTH - 10))
        velocity = rng.uniform(-2, 2, 2)
        centers = (start + time[:, None] * velocity).astype(np.float32)
        shade = rng.uniform(20, 235) + rng.uniform(-12, 12, 3).astype(np.float32)
        angles = (rng.uniform(0, 2 * math.pi) + rng.uniform(-0.3, 0.3) * time).astype(np.float32)
        cover = _polygon(int(rng.integers(3, 7)), rng.uniform(7, 11), centers, angles)[..., None]
        movie += cover * (shade - movie)

    length = int(rng.integers(8, 13))
    first = int(rng.integers(0, N_FRAMES - length + 1))
    last = first + length - 1
    turning = first + length // 2 + int(rng.integers(-1, 2))
    margin = 16  # keeps the actor within the central square that the networks see
    side = (WIDTH - HEIGHT) // 2
    low, high = np.array((margin, side + margin)), np.array((HEIGHT - margin, WIDTH - side - margin))
    path = rng.uniform(low, high, (2, 2))
    progress = np.clip((time - first) / max(last - first, 1), 0, 1)[:, None]
    centers = (path[0] + progress * (path[1] - path[0])).astype(np.float32)
    angles = (rng.uniform(0, 2 * math.pi) + rng.uniform(-0.2, 0.2) * time).astype(np.float32)
    cover = _polygon(int(rng.integers(3, 7)), rng.uniform(11, 15), centers, angles)
    cover *= ((shown >= first) & (shown <= last))[:, None, None]
    before, after = (np.array(COLORS[name], dtype=np.float32) for name in PAIRS[label])
    jitter = rng.uniform(-15, 15, 3).astype(np.float32)
    color = np.where((shown < turning)[:, None], before, after) + jitter
    movie += cover[..., None] * (color[:, None, None] - movie)
    # The grain comes last: how much of it is drawn depends on `frames`, what is in the picture must not.
    movie += 3 * rng.standard_normal(movie.shape, dtype=np.float32)

    return Drawing(
        frames=np.clip(np.rint(movie), 0, 255).astype(np.uint8),
        actor=cover >= 0.5,
        label=label,
        acting=(first, last),
        turning=turning,
    )


class Shapes:
    """The dataset: `n_videos` drawn videos, classes in turn, written once as real video files to a cache.

    Args:
        root: the cache folder; videos lie in a subfolder named by version and seed.
        n_videos: how many there are.
        seed: seeds the drawings; the networks were trained on others.
    """

    name = "shapes"
    classes = CLASSES
    n_frames = N_FRAMES
    fps = float(FPS)
    n_held_out = 480

    def __init__(self, root: str | Path, n_videos: int = 30, seed: int = 0) -> None:
        if n_videos < 1:
            raise ValueError(f"dataset.n_videos must be >= 1, got {n_videos}")
        self.folder = Path(root).expanduser() / f"shapes-v{VERSION}-seed{seed}"
        self.n_videos = n_videos
        self.seed = seed

    def videos(self) -> list[Video]:
        """All videos, those that are not in the cache yet drawn and written first."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            return [self._video(number) for number in range(self.n_videos)]
        except OSError as error:
            raise OSError(
                f"cannot write the drawn videos to {self.folder} ({error.strerror}); set dataset.root to a "
                "folder that can be written"
            ) from error

    def ground_truth(self, video: Video) -> NDArray[np.bool_]:
        """The actor's mask in the source frames: bool (n_frames, height, width)."""
        with np.load(video.path.with_suffix(".npz")) as stored:
            shape = tuple(stored["shape"])
            return np.unpackbits(stored["actor"], count=int(np.prod(shape))).reshape(shape).astype(bool)

    def drawn(self, seed: Sequence[int], frames: Sequence[int]) -> tuple[NDArray[np.uint8], int]:
        """Some frames of the video that `seed` draws, uint8 (T, H, W, 3), and its label; for trainings."""
        drawing = draw(seed, frames=frames)
        return drawing.frames, drawing.label

    def _video(self, number: int) -> Video:
        video = Video(
            id=f"shapes-{number:04d}", path=self.folder / f"{number:04d}.mp4", label=number % len(CLASSES)
        )
        truth = video.path.with_suffix(".npz")
        if not (video.path.exists() and truth.exists()):
            drawing = draw((self.seed, 0, number), label=video.label)
            # Written beside and renamed: another process may be writing the same bytes at this moment.
            suffix = f".{os.getpid()}.part"
            part = video.path.with_name(video.path.stem + suffix + ".npz")
            np.savez_compressed(
                part,
                actor=np.packbits(drawing.actor),
                shape=np.array(drawing.actor.shape),
                acting=np.array(drawing.acting),
                turning=drawing.turning,
                label=drawing.label,
            )
            os.replace(part, truth)
            part = video.path.with_name(video.path.stem + suffix + ".mp4")
            write_video(part, drawing.frames, fps=FPS, crf=8)
            os.replace(part, video.path)
        return video
