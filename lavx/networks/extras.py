"""Packages that lavx does not bring along: imported where they are needed, or the command that installs them."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any


def import_extra(package: str, extra: str) -> Any:
    """Import a package that an extra of lavx installs.

    Raises:
        ModuleNotFoundError: if it, or what it needs, is not installed; it says the command.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f'{error}: pip install "lavx[{extra}]"', name=error.name) from error


def check_torchvision() -> None:
    """Refuse a torchvision that is installed and does not fit this torch; without any, all is well.

    Raises:
        ImportError: if it cannot be imported.
    """
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except (ImportError, RuntimeError) as error:  # its compiled operators are missing
        raise ImportError(
            f"torchvision is installed but does not fit this torch ({error}). Install both from the same source, "
            "in versions that belong together. Hugging Face networks run without it too: pip uninstall torchvision"
        ) from error
