"""Packages that lavx does not bring along: imported where they are needed, or the command that installs them."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
from typing import Any

logger = logging.getLogger(__name__)

_DOES_NOT_FIT = "does not fit this torch"
_failed: dict[str, Exception] = {}  # why a package that is installed could not be imported


def import_extra(package: str, extra: str) -> Any:
    """Import a package that an extra of lavx installs.

    Raises:
        ModuleNotFoundError: if it, or what it needs, is not installed; it says the command.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f'{error}: pip install "lavx[{extra}]"', name=error.name) from error


def import_transformers() -> Any:
    """Import transformers, without torchvision where that cannot be imported.

    transformers takes a torchvision that is installed for one that works, and fails with it; the video networks
    need none.

    Raises:
        ModuleNotFoundError: if it, or what it needs, is not installed; it says the command.
    """
    if importlib.util.find_spec("torchvision") is not None:
        try:
            importlib.import_module("torchvision")
        except (ImportError, RuntimeError) as error:
            logger.warning("Going on without torchvision, which is installed but %s (%s).", _DOES_NOT_FIT, error)
            _failed["torchvision"] = error
            # How Python itself notes that a module is not to be had; it would fail on each import anyway.
            sys.modules["torchvision"] = None  # type: ignore[assignment]
    return import_extra("transformers", "huggingface")


def import_torchvision() -> Any:
    """Import torchvision's networks.

    Raises:
        ModuleNotFoundError: if it is not installed; it says the command.
        ImportError: if it is, and does not fit this torch.
    """
    try:
        if "torchvision" in _failed:
            raise _failed["torchvision"]
        return import_extra("torchvision.models", "torchvision")
    except ModuleNotFoundError:
        raise
    except (ImportError, RuntimeError) as error:  # its compiled operators are missing
        raise ImportError(
            f"torchvision is installed but {_DOES_NOT_FIT} ({error}). Install both from the same source, in "
            "versions that belong together."
        ) from error
