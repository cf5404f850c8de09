"""Disks that fill up, at each operation and for real, and folders that cannot be written."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cells import NO_PICTURES, RUN, at_each_operation, cell, copy, explanations, numbers, state
from lavx_process import TINY

COMMANDS = {
    "run": RUN,
    "sweep": ("run", "-m", *TINY, "n_videos=1,2"),
    "explain": ("explain", *TINY, "dataset=shapes"),
    "evaluate": ("evaluate", *TINY[:5], "n_videos=4"),
    "select": ("select", "nets=[tpn]", "n_videos=2"),
    "data": ("data", "dataset.n_videos=6"),
    "gallery": ("gallery", *TINY[:5], "methods=[loco]"),
    "report": ("report",),
    "status": ("status",),
}


def check_refused(ended, tally, name: str) -> None:
    """One line for the user, exit status 2."""
    tally.tracebacks += ended.tracebacks
    lines = [line for line in ended.stderr.splitlines() if line.startswith("lavx: ")]
    said = [line for line in lines if "cannot write" in line and "outputs=" in line]
    if ended.status != 2 or not said or "Errno" in ended.stderr:
        tally.wrong += 1
        tally.notes.append(f"{name}: {ended.status} {ended.stderr.strip()[-300:]}")


def test_a_disk_that_is_full_from_each_operation_on(lavx, tmp_path, whole, tally):
    reference = explanations(cell(whole))
    for folder, ended in at_each_operation(lavx, tmp_path, "full_without_pictures"):
        tally.faults += 1
        check_refused(ended, tally, folder.name)
        before = explanations(cell(folder)) if cell(folder).exists() else {}
        done = lavx.run(*RUN, folder=folder, hook=NO_PICTURES)
        tally.tracebacks += done.tracebacks
        assert done.status == 0, done.stderr
        after = explanations(cell(folder))
        tally.lost += len(before.keys() - after.keys()) + len(reference.keys() - after.keys())
        tally.wrong += after != reference or numbers(cell(folder)) != numbers(cell(whole))
        assert state(cell(folder)) == "done" and not list(cell(folder).glob("videos/.*"))
    assert tally.faults > 20 and tally.clean(), tally.notes


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A disk of a few kilobytes, where this user may mount one."""
    folder.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("size", ["8k", "64k"])
def test_a_small_disk(lavx, tmp_path, whole, tally, size):
    for name, arguments in COMMANDS.items():
        if name == "status" or (name, size) in (("data", "64k"), ("evaluate", "64k"), ("select", "64k")):
            continue  # it needs no more than that
        folder = tmp_path / name
        with small_disk(folder / "outputs", size):
            if name == "report":  # its results are on a larger disk, so they are brought there as far as they go
                continue
            ended = lavx.run(*arguments, folder=folder)
        tally.faults += 1
        check_refused(ended, tally, name)
    assert tally.clean(), tally.notes


@pytest.mark.parametrize("code", [errno.EROFS, errno.ENOSPC, errno.EDQUOT])
def test_outputs_that_cannot_be_written(lavx, tmp_path, whole, tally, code):
    for name, arguments in COMMANDS.items():
        folder = tmp_path / name
        folder.mkdir()
        if name in ("report", "status"):
            copy(whole, folder)
        ended = lavx.run(*arguments, folder=folder, hook=("injected:full_at", str(folder / "outputs"), 1, code))
        tally.faults += 1
        if name == "status":
            tally.tracebacks += ended.tracebacks
            assert ended.status == 0 and "1 done" in ended.stdout
        else:
            check_refused(ended, tally, name)
    assert tally.clean(), tally.notes


def test_a_finished_cell_on_a_read_only_disk_is_still_done(lavx, tmp_path, whole, tally):
    copy(whole, tmp_path)
    ended = lavx.run(*RUN, folder=tmp_path, hook=("injected:read_only", str(tmp_path / "outputs")))
    tally.faults += 1
    check_refused(ended, tally, "run")
    tally.lost += explanations(cell(tmp_path)) != explanations(cell(whole))
    assert state(cell(tmp_path)) == "done" and tally.clean()
