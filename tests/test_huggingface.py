"""Video classifiers of Hugging Face: their frames, their processors' pixels, their scores, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torchvision_shim
from hydra import compose, initialize_config_module
from hydra.utils import instantiate

from lavx import video
from lavx.networks.video_input import VideoInput

HAS_TORCHVISION = torchvision_shim.make_importable()
transformers = pytest.importorskip("transformers")

from lavx.networks import huggingface, huggingface_processor  # noqa: E402
from lavx.networks.huggingface import HuggingFace  # noqa: E402

NAMES = ["wave", "jump", "sit"]
FAMILIES = ["timesformer", "videomae", "vivit", "vjepa2"]
N_FRAMES = {"timesformer": 3, "videomae": 4, "vivit": 4, "vjepa2": 6}


def config_of(family: str, **more: Any) -> Any:
    """A network of one layer for frames of 32 x 32 pixels."""
    small = dict(hidden_size=24, num_hidden_layers=1, num_attention_heads=2, id2label=dict(enumerate(NAMES)))
    small |= {"label2id": {name: index for index, name in enumerate(NAMES)}} | more
    n_frames = N_FRAMES[family]
    if family == "timesformer":
        return transformers.TimesformerConfig(image_size=32, num_frames=n_frames, intermediate_size=32, **small)
    if family == "videomae":
        return transformers.VideoMAEConfig(image_size=32, num_frames=n_frames, intermediate_size=32, **small)
    if family == "vivit":
        return transformers.VivitConfig(image_size=32, num_frames=n_frames, intermediate_size=32, **small)
    predictor = dict(pred_hidden_size=24, pred_num_attention_heads=2, pred_num_hidden_layers=1)
    return transformers.VJEPA2Config(
        crop_size=32, frames_per_clip=n_frames, mlp_ratio=1, num_pooler_layers=1, **predictor, **small
    )


# As the published checkpoints of each family say it, with other sizes: odd differences, so that crops are rounded.
IMAGES: dict[str, dict[str, Any]] = {
    "timesformer": {
        "image_processor_type": "VideoMAEImageProcessor",
        "image_mean": [0.45, 0.45, 0.45],
        "image_std": [0.225, 0.225, 0.225],
        "size": {"shortest_edge": 39},
    },
    "videomae": {
        "feature_extractor_type": "VideoMAEFeatureExtractor",  # as it was called until 2023
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "size": {"shortest_edge": 32},
    },
    "vivit": {
        "image_processor_type": "VivitImageProcessor",
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "offset": True,
        "rescale_factor": 1 / 127.5,
        "size": {"shortest_edge": 43},
    },
}
COMMON = {
    "crop_size": {"height": 32, "width": 32},
    "do_center_crop": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "resample": 2,
    "rescale_factor": 1 / 255,
}
VJEPA2 = {
    "video_processor_type": "VJEPA2VideoProcessor",
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "size": {"shortest_edge": 292},  # which the processor overwrites
}


def write_processor(folder: Path, family: str, **changes: Any) -> None:
    name, own = "preprocessor_config.json", IMAGES.get(family)
    if own is None:
        name, own = "video_preprocessor_config.json", VJEPA2
    (folder / name).write_text(json.dumps(COMMON | own | changes))


def save(folder: Path, family: str, **more: Any) -> Any:
    """A network with random weights and its processor in a folder; returns the network."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.AutoModelForVideoClassification.from_config(config_of(family, **more))
        for weight in model.parameters():  # fresh ones are so small that all scores are alike
            torch.nn.init.normal_(weight, std=0.2)
        model.classifier.weight.data *= 10
    model.eval().save_pretrained(folder)
    write_processor(folder, family)
    return model


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("hub")
    for family in FAMILIES:
        save(home / family, family)
    return {family: home / family for family in FAMILIES}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 frames of 48 x 64 pixels, colored blobs that drift."""
    y, x = np.mgrid[:48, :64]
    time = np.arange(24)[:, None, None, None]
    waves = np.stack([np.sin(x / 5), np.cos(y / 4), np.sin((x + y) / 7)], -1)[None]
    frames = (128 + 100 * np.sin(waves * 2 + time / 5)).astype(np.uint8)
    file = tmp_path_factory.mktemp("videos") / "video.mp4"
    video.write_video(file, frames, fps=12, crf=1)
    return file


@pytest.fixture
def copy(folders: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """A folder that a test may spoil."""

    def copied(family: str) -> Path:
        for file in folders[family].iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        return tmp_path

    return copied


def own_processors(family: str, folder: Path) -> Iterator[Any]:
    """What transformers itself would take: its image processor, where there is one, and its video processor."""
    if family != "vjepa2":
        yield transformers.AutoImageProcessor.from_pretrained(folder)
    if HAS_TORCHVISION and family in transformers.models.auto.video_processing_auto.VIDEO_PROCESSOR_MAPPING_NAMES:
        yield transformers.AutoVideoProcessor.from_pretrained(folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_those_of_model_and_processor(family: str, folders: dict[str, Path], path: Path) -> None:
    network = HuggingFace(folders[family])
    clip = network.read(path)
    expected = VideoInput(N_FRAMES[family]).sample(24, 12)
    assert list(clip.geometry.frame_indices) == expected
    assert clip.frames.shape == (N_FRAMES[family], 32, 32, 3)
    clips = torch.from_numpy(np.stack([clip.frames, 255 - clip.frames])).float()
    scores = network(clips)
    assert scores.shape == (2, 3) and scores.dtype == torch.float32
    assert (scores[0] - scores[1]).abs().max() > 1e-2, "the frames matter"

    model = transformers.AutoModelForVideoClassification.from_pretrained(folders[family])
    source = video.read_frames(path, expected)
    compared = 0
    for processor in own_processors(family, folders[family]):
        is_video = "VideoProcessor" in type(processor).__name__
        for frames, changes in ((clip.frames, dict(do_resize=False, do_center_crop=False)), (source, {})):
            inputs = processor(frames if is_video else list(frames), return_tensors="pt", **changes)
            assert list(inputs) == [model.main_input_name]
            with torch.inference_mode():
                theirs = model(**inputs).logits
            # Pillow, with which image processors may resize, rounds a few pixels to the next gray level.
            pillow = not is_video and getattr(processor, "backend", "pil") == "pil" and not changes
            torch.testing.assert_close(scores[:1], theirs, atol=5e-2 if pillow else 1e-5, rtol=0)
            compared += 1
    assert compared or not HAS_TORCHVISION


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_network_says_of_itself(family: str, folders: dict[str, Path]) -> None:
    network = HuggingFace(folders[family])
    assert network.name == family
    assert network.classes == tuple(NAMES)
    assert network.output == "logits"
    assert network.device == torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    assert network.weights["file"] == str(folders[family] / "model.safetensors")
    assert len(network.weights["sha256"]) == 64
    preprocessing = network.weights["preprocessing"]
    assert preprocessing["crop"] == (32, 32) and json.dumps(preprocessing)


def test_the_crop_lies_where_the_processor_cuts_it(folders: dict[str, Path], path: Path) -> None:
    geometry = HuggingFace(folders["timesformer"]).read(path).geometry
    assert geometry.scaled_size == (39, 52) and geometry.crop == (3, 10, 32, 32)  # 3.5 is rounded down
    # 32 * 256 / 224, whatever V-JEPA 2's `size` says.
    assert HuggingFace(folders["vjepa2"]).read(path).geometry.scaled_size == (36, 48)


def test_how_it_sees_a_video_can_be_chosen(folders: dict[str, Path], path: Path) -> None:
    network = HuggingFace(folders["vjepa2"], sampling="stride", stride=2, resize=40, crop="own")
    geometry = network.read(path, end=1).geometry
    assert geometry.frame_indices == (0, 2, 4, 6, 8, 10)
    assert geometry.scaled_size == (40, 53) and geometry.crop == (4, 10, 32, 32)
    with pytest.raises(ValueError, match="sampling must be one of uniform, dense, stride; got 'first'"):
        HuggingFace(folders["vjepa2"], sampling="first")


def test_a_model_that_has_been_built(folders: dict[str, Path], path: Path) -> None:
    folder = folders["videomae"]
    model = transformers.AutoModelForVideoClassification.from_pretrained(folder)
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    network = HuggingFace(model, processor, device="cpu")
    expected = HuggingFace(folder, device="cpu")
    clips = torch.from_numpy(network.read(path).frames)[None].float()
    assert torch.equal(network(clips), expected(clips))
    assert network.name == "videomae" and network.weights["file"] is network.weights["sha256"] is None
    assert HuggingFace(model, name="mine").name == "mine", "the processor beside its weights"
    with torch.random.fork_rng():
        new = transformers.AutoModelForVideoClassification.from_config(config_of("videomae"))
    assert HuggingFace(new, processor).name == "VideoMAEForVideoClassification"
    assert HuggingFace(new, folder).classes == tuple(NAMES)
    with pytest.raises(
        ValueError, match="processor must be given for VideoMAEForVideoClassification, which was not"
    ):
        HuggingFace(new)


@pytest.mark.parametrize(
    ("settings", "output"),
    [
        (dict(problem_type="single_label_classification"), "logits"),
        (dict(problem_type="multi_label_classification"), "multilabel_logits"),
        (dict(problem_type="regression"), "regression"),
        (dict(id2label={0: "angle"}, label2id={"angle": 0}), "regression"),  # as transformers itself takes it
    ],
)
def test_the_kind_of_outputs_is_that_of_the_config(
    settings: dict[str, Any], output: str, folders: dict[str, Path]
) -> None:
    processor = transformers.AutoImageProcessor.from_pretrained(folders["timesformer"])
    config = config_of("timesformer", **settings)
    with torch.random.fork_rng():
        model = transformers.AutoModelForVideoClassification.from_config(config)
    assert HuggingFace(model, processor).output == output
    assert HuggingFace(model, processor, output="logits").output == "logits"
    model.config.problem_type = "ranking"
    with pytest.raises(ValueError, match="problem_type=ranking; lavx knows single_label.*, regression. Say what"):
        HuggingFace(model, processor)


def test_classes_and_numbers_of_frames(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = folders["vjepa2"]
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    assert HuggingFace(folder, classes=tmp_path / "labels.txt").classes == ("a", "b", "c")
    with pytest.raises(ValueError, match="classes has 2 names, but vjepa2 has 3 outputs"):
        HuggingFace(folder, classes=["a", "b"])
    with pytest.raises(ValueError, match="n_frames must be 6, for which vjepa2 was built, got 8"):
        HuggingFace(folder, n_frames=8)
    assert HuggingFace(folder, n_frames=6).video_input.n_frames == 6
    with pytest.raises(ValueError, match="n_frames must be given: the config of toy does not say"):
        huggingface._n_frames(None, SimpleNamespace(), "toy")
    assert huggingface._n_frames(6, SimpleNamespace(), "toy") == 6


def test_lower_precision_is_close(folders: dict[str, Path], path: Path) -> None:
    clips = torch.from_numpy(HuggingFace(folders["vivit"]).read(path).frames)[None].float()
    full, half = (HuggingFace(folders["vivit"], precision=precision)(clips) for precision in ("fp32", "bf16"))
    assert half.dtype == torch.float32 and not torch.equal(full, half)
    torch.testing.assert_close(full, half, atol=0.05, rtol=0.05)
    with pytest.raises(ValueError, match="precision must be fp32, bf16, fp16; got 'int8'"):
        HuggingFace(folders["vivit"], precision="int8")


def test_pickled_weights_are_refused_unless_trusted(copy: Callable[[str], Path], path: Path) -> None:
    folder = copy("videomae")
    expected = HuggingFace(folder)
    model = transformers.AutoModelForVideoClassification.from_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    assert HuggingFace(folder, trust_checkpoint=True).weights == expected.weights, "safetensors first"
    (folder / "model.safetensors").unlink()
    with pytest.raises(
        ValueError, match=r"pytorch_model\.bin: weights in a pickle, .* trust_checkpoint=True; better"
    ):
        HuggingFace(folder)
    with pytest.raises(ValueError, match="trust_checkpoint must be True or False, got 'yes'"):
        HuggingFace(folder, trust_checkpoint="yes")  # type: ignore[arg-type]
    trusted = HuggingFace(folder, trust_checkpoint=True)
    assert trusted.weights["file"] == str(folder / "pytorch_model.bin")
    assert trusted.weights["sha256"] != expected.weights["sha256"]
    clips = torch.from_numpy(expected.read(path).frames)[None].float()
    assert torch.equal(trusted(clips), expected(clips))
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no weights in model\.safetensors. If there is only"):
        HuggingFace(folder)


def test_weights_in_several_files(copy: Callable[[str], Path], path: Path) -> None:
    folder = copy("videomae")
    expected = HuggingFace(folder)
    model = transformers.AutoModelForVideoClassification.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="40KB")
    parts = sorted(folder.glob("model-*.safetensors"))
    assert len(parts) > 1
    network = HuggingFace(folder)
    assert network.weights["file"] == str(folder / "model.safetensors.index.json")
    clips = torch.from_numpy(expected.read(path).frames)[None].float()
    assert torch.equal(network(clips), expected(clips))
    with torch.no_grad():
        model.classifier.bias += 1
    model.save_pretrained(folder, max_shard_size="40KB")
    assert HuggingFace(folder).weights["sha256"] != network.weights["sha256"]


def test_weights_that_do_not_fill_the_model_are_refused(copy: Callable[[str], Path]) -> None:
    folder = copy("timesformer")
    model = transformers.AutoModelForVideoClassification.from_pretrained(folder)
    model.timesformer.save_pretrained(folder)  # without the head
    with pytest.raises(
        ValueError, match=r"model\.safetensors: lacks .* \(classifier\.bias.* random. Weights from pre"
    ):
        HuggingFace(folder)
    (folder / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(ValueError, match="timesformer|transformers cannot load a video classifier from it"):
        HuggingFace(folder)


def test_another_kind_of_model_is_refused(copy: Callable[[str], Path]) -> None:
    folder = copy("videomae")
    (folder / "config.json").write_text(json.dumps({"model_type": "vit"}))
    with pytest.raises(ValueError, match="transformers cannot load a video classifier from it"):
        HuggingFace(folder)


def test_code_of_a_folder_is_never_run(copy: Callable[[str], Path]) -> None:
    folder = copy("videomae")
    ran = folder / "ran"
    (folder / "code.py").write_text(f"open({str(ran)!r}, 'w').close()\nclass Model: ...\n")
    config = json.loads((folder / "config.json").read_text())
    own = {"AutoConfig": "code.Model", "AutoModelForVideoClassification": "code.Model"}
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "mine", "auto_map": own}))
    with pytest.raises(ValueError, match="transformers cannot load a video classifier from it"):
        HuggingFace(folder)
    (folder / "config.json").write_text(json.dumps(config))
    write_processor(
        folder, "videomae", feature_extractor_type="Model", auto_map={"AutoImageProcessor": "code.Model"}
    )
    with pytest.raises(ValueError, match=r"preprocessor_config\.json: the processor Model cannot be built"):
        HuggingFace(folder)
    assert not ran.exists()


def test_names_on_the_hub(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []

    def download(name: str, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((name, revision, allow_patterns))
        if name != "me/videomae":
            raise OSError("no network\nand more")
        return str(folders["videomae"])

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    monkeypatch.chdir(tmp_path)
    network = HuggingFace("me/videomae", revision="v2")
    assert asked == [("me/videomae", "v2", ["*.json", "model*.safetensors"])]
    assert network.name == "videomae" and network.weights["file"] == str(folders["videomae"] / "model.safetensors")
    HuggingFace("me/videomae", trust_checkpoint=True)
    assert asked[1][2] == ["*.json", "model*.safetensors", "pytorch_model*.bin"]
    with pytest.raises(
        FileNotFoundError,
        match=r"model=me/other is no folder here and not to be had from the Hugging Face hub \(no network\)\. "
        r"Where there is a network, get it with: hf download me/other --local-dir FOLDER\. Then give the path",
    ):
        HuggingFace("me/other")
    for name in ("/no/such", "./me/other", "a/b/c"):
        with pytest.raises(FileNotFoundError, match=f"model={name}: there is no such folder"):
            HuggingFace(name)
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(size={"longest_edge": 40}), r"makes frames of the size \{'longest_edge': 40\}; lavx knows shortest"),
        (dict(crop_size={"shortest_edge": 32}), r"makes frames of the size \{'shortest_edge': 32\}; lavx knows"),
        (dict(resample=1), r"resizes with resample=1; lavx knows 0 \(nearest\), 2 \(bilinear\), 3 \(bicubic\)"),
        (dict(image_processor_type="Magic"), r"preprocessor_config\.json: the processor Magic cannot be built"),
    ],
)
def test_processors_that_lavx_cannot_follow(
    changes: dict[str, Any], message: str, copy: Callable[[str], Path]
) -> None:
    folder = copy("vivit")
    write_processor(folder, "vivit", **changes)
    with pytest.raises(ValueError, match=message):
        HuggingFace(folder)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"holds no processor \(processor_config\.json, video_pre.*give proc"
    ):
        HuggingFace(folder)


@pytest.mark.parametrize(
    "changes",
    [
        dict(do_rescale=False, do_normalize=False, offset=False),
        dict(do_normalize=False),
        dict(offset=False, rescale_factor=1 / 255),
        dict(resample=3),
        dict(do_center_crop=False, size={"height": 32, "width": 32}),
        dict(do_resize=False),
    ],
)
def test_settings_are_read_as_the_processor_means_them(changes: dict[str, Any]) -> None:
    settings = COMMON | IMAGES["vivit"] | changes
    processor = transformers.VivitImageProcessor.from_dict(settings)
    huggingface_processor.read_settings(processor).check(processor)


def test_a_processor_that_does_something_else_is_refused(folders: dict[str, Path]) -> None:
    class Odd(transformers.VivitImageProcessor):
        def rescale(self, image: Any, *args: Any, **kwargs: Any) -> Any:
            return super().rescale(255 - image, *args, **kwargs)

    class Wide(transformers.VivitImageProcessor):
        def center_crop(self, image: Any, *args: Any, **kwargs: Any) -> Any:
            return image

    for kind, message in (
        (Odd, r"pixels that differ by up to 2\d\d gray levels"),
        (Wide, "frames of .* instead of"),
    ):
        kind.__name__ = "VivitImageProcessor"
        with pytest.raises(ValueError, match=f"VivitImageProcessor does something else than its .*{message}"):
            HuggingFace(folders["vivit"], kind.from_dict(COMMON | IMAGES["vivit"]))


WITHOUT_TORCHVISION = """
import sys
import numpy as np, torch
from lavx.networks.huggingface import HuggingFace
scores = {}
for family, folder in zip(sys.argv[3::2], sys.argv[4::2]):
    network = HuggingFace(folder)
    scores[family] = network(torch.from_numpy(network.read(sys.argv[2]).frames)[None].float()).numpy()
np.savez(sys.argv[1], **scores)
try:
    from lavx.networks.torchvision import Torchvision
    Torchvision("r3d_18")
except ImportError as error:
    print(error)
"""


def test_no_torchvision_is_needed(folders: dict[str, Path], path: Path, tmp_path: Path) -> None:
    """One that is installed and cannot be imported stops nothing."""
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    given = [str(part) for item in folders.items() for part in item]
    file = tmp_path / "scores.npz"
    command = [sys.executable, "-c", WITHOUT_TORCHVISION, str(file), str(path), *given]
    places = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": places}, text=True, capture_output=True)
    assert not done.returncode, done.stderr
    assert done.stderr.count("\n") == 1, "nothing else is said"
    assert "Going on without torchvision, which is installed but does not fit this torch (operator" in done.stderr
    assert "torchvision is installed but does not fit this torch (operator" in done.stdout
    with np.load(file) as scores:
        for family, folder in folders.items():
            network = HuggingFace(folder, device="cpu")
            own = network(torch.from_numpy(network.read(path).frames)[None].float())
            np.testing.assert_allclose(scores[family], own, atol=1e-5)


def test_what_is_not_installed_is_said(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "lavx\[huggingface\]"'):
        HuggingFace(folders["vivit"])


def test_the_configuration_builds_it(folders: dict[str, Path], path: Path) -> None:
    with initialize_config_module("lavx.conf", version_base="1.3"):
        given = ["net=huggingface", f"net.model={folders['timesformer']}", "net.name=mine", "device=cpu"]
        network = instantiate(compose("run", given).net, _convert_="all")
    expected = HuggingFace(folders["timesformer"], device="cpu")
    clip = network.read(path)
    np.testing.assert_array_equal(clip.frames, expected.read(path).frames)
    assert clip.geometry == expected.read(path).geometry
    clips = torch.from_numpy(clip.frames)[None].float()
    assert network.name == "mine" and torch.equal(network(clips), expected(clips))
