"""The arguments of a command before Hydra reads them: options first, texts quoted that its grammar cannot read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException

from lavx.errors import RequestError

# Options of Hydra's whose value is the next argument; --info may have one.
_WITH_VALUE = (
    "--cfg",
    "-c",
    "--package",
    "-p",
    "--config-path",
    "-cp",
    "--config-name",
    "-cn",
    "--config-dir",
    "-cd",
)
_INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
_PICKLE = "--experimental-rerun"
# Keys whose values are names or paths, which may hold anything.
_TEXTS = re.compile(
    r"name|outputs|trained|video|videos|class_map"
    r"|(net|dataset)\.(name|root|classes|annotations|splits|checkpoint|model|config)"
    r"|(method\.removal|metric\.(cross_)?removal)\.video"
)

_OF_A_PART = re.compile(r"\+{0,2}(dataset|net|method|metric|training)\.")


def readable(arguments: Sequence[str]) -> list[str]:
    """Arguments that Hydra understands: options before overrides, names and paths quoted where they must be.

    Raises:
        RequestError: if an override cannot be read, in one line.
    """
    options, overrides = _sorted(arguments)
    if any(option.startswith(_PICKLE) for option in options):
        raise RequestError(f"{_PICKLE} reads a pickle, which can run code: give the overrides again instead")
    parser = OverridesParser.create()
    overrides = [_readable(override, parser) for override in overrides]
    if {"-m", "--multirun"} & set(options):
        overrides = [_for_each_job(override, parser) for override in overrides]
    return [*options, *overrides]


def _for_each_job(override: str, parser: OverridesParser) -> str:
    """A key of a part that a sweep may exchange, as a sweep over its one value.

    Hydra composes without what is swept first, and would look for the key in a part that no job has:
    `method=lime,loco method.segmentation.n_segments=60` in the default method.
    """
    if not _OF_A_PART.match(override) or parser.parse_override(override).is_sweep_override():
        return override
    key, _, value = override.partition("=")
    swept = f"{key}=choice({value})"
    return swept if value and _reason(swept, parser) is None else override


def _sorted(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Options with their values, and overrides; Hydra takes no option after an override."""
    options: list[str] = []
    overrides: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("-"):
            overrides.append(argument)
            continue
        options.append(argument)
        if argument in _WITH_VALUE:
            options += list(next(([value] for value in rest), []))
    if options[-1:] == ["--info"] and overrides and overrides[0] in _INFO:
        options.append(overrides.pop(0))
    return options, overrides


def _readable(override: str, parser: OverridesParser) -> str:
    if "=" not in override and not override.startswith("~"):
        raise RequestError(f"{override!r} is no override: write key=value")
    reason = _reason(override, parser)
    if reason is None:
        return override
    quoted = _quoted(override)
    if quoted is not None and _reason(quoted, parser) is None:
        return quoted
    raise RequestError(f"{override!r} cannot be read: {reason}. Put texts in quotes: 'key=\"a text\"'")


def _reason(override: str, parser: OverridesParser) -> str | None:
    """Why Hydra cannot read an override, in one line; None where it can."""
    try:
        parser.parse_override(override)
    except OverrideParseException as error:
        return str(error).splitlines()[0].partition(" expecting ")[0].strip()
    except HydraException as error:
        return " ".join(str(error).split())
    return None


def _quoted(override: str) -> str | None:
    """The override of a name, a path or a list of these, each in quotes; None for other keys."""
    key, _, value = override.partition("=")
    if not _TEXTS.fullmatch(key.lstrip("+")):
        return None
    if value.startswith("[") and value.endswith("]"):
        return f"{key}=[{','.join(map(quoted, _entries(value[1:-1])))}]"
    return f"{key}={quoted(value)}"


def _entries(text: str) -> Iterable[str]:
    """What stands between commas; quotes around an entry are taken off."""
    for found in re.finditer(r"""\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^,]+)\s*(?:,|$)""", text):
        entry = found[1].strip()
        yield entry[1:-1] if entry[:1] in ("'", '"') and entry[:1] == entry[-1:] else entry


def value_of(override: str) -> Any:
    """What an override sets its key to; None where it cannot be read or deletes the key."""
    try:
        return OverridesParser.create().parse_override(override).value()
    except HydraException:
        return None


def quoted(value: object) -> str:
    """A value as Hydra's grammar takes it, whatever is in it."""
    escaped = re.sub(r"(\\*)(?='|$)", r"\1\1", str(value)).replace("'", "\\'")
    return f"'{escaped}'"
