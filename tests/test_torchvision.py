"""Video classifiers of torchvision: their frames, pixels and scores, their weights, and what is refused."""

from __future__ import annotations

import re
import sys
import urllib.error
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision_shim
from hydra import compose, initialize_config_module
from hydra.utils import instantiate

from lavx import video
from lavx.networks import extras, torchvision
from lavx.networks.torchvision import Torchvision, published
from lavx.networks.video_input import VideoInput

if not torchvision_shim.make_importable():
    pytest.skip("torchvision is not installed", allow_module_level=True)

from torchvision import models  # noqa: E402

ARCHS = models.list_models(module=models.video)
SMALL = dict(checkpoint="random", device="cpu")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 frames of 60 x 86 pixels, colored waves that drift, 30 a second."""
    y, x = np.mgrid[:60, :86]
    time = np.arange(64)[:, None, None, None]
    waves = np.stack([np.sin(x / 5), np.cos(y / 4), np.sin((x + y) / 7)], -1)[None]
    frames = (128 + 100 * np.sin(waves * 2 + time / 5)).astype(np.uint8)
    file = tmp_path_factory.mktemp("videos") / "video.mp4"
    video.write_video(file, frames, fps=30, crf=1)
    return file


@pytest.fixture(scope="module")
def r3d() -> Torchvision:
    return Torchvision("r3d_18", **SMALL)


def compare(
    network: Torchvision, arch: str, path: Path, weights: str = "DEFAULT", **settings: Any
) -> torch.Tensor:
    """Scores of the video, which must be those of torchvision's own transforms and forward; returns them."""
    clip = network.read(path)
    source = torch.from_numpy(video.read_frames(path, clip.geometry.frame_indices)).permute(0, 3, 1, 2)
    transforms = models.get_model_weights(arch)[weights].transforms(**settings)
    with torch.inference_mode():
        theirs = network.classifier.module(transforms(source)[None])  # type: ignore[attr-defined]
    scores = network(torch.from_numpy(np.stack([clip.frames, 255 - clip.frames])).float())
    torch.testing.assert_close(scores[:1], theirs, atol=1e-5, rtol=1e-5)
    assert (scores[0] - scores[1]).abs().max() > 1e-3, "the frames matter"
    return scores


def test_scores_are_those_of_transforms_and_network(r3d: Torchvision, path: Path) -> None:
    scores = compare(r3d, "r3d_18", path)
    assert scores.shape == (2, 400) and scores.dtype == torch.float32
    clip = r3d.read(path)
    assert clip.geometry.frame_indices == tuple(range(16, 47, 2)), "16 frames at 15 a second, from the middle"
    assert clip.geometry.scaled_size == (128, 171) and clip.geometry.crop == (8, 30, 112, 112)


def test_what_a_network_says_of_itself(r3d: Torchvision, caplog: pytest.LogCaptureFixture) -> None:
    assert r3d.name == "r3d_18-random" and r3d.output == "logits"
    assert r3d.classes is not None and len(r3d.classes) == 400 and r3d.classes[0] == "abseiling"
    assert r3d.weights == {"file": "random (seed 0)", "sha256": None}
    again = Torchvision("r3d_18", **SMALL, classes=["a", "b"], name="mine")
    assert again.name == "mine-random" and again.classes == ("a", "b")
    assert "checkpoint=random: mine-random has RANDOM WEIGHTS. Its classes, scores and explan" in caplog.text
    clips = torch.zeros(1, 4, 32, 32, 3)
    assert again(clips).shape == (1, 2)
    same = Torchvision("r3d_18", **SMALL, classes=["a", "b"])
    assert torch.equal(same(clips), again(clips))


def test_frames_of_mvit(path: Path) -> None:
    own = torchvision._own("mvit_v2_s", published("mvit_v2_s").transforms(), {})
    clip = VideoInput(**own).read(path)
    assert clip.frames.shape == (16, 224, 224, 3)
    assert clip.geometry.frame_indices == tuple(range(1, 62, 4)), "7.5 a second"


@pytest.mark.slow
@pytest.mark.parametrize("arch", ARCHS)
def test_each_network_in_full(arch: str, path: Path) -> None:
    n_frames: Any = 16 if arch == "s3d" else "own"
    network = Torchvision(arch, **SMALL, n_frames=n_frames, sampling="uniform")
    if arch == "s3d":  # whose random weights are so small that no frame matters
        for part in network.classifier.module.modules():  # type: ignore[attr-defined]
            if isinstance(part, torch.nn.Conv3d):
                torch.nn.init.kaiming_normal_(part.weight)
    compare(network, arch, path)


@pytest.mark.parametrize("arch", ARCHS)
def test_sizes_and_frames_are_those_of_the_weights(arch: str) -> None:
    """What torchvision says in prose alone: the frames with which it measured them."""
    for member in models.get_model_weights(arch):
        said = member.meta["_docs"]
        frame_rate, n_frames = (
            float(re.search(rf"`{key}=([\d.]+)`", said)[1]) for key in ("frame_rate", "clip_len")
        )  # type: ignore[index]
        own = torchvision._own(arch, member.transforms(), {"crop": "own"})
        assert (own["frame_rate"], own["n_frames"]) == (frame_rate, n_frames) and own["sampling"] == "stride"
        frames = np.random.default_rng(0).integers(0, 256, (2, 60, 86, 3), dtype=np.uint8)
        ours, _, _ = VideoInput(**own).cut(frames)
        does = member.transforms(mean=(0, 0, 0), std=(1, 1, 1))
        theirs = does(torch.from_numpy(frames).permute(0, 3, 1, 2)).permute(1, 2, 3, 0) * 255
        np.testing.assert_allclose(ours, theirs, atol=1e-3)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (dict(n_frames=4), (28, 30, 32, 34)),
        (dict(n_frames=4, frame_rate=30), (30, 31, 32, 33)),
        (dict(n_frames=4, stride=10), (16, 26, 36, 46)),
        (dict(n_frames=4, sampling="uniform"), (8, 24, 40, 56)),
        (dict(n_frames=4, sampling="dense"), (30, 31, 32, 33)),
        (dict(n_frames=4, sampling="own", stride=None, frame_rate=None, crop="own"), (28, 30, 32, 34)),
    ],
)
def test_how_it_sees_a_video_can_be_chosen(given: dict[str, Any], expected: tuple[int, ...], path: Path) -> None:
    does = published("r3d_18").transforms()
    assert VideoInput(**torchvision._own("r3d_18", does, given)).read(path).geometry.frame_indices == expected


def test_published_weights_are_downloaded_or_put_by_hand(
    r3d: Torchvision, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*args: Any, **kwargs: Any) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    file = tmp_path / "hub" / "checkpoints" / "r3d_18-b3b3357e.pth"
    with pytest.raises(
        FileNotFoundError, match=f"r3d_18-b3b3357e.pth are not here .*no network.* put them at {file}"
    ):
        Torchvision("r3d_18")
    torch.save(r3d.classifier.module.state_dict(), file)  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"its SHA-256 begins with ........, its name says b3b3357e"):
        Torchvision("r3d_18")
    own = file.rename(tmp_path / "own.pth")
    monkeypatch.setattr(torchvision, "download", lambda url: own if url.endswith("/r3d_18-b3b3357e.pth") else None)
    network = Torchvision("r3d_18", weights="KINETICS400_V1", device="cpu")
    assert network.name == "r3d_18"
    assert network.weights["file"] == str(own) and len(network.weights["sha256"]) == 64
    clips = torch.full((1, 4, 32, 32, 3), 99.0)
    assert torch.equal(network(clips), r3d(clips))


def test_a_file_of_other_weights(tmp_path: Path) -> None:
    other = Torchvision("r3d_18", **SMALL, classes=["a", "b"])
    module = other.classifier.module  # type: ignore[attr-defined]
    torch.nn.init.normal_(module.fc.weight)
    file = tmp_path / "own.pth"
    torch.save({"state_dict": module.state_dict(), "meta": {"epoch": 3}}, file)
    network = Torchvision("r3d_18", checkpoint=file, classes=["a", "b"], device="cpu")
    clips = torch.full((1, 4, 32, 32, 3), 99.0)
    assert torch.equal(network(clips), other(clips)) and network.weights["file"] == str(file)
    with pytest.raises(
        ValueError, match=r"own\.pth: these weights do not fit .* fc\.weight .2, 512. .* as many clas"
    ):
        Torchvision("r3d_18", checkpoint=file)
    torch.save(module, file)
    with pytest.raises(ValueError, match=r"own\.pth: holds more than plain weights .*set trust_checkpoint=True"):
        Torchvision("r3d_18", checkpoint=file)
    with pytest.raises(FileNotFoundError, match=r"checkpoint=none\.pth: there is no such file"):
        Torchvision("r3d_18", checkpoint="none.pth")


def test_lower_precision_is_close(r3d: Torchvision, path: Path) -> None:
    clips = torch.from_numpy(r3d.read(path).frames)[None, ::4, ::2, ::2].float()
    half = Torchvision("r3d_18", **SMALL, precision="bf16")(clips)
    assert half.dtype == torch.float32 and not torch.equal(half, r3d(clips))
    torch.testing.assert_close(half, r3d(clips), atol=0.05, rtol=0.05)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(arch="r3d_19"), "arch must be one of mc3_18, mvit_v1_b, .*swin3d_t; got r3d_19"),
        (dict(arch="resnet18"), "arch must be one of .*; got resnet18"),
        (dict(weights="IMAGENET"), "weights of r3d_18 must be one of KINETICS400_V1, DEFAULT; got IMAGENET"),
        (
            dict(arch="s3d", n_frames=8),
            r"s3d must be at least 14 x 224 x 224 large .*, got 8 x 224 x 224\. Change n",
        ),
        (dict(arch="s3d", crop=112), "s3d must be at least 14 x 224 x 224 large .*, got 128 x 112 x 112"),
        (dict(arch="s3d", crop=None, n_frames=8), "at least 14 x 224 x 224 large .*, got 8 x 256 x 256"),
        (dict(arch="s3d", crop=None, resize=99, n_frames=8), "at least 14 x 224 x 224 large .*, got 8[.]"),
        (dict(arch="mvit_v1_b", n_frames=32), "mvit_v1_b must be 16 x 224 x 224 large .*, got 32 x 224 x 224"),
        (dict(arch="mvit_v2_s", crop=256), "mvit_v2_s must be 16 x 224 x 224 large .*, got 16 x 256 x 256"),
        (dict(trust_checkpoint="no"), "trust_checkpoint must be True or False, got 'no'"),
        (dict(n_frames=0), "n_frames must be a whole number >= 1, got 0"),
    ],
)
def test_what_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Torchvision(**(dict(arch="r3d_18") | SMALL | settings))  # type: ignore[arg-type]


def test_weights_by_each_of_their_names() -> None:
    member = models.video.Swin3D_B_Weights.KINETICS400_IMAGENET22K_V1
    assert published("swin3d_b", member) is member
    assert published("swin3d_b", "KINETICS400_IMAGENET22K_V1") is member
    assert published("swin3d_b", "Swin3D_B_Weights.KINETICS400_IMAGENET22K_V1") is member
    assert published("swin3d_b") is models.video.Swin3D_B_Weights.DEFAULT


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "lavx\[torchvision\]"'):
        Torchvision("r3d_18")


def test_a_torchvision_of_another_torch_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(extras.importlib, "import_module", broken)
    with pytest.raises(ImportError, match="does not fit this torch .operator .*Install both from the same source"):
        Torchvision("r3d_18")


def test_the_configuration_builds_it(path: Path) -> None:
    with initialize_config_module("lavx.conf", version_base="1.3"):
        given = ["net=torchvision", "net.arch=r3d_18", "net.checkpoint=random", "net.n_frames=4", "device=cpu"]
        node = compose("run", given).net
        assert node.name == "r3d_18"
        network = instantiate(node, _convert_="all")
    assert isinstance(network, Torchvision) and network.name == "r3d_18-random"
    compare(network, "r3d_18", path)
