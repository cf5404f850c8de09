"""Video classifiers of torchvision: ResNet 3D, MC3, R(2+1)D, S3D, MViT, Swin 3D."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lavx.networks.allocator import keep_freed_memory
from lavx.networks.checkpoints import check_hash, check_trust, download, fill, find_file, read_checkpoint
from lavx.networks.extras import import_torchvision
from lavx.networks.outputs import check_output, read_classes
from lavx.networks.torch_module import TorchModule
from lavx.networks.video_input import VideoInput
from lavx.networks.video_network import VideoNetwork
from lavx.types import OutputKind

logger = logging.getLogger(__name__)

RANDOM_SEED = 0  # of the weights of `checkpoint=random`

# Frames a second and frames of a clip with which torchvision measured each family; it says so in prose alone.
_REFERENCE = {
    "r3d": (15, 16),
    "mc3": (15, 16),
    "r2plus1d": (15, 16),
    "s3d": (15, 128),
    "mvit": (7.5, 16),
    "swin3d": (15, 32),
}


class Torchvision(VideoNetwork):
    """A video classifier of torchvision, with the preprocessing and the classes of its published weights.

    Frames are resized, cropped and normalized as `weights.transforms()` does it. Unless told otherwise, a clip has
    as many frames, at the same frame rate, as torchvision measured the weights with, from the middle of the video.

    Args:
        arch: its name in torchvision, such as `r3d_18`.
        weights: which of the published weights: `DEFAULT`, a name such as `KINETICS400_V1`, or the member of the
            enum itself.
        checkpoint: `official` (the published ones, downloaded once), a file or URL of others for the same network,
            or `random` (seeded; for tests and timings only).
        name: what it is called in results; `arch` unless given, and `-random` is appended where weights are.
        classes: names in the order of the outputs, or a file of one a line; None for those of `weights`.
        output: what the outputs are (`lavx.types.OutputKind`).
        device: `auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:N`.
        precision: of the convolutions and matrix products: `fp32`, `bf16` or `fp16`.
        trust_checkpoint: load a checkpoint that holds arbitrary Python objects, which can run code on loading.
        seeing: how it sees a video: arguments of `lavx.networks.video_input.VideoInput`. `own` and what is left
            out is as above.

    Attributes:
        weights: `file` and `sha256` of the weights; the latter None for random ones.

    Raises:
        ValueError: if `arch` or `weights` are not in torchvision, the checkpoint does not fit, or a parameter is
            not one of those allowed.
        FileNotFoundError: if weights are not there and cannot be had.
        ModuleNotFoundError: if torchvision is not installed.
        ImportError: if it does not fit this torch.
    """

    def __init__(
        self,
        arch: str,
        weights: Any = "DEFAULT",
        checkpoint: str | Path = "official",
        name: str | None = None,
        classes: Sequence[str] | str | Path | None = None,
        output: OutputKind = "logits",
        device: str = "auto",
        precision: str = "fp32",
        trust_checkpoint: bool = False,
        **seeing: Any,
    ) -> None:
        check_trust(trust_checkpoint)
        chosen = published(arch, weights)
        does = chosen.transforms()
        names = read_classes(classes) or tuple(chosen.meta["categories"])
        name = (name or arch) + "-random" * (checkpoint == "random")
        own = _own(arch, does, seeing)
        video_input = VideoInput(name=name, **own)
        _check_size(chosen.meta, own, arch)
        module = _build(arch, len(names))
        used = _fill(module, chosen, checkpoint, name, trust_checkpoint)
        classifier = TorchModule(
            module,
            layout="BCTHW",
            scale=1 / 255,
            mean=does.mean,
            std=does.std,
            output=check_output(output),
            classes=names,
            device=device,
            precision=precision,
            name=name,
        )
        if classifier.device.type == "cpu":
            keep_freed_memory()
        super().__init__(name, classifier, video_input, used)


def published(arch: str, weights: Any = "DEFAULT") -> Any:
    """The member of torchvision's enum of weights for a network.

    Raises:
        ValueError: if torchvision has no such network or weights; it says which there are.
    """
    models = import_torchvision()
    archs = models.list_models(module=models.video)
    if arch not in archs:
        raise ValueError(f"arch must be one of {', '.join(archs)}; got {arch}.")
    enum = models.get_model_weights(arch)
    if isinstance(weights, enum):
        return weights
    wanted = str(weights).removeprefix(f"{enum.__name__}.")
    if wanted not in enum.__members__:
        raise ValueError(f"weights of {arch} must be one of {', '.join(enum.__members__)}; got {weights}.")
    return enum[wanted]


def _own(arch: str, does: Any, seeing: dict[str, Any]) -> dict[str, Any]:
    """How it sees a video: what was given, and what the weights and torchvision say where nothing was."""
    frame_rate, n_frames = _REFERENCE[arch.partition("_")[0]]
    given = {key: value for key, value in seeing.items() if value != "own"}
    own = {
        "n_frames": n_frames,
        "sampling": "stride",
        "resize": does.resize_size[0] if len(does.resize_size) == 1 else tuple(does.resize_size),
        "crop": tuple(does.crop_size),
        "interpolation": does.interpolation.value,
        "antialias": False,
    }
    if "sampling" not in given and given.get("stride") is None and given.get("frame_rate") is None:
        given["frame_rate"] = frame_rate
    return own | given


def _size(own: dict[str, Any]) -> tuple[int, int] | None:
    """(height, width) of a clip; None where it depends on the video."""
    size = own["resize"] if own["crop"] is None else own["crop"]
    if isinstance(size, int):
        return None if own["crop"] is None else (size, size)
    return None if size is None else (size[0], size[1])


def _check_size(meta: dict[str, Any], own: dict[str, Any], arch: str) -> None:
    """Refuse clips for which a network is not built: MViT's have one size, others may be larger."""
    size = (own["n_frames"], *(_size(own) or ()))
    least = (meta.get("min_temporal_size", 1), *meta["min_size"])
    fixed = arch.startswith("mvit")
    if any(given != needed if fixed else given < needed for given, needed in zip(size, least, strict=False)):
        raise ValueError(
            f"a clip of {arch} must be {'' if fixed else 'at least '}{' x '.join(map(str, least))} large (frames "
            f"x height x width), got {' x '.join(map(str, size))}. Change n_frames, resize or crop."
        )


def _build(arch: str, n_classes: int) -> nn.Module:
    """The network with random weights."""
    models = import_torchvision()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(RANDOM_SEED)
        module: nn.Module = models.get_model(arch, weights=None, num_classes=n_classes)
    return module.eval().requires_grad_(False)


def _fill(
    module: nn.Module, chosen: Any, checkpoint: str | Path, name: str, trust_checkpoint: bool
) -> dict[str, Any]:
    """Give a network its weights; returns where they are from."""
    if checkpoint == "random":
        logger.warning(
            "checkpoint=random: %s has RANDOM WEIGHTS. Its classes, scores and explanations mean nothing; use it "
            "for tests and timings only.",
            name,
        )
        return {"file": f"random (seed {RANDOM_SEED})", "sha256": None}
    path = download(chosen.url) if checkpoint == "official" else find_file(checkpoint)
    sha256 = check_hash(path)
    hint = "Check that they belong to arch, and that classes names as many classes as they have."
    fill(module, read_checkpoint(path, trust_checkpoint)["state_dict"], path, hint)
    return {"file": str(path), "sha256": sha256}
