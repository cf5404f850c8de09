import functools
import json
import os

import numpy as np
import pytest
import torch
from command import run_lavx

from lavx.datasets.base import Video
from lavx.errors import RequestError
from lavx.experiments.video_selection import read_selection, select
from lavx.video import VideoError


class Oracle:
    """Classifies the videos in `right` correctly, of those that can be read."""

    device = torch.device("cpu")

    def __init__(self, right, sha256="1", unreadable=()):
        self.right, self.unreadable = set(right), set(unreadable)
        self.weights = {"file": None, "sha256": sha256}
        self.read_ids = []

    def read(self, path):
        self.read_ids.append(str(path))
        if str(path) in self.unreadable:
            raise VideoError(f"{path}: broken")
        clip = type("Clip", (), {})()
        clip.frames = np.full((2, 2, 2, 3), int(str(path) in self.right), np.uint8)
        return clip

    def __call__(self, clips):
        right = clips.mean((1, 2, 3, 4))
        return torch.stack([5 + 2 * right, 6 - right], 1)


VIDEOS = [Video(str(n), n, 0) for n in range(40)]


def run(tmp_path, first, second, n=10, seed=0, videos=VIDEOS):
    networks = {"a": lambda: first, "b": lambda: second}
    return select(videos, networks, n, seed, tmp_path, "toy")


def test_only_videos_that_all_networks_classify_correctly_are_selected_in_the_drawn_order(tmp_path):
    evens, low = [str(n) for n in range(0, 40, 2)], [str(n) for n in range(30)]
    selection = run(tmp_path, Oracle(evens), Oracle(low))
    expected = [str(n) for n in np.random.default_rng(0).permutation(40) if str(n) in evens and str(n) in low]
    assert [entry["video"] for entry in selection["videos"]] == expected[:10]
    assert read_selection(tmp_path / "toy.json") == expected[:10]
    assert selection["videos"][0]["scores"].keys() == {"a", "b"}
    assert selection["weights"] == {"a": "1", "b": "1"}


def test_the_seed_decides_and_no_video_is_classified_twice(tmp_path):
    every = [str(n) for n in range(40)]
    first, second = Oracle(every), Oracle(every)
    one = run(tmp_path, first, second)
    again = run(tmp_path, Oracle([]), Oracle([]))  # predictions from the file
    assert one == again and len(first.read_ids) == len(set(first.read_ids)) == 10
    other = run(tmp_path, first, second, seed=1)
    assert [e["video"] for e in other["videos"]] != [e["video"] for e in one["videos"]]


def test_videos_are_classified_again_with_new_weights(tmp_path):
    every = [str(n) for n in range(40)]
    run(tmp_path, Oracle(every), Oracle(every))
    assert run(tmp_path, Oracle([], sha256="2"), Oracle(every))["videos"] == []


def test_a_video_whose_line_is_cut_off_is_classified_again(tmp_path):
    every = [str(n) for n in range(40)]
    one = run(tmp_path, Oracle(every), Oracle(every))
    file = tmp_path / "toy.answers.jsonl"
    file.write_text(file.read_text()[:-15])
    first, second = Oracle(every), Oracle(every)
    assert run(tmp_path, first, second) == one
    assert len(first.read_ids) + len(second.read_ids) == 1


def test_predictions_of_version_0_1_0_are_reused(tmp_path):
    order = np.random.default_rng(0).permutation(40)
    lines = [json.dumps([net, "1", str(n), 0, 0.75, None]) for n in order[:10] for net in "ab"]
    (tmp_path / "toy.answers.jsonl").write_text("\n".join(lines) + "\n")
    first = Oracle([])
    selection = run(tmp_path, first, Oracle([]))
    assert first.read_ids == [] and selection["videos"][0]["scores"] == {"a": 0.75, "b": 0.75}
    assert [entry["video"] for entry in selection["videos"]] == [str(n) for n in order[:10]]


def test_probabilities_are_taken_as_they_are_and_other_outputs_refused(tmp_path):
    every = [str(n) for n in range(40)]
    logits, network = Oracle(every), Oracle(every)
    network.output, network.__class__ = "probabilities", type("Certain", (Oracle,), {"__call__": certain})
    selection = run(tmp_path, logits, network)
    assert selection["videos"][0]["scores"] == {"a": pytest.approx(1 / (1 + np.exp(-2))), "b": 0.875}
    network.output = "multilabel"
    with pytest.raises(RequestError, match="net=b: accuracy needs a network that gives logits or probabilities"):
        run(tmp_path, logits, network)


def certain(network, clips):
    return torch.tensor([[0.875, 0.125]]).expand(len(clips), 2)


def test_unreadable_videos_are_counted_and_replaced_and_fewer_is_said(tmp_path):
    right = [str(n) for n in range(5)]
    selection = run(tmp_path, Oracle(right, unreadable=["0", "7"]), Oracle(right))
    assert {e["video"] for e in selection["videos"]} == {"1", "2", "3", "4"}
    assert selection["unreadable"] == 2 and selection["drawn"] == 40 and selection["asked"] == 10


def test_without_labels_nothing_can_be_selected(tmp_path):
    with pytest.raises(RequestError, match="none of the 1 videos of toy has a label"):
        run(tmp_path, Oracle([]), Oracle([]), videos=[Video("x", "x", None)])


def test_a_file_that_is_no_selection_is_refused(tmp_path):
    with pytest.raises(RequestError, match="No such file.*lavx select"):
        read_selection(tmp_path / "nothing.json")
    (tmp_path / "other.json").write_text(json.dumps([1]))
    with pytest.raises(RequestError, match="is not a selection file of lavx select"):
        read_selection(tmp_path / "other.json")


def test_the_command_selects_and_run_reads_it(tmp_path):
    environment = os.environ | {"LAVX_CACHE": str(tmp_path / "cache")}
    lavx = functools.partial(run_lavx, folder=tmp_path, environment=environment)
    done = lavx("select", "n_videos=3", "dataset.n_videos=6", "nets=[tpn,timesformer]")
    assert done.returncode == 0, done.stderr
    file = tmp_path / "outputs" / "default" / "selections" / "shapes.json"
    chosen = read_selection(file)
    done = lavx(
        "run",
        f"videos={file}",
        "n_videos=1",
        "dataset.n_videos=6",
        "method.sampling.n_samples=9",
        "metric.n_steps=2",
    )
    assert done.returncode == 0, done.stderr
    assert f"{chosen[0]}: " in done.stdout
    assert lavx("select", "n_videos=9", "dataset.n_videos=6", "nets=[tpn]").returncode == 1
