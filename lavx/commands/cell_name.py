"""What the folder of a cell is called."""

from __future__ import annotations

from lavx.experiments.names import cell_part
from lavx.experiments.overrides import value_of
from lavx.experiments.variation import Variation

_NAMES_A_NETWORK = ("net.name", "net.arch")  # the first of these that is given


def cell_name(overrides: list[str], choices: dict[str, str], label: object = None) -> tuple[str, str, str]:
    """The dataset, net and method parts of the run folder.

    A network that is given a name or an architecture is called by it; a changed step of the method is in its name,
    or instead of it the label.

    Raises:
        RequestError: if the label cannot be part of a folder's name.
    """
    given = {override.lstrip("+~").partition("=")[0]: override for override in overrides}
    named = [name for key in _NAMES_A_NETWORK if key in given and (name := value_of(given[key]))]
    net = str(named[0]).replace("/", "_") if named else choices["net"]
    method = Variation.of(choices["method"], overrides, label).folder
    return cell_part(choices["dataset"]), cell_part(net), method
