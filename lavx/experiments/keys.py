"""Checks of the keys that are at the top of several commands' configurations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lavx.errors import RequestError
from lavx.experiments.settings import Settings

_FOLDERS = ("name", "outputs", "trained")
_BOOLEANS = ("tensorboard", "embed")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def check_keys(settings: Settings) -> None:
    """Refuse what a key cannot be, whichever command it is for; a number as a name becomes text.

    Raises:
        RequestError: naming the key, what is allowed and what was given.
    """
    for key in (*_FOLDERS, "device"):
        if key in settings:
            settings[key] = _text(key, settings[key])
    for key in ("net", "dataset"):
        if isinstance(settings.get(key), Mapping) and "name" in settings[key]:
            settings[key]["name"] = _text(f"{key}.name", settings[key]["name"])
    for key in _BOOLEANS:
        if key in settings and not isinstance(settings[key], bool):
            raise RequestError(f"{key} must be true or false, got {settings[key]!r}")
    if not isinstance(settings.get("check_noise"), bool | None):
        raise RequestError(f"check_noise must be true, false or null, got {settings['check_noise']!r}")


def _text(key: str, value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise RequestError(f"{key} must be a text, got {'null' if value is None else repr(value)}")
    if _CONTROL.search(value):
        raise RequestError(f"{key} must be a text in one line, without control characters, got {value!r}")
    return value
