"""`lavx train`: train a network on a dataset, or on all folds of it but one."""

from __future__ import annotations

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from lavx.commands import begin_job, gathering, guarded


@hydra.main(version_base="1.3", config_path="pkg://lavx.conf", config_name="train")
def _main(config: DictConfig) -> int:
    """Train as Hydra composed it; returns the exit status. In a sweep this may be another process."""
    choices = HydraConfig.get().runtime.choices

    def job() -> int:
        begin_job(config.threads)
        from lavx.experiments.compose import settings
        from lavx.experiments.names import cell_part
        from lavx.experiments.training import run_training

        return run_training(settings(config), cell_part(choices["dataset"]), cell_part(choices["net"]))

    return guarded(job)


def main() -> None:
    """Train what Hydra composes: a network, or several in a sweep."""
    with gathering():
        _main()
