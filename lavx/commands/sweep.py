"""A sweep as it is planned: which cells its jobs will fill, and the table at its end."""

from __future__ import annotations

import itertools
import re
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from lavx.commands.cell_name import cell_name
from lavx.errors import RequestError
from lavx.experiments import status
from lavx.experiments.names import checked_places
from lavx.files import write_text

Planned = tuple[Path, tuple[str, str, str]]  # <outputs>/<name>, and the cell in it

started: Sweep | None = None  # by this process
_jobs: list[list[str]] = []  # the overrides of each of its jobs
_MISSING = re.compile(r"full_key: (\S+)")


class Sweep:
    """The cells of one sweep.

    Args:
        planned: where the jobs will write; a cell that is not there yet is marked as waiting.
        n_videos: how many videos each is asked for; None where not known.
    """

    def __init__(self, planned: Sequence[Planned], n_videos: Sequence[int | None]) -> None:
        self.since = status.now()
        self.planned = list(dict.fromkeys(planned))
        self._marked: list[Path] = []
        for (root, cell), number in zip(planned, n_videos, strict=True):
            folder = root.joinpath(*cell)
            if (folder / status.STATUS).exists() or (folder / "config.yaml").exists():
                continue
            with suppress(OSError):  # each job says that it cannot write
                folder.mkdir(parents=True, exist_ok=True)
                total = "null" if number is None else number
                write_text(folder / status.STATUS, f'{{"state": "waiting", "total": {total}}}\n')
                self._marked.append(folder)

    def statuses(self) -> list[status.Status]:
        """What the results folder says of the cells."""
        return [status.status(root, cell, self.since) for root, cell in self.planned]

    def withdraw(self) -> None:
        """Take the marks away: no job was started."""
        for folder in self._marked:
            (folder / status.STATUS).unlink(missing_ok=True)
            for empty in (folder, *list(folder.parents)[:4]):
                with suppress(OSError):
                    empty.rmdir()


class Plan(Callback):
    """Hydra's callback: notes the plan of a sweep before its jobs start."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Work out the cells of all jobs, as Hydra's own sweeper will make them."""
        global started
        try:
            _jobs.clear()
            planned, n_videos = _plan(config)
        except RequestError:
            return  # each job says why it cannot be done
        except Exception as error:  # Hydra answers an override that it cannot read by itself
            warnings.warn(f"the sweep's cells are not known beforehand: {error}", stacklevel=1)
            return
        if planned:
            started = Sweep(planned, n_videos)


def _plan(config: DictConfig) -> tuple[list[Planned], list[int | None]]:
    if not config.hydra.sweeper._target_.endswith("BasicSweeper"):
        return [], []
    loader = GlobalHydra.instance().config_loader()
    given = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    axes: dict[str, list[tuple[str, str]]] = {}
    for override in OverridesParser.create(config_loader=loader).parse_overrides(
        [*given, *config.hydra.overrides.task]
    ):
        key = override.get_key_element()
        if override.is_sweep_override():
            values = list(override.sweep_string_iterator())
        else:
            values = [override.get_value_element_as_str()]
        axes[key] = [(key, value) for value in values]
    planned: list[Planned] = []
    n_videos: list[int | None] = []
    for job in itertools.product(*axes.values()):
        asked = dict(job)
        _jobs.append([f"{key}={value}" for key, value in job])
        composed = config.hydra.runtime.choices
        choices = {group: asked.get(group, composed[group]) for group in ("dataset", "net", "method")}
        if any(choice not in loader.get_group_options(group) for group, choice in choices.items()):
            return [], []  # Hydra names those there are
        checked = checked_places({key: asked.get(key, config[key]) for key in ("name", "outputs")})
        root = Path(checked["outputs"], checked["name"])
        planned.append((root, cell_name([f"{key}={value}" for key, value in job], choices)))
        number = str(asked.get("n_videos", config.n_videos))
        n_videos.append(int(number) if number.isdigit() else None)
    return planned, n_videos


def _say_which_job() -> None:
    """Find the job of a sweep that Hydra refused, for its own words do not say which it was.

    Raises:
        RequestError: naming the key and the job that does not have it.
    """
    for overrides in _jobs:
        try:
            with initialize_config_module("lavx.conf", version_base="1.3"):
                compose("run", overrides=overrides)
        except (HydraException, OmegaConfBaseException) as error:
            missing = _MISSING.search(f"{error} {error.__cause__}")
            choices = [each for each in overrides if each.partition("=")[0] in ("dataset", "net", "method")]
            if choices and missing:
                raise RequestError(
                    f"{missing[1]} is no key with {' '.join(choices)}. Sweep in one command over what has that "
                    "key, and in another over the rest"
                ) from error
            return


def finish(statuses: list[int], run: Callable[[], object]) -> None:
    """Run Hydra's part of the command; at the end of a sweep print its table and set the exit status.

    Args:
        statuses: exit statuses of the jobs in this process; replaced by the sweep's.
        run: Hydra's part.
    """
    try:
        run()
    except SystemExit as error:  # Hydra's way to fail; it has printed why
        if started is None or not error.code:
            raise
        if all(each.state == "waiting" for each in started.statuses()):  # refused before any job began
            started.withdraw()
            raise
        statuses.append(1)
    except Exception:
        if started is None:
            raise
        if all(each.state == "waiting" for each in started.statuses()):
            started.withdraw()
            _say_which_job()
            raise
        traceback.print_exc()
        statuses.append(1)
    except KeyboardInterrupt:
        if started is not None:
            print(f"\n{status.table(started.statuses())}", flush=True)
        raise
    if started is not None:
        table = started.statuses()
        print(f"\n{status.table(table)}", flush=True)
        statuses[:] = [status.exit_status(table, statuses)]
