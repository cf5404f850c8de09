"""What a cell's method is: one of the presets, or a variation of it.

A variation's folder is called `<method>-<label>`, or without a label `<method>-<changes>`, as
`lime-sampling.n_samples=300`. `cell.json` says which preset it derives from; cells of lavx 0.1, which have none,
are of the method that their folder's name begins with, up to the first `-`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from lavx.errors import RequestError
from lavx.experiments.names import cell_part
from lavx.files import write_text
from lavx.text import visible

CELL = "cell.json"
PROTOCOL_2 = "protocol=v2"  # as it is typed; the other protocol changes nothing
_LABEL = re.compile(r"[\w.+@-]([\w.+@ -]{0,38}[\w.+@-])?")  # no `=`, by which changes are told
_CHANGE = re.compile(r"-(?=[a-z_0-9.]+=)")


@dataclass(frozen=True)
class Variation:
    """The method of a cell.

    Attributes:
        method: the preset, as in `method=lime`.
        label: what the user calls the variation; None where it has no name.
        changes: what was changed of the preset, as on the command line but without `method.`; `protocol=v2` too.
    """

    method: str
    label: str | None = None
    changes: tuple[str, ...] = ()

    @classmethod
    def of(cls, method: str, overrides: Iterable[str], label: object = None) -> Variation:
        """The method that a command asks for.

        Args:
            method: the preset.
            overrides: of the command line; those of the method count.
            label: of the settings.

        Raises:
            RequestError: if the label cannot be part of a folder's name.
        """
        if label is not None and not _LABEL.fullmatch(str(label)):
            raise RequestError(
                f"label={visible(str(label))} must be 1 to 40 letters, digits, spaces or any of . _ + @ -, as "
                "label=lime300"
            )
        given = [override.lstrip("+~") for override in overrides]
        changed = sorted(each for each in given if each.startswith(("method/", "method.")) or each == PROTOCOL_2)
        changes = tuple(
            change if change == PROTOCOL_2 else change[len("method/") :].replace("/", ".") for change in changed
        )
        return cls(method, None if label is None else str(label), changes)

    @classmethod
    def read(cls, cell: Path) -> Variation:
        """The method of a cell, by `cell.json` or the name of its folder."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            stored = json.loads((cell / CELL).read_text(encoding="utf-8"))
            label = stored["label"]
            method, changes = str(stored["method"]), tuple(map(str, stored["changes"]))
            return cls(method, None if label is None else str(label), changes)
        method, _, rest = cell.name.partition("-")
        return cls(method, None, tuple(_CHANGE.split(rest)) if rest else ())

    def write(self, cell: Path) -> None:
        """Write `cell.json`, where it does not say this already."""
        content = json.dumps(asdict(self), indent=2) + "\n"
        file = cell / CELL
        if not file.exists() or file.read_text(encoding="utf-8") != content:
            write_text(file, content)

    @property
    def folder(self) -> str:
        """The name of the cell's folder."""
        return cell_part("-".join((self.method, *(self.changes if self.label is None else (self.label,)))))


def method_key(cell: Path, variation: Variation) -> str:
    """What tables call the method of a cell: its folder's name, with the preset before the first `-`."""
    own = cell.name[len(variation.method) :] if cell.name.startswith(variation.method) else f"-{cell.name}"
    return variation.method.replace("-", "_") + own
