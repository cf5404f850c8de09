"""Any PyTorch module as a classifier: one in memory, one by import path, TorchScript, or torch.export."""

from __future__ import annotations

import contextlib
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lavx import checks
from lavx.networks import checkpoints
from lavx.networks.allocator import keep_freed_memory
from lavx.networks.batches import in_batches_of
from lavx.networks.clip_format import Channels, ClipFormat, check_clips
from lavx.networks.device import PRECISIONS, find_device
from lavx.networks.outputs import Answers, check_output, pick, read_classes
from lavx.networks.python_path import load, source_of
from lavx.networks.video_input import VideoInput, split_options
from lavx.networks.video_network import VideoNetwork, check_precision
from lavx.types import OutputKind


class TorchModule:
    """A classifier from a PyTorch module.

    The module is called with the normalized clips in its layout, without gradients and in evaluation mode; parts
    of it that were in training mode are so again afterwards. Its answers are checked.

    Args:
        module: a `torch.nn.Module`, TorchScript among them, or what `torch.export` makes.
        layout: the order of its input's axes, such as `BCTHW` (most 3D convolutions) or `BTCHW` (most
            transformers); without B, the module is called with one clip at a time.
        channels: `RGB` or `BGR`.
        mean: see `lavx.networks.clip_format.ClipFormat`; of values in 0..255 unless `scale` is 1/255.
        std: the same.
        scale: multiplied with the values, before mean and std.
        dtype: of its input; None for that of the module's first weight, float32 where it has none.
        output: what it answers (`lavx.types.OutputKind`); None to find out.
        classes: names in the order of its outputs, or a file of one a line; None where nobody knows them.
        device: None for where its first weight is, or `auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:N`:
            the module is moved there, and stays there.
        precision: of convolutions and matrix products: `fp32` (the module's own), `bf16` or `fp16` (autocast).
        prepare: called with the normalized batch; what it answers the module is called with: a list as one
            argument, a tuple as several, a dictionary by name. SlowFast's two pathways:
            `lambda x: [x[:, :, ::4], x]`.
        pick: called with the module's answer, takes the class scores out; unless given, `.logits` or the only
            tensor there is.
        batch: clips a call, where the module takes no other number, as an export without dynamic shapes; a
            smaller batch is filled up.
        name: in messages; the module's class unless given.

    Attributes:
        device: as above.
        output: as above.
        classes: as above, or None.
        name: as above.
        module: as above.

    Raises:
        ValueError: if a parameter is not one of those allowed, or the module was exported in training mode.
        FileNotFoundError: if there is no such file of classes.
    """

    def __init__(
        self,
        module: nn.Module | torch.export.ExportedProgram,
        layout: str,
        channels: Channels = "RGB",
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        scale: float | str = 1.0,
        dtype: str | None = None,
        output: OutputKind | None = None,
        classes: Sequence[str] | str | Path | None = None,
        device: str | None = None,
        precision: str = "fp32",
        prepare: Callable[[Tensor], Any] | None = None,
        pick: Callable[[Any], Any] = pick,
        batch: int | None = None,
        name: str | None = None,
    ) -> None:
        self.name = name or type(module).__name__
        if isinstance(module, torch.export.ExportedProgram):
            module = module.module()
        if not isinstance(module, nn.Module):
            raise ValueError(f"module must be a torch.nn.Module, got {type(module).__name__}.")
        _check_export(module, self.name)
        check_precision(precision)
        for given, value in (("prepare", prepare), ("pick", pick)):
            if value is not None and not callable(value):
                raise ValueError(f"{given} must be a function, got {value!r}.")
        self.output = check_output(output)
        self.classes = read_classes(classes)
        first = next((weight for weight in module.parameters() if weight.is_floating_point()), None)
        self._dtype = first.dtype if dtype is None and first is not None else None
        self._format = ClipFormat(layout, channels, mean, std, scale, dtype or "float32")
        self._batch = _check_batch(batch, self._format)
        if device is None:
            self.device = torch.device("cpu") if first is None else first.device
        else:
            self.device = find_device(device)
            module = module.to(self.device)
        self.module = module
        self._precision = PRECISIONS[precision]
        self._prepare, self._pick = prepare, pick
        self._answers = Answers(self.name, None if self.classes is None else len(self.classes))

    def __call__(self, clips: Tensor) -> Tensor:
        """Outputs (B, K), on `device`, of float clips (B, T, H, W, 3), RGB in 0..255, on `device`.

        Raises:
            ValueError: if the module answers anything but a row of numbers a clip, always as wide.
        """
        check_clips(clips)
        with torch.inference_mode(), _evaluating(self.module):
            if not self._format.batched:
                return torch.cat([self._answers.row(self._answer(clip)) for clip in clips])
            if self._batch is not None:
                return in_batches_of(self._batch, clips, lambda part: self._answers(self._answer(part), len(part)))
            return self._answers(self._answer(clips), len(clips))

    def _answer(self, clips: Tensor) -> Any:
        inputs = self._format(clips)
        inputs = inputs if self._dtype is None else inputs.to(self._dtype)
        lower = self._precision != torch.float32
        with torch.autocast(self.device.type, dtype=self._precision) if lower else contextlib.nullcontext():
            prepared = inputs if self._prepare is None else self._prepare(inputs)
            try:
                return self._pick(self._run(prepared))
            except AssertionError as error:
                if "Guard failed" not in str(error):
                    raise
                raise ValueError(
                    f"{self.name} was exported for another shape than {tuple(inputs.shape)} ({error}). Export it "
                    "with dynamic_shapes, or give batch=N where it takes N clips."
                ) from error

    def _run(self, prepared: Any) -> Any:
        if isinstance(prepared, Mapping):
            return self.module(**prepared)
        return self.module(*prepared) if isinstance(prepared, tuple) else self.module(prepared)


def _check_batch(batch: Any, form: ClipFormat) -> int | None:
    if batch is None:
        return None
    if not form.batched:
        raise ValueError(
            f"layout={form.layout} has no B, so one clip at a time is given; leave out batch={batch}."
        )
    return checks.whole("batch", batch)


@contextlib.contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode; what was in training mode before is so again after."""
    training = [part for part in module.modules() if part.training]
    try:
        if training:
            with contextlib.suppress(NotImplementedError):  # of an export, whose mode is that in which it was made
                module.eval()
        yield
    finally:
        for part in training:
            part.training = True


def _check_export(module: nn.Module, name: str) -> None:
    """Refuse a graph in which dropout or batch norm was recorded in training mode, which `eval()` cannot undo."""
    if not isinstance(module, torch.fx.GraphModule):
        return
    for node in module.graph.nodes:
        arguments = getattr(getattr(node.target, "_schema", None), "arguments", ())
        for argument, value in zip(arguments, node.args, strict=False):
            if argument.name in ("train", "training") and value is True:
                raise ValueError(
                    f"{name} was exported in training mode ({node.target} is random or changes its weights); "
                    "export model.eval()."
                )


def network(
    model: str,
    n_frames: int,
    layout: str | None = None,
    checkpoint: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    classes: Sequence[str] | str | None = None,
    name: str = "torch",
    device: str = "auto",
    precision: str = "fp32",
    trust_checkpoint: bool = False,
    prepare: str | None = None,
    pick: str | None = None,
    **options: Any,
) -> VideoNetwork:
    """A network from the name of a module or of a file: what `conf/net/torch.yaml` builds.

    Args:
        model: `module:name`, imported from the working directory or from what is installed: a function or class
            that builds the module, or the module itself; or a file of TorchScript, of `torch.export` (`.pt2`), or
            of a whole pickled module.
        n_frames: of a clip.
        layout: see `TorchModule`.
        checkpoint: a file or URL of weights for the module that `model` builds; None for those that it has.
        arguments: of that function or class.
        classes: see `TorchModule`.
        name: in results.
        device: see `TorchModule`.
        precision: see `TorchModule`.
        trust_checkpoint: load what can run code on loading: files of whole modules, and checkpoints that hold
            Python objects.
        prepare: `module:name` of such a function; see `TorchModule`.
        pick: the same.
        options: further arguments of `TorchModule` and of `lavx.networks.video_input.VideoInput`.

    Raises:
        ValueError: if a module cannot be had or does not fit, or a parameter is not one of those allowed.
        FileNotFoundError: if a file is not there.
    """
    checkpoints.check_trust(trust_checkpoint)
    if layout is None:
        raise ValueError(f"layout must be given: {LAYOUTS}.")
    if "{fold}" in str(checkpoint):
        raise ValueError(f"checkpoint={checkpoint}: files by fold are for OpenMMLab's networks; give one file.")
    module, weights = _find(model, checkpoint, dict(arguments or {}), trust_checkpoint)
    seeing, options = split_options(options)
    for key, path in (("prepare", prepare), ("pick", pick)):
        if path is not None:
            options[key] = load(path, key)
    classifier = TorchModule(
        module, layout, classes=classes, device=device, precision=precision, name=name, **options
    )
    if classifier.device.type == "cpu":
        keep_freed_memory()
    return VideoNetwork(name, classifier, VideoInput(n_frames, name=name, **seeing), weights)


LAYOUTS = "BCTHW for most 3D convolutions, BTCHW for most transformers, or any other order of B, T, H, W and C"


def _find(
    model: str, checkpoint: str | None, arguments: dict[str, Any], trust_checkpoint: bool
) -> tuple[nn.Module, dict[str, Any]]:
    """The module that `model` and `checkpoint` mean, and where its weights are from."""
    if ":" not in model or checkpoints.is_url(model) or Path(model).expanduser().is_file():
        if checkpoint is not None or arguments:
            raise ValueError(f"model={model} is a file and holds its weights; leave out checkpoint and arguments.")
        path = checkpoints.find_file(model, "model")
        sha256 = checkpoints.check_hash(path)
        return load_module(path, trust_checkpoint), {"file": str(path), "sha256": sha256}
    build = load(model, "model")
    source = source_of(build)
    if isinstance(build, nn.Module) and arguments:
        raise ValueError(f"model={model} is a module already; leave out arguments.")
    module = build if isinstance(build, nn.Module) else build(**arguments)
    if not isinstance(module, nn.Module):
        raise ValueError(f"model={model} answered {type(module).__name__}; it must build a torch.nn.Module.")
    if checkpoint is None:
        return module, source
    path = checkpoints.find_file(checkpoint)
    sha256 = checkpoints.check_hash(path)
    state = checkpoints.read_checkpoint(path, trust_checkpoint)["state_dict"]
    checkpoints.fill(module, state, path, hint=f"Check that checkpoint belongs to model={model}.")
    return module, {"file": str(path), "sha256": sha256, "source": source}


def load_module(path: Path, trust_checkpoint: bool = False) -> nn.Module:
    """Load a whole module: TorchScript, torch.export or a pickle. All of these can run code.

    Raises:
        ValueError: if the file is none of these, is damaged, or is not trusted.
    """
    checkpoints.check_trust(trust_checkpoint)
    kind, what = _kind(path)
    if not trust_checkpoint:
        raise ValueError(
            f"{path}: is {what}, which is a program and not weights alone: loading it can run code. If you trust "
            "its origin, set trust_checkpoint=True."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # PyTorch would rather have torch.export
            if kind == "script":
                script: nn.Module = torch.jit.load(str(path), map_location="cpu")
                return script
            if kind == "export":
                return torch.export.load(path).module()
            content = torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:  # a program may fail in any way
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path}: cannot be loaded as {what} ({reason}).") from error
    if not isinstance(content, nn.Module):
        raise ValueError(
            f"{path}: holds no module but {type(content).__name__}. Weights alone are a checkpoint: give "
            "model=module:name of what builds their network, and checkpoint=that file."
        )
    return content


def _kind(path: Path) -> tuple[str, str]:
    """Which kind of file holds a module, and its name."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = [name.partition("/")[2] for name in archive.namelist()]
        if any(name.startswith("code/") for name in names):
            return "script", "a TorchScript archive"
        if "archive_format" in names or any(name.startswith("serialized_exported_program") for name in names):
            return "export", "a torch.export archive"
        if "data.pkl" in names:
            return "pickle", "a pickled file of PyTorch"
    elif _begins(path, b"\x80"):
        return "pickle", "a pickled file of PyTorch"
    raise ValueError(f"{path}: is no file of TorchScript, torch.export or torch.save.")


def _begins(path: Path, start: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(start)) == start
