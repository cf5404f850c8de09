"""Networks: equal to mmaction2's own inference, true to their weights, clear about what does not fit."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from lavx import video
from lavx.datasets import shapes
from lavx.networks.openmmlab import checkpoints, library
from lavx.networks.openmmlab.network import Network
from lavx.types import Geometry

ROOT = Path(__file__).parents[1]
CLIPS = ROOT.parent / "shared" / "data" / "clips" / "kinetics400"
REAL = [CLIPS / "mmaction2_demo.mp4", CLIPS / "SOX5yA1l24A.mp4"]
NETS = ["tpn", "tanet", "timesformer"]
KINETICS = tuple(str(i) for i in range(400))


def small(net: str = "tpn", **changes: Any) -> Network:
    """One of the small networks, with random weights unless told otherwise."""
    settings = dict(
        name=net, config=f"lavx:shapes_{net}.py", checkpoint="random", classes=shapes.CLASSES, device="cpu"
    )
    return Network(**(settings | changes))


def k400(net: str, **changes: Any) -> Network:
    """One of the Kinetics networks as conf/net builds it, with random weights unless told otherwise."""
    settings = yaml.safe_load((ROOT / "conf" / "net" / f"{net}.yaml").read_text())
    del settings["_target_"]
    settings |= dict(checkpoint="random", device="cpu", precision="fp32", classes=KINETICS)
    return Network(**(settings | changes))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn video of 16 frames of 80 x 112 pixels."""
    path = tmp_path_factory.mktemp("videos") / "drawn.mp4"
    video.write_video(path, shapes.draw((7, 7, 7)).frames, fps=shapes.FPS)
    return path


def _sharpen(network: Network, path: Path) -> None:
    """Scale the last layer so that probabilities are far from uniform: a comparison must be able to fail."""
    layers = [m for m in network._recognizer.cls_head.modules() if isinstance(m, torch.nn.Linear)]
    clip = torch.from_numpy(network.read(path).frames)[None].float()
    factor = 3 / float(network(clip).std())
    with torch.no_grad():
        layers[-1].weight.mul_(factor)
        layers[-1].bias.mul_(factor)


def _mmaction_probabilities(network: Network, config: str, path: Path) -> torch.Tensor:
    """What mmaction2's own pipeline and `inference_recognizer` say of a video, for the same weights and view."""
    library.load()
    with library.quiet():
        from mmaction.apis import inference_recognizer
        from mmaction.registry import MODELS
        from mmengine.dataset import Compose

        settings = library.read_config(checkpoints.config_file(config))
        settings.model.backbone.pretrained = None
        recognizer = MODELS.build(settings.model).eval()
        recognizer.load_state_dict(network._recognizer.state_dict())
        recognizer.cfg = settings

        def middle_view(results: dict[str, Any]) -> dict[str, Any]:
            views = results["frame_inds"].reshape(-1, 8)
            return results | {"frame_inds": views[len(views) // 2]}

        steps = [step for step in settings.val_pipeline if step["type"] != "ColorJitter"]
        steps.insert([step["type"] for step in steps].index("DecordDecode"), middle_view)
        return inference_recognizer(recognizer, str(path), Compose(steps)).pred_score


@pytest.mark.parametrize("net", NETS)
def test_small_networks_score_as_mmaction2_does(net: str, drawn: Path) -> None:
    network = small(net)
    _sharpen(network, drawn)
    ours = network(torch.from_numpy(network.read(drawn).frames)[None].float()).softmax(-1)[0]
    theirs = _mmaction_probabilities(network, f"lavx:shapes_{net}.py", drawn)
    assert ours.max() > 0.3
    assert float((ours - theirs).abs().max()) <= 1e-5


@pytest.mark.slow
@pytest.mark.skipif(not CLIPS.is_dir(), reason="needs ../shared/data")
@pytest.mark.parametrize("net", NETS)
def test_kinetics_networks_score_as_mmaction2_does(net: str) -> None:
    network = k400(net)
    _sharpen(network, REAL[0])
    config = yaml.safe_load((ROOT / "conf" / "net" / f"{net}.yaml").read_text())["config"]
    seen = []
    for path in REAL:
        ours = network(torch.from_numpy(network.read(path).frames)[None].float()).softmax(-1)[0]
        theirs = _mmaction_probabilities(network, config, path)
        difference = float((ours - theirs).abs().max())
        print(f"{net} {path.name}: max abs difference {difference:.1e}, largest probability {ours.max():.3f}")
        assert difference <= 1e-5
        seen.append(ours)
    assert (seen[0] - seen[1]).abs().max() > 1e-4, "two videos must not score alike"


@pytest.mark.parametrize("net", NETS)
def test_a_batch_scores_as_its_clips_do(net: str, drawn: Path) -> None:
    network = small(net)
    clip = torch.from_numpy(network.read(drawn).frames).float()
    clips = torch.stack([clip, clip.flip(0), torch.zeros_like(clip)])
    before = clips.clone()
    together = network(clips)
    assert together.shape == (3, 8) and together.dtype == torch.float32
    torch.testing.assert_close(together, torch.cat([network(one[None]) for one in clips]), atol=1e-4, rtol=1e-4)
    assert torch.equal(clips, before), "the clips of the caller must stay as they are"


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("net", NETS)
def test_lower_precision_comes_close(net: str, precision: str, drawn: Path) -> None:
    exact, rough = small(net), small(net, precision=precision)
    clip = torch.from_numpy(exact.read(drawn).frames)[None].float()
    scores = rough(clip)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores.softmax(-1), exact(clip).softmax(-1), atol=0.02, rtol=0)


def test_a_clip_knows_where_it_lies(drawn: Path) -> None:
    clip = small("tpn").read(drawn)
    assert clip.frames.shape == (8, 64, 64, 3) and clip.frames.dtype == np.uint8
    # 16 frames, 8 at interval 2 span 15: no room to move. 80 x 112 scales to 64 x 90 (0.8), cropped in the middle.
    assert clip.geometry == Geometry(tuple(range(0, 16, 2)), shapes.FPS, (80, 112), (64, 90), (0, 13, 64, 64))
    assert clip.geometry.seconds[:3] == (0, 0.25, 0.5)
    np.testing.assert_allclose(clip.geometry.source_crop, (0, 13 * 112 / 90, 80, 64 * 112 / 90))


def test_a_bright_spot_is_found_again_in_the_source(tmp_path: Path) -> None:
    frames = np.zeros((16, 80, 112, 3), np.uint8)
    frames[:, 20:24, 70:74] = 255
    video.write_video(tmp_path / "spot.mp4", frames, fps=10)
    clip = small("tpn").read(tmp_path / "spot.mp4")
    rows, columns = np.nonzero(clip.frames[0].mean(-1) > 128)
    top, left, height, width = clip.geometry.source_crop
    assert abs(top + (rows.mean() + 0.5) * height / 64 - 22) < 0.5
    assert abs(left + (columns.mean() + 0.5) * width / 64 - 72) < 0.5


@pytest.mark.skipif(not CLIPS.is_dir(), reason="needs ../shared/data")
@pytest.mark.parametrize(
    ("net", "indices"),
    [
        ("tpn", range(111, 168, 8)),  # 57 frames spanned, in the middle of 280
        ("timesformer", range(27, 252, 32)),  # 225 spanned
        ("tanet", range(120, 177, 8)),  # position 5 of 10 from 0 to 216
    ],
)
def test_kinetics_clips_lie_in_the_middle(net: str, indices: range) -> None:
    geometry = k400(net).read(REAL[0]).geometry
    assert geometry.frame_indices == tuple(indices)
    assert (geometry.source_size, geometry.scaled_size) == ((256, 340), (256, 340))
    assert geometry.crop == (16, 58, 224, 224)


def test_a_video_shorter_than_the_clip_is_refused(tmp_path: Path) -> None:
    video.write_video(tmp_path / "short.mp4", np.zeros((7, 64, 64, 3), np.uint8), fps=8)
    with pytest.raises(video.VideoError, match=r"short\.mp4: has 7 frames, tpn-random samples 8"):
        small().read(tmp_path / "short.mp4")


def test_a_video_shorter_than_the_sampling_is_looped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    video.write_video(tmp_path / "short.mp4", np.zeros((9, 64, 64, 3), np.uint8), fps=8)
    assert small().read(tmp_path / "short.mp4").geometry.frame_indices == (0, 2, 4, 6, 8, 1, 3, 5)
    assert "it is looped, as in mmaction2: the clip shows frames 0, 2, 4, 6, 8, 1, 3, 5." in caplog.text


def test_only_the_seconds_asked_for_are_seen(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    y = np.linspace(0, 200, 64, dtype=np.uint8)[None, :, None, None]
    frames = np.broadcast_to(y, (40, 64, 64, 3)) + np.arange(40, dtype=np.uint8)[:, None, None, None]
    video.write_video(tmp_path / "long.mp4", frames, fps=8, crf=1)
    network = small()
    whole, part = network.read(tmp_path / "long.mp4"), network.read(tmp_path / "long.mp4", start=2, end=4)
    assert whole.geometry.frame_indices == tuple(range(12, 28, 2))
    assert part.geometry.frame_indices == tuple(range(16, 32, 2))
    np.testing.assert_array_equal(part.frames, video.read_frames(tmp_path / "long.mp4", range(16, 32, 2)))
    assert not caplog.records[1:], "but for that of the random weights"
    network.read(tmp_path / "long.mp4", start=4)
    assert "has 8 frames from second 4 to 5, fewer than the sampling of tpn-random spans" in caplog.text
    with pytest.raises(video.VideoError, match=r"long\.mp4: has 7 frames from second 4\.125 to 5, .* samples 8"):
        network.read(tmp_path / "long.mp4", start=4.1)
    with pytest.raises(video.VideoError, match=r"start=5 lies outside the video; the video lasts 5 seconds"):
        network.read(tmp_path / "long.mp4", start=5)


def test_outputs_are_logits() -> None:
    assert small().output == "logits"


def test_random_weights_are_the_same_each_time_and_loud(drawn: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = torch.random.get_rng_state()
    first, second = small(), small()
    assert torch.equal(torch.random.get_rng_state(), state), "PyTorch's own generator must stay as it is"
    clip = torch.from_numpy(first.read(drawn).frames)[None].float()
    assert torch.equal(first(clip), second(clip))
    assert first.name == "tpn-random" and first.weights == {"file": "random (seed 0)", "sha256": None}
    assert "tpn has RANDOM WEIGHTS" in caplog.text


# Weights


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    """Weights that fit the small TPN, other than its random ones."""
    weights = small()._recognizer.state_dict()
    rng = torch.Generator().manual_seed(5)
    return {
        key: torch.randn(value.shape, generator=rng) * 0.02 if value.is_floating_point() else value
        for key, value in weights.items()
        if "running_var" not in key
    } | {key: value for key, value in weights.items() if "running_var" in key}


@pytest.mark.parametrize("net", NETS)
def test_embedded_weights_load(net: str, caplog: pytest.LogCaptureFixture) -> None:
    file = ROOT / "lavx" / "networks" / "openmmlab" / "weights" / f"shapes_{net}.pth"
    if not file.is_file():
        with pytest.raises(FileNotFoundError, match=f"lavx ships no weights shapes_{net}.pth"):
            small(net, checkpoint="embedded")
        return
    override = yaml.safe_load((ROOT / "conf" / "net_for" / f"shapes_{net}.yaml").read_text())
    network = small(net, **override)
    assert network.name == net and not caplog.text
    assert network.weights == {
        "file": f"lavx:shapes_{net}.pth",
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
    }
    given = torch.load(file, weights_only=True)["state_dict"]
    loaded = network._recognizer.state_dict()
    assert all(torch.equal(loaded[key], value.to(loaded[key].dtype)) for key, value in given.items())


def test_what_is_in_the_file_is_what_the_network_has(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    stale = {
        "cls_head.new_cls.weight": torch.zeros(8, 2048, 1, 1, 1),
        "cls_head.new_cls.bias": torch.zeros(8),
    }
    for name, content in {
        "plain.pth": state,
        "meta.pth": {"state_dict": state | stale, "meta": {"classes": list(shapes.CLASSES)}},
        "counters.pth": {"state_dict": {k: v for k, v in state.items() if "num_batches" not in k}},
    }.items():
        torch.save(content, tmp_path / name)
        network = small(checkpoint=str(tmp_path / name))
        loaded = network._recognizer.state_dict()
        assert all(torch.equal(loaded[key], value) for key, value in state.items() if "num_batches" not in key)
        assert network.weights["file"] == str(tmp_path / name) and network.name == "tpn"


def test_a_checkpoint_of_mmengines_runner_needs_trust(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    library.load()
    from mmengine.logging import MessageHub

    hub = MessageHub("lavx-test")
    hub.update_scalar("train/loss", np.float64(0.5))
    hub.update_scalar("train/accuracy", torch.tensor(0.5))
    hub.update_info("iter", 7)
    content = {"state_dict": state, "meta": {"epoch": 1}, "message_hub": hub.state_dict(), "optimizer": {}}
    torch.save(content, tmp_path / "epoch_1.pth")
    with pytest.raises(ValueError, match=r"epoch_1\.pth: holds more than plain.*trust_checkpoint=True"):
        small(checkpoint=str(tmp_path / "epoch_1.pth"))
    network = small(checkpoint=str(tmp_path / "epoch_1.pth"), trust_checkpoint=True)
    loaded = network._recognizer.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items())


@pytest.mark.parametrize("content", [b"", b"These are words.\n" * 40, b"PK\x03\x04" + bytes(100)])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "words.pth").write_bytes(content)
    with pytest.raises(ValueError, match=r"words\.pth: is no PyTorch checkpoint"):
        small(checkpoint=str(tmp_path / "words.pth"))


@pytest.mark.parametrize("content", [{"meta": {}}, [1, 2], {"a": 1}])
def test_a_checkpoint_without_weights_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "bare.pth")
    with pytest.raises(ValueError, match=r"bare\.pth: holds neither a state_dict nor"):
        small(checkpoint=str(tmp_path / "bare.pth"))


def test_weights_that_do_not_fit_are_refused(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "other.pth"

    def refusal(weights: dict[str, torch.Tensor]) -> str:
        torch.save({"state_dict": weights}, path)
        with pytest.raises(ValueError, match=r"other\.pth: these weights do not fit the network") as caught:
            small(checkpoint=str(path))
        return str(caught.value)

    first = "backbone.conv1.conv.weight"
    assert f"1 missing: {first}" in refusal({key: value for key, value in state.items() if key != first})
    assert "1 unexpected: head.nonsense" in refusal(state | {"head.nonsense": torch.zeros(1)})
    assert f"1 of another shape: {first} (2, 3) instead of (8, 3, 1, 7, 7)" in refusal(
        state | {first: torch.zeros(2, 3)}
    )
    wholly_other = refusal({f"x{i}": torch.zeros(1) for i in range(9)})
    assert "9 unexpected: x0, x1, x2, ... (9 in all)" in wholly_other and " missing: " in wholly_other
    assert "checkpoint belongs to config" in wholly_other


def test_classes_must_be_those_of_the_weights(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    turned = shapes.CLASSES[::-1]
    torch.save({"state_dict": state, "meta": {"classes": list(turned)}}, tmp_path / "turned.pth")
    with pytest.raises(ValueError, match=r"turned\.pth: was trained on the classes red to yellow, .*\(8 in all\)"):
        small(checkpoint=str(tmp_path / "turned.pth"))


def test_classes_must_be_as_many_as_the_head_has() -> None:
    with pytest.raises(ValueError, match=r"lavx:shapes_tpn\.py has 8 classes but the dataset has 3"):
        small(classes=("a", "b", "c"))


def test_the_hash_in_a_name_is_checked(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    torch.save({"state_dict": state}, tmp_path / "plain.pth")
    content = (tmp_path / "plain.pth").read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    right, wrong = tmp_path / f"net_20220913-{sha256[:8]}.pth", tmp_path / "net_20220913-00000000.pth"
    right.write_bytes(content)
    wrong.write_bytes(content)
    assert small(checkpoint=str(right)).weights == {"file": str(right), "sha256": sha256}
    with pytest.raises(ValueError, match=f"begins with {sha256[:8]}, its name says 00000000"):
        small(checkpoint=str(wrong))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of weights, and no network."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network in tests")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    return tmp_path / "hub" / "checkpoints"


@pytest.mark.parametrize(
    ("net", "file"),
    [
        ("tpn", "tpn-slowonly_r50_8xb8-8x8x1-150e_kinetics400-rgb_20220913-97d0835d.pth"),
        (
            "tanet",
            "tanet_imagenet-pretrained-r50_8xb8-dense-1x1x8-100e_kinetics400-rgb_20220919-a34346bc.pth",
        ),
        ("timesformer", "timesformer_divST_8xb8-8x32x1-15e_kinetics400-rgb_20220815-a4d0d01f.pth"),
    ],
)
def test_weights_that_cannot_be_downloaded(net: str, file: str, cache: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        k400(net, checkpoint="official")
    message = str(caught.value)
    assert f"The weights {file} are not here" in message and "no network in tests" in message
    assert re.search(rf"from https://download\.openmmlab\.com/\S+/{re.escape(file)} ", message)
    assert f"put them at {cache / file}" in message and f" checkpoint=/path/to/{file}" in message


def test_downloaded_weights_are_kept_and_checked(
    cache: Path, monkeypatch: pytest.MonkeyPatch, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    torch.save({"state_dict": state}, tmp_path / "plain.pth")
    content = (tmp_path / "plain.pth").read_bytes()
    digits = hashlib.sha256(content).hexdigest()[:8]
    calls = []

    def deliver(url: str, path: str, hash_prefix: str, progress: bool) -> None:
        calls.append((url, hash_prefix))
        Path(path).write_bytes(content)

    monkeypatch.setattr(torch.hub, "download_url_to_file", deliver)
    url = f"https://example.org/net-{digits}.pth"
    for _ in range(2):
        assert small(checkpoint=url).weights["file"] == str(cache / f"net-{digits}.pth")
    assert calls == [(url, digits)], "downloaded once"
    (cache / f"net-{digits}.pth").write_bytes(content[:-10])
    with pytest.raises(ValueError, match=f"its name says {digits}; it is damaged"):
        small(checkpoint=url)


def test_missing_files_say_what_to_do() -> None:
    with pytest.raises(FileNotFoundError, match=r"/none/x\.pth: there is no such file\. Give the path or URL"):
        small(checkpoint="/none/x.pth")
    with pytest.raises(FileNotFoundError, match=r"/none/x\.pth.*publishes weights.*https://.*-97d0835d\.pth"):
        k400("tpn", checkpoint="/none/x.pth")
    with pytest.raises(FileNotFoundError, match="^config=nothing.py is neither a file nor one of mmaction2's"):
        small(config="nothing.py")
    with pytest.raises(FileNotFoundError, match=r"lavx:nothing\.py is none of lavx's own: lavx:shapes_tanet\.py"):
        small(config="lavx:nothing.py")
    with pytest.raises(FileNotFoundError, match="embedded: lavx ships no weights"):
        k400("tpn", checkpoint="embedded")
    with pytest.raises(ValueError, match=r"publishes no weights for config=lavx:shapes_tpn\.py"):
        small(checkpoint="official")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(precision="fp8"), "precision must be one of fp32, bf16, fp16; got fp8"),
        (dict(device="tpu"), "device must be auto, cpu, cuda or cuda:N; got tpu"),
        (dict(device="cuda:99"), r"device=cuda:99: PyTorch sees \d+ CUDA devices"),
        (dict(trust_checkpoint="no"), "trust_checkpoint must be True or False, got 'no'"),
        (dict(trust_checkpoint=0), "trust_checkpoint must be True or False, got 0"),
    ],
)
def test_arguments_are_checked(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**change)


def test_auto_is_a_device_there_is() -> None:
    assert small(device="auto").device.type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_clips_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"clips must be \(B, 8, H, W, 3\), got \(1, 4, 64, 64, 3\)"):
        small()(torch.zeros(1, 4, 64, 64, 3))


@pytest.mark.parametrize("step", ["dict(type='Flip')", "dict(type='ThreeCrop', crop_size=64)"])
def test_a_pipeline_that_cannot_be_one_view_is_refused(step: str, tmp_path: Path) -> None:
    text = (ROOT / "lavx" / "networks" / "openmmlab" / "configs" / "shapes_tpn.py").read_text()
    path = tmp_path / "net.py"
    path.write_text(text.replace('dict(type="CenterCrop", crop_size=64)', step))
    with pytest.raises(ValueError, match=f"val_pipeline sees only if.*{step.split(chr(39))[1]}"):
        small(config=str(path))


def test_without_openmmlab_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    absent = {"mmaction", "mmengine"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in absent else find(name))
    with pytest.raises(ModuleNotFoundError, match=r'need mmaction, mmengine: pip install "lavx\[openmmlab\]"'):
        library.load.__wrapped__()


def test_a_training_does_not_ask_a_torchvision_that_does_not_load(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    library.load()
    from mmengine.runner.runner import Runner

    said: list[str] = []
    training = SimpleNamespace(
        logger=SimpleNamespace(info=said.append),
        cfg=SimpleNamespace(_cfg_dict={}),
        **dict.fromkeys(("_seed", "_launcher", "_distributed", "_world_size"), 0),
        _randomness_cfg={},
    )
    Runner._log_env(training, {})
    assert "Runtime environment" in said[0]


def test_mmaction2_stays_off_the_terminal() -> None:
    code = (
        "from lavx.networks.openmmlab.network import Network\n"
        f"Network('tpn', 'lavx:shapes_tpn.py', 'random', {list(shapes.CLASSES)!r}, 'cpu')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    # What is left is lavx's own warning, which Python prints to stderr where no logging is set up.
    assert len(done.stderr.splitlines()) == 1 and "RANDOM WEIGHTS" in done.stderr


def test_logging_is_back_on_after_building() -> None:
    small()
    assert logging.root.manager.disable == 0
