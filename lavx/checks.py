"""Checks of parameters: each returns the value it was given or raises ValueError.

The message says which parameter, what is allowed and what was given.

Numbers are Python's or numpy's, finite, and never `True` or `False`, which Python would count as 1 and 0.
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


def at_least(name: str, value: Any, least: float = 0) -> float:
    """A number of at least `least`."""
    if not is_number(value) or value < least:
        raise ValueError(f"{name} must be a finite number >= {least}, got {value!r}")
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


def three(name: str, values: Any, check: Callable[[str, Any], T], words: str) -> tuple[T, T, T]:
    """Three values, each of which `check` allows.

    Args:
        name: of the parameter.
        values: what was given.
        check: one of the checks above.
        words: what is allowed and what the three stand for, such as "whole numbers >= 1, for (T, H, W)".
    """
    try:
        first, second, third = (check(name, value) for value in values)
    except (TypeError, ValueError):  # not iterable, not three, or one of them refused
        raise ValueError(f"{name} must be three {words}, got {values!r}") from None
    return first, second, third


def sigmas(name: str, values: float | Sequence[float]) -> tuple[float, float, float]:
    """The sigma of a Gaussian along each axis, from one number for all or three."""
    given: Any = [values] * 3 if is_number(values) else values
    try:
        return three(name, given, at_least, "")
    except ValueError:
        raise ValueError(
            f"{name} must be a finite number of voxels >= 0, or three of them for (T, H, W), got {values}"
        ) from None
