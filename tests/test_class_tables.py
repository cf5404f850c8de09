"""Which class of the network a class of the dataset is."""

from __future__ import annotations

import logging

import pytest

from lavx.errors import RequestError
from lavx.experiments.class_map import ClassMap, class_map, read_table

DATASET = ("brush_hair", "golf", "pour", "run")
NETWORK = ("Brush Hair", "playing golf", "running on treadmill", "jogging", "run")


def test_classes_are_the_same_where_their_names_are():
    assert ClassMap(DATASET, NETWORK).indices == (0, None, None, 4)
    assert ClassMap(DATASET, DATASET[::-1]).indices == (3, 2, 1, 0)


def test_names_that_differ_only_in_punctuation_are_told_apart():
    assert ClassMap(("C", "C++"), ("C++", "C")).indices == (1, 0)
    assert ClassMap(("C", "C++"), ("c", "d")).indices == (None, None)
    assert ClassMap(("c",), ("C", "C++")).indices == (None,)


def test_a_table_is_many_to_one_and_goes_before_names():
    table = {"golf": "playing golf", "run": "jogging", "Pour": "jogging", "brush_hair": None}
    assert ClassMap(DATASET, NETWORK, table).indices == (None, 1, 3, 3)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"tennis": "jogging"}, "tennis is no class of the dataset, which has brush_hair, golf"),
        ({"golf": "tennis"}, "tennis is no class of the network, which has Brush Hair"),
        ({"golf": "jogging", "GOLF": "run"}, "golf is there twice, as two classes of the network"),
    ],
)
def test_a_table_of_other_classes_is_refused(table, message):
    with pytest.raises(ValueError, match=message):
        ClassMap(DATASET, NETWORK, table)


def test_a_network_without_names_has_the_dataset_s(caplog):
    with caplog.at_level(logging.WARNING, "lavx"):
        assert ClassMap(DATASET, None).indices == (0, 1, 2, 3)
    assert "names no classes" in caplog.text


def test_what_is_absent_is_said(caplog):
    with caplog.at_level(logging.WARNING, "lavx"):
        ClassMap(DATASET, NETWORK)
    assert "lacks 2 of the dataset's 4 classes (golf, pour)" in caplog.text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("map.csv", "dataset,network\ngolf,playing golf\nrun,jogging\n\npour,\n"),
        ("map.csv", '"golf","playing golf"\nrun, jogging\npour,\n'),
        ("map.yaml", "golf: playing golf\nrun: jogging\npour: null\n"),
    ],
)
def test_tables_are_read(tmp_path, name, text):
    file = tmp_path / name
    file.write_text(text)
    assert read_table(file) == {"golf": "playing golf", "run": "jogging", "pour": None}
    assert class_map(DATASET, NETWORK, str(file)).indices == (0, 1, None, 3)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("map.csv", "golf\n", "a row must be dataset class,network class; got golf"),
        ("map.csv", "", "empty"),
        ("map.csv", "golf,a\ngolf,b\n", "golf is both a and b"),
        ("map.yaml", "[1, 2]", "it must be a mapping"),
        ("map.yaml", "a: [1", "expected"),
        ("map.csv", b"\xff\xfe", "no table"),
        ("map.csv", "golf,tennis\n", "class_map=.*: tennis is no class of the network"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path, name, text, message):
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RequestError, match=message) as refused:
        class_map(DATASET, NETWORK, str(file))
    assert "\n" not in str(refused.value)


def test_a_table_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RequestError, match="No such file or directory. Give a table"):
        class_map(DATASET, NETWORK, str(tmp_path / "map.csv"))
    with pytest.raises(RequestError, match="class_map must be null, none or the path of a table, got 3"):
        class_map(DATASET, NETWORK, 3)


def test_a_network_of_other_classes_alone_is_refused_unless_that_is_meant():
    with pytest.raises(
        RequestError, match=r"net=other has none of the 4 classes .*brush_hair.*; its 2 are a, b\. .*class_map"
    ):
        class_map(DATASET, ("a", "b"), None, "net=other")
    found = class_map(DATASET, ("a", "b"), "none")
    assert found.is_disjoint and found(2) is None
    assert class_map((), ("a", "b"), None).indices == ()
