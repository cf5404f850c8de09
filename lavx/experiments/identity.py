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
import logging
import os
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from lavx.errors import RequestError
from lavx.files import sync, write_text

log = logging.getLogger(__name__)

CONFIG, ENVIRONMENT, CONTENT = "config.yaml", "environment.json", "content.json"
_COPY = ".configuration.json"  # the three once more, for when one of them is damaged
_RESULTS, _SCORES = "videos", ".partial"  # the folders of what a configuration computed

# Where data lie. What they hold is compared by content: videos by their own hashes, files by `_content`.
_PLACES = ("dataset.root", "dataset.splits", "dataset.authors_lists")
# Files that decide numbers: compared by what is in them, wherever they lie.
_FILES = (
    "class_map",
    "method.removal.video",
    "metric.removal.video",
    "metric.cross_removal.video",
    "dataset.annotations",
    "dataset.classes",
    "net.config",
    "net.checkpoint",
    "net.model",
    "net.classes",
)
# Keys that a folder of an earlier version lacks, with what it did.
_AS_BEFORE = {"protocol": "v1", "metric.map": "raw", "method.segmentation.stride": 0.5}
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
        before, now = (config.get(key, _AS_BEFORE.get(key, absent)) for config in (old, new))
        if key in _PLACES or _same(key, before, now, content or {}):
            continue
        changed = " (its content has changed)" if before == now else ""
        lines.append(f"{key}: {before} -> {now}{changed}")
    return lines


def _same(key: str, before: Any, now: Any, content: Mapping[str, str]) -> bool:
    if key.rsplit(".", 1)[-1] == "_target_":
        return same_class(before, now)
    if before == now:
        return key not in content or content[key] == (_sha256(key, now) or content[key])
    return key in content and content[key] == _sha256(key, now)


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


def _sha256(key: str, value: Any) -> str | None:
    """The SHA-256 of the file that a value names; None where it names none, or one that is hashed elsewhere."""
    path = Path(str(value)).expanduser()
    try:
        if not isinstance(value, str) or not path.is_file():
            return None
        if path.stat().st_size > _LARGEST_HASHED and not key.endswith(".video"):
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def claim(path: Path, config: Mapping[str, Any], environment: Mapping[str, Any]) -> None:
    """Make a folder that of one configuration.

    What says whose the folder is may be damaged: it is restored from its copy. Where that is damaged too, nobody
    can say which configuration the results are of, and they are set aside.

    Raises:
        RequestError: if it already belongs to another, naming the keys that differ, or to other weights.
    """
    _restore(path)
    file = path / CONFIG
    if file.exists():
        differing = difference(*_stored(path, config))
        weights = environment.get("weights", {})
        if _same_weights(path, weights):
            differing = [line for line in differing if not line.startswith(("net.checkpoint: ", "net.model: "))]
        if differing:
            lines = "\n  ".join(differing)
            raise RequestError(
                f"{path} holds a run with another configuration (there -> asked for now):\n  {lines}\n"
                "Give this run a folder of its own with name=..., or delete that one."
            )
        _check_weights(path, weights)
        _keep_copy(path)
        return
    for left in (path / _SCORES).glob("*"):  # of whatever configuration the folder was before
        left.unlink()
    content = {key: sha for key, value in _flat(config) if key in _FILES and (sha := _sha256(key, value))}
    texts = {
        ENVIRONMENT: json.dumps(environment, indent=2) + "\n",
        CONTENT: json.dumps(content, indent=2) + "\n",
        CONFIG: yaml.safe_dump(_plain(config), sort_keys=False),  # the last: it makes the folder this run's
    }
    for name, text in texts.items():
        write_text(path / name, text)
    _keep_copy(path)


def release(path: Path) -> None:
    """Make a folder nobody's."""
    for name in (_COPY, CONFIG):
        (path / name).unlink(missing_ok=True)


def holds(path: Path, config: Mapping[str, Any]) -> bool:
    """Whether a folder is that of a configuration already; not where that cannot be read for certain."""
    copies = _copies(path)
    if not (path / CONFIG).exists() or _damaged(path, copies) or _missing(path, copies):
        return False
    return not difference(*_stored(path, config))


def _stored(path: Path, config: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any], dict[str, str]]:
    """The configuration of a folder, the one asked for, and the content of the files that the former named."""
    content: dict[str, Any] = {}  # lavx 0.1 wrote none
    if (path / CONTENT).exists():
        content = _json((path / CONTENT).read_text())
    return _yaml((path / CONFIG).read_text()), config, content


def _yaml(text: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    if not isinstance(content, dict) or not content:
        raise ValueError("it holds no keys")
    return content


def _json(text: str) -> dict[str, Any]:
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("it is no object")
    return content


_READERS: dict[str, Callable[[str], dict[str, Any]]] = {ENVIRONMENT: _json, CONTENT: _json, CONFIG: _yaml}


def _copies(path: Path) -> dict[str, str]:
    """The text of each file that says whose a folder is, from the copy; empty where that is missing or damaged."""
    try:
        texts = _json((path / _COPY).read_text())
        for name, text in texts.items():
            _READERS[name](text)
        return texts if CONFIG in texts else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _damaged(path: Path, copies: Mapping[str, str]) -> list[str]:
    """Which of the files that say whose a folder is were cut off, emptied or filled with something else."""
    names = []
    for name, read in _READERS.items():
        if not (path / name).exists():
            continue
        try:
            text = (path / name).read_text()
            read(text)
        except (ValueError, RecursionError):
            names.append(name)
            continue
        whole = copies.get(name, "")
        if text != whole and whole.startswith(text):  # half of a YAML file may be YAML too
            names.append(name)
    return names


def _missing(path: Path, copies: Mapping[str, str]) -> list[str]:
    """Which of the files that say whose a folder is are not there, as far as the copy knows of them."""
    return [name for name in {CONFIG: "", **copies} if not (path / name).exists()]


def _restore(path: Path) -> None:
    """Mend what is damaged, or what is missing beside results; or set the results aside."""
    copies = _copies(path)
    damaged = _damaged(path, copies)
    if (path / CONFIG).exists() or _has_results(path):
        damaged += _missing(path, copies)
    if not damaged:
        return
    verb = "are" if len(damaged) > 1 else "is"
    what = f"{' and '.join(str(path / name) for name in damaged)} {verb} damaged or missing"
    if not copies.keys() >= set(damaged):
        _set_aside(path, what)
        return
    for name in damaged:
        write_text(path / name, copies[name])
    log.warning("%s: restored from the copy in %s", what, _COPY)


def _keep_copy(path: Path) -> None:
    texts = {name: (path / name).read_text() for name in _READERS if (path / name).exists()}
    if _copies(path) != texts:
        write_text(path / _COPY, json.dumps(texts, indent=2) + "\n")


def _has_results(path: Path) -> bool:
    return (path / _RESULTS).is_dir() and any((path / _RESULTS).glob("[!.]*"))


def _set_aside(path: Path, what: str) -> None:
    """Begin a folder anew, and keep the results that nobody can say the configuration of."""
    for name in (*_READERS, _COPY):
        (path / name).unlink(missing_ok=True)
    kept = ""
    if _has_results(path):
        place = path / f"set-aside-{uuid.uuid4().hex[:8]}"
        os.replace(path / _RESULTS, place)
        (path / _RESULTS).mkdir()
        kept = f", which are kept in {place} and computed again"
    sync(path)
    log.warning("%s: nobody can say which configuration its results are of%s", what, kept)


def _plain(value: Any) -> Any:
    """Settings as plain dictionaries and lists, which is all that YAML's safe writer takes."""
    if isinstance(value, Mapping):
        return {str(key): _plain(child) for key, child in value.items()}
    return [_plain(child) for child in value] if isinstance(value, list | tuple) else value


def _stored_weights(path: Path) -> Mapping[str, Any]:
    """What a folder's environment says of the weights that it was made with; empty where it says nothing."""
    try:
        weights = json.loads((path / ENVIRONMENT).read_text())["weights"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return weights if isinstance(weights, Mapping) else {}


def _same_weights(path: Path, weights: Mapping[str, Any]) -> bool:
    """Whether a folder was made with weights of the same content, wherever they lay."""
    old, new = _hashes(_stored_weights(path)), _hashes(weights)
    shared = old.keys() & new.keys()
    return bool(shared) and all(old[name] == new[name] for name in shared)


def _check_weights(path: Path, weights: Mapping[str, Any]) -> None:
    """Refuse to resume with weights that have changed since: half of the results would be another network's."""
    stored = _stored_weights(path)
    old, new = _hashes(stored), _hashes(weights)
    changed = [
        f"{name}{old[name][:8]} -> {new[name][:8]}" for name in old if name in new and old[name] != new[name]
    ]
    if not changed and "preprocessing" in stored and stored["preprocessing"] != weights.get("preprocessing"):
        changed = ["the same weights, but another preprocessing"]
    if changed:
        raise RequestError(
            f"{path} was made with other weights: {stored['file']} has changed since (SHA-256 "
            f"{', '.join(changed)}). Give this run a folder of its own with name=..., or delete that one."
        )


def _hashes(weights: Mapping[str, Any]) -> dict[str, str]:
    """The SHA-256 of each file of weights, by what to call it."""
    parts = {"": weights} | {f"fold {fold}: ": part for fold, part in weights.get("folds", {}).items()}
    return {name: part["sha256"] for name, part in parts.items() if part.get("sha256")}
