"""`lavx status`: the table of a grid's cells, at any time."""

from __future__ import annotations

import sys
from pathlib import Path

from lavx.commands import OK, UNUSABLE, statuses
from lavx.errors import RequestError
from lavx.experiments.names import checked_places
from lavx.experiments.status import STATUS, cells, status, table

HELP = """lavx status: which cells of a grid are done, running, failed or waiting, and the time left.

Usage: lavx status [name=default] [outputs=outputs]

  name      the runs in <outputs>/<name>/ (default: default)
  outputs   the root folder of all results (default: outputs)

States: done; running (a worker is at work on it); waiting (planned by a sweep, not begun); stopped (interrupted,
with videos left: the same command resumes it); failed (with the first reason); invalid (an invalid request, with
the reason);
partial (a folder without status.json).
Exit status: 0, or 2 if there are no cells there."""


def main() -> None:
    """Print the table; reads the results folder alone, and may run anywhere that sees it."""
    arguments = sys.argv[1:]
    if {"-h", "--help"} & set(arguments):
        print(HELP)
        return
    statuses.append(show(arguments))


def show(arguments: list[str]) -> int:
    """Print the table for `name=` and `outputs=`; returns the exit status."""
    settings = {"name": "default", "outputs": "outputs"}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if key not in settings or not equals or not value:
            message = f"unknown argument {argument!r}. lavx status takes name=... and outputs=..."
            print(f"lavx: {message}", file=sys.stderr)
            return UNUSABLE
        settings[key] = value
    try:
        settings |= checked_places(settings)
    except RequestError as error:
        print(f"lavx: {error}", file=sys.stderr)
        return UNUSABLE
    outputs = Path(settings["outputs"]).expanduser()
    root = outputs / settings["name"]
    found = cells(root)
    if not found:
        others = sorted({p.parts[-5] for p in outputs.glob(f"*/[!.]*/*/*/{STATUS}")})
        hint = f" There are runs of the names: {', '.join(others)}." if others else ""
        print(f"lavx: {root} holds no runs.{hint} Give name=... or outputs=...", file=sys.stderr)
        return UNUSABLE
    print(table([status(root, cell) for cell in found]))
    return OK
