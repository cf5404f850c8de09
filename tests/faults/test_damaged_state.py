"""Files that say how far the work is, emptied, cut off, filled with zeros or with something else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cells import NO_PICTURES, RUN, cell, copy, explanations, numbers, state

from lavx.explanation_file import read_arrays

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "all but the end": lambda content: content[:-2],
    "zeros": lambda content: bytes(len(content)),
    "half zeros": lambda content: content[: len(content) // 2] + bytes(len(content) - len(content) // 2),
    "noise": lambda content: np.random.default_rng(0).bytes(len(content)),
    "a list": lambda content: b"[]\n",
    "a number": lambda content: b"3",
}
VIDEO = "videos/shapes-0001"
FILES = ("config.yaml", "content.json", "environment.json", "status.json", ".configuration.json", "results.csv",
         f"{VIDEO}/metrics.json", f"{VIDEO}/explanation.npz")  # fmt: skip
_NOT_LOOKED_AT = "explanation.npz"  # at resumption, unless it is missing or empty


@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_is_mended_or_computed_again(lavx, tmp_path, whole, tally, file):
    for damage, change in {**DAMAGES, "missing": None}.items():
        folder = tmp_path / damage.replace(" ", "-")
        place = copy(whole, folder) / file
        if change is None:
            place.unlink()
        else:
            place.write_bytes(change(place.read_bytes()))
        tally.faults += 1
        for command in ("status",):
            told = lavx.run(command, folder=folder)
            tally.tracebacks += told.tracebacks
            assert told.status == 0, (damage, told.stderr)
        done = lavx.run(*RUN, folder=folder, hook=NO_PICTURES)
        tally.tracebacks += done.tracebacks
        assert done.status == 0, (damage, done.stderr)
        noticed = not place.name == _NOT_LOOKED_AT or damage in ("empty", "missing")
        if noticed:
            same = explanations(cell(folder)) == explanations(cell(whole))
            same &= numbers(cell(folder)) == numbers(cell(whole))
            if not same or state(cell(folder)) != "done":
                tally.wrong += 1
                tally.notes.append(damage)
        named_by = ("config.yaml", "content.json", "environment.json", "metrics.json", "explanation.npz")
        if noticed and place.name in named_by:
            said = place.name in done.stderr and place.name in (cell(folder) / "run.log").read_text()
            if not said:
                tally.wrong += 1
                tally.notes.append(f"{damage} was not said: {done.stderr}")
        if not noticed:
            with pytest.raises(ValueError, match="damaged"):
                read_arrays(place)
    assert tally.clean(), tally.notes


def test_a_damaged_configuration_without_a_copy(lavx, tmp_path, whole, tally):
    """As lavx 0.1 left it: nobody can say whose the results are. They are kept, and computed again."""
    for file in ("config.yaml", "environment.json", "content.json"):
        for damage in ("empty", "zeros", "noise"):
            folder = tmp_path / f"{file}-{damage}"
            run = copy(whole, folder)
            (run / ".configuration.json").unlink()
            (run / file).write_bytes(DAMAGES[damage]((run / file).read_bytes()))
            tally.faults += 1
            done = lavx.run(*RUN, folder=folder, hook=NO_PICTURES)
            tally.tracebacks += done.tracebacks
            assert done.status == 0 and file in done.stderr and "set-aside-" in done.stderr
            tally.wrong += explanations(run) != explanations(cell(whole))
            kept = {p.parent.name: p.read_bytes() for p in run.glob("set-aside-*/*/explanation.npz")}
            tally.lost += kept != explanations(cell(whole))
            assert state(run) == "done"
    assert tally.clean()


def test_damaged_scores_of_a_clip_that_was_cut_off(lavx, tmp_path, whole, tally):
    """Whatever is in the file of scores, the explanation is the same."""
    folder = tmp_path / "cut"
    folder.mkdir()
    hook = ("injected:die_without_pictures", str(folder / "outputs"), 47)
    scores: list[Path] = []
    for number in range(30, 90, 3):
        hook = ("injected:die_without_pictures", str(folder / "outputs"), number)
        lavx.run(*RUN, folder=folder, hook=hook)
        scores = [p for p in cell(folder).glob(".partial/*") if p.stat().st_size > 200]
        if scores:
            break
    assert scores, "no process died between two batches"
    content = scores[0].read_bytes()
    lines = content.split(b"\n")
    damages = {
        **DAMAGES,
        "a line less": lambda content: b"\n".join(lines[:1] + lines[2:]),
        "a line of zeros": lambda content: b"\n".join([lines[0], bytes(len(lines[1])), *lines[2:]]),
        "a line twice": lambda content: b"\n".join([*lines[:2], *lines[1:]]),
        "no first line": lambda content: b"\n".join(lines[1:]),
    }
    for damage, change in damages.items():
        again = tmp_path / damage.replace(" ", "-")
        run = copy(folder, again)
        (run / scores[0].relative_to(cell(folder))).write_bytes(change(content))
        tally.faults += 1
        done = lavx.run(*RUN, folder=again, hook=NO_PICTURES)
        tally.tracebacks += done.tracebacks
        assert done.status == 0, (damage, done.stderr)
        if explanations(run) != explanations(cell(whole)):
            tally.wrong += 1
            tally.notes.append(damage)
    assert tally.clean(), tally.notes


def test_damaged_selections_and_predictions(lavx, tmp_path, tally):
    arguments = ("select", "nets=[tpn]", "n_videos=3")
    assert lavx.run(*arguments, folder=tmp_path).status == 0
    folder = tmp_path / "outputs" / "default" / "selections"
    selection, answers = folder / "shapes.json", folder / "shapes.answers.jsonl"
    wanted, kept = json.loads(selection.read_text()), answers.read_bytes()
    for damage, change in DAMAGES.items():
        selection.write_bytes(change(selection.read_bytes()))
        tally.faults += 1
        used = lavx.run(*RUN, "videos=selected", folder=tmp_path, hook=NO_PICTURES)
        tally.tracebacks += used.tracebacks
        if used.status != 2 or "shapes.json" not in used.stderr or "lavx select" not in used.stderr:
            tally.wrong += 1
            tally.notes.append(f"{damage}: {used.status} {used.stderr}")
        answers.write_bytes(change(kept))
        done = lavx.run(*arguments, folder=tmp_path)
        tally.faults += 1
        tally.tracebacks += done.tracebacks
        assert done.status == 0, (damage, done.stderr)
        tally.wrong += json.loads(selection.read_text()) != wanted
    assert tally.clean(), tally.notes


def test_a_report_over_damaged_files_names_them(lavx, tmp_path, whole, tally):
    for file in (f"{VIDEO}/metrics.json", f"{VIDEO}/explanation.npz", "config.yaml", "environment.json"):
        for damage in ("empty", "half", "noise"):
            folder = tmp_path / f"{Path(file).name}-{damage}"
            place = copy(whole, folder) / file
            place.write_bytes(DAMAGES[damage](place.read_bytes()))
            tally.faults += 1
            made = lavx.run("report", folder=folder)
            tally.tracebacks += made.tracebacks
            assert made.status in (0, 1, 2), made.stderr
            if place.name in ("metrics.json", "explanation.npz") and place.name not in made.stdout + made.stderr:
                tally.wrong += 1
                tally.notes.append(f"{file} {damage} was not said")
    assert tally.clean(), tally.notes
