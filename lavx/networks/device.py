"""Where a network computes, and in which number type."""

from __future__ import annotations

import re

import torch

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def find_device(name: str) -> torch.device:
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
