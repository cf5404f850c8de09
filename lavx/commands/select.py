"""`lavx select`: draw videos that all networks classify correctly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from lavx.commands import OK, SOME_FAILED, guarded
from lavx.errors import check_whole


def _select(config: DictConfig, dataset_name: str, dataset_overrides: list[str]) -> int:
    from lavx.experiments.cell import build, build_network, videos_of
    from lavx.experiments.video_selection import select

    check_whole(config, "n_videos", 1)
    dataset = build(config.dataset, "dataset")
    videos = videos_of(dataset)

    def builder(net: str) -> Callable[[], Any]:
        shared = [f"device={config.device}", f"precision={config.precision}"]
        run = hydra.compose("run", overrides=[*dataset_overrides, f"net={net}", *shared])
        run.name, run.outputs, run.trained = config.name, config.outputs, config.trained
        return lambda: build_network(run, (dataset_name, net), dataset, videos, f"net={net}")

    networks = {net: builder(net) for net in config.nets}
    folder = Path(config.outputs) / config.name / "selections"
    selection = select(videos, networks, config.n_videos, config.seed, folder, dataset_name, dataset)
    n = len(selection["videos"])
    print(
        f"{n} of {selection['drawn']} drawn videos are classified correctly by all of {', '.join(config.nets)} "
        f"({selection['unreadable']} unreadable). Selection: {folder / (dataset_name + '.json')}"
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
    return guarded(lambda: _select(config, runtime.runtime.choices["dataset"], overrides))
