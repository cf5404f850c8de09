"""Evaluation: accuracy as counted by hand and by scikit-learn, resumption, folds, bad videos, the picture."""

from __future__ import annotations

import csv
import errno
import functools
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from command import run_lavx
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from PIL import Image
from sklearn import metrics
from toy import ToyNetwork, two_folds

from lavx.commands.evaluate import evaluate
from lavx.datasets.base import Video
from lavx.datasets.shapes import CLASSES, Shapes
from lavx.drawing.confusion_matrix import confusion_matrix, draw_confusion
from lavx.errors import RequestError
from lavx.experiments.evaluation import (
    EvaluatedVideo,
    Evaluator,
    Prediction,
    class_rows,
    confusion_of,
    confusions,
    measure,
    prediction_rows,
    write_evaluation,
)
from lavx.experiments.predictions import PredictionStore
from lavx.networks.openmmlab import network as network_module
from lavx.video import VideoError


class Oracle:
    """Its outputs for video `n` are row `n` of a table of logits."""

    device = torch.device("cpu")

    def __init__(self, logits, sha256="1", unreadable=()):
        self.logits = torch.as_tensor(logits)
        self.weights = {"file": None, "sha256": sha256}
        self.unreadable = set(unreadable)
        self.batches = []

    def read(self, path):
        if int(path) in self.unreadable:
            raise VideoError(f"{path}: broken")
        clip = type("Clip", (), {})()
        clip.frames = np.full((1, 1, 1, 3), int(path), np.uint8)
        return clip

    def __call__(self, clips):
        numbers = clips[:, 0, 0, 0, 0].long()
        self.batches.append(numbers.tolist())
        return self.logits[numbers]


def planted(rng, n=60, k=7):
    """Videos and logits of a network that is correct more often than not."""
    labels = rng.integers(k, size=n)
    logits = rng.normal(size=(n, k))
    logits[np.arange(n), labels] += 1.5
    return [Video(f"v{i}", str(i), int(label)) for i, label in enumerate(labels)], labels, logits


def classify(tmp_path, network, videos, **settings):
    tmp_path.mkdir(exist_ok=True)
    evaluator = Evaluator(network, None, PredictionStore(tmp_path / "answers.jsonl", Prediction), **settings)
    evaluator(videos)
    return evaluator.evaluated(videos)


# What is counted


@pytest.mark.parametrize("k", [2, 5, 6, 12])
@pytest.mark.parametrize("batch_size", ["auto", 1, 7])
def test_accuracy_is_what_counting_gives(tmp_path, rng, k, batch_size):
    videos, labels, logits = planted(rng, k=k)
    evaluated = classify(tmp_path, Oracle(logits), videos, batch_size=batch_size, workers=3)
    found = measure(evaluated, k)
    order = [sorted(range(k), key=lambda c: -row[c]) for row in logits]
    assert [each.prediction.predicted for each in evaluated] == [o[0] for o in order]
    assert [each.prediction.rank for each in evaluated] == [
        o.index(y) + 1 for o, y in zip(order, labels, strict=True)
    ]
    for each, row in zip(evaluated, logits, strict=True):
        score = math.exp(row[each.video.label]) / sum(math.exp(value) for value in row)
        assert each.prediction.score == pytest.approx(score, abs=1e-6)
    assert found["n"] == 60 and found["top1"] == np.mean([o[0] == y for o, y in zip(order, labels, strict=True)])
    if k < 6:
        assert found["top5"] is None and found["top5_interval"] is None
    else:
        assert found["top5"] == np.mean([y in o[:5] for o, y in zip(order, labels, strict=True)])
    assert "folds" not in found


def test_accuracy_and_confusion_are_those_of_scikit_learn(tmp_path, rng):
    k = 9
    videos, labels, logits = planted(rng, n=120, k=k)
    evaluated = classify(tmp_path, Oracle(logits), videos)
    predicted = logits.argmax(1)
    found, matrix = measure(evaluated, k), confusion_of(evaluated, k)
    assert found["top1"] == metrics.accuracy_score(labels, predicted)
    assert found["top5"] == metrics.top_k_accuracy_score(labels, logits, k=5, labels=range(k))
    assert found["mean_class_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(labels, predicted))
    assert np.array_equal(matrix, metrics.confusion_matrix(labels, predicted, labels=range(k)))
    rows = class_rows(matrix, list("abcdefghi"))
    settings = dict(labels=range(k), average=None, zero_division=np.nan)
    assert [row["recall"] for row in rows] == pytest.approx(metrics.recall_score(labels, predicted, **settings))
    assert [row["precision"] for row in rows] == pytest.approx(
        metrics.precision_score(labels, predicted, **settings)
    )


def test_the_intervals_are_wilson_s(tmp_path, rng):
    videos, _, logits = planted(rng)
    found = measure(classify(tmp_path, Oracle(logits), videos), 7)
    n, p, z = 60, found["top1"], 1.959963984540054
    center = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert found["top1_interval"] == pytest.approx([center - half, center + half])


def test_classes_without_videos_count_for_nothing(tmp_path):
    videos = [Video("a", "0", 0), Video("b", "1", 0), Video("c", "2", 2)]
    evaluated = classify(tmp_path, Oracle(5 * np.eye(4)[[0, 2, 2]]), videos)
    found = measure(evaluated, 4)
    assert found["mean_class_accuracy"] == 0.75 and found["top1"] == pytest.approx(2 / 3)
    rows = class_rows(confusion_of(evaluated, 4), "wxyz")
    assert (rows[0]["mistake"], rows[0]["mistakes"], rows[0]["right"]) == ("y", 1, 1)
    assert rows[1]["n"] == 0 and rows[1]["recall"] is None and rows[1]["precision"] is None
    assert rows[2]["precision"] == 0.5 and rows[2]["mistake"] is None
    assert confusions(confusion_of(evaluated, 4)) == [(0, 2, 1)]


def test_nothing_to_count_is_none():
    found = measure([EvaluatedVideo(Video("a", "0", 0), None, Prediction(None, None, None, "broken"))], 8)
    assert found == {"n": 0, "top1": None, "top1_interval": None, "top5": None, "top5_interval": None,
                     "mean_class_accuracy": None}  # fmt: skip


def test_of_equal_scores_the_first_is_the_larger(tmp_path):
    videos = [Video("a", "0", 0), Video("b", "1", 1), Video("c", "2", 2)]
    evaluated = classify(tmp_path, Oracle([[1.0, 1.0, 1.0]] * 3), videos)
    assert [(each.prediction.predicted, each.prediction.rank) for each in evaluated] == [(0, 1), (0, 2), (0, 3)]


def test_folds_are_counted_apart_and_together():
    def evaluated(fold, right, n):
        videos = [Video(f"{fold}{i}", "", 0) for i in range(n)]
        predictions = [Prediction(int(i >= right), 0.5, 1 + (i >= right)) for i in range(n)]
        return [EvaluatedVideo(*pair) for pair in zip(videos, [fold] * n, predictions, strict=True)]

    found = measure([*evaluated(0, 9, 10), *evaluated(2, 3, 5), *evaluated(1, 4, 4)], 2)
    assert found["n"] == 19 and found["top1"] == 16 / 19
    assert [(fold["fold"], fold["n"], fold["top1"]) for fold in found["folds"]] == [
        (0, 10, 0.9),
        (1, 4, 1),
        (2, 5, 0.6),
    ]
    over = found["over_folds"]
    assert over["top1"]["mean"] == pytest.approx(2.5 / 3)
    assert over["top1"]["sd"] == pytest.approx(np.std([0.9, 1, 0.6], ddof=1))
    assert over["top5"] == {"mean": None, "sd": None}
    assert measure(evaluated(0, 1, 2), 2)["over_folds"]["top1"] == {"mean": 0.5, "sd": None}


# What is stored


def test_no_video_is_classified_twice_but_those_that_failed(tmp_path, rng):
    videos, _, logits = planted(rng)
    broken = Oracle(logits, unreadable=[3, 40])
    first = classify(tmp_path, broken, videos, batch_size=8)
    assert sorted(n for batch in broken.batches for n in batch) == [n for n in range(60) if n not in (3, 40)]
    assert [row["error"] for row in prediction_rows(first) if row["error"]] == ["3: broken", "40: broken"]
    mended = Oracle(logits)
    whole = classify(tmp_path, mended, videos, batch_size=8)
    assert mended.batches == [[3], [40]]
    assert whole == classify(tmp_path / "other", Oracle(logits), videos) and measure(whole, 7)["n"] == 60
    assert measure(first, 7)["n"] == 58


def test_other_weights_settings_labels_and_files_are_classified_again(tmp_path, rng):
    videos, _, logits = planted(rng, n=5)
    relabeled = [Video(v.id, v.path, (v.label + 1) % 7) for v in videos]
    moved = [Video(v.id, f"0{v.path}", v.label) for v in videos]
    for network, given, settings in (
        (Oracle(logits), videos, "tpn fp32"),
        (Oracle(logits, sha256="2"), videos, "tpn fp32"),
        (Oracle(logits), videos, "tpn bf16"),
        (Oracle(logits), relabeled, "tpn fp32"),
        (Oracle(logits), moved, "tpn fp32"),
    ):
        classify(tmp_path, network, given, settings=settings)
        assert sum(map(len, network.batches)) == 5
    again = Oracle(logits)
    classify(tmp_path, again, videos, settings="tpn bf16")
    assert again.batches == []


def test_a_video_whose_line_is_cut_off_is_classified_again(tmp_path, rng):
    videos, _, logits = planted(rng)
    whole = classify(tmp_path, Oracle(logits), videos, batch_size=8)
    store = tmp_path / "answers.jsonl"
    store.write_text(store.read_text()[:-9])
    network = Oracle(logits)
    assert classify(tmp_path, network, videos, batch_size=8) == whole and network.batches == [[59]]
    assert classify(tmp_path, Oracle(logits), videos) == whole


def test_predictions_of_version_0_1_0_are_reused(tmp_path, rng):
    videos, _, logits = planted(rng, n=2)
    lines = [
        f'["tpn fp32", "1", "0", {videos[0].label}, 4, 0.25, 2, null]',
        '["tpn fp32", "1", "1", 9, 0, 1, 1, null]',
    ]
    (tmp_path / "answers.jsonl").write_text("\n".join(lines) + "\n")
    network = Oracle(logits)
    evaluated = classify(tmp_path, network, videos, settings="tpn fp32")
    assert evaluated[0].prediction == Prediction(4, 0.25, 2)
    assert network.batches == [[1]], "of another label"


def test_probabilities_are_taken_as_they_are_and_other_outputs_refused(tmp_path, rng):
    videos, labels, logits = planted(rng, n=6)
    network = Oracle(torch.as_tensor(logits).softmax(-1))
    network.output = "probabilities"
    evaluated = classify(tmp_path, network, videos)
    scores = [each.prediction.score for each in evaluated]
    assert scores == pytest.approx([float(network.logits[i, label]) for i, label in enumerate(labels)], abs=1e-6)
    ranks = [each.prediction.rank for each in classify(tmp_path / "other", Oracle(logits), videos)]
    assert [each.prediction.rank for each in evaluated] == ranks
    for output, said in (("multilabel", "multilabel"), ("regression", "regression"), (None, "not known")):
        network.output = output
        with pytest.raises(
            ValueError, match=f"exclude each other; its output is {said}. Set output=logits or output"
        ):
            classify(tmp_path, network, videos)


def test_a_network_that_gives_no_number_fails_that_video(tmp_path, rng):
    videos, _, logits = planted(rng, n=5)
    logits[2, 1] = np.nan
    evaluated = classify(tmp_path, Oracle(logits), videos)
    assert [each.prediction.error for each in evaluated] == [
        None,
        None,
        "2: the network's scores are NaN or infinite",
        None,
        None,
    ]


def test_an_unexpected_error_in_one_video_does_not_take_the_others(tmp_path, rng):
    videos, _, logits = planted(rng, n=5)
    network = Oracle(logits)
    network.read = lambda path, read=network.read: 1 // 0 if path == "2" else read(path)
    evaluated = classify(tmp_path, network, videos)
    assert [each.prediction.error for each in evaluated if each.prediction.error] == [
        "2: ZeroDivisionError: integer division or modulo by zero"
    ]


def test_a_batch_that_does_not_fit_in_memory_is_halved(tmp_path, rng):
    videos, _, logits = planted(rng, n=20)

    class Small(Oracle):
        def __call__(self, clips):
            if len(clips) > 3:
                raise torch.OutOfMemoryError("too much")
            return super().__call__(clips)

    network = Small(logits)
    assert classify(tmp_path, network, videos, batch_size=16) == classify(
        tmp_path / "other", Oracle(logits), videos
    )
    assert max(map(len, network.batches)) == 2 and sum(map(len, network.batches)) == 20

    class Broken(Oracle):
        def __call__(self, clips):
            raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        classify(tmp_path, Broken(logits, sha256="3"), videos)


def test_clips_of_different_sizes_are_not_batched(tmp_path, rng):
    videos, _, logits = planted(rng, n=6)
    network = Oracle(logits)

    def read(path):
        clip = type("Clip", (), {})()
        clip.frames = np.full((1, 1 + int(path) // 4, 1, 3), int(path), np.uint8)
        return clip

    network.read = read
    classify(tmp_path, network, videos)
    assert network.batches == [[0, 1, 2, 3], [4, 5]]


# Folds


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    root = tmp_path_factory.mktemp("drawn")
    Shapes(root, n_videos=12).videos()
    return root


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    return two_folds(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def configure(tmp_path, drawn):
    """The configuration of an evaluation of twelve videos by the toy network, or another."""

    def configure(*overrides, net=None, dataset=None):
        with initialize_config_module("lavx.conf", version_base="1.3"):
            usual = [f"outputs={tmp_path}/out", f"dataset.root={drawn}", "dataset.n_videos=12", "batch_size=4"]
            config = compose("evaluate", overrides=[*usual, "trusted_modules=[toy]", *overrides])
        if net != "embedded":
            config.net = OmegaConf.create({"_target_": "toy.ToyNetwork"} if net is None else net)
        if dataset is not None:
            config.dataset = OmegaConf.create(dataset)
        return config

    return configure


NAMES = ("shapes", "toy")


def results(tmp_path, names=NAMES, name="default"):
    return tmp_path.joinpath("out", name, "evaluation", *names)


def predictions(tmp_path, names=NAMES):
    with (results(tmp_path, names) / "predictions.csv").open() as file:
        return list(csv.DictReader(file))


def test_each_video_is_classified_by_its_own_fold_s_network(
    configure, drawn, folds, tmp_path, monkeypatch, capsys
):
    read = []
    own = network_module.read_checkpoint
    monkeypatch.setattr(network_module, "read_checkpoint", lambda path, trust: (
        read.append(path.parent.name), own(path, trust))[1])  # fmt: skip
    config = configure(f"net.checkpoint='{folds}'", net="embedded",
                       dataset={"_target_": "toy.FoldedShapes", "root": str(drawn), "n_videos": 12})  # fmt: skip
    assert evaluate(config, ("folded", "tpn")) == 0
    rows = predictions(tmp_path, ("folded", "tpn"))
    assert [int(row["fold"]) for row in rows] == [0, 1] * 6
    one_off = [(label + label % 2) % 8 for label in [*range(8), *range(4)]]
    assert [int(row["predicted"]) for row in rows] == one_off, "the network of fold 1 is one class off"
    assert read == ["fold0", "fold1"], "weights change once a fold"
    accuracy = json.loads((results(tmp_path, ("folded", "tpn")) / "accuracy.json").read_text())
    assert accuracy["top1"] == 0.5 and [fold["top1"] for fold in accuracy["folds"]] == [1, 0]
    assert accuracy["over_folds"]["top1"] == {"mean": 0.5, "sd": pytest.approx(math.sqrt(0.5))}
    lines = (results(tmp_path, ("folded", "tpn")) / "answers.jsonl").read_text().splitlines()
    hashes = [json.loads(line)[1] for line in lines]
    known = accuracy["weights"]["folds"]
    assert hashes == [known["0"]["sha256"]] * 6 + [known["1"]["sha256"]] * 6
    printed = capsys.readouterr().out
    assert "  0            6          100.0          100.0                100.0\n  1   " in printed
    assert "mean ± sd         50.0 ± 70.7    100.0 ± 0.0          50.0 ± 70.7\n" in printed


def test_a_fold_alone_and_a_video_in_no_fold(configure, drawn, folds, tmp_path, capsys):
    config = configure(f"net.checkpoint='{folds}'", net="embedded", dataset={
        "_target_": "toy.FoldedShapes", "root": str(drawn), "n_videos": 12, "homeless": True})  # fmt: skip
    assert evaluate(config, NAMES) == 1
    rows = predictions(tmp_path)
    assert [bool(row["error"]) for row in rows] == [False] * 11 + [True] and rows[11]["fold"] == ""
    assert "in none of the 2 folds" in capsys.readouterr().out


# The command


def test_the_files_hold_the_network_s_predictions(configure, drawn, tmp_path, capsys):
    assert evaluate(configure(), NAMES) == 0
    folder = results(tmp_path)
    names = {"accuracy.json", "answers.jsonl", "classes.csv", "confusion.png", "predictions.csv", "run.log"}
    assert {path.name for path in folder.iterdir()} == names
    network, dataset = ToyNetwork(CLASSES), Shapes(drawn, n_videos=12)
    rows = predictions(tmp_path)
    assert list(rows[0]) == ["video_id", "label", "predicted", "score", "rank", "fold", "error"]
    right = 0
    for row, video in zip(rows, dataset.videos(), strict=True):
        score = network(torch.from_numpy(network.read(video.path).frames)[None].float()).softmax(-1)[0]
        assert row["video_id"] == video.id and int(row["label"]) == video.label
        assert int(row["predicted"]) == int(score.argmax())
        assert float(row["score"]) == pytest.approx(float(score[video.label]), abs=1e-5)
        right += int(row["rank"]) == 1
    accuracy = json.loads((folder / "accuracy.json").read_text())
    assert accuracy["top1"] == right / 12 and accuracy["n"] == 12 and accuracy["failed"] == 0
    assert accuracy["weights"] == {"file": None, "sha256": None} and accuracy["dataset"] == "shapes"
    assert accuracy["device"] == "cpu" and accuracy["precision"] == "fp32" and accuracy["without_label"] == 0
    with (folder / "classes.csv").open() as file:
        classes = list(csv.DictReader(file))
    assert [row["class"] for row in classes] == list(CLASSES) and [int(row["n"]) for row in classes] == [2] * 4 + [
        1
    ] * 4
    printed = capsys.readouterr().out
    assert "shapes toy: 12 videos, 8 classes; accuracy in %:\n" in printed
    assert f":\n  top-1               {100 * right / 12:>5.1f}  (95 % interval " in printed
    assert f"Results: {folder}" in printed and "fold" not in printed and "worst" not in printed


def test_an_evaluation_that_was_cut_off_ends_as_if_it_had_not_been(configure, tmp_path, monkeypatch, capsys):
    assert evaluate(configure("name=whole"), NAMES) == 0
    score, calls = ToyNetwork.__call__, []

    def cut_off(self, clips):
        calls.append(len(clips))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return score(self, clips)

    monkeypatch.setattr(ToyNetwork, "__call__", cut_off)
    assert evaluate(configure(), NAMES) == 130
    folder = results(tmp_path)
    assert f"interrupted; 4 of 12 videos are done and stay in {folder}. The same" in capsys.readouterr().err
    assert not (folder / "accuracy.json").exists()
    assert evaluate(configure(), NAMES) == 0
    assert "4 of 12 videos are done already." in capsys.readouterr().out and calls == [4, 4, 4, 4]
    whole = results(tmp_path, name="whole")
    for name in ("predictions.csv", "classes.csv", "accuracy.json", "confusion.png", "answers.jsonl"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()


def test_bad_videos_are_recorded_and_tried_again(configure, drawn, tmp_path, capsys):
    root = tmp_path / "broken"
    shutil.copytree(drawn, root)
    bad = next(root.glob("*/0001.mp4"))
    bad.write_text("not a video")
    assert evaluate(configure(f"dataset.root={root}"), NAMES) == 1
    printed = capsys.readouterr().out
    assert "shapes toy: 11 videos" in printed and "failed 1\n    shapes-0001: " in printed
    row = predictions(tmp_path)[1]
    assert "0001.mp4" in row["error"] and row["predicted"] == row["score"] == row["rank"] == ""
    accuracy = json.loads((results(tmp_path) / "accuracy.json").read_text())
    assert accuracy["n"] == 11 and accuracy["failed"] == 1
    assert "shapes-0001 failed" in (results(tmp_path) / "run.log").read_text()
    shutil.copy(next(drawn.glob("*/0001.mp4")), bad)
    assert evaluate(configure(f"dataset.root={root}"), NAMES) == 0
    assert "11 of 12 videos are done already" in capsys.readouterr().out


def test_the_tables_hold_no_formulas(tmp_path):
    video = Video("=1+1", tmp_path / "a.mp4", 0)
    prediction = Prediction(0, 0.9, 1, "-bad\x1b")
    write_evaluation(tmp_path, ("d", "n"), [EvaluatedVideo(video, None, prediction)], ["@a", "b"], {})
    written = (tmp_path / "predictions.csv").read_text().splitlines()[1]
    assert written == r"'=1+1,0,0,0.9,1,,'-bad\x1b" and "'@a" in (tmp_path / "classes.csv").read_text()


def test_where_every_video_fails_there_is_no_picture(configure, tmp_path, capsys):
    assert evaluate(configure(), NAMES) == 0
    assert (
        evaluate(configure("precision=bf16", net={"_target_": "toy.ToyNetwork", "scale": float("nan")}), NAMES)
        == 1
    )
    printed = capsys.readouterr().out
    assert "top-1                   -\n" in printed and "and 2 more, in predictions.csv" in printed
    assert not (results(tmp_path) / "confusion.png").exists() and "confusion.png" not in printed.splitlines()[-1]


def test_some_of_the_videos_are_drawn_with_the_seed(configure, tmp_path):
    drawn = []
    for seed in (0, 0, 1):
        evaluate(configure("n_videos=5", f"seed={seed}"), NAMES)
        drawn.append([row["video_id"] for row in predictions(tmp_path)])
    assert drawn[0] == drawn[1] != drawn[2] and len(drawn[0]) == 5 and drawn[0] == sorted(drawn[0])


def test_videos_without_label_are_left_out_and_counted(configure, drawn, tmp_path, capsys):
    folder = next(drawn.glob("shapes-*"))
    lines = [f"{number:04d}.mp4,{CLASSES[number] if number < 3 else ''}" for number in range(5)]
    (tmp_path / "list.csv").write_text("path,label\n" + "\n".join(lines) + "\n")
    dataset = {"_target_": "lavx.datasets.folder.Folder", "root": str(folder),
               "annotations": str(tmp_path / "list.csv"), "classes": list(CLASSES)}  # fmt: skip
    assert evaluate(configure(dataset=dataset), NAMES) == 0
    assert "toy: 3 videos" in (printed := capsys.readouterr().out) and "without label 2, left out" in printed
    assert json.loads((results(tmp_path) / "accuracy.json").read_text())["without_label"] == 2
    (tmp_path / "list.csv").write_text("path,label\n0000.mp4,\n")
    with pytest.raises(RequestError, match="none of the 1 videos of shapes has a label; nothing can be evaluated"):
        evaluate(configure(dataset=dataset), NAMES)


def test_of_many_classes_the_worst_are_listed(configure, drawn, tmp_path, capsys):
    folder = next(drawn.glob("shapes-*"))
    classes = [f"class {number}" for number in range(61)]
    (tmp_path / "list.csv").write_text("".join(f"{number:04d}.mp4,{number}\n" for number in range(12)))
    dataset = {"_target_": "lavx.datasets.folder.Folder", "root": str(folder),
               "annotations": str(tmp_path / "list.csv"), "classes": classes}  # fmt: skip
    assert evaluate(configure(dataset=dataset), NAMES) == 0
    printed = capsys.readouterr().out
    worst, most = printed.split("  worst classes\n")[1].split("  most frequent confusions\n")
    assert len(worst.splitlines()) == 10 and ": 0 of 1 correct, 1 predicted as class " in worst
    assert sum(" predicted as " in line for line in most.splitlines()) == 10


@pytest.mark.parametrize(
    "override, message",
    [
        ("n_videos=0", "n_videos must be a whole number >= 1, or null for all, got 0"),
        ("seed=-1", "seed must be a whole number >= 0, got -1"),
        ("workers=0", "workers must be a whole number >= 1, got 0"),
        ("batch_size=0", "batch_size must be auto or a whole number >= 1, got 0"),
        ("dataset.n_videos=0", "dataset: .*dataset.n_videos must be >= 1"),
        ("outputs=/proc/nothing", "cannot write to /proc/nothing.*outputs="),
    ],
)
def test_an_invalid_request_is_refused(configure, override, message):
    with pytest.raises(RequestError, match=message):
        evaluate(configure(override), NAMES)


def test_a_dataset_that_is_not_there_is_refused(configure, tmp_path):
    (tmp_path / "empty").mkdir()
    dataset = {"_target_": "lavx.datasets.folder.Folder", "root": str(tmp_path / "empty")}
    with pytest.raises(RequestError, match="holds no video that is there"):
        evaluate(configure(dataset=dataset), NAMES)


def test_a_full_disk_ends_the_evaluation_and_keeps_what_is_done(configure, tmp_path, monkeypatch):
    add, calls = PredictionStore.add, []

    def full(self, predictions):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        add(self, predictions)

    monkeypatch.setattr(PredictionStore, "add", full)
    with pytest.raises(RequestError, match="No space left on device.*Finished videos stay; the same command"):
        evaluate(configure(), NAMES)
    assert len((results(tmp_path) / "answers.jsonl").read_text().splitlines()) == 4


@pytest.fixture
def command(tmp_path):
    environment = os.environ | {"LAVX_CACHE": str(tmp_path / "cache")}
    return functools.partial(run_lavx, "evaluate", folder=tmp_path, environment=environment)


def test_the_command_s_sweep_evaluates_the_embedded_networks(command, tmp_path):
    done = command("-m", "net=tpn,timesformer", "dataset.n_videos=8")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    for net in ("tpn", "timesformer"):
        assert (
            f"shapes {net}: 8 videos, 8 classes; accuracy in %:\n  top-1               100.0  (95 % inter"
            in done.stdout
        )
        assert (tmp_path / "outputs/default/evaluation/shapes" / net / "confusion.png").exists()
    refused = command("dataset=jhmdb21", f"dataset.root={tmp_path}")
    assert refused.returncode == 2 and "Traceback" not in refused.stderr


def test_a_killed_evaluation_goes_on(tmp_path, command):
    arguments = ["dataset.n_videos=40", "batch_size=1", "workers=1", f"outputs={tmp_path}/out"]
    process = subprocess.Popen(
        [sys.executable, "-m", "lavx", "evaluate", *arguments], cwd=tmp_path, env=command.keywords["environment"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    store = results(tmp_path, ("shapes", "tpn")) / "answers.jsonl"
    while not store.exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    done = command(*arguments)
    found = re.match(r"(\d+) of 40 videos are done already", done.stdout)
    assert done.returncode == 0 and found and 0 < int(found[1]) < 40
    classified = sorted(json.loads(line)[2][-8:-4] for line in store.read_text().splitlines())
    assert classified == [f"{n:04d}" for n in range(40)], "each once"


# The picture


def test_the_matrix_counts():
    assert confusion_matrix([0, 0, 2], [0, 1, 2], 3).tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]
    assert confusion_matrix([], [], 2).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("k", [1, 2, 8, 26, 60, 61, 400])
def test_the_picture_shows_shares_of_rows(tmp_path, k):
    matrix = np.diag(np.full(k, 5))
    if k > 1:
        matrix[0, 0] = 0  # no video of the first class
    names = [f"class_${number}_^" for number in range(k)]
    draw_confusion(tmp_path / "a.png", matrix, names, "title with $ and _")
    with Image.open(tmp_path / "a.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    full = (abs(pixels - (0, 0x25, 0x3A)).max(-1) <= 1).sum()
    assert full > 100
    gray = (pixels == 0xDD).all(-1).sum()
    assert (gray > 20) == (k > 1), "a class without videos is gray"
    draw_confusion(tmp_path / "b.png", matrix, names, "title with $ and _")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_matrix_of_another_shape_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"of 3 classes must be \(3, 3\), got \(2, 2\)"):
        draw_confusion(tmp_path / "a.png", np.eye(2, dtype=int), "abc", "")
