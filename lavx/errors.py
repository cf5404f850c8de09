"""The one error that means: the request is invalid, and here is what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class RequestError(Exception):
    """An invalid request. Its message says what was given, what is allowed and what to do; exit status 2."""


def check_whole(config: Mapping[Any, Any], key: str, least: int, or_null: bool = False) -> None:
    """Refuse a key of the configuration that is no whole number of at least `least`.

    Args:
        config: the command's configuration.
        key: at its top.
        least: the smallest allowed.
        or_null: whether null, which means all, is allowed too.

    Raises:
        RequestError: saying what is allowed.
    """
    value = config[key]
    if value is None and or_null:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        allowed = f"a whole number >= {least}" + (", or null for all" if or_null else "")
        raise RequestError(f"{key} must be {allowed}, got {value}")
