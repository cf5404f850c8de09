"""A network with one file of weights a fold classifies each video by the fold that holds it out."""

import hashlib
import json
import os
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from toy import FoldedShapes, two_folds

from lavx.commands import gallery, select
from lavx.datasets import shapes
from lavx.datasets.base import Folded, Video
from lavx.datasets.etri_activity3d import EtriActivity3D
from lavx.datasets.jhmdb21 import Jhmdb21
from lavx.errors import RequestError
from lavx.experiments.compose import build_network, settings
from lavx.experiments.held_out import fold_for, folds_of, prepare, sha256_for
from lavx.experiments.run import run_cell
from lavx.experiments.video_selection import select as draw
from lavx.networks.openmmlab.network import Network
from lavx.video import VideoError

NETS = ["tpn", "tanet", "timesformer"]


def build(checkpoint, net="tpn", folds=(0, 1), **changes):
    settings = dict(name=net, config=f"lavx:shapes_{net}.py", classes=shapes.CLASSES, device="cpu")
    return Network(checkpoint=checkpoint, folds=folds, **(settings | changes))


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    return two_folds(tmp_path_factory.mktemp("folds"))


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("videos")
    FoldedShapes(root).videos()
    return root


@pytest.fixture
def clips():
    return 255 * torch.rand((2, 8, 64, 64, 3), generator=torch.Generator().manual_seed(0))


# The network


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("net", NETS)
def test_a_fold_s_weights_are_taken_in_place_and_score_as_those_of_a_network_of_their_own(
    tmp_path, clips, net, precision
):
    path = two_folds(tmp_path, net)
    network = build(path, net, precision=precision)
    before = {key: (p.data_ptr(), p.dtype, p.stride()) for key, p in network._recognizer.named_parameters()}
    for fold in (0, 1, 0, 1):
        network.take_fold(fold)
        alone = build(path.replace("{fold}", str(fold)), net, folds=(), precision=precision)
        assert torch.equal(network(clips), alone(clips))
    after = {key: (p.data_ptr(), p.dtype, p.stride()) for key, p in network._recognizer.named_parameters()}
    assert before == after and not any(p.requires_grad for p in network._recognizer.parameters())
    assert torch.equal(network(clips).roll(-1, 1), build("embedded", net, folds=(), precision=precision)(clips))


def test_every_file_and_its_hash_are_known(weights):
    network = build(weights)
    files = [weights.replace("{fold}", str(fold)) for fold in (0, 1)]
    hashes = [hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files]
    assert network.weights["file"] == weights and network.weights["sha256"] is None and network.name == "tpn"
    assert network.weights["folds"] == network.folds
    assert network.folds == {f: {"file": files[f], "sha256": hashes[f]} for f in (0, 1)}
    assert hashes[0] != hashes[1] and build("embedded", folds=()).folds == {}


def test_a_file_is_read_when_the_fold_changes_only(weights, monkeypatch):
    network = build(weights)
    read = []
    monkeypatch.setattr(Network, "_fill", lambda self, path: read.append(path.parent.name))
    for fold in (0, 0, 1, 1, 0):
        network.take_fold(fold)
    assert read == ["fold1", "fold0"]


def test_missing_files_are_all_named_with_what_makes_them(weights):
    with pytest.raises(FileNotFoundError) as caught:
        build(weights, folds=(0, 2, 4))
    message = str(caught.value)
    assert f"{weights}: there is no {weights.format(fold=2)}, {weights.format(fold=4)}. " in message
    assert "lavx train -m dataset=... net=... fold=2,4 makes what is missing" in message


def test_folds_must_be_those_of_the_dataset(weights):
    with pytest.raises(ValueError, match="means one file a fold, but the dataset has no folds; give the path of"):
        build(weights, folds=())
    with pytest.raises(ValueError, match="there are no weights of fold 3, only of 0, 1"):
        build(weights).take_fold(3)


def test_a_file_that_changed_meanwhile_is_refused_but_a_touched_one_is_not(tmp_path, clips):
    path = two_folds(tmp_path)
    network = build(path)
    scores = network(clips)
    second = tmp_path / "fold1" / "best.pth"
    os.utime(second, ns=(1, 1))
    network.take_fold(1)
    network.take_fold(0)
    assert torch.equal(network(clips), scores)
    second.write_bytes((tmp_path / "fold0" / "best.pth").read_bytes())
    with pytest.raises(ValueError, match=r"fold1/best\.pth has changed since it was first read\. Give the same"):
        network.take_fold(1)
    second.unlink()
    video = Video("shapes-0001", tmp_path / "x.mp4", 1)
    with pytest.raises(RequestError, match=r"net: .*No such file.*fold1/best\.pth"):
        prepare(network, FoldedShapes(tmp_path), video)
    assert torch.equal(network(clips), scores)


# Which fold


def test_the_fold_is_that_which_holds_the_video_out_whatever_subset_it_is_from(tmp_path):
    for number in range(20):
        (tmp_path / f"A001_P{number + 1:03d}_G001_C001.mp4").write_bytes(b"x")
    network = type("Network", (), {"folds": {f: {"sha256": str(f)} for f in range(5)}})()
    whole = EtriActivity3D(tmp_path, splits=tmp_path / "splits")
    assert isinstance(whole, Folded) and folds_of(whole, whole.videos()) == (0, 1, 2, 3, 4)
    for part in ("test", "train"):
        dataset = EtriActivity3D(tmp_path, fold=1, part=part, splits=tmp_path / "splits")
        folds = {fold_for(network, dataset, video) for video in dataset.videos()}
        assert folds == ({1} if part == "test" else {0, 2, 3, 4}) == set(folds_of(dataset, dataset.videos()))
        for video in dataset.videos():
            assert sha256_for(network, dataset, video) == str(whole.fold_of(video))


def test_without_folds_nothing_is_prepared(root):
    network = type("Network", (), {"weights": {"sha256": "7"}})()
    video = Video("x", root, 0)
    assert prepare(network, None, video) is None and sha256_for(network, None, video) == "7"
    assert folds_of(None, [video]) == () and not hasattr(Jhmdb21, "fold_of")


def test_a_video_in_no_fold_cannot_be_classified(root, weights):
    dataset = FoldedShapes(root, homeless=True)
    with pytest.raises(
        VideoError,
        match=r"shapes-0003 is in none of the 2 folds.*has no out-of-fold weights for it; "
        "choose one of the files with net",
    ):
        prepare(build(weights), dataset, dataset.videos()[3])
    assert folds_of(dataset, dataset.videos()) == (0, 1)


# The commands


@pytest.fixture
def configure(tmp_path, root, weights):
    """A configuration of a command on the four videos in two folds."""

    def configure(*overrides, command="run", checkpoint=weights, **dataset):
        with initialize_config_module("lavx.conf", version_base="1.3"):
            config = compose(command, overrides=[f"outputs={tmp_path}/out", "trusted_modules=[toy]", *overrides])
        config.dataset = OmegaConf.create({"_target_": "toy.FoldedShapes", "root": str(root)} | dataset)
        if "net" in config:
            config.net.checkpoint = checkpoint
        return settings(config)

    return configure


SMALL = ("n_videos=4", "method.sampling.n_samples=30", "metric.n_steps=2")
NAMES = ("folded", "tpn", "rise")


def test_run_explains_each_video_by_its_own_fold_s_network(configure, tmp_path, weights):
    assert run_cell(configure(*SMALL), *NAMES) == 0
    folder = tmp_path.joinpath("out", "default", *NAMES)
    table = pd.read_csv(folder / "results.csv")
    assert table.fold.tolist() == [0, 1, 0, 1] and table.label.tolist() == [0, 1, 2, 3]
    assert table.predicted.tolist() == [0, 2, 2, 4], "the network of fold 1 is one class off"
    known = json.loads((folder / "environment.json").read_text())["weights"]
    assert known["file"] == weights and set(known["folds"]) == {"0", "1"}
    assert known["folds"]["1"]["file"] == weights.format(fold=1) and len(known["folds"]["1"]["sha256"]) == 64
    stored = yaml.safe_load((folder / "config.yaml").read_text())
    assert stored["net"]["checkpoint"] == weights and "trained" not in stored


def test_run_records_a_video_that_is_in_no_fold(configure, tmp_path):
    assert run_cell(configure(*SMALL, homeless=True), *NAMES) == 1
    table = pd.read_csv(tmp_path.joinpath("out", "default", *NAMES, "results.csv"))
    assert table.error.notna().tolist() == [False] * 3 + [True] and "none of the 2 folds" in table.error[3]


def test_run_refuses_folds_that_are_not_there(configure, weights):
    config = configure()
    with initialize_config_module("lavx.conf", version_base="1.3"):
        config.dataset = settings(compose("run")).dataset
    with pytest.raises(
        RequestError, match=r"net\.checkpoint=.*means one file a fold, but the dataset has no fold"
    ):
        run_cell(config, *NAMES)
    with pytest.raises(RequestError, match=r"there is no .*nothing1\.pth\. lavx train -m"):
        run_cell(configure(checkpoint=weights.replace("fold{fold}/best", "fold0/../nothing{fold}")), *NAMES)


def test_select_classifies_each_video_with_its_own_fold_s_network(root, tmp_path, weights):
    dataset = FoldedShapes(root)
    network = build(weights)
    order = []
    network.read = lambda path, read=network.read: order.append(path.stem) or read(path)
    selection = draw(dataset.videos(), {"tpn": lambda: network}, 4, 0, tmp_path, "toy", dataset)
    assert {entry["video"] for entry in selection["videos"]} == {"shapes-0000", "shapes-0002"}
    stored = json.loads((tmp_path / "toy.json").read_text())["weights"]["tpn"]
    assert stored == {str(fold): network.folds[fold]["sha256"] for fold in (0, 1)}
    assert [int(stem) % 2 for stem in order] == [0, 0, 1, 1], "fold by fold"
    lines = [json.loads(line) for line in (tmp_path / "toy.answers.jsonl").read_text().splitlines()]
    assert [line[1] for line in lines] == [stored[str(int(stem) % 2)] for stem in order]
    again = draw(dataset.videos(), {"tpn": lambda: network}, 4, 0, tmp_path, "toy", dataset)
    assert again == selection and len(order) == 4


def test_select_counts_a_video_that_is_in_no_fold(root, tmp_path, weights):
    dataset = FoldedShapes(root, homeless=True)
    selection = draw(dataset.videos(), {"tpn": lambda: build(weights)}, 4, 0, tmp_path, "toy", dataset)
    assert len(selection["videos"]) == 2 and selection["unreadable"] == 1


def test_the_gallery_takes_the_video_s_own_fold(configure, monkeypatch, tmp_path):
    drawn = {}
    monkeypatch.setattr(
        "lavx.drawing.gallery.draw_gallery", lambda *args: drawn.update(target=(args[1].target, args[3])) or []
    )
    monkeypatch.setattr(gallery, "_options", lambda config, step: {})
    config = configure("methods=[]", f"video={FoldedShapes(tmp_path).videos()[3].path}", command="gallery")
    with pytest.raises(
        RequestError, match=r"no fold holds 0003 out; give the path of one of the files, without \{f"
    ):
        gallery._gallery(config, "folded", "tpn")
    config.video = None
    monkeypatch.setattr(FoldedShapes, "videos", lambda self: [self._video(3)])
    assert gallery._gallery(config, "folded", "tpn") == 0
    assert drawn["target"] == (4, shapes.CLASSES[4])


# Networks that lavx train leaves


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("dataset, weights", [("jhmdb21", "best.pth"), ("etri_activity3d", "fold{fold}/best.pth")])
def test_the_trained_network_of_a_dataset_is_chosen(dataset, weights, net):
    with initialize_config_module("lavx.conf", version_base="1.3"):
        chosen = [f"dataset={dataset}", f"net={net}", "name=mine", "outputs=here"]
        for command in ("run", "evaluate", "gallery"):
            config = compose(command, overrides=chosen)
            assert config.net.config == f"here/mine/training/{dataset}/{net}/config.py"
            assert config.net.checkpoint == f"here/mine/training/{dataset}/{net}/{weights}"
        moved = compose("run", overrides=[*chosen, "trained=/elsewhere"]).net
        assert moved.checkpoint == f"/elsewhere/{dataset}/{net}/{weights}"


@pytest.mark.parametrize(
    "dataset, overrides, missing, command",
    [
        ("plain", [], ["config.py", "best.pth"], "lavx train dataset=plain net=tpn makes"),
        ("plain", ["name=mine"], ["config.py", "best.pth"], "lavx train dataset=plain net=tpn name=mine makes"),
        (
            "folded",
            [],
            ["config.py", "fold0/best.pth", "fold1/best.pth"],
            r"lavx train -m dataset=folded net=tpn fold=0,1 makes .* dataset\.fold=0 needs one of the folds alone",
        ),
        ("folded", ["trained=FOLDER"], ["config.py"], r"makes what is missing, in outputs/default/training\."),
    ],
)
def test_a_network_that_is_not_trained_yet_is_refused(root, tmp_path, dataset, overrides, missing, command):
    files = {"plain": "best.pth", "folded": "fold{fold}/best.pth"}
    with initialize_config_module("lavx.conf", version_base="1.3"):
        config = compose("run", overrides=[o.replace("FOLDER", str(tmp_path)) for o in overrides])
    config.net.config = f"${{trained}}/{dataset}/tpn/config.py"
    config.net.checkpoint = f"${{trained}}/{dataset}/tpn/{files[dataset]}"
    videos = FoldedShapes(root).videos()
    source = FoldedShapes(root) if dataset == "folded" else shapes.Shapes(root)
    with pytest.raises(RequestError, match=command) as caught:
        build_network(settings(config), (dataset, "tpn"), source, videos)
    message = str(caught.value)
    assert message.startswith(f"net=tpn is not trained on dataset={dataset} yet: there is no ")
    assert all(f"{config.trained}/{dataset}/tpn/{name}" in message for name in missing)
    assert "net.config=... and net.checkpoint=..., or trained=..." in message


def test_one_missing_fold_is_trained_alone(root, tmp_path, weights):
    with initialize_config_module("lavx.conf", version_base="1.3"):
        config = compose("run", overrides=[f"trained={tmp_path}", "trusted_modules=[toy]"])
    two_folds(tmp_path / "folded" / "tpn")
    (tmp_path / "folded" / "tpn" / "fold1" / "best.pth").unlink()
    config.net.checkpoint = "${trained}/folded/tpn/fold{fold}/best.pth"
    dataset = FoldedShapes(root)
    with pytest.raises(
        RequestError, match=r"there is no \S*fold1/best\.pth\. lavx train dataset=folded net=tpn fold=1 "
    ):
        build_network(settings(config), ("folded", "tpn"), dataset, dataset.videos())
    assert build_network(settings(config), ("folded", "tpn"), dataset, dataset.videos()[::2]).folds.keys() == {0}


@pytest.mark.parametrize("key, value", [("k", 3), ("seed", 1), ("split_kind", "by_subject"), ("split", 2)])
def test_a_network_of_another_split_is_refused(root, tmp_path, key, value):
    path = two_folds(tmp_path)
    split = {"part": "test", "split": 1, "split_kind": "stratified", "k": 2, "seed": 0}
    with initialize_config_module("lavx.conf", version_base="1.3"):
        config = compose("run", overrides=["trusted_modules=[toy]"])
    config.net.checkpoint = path
    dataset = FoldedShapes(root)
    for fold in (0, 1):
        stored = {"dataset": {"_target_": "before.toy.FoldedShapes", "root": "elsewhere", **split}}
        (tmp_path / f"fold{fold}" / "config.yaml").write_text(yaml.safe_dump(stored))
    given = {"_target_": "toy.FoldedShapes", "root": str(root), **split, "part": "train"}
    config.dataset = OmegaConf.create(given)
    assert build_network(settings(config), ("folded", "tpn"), dataset, dataset.videos())
    config.dataset[key] = value
    message = (
        rf"fold0/best\.pth was trained with dataset\.{key}={split[key]}, and now dataset\.{key}={value} is given"
    )
    with pytest.raises(RequestError, match=message):
        build_network(settings(config), ("folded", "tpn"), dataset, dataset.videos())
    config.dataset._target_ = "toy.Other"  # its seed is that of something else
    assert build_network(settings(config), ("folded", "tpn"), dataset, dataset.videos())


def test_select_looks_where_the_networks_were_trained(root, tmp_path, monkeypatch):
    with initialize_config_module("lavx.conf", version_base="1.3"):
        config = compose(
            "select", overrides=[f"outputs={tmp_path}", "name=mine", f"trained={tmp_path}/there", "nets=[tpn]"]
        )
        runs = []
        monkeypatch.setattr(
            "lavx.experiments.compose.build_network",
            lambda run, *_: runs.append(run) or build("embedded", folds=()),
        )
        config.dataset.root, config.dataset.n_videos, config.n_videos = str(root), 2, 1
        assert select._select(settings(config), "shapes", []) == 0
    assert (runs[0].name, runs[0].outputs, runs[0].trained) == ("mine", str(tmp_path), f"{tmp_path}/there")
