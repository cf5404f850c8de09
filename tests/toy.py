"""A network of eight classes that needs no weights and no mmaction; a dataset in folds and weights for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lavx import networks
from lavx.datasets.base import Video
from lavx.datasets.shapes import Shapes
from lavx.types import Clip, Geometry
from lavx.video import probe, read_frames


class ToyNetwork:
    """It looks at mean colors."""

    name = "toy"
    output = "logits"
    weights: dict = {"file": None, "sha256": None}

    def __init__(self, classes, scale: float = 0.05) -> None:
        self.classes = tuple(classes)
        self.device = torch.device("cpu")
        generator = torch.Generator().manual_seed(0)
        self.weight = scale * torch.randn(8, 3, len(self.classes), generator=generator)

    def read(self, path: str | Path, start: float | None = None, end: float | None = None) -> Clip:
        info = probe(path)
        indices = tuple(range(0, 16, 2))
        frames = read_frames(path, indices)[:, :80:5, 16:96:5]
        geometry = Geometry(indices, info.fps, (80, 112), (16, 22), (0, 3, 16, 16))
        return Clip(np.ascontiguousarray(frames), geometry)

    def __call__(self, clips: Tensor) -> Tensor:
        return torch.einsum("btc,tck->bk", clips.mean((2, 3)), self.weight)


class FoldedShapes(Shapes):
    """The embedded videos in two folds: even numbers and odd ones. The last is in none where asked for."""

    def __init__(self, root: str, n_videos: int = 4, seed: int = 0, homeless: bool = False) -> None:
        super().__init__(root, n_videos, seed)
        self.homeless = homeless

    def fold_of(self, video: Video) -> int:
        number = int(video.id[-4:])
        if not video.id.startswith("shapes-") or self.homeless and number == self.n_videos - 1:
            raise ValueError(f"{video.id} is in none of the 2 folds (toy).")
        return number % 2


def two_folds(folder: Path, net: str = "tpn") -> str:
    """Write weights for two folds, the embedded ones and those one class off; returns the path with `{fold}`."""
    embedded = Path(networks.__file__).parent / "openmmlab" / "weights" / f"shapes_{net}.pth"
    content = torch.load(embedded, weights_only=True)
    for fold in (0, 1):
        state = {
            key: value.roll(fold, 0) if key.startswith("cls_head.fc_cls.") else value
            for key, value in content["state_dict"].items()
        }
        (folder / f"fold{fold}").mkdir(parents=True, exist_ok=True)
        torch.save(content | {"state_dict": state}, folder / f"fold{fold}" / "best.pth")
    return f"{folder}/fold{{fold}}/best.pth"
