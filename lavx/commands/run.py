"""`lavx run`: one cell, explained and evaluated; or a sweep over cells."""

from __future__ import annotations

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from lavx import commands
from lavx.commands import begin_job, guarded, sweep
from lavx.commands.cell_name import cell_name
from lavx.experiments.variation import Variation


@hydra.main(version_base="1.3", config_path="pkg://lavx.conf", config_name="run")
def _main(config: DictConfig) -> int:
    """Run the cell that Hydra composed; returns the exit status. In a sweep this may be another process."""
    runtime = HydraConfig.get()
    overrides, choices = list(runtime.overrides.task), dict(runtime.runtime.choices)

    def job() -> int:
        begin_job(config.threads)
        from lavx.experiments.compose import settings
        from lavx.experiments.run import run_cell

        names = cell_name(overrides, choices, config.label)
        return run_cell(settings(config), *names, Variation.of(choices["method"], overrides, config.label))

    return guarded(job)


def main() -> None:
    """Run what Hydra composes: a cell, or a sweep with its table at the end."""
    sweep.finish(commands.statuses, _main)
