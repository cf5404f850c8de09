"""`lavx explain`: why did the network say that? One video, several, or a folder of them."""

from __future__ import annotations

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from lavx.commands import begin_job, gathering, guarded
from lavx.commands.cell_name import cell_name
from lavx.experiments.variation import Variation


@hydra.main(version_base="1.3", config_path="pkg://lavx.conf", config_name="explain")
def _main(config: DictConfig) -> int:
    """Explain as Hydra composed it; returns the exit status. In a sweep this may be another process."""
    runtime = HydraConfig.get()
    overrides, choices = list(runtime.overrides.task), dict(runtime.runtime.choices)

    def job() -> int:
        begin_job(config.threads)
        from lavx.experiments.compose import settings
        from lavx.experiments.explain_files import explain_files

        names = cell_name(overrides, choices, config.label)
        variation = Variation.of(choices["method"], overrides, config.label)
        return explain_files(settings(config), *names, variation)

    return guarded(job)


def main() -> None:
    """Explain what Hydra composes: with one network and method, or several in a sweep."""
    with gathering():
        _main()
