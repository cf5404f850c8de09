"""What a processor of Hugging Face does to the frames of a video."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lavx.networks.clip_format import ClipFormat
from lavx.networks.extras import import_extra
from lavx.networks.video_input import Interpolation, VideoInput

_FAMILIES = ("timesformer", "videomae", "vivit", "vjepa2")  # their video processors
_INTERPOLATIONS: dict[int, Interpolation] = {0: "nearest", 2: "bilinear", 3: "bicubic"}  # as Pillow numbers them
_FILES = {  # where processors are, most specific first, and under which key of the file
    "processor_config.json": ("video_processor", "image_processor"),
    "video_preprocessor_config.json": (),
    "preprocessor_config.json": (),
}


@dataclass(frozen=True)
class Preprocessing:
    """What is done to frames: resized, cropped in the middle, then (value * scale - mean) / std.

    Attributes:
        resize: the shorter side in pixels, (height, width), or None where frames keep their size.
        crop: (height, width), or None for no crop.
        interpolation: of the resizing, which averages over the pixels between where it makes smaller.
        scale: multiplied with values in 0..255.
        mean: of R, G and B, after that.
        std: the same.
    """

    resize: int | tuple[int, int] | None
    crop: tuple[int, int] | None
    interpolation: Interpolation
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def check(self, processor: Any) -> None:
        """Run a processor on two frames of noise and compare.

        Processors that resize with Pillow may differ by one gray level in one pixel of a hundred; those of
        torchvision do not differ. A processor that needs torchvision where there is none is not run.

        Raises:
            ValueError: if it does something else.
        """
        theirs = _run(processor, _noise(self.crop))
        if theirs is None:
            return
        seen = VideoInput(
            2, resize=self.resize, crop=self.crop, interpolation=self.interpolation, crop_rounding="down"
        )
        frames, _, _ = seen.cut(_noise(self.crop))
        ours = ClipFormat("TCHW", mean=self.mean, std=self.std, scale=self.scale)(torch.from_numpy(frames).float())
        if ours.shape != theirs.shape:
            difference = f"frames of {tuple(theirs.shape[1:])} instead of {tuple(ours.shape[1:])}"
        else:
            levels = (ours - theirs).abs() * torch.tensor(self.std)[:, None, None] / self.scale
            if levels.max() < 1.5 and levels.mean() < 0.05:
                return
            difference = f"pixels that differ by up to {levels.max():.3g} gray levels"
        raise ValueError(
            f"{type(processor).__name__} does something else than its settings say: lavx resizes, crops, rescales "
            f"and normalizes by them, and it makes {difference}. Use the model as a torch module, with what is to "
            "be done spelled out."
        )


def read_settings(processor: Any) -> Preprocessing:
    """What an image or video processor does, by its settings.

    Raises:
        ValueError: if it does something that lavx cannot do.
    """
    name = type(processor).__name__
    settings = dict(processor.to_dict())
    rescales, normalizes = bool(settings.get("do_rescale")), bool(settings.get("do_normalize"))
    mean = _channels(settings["image_mean"]) if normalizes else (0.0,) * 3
    if rescales and _has_offset(name, settings):
        mean = tuple(value + 1 for value in mean)  # (value * scale - 1 - mean) / std
    return Preprocessing(
        resize=_resize(name, settings["size"]) if settings.get("do_resize") else None,
        crop=_pair(name, settings["crop_size"]) if settings.get("do_center_crop") else None,
        interpolation=_interpolation(name, settings.get("resample")),
        scale=float(settings["rescale_factor"]) if rescales else 1.0,
        mean=mean,
        std=_channels(settings["image_std"]) if normalizes else (1.0,) * 3,
    )


def _has_offset(name: str, settings: Mapping[str, Any]) -> bool:
    """Whether 1 is subtracted after rescaling: ViViT's video processor always does, its image processor may."""
    return name == "VivitVideoProcessor" or (name == "VivitImageProcessor" and bool(settings.get("offset")))


def _channels(values: Any) -> tuple[float, ...]:
    return tuple(map(float, values)) if hasattr(values, "__iter__") else (float(values),) * 3


def _sizes(size: Any) -> dict[str, int]:
    return {key: int(value) for key, value in dict(size).items() if value is not None}


def _resize(name: str, size: Any) -> int | tuple[int, int]:
    sizes = _sizes(size)
    return sizes["shortest_edge"] if set(sizes) == {"shortest_edge"} else _pair(name, sizes)


def _pair(name: str, size: Any) -> tuple[int, int]:
    sizes = _sizes(size)
    if set(sizes) != {"height", "width"}:
        raise ValueError(
            f"{name} makes frames of the size {sizes}; lavx knows shortest_edge, or height and width. Give a "
            "processor with one of these."
        )
    return sizes["height"], sizes["width"]


def _interpolation(name: str, resample: Any) -> Interpolation:
    number = 2 if resample is None else int(resample)
    if number not in _INTERPOLATIONS:
        known = ", ".join(f"{key} ({value})" for key, value in _INTERPOLATIONS.items())
        raise ValueError(f"{name} resizes with resample={number}; lavx knows {known}.")
    return _INTERPOLATIONS[number]


def load_processor(folder: Path) -> Any:
    """The image or video processor whose settings lie in a folder, without code of the folder's own.

    Raises:
        FileNotFoundError: if the folder holds none.
        ValueError: if it is of a class that transformers does not have, or cannot make without torchvision.
    """
    file, settings = _read(folder)
    # Until 2023 image processors were called feature extractors.
    name = str(
        settings.get("video_processor_type")
        or settings.get("image_processor_type")
        or str(settings.get("feature_extractor_type")).replace("FeatureExtractor", "ImageProcessor")
    )
    try:
        return _class(name).from_dict(settings)
    except (ImportError, AttributeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"{file}: the processor {name} cannot be built ({reason}).") from error


def _read(folder: Path) -> tuple[Path, dict[str, Any]]:
    for file, keys in _FILES.items():
        path = folder / file
        if not path.is_file():
            continue
        content = json.loads(path.read_text(encoding="utf-8"))
        found = [content[key] for key in keys if key in content] if keys else [content]
        if found:
            return path, found[0]
    raise FileNotFoundError(
        f"{folder}: holds no processor ({', '.join(_FILES)}), and without one nobody knows how the network wants "
        "its frames. Put there what came with the weights, or give processor, a folder that has it."
    )


def _class(name: str) -> Any:
    """The class of a processor.

    Where torchvision is missing, transformers hands out empty shells of its video processors. Those of the four
    families can be built all the same, and their settings be read, from their own modules.
    """
    for family in _FAMILIES:
        place = f"transformers.models.{family}.video_processing_{family}"
        if importlib.util.find_spec(place):  # not all of them are in all versions
            module = importlib.import_module(place)
            if name in module.__all__:
                return getattr(module, name)
    return getattr(import_extra("transformers", "huggingface"), name)


def _noise(crop: tuple[int, int] | None) -> np.ndarray:
    """Two frames uint8 that are larger than the crop."""
    height, width = crop or (32, 32)
    return np.random.default_rng(0).integers(0, 256, (2, height + 9, width + 32, 3), dtype=np.uint8)


def _run(processor: Any, frames: np.ndarray) -> torch.Tensor | None:
    """What a processor makes of frames, float (T, 3, H, W); None where it cannot run here."""
    base = import_extra("transformers.video_processing_utils", "huggingface").BaseVideoProcessor
    if not isinstance(processor, base):
        processed = processor(list(frames), return_tensors="pt")
    elif importlib.util.find_spec("torchvision"):
        processed = processor(frames, do_sample_frames=False, return_tensors="pt")
    else:
        return None
    values: torch.Tensor = next(iter(processed.values()))[0]
    return values.float()
