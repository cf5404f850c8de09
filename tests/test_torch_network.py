"""PyTorch modules as classifiers: scores are the module's own, whatever its layout, file, inputs and answers."""

from __future__ import annotations

import hashlib
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import hydra
import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module
from torch import Tensor, nn

from lavx import video
from lavx.networks.batches import in_batches_of
from lavx.networks.torch_module import TorchModule, load_module, network

MEAN, STD = [0.43216, 0.394666, 0.37645], [0.22803, 0.22145, 0.216989]
IMAGENET = dict(mean=MEAN, std=STD, scale=1 / 255)


class Small(nn.Module):
    """A 3D network with what behaves otherwise in training mode: dropout and batch norm."""

    def __init__(self, n_classes: int = 4, width: int = 6) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, width, 3, padding=1)
        self.norm = nn.BatchNorm3d(width)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(width, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.conv(x))).mean((2, 3, 4))
        return 9 * self.head(self.dropout(x))


@pytest.fixture
def module() -> Small:
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture
def clips() -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (3, 4, 6, 7, 3)).astype(np.float32))


def by_hand(clips: Tensor) -> Tensor:
    """The normalized clips (B, C, T, H, W), in NumPy."""
    array = (clips.double().numpy() / 255 - np.array(MEAN)) / np.array(STD)
    return torch.from_numpy(np.moveaxis(array, -1, 1).astype(np.float32).copy())


@torch.no_grad()
def own(module: nn.Module, clips: Tensor) -> Tensor:
    return module(by_hand(clips))


def test_scores_are_the_modules_own(module: Small, clips: Tensor) -> None:
    before = clips.clone()
    classifier = TorchModule(module, "BCTHW", **IMAGENET)
    outputs = classifier(clips)
    torch.testing.assert_close(outputs, own(module, clips), atol=1e-5, rtol=0)
    assert outputs.std() > 0.1 and outputs.dtype == torch.float32 and not outputs.requires_grad
    assert torch.equal(clips, before)
    assert (classifier.name, classifier.output, classifier.classes) == ("Small", None, None)
    assert classifier.device == torch.device("cpu")


def test_layouts_channels_and_one_clip_at_a_time(module: Small, clips: Tensor) -> None:
    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, x: Tensor) -> Tensor:  # one clip (T, C, H, W), BGR
            return self.inner(x.flip(1).transpose(0, 1)[None])[0]

    turned = TorchModule(Turned(), "TCHW", channels="BGR", mean=MEAN[::-1], std=STD[::-1], scale="1/255")
    torch.testing.assert_close(turned(clips), own(module, clips), atol=1e-5, rtol=0)


def test_evaluation_mode_is_enforced_and_training_mode_is_given_back(module: Small, clips: Tensor) -> None:
    classifier = TorchModule(module, "BCTHW", **IMAGENET)
    expected, mean = own(module, clips), module.norm.running_mean.clone()
    module.train()
    module.norm.eval()  # frozen, as in fine-tuning
    torch.testing.assert_close(classifier(clips), expected, atol=1e-5, rtol=0)
    assert torch.equal(module.norm.running_mean, mean)
    assert module.training and module.dropout.training and not module.norm.training
    assert all(weight.requires_grad for weight in module.parameters())
    module(by_hand(clips)).sum().backward()  # and it can still be trained


def test_training_mode_is_given_back_after_an_error(module: Small) -> None:
    module.train()
    with pytest.raises(RuntimeError):
        TorchModule(module, "BTCHW")(torch.zeros(1, 4, 6, 7, 3))
    assert module.training


def test_two_pathways_through_prepare(clips: Tensor) -> None:
    class Pathways(nn.Module):
        def forward(self, x: list[Tensor]) -> Tensor:
            assert type(x) is list
            slow, fast = x
            return torch.stack([slow.mean((1, 2, 3, 4)), fast.mean((1, 2, 3, 4))], 1)

    outputs = TorchModule(Pathways(), "BCTHW", prepare=lambda x: [x[:, :, ::4], x])(clips)
    torch.testing.assert_close(outputs[:, 0], clips[:, 0].mean((1, 2, 3)))
    torch.testing.assert_close(outputs[:, 1], clips.mean((1, 2, 3, 4)))


def test_several_and_named_arguments_through_prepare(clips: Tensor) -> None:
    class Two(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return torch.stack([a.mean((1, 2, 3, 4)), b.mean((1, 2, 3, 4))], 1)

    first = TorchModule(Two(), "BTHWC", prepare=lambda x: (x, 2 * x))(clips)
    second = TorchModule(Two(), "BTHWC", prepare=lambda x: {"b": 2 * x, "a": x})(clips)
    assert torch.equal(first, second) and torch.equal(first[:, 1], 2 * first[:, 0])


class Answering(nn.Module):
    """A module that answers what it is told to."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, x: Tensor) -> Any:
        return self.answer(x.mean((1, 2, 3)))


@pytest.mark.parametrize(
    "answer",
    [
        lambda x: SimpleNamespace(logits=x, hidden_states=None),
        lambda x: {"logits": x, "features": x[:, :1]},
        lambda x: {"scores": x},
        lambda x: (x,),
        lambda x: (None, x),
    ],
)
def test_class_scores_are_picked(answer: Any, clips: Tensor) -> None:
    torch.testing.assert_close(TorchModule(Answering(answer), "BTHWC")(clips), clips.mean((1, 2, 3)))


def test_otherwise_pick_takes_them_out(clips: Tensor) -> None:
    two = Answering(lambda x: (x[:, :1], x))
    with pytest.raises(ValueError, match=r"answers tuple with tensors 0: \(3, 1\), 1: \(3, 3\), .* Give pick"):
        TorchModule(two, "BTHWC")(clips)
    picked = TorchModule(two, "BTHWC", pick=lambda answer: answer[1])(clips)
    torch.testing.assert_close(picked, clips.mean((1, 2, 3)))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x: x[:1], r"Answering answered \(1, 3\) for 3 clips; it must be \(3, K\)"),
        (lambda x: x[0], r"answered \(3,\) for 3 clips"),
        (lambda x: x[:, None], r"answered \(3, 1, 3\) for 3 clips"),
        (lambda x: x > 0, "answered torch.bool; class scores must be real numbers"),
        (lambda x: x.to(torch.complex64), "answered torch.complex64"),
    ],
)
def test_wrong_answers_are_refused(answer: Any, message: str, clips: Tensor) -> None:
    with pytest.raises(ValueError, match=message):
        TorchModule(Answering(answer), "BTHWC")(clips)


def test_columns_must_be_as_many_as_classes(module: Small, clips: Tensor) -> None:
    with pytest.raises(ValueError, match="Small answered 4 columns, but 2 class names were given"):
        TorchModule(module, "BCTHW", classes=["a", "b"])(clips)


def test_inputs_have_the_number_type_of_the_weights(module: Small, clips: Tensor) -> None:
    expected = own(module, clips)
    torch.testing.assert_close(TorchModule(module.double(), "BCTHW", **IMAGENET)(clips).float(), expected)
    rough = TorchModule(module.bfloat16(), "BCTHW", **IMAGENET)(clips)
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, expected, atol=0.2, rtol=0)


def test_a_module_of_bytes_gets_bytes(clips: Tensor) -> None:
    class Bytes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, x: Tensor) -> Tensor:
            assert x.dtype == torch.uint8
            return x.float().mean((1, 2, 3)) * self.weight

    torch.testing.assert_close(TorchModule(Bytes(), "BTHWC", dtype="uint8")(clips), clips.round().mean((1, 2, 3)))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_comes_close(module: Small, precision: str, clips: Tensor) -> None:
    rough = TorchModule(module, "BCTHW", precision=precision, **IMAGENET)(clips)
    expected = own(module, clips)
    assert rough.dtype == torch.float32 and not torch.equal(rough, expected)
    torch.testing.assert_close(rough, expected, atol=0.1, rtol=0)


def test_a_module_stays_where_it_is_unless_a_device_is_given(module: Small) -> None:
    module = module.to("meta")
    assert TorchModule(module, "BCTHW").device.type == "meta"
    assert TorchModule(nn.Identity(), "BCTHW").device.type == "cpu"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_module_is_moved_to_its_device(module: Small, clips: Tensor) -> None:
    expected = own(module, clips)
    classifier = TorchModule(module, "BCTHW", device="cuda", **IMAGENET)
    outputs = classifier(clips.cuda())
    assert outputs.device == classifier.device == next(module.parameters()).device == torch.device("cuda:0")
    torch.testing.assert_close(outputs.cpu(), expected, atol=1e-3, rtol=0)


def test_batches_of_one_size(clips: Tensor) -> None:
    sizes = []

    def call(part: Tensor) -> Tensor:
        sizes.append(len(part))
        return part.mean((1, 2, 3))

    for size, expected in ((1, [1, 1, 1]), (2, [2, 2]), (3, [3]), (5, [5])):
        sizes.clear()
        torch.testing.assert_close(in_batches_of(size, clips, call), clips.mean((1, 2, 3)))
        assert sizes == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(module=len), "module must be a torch.nn.Module, got builtin_function_or_method"),
        (dict(layout="BCHW"), "layout must hold each of the letters"),
        (dict(layout=None), "layout must hold each of the letters .* got None"),
        (dict(mean=MEAN), "do not fit values in 0..255"),
        (dict(precision="fp8"), "precision must be fp32, bf16, fp16; got 'fp8'"),
        (dict(device="tpu"), "device must be auto, cpu, cuda or cuda:N; got tpu"),
        (dict(prepare=3), "prepare must be a function, got 3"),
        (dict(pick="logits"), "pick must be a function, got 'logits'"),
        (dict(output="softmax"), "output must be one of"),
        (dict(batch=0), "batch must be a whole number >= 1, got 0"),
        (dict(batch=True), "batch must be a whole number >= 1, got True"),
        (dict(batch=2, layout="CTHW"), "layout=CTHW has no B, so one clip at a time is given; leave out batch=2"),
    ],
)
def test_parameters_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TorchModule(**(dict(module=nn.Identity(), layout="BCTHW") | settings))


# Exports and files


def exported(module: nn.Module, dynamic: bool = True) -> torch.export.ExportedProgram:
    shapes = ({0: torch.export.Dim.DYNAMIC},) if dynamic else None
    return torch.export.export(module, (torch.zeros(2, 3, 4, 6, 7),), dynamic_shapes=shapes)


def scripted(module: nn.Module) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*torch.jit", DeprecationWarning)
        warnings.filterwarnings("ignore", ".*torch.jit", FutureWarning)  # from torch 2.14 on
        return torch.jit.trace(module, torch.zeros(2, 3, 4, 6, 7))


def test_exports_score_alike(module: Small, clips: Tensor) -> None:
    for program in (
        exported(module),
        exported(module).module(),
        scripted(module),
        torch.compile(module, backend="eager"),
    ):
        classifier = TorchModule(program, "BCTHW", **IMAGENET)
        for n_clips in (3, 1):
            torch.testing.assert_close(
                classifier(clips[:n_clips]), own(module, clips[:n_clips]), atol=1e-5, rtol=0
            )


def test_an_export_of_one_batch_size_says_so_and_takes_batches(module: Small, clips: Tensor) -> None:
    fixed = exported(module, dynamic=False)
    with pytest.raises(
        ValueError, match=r"was exported for another shape than \(3, 3, 4, 6, 7\) \(Guard .* batch=N"
    ):
        TorchModule(fixed, "BCTHW", **IMAGENET)(clips)
    filled = TorchModule(fixed, "BCTHW", batch=2, **IMAGENET)(clips)
    torch.testing.assert_close(filled, own(module, clips), atol=1e-5, rtol=0)


def test_other_assertions_of_a_module_are_its_own(clips: Tensor) -> None:
    class Strict(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise AssertionError("even frames only")

    with pytest.raises(AssertionError, match="^even frames only$"):
        TorchModule(Strict(), "BTHWC")(clips)


def test_an_export_in_training_mode_is_refused(module: Small) -> None:
    with pytest.raises(
        ValueError, match=r"was exported in training mode \(aten\..* is random .*; export model.eval"
    ):
        TorchModule(exported(module.train()), "BCTHW")


@pytest.fixture
def files(tmp_path: Path, module: Small) -> dict[str, Path]:
    """The same module in all kinds of file."""
    torch.export.save(exported(module), tmp_path / "net.pt2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(scripted(module), str(tmp_path / "script.pt"))
    torch.save(module, tmp_path / "pickle.pt")
    torch.save(module, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(module.state_dict(), tmp_path / "weights.pth")
    return {path.stem: path for path in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("net", "a torch.export archive"),
        ("script", "a TorchScript archive"),
        ("pickle", "a pickled file of PyTorch"),
        ("legacy", "a pickled file of PyTorch"),
    ],
)
def test_files_of_modules_run_only_where_they_are_trusted(
    kind: str, what: str, files: dict[str, Path], module: Small, clips: Tensor
) -> None:
    with pytest.raises(ValueError, match=f"is {what}, which is a program .* set trust_checkpoint=True"):
        network(str(files[kind]), 4, "BCTHW")
    with pytest.raises(ValueError, match="trust_checkpoint must be True or False, got 'no'"):
        network(str(files[kind]), 4, "BCTHW", trust_checkpoint="no")  # type: ignore[arg-type]
    net = network(str(files[kind]), 4, "BCTHW", trust_checkpoint=True, device="cpu", **IMAGENET)
    torch.testing.assert_close(net(clips), own(module, clips), atol=1e-5, rtol=0)
    sha256 = hashlib.sha256(files[kind].read_bytes()).hexdigest()
    assert net.weights == {"file": str(files[kind]), "sha256": sha256}


def test_a_pickle_runs_nothing_before_it_is_trusted(tmp_path: Path) -> None:
    class Runs:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    torch.save(Runs(), tmp_path / "evil.pt")
    with pytest.raises(ValueError, match="set trust_checkpoint=True"):
        load_module(tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


def test_files_that_hold_no_module_are_refused(files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"weights\.pth: holds no module but OrderedDict\. Weights alone are a check"
    ):
        load_module(files["weights"], trust_checkpoint=True)
    (tmp_path / "words.pt").write_text("These are words.")
    with pytest.raises(ValueError, match=r"words\.pt: is no file of TorchScript, torch\.export or torch\.save"):
        load_module(tmp_path / "words.pt", trust_checkpoint=True)
    (tmp_path / "cut.pt").write_bytes(b"\x80\x02" + bytes(50))
    with pytest.raises(ValueError, match=r"cut\.pt: cannot be loaded as a pickled file of PyTorch \("):
        load_module(tmp_path / "cut.pt", trust_checkpoint=True)


# By name


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Small) -> Iterator[Path]:
    """A working directory with a module of Python, weights for it and a video."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net_of_mine.py").write_text(
        "from torch import nn\nfrom test_torch_network import Small\n"
        "def build(n_classes=4, **more):\n    return Small(n_classes, **more)\n"
        "ready = Small()\n"
        "def number():\n    return 3\n"
        "def prepare(x):\n    return x * 2\n"
        "def pick(x):\n    return -x\n"
    )
    torch.save(module.state_dict(), tmp_path / "weights.pth")
    frames = np.random.default_rng(0).integers(0, 256, (20, 60, 80, 3), dtype=np.uint8)
    video.write_video(tmp_path / "video.mp4", frames, fps=10)
    yield tmp_path
    sys.modules.pop("net_of_mine", None)


def test_a_network_by_name_scores_as_its_module_does(here: Path, module: Small) -> None:
    options = dict(checkpoint="weights.pth", device="cpu", resize=30, crop=24, antialias=False)
    net = network("net_of_mine:build", 8, "BCTHW", classes=["a", "b", "c", "d"], **options, **IMAGENET)
    # Anew, with OpenCV and the module itself: 8 parts of 20 frames, 60 x 80 to 30 x 40, the middle 24 x 24 of it.
    frames = video.read_frames("video.mp4", [1, 3, 6, 8, 11, 13, 16, 18])
    seen = np.stack([cv2.resize(frame, (40, 30), interpolation=cv2.INTER_LINEAR) for frame in frames])[
        :, 3:27, 8:32
    ]
    clip = net.read("video.mp4")
    assert np.abs(seen.astype(int) - clip.frames).max() <= 1
    clips = torch.from_numpy(clip.frames)[None].float()
    torch.testing.assert_close(net(clips), own(module, clips), atol=1e-5, rtol=0)
    assert net(clips).std() > 0.1 and net.classes == ("a", "b", "c", "d")
    assert net.weights["file"] == "weights.pth"
    assert net.weights["sha256"] == hashlib.sha256((here / "weights.pth").read_bytes()).hexdigest()
    assert net.weights["source"]["sha256"] == hashlib.sha256((here / "net_of_mine.py").read_bytes()).hexdigest()


def test_the_yaml_builds_it(here: Path, module: Small, clips: Tensor) -> None:
    overrides = ["net=torch", "net.model=net_of_mine:build", "net.checkpoint=weights.pth", "net.layout=BCTHW"]
    overrides += [
        "device=cpu",
        "net.scale=1/255",
        f"net.mean={MEAN}",
        f"net.std={STD}",
        "+net.arguments.n_classes=4",
    ]
    overrides += ["net.prepare=net_of_mine:prepare", "net.pick=net_of_mine:pick"]
    with initialize_config_module("lavx.conf", version_base="1.3"):
        net = hydra.utils.instantiate(compose("run", overrides=overrides).net, _convert_="all")
    with torch.no_grad():
        torch.testing.assert_close(net(clips), -module(2 * by_hand(clips)), atol=1e-5, rtol=0)
    assert net.read("video.mp4").frames.shape == (16, 224, 224, 3)


def test_a_module_that_is_there_already_and_an_installed_class(here: Path, clips: Tensor) -> None:
    ready = network("net_of_mine:ready", 4, "BCTHW", device="cpu")
    assert ready(clips).shape == (3, 4) and ready.weights["file"] == __file__
    with pytest.raises(ValueError, match="model=net_of_mine:ready is a module already; leave out arguments"):
        network("net_of_mine:ready", 4, "BCTHW", arguments={"n_classes": 3})
    built = network("torch.nn:Flatten", 4, "BCTHW", arguments={"start_dim": 1}, device="cpu")
    assert built(clips).shape == (3, 504) and built.weights["file"].endswith("flatten.py")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(layout=None), "layout must be given: BCTHW for most 3D convolutions, BTCHW for most transformers"),
        (
            dict(model="net_of_mine:number"),
            "model=net_of_mine:number answered int; it must build a torch.nn.Module",
        ),
        (dict(model="net_of_mine:nothing"), r"has no nothing; it has build, number, prepare, pick\."),
        (
            dict(arguments={"n_classes": 5}),
            r"weights\.pth: these weights do not .* of another shape: head\.weight \(4,",
        ),
        (dict(arguments={"n_classes": 5}), "Check that checkpoint belongs to model=net_of_mine:build"),
        (dict(checkpoint="fold{fold}.pth"), "files by fold are for OpenMMLab's networks; give one file"),
        (
            dict(model="weights.pth"),
            "model=weights.pth is a file and holds its weights; leave out checkpoint and arg",
        ),
        (dict(prepare="net_of_mine:none"), "prepare=net_of_mine:none: .* has no none"),
        (dict(pick="logits"), "pick must be module:name, .*; got 'logits'"),
        (dict(trust_checkpoint="false"), "trust_checkpoint must be True or False, got 'false'"),
        (dict(trust_checkpoint=1), "trust_checkpoint must be True or False, got 1"),
    ],
)
def test_a_network_checks_what_it_is_given(here: Path, settings: dict[str, Any], message: str) -> None:
    usual: dict[str, Any] = dict(model="net_of_mine:build", n_frames=4, layout="BCTHW", checkpoint="weights.pth")
    with pytest.raises(ValueError, match=message):
        network(**(usual | settings))


def test_files_that_are_not_there_are_said(here: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"model=none\.pt: there is no such file\. Give the path or URL"):
        network("none.pt", 4, "BCTHW", trust_checkpoint=True)
    with pytest.raises(FileNotFoundError, match=r"checkpoint=none\.pth: there is no such file"):
        network("net_of_mine:build", 4, "BCTHW", checkpoint="none.pth")
