"""Training: what it starts from, what it sees, where it resumes, what it leaves."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import shutil
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from command import run_lavx
from hydra import compose, initialize_config_module
from PIL import Image

from lavx.datasets import check
from lavx.datasets.base import Video
from lavx.datasets.lengths import lengths
from lavx.errors import RequestError
from lavx.experiments import training as experiment
from lavx.experiments.compose import settings
from lavx.experiments.training import TrainingJob
from lavx.networks.openmmlab import checkpoints, library
from lavx.networks.openmmlab.network import Network
from lavx.networks.openmmlab.view import View
from lavx.networks.training import optimization, random_state
from lavx.networks.training.clips import Clips, DrawnClips, EpochSampler, TrainingClips
from lavx.networks.training.observer import Observer
from lavx.networks.training.recipe import Recipe
from lavx.networks.training.setup import TrainingSetup
from lavx.networks.training.transfer import InitialWeights, begin_with, is_classification_layer, with_classes
from lavx.video import VideoInfo, write_video

PUBLISHED = {
    "timesformer": "timesformer/timesformer_divST_8xb8-8x32x1-15e_kinetics400-rgb.py",
    "tanet": "tanet/tanet_imagenet-pretrained-r50_8xb8-dense-1x1x8-100e_kinetics400-rgb.py",
    "tpn": "tpn/tpn-slowonly_r50_8xb8-8x8x1-150e_kinetics400-rgb.py",
}
CLASSES = ("golf", "pullup")
QUICK = ("training=small", "training.batch_size=4", "training.workers=0", "device=cpu")


@pytest.fixture(scope="module")
def jhmdb(tmp_path_factory):
    """Two classes in JHMDB's layout of different colors: 8 training videos, 4 held out."""
    root = tmp_path_factory.mktemp("jhmdb")
    (root / "splits").mkdir()
    rng = np.random.default_rng(0)
    for label, name in enumerate(CLASSES):
        (root / "videos" / name).mkdir(parents=True)
        lines = []
        for number in range(6):
            color = np.array([60, 60, 60]) + 120 * np.eye(3)[2 * label]
            frames = np.clip(color + rng.normal(0, 12, (18, 48, 64, 3)), 0, 255).astype(np.uint8)
            write_video(root / "videos" / name / f"v{number}.mp4", frames, fps=15)
            lines.append(f"v{number}.avi {1 if number < 4 else 2}")
        (root / "splits" / f"{name}_test_split1.txt").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture
def configured(jhmdb, tmp_path):
    """The configuration of a training of seconds on those videos."""

    def build(*overrides, root=jhmdb):
        small = [
            *QUICK,
            "dataset=jhmdb21",
            f"dataset.root={root}",
            f"dataset.classes=[{','.join(CLASSES)}]",
            "training.epochs=4",
            "training.validate_every=1",
            "training.checkpoint_every=1",
            f"outputs={tmp_path}/outputs",
        ]
        with initialize_config_module("lavx.conf", version_base="1.3"):
            return settings(compose("train", overrides=[*small, *overrides]))

    return build


def train(config, net="tpn"):
    training = TrainingJob(config, ("jhmdb21", net))
    return training, training.run()


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def stored(folder):
    return torch.load(folder / "best.pth", weights_only=True)


def last(folder, name):
    return torch.load(folder / "runner" / f"{name}.pth", weights_only=False)["state_dict"]


def test_a_training_leaves_a_network_that_lavx_explains(configured, jhmdb, capsys):
    training, status = train(configured())
    assert status == 0
    folder = training.folder
    accuracy = json.loads((folder / "accuracy.json").read_text())
    assert accuracy["n_training"] == 8 and accuracy["n_held_out"] == 4 and accuracy["classes"] == list(CLASSES)
    printed = capsys.readouterr().out
    assert "8 training videos, 4 held-out videos, 2 classes, 8 steps of 4 on cpu, from random (seed 0)" in printed
    assert "epoch 4: top-1" in printed
    best = "the best of 4 validations (optimistically biased)"
    assert f"top-1 {accuracy['top1']:.1%} on 4 held-out videos, {best}\n" in printed
    assert "top-5" not in printed  # two classes

    network = Network("tpn", str(folder / "config.py"), str(folder / "best.pth"), CLASSES, device="cpu")
    right, scores = 0, []
    for label, name in enumerate(CLASSES):
        for number in (4, 5):
            frames = network.read(jhmdb / "videos" / name / f"v{number}.mp4").frames
            score = network(torch.from_numpy(frames)[None].float()).softmax(-1)[0]
            right += int(score.argmax()) == label
            scores.append(float(score[label]))
    assert right / 4 == accuracy["top1"]
    assert np.median(scores) == pytest.approx(accuracy["median_score"], abs=2e-2)  # weights are stored in fp16

    history = pd.read_csv(folder / "history.csv")
    assert history.top1.notna().sum() == 4 and history.top1.max() == accuracy["top1"]
    assert history[history.top1.notna()].epoch.tolist() == [1, 2, 3, 4]
    assert np.asarray(Image.open(folder / "curves.png")).std() > 10
    assert (folder / "environment.json").exists() and (folder / "config.yaml").exists()

    train(configured())
    assert "trained already" in capsys.readouterr().out
    with pytest.raises(RequestError, match=r"seed: 0 -> 1"):
        train(configured("seed=1"))


def test_a_training_that_was_cut_off_ends_as_if_it_had_not_been(configured, monkeypatch, capsys):
    whole, _ = train(configured("name=whole"))
    fit = experiment.fit

    def cut_off(setup, observer, checkpoint):
        def stepped(iteration, loss):
            observer.stepped(iteration, loss)
            if iteration == 5:  # in the third epoch
                raise KeyboardInterrupt

        fit(setup, Observer(stepped, observer.validated), checkpoint)

    monkeypatch.setattr(experiment, "fit", cut_off)
    config = configured("name=cut")
    cut, status = train(config)
    assert status == 130 and "resumes from the last checkpoint" in capsys.readouterr().err
    monkeypatch.setattr(experiment, "fit", fit)
    (cut.folder / "runner" / "epoch_3.pth").write_bytes(b"PK half a file")  # as a killed process leaves it
    assert train(config)[1] == 0
    assert "epoch 2" not in capsys.readouterr().out  # it was done, and validated
    assert same(last(whole.folder, "epoch_4"), last(cut.folder, "epoch_4"))
    assert same(stored(whole.folder)["state_dict"], stored(cut.folder)["state_dict"])
    tables = [pd.read_csv(t.folder / "history.csv")[["step", "top1", "median_score"]] for t in (whole, cut)]
    pd.testing.assert_frame_equal(*(table.dropna().reset_index(drop=True) for table in tables))


def interrupted(monkeypatch, at):
    """Let the next training be cut off in its validation after `at` steps."""
    library.load()
    from lavx.networks.training import hook

    write = hook.write_best

    def cut_off(setup, recognizer, meta):
        if meta["iteration"] == at:
            raise KeyboardInterrupt
        write(setup, recognizer, meta)

    monkeypatch.setattr(hook, "write_best", cut_off)
    return lambda: monkeypatch.setattr(hook, "write_best", write)


@pytest.mark.parametrize(
    "overrides",
    [
        ["training.epochs=1"],
        ["training.epochs=null", "training.iterations=2", "training.validate_every=2"],
    ],
)
def test_a_validation_that_was_cut_off_is_made_up_for(overrides, configured, monkeypatch, capsys):
    whole, _ = train(configured("name=whole", *overrides))
    capsys.readouterr()
    go_on = interrupted(monkeypatch, at=2)
    config = configured("name=cut", *overrides)
    cut, status = train(config)
    assert status == 130 and not (cut.folder / "best.pth").exists()
    go_on()
    assert train(config)[1] == 0
    assert same(stored(whole.folder)["state_dict"], stored(cut.folder)["state_dict"])
    assert pd.read_csv(cut.folder / "history.csv").top1.notna().sum() == 1


@pytest.mark.parametrize(
    ("files", "missing"),
    [({}, True), ({"validated": 20}, False), ({"validated": 10}, True), ({"looked": 20}, False)],
)
def test_a_validation_is_made_up_for_unless_it_is_recorded(files, missing, tmp_path):
    """Version 0.1.0 recorded it in a file called `looked`."""
    library.load()
    from lavx.networks.training.hook import TrainingHook

    for name, iteration in files.items():
        (tmp_path / name).write_text(str(iteration))
    setup = setup_of("tpn", epochs=4, batch_size=1)
    setup.folder = tmp_path
    done = []
    runner = SimpleNamespace(iter=20, epoch=2, val_loop=SimpleNamespace(run=lambda: done.append(20)))
    TrainingHook(setup, Observer(print, print), None).before_train(runner)
    assert bool(done) == missing


class Ten(Clips):
    def __len__(self):
        return 10


def setup_of(config, **recipe):
    settings = library.read_config(PUBLISHED[config])
    recipe = Recipe(**recipe)
    clips = Ten("NCHW")
    device = torch.device("cpu")
    return TrainingSetup(
        Path("runner"), settings, recipe, clips, clips, 0, device, "bf16", None, False, ("a", "b")
    )


@pytest.mark.parametrize(
    ("net", "rate", "milestones"),
    [("timesformer", 0.005, [3, 7]), ("tanet", 0.01, [5, 8, 9]), ("tpn", 0.01, [5, 8])],
)
def test_the_configs_own_settings_are_scaled_by_batch_size_and_epochs(net, rate, milestones):
    setup = setup_of(net, epochs=10, batch_size=8)
    wrapper = setup.optim_wrapper
    assert wrapper["optimizer"]["lr"] == pytest.approx(rate * 8 / 64)  # all are meant for 8 GPUs of 8 clips
    assert wrapper["type"] == "AmpOptimWrapper" and wrapper["dtype"] == "bfloat16" and "clip_grad" in wrapper
    (step,) = setup.param_scheduler
    assert step["by_epoch"] and step["end"] == 10 and step["milestones"] == milestones
    (step,) = setup_of(net, epochs=None, iterations=1000).param_scheduler
    assert not step["by_epoch"] and step["end"] == 1000
    assert step["milestones"] == pytest.approx([100 * m for m in milestones], abs=60)
    assert setup_of(net, learning_rate=0.5).optim_wrapper["optimizer"]["lr"] == 0.5


def test_a_one_cycle_schedule_that_rises_in_one_step_is_refused():
    cycle = dict(
        optim_wrapper=dict(optimizer=dict(lr=0.1)), param_scheduler=[dict(type="OneCycleLR", pct_start=0.2)]
    )
    (step,) = setup_of("tpn", epochs=None, iterations=10, **cycle).param_scheduler
    assert (step["total_steps"], step["eta_max"], step["by_epoch"]) == (10, 0.1, False)
    with pytest.raises(ValueError, match="a OneCycleLR of 5 steps with pct_start=0.2 would rise in a single step"):
        setup_of("tpn", epochs=None, iterations=5, **cycle)


def test_generators_are_seeded_for_a_while():
    def draws():
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    state = random_state.save()
    before = draws()
    random_state.restore(state)
    with random_state.seeded(3, 1):
        first = draws()
    assert draws() == before  # whoever draws elsewhere notices nothing
    with random_state.seeded(3, 1):
        assert draws() == first
    with random_state.seeded(3, 2):
        assert not set(draws()) & set(first)


def test_neither_workers_nor_validations_change_what_is_learned(configured):
    one, _ = train(configured("name=one"))
    two, _ = train(configured("name=two", "training.workers=2", "training.validate_every=3"))
    assert same(last(one.folder, "epoch_4"), last(two.folder, "epoch_4"))


def test_training_clips_depend_on_seed_and_epoch_alone(configured, jhmdb):
    library.load()
    settings = library.read_config(checkpoints.config_file("lavx:shapes_tanet.py"))
    videos = [
        Video("a", jhmdb / "videos" / "golf" / "v0.mp4", 0),
        Video("b", jhmdb / "videos" / "golf" / "v1.mp4", 0),
    ]
    infos = {video.id: VideoInfo(video.path, 18, 48, 64, 15.0) for video in videos}

    def clips(seed):
        return TrainingClips(videos, infos, settings, "NCHW", seed)

    state = np.random.get_state()[1].copy()
    first = clips(0)[0]["inputs"]
    assert first.shape == (8, 3, 64, 64) and first.dtype == torch.uint8
    assert np.array_equal(np.random.get_state()[1], state)  # whoever draws elsewhere notices nothing
    assert torch.equal(clips(0)[0]["inputs"], first)
    assert not torch.equal(clips(0)[2]["inputs"], first)  # the same video in the next epoch
    assert not torch.equal(clips(1)[0]["inputs"], first)
    assert int(clips(0)[1]["data_samples"].gt_label) == 0
    settings.pop("train_pipeline")
    with pytest.raises(ValueError, match="the config has no train_pipeline"):
        clips(0)


def test_epochs_are_orders_of_all_clips():
    sampler = EpochSampler(10, seed=0, shuffled=True)
    first = list(sampler)
    sampler.set_epoch(3)
    third = list(sampler)
    assert sorted(first) == list(range(10)) and sorted(third) == list(range(30, 40))
    assert [i - 30 for i in third] != first != sorted(first)
    assert list(EpochSampler(10, seed=0, shuffled=False)) == list(range(10))


def test_color_jitter_turns_the_hue_both_ways():
    library.load()
    from lavx.networks.training.color_jitter import ColorJitter

    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 200
    assert ColorJitter.adjust_hue(red, 60 / 255)[0, 0].argmax() == 1  # toward green
    assert ColorJitter.adjust_hue(red, -60 / 255)[0, 0].argmax() == 2  # toward blue
    assert np.array_equal(ColorJitter.adjust_hue(red, 0.0), red)


@pytest.mark.parametrize("net", ["tpn", "tanet", "timesformer"])
def test_classification_layers_are_those_whose_shape_depends_on_the_classes(net):
    settings = library.read_config(checkpoints.config_file(f"lavx:shapes_{net}.py"))
    five, six = (library.build_recognizer(with_classes(settings, n).model).state_dict() for n in (5, 6))
    differing = {name for name in five if five[name].shape != six[name].shape}
    assert differing and differing == {name for name in five if is_classification_layer(name)}
    assert settings.model.cls_head.num_classes == 8  # a copy was changed


@pytest.mark.parametrize("net", ["tpn", "tanet", "timesformer"])
def test_a_training_starts_from_all_weights_but_those_of_the_classification_layers(net, configured, capsys):
    overrides = [f"net={net}", "net.checkpoint=embedded", "training.epochs=1", "training.learning_rate=1e-12"]
    training, status = train(configured(*overrides), net)
    assert status == 0 and f"shapes_{net}.pth" in capsys.readouterr().out
    begun = torch.load(checkpoints.weights_file(f"lavx:shapes_{net}.py", "embedded"), weights_only=True)[
        "state_dict"
    ]
    learned = stored(training.folder)["state_dict"]
    kept = [name for name in begun if not is_classification_layer(name) and "running" not in name]
    assert len(kept) > 50
    for name in kept:
        if begun[name].is_floating_point():
            assert torch.allclose(begun[name].float(), learned[name].float(), atol=1e-4), name
    assert learned["cls_head.fc_cls.weight"].shape[0] == 2


def test_weights_of_another_network_are_refused_before_anything_is_written(configured, tmp_path):
    other = checkpoints.weights_file("lavx:shapes_tanet.py", "embedded")
    with pytest.raises(RequestError, match="these weights do not fit the network"):
        train(configured(f"net.checkpoint={other}"))
    with pytest.raises(RequestError, match="there is no such file"):
        train(configured("net.checkpoint=/nowhere.pth"))
    assert not list(tmp_path.rglob("config.yaml"))


def test_unusable_videos_are_left_out_and_counted(configured, jhmdb, tmp_path, capsys):
    root = tmp_path / "broken"
    shutil.copytree(jhmdb, root)
    (root / "videos" / "golf" / "v0.mp4").write_bytes(b"no video")
    write_video(root / "videos" / "golf" / "v4.mp4", np.zeros((5, 48, 64, 3), np.uint8), fps=15)  # too short
    training, status = train(configured("training.epochs=1", root=root))
    assert status == 0
    printed = capsys.readouterr().out
    assert (
        "2 videos are left out (unreadable, too short or without label), such as" in printed
        and "v0.mp4" in printed
    )
    accuracy = json.loads((training.folder / "accuracy.json").read_text())
    assert (accuracy["n_training"], accuracy["n_held_out"], accuracy["n_left_out"]) == (7, 3, 2)
    for file in (root / "videos").rglob("*.mp4"):
        file.write_bytes(b"no video")
    with pytest.raises(RequestError, match="dataset=jhmdb21 has no usable video to train on"):
        train(configured("name=none", root=root))


def test_a_video_is_decoded_once_to_see_what_it_holds(jhmdb, tmp_path, monkeypatch):
    videos = [Video(f"v{n}", jhmdb / "videos" / "golf" / f"v{n}.mp4", 0) for n in range(3)]
    videos.append(Video("absent", tmp_path / "absent.mp4", 0))
    file = tmp_path / "known" / "lengths.jsonl"
    found = lengths(videos, file, workers=2)
    assert [found[v.id].n_frames for v in videos[:3]] == [18, 18, 18] and "no such file" in found["absent"]
    file.write_text(file.read_text()[:-20])  # as a killed process leaves it: the last line is half
    decoded = []
    monkeypatch.setattr(check, "decode", lambda part, n: decoded.append([v.id for v in part]) or {
        v.id: "again" for v in part
    })  # fmt: skip
    again = lengths(videos, file, workers=2)
    # What failed is tried again, and so is the line that was cut.
    assert decoded == [["v2", "absent"]] and again["absent"] == "again" and again["v1"] == found["v1"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(iterations=5), "epochs or iterations must be set, and the other null"),
        (dict(epochs=None), "epochs or iterations must be set, and the other null"),
        (dict(epochs=0), "epochs must be a whole number >= 1, got 0"),
        (dict(epochs=None, iterations=0), "iterations must be a whole number >= 1, got 0"),
        (dict(batch_size=0), "batch_size must be a whole number >= 1, got 0"),
        (dict(validate_every=0.5), "validate_every must be a whole number >= 1, got 0.5"),
        (dict(checkpoint_every=0), "checkpoint_every must be a whole number >= 1, got 0"),
        (dict(workers=-1), "workers must be a whole number >= 0, got -1"),
        (dict(store="int8"), "store must be fp32 or fp16, got int8"),
        (dict(time_embedding=0), "time_embedding must be above 0, or null, got 0"),
        (dict(learning_rate="big"), "learning_rate must be above 0, or null, got big"),
    ],
)
def test_a_recipe_refuses(settings, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        Recipe(**settings)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["precision=fp8"], "precision must be one of fp32, bf16, fp16; got fp8"),
        (["precision=bf16"], "precision=bf16 trains on a GPU only, and device=cpu is cpu here"),
        (["device=tpu"], "device must be auto, cpu, cuda or cuda:N; got tpu"),
        (["fold=1"], "fold=1: dataset=jhmdb21 has no folds; omit fold"),
        (["seed=-1"], "seed must be a whole number >= 0, got -1"),
        (["training.epochs=0"], r"training\.epochs must be a whole number >= 1, got 0"),
        (
            ["training.optim_wrapper=null"],
            "training: the network's config has no optim_wrapper; set optim_wrapper",
        ),
        (
            ["training.learning_rate=null"],
            "training: optim_wrapper has no optimizer.lr; set learning_rate",
        ),
        (["net.config=nowhere.py"], r"net: (net\.)?config=nowhere.py is neither a file nor one of mmaction2's"),
        (
            ["training.learning_rate=1e30"],
            "jhmdb21 tpn: the loss is (nan|inf) after .* steps; take a smaller learning rate; under another name",
        ),
    ],
)
def test_an_invalid_request_is_refused(configured, overrides, message):
    with pytest.raises(RequestError, match=f"^{message}"):
        train(configured(*overrides))


def test_a_dataset_that_is_not_split_is_refused(configured, tmp_path):
    (tmp_path / "a.mp4").touch()
    with initialize_config_module("lavx.conf", version_base="1.3"):
        config = settings(
            compose("train", overrides=["dataset=folder", f"dataset.root={tmp_path}", f"outputs={tmp_path}"])
        )
    with pytest.raises(RequestError, match="dataset=folder has no subsets to train and to validate on"):
        TrainingJob(config, ("folder", "tpn"))


def test_two_processes_do_not_train_the_same(configured, capsys):
    from filelock import FileLock

    training = TrainingJob(configured(), ("jhmdb21", "tpn"))
    training.folder.mkdir(parents=True)
    with FileLock(training.folder / ".lock"):
        assert training.run() == 0
    assert "Another process is training jhmdb21 tpn" in capsys.readouterr().out
    assert not (training.folder / "best.pth").exists()


def test_tensorboard_gets_the_loss_and_the_accuracy(configured, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    training, _ = train(configured("tensorboard=true", "training.epochs=1"))
    (file,) = training.folder.glob("runner/*/vis_data/events.out.tfevents.*")
    events = EventAccumulator(str(file)).Reload()
    assert "acc/top1" in events.Tags()["scalars"]
    accuracy = json.loads((training.folder / "accuracy.json").read_text())
    assert events.Scalars("acc/top1")[-1].value == pytest.approx(accuracy["top1"])
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tensorboard" else find_spec(name)
    )
    with pytest.raises(RequestError, match="tensorboard=true needs the package tensorboard: pip install"):
        train(configured("tensorboard=true", "name=other"))


def etri(root, n_subjects=6):
    """Two of the 55 activities in EtriActivity3D's names, a color each."""
    for subject in range(1, n_subjects + 1):
        for action in (1, 2):
            frames = np.full((18, 48, 64, 3), 40, np.uint8)
            frames[..., action - 1] = 160 + subject
            write_video(root / f"A00{action}_P00{subject}_G001_C001.mp4", frames, fps=15)


def test_folds_are_trained_apart_and_reported_together(tmp_path, capsys):
    root = tmp_path / "etri"
    root.mkdir()
    etri(root)

    def configured(*overrides):
        given = [
            *QUICK,
            "dataset=etri_activity3d",
            f"dataset.root={root}",
            f"dataset.splits={tmp_path}/splits",
            "dataset.k=3",
            "training.epochs=2",
            f"outputs={tmp_path}/outputs",
        ]
        with initialize_config_module("lavx.conf", version_base="1.3"):
            return settings(compose("train", overrides=[*given, *overrides]))

    with pytest.raises(
        RequestError, match="split into 3 folds; choose one with fold=0, or train all of them with -m fold=0,1,2"
    ):
        TrainingJob(configured(), ("etri_activity3d", "tpn"))
    with pytest.raises(RequestError, match="give the fold of a training as fold=1, not as dataset.fold"):
        TrainingJob(configured("dataset.fold=1"), ("etri_activity3d", "tpn"))
    accuracies: list[float] = []
    for fold in range(3):
        training = TrainingJob(configured(f"fold={fold}"), ("etri_activity3d", "tpn"))
        split = training.split
        learned, held_out = ({video.id for video in part.videos()} for part in (split.training, split.validation))
        assert len(learned) == 8 and len(held_out) == 4 and not learned & held_out
        assert training.run() == 0
        assert training.folder == tmp_path / "outputs/default/training/etri_activity3d/tpn" / f"fold{fold}"
        accuracies.append(json.loads((training.folder / "accuracy.json").read_text())["top1"])
    printed = capsys.readouterr().out
    table = (training.parent / "accuracy.md").read_text()
    assert table in printed + "\n"
    mean, sd = 100 * np.mean(accuracies), 100 * np.std(accuracies, ddof=1)
    assert f"| mean ± sd of 3 | | | {mean:.1f} ± {sd:.1f} |" in table
    assert pd.read_csv(training.parent / "accuracy.csv").top1.tolist() == pytest.approx(accuracies)
    assert (training.parent / "config.py").exists()
    other = TrainingJob(configured("fold=2", "training.epochs=1", "name=other"), ("etri_activity3d", "tpn"))
    shutil.copytree(training.parent / "fold0", other.parent / "fold0")
    assert other.run() == 0
    assert "fold0 was trained with another configuration and is left out" in capsys.readouterr().out
    assert pd.read_csv(other.parent / "accuracy.csv").fold.tolist() == [2]


def test_drawn_validation_videos_are_others_than_the_training_videos(tmp_path):
    from lavx.datasets.shapes import Shapes

    library.load()
    view = View(library.read_config(checkpoints.config_file("lavx:shapes_tpn.py")), "tpn", "x")
    learned, held_out = (DrawnClips(Shapes(tmp_path), view, 0, split, 3) for split in (1, 2))
    assert learned[0]["inputs"].shape == (1, 3, 8, 64, 64)
    assert torch.equal(learned[1]["inputs"], learned[1]["inputs"])
    assert not torch.equal(learned[0]["inputs"], held_out[0]["inputs"])
    assert not torch.equal(learned[0]["inputs"], learned[1]["inputs"])


def test_schedules_of_the_configs_are_scaled():
    step = dict(type="MultiStepLR", begin=0, end=100, milestones=[50, 75, 90], by_epoch=True)
    assert optimization.stretched(step, 0.1) == step | dict(end=10, milestones=[5, 8, 9])


@pytest.mark.slow
@pytest.mark.parametrize("net", sorted(PUBLISHED))
def test_the_published_networks_are_fine_tuned_at_full_size(net, jhmdb, tmp_path, capsys):
    """From weights of the Kinetics 400 exact shape, all is taken over but the classification layers."""
    settings = library.read_config(PUBLISHED[net])
    torch.manual_seed(1)
    published = library.build_recognizer(settings.model).state_dict()
    file = tmp_path / "kinetics.pth"
    torch.save({"state_dict": published}, file)

    new = library.build_recognizer(with_classes(settings, 2).model)
    fresh = {name: value.clone() for name, value in new.state_dict().items()}
    begin_with(new, InitialWeights(published, str(file)))
    replaced = {name for name, value in new.state_dict().items() if not torch.equal(value, published[name])}
    assert replaced == {name for name in fresh if is_classification_layer(name)}
    assert all(torch.equal(new.state_dict()[name], fresh[name]) for name in replaced)

    overrides = [
        "dataset=jhmdb21",
        f"dataset.root={jhmdb}",
        f"dataset.classes=[{','.join(CLASSES)}]",
        f"net={net}",
        f"net.checkpoint={file}",
        "training.epochs=null",
        "training.iterations=1",
        "training.batch_size=2",
        "training.workers=0",
        f"outputs={tmp_path}/outputs",
        "device=cpu",
    ]
    with initialize_config_module("lavx.conf", version_base="1.3"), warnings.catch_warnings():
        training, status = train(settings(compose("train", overrides=overrides)), net)
    assert status == 0 and f"1 steps of 2 on cpu, from {file}" in capsys.readouterr().out
    learned = stored(training.folder)["state_dict"]
    moved = [name for name, _ in new.named_parameters() if not is_classification_layer(name)]
    change = max(float((learned[name].float() - published[name].float()).abs().max()) for name in moved)
    assert 0 < change < 10  # one step of training was taken
    assert learned["cls_head.fc_cls.weight"].shape[0] == 2
    Network(net, str(training.folder / "config.py"), str(training.folder / "best.pth"), CLASSES, device="cpu")


@pytest.mark.parametrize("launcher", [[], ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]])
def test_a_sweep_ends_with_the_worst_exit_status_of_its_jobs(launcher, tmp_path):
    arguments = ["train", "-m", "dataset=jhmdb21", "fold=0,1", f"dataset.root={tmp_path}", *launcher]
    ended = run_lavx(*arguments, folder=tmp_path, environment=dict(os.environ))
    assert ended.returncode == 2 and ended.stderr.count("has no folds") == 2, ended.stderr
    assert not list((tmp_path / "outputs").glob(".sweep-*"))
    (tmp_path / "file").touch()
    ended = run_lavx(*arguments, f"outputs={tmp_path}/file", folder=tmp_path, environment=dict(os.environ))
    assert ended.returncode == 2 and "set outputs=..." in ended.stderr
