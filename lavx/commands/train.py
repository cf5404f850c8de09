"""`lavx train`: fit a network to a dataset, or to one of its folds."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from lavx.commands import gathering, guarded


@hydra.main(version_base="1.3", config_path="pkg://lavx.conf", config_name="train")
def _main(config: DictConfig) -> int:
    """Train as Hydra composed it; returns the exit status. In a sweep this may be another process."""
    runtime = HydraConfig.get()
    here = Path(runtime.runtime.cwd)
    if here.is_dir() and here != Path.cwd():
        os.chdir(here)  # a Ray worker starts elsewhere
    launcher: Any = None
    if runtime.mode == RunMode.MULTIRUN:
        launcher = OmegaConf.to_container(runtime.launcher, resolve=False)
    choices = runtime.runtime.choices

    def job() -> int:
        from lavx.training import run_training
        from lavx.workers import n_threads

        threads = n_threads(config.threads, launcher)
        if threads is not None:
            import torch

            torch.set_num_threads(threads)
        return run_training(config, choices["dataset"], choices["net"])

    return guarded(job)


def main() -> None:
    """Train what Hydra composes: a network, or several in a sweep."""
    with gathering(sys.argv[1:]):
        _main()
