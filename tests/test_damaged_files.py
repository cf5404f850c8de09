"""Files of state that hold anything at all: each is read as what it is, or refused in words, and never crashes."""

import json
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from outputs_tree import make_record, write_result

from lavx.errors import RequestError
from lavx.experiments import status
from lavx.experiments.record import VideoRecord
from lavx.experiments.record_index import RecordIndex
from lavx.experiments.run_folder import RunFolder
from lavx.experiments.score_store import FileScoreStore
from lavx.experiments.segmentation_cache import SegmentationCache
from lavx.experiments.training_folds import read_accuracy
from lavx.experiments.video_selection import read_selection
from lavx.explanation_file import read_arrays, write_arrays
from lavx.methods.regions import LabelRegions

NESTED = b"[" * 100_000  # deeper than the parser goes
CONFIGURATION, ENVIRONMENT = {"seed": 0, "method": {"n": 1}}, {"weights": {}}
RECORD = json.loads(make_record("a").to_json())

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
whole = make_record("a").to_json().encode()
contents = (
    st.binary(max_size=60)
    | values.map(lambda value: json.dumps(value).encode())
    | st.integers(0, len(whole)).map(lambda n: whole[:n])
    | st.integers(0, len(whole)).map(lambda n: whole[:n] + bytes(len(whole) - n))
)
records = st.tuples(st.sampled_from(sorted(RECORD)), values).map(
    lambda change: json.dumps(RECORD | dict([change])).encode()
)
same_folder = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@same_folder
@given(contents | records)
@example(NESTED)
@example(json.dumps(RECORD | {"score": 10**400}).encode())
@example(json.dumps(RECORD | {"version": 10**30}).encode())
def test_a_record_is_read_whole_or_refused(tmp_path, content):
    file = tmp_path / "metrics.json"
    file.write_bytes(content)
    try:
        record = VideoRecord.read(file)
    except ValueError as error:
        assert str(file) in str(error)
    else:
        assert record.error is not None or math.isfinite(record.score)
        file.write_text(record.to_json(), encoding="utf-8", errors="surrogatepass")
        assert VideoRecord.read(file) == record


@same_folder
@given(
    st.sampled_from(
        ["config.yaml", "content.json", "environment.json", ".configuration.json", ".names", ".index"]
    ),
    contents,
)
@example("content.json", NESTED)
@example(".configuration.json", NESTED)
@example(".names", NESTED)
@example(".names", b"[]")
def test_whatever_is_in_a_file_of_state_results_are_neither_lost_nor_taken_for_others(
    tmp_path_factory, name, content
):
    path = tmp_path_factory.mktemp("cell")
    folder = RunFolder(path)
    folder.claim(CONFIGURATION, ENVIRONMENT)
    write_result(folder, make_record("a"))
    files = ["config.yaml", "content.json", "environment.json"]
    (path / name).write_bytes(content)
    folder = RunFolder(path)
    try:
        folder.claim(CONFIGURATION, ENVIRONMENT)
    except RequestError:  # it is a valid one, of something else
        assert name in files
        (path / name).unlink()
        folder.claim(CONFIGURATION, ENVIRONMENT)
    assert folder.holds(CONFIGURATION)
    kept = [*path.glob("set-aside-*/a/metrics.json"), *path.glob("videos/a/metrics.json")]
    assert [VideoRecord.read(file) for file in kept] == [make_record("a")]
    with pytest.raises(RequestError, match="another configuration"):
        RunFolder(path).claim({"seed": 1}, ENVIRONMENT)


@same_folder
@given(st.sampled_from([status.STATUS, status.REQUESTED]), contents)
@example(status.STATUS, NESTED)
@example(status.STATUS, b'{"seconds_per_video": NaN, "total": -1, "state": ""}')
@example(status.REQUESTED, b'{"videos": ["../..", "\\u0000", "\\ud800", ""]}')
def test_whatever_is_in_the_status_it_is_shown(tmp_path, name, content):
    folder = tmp_path / "a" / "b" / "c"
    if not folder.exists():
        write_result(RunFolder(folder), make_record("a"))
    (folder / status.REQUESTED).unlink(missing_ok=True)
    (folder / name).write_bytes(content)
    shown = status.status(tmp_path, ("a", "b", "c"))
    assert status.table([shown]) and status.exit_status([shown]) in (0, 1, 2)
    state = status.Record(folder, ["a"])
    with state.working():
        state.close()
    assert status.status(tmp_path, ("a", "b", "c")).done == 1


scored = st.fixed_dictionaries(
    {}, optional={"key": values | st.just("k"), "start": values | st.just(0), "scores": values | st.just([0.5])}
)


@same_folder
@given(st.lists(contents | scored.map(lambda line: json.dumps(line).encode()), max_size=3))
@example([b'{"key": [], "start": 0, "scores": [1]}'])
@example([b'{"key": "k", "start": 0, "scores": ["x"]}'])
@example([b'{"key": "k", "start": 0, "scores": [NaN]}'])
@example([b'{"key": "k", "start": 0, "scores": 3}'])
@example([NESTED])
def test_scores_that_were_kept_are_numbers_or_are_left_out(tmp_path, lines):
    file = tmp_path / "scores.jsonl"
    file.write_bytes(b"\n".join([b'{"about": "x"}', *lines, b""]))
    kept = FileScoreStore(file, "x").get("k")
    assert kept.dtype == np.float64 and kept.ndim == 1 and np.isfinite(kept).all()


@same_folder
@given(contents)
@example(NESTED)
@example(b'{"videos": [{"video": "a"}]}')
def test_a_selection_is_read_or_refused(tmp_path, content):
    file = tmp_path / "selection.json"
    file.write_bytes(content)
    try:
        assert all(isinstance(video, str) for video in read_selection(file))
    except RequestError as error:
        assert str(file) in str(error)


@same_folder
@given(contents)
@example(NESTED)
def test_an_accuracy_is_read_or_taken_for_missing(tmp_path, content):
    file = tmp_path / "accuracy.json"
    file.write_bytes(content)
    found = read_accuracy(file)
    assert found is None or found["classes"] is not None
    assert read_accuracy(tmp_path / "missing.json") is None


def _flipped(content: bytes, step: int):
    for place in range(0, len(content), step):
        for bit in (0, 3, 7):
            yield content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


def test_an_explanation_with_a_flipped_bit_is_the_same_or_refused(tmp_path):
    file = tmp_path / "explanation.npz"
    arrays = {"attribution": np.arange(5.0), "heatmap": np.ones((2, 3, 3)), "target": np.array(1)}
    arrays |= {"probabilities": np.ones(3), "full": np.array(0.5), "empty": np.array(0.1)}
    write_arrays(file, arrays)
    for content in _flipped(file.read_bytes(), 7):
        file.write_bytes(content)
        try:
            read = read_arrays(file)
        except ValueError:
            continue
        assert all(np.array_equal(read[name], value) for name, value in arrays.items())


def test_a_stored_segmentation_with_a_flipped_bit_is_the_same_or_computed_again(tmp_path):
    class Halves:
        version = 1

        def __call__(self, clip, rng):
            return LabelRegions(np.indices(clip.shape[:3])[1] * 2 // clip.shape[1])

    clip = np.zeros((2, 4, 4, 3), dtype=np.uint8)
    cache = SegmentationCache(tmp_path)
    labels = cache(Halves(), clip, np.random.default_rng(0))[0].labels
    (file,) = tmp_path.glob("*.npz")
    for content in _flipped(file.read_bytes(), 7):
        file.write_bytes(content)
        assert np.array_equal(cache(Halves(), clip, np.random.default_rng(0))[0].labels, labels)


def test_the_index_of_records_may_hold_anything(tmp_path):
    folder = RunFolder(tmp_path)
    write_result(folder, make_record("a"))
    line = (tmp_path / ".index").read_bytes()
    for content in _flipped(line, 7):
        (tmp_path / ".index").write_bytes(content)
        assert RecordIndex(tmp_path).read()["a"].row() == make_record("a").row()
