"""`lavx gallery`: pictures of what every option of every step does to one clip."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from lavx.commands import OK, guarded
from lavx.errors import RequestError, check_whole
from lavx.files import writing_to

if TYPE_CHECKING:
    from lavx.experiments.settings import Settings

_STEPS = ("segmentation", "selection", "removal")


def _composed(config: Settings, choice: str) -> Settings:
    """The settings of `lavx run` with one choice, for its method."""
    from lavx.experiments import trust
    from lavx.experiments.compose import settings

    return settings(hydra.compose("run", overrides=[choice, trust.override(config)]))


def _options(config: Settings, step: str) -> dict[str, Any]:
    """Every option of one step of a method, built."""
    from lavx.experiments.compose import build

    group = f"method/{step}"
    names = GlobalHydra.instance().config_loader().get_group_options(group)
    nodes = {name: _composed(config, f"{group}={name}").method[step] for name in names}
    # An option with a parameter that only the user knows, as a video, cannot be drawn.
    return {name: build(node, f"{group}={name}") for name, node in nodes.items() if "???" not in node.values()}


def _gallery(config: Settings, dataset_name: str, net_name: str) -> int:
    from lavx.datasets.base import Video
    from lavx.drawing.gallery import draw_gallery
    from lavx.experiments.compose import build, build_network, videos_of
    from lavx.experiments.held_out import prepare
    from lavx.experiments.names import folder_name
    from lavx.game import BatchSizes, ScoredClip, ScoreError, Seeds
    from lavx.text import visible
    from lavx.video import VideoError

    check_whole(config, "n_frames", 1)
    methods = {
        name: build(_composed(config, f"method={name}").method, f"method={name}") for name in config.methods
    }
    dataset = build(config.dataset, "dataset")
    if config.video is None:
        video = videos_of(dataset)[0]
    else:
        video = Video(visible(Path(config.video).stem), Path(config.video).expanduser(), None)
    network = build_network(config, (dataset_name, net_name), dataset, [video])
    try:
        prepare(network, dataset, video)
        clip = network.read(video.path)
        scored = ScoredClip(
            network,
            clip.frames,
            classes=network.classes or dataset.classes,
            batches=BatchSizes(network, config.batch_size),
            seeds=Seeds(config.seed, video.id),
        )
    except (VideoError, ScoreError, OSError, ValueError) as error:
        raise RequestError(str(error)) from error
    folder = Path(config.outputs) / config.name / "gallery" / folder_name(f"{video.id}-{net_name}")
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        files = draw_gallery(
            folder,
            scored,
            clip.geometry.seconds,
            (scored.classes or ())[scored.target],
            {step: _options(config, step) for step in _STEPS},
            methods,
            config.n_frames,
        )
    for file in files:
        print(file)
    return OK


@hydra.main(version_base="1.3", config_path="pkg://lavx.conf", config_name="gallery")
def main(config: DictConfig) -> int:
    """Draw the gallery as Hydra composed it; returns the exit status."""
    choices = HydraConfig.get().runtime.choices

    def job() -> int:
        from lavx.experiments.compose import settings

        return _gallery(settings(config), choices["dataset"], choices["net"])

    return guarded(job)
