"""Any function of arrays as a classifier: TFLite, a REST service, a language model that sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lavx.networks.calls import Calls
from lavx.networks.clip_format import Channels, ClipFormat, check_clips
from lavx.networks.device import find_device
from lavx.networks.outputs import Answers, check_output, read_classes
from lavx.networks.python_path import load, source_of
from lavx.networks.video_input import VideoInput, split_options
from lavx.networks.video_network import VideoNetwork, check_precision
from lavx.types import OutputKind


class Function:
    """A classifier from a function of NumPy arrays.

    The function gets float32 clips (B, T, H, W, 3), RGB in 0..255, and answers (B, K), a row of class scores a
    clip (a NumPy array, a torch tensor, lists, or what NumPy makes an array of); the options change what it gets.
    Each answer is checked. The function may keep and change its array.

    Args:
        function: see above.
        layout: the order of the array's axes, such as `BCTHW`; without B, such as `THWC`, the function is called
            with one clip at a time and answers (K,).
        channels: `RGB` or `BGR`.
        mean: see `lavx.networks.clip_format.ClipFormat`; of values in 0..255 unless `scale` is 1/255.
        std: the same.
        scale: multiplied with the values, before mean and std.
        dtype: of the array: `float32`, `float16`, `float64` or `uint8` (rounded).
        output: what the answers are (`lavx.types.OutputKind`); None to find out.
        classes: names in the order of the columns, or a file of one a line; None where nobody knows them.
        device: where perturbed clips are made: `auto`, `cpu`, `cuda` or `cuda:N`. The function gets arrays in any
            case.
        name: in messages; the function's own unless given.
        timeout: seconds that a call may take; None for no limit.
        retries: how often a call that fails or takes too long is made again.
        backoff: seconds before the first of these; doubled each time.

    Attributes:
        device: as above.
        output: as above.
        classes: as above, or None.
        name: as above.

    Raises:
        ValueError: if a parameter is not one of those allowed.
        FileNotFoundError: if there is no such file of classes.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        layout: str = "BTHWC",
        channels: Channels = "RGB",
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        scale: float | str = 1.0,
        dtype: str = "float32",
        output: OutputKind | None = None,
        classes: Sequence[str] | str | Path | None = None,
        device: str = "cpu",
        name: str | None = None,
        timeout: float | None = None,
        retries: int = 0,
        backoff: float = 1.0,
    ) -> None:
        if not callable(function) or isinstance(function, type):
            raise ValueError(f"function must be a function of an array of clips, got {function!r}.")
        if dtype == "bfloat16":
            raise ValueError("dtype must be one of float32, float16, float64, uint8: NumPy knows no bfloat16.")
        self.name = name or str(getattr(function, "__qualname__", type(function).__qualname__))
        self.output = check_output(output)
        self.classes = read_classes(classes)
        self.device = find_device(device)
        self._function = function
        self._format = ClipFormat(layout, channels, mean, std, scale, dtype)
        self._answers = Answers(self.name, None if self.classes is None else len(self.classes))
        self._calls = Calls(self.name, timeout, retries, backoff)

    def __call__(self, clips: Tensor) -> Tensor:
        """Outputs (B, K), on `device`, of float clips (B, T, H, W, 3), RGB in 0..255.

        Raises:
            ValueError: if the function answers anything but a row of numbers a clip, always as wide.
            CallError: if it raises an error.
            TimeoutError: if it takes longer than it may.
        """
        check_clips(clips)
        clips = clips.detach()
        if self._format.batched:
            return self._answers(self._answer(clips), len(clips)).to(self.device)
        return torch.cat([self._answers.row(self._answer(clip)) for clip in clips]).to(self.device)

    def _answer(self, clips: Tensor) -> Any:
        return self._calls(self._function, lambda: self._format(clips).cpu().numpy())


def network(
    function: str,
    n_frames: int,
    classes: Sequence[str] | str | None = None,
    name: str = "function",
    device: str = "auto",
    precision: str = "fp32",
    **options: Any,
) -> VideoNetwork:
    """A network from the name of a function: what `conf/net/function.yaml` builds.

    Args:
        function: `module:name`, imported from the working directory or from what is installed.
        n_frames: of a clip.
        classes: see `Function`.
        name: in results.
        device: see `Function`.
        precision: `fp32`; a function computes as it likes.
        options: further arguments of `Function` and of `lavx.networks.video_input.VideoInput`.

    Raises:
        ValueError: if the function cannot be imported or a parameter is not one of those allowed.
        FileNotFoundError: if there is no such file of classes.
    """
    check_precision(precision, ["fp32"], "a function computes in the number type that it likes")
    loaded = load(function, "function")
    seeing, options = split_options(options)
    classifier = Function(loaded, classes=classes, device=device, name=function, **options)
    video_input = VideoInput(n_frames, name=name, **seeing)
    return VideoNetwork(name, classifier, video_input, source_of(loaded))
