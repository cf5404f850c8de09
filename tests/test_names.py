"""Names of videos, runs and cells: any bytes, any length, never one folder for two, never outside the outputs."""

import io
import json
import os
import sys
import unicodedata
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from outputs_tree import make_cell, make_grid, make_record, write_result

from lavx.cli import arguments_for_hydra
from lavx.commands.cell_name import cell_name
from lavx.commands.status import show
from lavx.datasets.base import Video
from lavx.datasets.folder import Folder
from lavx.datasets.layouts import video_ids
from lavx.datasets.video_files import VideoFiles
from lavx.errors import RequestError
from lavx.experiments.compose import settings, videos_of
from lavx.experiments.names import (
    LONGEST,
    cell_part,
    checked_name,
    checked_outputs,
    folder_name,
    old_folder_name,
)
from lavx.experiments.record import VideoRecord
from lavx.experiments.run_folder import RunFolder
from lavx.experiments.settings import Settings
from lavx.experiments.videos import chosen_videos
from lavx.report import write_report
from lavx.report.study import read_study
from lavx.report.tables import coverage
from lavx.text import csv_cell, csv_of, visible

BYTES = os.fsdecode(b"caf\xe9")
HOSTILE = [
    "my clip", "my,clip", "my_clip", BYTES, "..__x", ".hidden", "a/../b", "=1+1", "<!--<script>", "two\nlines",
    "\x1b[31mred", "nul", "a.", "e\N{COMBINING ACUTE ACCENT}", "\N{LATIN SMALL LETTER E WITH ACUTE}", "x" * 300,
    "x" * 301, "\N{CJK UNIFIED IDEOGRAPH-65E5}" * 200, "", " ", "~", "A", "a", "\ud800",
    "\N{RIGHT-TO-LEFT OVERRIDE}cod",
]  # fmt: skip
anything = st.text(st.characters())  # surrogates, which file names may hold, among them
hostile = anything | st.sampled_from(HOSTILE) | st.text("aA._- ~/\udcff\xe9", max_size=6)


@given(hostile, hostile, st.booleans())
@example("A", "a", True)
@example("e\N{COMBINING ACUTE ACCENT}", "\N{LATIN SMALL LETTER E WITH ACUTE}", True)
def test_folders_of_two_names_are_two_folders(first, second, fold_case):
    assume(first != second)
    one, two = folder_name(first, fold_case), folder_name(second, fold_case)
    assert one != two
    assert unicodedata.normalize("NFC", one) != unicodedata.normalize("NFC", two)
    if fold_case:
        assert one.casefold() != two.casefold()


@given(hostile, st.booleans())
def test_folder_names_are_taken_by_every_file_system(name, fold_case):
    made = folder_name(name, fold_case)
    assert 1 <= len(made.encode()) <= LONGEST
    assert made[0] != "." and made[-1] not in ". "
    assert not set(made) & set('/\\:*?"<>|') and made == visible(made)
    assert made.split(".")[0].casefold() not in ("con", "prn", "aux", "nul", "com1", "lpt9")


@given(st.text("abcxyz019_=+-@.", min_size=1, max_size=LONGEST))
def test_harmless_names_stay_as_they_are(name):
    assume(name[0] != "." and name[-1] != ".")
    assert folder_name(name) == folder_name(name, fold_case=True) == name == old_folder_name(name)


def test_capital_letters_are_kept_where_the_file_system_keeps_them():
    assert folder_name("A001_P001") == "A001_P001"
    assert folder_name("A001_P001", fold_case=True).startswith("A001_P001~")


@given(anything)
def test_what_is_visible_can_be_encoded_and_stays_in_its_line(text):
    shown = visible(text)
    assert shown.encode() and "\n" not in shown or not text
    assert visible(shown) == shown and len(shown.splitlines()) <= 1
    assert len(visible("a\nb\tc", lines=True).splitlines()) == 2


@pytest.mark.parametrize(
    "text, shown",
    [(BYTES, r"caf\xe9"), ("a\nb", r"a\nb"), ("\x1b", r"\x1b"), ("\ud800", r"\ud800"), ("\u202e", r"\u202e"),
     ("caf\xe9 \N{CJK UNIFIED IDEOGRAPH-65E5}", "caf\xe9 \N{CJK UNIFIED IDEOGRAPH-65E5}")],
)  # fmt: skip
def test_only_what_cannot_be_read_is_escaped(text, shown):
    assert visible(text) == shown


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1"])
def test_a_cell_is_no_formula(text):
    assert csv_cell(text)[0] in "'\\" and csv_cell(csv_cell(text)) == csv_cell(text)


@pytest.mark.parametrize("value", [-1.5, 0, None, True, "a=b", "1-2", ""])
def test_numbers_and_harmless_texts_stay_in_tables(value):
    assert csv_cell(value) is value or csv_cell(value) == value


@given(st.lists(anything, min_size=1, max_size=5))
def test_tables_can_be_read_back_whatever_is_in_them(texts):
    table = pd.DataFrame({"video_id": texts, "score": -0.5})
    text = csv_of(table)
    back = pd.read_csv(io.BytesIO(text.encode()), dtype={"video_id": str}, keep_default_na=False)
    assert back.video_id.tolist() == [csv_cell(text) for text in texts] and (back.score == -0.5).all()
    assert table.video_id.tolist() == texts  # which a caller may go on with


# --- Ids ---------------------------------------------------------------------------------------------------------

parts = st.sampled_from(["a", "b", "a__b", "..", ".", ".h", "x\ny", BYTES, r"caf\xe9", "A"])


relative_paths = st.builds(
    lambda folders, end: "/".join(folders) + end,
    st.lists(parts, min_size=1, max_size=3),
    st.sampled_from(["/a", ".mp4", ".avi", ".x.mp4"]),
)


@given(st.lists(relative_paths, unique=True, max_size=8))
def test_ids_made_from_paths_are_unique_and_can_be_read(names):
    paths = [Path("/root/videos", name) for name in names]
    ids = video_ids(Path("/root/videos"), paths)
    assert len(set(ids.values())) == len(set(paths))
    assert all(name == visible(name) and "/" not in name for name in ids.values())


def test_ids_of_many_files_of_the_same_name_take_linear_time():
    paths = [Path(f"/elsewhere/{k}/video.mp4") for k in range(20_000)]
    ids = video_ids(Path("/root"), paths)
    assert [ids[path] for path in paths[:4]] == ["video", "video.mp4", "video-2", "video-3"]
    assert len(set(ids.values())) == len(paths)


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "root"
    for name in (b"root/a.mp4", b"root/s/a.mp4", b"root/caf\xe9.mp4", b"root/.h.mp4", b"b.mp4"):
        file = os.path.join(os.fsencode(tmp_path), name)
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with open(file, "wb") as stream:
            stream.write(b"\0")
    return folder


def listed(root, *lines):
    (root / "list.txt").write_bytes(b"\n".join(lines))
    found = Folder(root, root / "list.txt").inventory()
    return {video.id: video.path for video in found.videos}, found.missing


def test_entries_of_lists_that_leave_the_root_or_are_hidden_have_results_that_are_seen(root):
    ids, missing = listed(root, b"../b.mp4", b"s/../../b.mp4", b".h.mp4", b"./s/../a.mp4", b"a.mp4")
    assert {name: path.name for name, path in ids.items()} == {"b": "b.mp4", ".h": ".h.mp4", "a": "a.mp4"}
    assert not missing and not any(folder_name(name).startswith(".") for name in ids)


def test_entries_of_lists_may_be_any_bytes_and_any_length(root):
    ids, missing = listed(root, b"caf\xe9.mp4", b"gone\xe9.mp4", b"l" * 300 + b".mp4", b"s/a.mp4")
    assert list(ids) == [r"caf\xe9", "s__a"] and len(missing) == 2


def test_folders_that_are_classes_may_have_any_bytes(tmp_path):
    folder = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"caf\xe9"))
    os.mkdir(folder)
    Path(folder, "a.mp4").write_bytes(b"\0")
    dataset = Folder(tmp_path, classes="subfolders")
    assert dataset.classes == (r"caf\xe9",) and [video.label for video in dataset.videos()] == [0]


def test_files_have_the_same_ids_however_their_paths_are_written(tmp_path, monkeypatch):
    for name in ("a/x.mp4", "b/x.mp4"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    relative = VideoFiles(["a/x.mp4", "b/x.mp4", tmp_path / "a" / "x.mp4"]).videos()
    absolute = VideoFiles([tmp_path / "a", tmp_path / "b"]).videos()
    assert [video.id for video in relative] == [video.id for video in absolute] == ["a__x", "b__x"]


@given(st.floats(0, 1e5), st.floats(0, 1e5))
def test_two_stretches_of_a_file_have_two_ids(one, other):
    assume(abs(one - other) > 2e-6)
    first, second = (
        next(iter(VideoFiles([__file__], start=start, end=2e5).videos())).id for start in (one, other)
    )
    assert first != second


class Dataset:
    classes = ("x",)

    def __init__(self, *ids):
        self.ids = ids

    def videos(self):
        return [Video(name, Path(f"{k}.mp4"), None) for k, name in enumerate(self.ids)]


def test_a_dataset_that_gives_two_videos_one_id_is_refused():
    assert len(videos_of(Dataset("a", "b"))) == 2
    with pytest.raises(RequestError, match=r"an id of its own, but 'a' is that of 0\.mp4, 2\.mp4"):
        videos_of(Dataset("a", "b", "a"))


def test_ids_given_twice_are_refused_as_what_they_are():
    videos = Dataset("a", "b", r"caf\xe9").videos()
    config = Settings(videos=["a", "b", "a"], n_videos=None)
    with pytest.raises(RequestError, match=r"videos names 1 \(a\) more than once; give each id once"):
        chosen_videos(config, "d", videos)
    config["videos"] = [BYTES, "b"]
    assert [video.id for video in chosen_videos(config, "d", videos)] == [r"caf\xe9", "b"]


# --- The run folder ----------------------------------------------------------------------------------------------


def test_every_name_has_a_result_of_its_own_that_is_found_and_shown(tmp_path):
    folder = RunFolder(tmp_path)
    for k, name in enumerate(HOSTILE):
        with folder.claimed(name) as mine:
            assert mine and not folder.done(name)
            folder.scores_file(name).touch()
            write_result(folder, make_record(name, score=k / 100))
    again = RunFolder(tmp_path)
    assert [again.record(name).score for name in HOSTILE] == [k / 100 for k in range(len(HOSTILE))]
    assert sorted(again.write_table().score) == [k / 100 for k in range(len(HOSTILE))]
    table = pd.read_csv(tmp_path / "results.csv", keep_default_na=False)
    assert sorted(table.video_id) == sorted(map(csv_cell, HOSTILE))


def test_a_result_counts_for_the_id_that_it_holds_alone(tmp_path):
    folder = RunFolder(tmp_path)
    write_result(folder, make_record("a"))
    os.rename(folder.folder("a"), folder.folder("b"))
    assert not folder.done("b") and not folder.done("a")
    write_result(folder, make_record("b", score=0.5))  # and is not lost where another belongs in its place
    assert folder.done("a") and folder.done("b") and folder.record("b").score == 0.5


def old_tree(path, *records):
    """A run folder as lavx 0.1 left it."""
    for record in records:
        place = path / "videos" / old_folder_name(record.video_id)
        place.mkdir(parents=True)
        (place / "metrics.json").write_text(record.to_json())
        (place / "explanation.npz").write_bytes(b"arrays")
        (place / "panel.png").write_bytes(b"")


def test_results_in_folders_of_the_old_names_are_found(tmp_path):
    old_tree(tmp_path, *map(make_record, ["my clip", "..__x", "plain", "two\nlines", "x" * 200]))
    folder = RunFolder(tmp_path)
    assert all(folder.done(name) for name in ("my clip", "..__x", "plain", r"two\nlines", "x" * 200))
    assert not folder.done("my_clip") and (folder.folder("my clip") / "panel.png").exists()
    assert not any(place.name.startswith(".") for place in folder.videos.iterdir())
    write_result(folder, make_record("my_clip"))
    assert folder.done("my clip") and folder.done("my_clip")


def test_old_names_are_looked_for_once(tmp_path, monkeypatch):
    old_tree(tmp_path, make_record("my clip"))
    RunFolder(tmp_path)
    monkeypatch.setattr(VideoRecord, "read", lambda path: pytest.fail("read again"))
    RunFolder(tmp_path)


def test_hidden_results_of_lavx_0_1_are_in_the_table_but_half_written_ones_are_not(tmp_path):
    old_tree(tmp_path, make_record("..__x"))
    half = tmp_path / "videos" / ".a.12345678.part"
    half.mkdir()
    (half / "metrics.json").write_text(make_record("a").to_json())
    (tmp_path / ".names").write_text(json.dumps({"version": 1, "fold_case": False}))  # so that nothing is renamed
    assert RunFolder(tmp_path).write_table().video_id.tolist() == ["..__x"]


def test_a_folder_that_moves_to_a_file_system_without_case_is_renamed_and_stays_so(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path)
    write_result(folder, make_record("Ab"))
    with monkeypatch.context() as patched:
        patched.setattr(Path, "exists", lambda path: path.name.endswith(".PART") or os.path.exists(path))
        folder = RunFolder(tmp_path)
    assert folder.done("Ab") and folder.folder("Ab").name == folder_name("Ab", fold_case=True) != "Ab"
    assert RunFolder(tmp_path).done("Ab")


# --- Runs and cells ----------------------------------------------------------------------------------------------

BAD_NAMES = ["../../x", "..", ".", "a/b", "/tmp", "a\\b", "a\nb", "a\0b", "", "  ", ".x", "x" * 129, None, True,
             1.5, ["a"], BYTES, "\u202e"]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_is_not_that_of_one_folder_is_refused_by_every_command(name):
    for check in (checked_name, lambda name: settings({"name": name, "outputs": "outputs"})):
        with pytest.raises(RequestError, match="^name must "):
            check(name)


@pytest.mark.parametrize("name", ["default", "a b", "2024", "\xe9t\xe9", "a,b", "x.y", "-"])
def test_names_of_one_folder_are_taken(name):
    assert checked_name(name) == settings({"name": name}).name == name


def test_a_number_is_a_name():
    assert settings({"name": 2024}).name == "2024"


@pytest.mark.parametrize("outputs", ["", " ", "a\0b", "a\nb", None, 3])
def test_outputs_that_are_no_folder_are_refused(outputs):
    with pytest.raises(RequestError, match="^outputs must be the path of a folder.*outputs=/some/folder"):
        settings({"outputs": outputs})
    assert checked_outputs("../some folder") == "../some folder"


@pytest.mark.parametrize("argument", ["name=../../x", "+name='../x'", "name=a,../x", 'name="a/b"', "name=.."])
def test_a_sweep_of_such_names_is_refused_before_hydra_makes_a_folder(argument):
    with pytest.raises(RequestError, match="name must be that of one folder"):
        arguments_for_hydra(["-m", argument])


@pytest.mark.parametrize(
    "argument", ["name=a,b", "name=a.b", "name=${oc.env:HOME}", "outputs=../x", "net.name=../x"]
)
def test_other_arguments_reach_hydra_as_they_are(argument):
    assert arguments_for_hydra([argument]) == [argument]


@pytest.mark.parametrize(
    "given_, quoted",
    [
        (f"video={BYTES} x.mp4", f"video='{BYTES} x.mp4'"),
        (f"video=[a.mp4,{BYTES}.mp4]", f"video=[a.mp4,'{BYTES}.mp4']"),
        (f"video='{BYTES}'", f"video='{BYTES}'"),
        ("video=\xe9.mp4", "video='\xe9.mp4'"),
        ("net.map={a: \xe9}", "net.map={a: \xe9}"),
    ],
)
def test_bytes_are_quoted_for_hydra(given_, quoted):
    assert arguments_for_hydra([given_]) == [quoted]


def test_status_refuses_such_names_too(capsys):
    assert show(["name=../x"]) == 2
    assert "name must be that of one folder" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["../x", "..", ".x", "a/b", "a\\b", "a\nb", "x" * 200, BYTES, ""])
def test_parts_of_a_cells_path_are_one_visible_folder(part):
    made = cell_part(part)
    assert made == folder_name(part) and "/" not in made and not made.startswith(".")
    assert cell_name([f"net.name={part}"], {"dataset": "d", "net": "n", "method": "m"})[1][:1] not in (".", "")


def test_usual_parts_of_a_cells_path_stay(tmp_path):
    for name in ("tpn", "lime-sampling.n_samples=5-removal=blur", "rise-segmentation.cells=[4,7,7]", "r3d 18"):
        assert cell_part(name) == name


# --- The report --------------------------------------------------------------------------------------------------


def test_user_scores_may_name_videos_as_the_tables_do(tmp_path):
    make_cell(tmp_path, ("one", "tpn", "rise"), ["=1+1", "b"])
    (tmp_path / "default" / "ratings.csv").write_text(
        "rater,dataset,net,method,video_id,score\nr,one,tpn,rise,'=1+1,1\ns,one,tpn,rise,=1+1,2\n"
    )
    assert read_study(tmp_path, "default").ratings.video_id.tolist() == ["=1+1", "=1+1"]


def test_the_reports_tables_hold_no_formulas(tmp_path):
    make_grid(tmp_path, datasets=("=cmd",), nets=("@net",), n_videos=2)
    table = coverage(read_study(tmp_path, "default"))
    table.write(tmp_path)
    written = pd.read_csv(tmp_path / "coverage.csv")
    assert set(written.dataset) == {"'=cmd"} and set(written.net) == {"'@net"}


def test_failures_of_videos_of_any_name_are_reported(tmp_path):
    cell = make_cell(tmp_path, ("one", "tpn", "rise"), ["a"])
    cell.write_record(VideoRecord.failed(BYTES, None, f"{BYTES}.mp4: is \x1b[31mbad"))
    assert read_study(tmp_path, "default").failures == [r"one / tpn / rise / caf\xe9: caf\xe9.mp4: is \x1b[31mbad"]


def test_stdout_prints_any_name(monkeypatch):
    from lavx.text import print_any_text

    for encoding, expected in (("utf-8", b"caf\xe9 \xc3\xa9 \\ud800"), ("ascii", b"caf\xe9 \\xe9 \\ud800")):
        raw = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
        print_any_text()
        print(f"{BYTES} \xe9 \ud800", end="", flush=True)
        assert raw.getvalue() == expected


def test_a_report_of_hostile_names_and_of_controls_alone_is_whole(tmp_path):
    names = ["=1+1", BYTES, "two\nlines", "$x^{$", "<!--<script>", "x" * 300]
    make_cell(tmp_path, ("one", "tpn", "center"), names)
    made = write_report(tmp_path, "default", panels=None)
    written = {file.name for file in (made.folder / "figures").iterdir()}
    assert not any(name.startswith("timings") for name in written)
    assert (made.folder / "index.html").read_bytes().decode() and len(made.study.table) == len(names)
