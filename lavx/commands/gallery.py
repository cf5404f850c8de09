"""`lavx gallery`: pictures of what every option of every step does to one clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from lavx.commands import OK, guarded
from lavx.errors import RequestError, check_whole

_STEPS = ("segmentation", "selection", "removal")


def _options(step: str) -> dict[str, Any]:
    """Every option of one step of a method, built."""
    from lavx.experiments.cell import build

    group = f"method/{step}"
    names = GlobalHydra.instance().config_loader().get_group_options(group)
    nodes = {name: hydra.compose("run", overrides=[f"{group}={name}"]).method[step] for name in names}
    return {name: build(node, f"{group}={name}") for name, node in nodes.items()}


def _gallery(config: DictConfig, dataset_name: str, net_name: str) -> int:
    import torch

    from lavx.datasets.base import Video
    from lavx.drawing.gallery import draw_gallery
    from lavx.experiments.cell import build, build_network, videos_of
    from lavx.experiments.held_out import prepare
    from lavx.explainer import Seeds
    from lavx.game import Scorer
    from lavx.video import VideoError

    check_whole(config, "n_frames", 1)
    dataset = build(config.dataset, "dataset")
    methods = {
        name: build(hydra.compose("run", overrides=[f"method={name}"]).method, f"method={name}")
        for name in config.methods
    }
    if config.video is None:
        video = videos_of(dataset)[0]
    else:
        video = Video(Path(config.video).stem, Path(config.video).expanduser(), None)
    network = build_network(config, (dataset_name, net_name), dataset, [video])
    try:
        prepare(network, dataset, video)
        clip = network.read(video.path)
        scorer = Scorer(network, config.batch_size)
    except (VideoError, OSError, ValueError) as error:
        raise RequestError(str(error)) from error
    logits = network(torch.from_numpy(clip.frames).to(network.device).float()[None])
    target = int(logits[0].argmax())
    folder = Path(config.outputs) / config.name / "gallery" / f"{video.id}-{net_name}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"cannot write to {folder} ({error.strerror}); set outputs=/some/folder") from error
    files = draw_gallery(
        folder,
        clip.frames,
        clip.geometry.seconds,
        (target, dataset.classes[target]),
        {step: _options(step) for step in _STEPS},
        methods,
        scorer,
        Seeds(config.seed, video.id),
        config.n_frames,
    )
    for file in files:
        print(file)
    return OK


@hydra.main(version_base="1.3", config_path="pkg://lavx.conf", config_name="gallery")
def main(config: DictConfig) -> int:
    """Draw the gallery as Hydra composed it; returns the exit status."""
    choices = HydraConfig.get().runtime.choices
    return guarded(lambda: _gallery(config, choices["dataset"], choices["net"]))
