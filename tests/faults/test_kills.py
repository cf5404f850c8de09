"""Processes killed (SIGKILL) at random instants, and before each of their operations on files."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest
from cells import NO_PICTURES, RUN, at_each_operation, cell, copy, explanations, numbers, state
from lavx_process import TINY


def check_after_death(lavx, folder: Path, whole: Path, tally, before: dict[str, bytes]) -> None:
    """Resume what was killed, and count what is not as it should be."""
    done = lavx.run(*RUN, folder=folder, hook=NO_PICTURES)
    tally.tracebacks += done.tracebacks
    assert done.status == 0, done.stderr
    reference, after = explanations(cell(whole)), explanations(cell(folder))
    tally.lost += len(reference.keys() - after.keys())
    tally.wrong += sum(after[name] != content for name, content in (reference | before).items() if name in after)
    tally.wrong += numbers(cell(folder)) != numbers(cell(whole))
    assert state(cell(folder)) == "done"
    left = [*cell(folder).glob("videos/.*"), *cell(folder).glob(".partial/*")]
    assert not left, left


def test_death_before_each_operation_of_a_run(lavx, tmp_path, whole, tally):
    for folder, ended in at_each_operation(lavx, tmp_path, "die_without_pictures"):
        assert ended.status == -9
        tally.faults += 1
        tally.tracebacks += ended.tracebacks
        check_after_death(lavx, folder, whole, tally, explanations(cell(folder)))
    assert tally.faults > 20 and tally.clean()


def test_deaths_at_random_instants_of_two_workers(lavx, tmp_path, whole, tally):
    """Two workers on a cell while videos finish; one of them is killed and started again."""
    rng = random.Random(0)
    arguments = ("run", *TINY, "n_videos=8")
    reference = tmp_path / "reference"
    reference.mkdir()
    assert lavx.run(*arguments, folder=reference, hook=NO_PICTURES).status == 0
    wanted = explanations(cell(reference))
    seen: dict[str, bytes] = {}
    name, n_rounds = "cut0", 0

    def start():
        return lavx.start(*arguments, f"name={name}", folder=tmp_path, hook=NO_PICTURES)

    workers = [start(), start()]
    for _ in range(40):
        time.sleep(rng.uniform(0, 0.8))
        index = rng.randrange(2)
        tally.faults += workers[index].running
        workers[index].process.kill()
        assert workers[index].status in (0, -9)
        tally.tracebacks += workers[index].tracebacks
        after = explanations(cell(tmp_path, name))
        tally.lost += len(seen.keys() - after.keys())
        tally.wrong += sum(content != wanted[video] for video, content in after.items())
        seen = after
        if len(after) == len(wanted):  # all done: again from nothing
            for worker in workers:
                worker.process.kill()
            n_rounds += 1
            name, seen = f"cut{n_rounds}", {}
            workers = [start(), start()]
        else:
            workers[index] = start()
    for worker in workers:
        assert worker.status == 0
    tally.wrong += explanations(cell(tmp_path, name)) != wanted
    assert tally.clean()


def test_death_before_each_operation_of_a_report(lavx, tmp_path, whole, tally):
    """The old report is there until the new one is, and what killed ones left is cleaned up."""
    copy(whole, tmp_path)
    root = tmp_path / "outputs" / "default"
    made = lavx.run("report", folder=tmp_path)
    assert made.status == 0, made.stderr
    page = (root / "report" / "index.html").read_bytes()
    files = sorted(p.relative_to(root) for p in root.rglob("report/**/*"))
    counted = tmp_path / "operations"
    lavx.run("report", folder=tmp_path, hook=("injected:die_at", str(root), 0, str(counted)))
    operations = counted.read_text().splitlines()
    renaming = [
        n for n, line in enumerate(operations, start=1) if line.startswith(("replace", "rename", "rmtree"))
    ]
    for number in sorted({*range(1, len(operations) + 1, max(1, len(operations) // 6)), *renaming}):
        ended = lavx.run("report", folder=tmp_path, hook=("injected:die_at", str(root), number))
        assert ended.status == -9
        tally.faults += 1
        tally.tracebacks += ended.tracebacks
        tally.lost += not (root / "report" / "index.html").exists()
    assert lavx.run("report", folder=tmp_path).status == 0
    tally.wrong += (root / "report" / "index.html").read_bytes() != page
    assert sorted(p.relative_to(root) for p in root.rglob("report/**/*")) == files
    left = [p.name for p in root.glob(".report*") if p.name != ".report.lock"]
    assert not left and tally.clean(), left


@pytest.mark.parametrize("command", ["select", "evaluate"])
def test_deaths_while_predictions_come_in(lavx, tmp_path, tally, command):
    """A killed selection or evaluation goes on with the predictions that it has, to the same result."""
    nets = ("nets=[tpn]",) if command == "select" else ("net=tpn",)
    arguments = (command, *nets, "n_videos=6")
    result = "selections/shapes.json" if command == "select" else "evaluation/shapes/tpn/predictions.csv"
    reference = tmp_path / "reference"
    reference.mkdir()
    done = lavx.run(*arguments, folder=reference)
    assert done.status in (0, 1), done.stderr
    rng = random.Random(1)
    for number in [1, 2, *rng.sample(range(3, 14), 3)]:
        hook = ("injected:die_at", str(tmp_path / "outputs"), number)
        tally.faults += lavx.run(*arguments, folder=tmp_path, hook=hook).status == -9
    ended = lavx.run(*arguments, folder=tmp_path)
    tally.tracebacks += ended.tracebacks
    assert ended.status == done.status, ended.stderr
    files = [folder / "outputs" / "default" / result for folder in (reference, tmp_path)]
    if command == "select":
        tally.wrong += len({json.dumps(json.loads(file.read_text())) for file in files}) - 1
    else:
        tally.wrong += len({file.read_text() for file in files}) - 1
    assert tally.faults and tally.clean()
