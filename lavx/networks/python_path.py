"""Objects by name, `module:name`, from the working directory or from what is installed."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lavx.networks.checkpoints import check_hash, listed


def load(name: str, what: str) -> Callable[..., Any]:
    """Import what is called `module:name`.

    The working directory is searched first, and only while the module itself is imported: what it imports later,
    inside its functions, must be installed.

    Args:
        name: such as `my_module:predict`.
        what: the parameter, for messages.

    Raises:
        ValueError: if there is no such module or name in it, or it cannot be called.
    """
    module_name, _, path = str(name).partition(":")
    if (
        not module_name
        or not path
        or not all(part.isidentifier() for part in (*module_name.split("."), *path.split(".")))
    ):
        raise ValueError(
            f"{what} must be module:name, such as my_module:predict for predict in my_module.py; got {name!r}."
        )
    module = _import(module_name, f"{what}={name}")
    try:
        found = functools.reduce(getattr, path.split("."), module)
    except AttributeError:
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        own = [key for key in names if getattr(vars(module)[key], "__module__", None) == module.__name__] or names
        has = f"; it has {listed(own, 8)}" if own else ""
        raise ValueError(f"{what}={name}: {_place(module)} has no {path}{has}.") from None
    if not callable(found):
        raise ValueError(
            f"{what}={name}: {path} in {_place(module)} cannot be called; it is a {type(found).__name__}."
        )
    called: Callable[..., Any] = found
    return called


def _import(name: str, given: str) -> Any:
    here = Path.cwd()
    own = [here.joinpath(*name.split(".")).with_suffix(".py"), here.joinpath(*name.split("."), "__init__.py")]
    with _working_directory():
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
                raise ValueError(f"{given}: importing {name} failed: {error}.") from error
            raise ValueError(
                f"{given}: there is no module {name}, neither in {here} nor among what is installed."
            ) from None
        except Exception as error:
            raise ValueError(f"{given}: importing {name} failed: {type(error).__name__}: {error}.") from error
    mine = next((file for file in own if file.is_file()), None)
    if mine is not None and Path(module.__file__ or "").resolve() != mine.resolve():
        raise ValueError(
            f"{given}: {mine} has the name of another module, {_place(module)}; give it another name."
        )
    return module


@contextmanager
def _working_directory() -> Iterator[None]:
    """Search the working directory first."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        if here in sys.path:
            sys.path.remove(here)


def _place(module: Any) -> str:
    return str(getattr(module, "__file__", None) or module.__name__)


def source_of(thing: Any) -> dict[str, Any]:
    """`file` and `sha256` of the source in which something is defined; None where it is in no file."""
    while isinstance(thing, functools.partial):
        thing = thing.func
    if not (inspect.isroutine(thing) or inspect.isclass(thing)):
        thing = type(thing)
    try:
        file = inspect.getsourcefile(inspect.unwrap(thing))
    except TypeError:  # built in
        file = None
    if file is None or not Path(file).is_file():
        return {"file": None, "sha256": None}
    return {"file": file, "sha256": check_hash(Path(file))}
