import json
import threading

import numpy as np
import pytest
from outputs_tree import make_record, write_result

from lavx.errors import RequestError
from lavx.experiments.record import STAGES, VERSION, VideoRecord
from lavx.experiments.run_folder import RunFolder, write_text
from lavx.experiments.score_store import FileScoreStore
from lavx.explanation_file import write_arrays


def test_another_configuration_into_the_same_folder_is_refused(tmp_path):
    RunFolder(tmp_path).claim({"method": {"n": 1}}, {})
    RunFolder(tmp_path).claim({"method": {"n": 1}}, {})
    with pytest.raises(RequestError, match=r"another configuration[\s\S]*method.n: 1 -> 2[\s\S]*name=\.\.\."):
        RunFolder(tmp_path).claim({"method": {"n": 2}}, {})


@pytest.mark.parametrize(
    ("weights", "later", "message"),
    [
        ({"file": "a.pth", "sha256": "1" * 64}, {"file": "a.pth", "sha256": "2" * 64}, r"11111111 -> 22222222\)"),
        (
            {
                "file": "fold{fold}.pth",
                "sha256": None,
                "folds": {0: {"sha256": "1" * 64}, 1: {"sha256": "3" * 64}},
            },
            {
                "file": "fold{fold}.pth",
                "sha256": None,
                "folds": {0: {"sha256": "1" * 64}, 1: {"sha256": "4" * 64}},
            },
            r"\(SHA-256 fold 1: 33333333 -> 44444444\)",
        ),
    ],
)
def test_weights_that_changed_since_are_refused(tmp_path, weights, later, message):
    folder = RunFolder(tmp_path)
    folder.claim({"n": 1}, {"weights": weights})
    folder.claim({"n": 1}, {"weights": weights})
    with pytest.raises(RequestError, match=f"was made with other weights: .*pth has changed since .*{message}"):
        folder.claim({"n": 1}, {"weights": later})
    folder.claim({"n": 1}, {"weights": {"file": "random (seed 0)", "sha256": None}})


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match="cannot write to .*outputs="):
        RunFolder(tmp_path / "file" / "run")


def test_a_video_is_there_whole_or_not_at_all(tmp_path):
    folder = RunFolder(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        with folder.writing("a") as part:
            (part / "metrics.json").write_text("{")
            raise KeyboardInterrupt
    assert list(folder.videos.iterdir()) == [] and not folder.done("a")
    folder.write_record(VideoRecord.failed("a", 1, "bad"))
    assert folder.record("a").error == "bad" and not folder.done("a")
    write_result(folder, make_record("a"))
    assert folder.done("a")


@pytest.mark.parametrize("content", ["", '{"video_id": "a", "label": 1, "err', "[]"])
def test_a_damaged_record_is_tried_again_and_named_in_the_table(tmp_path, content):
    folder = RunFolder(tmp_path)
    for name in "ab":
        write_result(folder, make_record(name))
    (folder.folder("a") / "metrics.json").write_text(content)
    assert folder.record("a") is None and not folder.done("a") and folder.done("b")
    table = folder.write_table().set_index("video_id")
    assert "a/metrics.json is no result of lavx run" in table.error["a"] and np.isnan(table.score["a"])
    assert table.error.isna()["b"]


def test_a_record_of_a_newer_lavx_is_not_overwritten(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write_record(make_record("a"))
    (folder.folder("a") / "metrics.json").write_text(json.dumps({"version": VERSION + 1}))
    with pytest.raises(RequestError, match="a/metrics.json: a newer lavx wrote it"):
        folder.done("a")


def test_what_a_killed_process_left_is_cleaned_and_never_in_the_table(tmp_path):
    folder = RunFolder(tmp_path)
    part = folder.videos / ".b.1234.part"
    part.mkdir(parents=True)
    write_text(part / "metrics.json", '{"video_id": "b", "error": null}')
    write_result(folder, make_record("a"))
    assert folder.write_table().video_id.tolist() == ["a"]
    with folder.claimed("b") as mine:
        assert mine
    assert [p.name for p in folder.videos.iterdir()] == ["a"] and not part.exists()


def test_a_video_is_held_by_one_worker_at_a_time(tmp_path):
    first, second = RunFolder(tmp_path), RunFolder(tmp_path)
    with first.claimed("a") as mine:
        with second.claimed("a") as too, second.claimed("b") as other:
            assert mine and not too and other
        part = first.videos / ".a.1234.part"
        part.mkdir(parents=True)
        with second.claimed("a"):
            assert part.exists()  # at work, not left behind
    with second.claimed("a") as mine:
        assert mine and not part.exists()


def test_the_table_has_flat_columns_with_the_error_last(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write_record(VideoRecord.failed("0", None, "no frames"))
    write_result(folder, make_record("a", score=0.75, more={"stability": 0.5}))
    table = folder.write_table()
    assert table.columns.tolist() == [
        "video_id", "label", "predicted", "target", "score", "deletion_auc", "insertion_auc", "stability",
        "n_regions", "n_samples", *(f"seconds_{stage}" for stage in STAGES), "error",
    ]  # fmt: skip
    assert (tmp_path / "results.csv").read_text().splitlines()[1:] == [
        "0,,,,,,,,,,,,,,,,,no frames", "a,1.0,0.0,0.0,0.75,0.5,0.5,0.5,9.0,20.0,0.5,0.5,0.5,0.5,0.5,0.5,0.5,",
    ]  # fmt: skip


def test_an_empty_folder_has_an_empty_table(tmp_path):
    assert len(RunFolder(tmp_path).write_table()) == 0


def test_odd_ids_become_safe_names(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.folder("a/../b c").parent == folder.videos
    assert folder.folder("x").name == "x"


def test_the_same_arrays_give_the_same_bytes(tmp_path):
    for name in "ab":
        write_arrays(tmp_path / f"{name}.npz", {"x": np.arange(5), "y": 1.5})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_text_that_cannot_be_written_leaves_the_old_one(tmp_path):
    write_text(tmp_path / "x", "old")
    with pytest.raises(TypeError):
        write_text(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content, words", [(b"", "is empty"), (None, "is missing")])
def test_a_video_without_its_explanation_is_not_done_and_the_file_is_named(tmp_path, content, words):
    folder = RunFolder(tmp_path)
    write_result(folder, make_record("a"))
    assert folder.done("a") and folder.damage("a") is None and folder.damage("b") is None
    file = folder.folder("a") / "explanation.npz"
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    assert not folder.done("a") and folder.damage("a") == f"{file} {words}"


def test_a_damaged_record_is_named(tmp_path):
    folder = RunFolder(tmp_path)
    write_result(folder, make_record("a"))
    (folder.folder("a") / "metrics.json").write_text("")
    assert "a/metrics.json is no result of lavx run (it is empty)" in folder.damage("a")
    (folder.folder("a") / "metrics.json").unlink()
    assert folder.damage("a").endswith("a/metrics.json is missing")


def _claim(folder, seed, barrier, got):
    barrier.wait()
    try:
        RunFolder(folder).claim({"seed": seed}, {})
        got.append(seed)
    except RequestError:
        pass


def test_of_two_configurations_at_once_one_gets_the_folder(tmp_path):
    for number in range(30):
        folder, barrier, got = RunFolder(tmp_path / str(number)).path, threading.Barrier(2), []
        threads = [threading.Thread(target=_claim, args=(folder, seed, barrier, got)) for seed in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 1 and RunFolder(folder).holds({"seed": got[0]})


CONFIGURATION = {"seed": 0, "method": {"n": 1, "name": "loco"}}
WEIGHTS = {"weights": {"file": "a.pth", "sha256": "1" * 64}}


@pytest.mark.parametrize("name", ["config.yaml", "content.json", "environment.json", ".configuration.json"])
@pytest.mark.parametrize("damage", ["", "half", "\0\0\0", "[]", "{", None])
def test_a_damaged_configuration_is_restored_from_its_copy(tmp_path, caplog, name, damage):
    folder = RunFolder(tmp_path)
    folder.claim(CONFIGURATION, WEIGHTS)
    write_result(folder, make_record("a"))
    files = ["config.yaml", "content.json", "environment.json", ".configuration.json"]
    before = {file: (tmp_path / file).read_text() for file in files}
    if damage is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(before[name][: len(before[name]) // 2] if damage == "half" else damage)
    if name != ".configuration.json":
        assert not folder.holds(CONFIGURATION)
    folder.claim(CONFIGURATION, WEIGHTS)
    assert {file: (tmp_path / file).read_text() for file in files} == before
    assert folder.done("a") and folder.holds(CONFIGURATION)
    assert name == ".configuration.json" or f"{name} is damaged or missing: restored" in caplog.text
    with pytest.raises(RequestError, match="another configuration"):
        folder.claim({"seed": 1}, WEIGHTS)
    with pytest.raises(RequestError, match="was made with other weights"):
        folder.claim(CONFIGURATION, {"weights": {"file": "a.pth", "sha256": "2" * 64}})


def test_results_of_nobody_knows_which_configuration_are_set_aside(tmp_path, caplog):
    folder = RunFolder(tmp_path)
    folder.claim(CONFIGURATION, WEIGHTS)
    write_result(folder, make_record("a"))
    folder.scores_file("b").write_text("of another configuration, perhaps")
    (tmp_path / ".configuration.json").unlink()
    (tmp_path / "config.yaml").write_text("")
    folder.claim({"seed": 7}, {})
    assert not folder.done("a") and folder.holds({"seed": 7}) and not list((tmp_path / ".partial").iterdir())
    (kept,) = tmp_path.glob("set-aside-*")
    assert VideoRecord.read(kept / "a" / "metrics.json") == make_record("a")
    assert "config.yaml is damaged or missing" in caplog.text and kept.name in caplog.text


def test_a_folder_of_an_older_lavx_gets_its_copy(tmp_path):
    folder = RunFolder(tmp_path)
    folder.claim(CONFIGURATION, WEIGHTS)
    for name in (".configuration.json", "content.json"):
        (tmp_path / name).unlink()
    folder.claim(CONFIGURATION, WEIGHTS)
    assert set(json.loads((tmp_path / ".configuration.json").read_text())) == {"config.yaml", "environment.json"}


def test_a_lost_line_of_scores_does_not_shift_the_others(tmp_path):
    file = tmp_path / "scores"
    store = FileScoreStore(file, "a clip")
    for batch in ([1.0, 2.0], [3.0], [4.0, 5.0]):
        store.add("key", np.array(batch))
    store.add("other", np.array([9.0]))
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([*lines[:2], "\0" * 40 + "\n", *lines[3:]]))
    store = FileScoreStore(file, "a clip")
    assert store.get("key").tolist() == [1, 2] and store.get("other").tolist() == [9]
    store.add("key", np.array([3.0, 4.0]))
    assert FileScoreStore(file, "a clip").get("key").tolist() == [1, 2, 3, 4]
    assert FileScoreStore(file, "another clip").get("key").tolist() == []


def test_a_folder_released_and_taken_by_another_configuration_gets_no_results_of_the_first(tmp_path):
    """Two workers of one configuration: the network of one fails, and the folder goes to another configuration."""
    first, failing, other = (RunFolder(tmp_path) for _ in range(3))
    for folder in (first, failing):
        folder.claim(CONFIGURATION, WEIGHTS)
    failing.release()
    other.claim({"seed": 1}, WEIGHTS)
    failing.release()  # not its any more
    assert other.holds({"seed": 1})
    with pytest.raises(RequestError, match="holds a run with another configuration"):
        write_result(first, make_record("a"))
    assert not other.done("a") and not list((tmp_path / "videos").iterdir())
    write_result(other, make_record("a"))
    assert other.done("a")


def test_a_folder_that_another_worker_released_is_claimed_anew_with_the_first_result(tmp_path):
    first, failing = RunFolder(tmp_path), RunFolder(tmp_path)
    for folder in (first, failing):
        folder.claim(CONFIGURATION, WEIGHTS)
    failing.release()
    assert not first.holds(CONFIGURATION)
    write_result(first, make_record("a"))
    assert first.holds(CONFIGURATION) and first.done("a")
    failing.release()  # there are results now
    assert first.holds(CONFIGURATION)
