"""What else the numbers of a run depend on: versions, commit, device and weights."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from lavx import __version__

_PACKAGES = (
    "torch",
    "mmaction2",
    "mmengine",
    "hydra-core",
    "numpy",
    "scikit-image",
    "scipy",
    "av",
    "transformers",
    "torchvision",
    "onnxruntime",
)


def environment(weights: dict[str, Any], device: str, seed: int) -> dict[str, Any]:
    """Versions, commit, device, threads and weights, as JSON holds them."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "lavx": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions,
        "device": device,
        "threads": torch.get_num_threads(),
        "weights": weights,
        "seed": seed,
    }


def _commit() -> str | None:
    """The commit of lavx's own checkout; None where it was installed as a package."""
    source = Path(__file__).resolve().parents[2]
    if not (source / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(source), "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
