"""Weights: where they are, whether they are whole, and that every one of them fits its network."""

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

logger = logging.getLogger(__name__)

_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8})\.(?:pth?|safetensors)$")  # as OpenMMLab and torch.hub name files


def check_trust(trust_checkpoint: object) -> bool:
    """Whether files that can run code may be loaded; "no" or "false" must not pass for true.

    Raises:
        ValueError: if it is neither True nor False.
    """
    if not isinstance(trust_checkpoint, bool):
        raise ValueError(f"trust_checkpoint must be True or False, got {trust_checkpoint!r}.")
    return trust_checkpoint


def is_url(checkpoint: str) -> bool:
    """Whether weights are to be downloaded."""
    return re.match(r"https?://", checkpoint) is not None


def find_file(checkpoint: str | Path, what: str = "checkpoint") -> Path:
    """The file of some weights, downloaded where it is a URL.

    Args:
        checkpoint: a path or a URL.
        what: the parameter, for messages.

    Raises:
        FileNotFoundError: if it is not there and cannot be had.
    """
    if is_url(str(checkpoint)):
        return download(str(checkpoint))
    path = Path(checkpoint).expanduser()
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "there is no such file"
        raise FileNotFoundError(f"{what}={checkpoint}: {found}. Give the path or URL of a file.")
    return path


def download(url: str) -> Path:
    """Fetch a file into the cache that torch.hub and mmengine share, unless it is there.

    Raises:
        FileNotFoundError: if it cannot be had; it says where the file may be put by hand.
    """
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
            f"elsewhere and put them at {path}, or say where they are with checkpoint=/path/to/{name}."
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


def check_hash(path: Path) -> str:
    """The SHA-256 of a file, checked against the eight digits in its name where there are any.

    Raises:
        ValueError: if the name says another one.
    """
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    match = _HASH_IN_NAME.search(path.name)
    if match and not sha256.startswith(match[1]):
        raise ValueError(
            f"{path}: its SHA-256 begins with {sha256[:8]}, its name says {match[1]}; it is damaged or not that "
            "file. Delete it and download it again, or rename it if it is meant to differ."
        )
    return sha256


def read_checkpoint(path: Path, trust_checkpoint: bool = False) -> dict[str, Any]:
    """Read a checkpoint of PyTorch or safetensors, without running code that it may hold unless it is trusted.

    Args:
        path: the file; `.safetensors` in its name says which of the two it is.
        trust_checkpoint: load arbitrary Python objects, which can run code on loading.

    Returns:
        `state_dict`, tensors by name, and `meta`, what else the file says of itself (None if nothing).

    Raises:
        ValueError: if it is none, is damaged, holds no weights, or holds more than weights and is not trusted.
        ModuleNotFoundError: if the package safetensors is needed and not installed.
    """
    check_trust(trust_checkpoint)
    if path.suffix == ".safetensors":
        return {"meta": None, "state_dict": _read_safetensors(path)}
    content = _read_torch(path, trust_checkpoint)
    if isinstance(content, Mapping):
        weights = content.get("state_dict", content)
        if isinstance(weights, Mapping) and weights:
            if all(isinstance(value, torch.Tensor) for value in weights.values()):
                return {"meta": content.get("meta"), "state_dict": weights}
    raise ValueError(f"{path}: holds neither a state_dict nor {{'state_dict': ..., 'meta': ...}}.")


def _read_torch(path: Path, trust_checkpoint: bool) -> Any:
    with path.open("rb") as file:
        start = file.read(2)
    if start != b"PK" and start[:1] != b"\x80":  # a zip archive, or in former times a pickle
        raise ValueError(f"{path}: is no PyTorch checkpoint.")
    try:
        return torch.load(path, map_location="cpu", weights_only=not trust_checkpoint)
    except (RuntimeError, EOFError, ValueError, AttributeError, ImportError, pickle.UnpicklingError) as error:
        if isinstance(error, pickle.UnpicklingError) and not trust_checkpoint:
            found = re.search(r"GLOBAL (\S+)", str(error))
            raise ValueError(
                f"{path}: holds more than plain weights ({found[1] if found else 'Python objects'}), as "
                "mmengine's Runner writes it, and loading that can run code. If you trust its origin, set "
                "trust_checkpoint=True."
            ) from error
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path}: is no PyTorch checkpoint, or a damaged one ({reason}).") from error


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        from safetensors import SafetensorError  # type: ignore[import-not-found, import-untyped]
        from safetensors.torch import load_file  # type: ignore[import-not-found, import-untyped]
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{path}: reading it needs a package: pip install safetensors") from error
    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise ValueError(f"{path}: is no safetensors file, or a damaged one ({error}).") from error


def check_classes(path: Path, content: Mapping[str, Any], classes: tuple[str, ...]) -> None:
    """Compare with the class names that lavx's own trainings write into `meta`.

    Raises:
        ValueError: if they are not the same in the same order.
    """
    meta = content.get("meta")
    trained = tuple(meta.get("classes") or ()) if isinstance(meta, Mapping) else ()
    if trained and trained != classes:
        raise ValueError(
            f"{path}: was trained on the classes {listed(trained)}; the dataset has {listed(classes)}. Names and "
            "order must be the same."
        )


def listed(names: Sequence[str], shown: int = 3) -> str:
    """The first few of some names, and how many there are."""
    more = f", ... ({len(names)} in all)" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def fill(
    network: nn.Module, given: Mapping[str, torch.Tensor], path: Path, hint: str = "Check that they belong to it."
) -> None:
    """Load weights, every one of them: a key too many, too few or of another shape is an error.

    The device, number types and memory layouts of the network stay. A prefix `module.` of the keys, which
    DataParallel writes, is left out.

    Args:
        network: takes the weights.
        given: tensors by name.
        path: where they are from, for messages.
        hint: ends the message: what to do.

    Raises:
        ValueError: saying which keys do not fit.
    """
    given = {key.removeprefix("module."): value for key, value in given.items()}
    expected = network.state_dict()
    # Counters of training steps, which old checkpoints lack.
    missing = [key for key in expected if key not in given and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in given if key not in expected]
    shapes = [
        f"{key} {tuple(given[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in expected
        if key in given and given[key].shape != expected[key].shape
    ]
    complex_ones = [
        key for key in expected if key in given and given[key].is_complex() > expected[key].is_complex()
    ]
    problems = [
        f"{len(keys)} {what}: {listed(keys)}"
        for what, keys in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", shapes),
            ("complex instead of real", complex_ones),
        )
        if keys
    ]
    if problems:
        raise ValueError(
            f"{path}: these weights do not fit the network. Of {len(expected)} tensors {'; '.join(problems)}. "
            f"{hint}"
        )
    network.load_state_dict(given, strict=False)
