"""What the folder of a cell is called."""

from __future__ import annotations

from lavx.experiments.names import cell_part

_NAMES_A_NETWORK = ("net.name", "net.arch")  # the first of these that is given


def cell_name(overrides: list[str], choices: dict[str, str]) -> tuple[str, str, str]:
    """The dataset, net and method parts of the run folder.

    A network that is given a name or an architecture is called by it; a changed step of the method is in its name.
    """
    given = dict(override.lstrip("+~").partition("=")[::2] for override in overrides)
    named = [given[key] for key in _NAMES_A_NETWORK if given.get(key)]
    changed = [o.lstrip("+~") for o in overrides if o.lstrip("+~").startswith(("method/", "method."))]
    suffix = "".join("-" + change[len("method/") :].replace("/", ".") for change in sorted(changed))
    net = named[0].strip("'\"").replace("/", "_") if named else choices["net"]
    return cell_part(choices["dataset"]), cell_part(net), cell_part(choices["method"] + suffix)
