"""Where the weights of the OpenMMLab networks are, and what is peculiar to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from lavx.networks import checkpoints
from lavx.networks.openmmlab import library

OWN = "lavx:"  # prefix of the names of lavx's own configs
FOLD = "{fold}"  # in the path of a checkpoint: there is one file a fold

_FOLDER = Path(__file__).parent


def config_file(config: str) -> str:
    """The file of a config of lavx's own (`lavx:...`); any other name as it is."""
    if not config.startswith(OWN):
        return config
    path = _FOLDER / "configs" / config.removeprefix(OWN)
    if not path.is_file():
        own = ", ".join(f"{OWN}{file.name}" for file in sorted(path.parent.glob("*.py")))
        raise FileNotFoundError(f"config={config} is none of lavx's own: {own}.")
    return str(path)


def weights_file(config: str, checkpoint: str) -> Path:
    """Find the file of the weights, downloading it where it is one to download."""
    if checkpoint == "embedded":
        path = _FOLDER / "weights" / Path(config.removeprefix(OWN)).with_suffix(".pth").name
        if not config.startswith(OWN) or not path.is_file():
            raise FileNotFoundError(
                f"checkpoint=embedded: lavx ships no weights {path.name} for config={config}; "
                "lavx train dataset=shapes net=... makes those of its own networks."
            )
        return path
    if checkpoint == "official":
        return checkpoints.download(_official(config))
    if checkpoints.is_url(checkpoint):
        return checkpoints.download(checkpoint)
    path = Path(checkpoint).expanduser()
    if not _is_file(checkpoint):
        try:
            hint = f"mmaction2 publishes weights for this config at {_official(config)}: put them there, or use "
            hint += "checkpoint=official to have them downloaded."
        except ValueError:
            hint = "Give the path or URL of the weights."
        raise FileNotFoundError(f"checkpoint={checkpoint}: there is no such file. {hint}")
    return path


def fold_files(config: str, checkpoint: str, folds: Sequence[int]) -> dict[int, Path]:
    """Find the files of a checkpoint with `{fold}` in its path.

    Raises:
        ValueError: if there are no folds.
        FileNotFoundError: if files are not there; it names all of them.
    """
    if not folds:
        raise ValueError(
            f"checkpoint={checkpoint} means one file a fold, but the dataset has no folds; give the path of "
            f"one file, without {FOLD}."
        )
    names = {fold: checkpoint.replace(FOLD, str(fold)) for fold in folds}
    missing = {fold: name for fold, name in names.items() if not (checkpoints.is_url(name) or _is_file(name))}
    if missing:
        numbers = ",".join(map(str, missing))
        raise FileNotFoundError(
            f"checkpoint={checkpoint}: there is no {', '.join(missing.values())}. "
            f"lavx train -m dataset=... net=... fold={numbers} makes what is missing."
        )
    return {fold: weights_file(config, name) for fold, name in names.items()}


def _is_file(checkpoint: str) -> bool:
    return Path(checkpoint).expanduser().is_file()


def _official(config: str) -> str:
    try:
        return library.official_checkpoint(config)
    except LookupError as error:
        raise ValueError(error.args[0]) from None


def fill(recognizer: nn.Module, given: Mapping[str, torch.Tensor], path: Path) -> None:
    """Load weights, every one of them: a key too many, too few or of another shape is an error."""
    # mmaction2 copies TPN's head into `new_cls` at test time: a stale double.
    given = {
        key: value
        for key, value in given.items()
        if ".new_cls." not in key and not key.removeprefix("module.").startswith("data_preprocessor.")
    }
    checkpoints.fill(recognizer, given, path, hint="Check that checkpoint belongs to config.")
