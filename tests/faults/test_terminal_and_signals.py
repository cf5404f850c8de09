"""Readers that go away, terminals that are closed, and signals of schedulers."""

from __future__ import annotations

import json
import os
import pty
import random
import signal
import time

import pytest
from cells import RUN, cell, finished
from cells import explanations as results
from lavx_process import TINY


@pytest.fixture(scope="module")
def whole(lavx, tmp_path_factory) -> dict[str, bytes]:
    return results(cell(finished(lavx, tmp_path_factory.mktemp("whole"))))


EVALUATE = ("evaluate", *TINY[:5], "n_videos=4")


@pytest.mark.parametrize("command", [RUN, ("run", "-m", *TINY, "n_videos=1,2"), EVALUATE, ("status",)])
def test_a_reader_that_goes_away(lavx, tmp_path, whole, tally, command):
    if command == ("status",):
        lavx.run(*RUN, folder=tmp_path)
    read, write = os.pipe()
    mine = os.readlink(f"/proc/{os.getpid()}/fd/{write}")
    ended = lavx.start(*command, folder=tmp_path, streams=(f"/proc/{os.getpid()}/fd/{write}", None))
    limit = time.monotonic() + 30
    while ended.running and os.readlink(f"/proc/{ended.pid}/fd/1") != mine and time.monotonic() < limit:
        time.sleep(0.001)
    os.close(read)
    tally.faults += 1
    assert ended.status == 0, ended.stderr
    os.close(write)
    tally.tracebacks += ended.tracebacks
    assert "Errno" not in ended.stderr and "BrokenPipe" not in ended.stderr
    if command == RUN:
        tally.wrong += results(cell(tmp_path)) != whole
        assert json.loads((cell(tmp_path) / "status.json").read_text())["state"] == "done"
    assert tally.clean()


def test_a_disk_that_has_no_room_for_what_is_printed(lavx, tmp_path, whole, tally):
    done = lavx.run(*RUN, folder=tmp_path, streams=("/dev/full", None))
    tally.faults += 1
    tally.tracebacks += done.tracebacks
    tally.wrong += results(cell(tmp_path)) != whole
    assert done.status == 1 and "cannot write to standard output (No space left on device)" in done.stderr
    done = lavx.run(*RUN, folder=tmp_path, streams=(None, "/dev/full"))
    assert done.status == 0 and tally.clean()


def test_a_terminal_that_is_closed(lavx, tmp_path, whole, tally):
    """Nobody tells the process (`nohup`, `disown`): what it prints fails, and its work goes on."""
    master, slave = pty.openpty()
    terminal = os.ttyname(slave)
    ended = lavx.start(*RUN, folder=tmp_path, streams=(terminal, terminal))
    time.sleep(0.5)
    os.close(slave)
    os.close(master)
    tally.faults += 1
    assert ended.status == 0
    tally.wrong += results(cell(tmp_path)) != whole
    assert json.loads((cell(tmp_path) / "status.json").read_text())["state"] == "done" and tally.clean()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_at_random_instants(lavx, tmp_path, whole, tally, number):
    rng = random.Random(int(number))
    states: dict[str, int] = {}
    for round_ in range(12):
        name = f"cut{round_}"
        ended = lavx.start(*RUN, f"name={name}", folder=tmp_path)
        if round_ % 3:  # at work on a video; else at any moment, starting up among them
            limit = time.monotonic() + 60
            while ended.running and not list(cell(tmp_path, name).glob(".workers/*")) and time.monotonic() < limit:
                time.sleep(0.005)
        time.sleep(rng.uniform(0, 1.5))
        if ended.running:
            ended.send(number)
            tally.faults += 1
        status = ended.status
        tally.tracebacks += ended.tracebacks
        # Before lavx's own first line the system ends the process by the signal itself.
        assert status in (128 + number, -number, 0), (status, ended.stderr)
        file = cell(tmp_path, name) / "status.json"
        if status == 128 + number and file.exists():
            content = json.loads(file.read_text())
            states[content["state"]] = states.get(content["state"], 0) + 1
            if content["state"] != "done":
                word = "interrupted" if number == signal.SIGINT else signal.Signals(number).name
                assert content["state"] == "stopped" and word in content["error"], content
        before = results(cell(tmp_path, name))
        done = lavx.run(*RUN, f"name={name}", folder=tmp_path)
        assert done.status == 0, done.stderr
        after = results(cell(tmp_path, name))
        tally.lost += len(before.keys() - after.keys()) + len(whole.keys() - after.keys())
        tally.wrong += after != whole
        assert not list(cell(tmp_path, name).glob("videos/.*"))
    tally.notes.append(f"state afterwards: {states}")
    assert tally.clean()


def test_a_network_that_swallows_the_signal(lavx, tmp_path, tally):
    own = [a if not a.startswith("net.function") else "net.function=networks_at_fault:swallows" for a in RUN]
    ended = lavx.start(*own, "n_videos=20", folder=tmp_path)
    while not list(cell(tmp_path).glob("videos/[!.]*")) and ended.running:
        time.sleep(0.01)
    ended.send(signal.SIGTERM)
    tally.faults += 1
    assert ended.status == 143
    tally.tracebacks += ended.tracebacks
    assert json.loads((cell(tmp_path) / "status.json").read_text())["state"] == "stopped"
    assert len(results(cell(tmp_path))) < 20 and tally.clean()
