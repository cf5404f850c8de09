"""The schema of metrics.json: what is written is read again, and what cannot be used is named."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from outputs_tree import make_record

from lavx.experiments.record import (
    STAGES,
    VERSION,
    CurvePoints,
    NewerVersionError,
    VideoFile,
    VideoRecord,
    columns,
)
from lavx.types import OUTPUT_KINDS

OLD = Path(__file__).parent / "data" / "metrics_lavx_0.1.json"  # as lavx 0.1 wrote it: loco, shapes, TPN, 4 steps


def written(tmp_path, content):
    file = tmp_path / "metrics.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


FULL = make_record(
    "a/b c",
    video=VideoFile("ab" * 32, 12345, 1_700_000_000_123_456_789),
    label=None,
    fold=2,
    output="multilabel",
    average_drop=0.25,
    increase=0.0,
    pointing_game=None,
    iou=None,
    energy_inside=None,
    truth_fraction=0.0,
    cross_deletion_auc=0.4,
    cross_insertion_auc=0.6,
    more={"stability": 0.5, "unknown": None},
)


@pytest.mark.parametrize("record", [
    FULL, make_record("b"), VideoRecord.failed("c", 3, "too short"),
    VideoRecord.failed("d", None, "it shrank", VideoFile("0" * 64, 1, 2)),
])  # fmt: skip
def test_what_is_written_is_read_again(tmp_path, record):
    assert VideoRecord.read(written(tmp_path, record.to_json())) == record


@pytest.mark.parametrize("kind", OUTPUT_KINDS)
def test_every_kind_of_outputs_is_stored(tmp_path, kind):
    assert VideoRecord.read(written(tmp_path, make_record("a", output=kind).to_json())).output == kind


def test_the_file_says_its_version_and_is_flat_with_further_metrics_among_the_others():
    content = json.loads(FULL.to_json())
    assert list(content) == [
        "version", "video_id", "video", "label", "fold", "output", "predicted", "target", "score", "deletion_auc",
        "insertion_auc", "average_drop", "increase", "pointing_game", "iou", "energy_inside", "truth_fraction",
        "cross_deletion_auc", "cross_insertion_auc", "stability", "unknown", "n_regions", "n_samples", "seconds",
        "minimal_masks", "curves", "error",
    ]  # fmt: skip
    assert content["version"] == VERSION and content["video"]["size"] == 12345
    assert content["pointing_game"] is None and content["stability"] == 0.5
    assert list(content["seconds"]) == list(STAGES)
    assert json.loads(VideoRecord.failed("c", 3, "bad").to_json()) == {
        "version": VERSION, "video_id": "c", "video": None, "label": 3, "error": "bad",
    }  # fmt: skip


def test_metrics_that_were_not_measured_are_absent():
    content = json.loads(make_record("a").to_json())
    assert not content.keys() & {"fold", "average_drop", "iou", "truth_fraction", "cross_deletion_auc"}


def test_a_file_of_lavx_0_1_is_read_and_its_numbers_stay(tmp_path):
    old = json.loads(OLD.read_text())
    assert "version" not in old
    record = VideoRecord.read(OLD)
    assert (record.version, record.video, record.output) == (VERSION, None, "logits")
    again = json.loads(record.to_json())
    assert {key: value for key, value in again.items() if key not in ("version", "video", "output")} == old
    assert VideoRecord.read(written(tmp_path, record.to_json())) == record
    failed = VideoRecord.read(written(tmp_path, {"video_id": "a", "label": None, "error": "too short"}))
    assert failed == VideoRecord.failed("a", None, "too short")


def test_a_row_has_the_columns_that_lavx_0_1_wrote_in_their_order():
    # The first line of results.csv beside the stored file.
    header = (
        "video_id,label,predicted,target,score,deletion_auc,insertion_auc,average_drop,increase,pointing_game,iou,"
        "energy_inside,truth_fraction,cross_deletion_auc,cross_insertion_auc,n_regions,n_samples,seconds_decode,"
        "seconds_segmentation,seconds_perturbation,seconds_inference,seconds_summary,seconds_metrics,"
        "seconds_visualization,error"
    ).split(",")
    row = VideoRecord.read(OLD).row()
    assert list(row) == header and row["seconds_inference"] == 0.229 and row["error"] is None
    assert list(VideoRecord.failed("a", 1, "bad").row()) == ["video_id", "label", "error"]
    assert list(FULL.row())[:4] == ["video_id", "label", "fold", "predicted"]


def test_the_columns_of_a_table_do_not_depend_on_which_row_is_first():
    rows = [
        r.row() for r in (VideoRecord.failed("0", 1, "bad"), make_record("b", iou=0.1, truth_fraction=0.2), FULL)
    ]
    assert columns(rows) == columns(rows[::-1]) == list(FULL.row())


def test_metrics_go_to_their_fields_or_beside_them():
    record = make_record("a", more={"first": 1.0}).with_metrics(
        {"average_drop": 0.5, "iou": None, "truth_fraction": 0.0, "stability": 0.25}
    )
    assert (record.average_drop, record.truth_fraction) == (0.5, 0.0)
    assert record.more == {"first": 1.0, "stability": 0.25}


def test_numbers_of_numpy_become_those_of_python():
    record = make_record("a", score=np.float32(0.5), predicted=np.int64(3), more={"x": np.float64(1)})
    assert (type(record.score), type(record.predicted), type(record.more["x"])) == (float, int, float)
    json.loads(record.to_json())


COMPLETE = json.loads(make_record("a", average_drop=0.1, increase=0.0).to_json())


def without(*path):
    content = json.loads(json.dumps(COMPLETE))
    part = content
    for key in path[:-1]:
        part = part[key]
    del part[path[-1]]
    return content


@pytest.mark.parametrize("content, message", [
    ("", "it is empty"),
    (" \n", "it is empty"),
    (json.dumps(COMPLETE)[:-40], "it is no JSON, or was cut off: "),
    ("\udcff".encode("utf-8", "surrogateescape"), "can't decode byte 0xff"),
    ("[1, 2]", r"it holds \[1, 2\] where an object is needed"),
    ("{}", "video_id, label, error missing"),
    (without("video_id"), "video_id missing"),
    (without("label"), "label missing"),
    (without("error"), "error missing"),
    (without("score"), "score missing; a video that was explained has all of them"),
    (without("output"), "output missing"),
    (without("seconds", "inference"), "seconds.inference missing"),
    (without("curves", "deletion"), "curves.deletion missing"),
    (without("minimal_masks", "insertion"), "minimal_masks.insertion missing"),
    (without("curves", "deletion", "scores"), "curves.deletion must be an object with fractions, scores, got"),
    (COMPLETE | {"video_id": 7}, "video_id must be text, got 7"),
    (COMPLETE | {"score": "0.5"}, "score must be a number, got '0.5'"),
    (COMPLETE | {"score": True}, "score must be a number, got True"),
    (COMPLETE | {"score": float("nan")}, "score must be a finite number, got nan"),
    (COMPLETE | {"target": 1.5}, "target must be a whole number, got 1.5"),
    (COMPLETE | {"seconds": [1]}, r"seconds must be an object, got \[1\]"),
    (COMPLETE | {"curves": COMPLETE["curves"] | {"deletion": {"fractions": [0, 1], "scores": [1]}}},
     "curves.deletion: fractions and scores must have the same length, got 2 and 1"),
    (COMPLETE | {"curves": COMPLETE["curves"] | {"deletion": {"fractions": 0, "scores": [1]}}},
     "curves.deletion.fractions must be a list of numbers, got 0"),
    (COMPLETE | {"stability": "high"}, "more.stability must be a number, got 'high'"),
    (COMPLETE | {"video": {"sha256": "ab"}}, "video must be an object with sha256, size, mtime_ns"),
    (COMPLETE | {"error": "bad"}, "a video with an error has no results, got output, predicted"),
    (COMPLETE | {"version": "2"}, "version must be a whole number, got '2'"),
    (COMPLETE | {"version": 0}, "version must be 1 or more, got 0"),
])  # fmt: skip
def test_a_file_that_cannot_be_used_is_named_with_the_reason(tmp_path, content, message):
    file = tmp_path / "metrics.json"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        written(tmp_path, content)
    with pytest.raises(ValueError, match=message) as error:
        VideoRecord.read(file)
    assert str(error.value).startswith(f"{file} is no result of lavx run (")


def test_a_file_of_a_newer_lavx_is_told_from_a_damaged_one(tmp_path):
    file = written(tmp_path, {"version": VERSION + 1, "anything": []})
    with pytest.raises(NewerVersionError, match=rf"metrics.json: a newer lavx wrote it \(version {VERSION + 1}"):
        VideoRecord.read(file)


def test_a_file_that_is_not_there_is_not_a_damaged_one(tmp_path):
    with pytest.raises(FileNotFoundError):
        VideoRecord.read(tmp_path / "metrics.json")


def test_a_further_metric_must_not_take_a_columns_name():
    with pytest.raises(ValueError, match="more must not hold iou, seconds_decode: there are columns"):
        make_record("a", more={"iou": 0.5, "seconds_decode": 1.0})


def test_a_record_cannot_be_changed_or_half_built():
    with pytest.raises(dataclasses.FrozenInstanceError):
        FULL.score = 0.1
    with pytest.raises(ValueError, match="output, predicted, .*missing"):
        VideoRecord(video_id="a", label=None)
    with pytest.raises(ValueError, match="same length, got 1 and 0"):
        CurvePoints((0.0,), ())
