"""`lavx select`: draw videos that all networks classify correctly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from lavx.commands import OK, SOME_FAILED, guarded
from lavx.errors import check_whole
from lavx.files import FINISHED_STAY, writing_to

if TYPE_CHECKING:
    from lavx.experiments.settings import Settings


def _select(config: Settings, dataset_name: str, dataset_overrides: list[str]) -> int:
    from lavx.experiments import trust
    from lavx.experiments.compose import build, build_network, settings, videos_of
    from lavx.experiments.names import cell_part
    from lavx.experiments.overrides import quoted
    from lavx.experiments.video_selection import select

    check_whole(config, "n_videos", 1)
    dataset = build(config.dataset, "dataset")
    videos = videos_of(dataset)

    def composed(net: str) -> Settings:
        shared = [f"device={config.device}", f"precision={config.precision}", trust.override(config)]
        folders = [f"{key}={quoted(config[key])}" for key in ("name", "outputs", "trained")]
        return settings(hydra.compose("run", overrides=[*dataset_overrides, f"net={net}", *shared, *folders]))

    def builder(net: str, run: Settings) -> Callable[[], Any]:
        return lambda: build_network(run, (dataset_name, net), dataset, videos, f"net={net}")

    runs = {net: composed(net) for net in config.nets}
    networks = {net: builder(net, run) for net, run in runs.items()}
    nodes = {net: run.net for net, run in runs.items()}
    name = cell_part(dataset_name)
    folder = Path(config.outputs) / config.name / "selections"
    with writing_to(folder, FINISHED_STAY):
        selection = select(
            videos, networks, config.n_videos, config.seed, folder, name, dataset, config.class_map, nodes
        )
    n = len(selection["videos"])
    print(
        f"{n} of {selection['drawn']} drawn videos are classified correctly by all of {', '.join(config.nets)} "
        f"({selection['unreadable']} unreadable). Selection: {folder / (name + '.json')}"
    )
    if n < config.n_videos:
        print(f"lavx: only {n} of the {config.n_videos} videos wanted; the dataset has no more.")
        return SOME_FAILED
    return OK


@hydra.main(version_base="1.3", config_path="pkg://lavx.conf", config_name="select")
def main(config: DictConfig) -> int:
    """Select videos as Hydra composed it; returns the exit status."""
    runtime = HydraConfig.get()
    overrides = [o for o in runtime.overrides.task if o.lstrip("+~").startswith("dataset")]

    def job() -> int:
        from lavx.experiments.compose import settings

        return _select(settings(config), runtime.runtime.choices["dataset"], overrides)

    return guarded(job)
