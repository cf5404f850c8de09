"""The index of a cell says what its records say, whatever becomes of either."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from outputs_tree import make_record, write_result

from lavx.experiments import status
from lavx.experiments.record import METRICS, NewerVersionError, VideoRecord
from lavx.experiments.record_index import INDEX, RecordIndex, Summary
from lavx.experiments.run_folder import RunFolder

NAMES = ["a", "b", "c"]


@pytest.fixture
def cell(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path)
    write_result(folder, make_record("a", score=0.25, more={"stability": 0.5}))
    folder.write_record(VideoRecord.failed("b", 3, "too \u2028 \t\n short"))
    write_result(folder, make_record("c"))
    return folder


def records_of(cell: RunFolder) -> dict[str, VideoRecord]:
    return {place.name: VideoRecord.read(place / METRICS) for place in sorted(cell.videos.iterdir())}


def check(cell: RunFolder, index: RecordIndex | None = None) -> None:
    """The index says what the files say."""
    found = (index or RecordIndex(cell.path)).read()
    expected = records_of(cell)
    assert list(found) == list(expected)
    for name, record in expected.items():
        summary = found[name]
        assert isinstance(summary, Summary)
        assert (summary.video_id, summary.video, summary.error) == (record.video_id, record.video, record.error)
        assert list(summary.row().items()) == list(record.row().items())
        assert summary.numbers() == (record.row(), record.minimal_masks)


def forbid_reading(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Have every reading of a `metrics.json` noted."""
    seen: list[Path] = []
    own = VideoRecord.read
    monkeypatch.setattr(VideoRecord, "read", lambda path: (seen.append(path), own(path))[1])
    return seen


def test_what_was_written_is_not_read_again(cell: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    check(cell)
    seen = forbid_reading(monkeypatch)
    assert len(RecordIndex(cell.path).read()) == 3 and list(cell.explained()) == ["a", "c"]
    assert len(cell.write_table()) == 3 and status.counts(cell.path, NAMES)[:2] == (2, 1)
    assert RecordIndex(cell.path).read(["c", "absent"]).keys() == {"c"} and not seen


@pytest.mark.parametrize("damage", ["absent", "cut", "garbage", "flipped", "older", "joined", "a folder"])
def test_an_index_that_is_gone_or_damaged_is_made_again(
    cell: RunFolder, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = cell.path / INDEX
    content = file.read_bytes()
    lines = content.splitlines(keepends=True)
    file.unlink()
    if damage == "a folder":
        file.mkdir()
        check(cell)
        return
    broken = {
        "cut": content[:-7],
        "garbage": b"\0" * 64 + b"\n{}\n\n" + b"\xff\xfe\n",
        "flipped": content.replace(b"0.25", b"0.75"),
        "older": content.replace(b'"1.2"', b'"0.9"'),
        "joined": lines[0][:40] + lines[1] + lines[2],
    }
    if damage in broken:
        assert broken[damage] != content
        file.write_bytes(broken[damage])
    check(cell)
    check(cell)  # after what the first reading appended
    if damage in ("absent", "flipped", "joined", "older"):
        seen = forbid_reading(monkeypatch)
        RecordIndex(cell.path).read()
        assert not seen


def test_records_that_changed_since_are_read_again(cell: RunFolder) -> None:
    index = RecordIndex(cell.path)
    check(cell, index)
    (cell.folder("c") / METRICS).write_text(make_record("c", score=0.125).to_json())
    check(cell, index)
    write_result(cell, make_record("b"))  # what failed was explained
    check(cell, index)
    shutil.rmtree(cell.folder("a"))
    write_result(cell, make_record("d"))
    check(cell, index)
    check(cell)


def test_a_copied_cell_is_read_anew(cell: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> None:
    copy = tmp_path_factory.mktemp("copy") / "cell"
    shutil.copytree(cell.path, copy, copy_function=shutil.copyfile)
    (copy / "videos" / "a" / METRICS).write_text(make_record("a", score=0.5).to_json())
    check(RunFolder(copy))


@pytest.mark.parametrize("content", ["", "{", json.dumps({"version": 99})])
def test_damaged_records_are_never_in_the_index(cell: RunFolder, content: str) -> None:
    file = cell.folder("a") / METRICS
    file.write_text(content)
    for _ in range(2):
        error = RecordIndex(cell.path).read()["a"]
        assert isinstance(error, NewerVersionError if "99" in content else ValueError) and str(file) in str(error)
    file.write_text(make_record("a").to_json())
    check(cell)


def test_of_others_only_what_they_appended_is_read(cell: RunFolder) -> None:
    reader = RecordIndex(cell.path)
    reader.read()
    assert list(reader.news()) == []
    other = RunFolder(cell.path)
    other.write_record(VideoRecord.failed("d", None, "bad"))
    with (cell.path / INDEX).open("ab") as file:
        file.write(b"half a li")
    assert [(name, record.error) for name, record in reader.news()] == [("d", "bad")]
    (cell.path / INDEX).unlink()
    write_result(other, make_record("e"))
    assert [name for name, _ in reader.news()] == ["e"]


def test_an_index_that_cannot_be_written_is_done_without(cell: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    (cell.path / INDEX).unlink()

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lavx.experiments.record_index.os.write", full)
    write_result(cell, make_record("d"))
    check(cell)
    assert len(cell.write_table()) == 4


def test_bookkeeping_of_a_video_does_not_grow_with_their_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files opened, listed and asked for their size, for the tenth video and for the hundredth."""
    names = [f"v{k:03d}" for k in range(100)]
    folder = RunFolder(tmp_path)
    state = status.Record(tmp_path, names)
    calls = []
    for module, name in ((os, "open"), (os, "stat"), (os, "scandir"), (os, "listdir"), (os, "replace")):
        own = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, own=own, **k: (calls.append(a), own(*a, **k))[1])
    costs, sizes = [], []
    with state.working():
        for name in names:
            calls.clear()
            with folder.claimed(name):
                write_result(folder, make_record(name))
                state.video_done(1.0)
            costs.append(len(calls))
            sizes.append((tmp_path / status.STATUS).stat().st_size)
        state.close()
    assert costs[10] == costs[50] == costs[99] > 0 and max(sizes) - min(sizes) < 10
    assert status.counts(tmp_path, names) == (100, 0, None)
    assert json.loads((tmp_path / status.STATUS).read_text())["done"] == 100


N_RESULTS, N_CELLS = 100_000, 10


@pytest.mark.slow
def test_a_hundred_thousand_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status, resuming and the table of 100,000 results, as they are and from the index; each in seconds."""
    text = make_record("NAME").to_json()
    for k in range(N_CELLS):
        cell = tmp_path / "shapes" / "tpn" / f"rise-seed={k}"
        for v in range(N_RESULTS // N_CELLS):
            place = cell / "videos" / f"v{v:05d}"
            place.mkdir(parents=True)
            (place / METRICS).write_text(text.replace("NAME", place.name))
        (cell / status.STATUS).write_text(json.dumps({"state": "done", "total": N_RESULTS // N_CELLS}))
    seconds = {}
    for what in ("first status", "status"):
        start = time.process_time()
        found = [status.status(tmp_path, cell) for cell in status.cells(tmp_path)]
        seconds[what] = time.process_time() - start
        assert sum(each.done for each in found) == N_RESULTS and {each.state for each in found} == {"done"}
    start = time.process_time()
    assert len(RunFolder(tmp_path / "shapes" / "tpn" / "rise-seed=0").explained()) == N_RESULTS // N_CELLS
    seconds["resume"] = time.process_time() - start
    start = time.process_time()
    assert len(RunFolder(tmp_path / "shapes" / "tpn" / "rise-seed=0").write_table()) == N_RESULTS // N_CELLS
    seconds["table"] = time.process_time() - start
    with capsys.disabled():
        print("\nprocessor seconds:", ", ".join(f"{what} {spent:.1f}" for what, spent in seconds.items()))
    assert seconds["status"] < 10 and seconds["resume"] < 3 and seconds["table"] < 5
