"""Files that are there whole or not at all, and files that grow by lines and may end in half a line."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file to write instead of `path`; it takes its place when all went well, else it is deleted."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    with whole(path) as part:
        # A name that is no text, in an error message perhaps, must not keep a file from being written.
        part.write_text(text, encoding="utf-8", errors="backslashreplace")


def read_json_lines(path: Path) -> list[Any]:
    """The lines of a file of JSON that processes append to; what is no JSON is left out.

    That is the last line of a killed process. It is ended, so that the next one does not continue it.
    """
    text = path.read_text() if path.exists() else ""
    found = []
    for line in text.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    if text and not text.endswith("\n"):
        with path.open("a") as file:
            file.write("\n")
    return found


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
