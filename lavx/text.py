r"""Text that everybody can read, made of names that may be any bytes.

A file name need not be UTF-8: Python holds each byte that is not as a lone surrogate, which no encoder takes. It
may also hold control characters, which move the cursor, break lines or turn the direction of writing.
"""

from __future__ import annotations

import codecs
import re
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import pandas as pd

# Control characters, line and paragraph separators, marks of writing direction, and surrogates.
_UNREADABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\N{ARABIC LETTER MARK}\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_LINES = re.compile(f"(?![\n\t]){_UNREADABLE.pattern}")
# What spreadsheets take for the beginning of a formula, also behind spaces.
_FORMULA = re.compile(r"\s*[=+\-@\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}"
                      r"\N{FULLWIDTH COMMERCIAL AT}]")  # fmt: skip
_ERRORS = "lavx.bytes"

T = TypeVar("T")


def visible(text: str, lines: bool = False) -> str:
    r"""The text with everything escaped that cannot be read or encoded: `caf\xe9`, `two\nlines`.

    Args:
        text: any.
        lines: leave line feeds and tabs, as in messages of several lines.
    """
    return (_LINES if lines else _UNREADABLE).sub(lambda found: _escaped(found[0]), text)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def csv_cell(value: T) -> T | str:
    """A value as a cell of a table: text is visible, and no spreadsheet takes it for a formula."""
    if not isinstance(value, str):
        return value
    shown = visible(value)
    return f"'{shown}" if _FORMULA.match(shown) else shown


def csv_of(table: pd.DataFrame) -> str:
    """A table as CSV, without its index; see `csv_cell`."""
    cells = table.rename(columns=csv_cell)
    for column in cells:
        if cells[column].dtype.kind not in "biufc":  # none of these holds text
            cells[column] = cells[column].map(csv_cell)
    return str(cells.to_csv(index=False, lineterminator="\n"))


def _bytes_or_escapes(error: UnicodeError) -> tuple[str | bytes, int]:
    """Bytes of file names as they are, everything else that cannot be encoded as escapes."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)


def print_any_text() -> None:
    """Let stdout and stderr print whatever there is: names as the bytes they are, never a `UnicodeEncodeError`."""
    codecs.register_error(_ERRORS, _bytes_or_escapes)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)
