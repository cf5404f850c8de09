"""`lavx run`: one cell, explained and evaluated; or a sweep over cells."""

from __future__ import annotations

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from lavx import commands
from lavx.commands import begin_job, guarded
from lavx.experiments import sweep
from lavx.experiments.names import cell_part

_NAMES_A_NETWORK = ("net.name", "net.arch")  # the first of these that is given


def cell_name(overrides: list[str], choices: dict[str, str]) -> tuple[str, str, str]:
    """The dataset, net and method parts of the run folder.

    A network that is given a name or an architecture is called by it; a changed step of the method is in its name.
    """
    given = dict(override.lstrip("+~").partition("=")[::2] for override in overrides)
    named = [given[key] for key in _NAMES_A_NETWORK if given.get(key)]
    changed = [o.lstrip("+~") for o in overrides if o.lstrip("+~").startswith(("method/", "method."))]
    suffix = "".join("-" + change[len("method/") :].replace("/", ".") for change in sorted(changed))
    net = named[0].strip("'\"").replace("/", "_") if named else choices["net"]
    return cell_part(choices["dataset"]), cell_part(net), cell_part(choices["method"] + suffix)


@hydra.main(version_base="1.3", config_path="pkg://lavx.conf", config_name="run")
def _main(config: DictConfig) -> int:
    """Run the cell that Hydra composed; returns the exit status. In a sweep this may be another process."""
    runtime = HydraConfig.get()
    names = cell_name(list(runtime.overrides.task), dict(runtime.runtime.choices))

    def job() -> int:
        begin_job(config.threads)
        from lavx.experiments.compose import settings
        from lavx.experiments.run import run_cell

        return run_cell(settings(config), *names)

    return guarded(job)


def main() -> None:
    """Run what Hydra composes: a cell, or a sweep with its table at the end."""
    sweep.finish(commands.statuses, _main)
