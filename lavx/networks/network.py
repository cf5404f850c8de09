"""A video classifier of mmaction2, its weights, and the view of a video that it sees."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import pickle
import re
import socket
import sys
import urllib.error
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lavx.networks import openmmlab
from lavx.networks.allocator import keep_freed_memory
from lavx.networks.view import Clip, View

logger = logging.getLogger(__name__)

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
RANDOM_SEED = 0  # of the weights of `checkpoint: random`

_FOLDER = Path(__file__).parent
_OWN = "lavx:"  # prefix of the names of lavx's own configs
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8})\.pth$")  # as OpenMMLab names what it publishes


class Network:
    """A recognizer of mmaction2 with its weights, its own validation preprocessing and one view a video.

    What the network sees of a video is one view of it: see `lavx.networks.view.View`.

    Args:
        name: what the network is called in results; `-random` is appended where the weights are.
        config: an mmengine config: a name within mmaction2's `configs/recognition`, a file, or `lavx:` and a
            file name for one of lavx's own.
        checkpoint: `official` (the weights that mmaction2 publishes for `config`, downloaded once), a file, a
            URL, `embedded` (lavx's own for a `lavx:` config), or `random` (seeded; for tests and timings only).
        classes: class names in the order of the network's outputs.
        device: `auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:N`.
        precision: of the convolutions and matrix products: `fp32`, `bf16` or `fp16`. Logits are float32.
        trust_checkpoint: load a checkpoint that holds arbitrary Python objects, which can run code on loading.

    Attributes:
        name: as above.
        classes: as above.
        n_classes: their number.
        device: where the network is and clips must be.
        weights: `file` (as found; a name for what lavx ships) and `sha256` of it; None for random weights.

    Raises:
        ValueError: if the weights do not fit the network, the network does not fit the classes, a weights file
            is damaged, or an argument is not one of those allowed.
        FileNotFoundError: if config or weights are not there and cannot be had.
    """

    def __init__(
        self,
        name: str,
        config: str,
        checkpoint: str,
        classes: Sequence[str],
        device: str = "auto",
        precision: str = "fp32",
        trust_checkpoint: bool = False,
    ) -> None:
        if precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}; got {precision}.")
        self.device = _device(device)
        self.classes = tuple(classes)
        self.n_classes = len(self.classes)
        self._dtype = PRECISIONS[precision]

        settings = openmmlab.read_config(_config_file(config))
        n_outputs = settings.model.cls_head.num_classes
        if n_outputs != self.n_classes:
            raise ValueError(
                f"net.config={config} has {n_outputs} classes but the dataset has {self.n_classes}; choose the "
                "net that was trained on this dataset, or a config with that cls_head.num_classes."
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(RANDOM_SEED)
            self._recognizer = openmmlab.build_recognizer(settings.model)
        self.name, self.weights = self._load(name, config, checkpoint, trust_checkpoint)

        self._view = View(settings, self.name, config)
        self._read_normalization()
        self._place()

    def _load(self, name: str, config: str, checkpoint: str, trust: bool) -> tuple[str, dict[str, str | None]]:
        """Give the recognizer its weights; return the network's name and where the weights came from."""
        if checkpoint == "random":
            logger.warning(
                "net.checkpoint=random: %s has RANDOM WEIGHTS. Its classes, scores and explanations mean "
                "nothing; use it for tests and timings only.",
                name,
            )
            return f"{name}-random", {"file": f"random (seed {RANDOM_SEED})", "sha256": None}
        path = _weights_file(config, checkpoint)
        sha256 = _check_hash(path)
        content = _read_checkpoint(path, trust)
        _check_classes(path, content, self.classes)
        _fill(self._recognizer, content["state_dict"], path)
        embedded = checkpoint == "embedded"
        return name, {"file": f"{_OWN}{path.name}" if embedded else str(path), "sha256": sha256}

    def _read_normalization(self) -> None:
        """Take mean, standard deviation and order of channels from the recognizer."""
        preprocessor: Any = self._recognizer.data_preprocessor
        mean, std = getattr(preprocessor, "mean", torch.zeros(3)), getattr(preprocessor, "std", torch.ones(3))
        self._mean = mean.reshape(3, 1, 1, 1).to(self.device)
        self._std = std.reshape(3, 1, 1, 1).to(self.device)
        self._swap_channels = bool(preprocessor.to_rgb)

    def _place(self) -> None:
        """Bring the network to its device, in the number type and memory layout in which it is fastest."""
        if self.device.type == "cpu":
            keep_freed_memory()
        network: Any = self._recognizer.requires_grad_(False).to(self.device)
        if self._dtype != torch.float32:
            for module in network.modules():  # norms stay in float32; autocast sees to the rest
                if isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d):
                    module.to(self._dtype)
        # Measured: 20 to 35 % faster on the CPU for TANet and TPN. A transformer has nothing to gain, and TPN's
        # head refuses the layout.
        self._channels_last = type(network.backbone).__name__ != "TimeSformer"
        if self._channels_last:
            layout: Any = torch.channels_last if self._view.layout == "NCHW" else torch.channels_last_3d
            for part in (network.backbone, getattr(network, "neck", None)):
                if part is not None:
                    part.to(memory_format=layout)

    def read(self, path: str | Path) -> Clip:
        """Decode a video and cut out what the network sees of it.

        Raises:
            VideoError: if the video cannot be used, or is too short.
        """
        return self._view.read(path)

    @torch.inference_mode()
    def __call__(self, clips: torch.Tensor) -> torch.Tensor:
        """Class scores before the softmax: float32 (B, n_classes).

        Args:
            clips: float (B, T, H, W, 3), RGB in 0..255, on `device`.
        """
        if clips.ndim != 5 or clips.shape[-1] != 3 or clips.shape[1] != self._view.n_frames:
            raise ValueError(f"clips must be (B, {self._view.n_frames}, H, W, 3), got {tuple(clips.shape)}.")
        inputs = self._normalize(clips.float())
        if self._dtype == torch.float32:
            return openmmlab.logits(self._recognizer, inputs)
        with torch.autocast(self.device.type, dtype=self._dtype):
            return openmmlab.logits(self._recognizer, inputs).float()

    def _normalize(self, clips: torch.Tensor) -> torch.Tensor:
        """Normalize and bring into the layout of the recognizer: (B, 1, 3, T, H, W) or (B, T, 3, H, W)."""
        mean, std = self._mean, self._std
        if self._swap_channels:
            clips = clips.flip(-1)
        if self._channels_last:
            # A row at a time: broadcasting over three neighbors in memory is five times slower.
            width = clips.shape[3]
            rows = clips.flatten(3) - mean.flatten().repeat(width)
            inputs = rows.div_(std.flatten().repeat(width)).view(clips.shape).permute(0, 4, 1, 2, 3)
        else:
            inputs = (clips.permute(0, 4, 1, 2, 3).contiguous() - mean).div_(std)
        return inputs[:, None] if self._view.layout == "NCTHW" else inputs.transpose(1, 2)


def _device(name: str) -> torch.device:
    """The device that `auto`, `cpu`, `cuda` or `cuda:N` means here."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda:0" if count else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    match = re.fullmatch(r"cuda(?::(\d+))?", str(name))
    if match is None:
        raise ValueError(f"device must be auto, cpu, cuda or cuda:N; got {name}.")
    number = int(match[1] or 0)
    if number >= count:
        raise ValueError(f"device={name}: PyTorch sees {count} CUDA devices here; use device=auto or cpu.")
    return torch.device("cuda", number)


def _config_file(config: str) -> str:
    """The file of a config of lavx's own (`lavx:...`); any other name as it is."""
    if not config.startswith(_OWN):
        return config
    path = _FOLDER / "configs" / config.removeprefix(_OWN)
    if not path.is_file():
        own = ", ".join(f"{_OWN}{file.name}" for file in sorted(path.parent.glob("*.py")))
        raise FileNotFoundError(f"net.config={config} is none of lavx's own: {own}.")
    return str(path)


def _weights_file(config: str, checkpoint: str) -> Path:
    """Find the file of the weights, downloading it where it is one to download."""
    if checkpoint == "embedded":
        path = _FOLDER / "weights" / Path(config.removeprefix(_OWN)).with_suffix(".pth").name
        if not config.startswith(_OWN) or not path.is_file():
            raise FileNotFoundError(
                f"net.checkpoint=embedded: lavx ships no weights {path.name} for net.config={config}; "
                "scripts/train_shapes.py makes those of its own networks."
            )
        return path
    if checkpoint == "official":
        return _download(_official(config))
    if re.match(r"https?://", checkpoint):
        return _download(checkpoint)
    path = Path(checkpoint).expanduser()
    if not path.is_file():
        try:
            hint = f"mmaction2 publishes weights for this config at {_official(config)}: put them there, or use "
            hint += "net.checkpoint=official to have them downloaded."
        except ValueError:
            hint = "Give the path or URL of the weights."
        raise FileNotFoundError(f"net.checkpoint={checkpoint}: there is no such file. {hint}")
    return path


def _official(config: str) -> str:
    try:
        return openmmlab.official_checkpoint(config)
    except LookupError as error:
        raise ValueError(error.args[0]) from None


def _download(url: str) -> Path:
    """Fetch a file into the cache that torch.hub and mmengine share, unless it is there."""
    name = url.rsplit("/", 1)[-1]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if path.is_file():
        return path
    match = _HASH_IN_NAME.search(name)
    logger.info("Downloading %s to %s", url, path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _timeout(30):
            torch.hub.download_url_to_file(
                url, str(path), hash_prefix=match[1] if match else None, progress=sys.stderr.isatty()
            )
    except (OSError, RuntimeError, ValueError) as error:  # network, disk, hash, address
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise FileNotFoundError(
            f"The weights {name} are not here and could not be downloaded from {url} ({reason}). Download them "
            f"elsewhere and put them at {path}, or say where they are with net.checkpoint=/path/to/{name}."
        ) from error
    return path


@contextlib.contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    """Let no connection opened within hang for longer."""
    previous = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(previous)


def _check_hash(path: Path) -> str:
    """The SHA-256 of a file, checked against the eight digits in its name where there are any."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    sha256 = digest.hexdigest()
    match = _HASH_IN_NAME.search(path.name)
    if match and not sha256.startswith(match[1]):
        raise ValueError(
            f"{path}: its SHA-256 begins with {sha256[:8]}, its name says {match[1]}; it is damaged or not that "
            "file. Delete it and download it again, or rename it if it is meant to differ."
        )
    return sha256


def _read_checkpoint(path: Path, trust: bool) -> Mapping[str, Any]:
    """Read a checkpoint, without running code that it may hold unless it is trusted."""
    with path.open("rb") as file:
        start = file.read(2)
    if start != b"PK" and start[:1] != b"\x80":  # a zip archive, or in former times a pickle
        raise ValueError(f"{path}: is no PyTorch checkpoint.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=not trust)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        raise ValueError(
            f"{path}: holds more than plain weights ({found[1] if found else 'Python objects'}), as mmengine's "
            "Runner writes it, and loading that can run code. If you trust its origin, set "
            "net.trust_checkpoint=true."
        ) from error
    except (RuntimeError, EOFError, ValueError, AttributeError, ImportError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path}: is no PyTorch checkpoint, or a damaged one ({reason}).") from error
    if isinstance(content, Mapping):
        weights = content.get("state_dict", content)
        if isinstance(weights, Mapping) and weights:
            if all(isinstance(value, torch.Tensor) for value in weights.values()):
                return {"meta": content.get("meta"), "state_dict": weights}
    raise ValueError(f"{path}: holds neither a state_dict nor {{'state_dict': ..., 'meta': ...}}.")


def _check_classes(path: Path, content: Mapping[str, Any], classes: tuple[str, ...]) -> None:
    """Compare with the class names that lavx's own trainings write into `meta`."""
    meta = content.get("meta")
    trained = tuple(meta.get("classes") or ()) if isinstance(meta, Mapping) else ()
    if trained and trained != classes:
        raise ValueError(
            f"{path}: was trained on the classes {_list(trained)}; the dataset has {_list(classes)}. Names and "
            "order must be the same."
        )


def _list(names: Sequence[str], shown: int = 3) -> str:
    """The first few of some names, and how many there are."""
    more = f", ... ({len(names)} in all)" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def _fill(recognizer: nn.Module, given: Mapping[str, torch.Tensor], path: Path) -> None:
    """Load weights, every one of them: a key too many, too few or of another shape is an error."""
    # mmaction2 copies TPN's head into `new_cls` at test time: a stale double.
    given = {
        key.removeprefix("module."): value
        for key, value in given.items()
        if ".new_cls." not in key and not key.startswith("data_preprocessor.")
    }
    expected = recognizer.state_dict()
    # Counters of training steps, which old checkpoints lack.
    missing = [key for key in expected if key not in given and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in given if key not in expected]
    shapes = [
        f"{key} {tuple(given[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in expected
        if key in given and given[key].shape != expected[key].shape
    ]
    problems = [
        f"{len(keys)} {what}: {_list(keys)}"
        for what, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        if keys
    ]
    if problems:
        raise ValueError(
            f"{path}: these weights do not fit the network. Of {len(expected)} tensors "
            f"{'; '.join(problems)}. Check that net.checkpoint belongs to net.config."
        )
    recognizer.load_state_dict(given, strict=False)
