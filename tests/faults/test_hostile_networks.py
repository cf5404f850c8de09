"""Networks of users' own that answer in every wrong way."""

from __future__ import annotations

import json

import pytest
from cells import NO_PICTURES, cell, explanations, numbers
from lavx_process import TINY


def with_network(name: str, *more: str) -> tuple[str, ...]:
    own = [a for a in TINY if not a.startswith("net.function")]
    return ("run", *own, f"net.function=networks_at_fault:{name}", "n_videos=2", *more)


# What each network must not get away with: words of the reason that the user is given.
FAILING = {
    "one_row": "row",
    "flat": "row",
    "cube": "",
    "transposed": "",
    "no_classes": "",
    "wrong_count": "",
    "changing_count": "",
    "nan": "NaN",
    "infinite": "",
    "nan_sometimes": "NaN",
    "nothing": "NoneType",
    "words": "",
    "complex_numbers": "",
    "ragged": "",
    "raises": "no more",
    "raises_sometimes": "not to my liking",
    "out_of_memory": "MemoryError",
    "recursive": "ecursion",
}


@pytest.mark.parametrize("name", FAILING)
def test_a_network_that_fails(lavx, tmp_path, tally, name):
    done = lavx.run(*with_network(name), folder=tmp_path, hook=NO_PICTURES)
    tally.faults += 1
    tally.tracebacks += done.tracebacks
    run = cell(tmp_path)
    said = done.stdout + done.stderr
    tally.wrong += done.status not in (1, 2) or FAILING[name] not in said
    if name not in ("nan_sometimes", "raises_sometimes", "changing_count"):
        tally.wrong += len(explanations(run)) if run.exists() else 0
    assert tally.clean(), said


def test_a_network_that_ends_the_process(lavx, tmp_path, tally):
    done = lavx.run(*with_network("exits"), folder=tmp_path, hook=NO_PICTURES)
    tally.faults += 1
    tally.tracebacks += done.tracebacks
    tally.wrong += done.status != 1 or len(explanations(cell(tmp_path)))
    errors = [str(video["error"]) for video in numbers(cell(tmp_path)).values()]
    assert len(errors) == 2 and all("the network ended Python" in error for error in errors)
    assert json.loads((cell(tmp_path) / "status.json").read_text())["state"] == "failed" and tally.clean()


def test_probabilities_are_not_taken_for_logits(lavx, tmp_path, tally):
    tally.faults += 1
    found = []
    for name, output in (("linear", "logits"), ("probabilities", "probabilities"), ("probabilities", "null")):
        run = with_network(name, f"net.output={output}", f"name={name}-{output}")
        done = lavx.run(*run, folder=tmp_path, hook=NO_PICTURES)
        assert done.status == 0, done.stderr
        found.append([video["score"] for video in numbers(cell(tmp_path, f"{name}-{output}")).values()])
    tally.wrong += found[0] != pytest.approx(found[1]) or found[1] != found[2]
    assert tally.clean()


def test_a_network_that_writes_into_its_input(lavx, tmp_path, tally):
    tally.faults += 1
    for name in ("linear", "writes_into_its_input"):
        done = lavx.run(*with_network(name, f"name={name}"), folder=tmp_path, hook=NO_PICTURES)
        tally.tracebacks += done.tracebacks
        assert done.status == 0, done.stderr
    first, second = (numbers(cell(tmp_path, name)) for name in ("linear", "writes_into_its_input"))
    tally.wrong += first != second
    assert tally.clean()


def test_a_slow_network_is_given_up(lavx, tmp_path, tally):
    tally.faults += 1
    done = lavx.run(*with_network("slow", "net.timeout=0.1"), folder=tmp_path, hook=NO_PICTURES)
    tally.tracebacks += done.tracebacks
    assert done.status in (1, 2) and "timeout" in done.stdout + done.stderr and tally.clean()


def test_random_answers_end_without_a_crash(lavx, tmp_path, tally):
    tally.faults += 1
    done = lavx.run(*with_network("random_answers"), folder=tmp_path, hook=NO_PICTURES)
    tally.tracebacks += done.tracebacks
    assert done.status in (0, 1, 2) and tally.clean()
