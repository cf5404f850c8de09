"""The one reader of Hydra's configurations: plain settings, and the objects that they describe."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lavx.datasets.base import Dataset, Folded, Video
from lavx.datasets.layouts import has_shipped_names, shipped_names
from lavx.errors import RequestError
from lavx.experiments import trained_networks, trust
from lavx.experiments.held_out import folds_of
from lavx.experiments.keys import check_keys
from lavx.experiments.names import checked_places
from lavx.experiments.settings import Settings, nested
from lavx.networks.openmmlab.checkpoints import FOLD
from lavx.types import OUTPUT_KINDS

_OF_A_NETWORK = ("name", "device", "output", "classes", "weights", "read")
_FULL_KEY = re.compile(r"^\s*full_key: (\S+)$", re.MULTILINE)


def settings(config: DictConfig | Mapping[str, Any]) -> Settings:
    """The plain settings of what Hydra composed.

    Raises:
        RequestError: if an interpolation cannot be resolved, a key cannot be what it is set to (`name`, `outputs`:
            folders), or code is named that the user has not declared (see `lavx.experiments.trust`).
    """
    try:
        plain = OmegaConf.to_container(config, resolve=True) if isinstance(config, DictConfig) else dict(config)
    except OmegaConfBaseException as error:
        raise RequestError(_cause(error)) from error
    assert isinstance(plain, dict)
    named = {str(key): value for key, value in plain.items()}
    resolved: Settings = nested(named | checked_places(named))
    trust.check(resolved, _typed())
    check_keys(resolved)
    return resolved


def _cause(error: Exception) -> str:
    found = _FULL_KEY.search(str(error))
    reason = str(error).splitlines()[0]
    return reason if found is None or found[1] in reason else f"{found[1]}: {reason}"


def _typed() -> list[str] | None:
    """The overrides that were typed at the command line; None in a program that composes by itself.

    What a YAML sets as `hydra.sweeper.params` becomes an override of the jobs, but nobody typed it.
    """
    if not HydraConfig.initialized():
        return None
    config = HydraConfig.get()
    params = set(config.sweeper.get("params") or {})
    return [override for override in config.overrides.task if override.partition("=")[0] not in params]


def build(node: Mapping[str, Any], key: str, **extra: Any) -> Any:
    """Instantiate one part of the settings: the only place where Hydra makes objects.

    Args:
        node: the part, with its `_target_`.
        key: where it is in the configuration, for messages.
        extra: further arguments of its constructor.

    Raises:
        RequestError: if a constructor refuses its parameters, saying which keys to change.
    """
    try:
        return hydra.utils.instantiate(dict(node), _convert_="all", **extra)
    except hydra.errors.InstantiationException as error:
        raise RequestError(_refusal(error, key, node)) from error


def _refusal(error: Exception, key: str, node: Mapping[str, Any]) -> str:
    """Why a part was refused, and how the command line names what is to be changed."""
    cause = error.__cause__
    reason = str(cause) if cause is not None else str(error).splitlines()[0]
    found = _FULL_KEY.search(str(error))
    refused = isinstance(cause, ValueError | TypeError)
    if not refused or (key != "method" and not key.startswith("method=")):
        own = re.match(r"(\w+)(?=[ =])", reason)
        return f"{key}.{reason}" if own is not None and own[1] in node and "=" not in key else f"{key}: {reason}"
    if found is None:
        steps = "method/segmentation=..., method/selection=..., method/sampling=..., method/summary=..."
        return f"{key}: {reason} (Choose steps with {steps})"
    step = found[1]
    group = "method/" + step.replace(".", "/")
    return f"method.{step}: {reason} (Set method.{step}.<parameter>=..., or choose another with {group}=...)"


def videos_of(dataset: Dataset) -> list[Video]:
    """All videos of a dataset.

    Raises:
        RequestError: if they cannot be had, or several have the same id.
    """
    try:
        videos = dataset.videos()
    except (OSError, ValueError) as error:
        raise RequestError(str(error)) from error
    counts = Counter(video.id for video in videos)
    if len(counts) < len(videos):
        double = next(name for name, n in counts.items() if n > 1)
        files = ", ".join(str(video.path) for video in videos if video.id == double)
        raise RequestError(f"the dataset must give each video an id of its own, but {double!r} is that of {files}")
    return videos


def class_names(node: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The classes of a dataset, whether or not its videos are here.

    Args:
        node: the settings of the dataset.
        name: what it is called.

    Raises:
        RequestError: if they cannot be had.
    """
    if has_shipped_names(name):
        return shipped_names(name)
    classes: tuple[str, ...] = build(node, "dataset").classes
    return classes


def build_network(
    config: Settings,
    names: Sequence[str],
    dataset: Dataset | None,
    videos: Sequence[Video],
    key: str = "net",
    classes: Sequence[str] | None = None,
    **extra: Any,
) -> Any:
    """Instantiate the network of a configuration.

    Networks whose settings have no `classes` (mmaction2's) get those of the dataset; the others bring their own.

    Args:
        config: any with `net`, `name`, `outputs` and `trained`.
        names: what dataset and net are called there.
        dataset: what the network is to classify; None where there is none.
        videos: of one file of weights a fold, those of the folds that hold these out are needed.
        key: where in the configuration the network is, for messages.
        classes: of the network; None for those of the dataset.
        extra: further arguments of the network's constructor.

    Raises:
        RequestError: if the network cannot be had.
    """
    folds: tuple[int, ...] = ()
    if FOLD in str(config.net.get("checkpoint")):
        folds = folds_of(dataset, videos)
        extra["folds"] = folds
        if isinstance(dataset, Folded) and not folds:
            raise RequestError(
                f"net.checkpoint={config.net.checkpoint} means one file a fold, but no fold holds "
                f"{', '.join(video.id for video in videos[:3])} out; give the path of one of the files, without "
                f"{FOLD}"
            )
    trained_networks.check_there(config, names, folds)
    trained_networks.check_split(config, folds)
    if "classes" not in config.net:
        extra["classes"] = tuple(classes) if classes is not None else dataset.classes if dataset else ()
    network = build(config.net, key, **extra)
    lacking = [name for name in _OF_A_NETWORK if not hasattr(network, name)]
    if lacking or not callable(network):
        raise RequestError(
            f"{key}: {config.net.get('_target_')} is no network: it lacks {', '.join(lacking or ['__call__'])}. "
            "See lavx.types.Network for what one has"
        )
    if network.output is not None and network.output not in OUTPUT_KINDS:
        raise RequestError(
            f"{key}: output must be one of {', '.join(OUTPUT_KINDS)} or None, got {network.output!r}"
        )
    return network
