"""A video classifier of mmaction2, its weights, and the view of a video that it sees."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lavx.networks.allocator import keep_freed_memory
from lavx.networks.checkpoints import check_classes, check_hash, check_trust, read_checkpoint
from lavx.networks.device import PRECISIONS, find_device
from lavx.networks.openmmlab import checkpoints, library
from lavx.networks.openmmlab.view import View
from lavx.types import Clip, OutputKind

logger = logging.getLogger(__name__)

RANDOM_SEED = 0  # of the weights of `checkpoint: random`


class Network:
    """A recognizer of mmaction2 with its weights, its own validation preprocessing and one view a video.

    What the network sees of a video is one view of it: see `lavx.networks.openmmlab.view.View`.

    Args:
        name: what the network is called in results; `-random` is appended where the weights are.
        config: an mmengine config: a name within mmaction2's `configs/recognition`, a file, or `lavx:` and a
            file name for one of lavx's own.
        checkpoint: `official` (the weights that mmaction2 publishes for `config`, downloaded once), a file, a
            URL, `embedded` (lavx's own for a `lavx:` config), or `random` (seeded; for tests and timings only).
            A path with `{fold}` in it means one file a fold.
        classes: class names in the order of the network's outputs.
        device: `auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:N`.
        precision: of the convolutions and matrix products: `fp32`, `bf16` or `fp16`. Logits are float32.
        trust_checkpoint: load a checkpoint that holds arbitrary Python objects, which can run code on loading.
        folds: whose files are needed, where there is one a fold; the network begins with the first.

    Attributes:
        name: as above.
        classes: as above.
        n_classes: their number.
        device: where the network is and clips must be.
        output: logits.
        weights: `file` (as found; a name for what lavx ships) and `sha256` of it; None for random weights.
            Where there is one file a fold, `file` is the path with `{fold}`, and `folds` has these two by fold.
        folds: that, where there is one file a fold; else empty.

    Raises:
        ValueError: if the weights do not fit the network, the network does not fit the classes, a weights file
            is damaged, or an argument is not one of those allowed.
        FileNotFoundError: if config or weights are not there and cannot be had.
    """

    output: OutputKind = "logits"

    def __init__(
        self,
        name: str,
        config: str,
        checkpoint: str,
        classes: Sequence[str],
        device: str = "auto",
        precision: str = "fp32",
        trust_checkpoint: bool = False,
        folds: Sequence[int] = (),
    ) -> None:
        if precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}; got {precision}.")
        check_trust(trust_checkpoint)
        self.device = find_device(device)
        self.classes = tuple(classes)
        self.n_classes = len(self.classes)
        self._dtype = PRECISIONS[precision]
        self._trust = trust_checkpoint
        self._fold: int | None = None
        self._dates: dict[int, int] = {}  # by fold, when the file was written that was hashed

        settings = library.read_config(checkpoints.config_file(config))
        n_outputs = settings.model.cls_head.num_classes
        if n_outputs != self.n_classes:
            raise ValueError(
                f"config={config} has {n_outputs} classes but the dataset has {self.n_classes}; choose the "
                "net that was trained on this dataset, or a config with that cls_head.num_classes."
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(RANDOM_SEED)
            self._recognizer = library.build_recognizer(settings.model)
        self.folds: dict[int, dict[str, str | None]] = {}
        self.weights: dict[str, Any]
        self.name, self.weights = self._load(name, config, checkpoint, folds)

        self._view = View(settings, self.name, config)
        self._read_normalization()
        self._place()

    def _load(self, name: str, config: str, checkpoint: str, folds: Sequence[int]) -> tuple[str, dict[str, Any]]:
        """Give the recognizer its weights; return the network's name and where the weights came from."""
        if checkpoint == "random":
            logger.warning(
                "checkpoint=random: %s has RANDOM WEIGHTS. Its classes, scores and explanations mean "
                "nothing; use it for tests and timings only.",
                name,
            )
            return f"{name}-random", {"file": f"random (seed {RANDOM_SEED})", "sha256": None}
        if checkpoints.FOLD in checkpoint:
            for fold, path in checkpoints.fold_files(config, checkpoint, folds).items():
                self._dates[fold] = path.stat().st_mtime_ns
                self.folds[fold] = {"file": str(path), "sha256": check_hash(path)}
            self.take_fold(folds[0])
            return name, {"file": checkpoint, "sha256": None, "folds": self.folds}
        path = checkpoints.weights_file(config, checkpoint)
        sha256 = check_hash(path)
        self._fill(path)
        embedded = checkpoint == "embedded"
        return name, {"file": f"{checkpoints.OWN}{path.name}" if embedded else str(path), "sha256": sha256}

    def _fill(self, path: Path) -> None:
        """Copy the weights of a file into the recognizer, whose device, number types and layouts stay."""
        content = read_checkpoint(path, self._trust)
        check_classes(path, content, self.classes)
        checkpoints.fill(self._recognizer, content["state_dict"], path)

    def take_fold(self, fold: int) -> None:
        """Take the weights of one fold; nothing happens where they are there already.

        Each change reads the file again: 0.8 s for TimeSformer's 486 MB on two cores of a CPU, measured with the
        file in the system's cache. To keep five folds of it in memory would take 2.4 GB.

        Raises:
            ValueError: if the fold is none of `folds`, or its file is another than at the beginning.
            OSError: if its file is gone.
        """
        if fold == self._fold:
            return
        if fold not in self.folds:
            raise ValueError(f"there are no weights of fold {fold}, only of {', '.join(map(str, self.folds))}.")
        path = Path(str(self.folds[fold]["file"]))
        date = path.stat().st_mtime_ns
        if date != self._dates[fold] and check_hash(path) != self.folds[fold]["sha256"]:
            raise ValueError(f"{path} has changed since it was first read. Give the same command again.")
        self._fold = None  # neither one nor the other, should it be interrupted
        self._fill(path)
        self._fold, self._dates[fold] = fold, date

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

    def read(self, path: str | Path, start: float | None = None, end: float | None = None) -> Clip:
        """Decode a video, or its seconds `start` to `end`, and cut out what the network sees of it.

        Raises:
            VideoError: if the video cannot be used, or is too short, or has no such seconds.
            ValueError: if `start` or `end` is no number of seconds.
        """
        return self._view.read(path, start, end)

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
            return library.logits(self._recognizer, inputs)
        with torch.autocast(self.device.type, dtype=self._dtype):
            return library.logits(self._recognizer, inputs).float()

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
