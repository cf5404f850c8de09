"""`lavx <command> [overrides]`: takes the command's word off and hands the rest to Hydra."""

from __future__ import annotations

import difflib
import importlib
import sys

from lavx import __version__

COMMANDS = {
    "explain": "explain one video, several, or a folder of them, on any network",
    "run": "explain and evaluate the videos of a dataset on a network with a method: a cell of a study",
    "status": "show which cells of a sweep are done, running, failed or waiting, and the time left",
    "select": "draw videos that all networks classify right",
    "train": "fit a network to a dataset, or to its folds",
    "evaluate": "say how often a network is right on a dataset, and what it takes for what",
    "gallery": "draw what every option of every step does to one clip",
    "data": "check a dataset: counts, what is missing or unreadable, a contact sheet",
    "report": "make tables, figures, the checked claims and a page from the results",
}

HELP = """lavx: local agnostic video explanations. Why did the network say that?

Usage: lavx <command> [options and overrides]

Commands:
{commands}

  lavx <command> --help   what a command takes
  lavx --version

Try: lavx explain dataset=shapes, or lavx run"""


def main() -> None:
    """The console script."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(HELP.format(commands="\n".join(f"  {name:10} {what}" for name, what in COMMANDS.items())))
        sys.exit(0)
    if arguments[0] in ("-V", "--version"):
        print(f"lavx {__version__}")
        sys.exit(0)
    word = arguments[0]
    if word not in COMMANDS:
        near = difflib.get_close_matches(word, COMMANDS, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        print(
            f"lavx: unknown command {word!r}.{hint} Commands: {', '.join(COMMANDS)}. See lavx --help.",
            file=sys.stderr,
        )
        sys.exit(2)
    _run(word, arguments[1:])


def _run(word: str, arguments: list[str]) -> None:
    """Run one command and exit with its status."""
    from lavx import commands
    from lavx.errors import RequestError
    from lavx.experiments import composing

    try:
        with composing.in_one_line():
            sys.argv = [f"lavx {word}", *composing.readable(arguments)]
            importlib.import_module(f"lavx.commands.{word}").main()
    except RequestError as error:
        print(f"lavx: {error}", file=sys.stderr)
        sys.exit(commands.UNUSABLE)
    except KeyboardInterrupt:
        sys.exit(commands.INTERRUPTED)
    except SystemExit as stop:
        # Hydra ends with 1 where it cannot compose what was asked for; no job was begun then.
        if stop.code == 1 and not commands.statuses:
            sys.exit(commands.UNUSABLE)
        raise
    sys.exit(max(commands.statuses, default=0))
