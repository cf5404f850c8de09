"""Videos of hostile names, through the commands as a user types them: nothing is lost, mixed up or hidden.

Each name is that of a real video; all are explained in one run folder, resumed, reported and checked.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from command import run_lavx

from lavx.datasets.shapes import Shapes
from lavx.text import csv_cell, visible

pytestmark = pytest.mark.slow

NAMES = [
    b"my clip", b"my,clip", b"my_clip", b"my'clip", b'my"clip', b"caf\xe9", b"\xff\xfe\xfd", b"caf\xc3\xa9",
    b"cafe\xcc\x81", b"two\nlines", b"tab\there", b"\x1b[31mred\x1b[0m", b"\xe2\x80\xaereversed", b"=1+1", b"+1",
    b"@SUM(A1)", b"<!--<script>alert(1)", b"$x^{$", b"%s%d{0}", b"a=b", b"[a]", b"-1", b"null",
    b"(a)", b"~", b"a~b", b"*", b"?", b"a.b.c", b"nul", b"CON", b"a.", b" ", b" a", b"Case", b"case", b"0",
    "\N{CJK UNIFIED IDEOGRAPH-65E5}".encode() * 80, b"x" * 240, b"x" * 241, b"x" * 251, rb"caf\xe9", b"#",
]  # fmt: skip
if sys.platform == "darwin":  # whose file system takes no other bytes
    NAMES = [name for name in NAMES if visible(os.fsdecode(name)).encode() == name]

NETWORK = """
import numpy as np

def predict(clips):
    return np.asarray(clips, dtype=float).mean(axis=(1, 2, 3))[:, :3] - 100
"""
SETTINGS = [
    "net=function", "net.function=predictor:predict", "net.classes=[a,b,c]", "net.output=logits", "net.resize=32",
    "net.crop=32", "net.n_frames=4", "dataset=folder", "method=center", "metric.n_steps=3", "n_videos=null",
]  # fmt: skip
UNLABELED = [*SETTINGS, "class_map=none"]  # the network has none of the classes of Kinetics-400


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the videos, a network, and a list that leaves the videos' folder."""
    place = tmp_path_factory.mktemp("hostile")
    (place / "predictor.py").write_text(NETWORK)
    file = Shapes(place / "cache", n_videos=1).videos()[0].path
    videos = place / "videos"
    (videos / "sub").mkdir(parents=True)
    for name in NAMES:
        shutil.copy(file, os.path.join(os.fsencode(videos), name[:251] + b".mp4"))
    for name in ("above.mp4", "videos/.hidden.mp4", "videos/sub/above.mp4"):
        shutil.copy(file, place / name)
    lines = [
        b"../above.mp4",
        b".hidden.mp4",
        b"sub/above.mp4",
        b"sub/../../above.mp4",
        b"l" * 300 + b".mp4",
        b"caf\xe9.mp4",
    ]
    (videos / "list.txt").write_bytes(b"\n".join(lines))
    return place


@pytest.fixture
def lavx(place):
    def run(*arguments, **environment):
        done = run_lavx(*arguments, folder=place, environment=os.environ | environment, timeout=1800)
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        return done

    return run


def results(place, name):
    cell = place / "outputs" / name / "folder" / "function" / "center"
    records = [json.loads(file.read_text()) for file in cell.glob("videos/*/metrics.json")]
    return cell, {record["video_id"]: record["error"] for record in records}


@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict"])
def test_every_video_has_its_result_and_none_takes_another_along(place, lavx, encoding):
    name = encoding.split(":")[0]
    done = lavx("run", *UNLABELED, "dataset.root=videos", f"name={name}", PYTHONIOENCODING=encoding)
    cell, found = results(place, name)
    assert len(found) == len(NAMES) + 1 and set(found.values()) == {None} and done.returncode == 0
    assert len(list((cell / "videos").iterdir())) == len(found)
    assert not [path for path in (cell / "videos").iterdir() if path.name.startswith(".")]
    table = pd.read_csv(cell / "results.csv", dtype={"video_id": str}, keep_default_na=False)
    assert sorted(table.video_id) == sorted(map(csv_cell, found))
    before = {path: path.stat().st_mtime_ns for path in cell.glob("videos/*/metrics.json")}
    again = lavx("run", *UNLABELED, "dataset.root=videos", f"name={name}", PYTHONIOENCODING=encoding)
    assert f"{len(found)} of {len(found)} videos are done already" in again.stdout and again.returncode == 0
    assert {path: path.stat().st_mtime_ns for path in cell.glob("videos/*/metrics.json")} == before
    shown = lavx("status", f"name={name}", PYTHONIOENCODING=encoding)
    assert f"{len(found)} of {len(found)} videos explained, 0 failed" in shown.stdout
    report = lavx("report", f"name={name}", "nets=[function]", "methods=[center]", PYTHONIOENCODING=encoding)
    assert report.returncode == 0 and f"{len(found)} explanations" in report.stdout
    assert (place / "outputs" / name / "report" / "index.html").read_bytes().decode("utf-8")


def test_entries_of_a_list_that_leave_its_folder_are_shown(place, lavx):
    done = lavx("run", *UNLABELED, "dataset.root=videos", "dataset.annotations=videos/list.txt", "name=listed")
    found = results(place, "listed")[1]
    assert set(found) == {"above", ".hidden", "sub__above", r"caf\xe9"} and done.returncode == 0
    assert "4 of 4 videos explained" in lavx("status", "name=listed").stdout
    assert "1 (llll" in done.stderr  # the one that no file can be called


def test_the_dataset_is_checked_whatever_its_names(place, lavx):
    assert lavx("data", "dataset=folder", "dataset.root=videos").returncode == 0
    table = pd.read_csv(place / "outputs" / "data" / "folder" / "videos.csv", dtype=str, keep_default_na=False)
    assert len(table) == len(NAMES) + 1 and not table.video_id.str.match(r"\s*[=+@-]").any()


ALONE = [
    b"caf\xe9", b"\xff\xfe\xfd", b"caf\xc3\xa9", b"-1", b"~", b"a.", b"x" * 251,
    "\N{CJK UNIFIED IDEOGRAPH-65E5}".encode() * 80,
]  # fmt: skip


@pytest.mark.parametrize("name", ALONE, ids=lambda name: ascii(name)[2:30])
def test_each_can_be_explained_alone(place, lavx, name):
    video = os.fsdecode(b"videos/" + name[:251] + b".mp4")
    given = [setting for setting in SETTINGS if not setting.startswith(("dataset", "n_videos"))]
    done = lavx("explain", f"video={video}", *given, f"name=alone-{ALONE.index(name)}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["../../x", "a\nb", "a,../x"])
@pytest.mark.parametrize("command", ["run", "explain", "select", "evaluate", "gallery", "report", "status"])
def test_no_command_leaves_the_outputs_folder(tmp_path, lavx, name, command):
    outputs = tmp_path / "deep" / "er"
    done = lavx(command, f"name={name}", f"outputs={outputs}")
    assert done.returncode == 2 and "name" in done.stderr and not list(tmp_path.iterdir())
