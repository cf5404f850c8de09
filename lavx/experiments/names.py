"""Names of folders: of videos, of runs, and of the parts of a cell's path.

They hold on Linux, macOS and Windows, whatever the names that they are made of: any characters, any length.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from lavx.errors import RequestError
from lavx.text import visible

LONGEST = 128
"""Bytes of a folder's name in UTF-8. With what lavx puts around it, `.<name>.<8 digits>.part`, that makes the 143
that encrypted file systems take; others take 255."""

_DIGITS = 16  # of the hash: 64 bits
_NOT_IN_NAMES = re.compile(r"[^\w.@+=-]")
# Devices of Windows, in any case and with any suffix.
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\xb9\xb2\xb3])(\..*)?", re.IGNORECASE)
_NOT_IN_PATHS = re.compile(r"[/\\\x00-\x1f\x7f]")


def folder_name(name: str, fold_case: bool = False) -> str:
    """The name of a folder for anything that has a name, different for different names.

    A name that every file system takes stays as it is. Of others the characters that file systems do not take
    become `_`, and a hash of the whole name follows a `~`, which no name has that stays as it is.

    Args:
        name: any text.
        fold_case: for file systems that do not tell `A` from `a`: names with capital letters get a hash too.
    """
    kept = _shortened(_NOT_IN_NAMES.sub("_", name), LONGEST)
    if kept == name and _is_plain(name) and (not fold_case or name == name.casefold()):
        return name
    kept = _shortened(kept, LONGEST - _DIGITS - 2)
    if not kept or kept.startswith(".") or _RESERVED.fullmatch(kept):
        kept = f"_{kept}"
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{kept}~{digest[:_DIGITS]}"


def _is_plain(name: str) -> bool:
    """Whether a name of harmless characters is taken as it is by every file system, and is not hidden by any."""
    hidden = not name or name.startswith(".") or name.endswith(".")
    return not hidden and not _RESERVED.fullmatch(name) and unicodedata.is_normalized("NFC", name)


def _shortened(name: str, most: int) -> str:
    """The beginning of a name, at most so many bytes in UTF-8."""
    return name.encode()[:most].decode(errors="ignore")


def old_folder_name(name: str) -> str:
    """What lavx up to 0.2 called the folder of a video: the same for several videos, and as long as their ids."""
    return _NOT_IN_NAMES.sub("_", name)


def cell_part(name: str) -> str:
    """A dataset's, network's or method's part of a cell's path: the name itself where it is one visible folder."""
    harmless = not _NOT_IN_PATHS.search(name) and name == visible(name) and len(name.encode()) <= LONGEST
    return name if harmless and name and not name.startswith(".") else folder_name(name)


def checked_name(name: object) -> str:
    """The `name` of a run, if it can be that of one folder in the outputs folder.

    Raises:
        RequestError: saying what is allowed.
    """
    if isinstance(name, int) and not isinstance(name, bool):  # name=2024
        name = str(name)
    allowed = "name must be that of one folder: no / or \\, no leading dot, no control characters"
    if not isinstance(name, str) or not name.strip():
        raise RequestError(f"{allowed}, and not empty, got {name!r}. Give name=some_name")
    if name != visible(name) or _NOT_IN_PATHS.search(name) or name.startswith("."):
        raise RequestError(f"{allowed}, got {name!r}. Give the folder above it with outputs=/some/folder")
    if len(name.encode()) > LONGEST:
        raise RequestError(f"name must have at most {LONGEST} bytes, got {len(name.encode())}: {name[:40]}...")
    return name


def checked_outputs(outputs: object) -> str:
    """The `outputs` of a command, if it can be the path of a folder.

    Raises:
        RequestError: saying what is allowed.
    """
    if not isinstance(outputs, str) or not outputs.strip() or re.search(r"[\x00-\x1f\x7f]", outputs):
        raise RequestError(
            f"outputs must be the path of a folder, without control characters, got {outputs!r}. Give "
            "outputs=/some/folder"
        )
    return outputs


def checked_places(settings: Mapping[str, Any]) -> dict[str, str]:
    """The `name` and `outputs` of a command's settings, those of them that it has, checked.

    Raises:
        RequestError: saying what is allowed.
    """
    checks = {"name": checked_name, "outputs": checked_outputs}
    return {key: check(settings[key]) for key, check in checks.items() if key in settings}
