"""ONNX files as classifiers: scores are the file's own, at any batch size and number type."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hydra
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hydra import compose, initialize_config_module
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from lavx import video
from lavx.networks.onnx import Onnx, network

MEAN, STD = [0.43216, 0.394666, 0.37645], [0.22803, 0.22145, 0.216989]
IMAGENET = dict(mean=MEAN, std=STD, scale=1 / 255)
TYPES = {np.float32: TensorProto.FLOAT, np.float16: TensorProto.FLOAT16, np.uint8: TensorProto.UINT8}


def write(
    path: Path,
    shape: tuple[Any, ...] = ("batch", 3, "time", "height", "width"),
    dtype: type = np.float32,
    n_outputs: int = 1,
    axis: int = 1,
) -> np.ndarray:
    """Write a network of the mean colors, channels at `axis`; returns its weight (3, 4)."""
    weight = np.random.default_rng(1).normal(0, 3, (3, 4)).astype(np.float32)
    axes = [i for i in range(1, len(shape)) if i != axis]
    nodes = [helper.make_node("Cast", ["clips"], ["floats"], to=TensorProto.FLOAT)]
    nodes += [helper.make_node("ReduceMean", ["floats", "axes"], ["means"], keepdims=0)]
    nodes += [helper.make_node("MatMul", ["means", "weight"], ["scores"])]
    names = ["scores", "means"][:n_outputs]
    graph = helper.make_graph(
        nodes,
        "colors",
        [helper.make_tensor_value_info("clips", TYPES[dtype], shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "k"]) for name in names],
        [numpy_helper.from_array(np.array(axes, np.int64), "axes"), numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return weight


@pytest.fixture
def clips() -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (5, 4, 6, 7, 3)).astype(np.float32))


def by_hand(clips: Tensor, weight: np.ndarray) -> np.ndarray:
    return ((clips.double().numpy() / 255 - MEAN) / STD).mean((1, 2, 3)) @ weight


def test_scores_are_the_files_own(tmp_path: Path, clips: Tensor) -> None:
    weight = write(tmp_path / "net.onnx")
    before = clips.clone()
    classifier = Onnx(tmp_path / "net.onnx", "BCTHW", device="cpu", **IMAGENET)
    outputs = classifier(clips)
    np.testing.assert_allclose(outputs, by_hand(clips, weight), atol=1e-5)
    assert outputs.std() > 0.1 and torch.equal(clips, before)
    array = np.moveaxis((clips.numpy() / 255 - MEAN) / STD, -1, 1).astype(np.float32)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(outputs, session.run(None, {"clips": array})[0], atol=1e-5)
    assert (classifier.name, classifier.output, classifier.classes) == ("net.onnx", None, None)
    assert classifier.device == torch.device("cpu")


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_a_fixed_batch_is_filled_up(tmp_path: Path, clips: Tensor, size: int) -> None:
    weight = write(tmp_path / "net.onnx", (size, 3, 4, 6, 7))
    outputs = Onnx(tmp_path / "net.onnx", "BCTHW", device="cpu", **IMAGENET)(clips)
    np.testing.assert_allclose(outputs, by_hand(clips, weight), atol=1e-5)


def test_one_clip_at_a_time_and_another_layout(tmp_path: Path, clips: Tensor) -> None:
    weight = write(tmp_path / "net.onnx", ("b", "t", 3, "h", "w"), axis=2)
    outputs = Onnx(tmp_path / "net.onnx", "BTCHW", device="cpu", **IMAGENET)(clips)
    np.testing.assert_allclose(outputs, by_hand(clips, weight), atol=1e-5)
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["clip", "axes"], ["scores"], keepdims=0)],
        "colors",
        [helper.make_tensor_value_info("clip", TensorProto.FLOAT, ["t", "h", "w", 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [3])],
        [numpy_helper.from_array(np.array([0, 1, 2], np.int64), "axes")],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), tmp_path / "one.onnx"
    )
    torch.testing.assert_close(Onnx(tmp_path / "one.onnx", "THWC", device="cpu")(clips), clips.mean((1, 2, 3)))


def test_the_input_has_the_number_type_of_the_file(tmp_path: Path, clips: Tensor) -> None:
    for dtype, tolerance in ((np.float16, 0.05), (np.uint8, 1e-3)):
        weight = write(tmp_path / "net.onnx", dtype=dtype)
        outputs = Onnx(tmp_path / "net.onnx", "BCTHW", device="cpu")(clips)
        seen = clips.round() if dtype == np.uint8 else clips
        np.testing.assert_allclose(outputs, seen.mean((1, 2, 3)).numpy() @ weight, rtol=tolerance, atol=0.1)
    with pytest.raises(ValueError, match="dtype=uint8 takes the gray levels 0..255 as they are: leave out mean"):
        Onnx(tmp_path / "net.onnx", "BCTHW", device="cpu", **IMAGENET)


def test_an_output_by_name(tmp_path: Path, clips: Tensor) -> None:
    write(tmp_path / "net.onnx", n_outputs=2)
    with pytest.raises(
        ValueError, match=r"net\.onnx: output_name: which of them is meant .* has scores .*, means "
    ):
        Onnx(tmp_path / "net.onnx", "BCTHW", device="cpu")
    with pytest.raises(ValueError, match=r"net\.onnx: output_name: there is no logits; it has scores"):
        Onnx(tmp_path / "net.onnx", "BCTHW", output_name="logits", device="cpu")
    outputs = Onnx(tmp_path / "net.onnx", "BCTHW", output_name="means", device="cpu")(clips)
    torch.testing.assert_close(outputs, clips.mean((1, 2, 3)))
    named = Onnx(tmp_path / "net.onnx", "BCTHW", input_name="clips", output_name="means", device="cpu")
    torch.testing.assert_close(named(clips), outputs)
    with pytest.raises(ValueError, match=r"net\.onnx: input_name: there is no video; it has clips \['batch', 3"):
        Onnx(tmp_path / "net.onnx", "BCTHW", input_name="video", device="cpu")


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (
            "BTCHW",
            r"its input clips is \['batch', 3, 16, .*\]: layout=BTCHW puts the 3 channels where it has 16; C can",
        ),
        ("CTHW", r"has 5 axes, \['batch', 3, 16, .*\], but layout=CTHW has 4"),
        ("BCHW", "layout must hold each of the letters"),
    ],
)
def test_a_layout_that_does_not_fit_is_refused(tmp_path: Path, layout: str, message: str) -> None:
    write(tmp_path / "net.onnx", ("batch", 3, 16, 112, 112))
    with pytest.raises(ValueError, match=message):
        Onnx(tmp_path / "net.onnx", layout, device="cpu")


def test_clips_of_another_size_are_refused(tmp_path: Path, clips: Tensor) -> None:
    write(tmp_path / "net.onnx", ("batch", 3, 16, 112, 112))
    with pytest.raises(
        ValueError, match=r"net\.onnx: onnxruntime cannot run it on an input \(5, 3, 4, 6, 7\): .*112"
    ):
        Onnx(tmp_path / "net.onnx", "BCTHW", device="cpu")(clips)


def test_answers_are_checked(tmp_path: Path, clips: Tensor) -> None:
    write(tmp_path / "net.onnx")
    with pytest.raises(ValueError, match="toy answered 4 columns, but 2 class names were given"):
        Onnx(tmp_path / "net.onnx", "BCTHW", classes=["a", "b"], device="cpu", name="toy")(clips)
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["clips", "axes"], ["scores"], keepdims=1)],
        "colors",
        [helper.make_tensor_value_info("clips", TensorProto.FLOAT, ["b", "t", "h", "w", 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 1, 1, 1, 3])],
        [numpy_helper.from_array(np.array([0, 1, 2, 3], np.int64), "axes")],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), tmp_path / "all.onnx"
    )
    with pytest.raises(ValueError, match=r"all\.onnx answered \(1, 1, 1, 1, 3\) for 5 clips; it must be \(5, K\)"):
        Onnx(tmp_path / "all.onnx", "BTHWC", device="cpu")(clips)


def test_lack_of_memory_asks_for_smaller_batches(tmp_path: Path, clips: Tensor) -> None:
    write(tmp_path / "net.onnx")
    classifier = Onnx(tmp_path / "net.onnx", "BCTHW", device="cpu")

    def run(*_: Any) -> None:
        raise RuntimeError("Failed to allocate memory for requested buffer of size 1234")

    classifier._session = SimpleNamespace(run=run)
    with pytest.raises(torch.OutOfMemoryError, match="net.onnx: Failed to allocate memory"):
        classifier(clips)


def test_what_is_no_onnx_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "words.onnx").write_text("These are words.")
    with pytest.raises(ValueError, match=r"words\.onnx: onnxruntime cannot load it \("):
        Onnx(tmp_path / "words.onnx", "BCTHW", device="cpu")
    with pytest.raises(
        FileNotFoundError, match=r"model=/none\.onnx: there is no such file\. Give the path or URL"
    ):
        Onnx("/none.onnx", "BCTHW")


def test_inputs_that_take_no_clips_are_refused(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["text"], ["same"])],
        "words",
        [helper.make_tensor_value_info("text", TensorProto.STRING, ["n"])],
        [helper.make_tensor_value_info("same", TensorProto.STRING, ["n"])],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), tmp_path / "w.onnx"
    )
    with pytest.raises(
        ValueError, match=r"w\.onnx: its input text takes tensor\(string\); lavx gives tensor\(float\)"
    ):
        Onnx(tmp_path / "w.onnx", "BCTHW", device="cpu")


def test_without_onnxruntime_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "net.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModuleNotFoundError, match=r'ONNX files need onnxruntime: pip install "lavx\[onnx\]"'):
        Onnx(tmp_path / "net.onnx", "BCTHW")


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="onnxruntime has a GPU"
)
def test_a_gpu_that_onnxruntime_cannot_use_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "net.onnx")
    assert Onnx(tmp_path / "net.onnx", "BCTHW", device="auto").device.type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert Onnx(tmp_path / "net.onnx", "BCTHW", device="auto").device.type == "cpu"
    with pytest.raises(
        ValueError, match="device=cuda: this onnxruntime computes on the CPU alone; .*onnxruntime-gpu"
    ):
        Onnx(tmp_path / "net.onnx", "BCTHW", device="cuda")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    session = SimpleNamespace(get_providers=lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: session)
    with pytest.raises(ValueError, match="onnxruntime could not use the GPU and would have computed on the CPU"):
        Onnx(tmp_path / "net.onnx", "BCTHW", device="cuda")


def test_the_yaml_builds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    weight = write(tmp_path / "net.onnx", (1, 3, 16, 24, 32))
    (tmp_path / "net.onnx.data").write_bytes(b"weights")
    (tmp_path / "labels.txt").write_text("a\nb\nc\nd\n")
    frames = np.random.default_rng(0).integers(0, 256, (20, 60, 80, 3), dtype=np.uint8)
    video.write_video(tmp_path / "video.mp4", frames, fps=10)
    overrides = ["net=onnx", "net.model=net.onnx", "net.layout=BCTHW", "net.classes=labels.txt", "device=cpu"]
    overrides += ["net.resize=24", "net.crop=null", "net.scale=1/255", f"net.mean={MEAN}", f"net.std={STD}"]
    with initialize_config_module("lavx.conf", version_base="1.3"):
        net = hydra.utils.instantiate(compose("run", overrides=overrides).net, _convert_="all")
    clip = net.read("video.mp4")
    assert clip.geometry.frame_indices == tuple((2 * i + 1) * 20 // 32 for i in range(16))
    clips = torch.from_numpy(clip.frames)[None].float()
    np.testing.assert_allclose(net(clips), by_hand(clips, weight), atol=1e-5)
    assert (net.name, net.classes) == ("onnx", ("a", "b", "c", "d"))
    assert net.weights == {
        "file": "net.onnx",
        "sha256": hashlib.sha256((tmp_path / "net.onnx").read_bytes()).hexdigest(),
        "data": {"file": "net.onnx.data", "sha256": hashlib.sha256(b"weights").hexdigest()},
    }


def test_a_network_checks_what_it_is_given(tmp_path: Path) -> None:
    path = str(tmp_path / "net.onnx")
    write(Path(path))
    with pytest.raises(ValueError, match="layout must be given: the order of its input's axes"):
        network(path, 16)
    with pytest.raises(ValueError, match="precision must be fp32: an ONNX file says itself in which types"):
        network(path, 16, "BCTHW", precision="bf16")
