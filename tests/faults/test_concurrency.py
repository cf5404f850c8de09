"""Processes that begin at the same instant."""

from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path

from cells import NO_PICTURES, RUN, cell, explanations, finished, state

from lavx.errors import RequestError
from lavx.experiments.run_folder import RunFolder


def _claim(path: str, configuration: dict[str, int], barrier, answers) -> None:
    folder = RunFolder(Path(path))
    barrier.wait()
    try:
        folder.claim(configuration, {"weights": {}})
        answers.put(configuration["seed"])
    except RequestError:
        answers.put(None)


def test_two_configurations_and_one_folder(tmp_path, tally):
    """Of threads that begin at a barrier, those of one configuration get the folder and no others."""
    for round_ in range(200):
        path = tmp_path / str(round_)
        barrier = threading.Barrier(4)
        answers: multiprocessing.queues.SimpleQueue = __import__("queue").SimpleQueue()
        threads = [
            threading.Thread(target=_claim, args=(str(path), {"seed": n % 2}, barrier, answers)) for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        got = {answers.get() for _ in threads} - {None}
        tally.faults += 1
        tally.wrong += len(got) != 1 or not RunFolder(path).holds({"seed": got.pop()})
    assert tally.clean()


def test_two_configurations_in_processes(tmp_path, tally):
    context = multiprocessing.get_context("forkserver")
    barrier, answers = context.Barrier(2), context.Queue()
    workers = [context.Process(target=_claim_often, args=(str(tmp_path), n, barrier, answers)) for n in range(2)]
    for worker in workers:
        worker.start()
    won = [answers.get(timeout=120) for _ in range(2 * _ROUNDS)]
    for worker in workers:
        worker.join(60)
    for round_ in range(_ROUNDS):
        tally.faults += 1
        tally.wrong += sum(r == round_ and claimed for r, claimed in won) != 1
    assert tally.clean()


_ROUNDS = 100


def _claim_often(path: str, number: int, barrier, answers) -> None:
    for round_ in range(_ROUNDS):
        folder = RunFolder(Path(path) / str(round_))
        barrier.wait(60)
        try:
            folder.claim({"seed": number}, {"weights": {}})
            answers.put((round_, True))
        except RequestError:
            answers.put((round_, False))


def test_many_workers_of_one_command(lavx, tmp_path, tally):
    whole = tmp_path / "whole"
    whole.mkdir()
    finished(lavx, whole)
    for round_ in range(3):
        folder = tmp_path / str(round_)
        folder.mkdir()
        workers = [lavx.start(*RUN, folder=folder, hook=NO_PICTURES) for _ in range(5)]
        for worker in workers:
            assert worker.status == 0, worker.stderr
            tally.tracebacks += worker.tracebacks
        printed = [line for w in workers for line in w.stdout.splitlines() if ", deletion AUC" in line]
        tally.faults += 5
        tally.wrong += len(printed) != 3  # each video was explained once
        tally.wrong += explanations(cell(folder)) != explanations(cell(whole))
        assert state(cell(folder)) == "done"
    assert tally.clean()


def test_two_configurations_started_at_once(lavx, tmp_path, tally):
    for round_ in range(3):
        folder = tmp_path / str(round_)
        folder.mkdir()
        pair = [lavx.start(*RUN, f"seed={seed}", folder=folder, hook=NO_PICTURES) for seed in (0, 1)]
        statuses = sorted(each.status for each in pair)
        tally.faults += 1
        tally.tracebacks += sum(each.tracebacks for each in pair)
        tally.wrong += statuses != [0, 2]
        assert any("another configuration" in each.stderr for each in pair)
    assert tally.clean()
