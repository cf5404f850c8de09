"""What in a configuration can run code, and whether the user has declared it.

A configuration is data, whoever wrote it, except where it names code:

- `_target_` that is no component of lavx's own, and `_args_`, which hides what an argument is,
- a function `module:name` as `function`, `model`, `prepare` or `pick`,
- `trust_checkpoint: true`, which loads pickles,
- `type` with a module's path, which mmengine's registries import,
- a config file of mmengine's that is more than literal values.

These are refused unless the user typed them at the command line, or declared their module or file there with
`trusted_modules=[...]`. What is in a YAML declares nothing, not even its own `trusted_modules`.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lavx.errors import RequestError
from lavx.experiments.overrides import quoted, value_of
from lavx.networks.openmmlab.plain_config import is_plain

KEY = "trusted_modules"

_COMPONENT = re.compile(r"(lavx\.(?:datasets|explainer|methods|metrics|networks)(?:\.\w+)*)\.(network|[A-Z]\w*)")
_FUNCTION = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*):[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_FUNCTIONS = ("function", "model", "prepare", "pick")


@dataclass(frozen=True)
class Code:
    """Something in a configuration that can run code.

    Attributes:
        key: where it is.
        value: as it is there.
        module: what the user may trust instead of typing it; empty where there is no such thing.
    """

    key: str
    value: Any
    module: str = ""


def check(settings: Mapping[str, Any], typed: Sequence[str] | None) -> None:
    """Refuse settings that name code which the user has not declared.

    Args:
        settings: plain, resolved.
        typed: the overrides of the command line; None where the settings come from a program, which may trust
            what it likes.

    Raises:
        RequestError: saying what is code and how to declare it.
    """
    trusted = _trusted(settings, typed)
    for code in _codes(settings):
        if not (_is_trusted(code.module, trusted) or any(_types(override, code) for override in typed or ())):
            raise RequestError(_refusal(code))


def override(settings: Mapping[str, Any]) -> str:
    """The override by which what a command composes for itself has the trusted modules that were typed."""
    return f"{KEY}=[{','.join(map(quoted, settings[KEY]))}]"


def _refusal(code: Code) -> str:
    what = f"{code.key}={code.value}"
    trust = f", or declare that you trust it: {KEY}=[{code.module}]" if code.module else ""
    return f"{what} runs code, and a configuration file alone may not. Type {what} at the command line{trust}"


def _trusted(settings: Mapping[str, Any], typed: Sequence[str] | None) -> tuple[str, ...]:
    """The modules, files and folders that are trusted."""
    given = settings.get(KEY) or []
    if not isinstance(given, list) or not all(isinstance(name, str) and name.strip() for name in given):
        raise RequestError(
            f"{KEY} must be a list of modules, files or folders, such as [my_module], got {given!r}"
        )
    if given and typed is not None and not any(_key(override) == KEY for override in typed):
        raise RequestError(f"{KEY}={given} counts only at the command line: type {KEY}=[{','.join(given)}] there")
    return tuple(given)


def _is_trusted(module: str, trusted: Sequence[str]) -> bool:
    for name in trusted if module else ():
        if module == name or module.startswith(f"{name}."):
            return True
        if "/" in module and Path(module).resolve().is_relative_to(Path(name).expanduser().resolve()):
            return True
    return False


def _codes(node: Any, key: str = "") -> Iterator[Code]:
    """All of it that can run code."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            inner = f"{key}.{name}" if key else str(name)
            if inner != KEY:
                yield from _own_codes(str(name), value, inner)
                yield from _codes(value, inner)
    elif isinstance(node, list | tuple):
        for number, value in enumerate(node):
            yield from _codes(value, f"{key}.{number}")


def _own_codes(name: str, value: Any, key: str) -> Iterator[Code]:
    if name == "_args_" or (name == "trust_checkpoint" and value is True):
        yield Code(key, value)
    if not isinstance(value, str):
        return
    if name == "_target_" and not _is_component(value):
        yield Code(key, value, value.rpartition(".")[0])
    is_file = name == "model" and Path(value).is_file()  # which is what net=torch takes it for
    if name in _FUNCTIONS and not is_file and (found := _FUNCTION.fullmatch(value)):
        yield Code(key, value, found[1])
    if name == "type" and "." in value:
        yield Code(key, value, value.rpartition(".")[0])
    if name == "config" and (file := Path(value).expanduser()).is_file() and not is_plain(file):
        yield Code(key, value, str(file.absolute()))


def _is_component(target: str) -> bool:
    """Whether a `_target_` is a class, or a builder of networks, that lavx itself defines."""
    found = _COMPONENT.fullmatch(target)
    if found is None:
        return False
    try:
        thing = getattr(importlib.import_module(found[1]), found[2])
    except ModuleNotFoundError as error:
        # It is no module of lavx; or a package that it needs is missing, which is for who builds it to say.
        return not str(error.name).startswith("lavx")
    except (ImportError, AttributeError):
        return True  # likewise: there is no such class
    return str(getattr(thing, "__module__", "")).startswith("lavx.")


def _key(override: str) -> str:
    """The key of an override, without what Hydra puts before it and behind it."""
    return override.partition("=")[0].lstrip("+~").partition("@")[0]


def _types(override: str, code: Code) -> bool:
    """Whether an override gives this value to this key, or within the dictionary that the key is in."""
    key = _key(override).replace("/", ".")
    if code.key != key and not code.key.startswith(f"{key}."):
        return False
    value = value_of(override)
    for step in code.key[len(key) + 1 :].split(".") if code.key != key else ():
        if isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        elif isinstance(value, Mapping):
            value = value.get(step)
        else:
            return False
    return bool(value == code.value)
