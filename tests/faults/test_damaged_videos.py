"""More than 250 damaged and odd videos: none ends the run, each is explained or its reason is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cells import NO_PICTURES
from lavx_process import TINY
from odd_videos import write_corpus

from lavx.experiments.record import VideoRecord
from lavx.video import VideoError, probe


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> tuple[Path, dict[str, set[str]]]:
    folder = tmp_path_factory.mktemp("videos")
    return folder, write_corpus(folder)


def test_each_damaged_video_is_explained_or_said_to_be_damaged(lavx, tmp_path, corpus, tally):
    folder, verdicts = corpus
    names = tmp_path / "classes.txt"
    names.write_text("".join(f"class {k}\n" for k in range(8)))
    arguments = ("run", *TINY, "dataset=folder", f"dataset.root={folder}", "n_videos=null")
    arguments += (f"dataset.classes={names}", f"net.classes={names}")
    done = lavx.run(*arguments, folder=tmp_path, hook=NO_PICTURES, patience=400)
    run = tmp_path / "outputs" / "default" / "folder" / "function" / "loco-segmentation=grid"
    assert done.status == 1, done.stderr[-2000:]
    records = [VideoRecord.read(file) for file in run.glob("videos/[!.]*/metrics.json")]
    tally.faults = len(records)
    tally.tracebacks += done.tracebacks + (run / "run.log").read_text().count("Traceback (most")
    assert len(records) >= 250
    by_id = {record.video_id: record for record in records}
    explained = {name for name, record in by_id.items() if record.error is None}
    for name, record in by_id.items():
        if record.error is not None and ("\n" in record.error or "see run.log" in record.error):
            tally.wrong += 1
            tally.notes.append(f"{name}: {record.error}")
    named = {id_: _file(folder, id_) for id_ in by_id}
    must_fail = {i for i, file in named.items() if file in verdicts["bad"]}
    must_work = {i for i, file in named.items() if file in verdicts["good"]}
    tally.lost += len(must_work - explained)
    tally.wrong += len(must_fail & explained)
    tally.notes += sorted(must_work - explained) + sorted(must_fail & explained)
    table = pd.read_csv(run / "results.csv")
    assert len(table) == len(records) and table.error.notna().sum() == len(records) - len(explained)
    numbers = table[table.error.isna()][["score", "deletion_auc", "insertion_auc"]]
    assert np.isfinite(numbers.to_numpy()).all()
    assert tally.clean(), tally.notes


def _file(folder: Path, video_id: str) -> str:
    """The file of a video, whose id is its path with or without its ending."""
    if (folder / video_id).exists():
        return video_id
    found = [p.name for p in folder.glob(f"{video_id}.*")]
    return found[0] if len(found) == 1 else ""


def test_a_file_says_the_same_each_time(corpus, tally):
    """What is read of a damaged file does not depend on chance."""
    folder, _ = corpus
    files = sorted(p for p in folder.iterdir() if p.name.startswith(("flipped", "cut", "hole")))[::7]
    for file in files:
        said = set()
        for _ in range(2):
            try:
                info = probe(file)
                said.add(f"{info.n_frames} {info.height} {info.width} {info.fps}")
            except VideoError as error:
                said.add(str(error))
        tally.faults += 1
        tally.wrong += len(said) != 1
    assert tally.clean()


def test_the_data_command_counts_the_damaged(lavx, tmp_path, corpus, tally):
    folder, verdicts = corpus
    done = lavx.run("data", "dataset=folder", f"dataset.root={folder}", "sheet=4", folder=tmp_path, patience=400)
    tally.faults += 1
    tally.tracebacks += done.tracebacks
    table = pd.read_csv(tmp_path / "outputs" / "data" / "folder" / "videos.csv")
    opened = table[table.path.notna()]  # those that are left out have their path in the reason
    unreadable = {Path(path).name for path in opened[opened.error.notna()].path}
    left_out = [name for name in verdicts["bad"] if not opened.path.str.endswith(f"/{name}").any()]
    reasons = " ".join(table[table.path.isna()].error)
    missed = {name for name in verdicts["bad"] - unreadable if f"/{name}: " not in reasons}
    tally.wrong += len(missed) + ("Errno" in reasons)
    assert done.status == 1 and len(left_out) >= 3 and tally.clean(), (missed, reasons)
