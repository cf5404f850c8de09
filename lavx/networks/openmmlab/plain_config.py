"""Whether a config file of mmengine's is data: files in Python that hold nothing but literal values."""

from __future__ import annotations

import ast
from pathlib import Path

_NOT_DATA = ("_base_", "custom_imports")  # other files, and modules to import


def is_plain(path: Path) -> bool:
    """Whether a config file does nothing but assign literal values, as what `lavx train` writes does.

    Values are constants, lists, tuples, dictionaries and `dict(...)` of such. A `type` with a dot is not plain,
    for mmengine imports it; neither are files in other languages, and what mmengine substitutes, `{{...}}`.
    """
    try:
        text = path.read_bytes().decode("utf-8")
        body = ast.parse(text).body if path.suffix == ".py" and "{{" not in text else None
    except (OSError, ValueError, SyntaxError, RecursionError):
        return False
    return body is not None and all(_is_plain_statement(statement) for statement in body)


def _is_plain_statement(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr):  # a docstring
        return isinstance(statement.value, ast.Constant)
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return False
    target = statement.targets[0]
    if not isinstance(target, ast.Name) or target.id in _NOT_DATA:
        return False
    return _is_plain_value(statement.value)


def _is_plain_value(value: ast.expr) -> bool:
    if isinstance(value, ast.Constant):
        return True
    if isinstance(value, ast.List | ast.Tuple):
        return all(map(_is_plain_value, value.elts))
    if isinstance(value, ast.UnaryOp):
        return isinstance(value.op, ast.USub) and isinstance(value.operand, ast.Constant)
    pairs = _pairs(value)
    return pairs is not None and all(_is_plain_pair(name, part) for name, part in pairs)


def _pairs(value: ast.expr) -> list[tuple[object, ast.expr]] | None:
    """The entries of a dictionary, written in either way; None where it is anything else."""
    if isinstance(value, ast.Dict):
        names: list[object] = [key.value if isinstance(key, ast.Constant) else None for key in value.keys]
        return list(zip(names, value.values, strict=True))
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "dict":
        return [*((word.arg, word.value) for word in value.keywords), *((None, part) for part in value.args)]
    return None


def _is_plain_pair(name: object, value: ast.expr) -> bool:
    if name is None:  # **other, or a key that is an expression
        return False
    if name == "type":
        return isinstance(value, ast.Constant) and isinstance(value.value, str) and "." not in value.value
    return _is_plain_value(value)
