"""The identity of a run: what decides its numbers, so that a folder holds the results of one configuration only.

Part of it are the parameters of every component and the name of its class; the content of weights and configs, by
their SHA-256. Not part of it are the module that a class lies in and the folder that data lie in, so that a
renamed module or a moved data set does not make old results another configuration's. That each video is still the
one that was explained is checked by its own hash (`lavx.experiments.record.VideoFile`).
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from lavx.errors import RequestError
from lavx.files import write_text

CONFIG, ENVIRONMENT, CONTENT = "config.yaml", "environment.json", "content.json"

# Where data lie. What they hold is compared by content: videos by their own hashes, files by `_content`.
_PLACES = ("dataset.root", "dataset.splits", "dataset.authors_lists")
# Files that decide numbers: compared by what is in them, wherever they lie.
_FILES = (
    "class_map",
    "dataset.annotations",
    "dataset.classes",
    "net.config",
    "net.checkpoint",
    "net.model",
    "net.classes",
)
_RENAMED = {"Games": "InsertionDeletion", "Floor": "Control"}  # classes of lavx 0.1
_LARGEST_HASHED = 64 << 20  # bytes; larger files are weights, whose hash is in environment.json anyway


def identity(settings: Mapping[str, Any], apart: Collection[str]) -> dict[str, Any]:
    """The settings without the keys at their top that do not decide what is computed."""
    return {str(key): copy.deepcopy(value) for key, value in settings.items() if key not in apart}


def difference(
    stored: Mapping[str, Any], given: Mapping[str, Any], content: Mapping[str, str] | None = None
) -> list[str]:
    """The keys in which two configurations differ, one line each.

    Args:
        stored: the configuration of the folder.
        given: the one asked for.
        content: the SHA-256 of the files that the stored one named, by key.
    """
    old, new = dict(_flat(stored)), dict(_flat(given))
    absent = "(absent)"
    lines = []
    for key in sorted(old.keys() | new.keys()):
        before, now = old.get(key, absent), new.get(key, absent)
        if key in _PLACES or _same(key, before, now, content or {}):
            continue
        changed = " (its content has changed)" if before == now else ""
        lines.append(f"{key}: {before} -> {now}{changed}")
    return lines


def _same(key: str, before: Any, now: Any, content: Mapping[str, str]) -> bool:
    if key.rsplit(".", 1)[-1] == "_target_":
        return same_class(before, now)
    if before == now:
        return key not in content or content[key] == (_sha256(now) or content[key])
    return key in content and content[key] == _sha256(now)


def same_class(before: Any, now: Any) -> bool:
    """Whether two `_target_`s name the same class, whatever modules it lay in."""
    return _class_name(before) == _class_name(now)


def _class_name(target: Any) -> str:
    name = str(target).rsplit(".", 1)[-1]
    return _RENAMED.get(name, name)


def _flat(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping) and node:
        for key, child in node.items():
            yield from _flat(child, f"{prefix}{key}.")
    else:
        yield prefix[:-1], node


def _sha256(value: Any) -> str | None:
    """The SHA-256 of the file that a value names; None where it names none, or one that is hashed elsewhere."""
    path = Path(str(value)).expanduser()
    try:
        if not isinstance(value, str) or not path.is_file() or path.stat().st_size > _LARGEST_HASHED:
            return None
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def claim(path: Path, config: Mapping[str, Any], environment: Mapping[str, Any]) -> None:
    """Make a folder that of one configuration.

    Raises:
        RequestError: if it already belongs to another, naming the keys that differ, or to other weights.
    """
    file = path / CONFIG
    if file.exists():
        differing = difference(*_stored(path, config))
        weights = environment.get("weights", {})
        if _same_weights(path, weights):
            differing = [line for line in differing if not line.startswith("net.checkpoint: ")]
        if differing:
            lines = "\n  ".join(differing)
            raise RequestError(
                f"{path} holds a run with another configuration (there -> asked for now):\n  {lines}\n"
                "Give this run a folder of its own with name=..., or delete that one."
            )
        _check_weights(path, weights)
        return
    content = {key: sha for key, value in _flat(config) if key in _FILES and (sha := _sha256(value))}
    write_text(path / ENVIRONMENT, json.dumps(environment, indent=2) + "\n")
    write_text(path / CONTENT, json.dumps(content, indent=2) + "\n")
    write_text(file, yaml.safe_dump(_plain(config), sort_keys=False))


def holds(path: Path, config: Mapping[str, Any]) -> bool:
    """Whether a folder is that of a configuration already."""
    return (path / CONFIG).exists() and not difference(*_stored(path, config))


def _stored(path: Path, config: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any], dict[str, str]]:
    """The configuration of a folder, the one asked for, and the content of the files that the former named."""
    try:
        content = json.loads((path / CONTENT).read_text())
    except OSError:
        content = {}  # lavx 0.1 wrote none
    return yaml.safe_load((path / CONFIG).read_text()), config, content


def _plain(value: Any) -> Any:
    """Settings as plain dictionaries and lists, which is all that YAML's safe writer takes."""
    if isinstance(value, Mapping):
        return {str(key): _plain(child) for key, child in value.items()}
    return [_plain(child) for child in value] if isinstance(value, list | tuple) else value


def _stored_hashes(path: Path) -> tuple[dict[str, str], str]:
    """The SHA-256 of each file of weights that a folder was made with, and where they lay."""
    try:
        stored = json.loads((path / ENVIRONMENT).read_text())["weights"]
        return _hashes(stored), str(stored["file"])
    except (OSError, ValueError, KeyError):
        return {}, ""


def _same_weights(path: Path, weights: Mapping[str, Any]) -> bool:
    """Whether a folder was made with weights of the same content, wherever they lay."""
    old, new = _stored_hashes(path)[0], _hashes(weights)
    shared = old.keys() & new.keys()
    return bool(shared) and all(old[name] == new[name] for name in shared)


def _check_weights(path: Path, weights: Mapping[str, Any]) -> None:
    """Refuse to go on with weights that have changed since: half of the results would be another network's."""
    (old, file), new = _stored_hashes(path), _hashes(weights)
    changed = [name for name in old if name in new and old[name] != new[name]]
    if changed:
        listed = ", ".join(f"{name}{old[name][:8]} -> {new[name][:8]}" for name in changed)
        raise RequestError(
            f"{path} was made with other weights: {file} has changed since (SHA-256 {listed}). Give "
            "this run a folder of its own with name=..., or delete that one."
        )


def _hashes(weights: Mapping[str, Any]) -> dict[str, str]:
    """The SHA-256 of each file of weights, by what to call it."""
    parts = {"": weights} | {f"fold {fold}: ": part for fold, part in weights.get("folds", {}).items()}
    return {name: part["sha256"] for name, part in parts.items() if part.get("sha256")}
