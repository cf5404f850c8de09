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

from lavx.networks.openmmlab import library

logger = logging.getLogger(__name__)

OWN = "lavx:"  # prefix of the names of lavx's own configs
FOLD = "{fold}"  # in the path of a checkpoint: there is one file a fold

_FOLDER = Path(__file__).parent
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8})\.pth$")  # as OpenMMLab names what it publishes


def config_file(config: str) -> str:
    """The file of a config of lavx's own (`lavx:...`); any other name as it is."""
    if not config.startswith(OWN):
        return config
    path = _FOLDER / "configs" / config.removeprefix(OWN)
    if not path.is_file():
        own = ", ".join(f"{OWN}{file.name}" for file in sorted(path.parent.glob("*.py")))
        raise FileNotFoundError(f"net.config={config} is none of lavx's own: {own}.")
    return str(path)


def weights_file(config: str, checkpoint: str) -> Path:
    """Find the file of the weights, downloading it where it is one to download."""
    if checkpoint == "embedded":
        path = _FOLDER / "weights" / Path(config.removeprefix(OWN)).with_suffix(".pth").name
        if not config.startswith(OWN) or not path.is_file():
            raise FileNotFoundError(
                f"net.checkpoint=embedded: lavx ships no weights {path.name} for net.config={config}; "
                "lavx train dataset=shapes net=... makes those of its own networks."
            )
        return path
    if checkpoint == "official":
        return _download(_official(config))
    if _is_url(checkpoint):
        return _download(checkpoint)
    path = Path(checkpoint).expanduser()
    if not _is_file(checkpoint):
        try:
            hint = f"mmaction2 publishes weights for this config at {_official(config)}: put them there, or use "
            hint += "net.checkpoint=official to have them downloaded."
        except ValueError:
            hint = "Give the path or URL of the weights."
        raise FileNotFoundError(f"net.checkpoint={checkpoint}: there is no such file. {hint}")
    return path


def fold_files(config: str, checkpoint: str, folds: Sequence[int]) -> dict[int, Path]:
    """Find the files of a checkpoint with `{fold}` in its path.

    Raises:
        ValueError: if there are no folds.
        FileNotFoundError: if files are not there; it names all of them.
    """
    if not folds:
        raise ValueError(
            f"net.checkpoint={checkpoint} means one file a fold, but the dataset has no folds; give the path of "
            f"one file, without {FOLD}."
        )
    names = {fold: checkpoint.replace(FOLD, str(fold)) for fold in folds}
    missing = {fold: name for fold, name in names.items() if not (_is_url(name) or _is_file(name))}
    if missing:
        numbers = ",".join(map(str, missing))
        raise FileNotFoundError(
            f"net.checkpoint={checkpoint}: there is no {', '.join(missing.values())}. "
            f"lavx train -m dataset=... net=... fold={numbers} makes what is missing."
        )
    return {fold: weights_file(config, name) for fold, name in names.items()}


def _is_url(checkpoint: str) -> bool:
    return re.match(r"https?://", checkpoint) is not None


def _is_file(checkpoint: str) -> bool:
    return Path(checkpoint).expanduser().is_file()


def _official(config: str) -> str:
    try:
        return library.official_checkpoint(config)
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


def check_hash(path: Path) -> str:
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


def read_checkpoint(path: Path, trust: bool) -> Mapping[str, Any]:
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


def check_classes(path: Path, content: Mapping[str, Any], classes: tuple[str, ...]) -> None:
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


def fill(recognizer: nn.Module, given: Mapping[str, torch.Tensor], path: Path) -> None:
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
