"""`lavx benchmark`: how good explanations are for the forward passes they take."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from lavx import stopping
from lavx.commands import OK, SOME_FAILED, begin_job, gathering, guarded
from lavx.errors import RequestError
from lavx.files import writing_to
from lavx.text import visible

if TYPE_CHECKING:
    from lavx.experiments.settings import Settings

Part = Callable[["Settings", tuple[str, str], Path], tuple[str, int]]
"""Measures one thing: settings, names of dataset and net, folder -> Markdown, number of failures."""


def _efficiency(config: Settings, names: tuple[str, str], folder: Path) -> tuple[str, int]:
    from lavx.benchmark.run_efficiency import run_efficiency

    return run_efficiency(config, names, folder)


PARTS: dict[str, Part] = {"efficiency": _efficiency}


def benchmark(config: Settings, names: tuple[str, str]) -> int:
    """Measure what `what` asks for; results go to `<outputs>/<name>/benchmark/<dataset>/<net>/`.

    Raises:
        RequestError: if the request is invalid.
    """
    if config.what != "all" and config.what not in PARTS:
        raise RequestError(f"what must be one of {', '.join(PARTS)}, all; got {config.what!r}")
    parts = list(PARTS) if config.what == "all" else [config.what]
    folder = Path(config.outputs) / config.name / "benchmark" / Path(*names)
    n_failed = 0
    try:
        with writing_to(folder):
            for part in parts:
                text, failed = PARTS[part](config, names, folder)
                n_failed += failed
                print(visible(text, lines=True))
    except KeyboardInterrupt as stop:
        print(
            f"\nlavx: {stopping.reason(stop)}; what is scored stays in {folder}. The same command resumes from "
            "there.",
            file=sys.stderr,
        )
        return stopping.exit_status(stop)
    print(f"Results: {folder.resolve()}: {', '.join(f'{part}.json, {part}.md' for part in parts)}")
    return SOME_FAILED if n_failed else OK


@hydra.main(version_base="1.3", config_path="pkg://lavx.conf", config_name="benchmark")
def _main(config: DictConfig) -> int:
    """Measure as Hydra composed it; returns the exit status. In a sweep this may be another process."""
    choices = HydraConfig.get().runtime.choices

    def job() -> int:
        begin_job(config.threads)
        from lavx.experiments.compose import settings
        from lavx.experiments.names import cell_part

        return benchmark(settings(config), (cell_part(choices["dataset"]), cell_part(choices["net"])))

    return guarded(job)


def main() -> None:
    """Measure what Hydra composes: with one network, or several in a sweep."""
    with gathering():
        _main()
