"""The clips of a training, and the order in which they come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler

from lavx.datasets.base import DrawnAnew, Video
from lavx.networks.openmmlab import library
from lavx.networks.openmmlab.view import DECODING, View
from lavx.networks.training import random_state
from lavx.video import VideoInfo, read_frames

# The second number of the seed of a drawn video; 0 is that of the videos which `lavx run` explains.
TRAINING, VALIDATION = 1, 2


class Clips(Dataset):
    """The clips of a training or of its validations, for a `DataLoader`.

    Training clips are new in every epoch: index `epoch * len + i` is clip i in that epoch.

    Args:
        layout: of the recognizer's inputs: NCHW (2D, frames as views) or NCTHW (3D).

    Attributes:
        shuffled: whether training takes them in random order.
    """

    shuffled = True

    def __init__(self, layout: str) -> None:
        self.layout = layout

    def __len__(self) -> int:
        raise NotImplementedError

    def pack(self, frames: NDArray[np.uint8], label: int) -> dict[str, Any]:
        """Frames (T, H, W, 3) as mmaction2's pipelines end: in the recognizer's layout, with their label."""
        from mmaction.structures import ActionDataSample

        axes = (0, 3, 1, 2) if self.layout == "NCHW" else (3, 0, 1, 2)
        inputs = torch.from_numpy(np.ascontiguousarray(frames.transpose(axes)))
        if self.layout == "NCTHW":
            inputs = inputs[None]
        return {"inputs": inputs, "data_samples": ActionDataSample().set_gt_label(label)}


class DrawnClips(Clips):
    """Clips of videos that are drawn by code: every index is a new video, so there is nothing to shuffle.

    Args:
        dataset: what draws.
        view: the network's.
        seed: of the drawings.
        subset: `TRAINING` or `VALIDATION`.
        length: how many there are.
    """

    shuffled = False

    def __init__(self, dataset: DrawnAnew, view: View, seed: int, subset: int, length: int) -> None:
        super().__init__(view.layout)
        self.dataset, self.view, self.seed, self.subset, self.length = dataset, view, seed, subset, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        indices = self.view.sample(self.dataset.n_frames, self.dataset.fps)
        frames, label = self.dataset.drawn((self.seed, self.subset, index), indices)
        return self.pack(self.view.cut(frames, "a drawn video")[0], label)


class TrainingClips(Clips):
    """Clips of video files through the random steps of a config's `train_pipeline`.

    All that is random in clip i of an epoch comes from (seed, epoch, i): the number of workers changes nothing,
    and a training that is resumed in the middle sees what it would have seen.

    Args:
        videos: labeled ones.
        infos: what each holds, by id.
        settings: the mmengine config.
        layout: of the recognizer's inputs.
        seed: of all that is random.

    Raises:
        ValueError: if the config has no `train_pipeline`.
    """

    def __init__(
        self,
        videos: Sequence[Video],
        infos: Mapping[str, VideoInfo],
        settings: Any,
        layout: str,
        seed: int,
    ) -> None:
        super().__init__(layout)
        if "train_pipeline" not in settings:
            raise ValueError("the config has no train_pipeline; choose one of mmaction2's, or add it")
        self.videos, self.infos, self.seed = videos, infos, seed
        self.pipeline = _pipeline(settings.train_pipeline, seed)

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> dict[str, Any]:
        epoch, place = divmod(index, len(self.videos))
        video = self.videos[place]
        info = self.infos[video.id]
        results = {
            "filename": str(video.path),
            "total_frames": info.n_frames,
            "avg_fps": info.fps,
            "start_index": 0,
            "modality": "RGB",
            "label": video.label,
        }
        with random_state.seeded(self.seed, epoch, place):
            packed: dict[str, Any] = self.pipeline(results)
        return packed


def _pipeline(steps: Sequence[Mapping[str, Any]], seed: int) -> Any:
    """The steps of a `train_pipeline`, which decodes with PyAV as lavx does everywhere."""
    library.load()
    from mmengine.dataset import Compose

    from lavx.networks.training.color_jitter import ColorJitter

    replaced: list[Any] = []
    for step in steps:
        if step["type"] in DECODING:
            if step["type"].endswith("Decode"):  # the other one opens the file
                replaced.append(_decode)
        elif step["type"] == "ColorJitter":
            replaced.append({**step, "type": ColorJitter})
        else:
            replaced.append(dict(step))
    with library.quiet(), random_state.seeded(seed):  # ColorJitter draws the order of its steps when it is built
        return Compose(replaced)


def _decode(results: dict[str, Any]) -> dict[str, Any]:
    """The step between sampling and resizing: the sampled frames of `filename`."""
    frames = read_frames(results["filename"], results["frame_inds"].ravel())
    size = (int(frames.shape[1]), int(frames.shape[2]))
    return results | {"imgs": list(frames), "original_shape": size, "img_shape": size}


class ValidationClips(Clips):
    """The clips that `lavx run` would explain.

    Args:
        videos: labeled ones, none shorter than a clip.
        infos: what each holds, by id.
        view: the network's.
    """

    def __init__(self, videos: Sequence[Video], infos: Mapping[str, VideoInfo], view: View) -> None:
        super().__init__(view.layout)
        self.videos, self.infos, self.view = videos, infos, view

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> dict[str, Any]:
        video = self.videos[index]
        assert video.label is not None
        info = self.infos[video.id]
        frames = read_frames(video.path, self.view.sample(info.n_frames, info.fps))
        return self.pack(self.view.cut(frames, str(video.path))[0], video.label)


class EpochSampler(Sampler[int]):
    """Indices for `Clips`, in an order that depends on seed and epoch alone.

    Args:
        length: clips in an epoch.
        seed: of the orders.
        shuffled: whether they are random.
    """

    def __init__(self, length: int, seed: int, shuffled: bool) -> None:
        self.length, self.seed, self.shuffled, self.epoch = length, seed, shuffled, 0

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        order = np.arange(self.length)
        if self.shuffled:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length)
        return iter((self.epoch * self.length + order).tolist())

    def set_epoch(self, epoch: int) -> None:
        """Tell the epoch that comes next, as mmengine does."""
        self.epoch = epoch
