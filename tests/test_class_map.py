import logging
from pathlib import Path

import pytest

from lavx.datasets.base import Video
from lavx.errors import RequestError
from lavx.experiments.class_map import ClassMap, class_map

CLASSES = ("golf", "pull up", "shoot_bow")


def test_the_same_classes_keep_their_indices():
    assert ClassMap(CLASSES, CLASSES).indices == (0, 1, 2)


def test_classes_are_found_by_name_whatever_the_spelling():
    found = ClassMap(CLASSES, ("Shoot Bow", "archery", "GOLF", "pull-up"))
    assert [found(label) for label in (0, 1, 2, None)] == [2, 3, 0, None]


def test_classes_that_the_network_lacks_have_no_label_and_it_is_said(caplog):
    with caplog.at_level(logging.WARNING):
        found = ClassMap(CLASSES, ("golf", "archery"))
    assert found.indices == (0, None, None)
    assert "The network lacks 2 of the dataset's 3 classes (pull up, shoot_bow)" in caplog.text
    videos = [Video(name, Path(name), label) for label, name in enumerate("abc")]
    assert [(video.id, video.label) for video in found.relabeled(videos)] == [("a", 0)]


def test_a_network_without_names_is_taken_to_have_the_datasets_which_is_said(caplog):
    with caplog.at_level(logging.WARNING):
        assert ClassMap(CLASSES, None).indices == (0, 1, 2)
    assert "The network names no classes; its outputs are taken for the dataset's 3." in caplog.text


def test_a_class_that_the_network_has_twice_is_refused() -> None:
    network = ["run", "jump", "run"]
    with pytest.raises(RequestError, match="^net: the network has 2 classes of the name run"):
        class_map(["run", "jump"], network, None)
    assert class_map(["jump", "walk"], network, None).indices == (1, None)
    assert class_map(network, network, None).indices == (0, 1, 2)
