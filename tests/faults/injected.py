"""Faults put into a process before its command begins: death or a full disk at the n-th operation on files."""

from __future__ import annotations

import builtins
import errno
import io
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any


class _Operations:
    """Counts the operations that change files in a folder, and does something at one of them."""

    def __init__(self, root: str, act: Callable[[int, str], None], counted: str | None = None) -> None:
        self.root = os.path.abspath(root)
        self.act = act
        self.counted = counted
        self.n = 0

    def concerns(self, path: Any) -> bool:
        if isinstance(path, int):
            try:
                path = os.readlink(f"/proc/self/fd/{path}")
            except OSError:
                return False
        return os.path.abspath(os.fsdecode(path)).startswith(self.root)

    def __call__(self, path: Any, what: str) -> None:
        if self.concerns(path):
            self.n += 1
            if self.counted is not None:
                with _open(self.counted, "a") as file:
                    file.write(f"{what} {path}\n")
            self.act(self.n, what)


_open = open


def _inject(operations: _Operations) -> None:
    def before(module: Any, name: str) -> None:
        own = getattr(module, name)

        def changed(path: Any, *arguments: Any, **named: Any) -> Any:
            operations(path, name)
            return own(path, *arguments, **named)

        setattr(module, name, changed)

    for name in ("replace", "rename", "mkdir", "fsync", "unlink", "rmdir"):
        before(os, name)
    before(shutil, "rmtree")

    class Raw(io.FileIO):
        def write(self, data: Any) -> int:
            operations(self.name, "write")
            return super().write(data)

    def opened(file: Any, mode: str = "r", buffering: int = -1, *text: Any, **named: Any) -> Any:
        writes = any(letter in mode for letter in "wax+") and isinstance(file, str | os.PathLike)
        if not writes or not operations.concerns(file):
            return _open(file, mode, buffering, *text, **named)
        operations(file, "open")
        raw = Raw(file, mode.replace("b", "").replace("t", ""))
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, *text, **named)

    builtins.open = io.open = opened  # type: ignore[assignment]


def die_at(root: str, number: int, counted: str | None = None) -> None:
    """Kill this process (SIGKILL) before its n-th operation on files in a folder."""

    def act(n: int, what: str) -> None:
        if n == number:
            os.kill(os.getpid(), signal.SIGKILL)

    _inject(_Operations(root, act, counted))


def full_at(root: str, number: int, code: int = errno.ENOSPC, counted: str | None = None) -> None:
    """Let the disk be full from the n-th operation on; what frees room still works."""

    def act(n: int, what: str) -> None:
        if n >= number and what not in ("unlink", "rmdir", "rmtree"):
            raise OSError(code, os.strerror(code), root)

    _inject(_Operations(root, act, counted))


def read_only(root: str) -> None:
    """Nothing in a folder can be changed."""
    full_at(root, 1, errno.EROFS)


def without_pictures() -> None:
    """Leave out the pictures, which take most of the time; they decide nothing."""
    from lavx.experiments import explain_video

    def touch(path: Path, **_: Any) -> None:
        path.write_bytes(b"picture")

    explain_video.draw_panel = explain_video.write_overlay = touch  # type: ignore[assignment]


def full_without_pictures(root: str, number: int, code: int = errno.ENOSPC) -> None:
    without_pictures()
    full_at(root, number, code)


def die_without_pictures(root: str, number: int) -> None:
    without_pictures()
    die_at(root, number)
