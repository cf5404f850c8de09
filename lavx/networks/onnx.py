"""An ONNX file as a classifier, through onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lavx.networks.batches import in_batches_of
from lavx.networks.checkpoints import check_hash, find_file
from lavx.networks.clip_format import Channels, ClipFormat, check_clips
from lavx.networks.device import find_device
from lavx.networks.outputs import Answers, check_output, read_classes
from lavx.networks.video_input import VideoInput, split_options
from lavx.networks.video_network import VideoNetwork, check_precision
from lavx.types import OutputKind

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
}


class Onnx:
    """A classifier from an ONNX file.

    Args:
        model: the file.
        layout: the order of its input's axes, such as `BCTHW`; without B, it is called with one clip at a time.
        channels: `RGB` or `BGR`.
        mean: see `lavx.networks.clip_format.ClipFormat`; of values in 0..255 unless `scale` is 1/255.
        std: the same.
        scale: multiplied with the values, before mean and std.
        input_name: which of its inputs takes the clips, where it has several of which the others have defaults.
        output_name: which of its outputs holds the class scores, where it has several.
        output: what these are (`lavx.types.OutputKind`); None to find out.
        classes: names in the order of the outputs, or a file of one a line; None where nobody knows them.
        device: `auto` (a GPU if PyTorch and onnxruntime have one), `cpu`, `cuda` or `cuda:N`.
        name: in messages; that of the file unless given.

    Attributes:
        device: as above.
        output: as above.
        classes: as above, or None.
        name: as above.

    Raises:
        ModuleNotFoundError: if onnxruntime is not installed.
        FileNotFoundError: if a file is not there.
        ValueError: if the file is no ONNX file, its input has not the axes of the layout, or a parameter is not
            one of those allowed.
    """

    def __init__(
        self,
        model: str | Path,
        layout: str,
        channels: Channels = "RGB",
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        scale: float | str = 1.0,
        input_name: str | None = None,
        output_name: str | None = None,
        output: OutputKind | None = None,
        classes: Sequence[str] | str | Path | None = None,
        device: str = "auto",
        name: str | None = None,
    ) -> None:
        path = find_file(model, "model")
        self.name = name or path.name
        self.output = check_output(output)
        self.classes = read_classes(classes)
        self.device, self._session = _open(path, device)
        given = _named(self._session.get_inputs(), input_name, "input_name", path)
        answered = _named(self._session.get_outputs(), output_name, "output_name", path)
        if given.type not in _DTYPES:
            raise ValueError(
                f"{path}: its input {given.name} takes {given.type}; lavx gives {', '.join(_DTYPES)}."
            )
        self._format = ClipFormat(layout, channels, mean, std, scale, _DTYPES[given.type])
        _check_shape(given.shape, layout, f"{path}: its input {given.name}")
        self._input, self._output = given.name, answered.name
        first = given.shape[layout.index("B")] if self._format.batched else None
        self._batch = first if isinstance(first, int) else None
        self._answers = Answers(self.name, None if self.classes is None else len(self.classes))

    def __call__(self, clips: Tensor) -> Tensor:
        """Outputs (B, K), on `device`, of float clips (B, T, H, W, 3), RGB in 0..255.

        Raises:
            ValueError: if the network answers anything but a row of numbers a clip, always as wide, or cannot run
                on clips of this size.
            torch.OutOfMemoryError: if there are too many clips for the memory.
        """
        check_clips(clips)
        clips = clips.detach()
        if not self._format.batched:
            outputs = torch.cat([self._answers.row(self._run(clip)) for clip in clips])
        elif self._batch is not None:
            outputs = in_batches_of(self._batch, clips, self._answer)
        else:
            outputs = self._answer(clips)
        return outputs.to(self.device)

    def _answer(self, clips: Tensor) -> Tensor:
        return self._answers(self._run(clips), len(clips))

    def _run(self, clips: Tensor) -> Any:
        inputs = {self._input: self._format(clips).cpu().numpy()}
        try:
            return self._session.run([self._output], inputs)[0]
        except Exception as error:  # onnxruntime's own have no class in common
            if "allocate memory" in str(error):
                raise torch.OutOfMemoryError(f"{self.name}: {error}") from error
            shape, said = tuple(inputs[self._input].shape), " ".join(str(error).split())
            raise ValueError(f"{self.name}: onnxruntime cannot run it on an input {shape}: {said}") from error


def _open(path: Path, device: str) -> tuple[torch.device, Any]:
    """The device that is meant, and a session of onnxruntime there."""
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError('ONNX files need onnxruntime: pip install "lavx[onnx]"') from error
    there = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    place = find_device("cpu" if device == "auto" and not there else device)
    providers: list[Any] = ["CPUExecutionProvider"]
    if place.type == "cuda":
        if not there:
            raise ValueError(
                f"device={device}: this onnxruntime computes on the CPU alone; pip uninstall onnxruntime, then "
                "pip install onnxruntime-gpu, or use device=cpu."
            )
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": place.index or 0}))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors: its warnings speak of its own optimizations
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime's own have no class in common
        raise ValueError(f"{path}: onnxruntime cannot load it ({str(error).splitlines()[0]}).") from error
    if place.type == "cuda" and "CUDAExecutionProvider" not in session.get_providers():
        raise ValueError(
            f"device={device}: onnxruntime could not use the GPU and would have computed on the CPU; check that "
            "its version fits the CUDA installed, or use device=cpu."
        )
    return place, session


def _named(nodes: Sequence[Any], name: str | None, what: str, path: Path) -> Any:
    """The input or output that is meant."""
    found = [node for node in nodes if name is None or node.name == name]
    if len(found) != 1:
        has = ", ".join(f"{node.name} {node.shape}" for node in nodes)
        asked = "which of them is meant must be given" if name is None else f"there is no {name}"
        raise ValueError(f"{path}: {what}: {asked}; it has {has}.")
    return found[0]


def _check_shape(shape: Sequence[Any], layout: str, whose: str) -> None:
    """Compare the layout with the axes that the file says; a number among them is fixed, all else is not."""
    axes = list(shape)
    if len(axes) != len(layout):
        raise ValueError(f"{whose} has {len(axes)} axes, {axes}, but layout={layout} has {len(layout)}.")
    n_channels = axes[layout.index("C")]
    if isinstance(n_channels, int) and n_channels != 3:
        where = [index for index, size in enumerate(axes) if size == 3]
        hint = f"; C can only be axis {where[0]} (from 0)" if len(where) == 1 else ""
        raise ValueError(
            f"{whose} is {axes}: layout={layout} puts the 3 channels where it has {n_channels}{hint}."
        )


def network(
    model: str,
    n_frames: int,
    layout: str | None = None,
    classes: Sequence[str] | str | None = None,
    name: str = "onnx",
    device: str = "auto",
    precision: str = "fp32",
    **options: Any,
) -> VideoNetwork:
    """A network from an ONNX file: what `conf/net/onnx.yaml` builds.

    Args:
        model: the file, or its URL.
        n_frames: of a clip.
        layout: see `Onnx`.
        classes: see `Onnx`.
        name: in results.
        device: see `Onnx`.
        precision: `fp32`; the file says in which types it computes.
        options: further arguments of `Onnx` and of `lavx.networks.video_input.VideoInput`.

    Raises:
        ModuleNotFoundError: if onnxruntime is not installed.
        ValueError: if the file does not fit or a parameter is not one of those allowed.
        FileNotFoundError: if a file is not there.
    """
    check_precision(precision, ["fp32"], "an ONNX file says itself in which types it computes")
    if layout is None:
        raise ValueError("layout must be given: the order of its input's axes, such as BCTHW or BTCHW.")
    seeing, options = split_options(options)
    classifier = Onnx(model, layout, classes=classes, device=device, name=name, **options)
    video_input = VideoInput(n_frames, name=name, **seeing)
    return VideoNetwork(name, classifier, video_input, _weights(find_file(model, "model")))


def _weights(path: Path) -> dict[str, Any]:
    """Where the weights are, with the file beside it in which exporters put large ones."""
    weights: dict[str, Any] = {"file": str(path), "sha256": check_hash(path)}
    for beside in (path.with_name(f"{path.name}.data"), path.with_name(f"{path.name}_data")):
        if beside.is_file():
            weights["data"] = {"file": str(beside), "sha256": check_hash(beside)}
    return weights
