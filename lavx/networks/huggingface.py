"""Video classifiers of Hugging Face's transformers: TimeSformer, VideoMAE, ViViT, V-JEPA 2."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lavx.networks import huggingface_processor as processors
from lavx.networks.allocator import keep_freed_memory
from lavx.networks.checkpoints import check_hash, check_trust, listed
from lavx.networks.extras import import_extra, import_transformers
from lavx.networks.outputs import check_output, read_classes
from lavx.networks.torch_module import TorchModule
from lavx.networks.video_input import VideoInput
from lavx.networks.video_network import VideoNetwork
from lavx.types import OutputKind

_SAFE = ("model.safetensors", "model.safetensors.index.json")
_PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
_OUTPUTS: dict[str, OutputKind] = {  # by `problem_type` of the config
    "single_label_classification": "logits",
    "multi_label_classification": "multilabel_logits",
    "regression": "regression",
}


class HuggingFace(VideoNetwork):
    """A video classifier of transformers behind its own processor.

    Frames are resized, cropped, rescaled and normalized as its processor does it; how many a clip has, the classes
    and the kind of outputs are those of its config. Code that comes with weights is never run.

    Args:
        model: a folder that `save_pretrained` wrote, a name on the Hugging Face hub, or a model that has been
            built.
        processor: the same for its image or video processor; None for the one that came with the weights.
        name: what it is called in results; the last part of the model's name unless given.
        n_frames: of a clip, for a model whose config does not say.
        classes: names in the order of the outputs, or a file of one a line; None for those of the config.
        output: what the outputs are (`lavx.types.OutputKind`); None for what the config says.
        device: `auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:N`; None leaves a model that has been built
            where it is.
        precision: of the convolutions and matrix products: `fp32`, `bf16` or `fp16`.
        revision: a branch, tag or commit of a name on the hub.
        trust_checkpoint: also load weights from `pytorch_model.bin`, which is a pickle.
        seeing: how it sees a video: arguments of `lavx.networks.video_input.VideoInput`. `own` and what is left
            out is what the processor does; frames are sampled uniformly.

    Attributes:
        weights: `file` and `sha256` of the weights, None for a model that has been built. Where they are in
            several files, `file` is their index and `sha256` that of their hashes, one a line, by name. Also
            `preprocessing`, what the processor does.

    Raises:
        ValueError: if weights are pickled and not trusted, are damaged, or do not fill the model; if the processor
            does what lavx cannot do; or if a parameter is not one of those allowed.
        FileNotFoundError: if the model or its processor are not there and cannot be had.
        ModuleNotFoundError: if transformers is not installed.
    """

    def __init__(
        self,
        model: str | Path | nn.Module,
        processor: Any = None,
        name: str | None = None,
        n_frames: int | None = None,
        classes: Sequence[str] | str | Path | None = None,
        output: OutputKind | None = None,
        device: str | None = "auto",
        precision: str = "fp32",
        revision: str | None = None,
        trust_checkpoint: bool = False,
        **seeing: Any,
    ) -> None:
        import_transformers()
        weights: dict[str, Any] = {"file": None, "sha256": None}
        if isinstance(model, nn.Module):
            built: Any = model
            if not hasattr(built, "main_input_name"):
                raise ValueError(
                    "model must be a folder, a name on the hub or a model of transformers, got "
                    f"{type(model).__name__}."
                )
            home = str(built.config.name_or_path)
        else:
            folder = find_folder(str(model), revision, trust_checkpoint)
            built, weights = load_model(folder, trust_checkpoint)
            home = str(folder)
            name = name or Path(model).expanduser().resolve().name
        config = built.config
        name = name or Path(config.name_or_path).name or type(built).__name__
        does = _preprocessing(home if processor is None else processor, name)
        classifier = TorchModule(
            built,
            layout="BTCHW",
            mean=does.mean,
            std=does.std,
            scale=does.scale,
            output=check_output(output) or _output(config, name),
            classes=_classes(classes, config, name),
            device=device,
            precision=precision,
            prepare=lambda inputs: {built.main_input_name: inputs},
            name=name,
        )
        if classifier.device.type == "cpu":
            keep_freed_memory()
        own: dict[str, Any] = {"resize": does.resize, "crop": does.crop, "interpolation": does.interpolation}
        own |= {key: value for key, value in seeing.items() if value != "own"}
        video_input = VideoInput(_n_frames(n_frames, config, name), name=name, crop_rounding="down", **own)
        super().__init__(name, classifier, video_input, weights | {"preprocessing": asdict(does)})


def find_folder(model: str, revision: str | None = None, trust_checkpoint: bool = False) -> Path:
    """The folder of a model: one that is here, or what the hub has under that name, downloaded once.

    Args:
        model: a folder or a name on the hub.
        revision: a branch, tag or commit of a name on the hub.
        trust_checkpoint: whether to download pickled weights too.

    Raises:
        FileNotFoundError: if there is none; it says how to come by it.
    """
    check_trust(trust_checkpoint)
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if path.is_absolute() or model.startswith(".") or len(path.parts) > 2:
        raise FileNotFoundError(f"model={model}: there is no such folder.")
    wanted = ["*.json", "model*.safetensors"] + ["pytorch_model*.bin"] * trust_checkpoint
    hub = import_extra("huggingface_hub", "huggingface")
    try:
        return Path(hub.snapshot_download(model, revision=revision, allow_patterns=wanted))
    except (OSError, ValueError) as error:  # network, disk, no such name
        raise FileNotFoundError(
            f"model={model} is no folder here and not to be had from the Hugging Face hub ({_first_line(error)}). "
            f"Where there is a network, get it with: hf download {model} --local-dir FOLDER. Then give the path "
            "of that folder."
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def load_model(folder: Path, trust_checkpoint: bool = False) -> tuple[Any, dict[str, Any]]:
    """A video classifier and its weights from a folder, and where these are from.

    Args:
        folder: as `save_pretrained` writes it.
        trust_checkpoint: also load pickled weights.

    Returns:
        The model in float32, and `file` and `sha256` of the weights.

    Raises:
        ValueError: if the weights are pickled and not trusted, are damaged, or lack some that the model has; if
            the folder holds another kind of model.
        FileNotFoundError: if there are none.
    """
    check_trust(trust_checkpoint)
    first, files = _weights(folder, trust_checkpoint)
    transformers = import_transformers()
    damaged = import_extra("safetensors", "huggingface").SafetensorError
    try:
        with _quiet():
            model, loading = transformers.AutoModelForVideoClassification.from_pretrained(
                folder,
                use_safetensors=first.name in _SAFE,
                output_loading_info=True,
                trust_remote_code=False,
                local_files_only=True,
                dtype=torch.float32,
            )
    except (OSError, ValueError, RuntimeError, KeyError, damaged) as error:
        raise ValueError(
            f"{folder}: transformers cannot load a video classifier from it ({_first_line(error)})."
        ) from error
    missing = sorted(loading["missing_keys"])
    if missing:
        raise ValueError(
            f"{first}: lacks {len(missing)} of the model's weights ({listed(missing)}), which would be random. "
            "Weights from pretraining have no classes; choose a checkpoint that was fine-tuned for classification."
        )
    return model, {"file": str(first), "sha256": _hash(files)}


def _weights(folder: Path, trust_checkpoint: bool) -> tuple[Path, list[Path]]:
    """The file of a folder's weights, or the index of several; and the files themselves."""
    safe = next((folder / name for name in _SAFE if (folder / name).is_file()), None)
    pickled = next((folder / name for name in _PICKLED if (folder / name).is_file()), None)
    first = safe or pickled
    if first is None:
        raise FileNotFoundError(
            f"{folder}: holds no weights in {_SAFE[0]}. If there is only a {_PICKLED[0]} of them, a pickle, which "
            "can run code on loading, and you trust its origin, set trust_checkpoint=True."
        )
    if safe is None and not trust_checkpoint:
        raise ValueError(
            f"{first}: weights in a pickle, which can run code on loading. If you trust its origin, set "
            f"trust_checkpoint=True; better is a {_SAFE[0]}, which model.save_pretrained(folder) writes."
        )
    if first.suffix != ".json":
        return first, [first]
    names = set(json.loads(first.read_text(encoding="utf-8"))["weight_map"].values())
    return first, [folder / name for name in sorted(names)]


def _hash(files: Sequence[Path]) -> str:
    hashes = [check_hash(file) for file in files]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars and reports: what is wrong with weights is raised."""
    logging = import_extra("transformers.utils.logging", "huggingface")
    verbosity, shows = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if shows:
            logging.enable_progress_bar()


def _preprocessing(processor: Any, name: str) -> processors.Preprocessing:
    """What a processor does: one in a folder or on the hub, or one that has been built."""
    if isinstance(processor, str | Path):
        if not str(processor):
            raise ValueError(f"processor must be given for {name}, which was not loaded from a folder or the hub.")
        folder = find_folder(str(processor))
        with _quiet():  # that torchvision is missing: its processors' settings are read, not run
            processor = processors.load_processor(folder)
    does = processors.read_settings(processor)
    does.check(processor)
    return does


def _output(config: Any, name: str) -> OutputKind:
    """What the outputs are, as transformers itself chooses the loss."""
    if config.problem_type is None:
        return "regression" if config.num_labels == 1 else "logits"
    if config.problem_type not in _OUTPUTS:
        raise ValueError(
            f"{name}: its config has problem_type={config.problem_type}; lavx knows {', '.join(_OUTPUTS)}. Say "
            "what its outputs are with output."
        )
    return _OUTPUTS[config.problem_type]


def _classes(classes: Sequence[str] | str | Path | None, config: Any, name: str) -> tuple[str, ...]:
    own = tuple(str(config.id2label[index]) for index in sorted(config.id2label, key=int))
    given = read_classes(classes) or own
    if len(given) != len(own):
        raise ValueError(f"classes has {len(given)} names, but {name} has {len(own)} outputs.")
    return given


def _n_frames(n_frames: int | None, config: Any, name: str) -> int:
    own: int | None = getattr(config, "num_frames", None) or getattr(config, "frames_per_clip", None)
    wanted = own if n_frames is None else n_frames
    if wanted is None:
        raise ValueError(f"n_frames must be given: the config of {name} does not say how many frames a clip has.")
    if own not in (None, wanted):
        raise ValueError(f"n_frames must be {own}, for which {name} was built, got {n_frames}.")
    return wanted
