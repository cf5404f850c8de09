"""Files and folders that are there whole or not at all, and files of lines, of which any may be damaged."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lavx.errors import RequestError

_ELSEWHERE = "Give another root folder: outputs=/some/folder"
FINISHED_STAY = f"Finished videos stay; the same command resumes once there is room. {_ELSEWHERE}"

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_NO_PLACE = (  # of the names of files that are read, too
    errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP,
)  # fmt: skip
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.EISDIR)
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of Linux


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file to write instead of `path`; it takes its place when all went well, else it is deleted.

    Its content and its name are on the disk before this returns, so that a power loss leaves the old file or the
    new one.
    """
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield part
        sync(part)
        os.replace(part, path)
        sync(path.parent)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to write instead of `path`; it takes its place when all went well, else it is deleted.

    The old folder is kept until the new one is in place. What a killed process leaves is beside `path` and is for
    `clean_parts`.
    """
    part = _beside(path, "part")
    part.mkdir()
    try:
        yield part
        for folder, _, names in os.walk(part):
            for name in names:
                sync(Path(folder, name))
            sync(Path(folder))
        _put(part, path)
        sync(path.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def clean_parts(path: Path) -> None:
    """Clean up what killed processes left of `whole_folder(path)`; no live one must be writing it."""
    olds, parts = ([*path.parent.glob(f".{_escaped(path.name)}.*.{end}")] for end in ("old", "part"))
    if olds and not path.exists():  # killed between the two renames of `_put`
        os.replace(olds.pop(), path)
    for left in [*olds, *parts]:
        shutil.rmtree(left, ignore_errors=True)


def _beside(path: Path, end: str) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.{end}")


def _escaped(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _put(part: Path, path: Path) -> None:
    """Move a folder to its place, at once where the system can; `part` holds the old one then, if any."""
    if not path.exists():
        os.replace(part, path)
    elif not _exchange(part, path):
        old = _beside(path, "old")
        os.replace(path, old)
        try:
            os.replace(part, path)
        except BaseException:
            os.replace(old, path)
            raise
        shutil.rmtree(old, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step; False where the system or the file system has no such call."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        rename = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError):
        return False
    return bool(rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    is_folder = path.is_dir()
    if is_folder and os.name == "nt":
        return
    try:
        number = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    except OSError as error:
        if is_folder and error.errno in _NO_FOLDER_SYNC:
            return
        raise
    try:
        os.fsync(number)
    except OSError as error:
        if not is_folder or error.errno not in _NO_FOLDER_SYNC:  # some file systems sync files only
            raise
    finally:
        os.close(number)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    with whole(path) as part:
        # A name that is no text, in an error message perhaps, must not keep a file from being written.
        part.write_text(text, encoding="utf-8", errors="backslashreplace")


@contextmanager
def writing_to(folder: Path, advice: str = _ELSEWHERE) -> Iterator[None]:
    """Answer a full or a read-only disk as a request that cannot be done.

    Args:
        folder: what is written.
        advice: what to do about it.

    Raises:
        RequestError: instead of the error of the system.
    """
    try:
        yield
    except RequestError:
        raise
    except Exception as error:
        reason = why_not_writable(error, folder)
        if reason is None:
            raise
        raise RequestError(f"cannot write to {folder} ({reason}). {advice}") from error


def why_not_writable(error: BaseException | None, folder: Path | None = None) -> str | None:
    """What the system says of a full or a read-only disk; None where an error has another cause.

    Args:
        error: the error; libraries may have raised their own on top of the system's.
        folder: of what was to be written, so that a file elsewhere that must not be read is not taken for it.
    """
    while error is not None:
        if isinstance(error, OSError) and (error.errno in _NO_ROOM or _has_no_place(error, folder)):
            return error.strerror or str(error)
        error = error.__cause__ or error.__context__
    return None


def _has_no_place(error: OSError, folder: Path | None) -> bool:
    """Whether a file or folder in `folder`, or that one itself, cannot be made."""
    if folder is None or not isinstance(error.filename, str | bytes):
        return False
    place, folder = Path(os.fsdecode(error.filename)).absolute(), folder.absolute()
    if error.errno == errno.ENOENT:  # one above it, as in /proc; not a file of it that should be there
        return folder.is_relative_to(place)
    return error.errno in _NO_PLACE and (place.is_relative_to(folder) or folder.is_relative_to(place))


def read_json_lines(path: Path) -> list[Any]:
    """The lines of a file of JSON that processes append to; what is no JSON is left out.

    That is the last line of a killed process, or what a power loss made of lines. The last line is ended, so that
    the next one does not continue it.
    """
    content = path.read_bytes() if path.exists() else b""
    found = []
    for line in content.split(b"\n"):
        with suppress(ValueError, RecursionError):
            found.append(json.loads(line.decode("utf-8")))
    if content and not content.endswith(b"\n"):
        with path.open("a") as file:
            file.write("\n")
    return found


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
