"""The embedded TPN behind every kind of door says the same, and its heat lies on the actor."""

import numpy as np
import pytest
import torch
from torch import nn

import lavx
from lavx.datasets.shapes import CLASSES, Shapes
from lavx.metrics.localization import ground_truth_in_clip
from lavx.networks import OpenMMLab


@pytest.fixture(scope="module")
def network():
    return OpenMMLab("tpn", config="lavx:shapes_tpn.py", checkpoint="embedded", classes=CLASSES, device="cpu")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return Shapes(tmp_path_factory.mktemp("cache"), n_videos=2)


class Plain(nn.Module):
    """The recognizer as a module of anybody's: normalized clips (B, 3, T, H, W) to logits."""

    def __init__(self, recognizer):
        super().__init__()
        self.recognizer = recognizer

    def forward(self, clips):
        return self.recognizer.extract_feat(clips[:, None], stage="head")[0]


def test_a_network_explained_as_a_function_and_as_a_module_has_the_same_heatmap(network, dataset):
    clip = network.read(dataset.videos()[0].path)
    options = {"method": "rise", "n_samples": 200, "name": "a", "progress": False}
    own = lavx.explain(network, clip, **options)
    mean, std = network._mean.flatten().tolist(), network._std.flatten().tolist()
    module = lavx.classifier(Plain(network._recognizer), layout="BCTHW", mean=mean, std=std, classes=CLASSES)
    others = {
        "logits": lambda clips: network(torch.from_numpy(clips)).numpy(),
        "probabilities": lambda clips: network(torch.from_numpy(clips)).softmax(-1).tolist(),
        "module": module,
    }
    for kind, classifier in others.items():
        e = lavx.explain(classifier, clip.frames, **options)
        assert e.score == pytest.approx(own.score, abs=1e-5)
        assert np.abs(e.heatmap - own.heatmap).max() < 1e-4, kind
        assert e.kind == ("logits" if kind == "module" else kind)


@pytest.mark.parametrize("method", ["rise", "kernel_shap"])
def test_the_heat_lies_on_the_actor_more_than_that_of_the_controls(network, dataset, method):
    video = dataset.videos()[1]
    clip = network.read(video.path)
    truth = ground_truth_in_clip(dataset.ground_truth(video), clip.geometry)
    inside = {}
    for name in (method, "center", "random"):
        e = lavx.explain(network, clip, name, progress=False)
        found = lavx.evaluate(network, clip, e, ground_truth=truth, progress=False)
        inside[name] = found.localization["energy_inside"], found.insertion_auc, -found.deletion_auc
    assert all(all(a > b for a, b in zip(inside[method], inside[c], strict=True)) for c in ("center", "random"))


def test_a_video_is_read_by_the_network_itself(network, dataset):
    path = dataset.videos()[0].path
    e = lavx.explain(network, str(path), "center", progress=False)
    assert e.geometry == network.read(path).geometry and e.classes == CLASSES and e.times[1] == "s"
    assert e.network == "tpn" and len(e.top(3)) == 3
