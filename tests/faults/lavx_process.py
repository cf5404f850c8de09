"""lavx commands, forked from a process that has imported everything, so that each starts at once."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import sys
import traceback
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

_TESTS = Path(__file__).parents[1]
_PRELOAD = [
    "lavx.cli",
    "lavx.commands.run",
    "lavx.commands.evaluate",
    "lavx.commands.report",
    "lavx.experiments.compose",
    "lavx.experiments.run",
    "lavx.experiments.explain_files",
    "lavx.experiments.video_selection",
    "lavx.experiments.evaluation",
    "lavx.datasets.shapes",
    "lavx.datasets.folder",
    "lavx.drawing.gallery",
    "lavx.drawing.contact_sheet",
    "lavx.networks.function",
    "lavx.report",
    "skimage.segmentation",
    "hydra._internal.core_plugins.basic_sweeper",
]

# A cell of about a second: a function of mean colors, few frames, few regions.
TINY = (
    "net=function", "net.function=networks_at_fault:linear", "net.n_frames=4", "net.resize=[32,32]",
    "net.crop=null", "method=loco", "method/segmentation=grid", "metric.n_steps=3", "threads=1",
)  # fmt: skip


@dataclass
class Command:
    """A command that was started."""

    process: ForkServerProcess
    out: Path
    patience: float = 120

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.is_alive()

    @property
    def status(self) -> int:
        """The exit status; negative the number of a signal that killed it."""
        self.process.join(self.patience)
        assert self.process.exitcode is not None, "it hangs"
        return self.process.exitcode

    @property
    def stdout(self) -> str:
        return self._printed(".out")

    @property
    def stderr(self) -> str:
        return self._printed(".err")

    def _printed(self, end: str) -> str:
        file = self.out.with_suffix(end)
        return file.read_text(errors="replace") if file.exists() else ""

    @property
    def tracebacks(self) -> int:
        return (self.stdout + self.stderr).count("Traceback (most recent call last)")

    def send(self, number: int) -> None:
        os.kill(self.pid, number)


class Lavx:
    """Starts commands.

    Args:
        cache: folder of the embedded videos, and of what the commands print.
    """

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self._context = multiprocessing.get_context("forkserver")

    def __enter__(self) -> Lavx:
        kept = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join([str(_TESTS), str(Path(__file__).parent)])
        os.environ["OMP_NUM_THREADS"] = "1"
        try:
            self._context.set_forkserver_preload(_PRELOAD)
            assert self.run("--version", folder=self.cache).status == 0
        finally:
            del os.environ["PYTHONPATH"]
            if kept is not None:
                os.environ["PYTHONPATH"] = kept
        return self

    def __exit__(self, *_: object) -> None:
        from multiprocessing import forkserver

        forkserver._forkserver._stop()

    def start(
        self,
        *arguments: str,
        folder: Path,
        hook: tuple[Any, ...] | None = None,
        environment: Mapping[str, str] | None = None,
        streams: Sequence[str | Path | None] = (None, None),
        patience: float = 120,
    ) -> Command:
        """Start a command.

        Args:
            arguments: of `lavx`.
            folder: its working directory.
            hook: "module:function" and its arguments, called before the command begins.
            environment: further variables.
            streams: files that take the place of what it prints.
            patience: seconds after which it is taken to hang.
        """
        out = self.cache / f"printed-{uuid.uuid4().hex[:8]}"
        printed = [str(s or out.with_suffix(end)) for s, end in zip(streams, (".out", ".err"), strict=True)]
        for file in printed:
            if not Path(file).exists():
                Path(file).touch()
        given = {"LAVX_CACHE": str(self.cache), **(environment or {})}
        process = self._context.Process(target=_main, args=(list(arguments), str(folder), hook, given, printed))
        process.start()
        return Command(process, out, patience)

    def run(self, *arguments: str, **how: Any) -> Command:
        """Start a command and wait until it ends."""
        command = self.start(*arguments, **how)
        assert command.status is not None
        return command


def _main(
    arguments: list[str],
    folder: str,
    hook: tuple[Any, ...] | None,
    environment: dict[str, str],
    printed: list[str],
) -> None:
    """In the new process: what a shell would do, then the command."""
    multiprocessing.process._parent_process = None  # as one that was started by a shell
    os.environ.update(environment)
    os.chdir(folder)
    for number, file in enumerate(printed, start=1):
        target = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_NOCTTY)
        os.dup2(target, number)
        os.close(target)
    sys.stdout = open(1, "w", closefd=False)
    sys.stderr = open(2, "w", closefd=False, buffering=1, errors="backslashreplace")
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["lavx", *arguments]
    status = 1
    try:
        if hook is not None:
            module, _, name = hook[0].partition(":")
            getattr(importlib.import_module(module), name)(*hook[1:])
        from lavx.cli import main

        main()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)
