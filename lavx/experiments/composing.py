"""What Hydra does before a job begins: its refusals in one line, and no code from configuration folders.

The `hydra` part of a configuration starts classes, loggers and commands of its own before lavx is asked. So files
of configuration that are not lavx's may only say there what is swept over and which launcher runs the jobs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lavx.errors import RequestError
from lavx.experiments.overrides import readable as readable

_FULL_ERROR = "HYDRA_FULL_ERROR"  # makes Hydra raise its errors instead of printing them over many lines
_NOISE = re.compile(r"^\s*(See https?://.*|object_type=.*|Config search path:|provider=.*|Set the env.*)$")
_HYDRA = re.compile(r"(?<!\w)hydra(?!\w)")
_LAUNCHER = re.compile(r"override /?hydra/launcher")


@contextmanager
def in_one_line() -> Iterator[None]:
    """Make RequestErrors of what Hydra and YAML refuse; all of it is shown where HYDRA_FULL_ERROR=1 is set.

    Raises:
        RequestError: in one line.
    """
    full = os.environ.get(_FULL_ERROR) == "1"
    os.environ[_FULL_ERROR] = "1"
    try:
        with _files_are_data():
            yield
    except yaml.YAMLError as error:
        if full:
            raise
        raise RequestError(_yaml(error)) from error
    except (HydraException, OmegaConfBaseException) as error:
        if full:
            raise
        raise RequestError(_line(error)) from error
    finally:
        if not full:
            os.environ.pop(_FULL_ERROR, None)


def _yaml(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = (
        f"{mark.name}, line {mark.line + 1}, column {mark.column + 1}" if mark is not None else "a configuration"
    )
    return f"{where} is no YAML: {getattr(error, 'problem', None) or ' '.join(str(error).split())}"


def _line(error: Exception) -> str:
    cause = error.__cause__
    text = str(error) + (f"\n{cause}" if isinstance(cause, OmegaConfBaseException) else "")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not _NOISE.match(line)]
    return " ".join(dict.fromkeys(lines))


@contextmanager
def _files_are_data() -> Iterator[None]:
    """Let Hydra load no file of configuration, lavx's own apart, that starts code by its `hydra` part."""
    Plugins.instance()  # finds the sources
    source = SourcesRegistry.instance().resolve("file")
    load = source.load_config

    def checked(self: ConfigSource, config_path: str) -> ConfigResult:
        loaded = load(self, config_path)
        found = _of_hydra(loaded, config_path)
        if found:
            raise RequestError(
                f"{Path(self.path, config_path)}: {found} starts code before lavx is asked, which a configuration "
                "file may not. It may have hydra.mode, hydra.sweeper.params and `override hydra/launcher`; type "
                "the rest at the command line"
            )
        return loaded

    source.load_config = checked  # type: ignore[method-assign]
    try:
        yield
    finally:
        source.load_config = load  # type: ignore[method-assign]


def _of_hydra(loaded: ConfigResult, config_path: str) -> str | None:
    """What of a file belongs to Hydra and can run code; None where there is nothing of the kind."""
    if _HYDRA.search(str(loaded.header.get("package") or "")) or _HYDRA.match(config_path):
        return "a part of hydra"
    content = OmegaConf.to_container(loaded.config, resolve=False)
    if not isinstance(content, Mapping):
        return None
    for default in content.get("defaults") or []:
        for name in map(str, default if isinstance(default, Mapping) else [default]):
            if _HYDRA.search(name) and not _LAUNCHER.fullmatch(name):
                return f"`{name}`"
    own = content.get("hydra") or {}
    if not isinstance(own, Mapping):
        return "hydra"
    harmless = {"mode"}
    if isinstance(own.get("sweeper"), Mapping) and set(own["sweeper"]) == {"params"}:
        harmless.add("sweeper")
    others = sorted(map(str, set(own) - harmless))
    return f"hydra.{others[0]}" if others else None
