"""Checks of parameters: each returns the value it was given, or says what is allowed and what was given.

Numbers are Python's or numpy's, finite, and never `True` or `False`, which Python would count as 1 and 0.
All raise ValueError.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from numbers import Integral, Real
from typing import Any, TypeVar

T = TypeVar("T")


def is_number(value: object) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: object) -> bool:
    """Whether a value is of a type of whole numbers; 2.0 is not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def whole(name: str, value: Any, least: int = 1) -> int:
    """A whole number of at least `least`."""
    if not is_whole(value) or value < least:
        raise ValueError(f"{name} must be a whole number >= {least}, got {value!r}")
    return int(value)


def positive(name: str, value: Any) -> float:
    """A number above 0."""
    if not is_number(value) or value <= 0:
        raise ValueError(f"{name} must be a number > 0, got {value!r}")
    return float(value)


def not_negative(name: str, value: Any) -> float:
    """A number of at least 0."""
    if not is_number(value) or value < 0:
        raise ValueError(f"{name} must be a finite number >= 0, got {value!r}")
    return float(value)


def inside_unit(name: str, value: Any) -> float:
    """A number in (0, 1): neither end."""
    if not is_number(value) or not 0 < value < 1:
        raise ValueError(f"{name} must be in (0, 1), got {value!r}")
    return float(value)


def fraction(name: str, value: Any) -> float:
    """A number in (0, 1]: some of it, or all."""
    if not is_number(value) or not 0 < value <= 1:
        raise ValueError(f"{name} must be a fraction in (0, 1], got {value!r}")
    return float(value)


def between(name: str, value: Any, low: float, high: float) -> float:
    """A number in [low, high]."""
    if not is_number(value) or not low <= value <= high:
        raise ValueError(f"{name} must be in [{low}, {high}], got {value!r}")
    return float(value)


def one_of(name: str, value: Any, options: Collection[str]) -> str:
    """One of the options."""
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name} must be one of {', '.join(options)}, got {value!r}")
    return value


def boolean(name: str, value: Any) -> bool:
    """`True` or `False`."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, got {value!r}")
    return value


def three(name: str, values: Any, check: Callable[[str, Any], T], axes: str = "(T, H, W)") -> tuple[T, T, T]:
    """Three values, one an axis, each checked by `check`.

    Args:
        name: of the parameter.
        values: what was given.
        check: one of the checks above.
        axes: what the three stand for.
    """
    try:
        given: Sequence[Any] = [] if isinstance(values, str) else list(values)
    except TypeError:
        given = []
    if len(given) != 3:
        raise ValueError(f"{name} must be three values, for {axes}, got {values!r}")
    first, second, third = (check(f"each of the three of {name}, for {axes},", value) for value in given)
    return first, second, third
