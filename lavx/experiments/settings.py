"""Plain settings: what is left of a configuration when Hydra has composed and resolved it."""

from __future__ import annotations

from typing import Any


class Settings(dict[str, Any]):
    """A resolved configuration: plain values, nested settings as attributes too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def nested(value: Any) -> Any:
    """Dictionaries within as `Settings`, lists as lists, all else as it is."""
    if isinstance(value, dict):
        return Settings({str(key): nested(child) for key, child in value.items()})
    return [nested(child) for child in value] if isinstance(value, list) else value
