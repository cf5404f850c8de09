"""`lavx <command> [overrides]`: takes the command's word off and hands the rest to Hydra."""

from __future__ import annotations

import difflib
import importlib
import re
import sys
from collections.abc import Sequence

from lavx import __version__, stopping
from lavx.experiments.names import checked_name
from lavx.terminal import outlast_terminal, why_lost
from lavx.text import print_any_text, visible

COMMANDS = {
    "explain": "explain one video, several, or a folder of them, on any network",
    "run": "explain and evaluate the videos of a dataset on a network with a method: a cell of a study",
    "status": "show which cells of a sweep are done, running, failed or waiting, and the time left",
    "select": "draw videos that all networks classify right",
    "train": "fit a network to a dataset, or to its folds",
    "evaluate": "say how often a network is right on a dataset, and what it takes for what",
    "gallery": "draw what every option of every step does to one clip",
    "data": "check a dataset: counts, what is missing or unreadable, a contact sheet",
    "rate": "serve a blind user study of the explanations, and export its ratings",
    "benchmark": "measure how far explanations can be relied on by the forward passes they take",
    "report": "make tables, figures, the checked claims and a page from the results",
}

_ACTIONS = {"rate": ("export", "power", "--demo")}  # of a command that does several things

HELP = """lavx: local agnostic video explanations. Why did the network say that?

Usage: lavx <command> [options and overrides]

Commands:
{commands}

  lavx <command> --help   what a command takes
  lavx --version

Try: lavx explain dataset=shapes, or lavx run"""


# A slash, a control character, or a leading dot of a name or of one of several that are swept over.
_LEAVES = re.compile(r"""[/\x00-\x1f\x7f\ud800-\udfff]|(?:^|,)\s*['"]?\.""")
_NO_ASCII = re.compile(r"[^,\[\]]*[^\x00-\x7f][^,\[\]]*")  # with what is around it in a list


def arguments_for_hydra(arguments: Sequence[str]) -> list[str]:
    """Arguments as Hydra's grammar takes them: what is no ASCII in quotes.

    Raises:
        RequestError: if `name` would leave the outputs folder: before Hydra makes a sweep's folder there.
    """
    for argument in arguments:
        key, _, value = argument.lstrip("+").partition("=")
        if key == "name" and "${" not in value and _LEAVES.search(value):
            checked_name(value.strip("'\""))
    return [_quoted(argument) for argument in arguments]


def _spelled_out(word: str, arguments: Sequence[str]) -> list[str]:
    """Arguments in which what a command is to do is an override too: `export` is `action=export`."""
    actions = _ACTIONS.get(word, ())
    return [f"action={each.removeprefix('--')}" if each in actions else each for each in arguments]


def _quoted(argument: str) -> str:
    key, equals, value = argument.partition("=")
    if set(value) & set("'\"{}"):  # quoted already, or of a kind of its own
        return argument
    return key + equals + _NO_ASCII.sub(lambda found: f"'{found[0]}'", value)


def main() -> None:
    """The console script."""
    outlast_terminal()
    print_any_text()
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
    status = _run(word, arguments[1:])
    if (reason := why_lost()) is not None:
        print(f"lavx: cannot write to standard output ({reason})", file=sys.stderr)
        status = status or 1
    sys.exit(status)


def _run(word: str, arguments: list[str]) -> int:
    """Run a command; returns the exit status."""
    from lavx import commands
    from lavx.errors import RequestError
    from lavx.experiments import composing
    from lavx.files import why_not_writable

    try:
        with stopping.listening(), composing.in_one_line():
            sys.argv = [f"lavx {word}", *composing.readable(arguments_for_hydra(_spelled_out(word, arguments)))]
            importlib.import_module(f"lavx.commands.{word}").main()
            stopping.check()
    except RequestError as error:
        print(f"lavx: {visible(str(error), lines=True)}", file=sys.stderr)
        return commands.UNUSABLE
    except KeyboardInterrupt as stop:
        return stopping.exit_status(stop)
    except SystemExit as stop:
        # Hydra ends with 1 where it cannot compose what was asked for; no job was begun then.
        if stop.code == 1 and not commands.statuses:
            return commands.UNUSABLE
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except Exception as error:  # of what Hydra writes beside the jobs, such as what it keeps of a sweep
        if (reason := why_not_writable(error)) is None:
            raise
        place = getattr(error, "filename", None)
        print(f"lavx: cannot write{f' {place}' if place else ''} ({reason}); set outputs=...", file=sys.stderr)
        return commands.UNUSABLE
    return max(commands.statuses, default=0)
