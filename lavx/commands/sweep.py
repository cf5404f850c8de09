"""A sweep as it is planned: which cells its jobs will fill, and the table at its end."""

from __future__ import annotations

import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, cast

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lavx.commands.cell_name import cell_name
from lavx.errors import RequestError
from lavx.experiments import job_statuses, status
from lavx.experiments.names import checked_places
from lavx.experiments.variation import Variation
from lavx.files import write_text
from lavx.text import visible

Planned = tuple[Path, tuple[str, str, str]]  # <outputs>/<name>, and the cell in it

started: Sweep | None = None  # by this process
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
            planned, n_videos = planned_cells(config)
            _keep_beside(config)
        except RequestError as error:
            _refuse(error)
        except (HydraException, OmegaConfBaseException):
            return  # Hydra composes the jobs again and says what is wrong
        except Exception as error:
            warnings.warn(f"the sweep's cells are not known beforehand: {error}", stacklevel=1)
            return
        if planned:
            started = Sweep(planned, n_videos)


def planned_cells(config: DictConfig) -> tuple[list[Planned], list[int | None]]:
    """The cell of each of a sweep's jobs, and how many videos it is asked for, None where not known.

    Nothing is written or begun; `lavx.experiments.status.status` says how much of a cell is done.

    Args:
        config: of the sweep, as Hydra composes it with `-m`.

    Raises:
        RequestError: if one of the jobs sets a key that it does not have, its folder cannot be called so, or a
            label is given to several variations.
        HydraException: if one of them cannot be composed.
    """
    planned: list[Planned] = []
    n_videos: list[int | None] = []
    variations: dict[Planned, Variation] = {}
    for job in composed_jobs(config):
        places = checked_places({key: job[key] for key in ("name", "outputs")})
        overrides, choices = list(job.hydra.overrides.task), dict(job.hydra.runtime.choices)
        cell = (Path(places["outputs"], places["name"]), cell_name(overrides, choices, job.label))
        own = Variation.of(choices["method"], overrides, job.label)
        _check_apart(own, variations.setdefault(cell, own))
        planned.append(cell)
        n_videos.append(job.n_videos if isinstance(job.n_videos, int) else None)
    return planned, n_videos


def _check_apart(one: Variation, other: Variation) -> None:
    """Refuse two variations of a sweep that would write to the same folder."""
    if one.changes != other.changes:
        keys = [each.partition("=")[0] for each in sorted({*one.changes} ^ {*other.changes})]
        numbers = [f"label={one.label}-${{method.{key}}}, or" for key in keys if "." in key]  # others are steps
        hint = (
            f"Put into the label what differs, as {numbers[0]}"
            if numbers
            else "Label them in several commands, or"
        )
        raise RequestError(
            f"label={one.label} is that of several variations of {one.method} in this sweep: "
            f"{', '.join(other.changes) or 'none'}; {', '.join(one.changes) or 'none'}. {hint} leave it out"
        )


def composed_jobs(config: DictConfig) -> Iterator[DictConfig]:
    """The configurations of a sweep's jobs, as Hydra's own sweeper composes them; none for another sweeper.

    Args:
        config: of the sweep.

    Raises:
        RequestError: if a key is set that one of them does not have.
        HydraException: if one of them cannot be composed.
    """
    if not config.hydra.sweeper._target_.endswith("BasicSweeper"):
        return
    loader = GlobalHydra.instance().config_loader()
    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    task = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)  # each job resolves its own
    given = OverridesParser.create(config_loader=loader).parse_overrides([*params, *cast(list[str], task)])
    (jobs,) = BasicSweeper.split_arguments(given, max_batch_size=None)
    hydra_config = HydraConfig.instance()
    before = hydra_config.cfg
    try:
        for overrides in jobs:
            try:
                job = loader.load_sweep_config(config, overrides)
            except HydraException as error:
                _say_which_job(error, overrides)
                raise
            hydra_config.set_config(job)  # for what is interpolated from it
            yield job
    finally:
        hydra_config.cfg = before


def _say_which_job(error: HydraException, overrides: Sequence[str]) -> None:
    """Name the job of a sweep that Hydra refused, for its own words do not say which it was.

    Raises:
        RequestError: naming the key and the job that does not have it.
    """
    missing = _MISSING.search(f"{error} {error.__cause__}")
    choices = [each for each in overrides if each.partition("=")[0] in ("dataset", "net", "method")]
    if choices and missing:
        raise RequestError(
            f"{missing[1]} is no key with {' '.join(choices)}. Sweep in one command over what has that "
            "key, and in another over the rest"
        ) from error


def _keep_beside(config: DictConfig) -> None:
    """Have Hydra write what it keeps of a sweep to where its first job writes.

    Hydra takes no notice of keys that are swept over: the folder would be that of their defaults.
    """
    for job in composed_jobs(config):
        checked_places({key: job[key] for key in ("name", "outputs")})
        config.hydra.sweep.dir = job.hydra.sweep.dir
        break


class Gather(Callback):
    """Hydra's callback: has the jobs of a sweep tell their exit statuses, wherever its launcher runs them."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Make the folder that they tell them in; all jobs share the one that it lies in."""
        with suppress(
            HydraException, OmegaConfBaseException, RequestError
        ):  # Hydra, or the job, says what is wrong
            _keep_beside(config)
        try:
            job_statuses.gather(Path(config.hydra.sweep.dir))
        except RequestError as error:
            _refuse(error)


def _refuse(error: RequestError) -> NoReturn:
    print(f"lavx: {visible(str(error), lines=True)}", file=sys.stderr)
    sys.exit(2)  # Hydra would go on after any other exception of a callback


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
