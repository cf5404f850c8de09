"""A contact sheet: a thumbnail of each video, with a caption."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import font_manager
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lavx.text import visible

_CELL = (160, 120)  # width and height of a picture's place, pixels
_GAP = 8
_LINE = 14  # height of a line of words
_COLUMNS = 10
_INK, _SOFT, _BACKGROUND, _PLACE = "#222222", "#777777", "#ffffff", "#eeeeee"


def draw_contact_sheet(
    file: Path, title: str, entries: Sequence[tuple[NDArray[np.uint8], str, str]], columns: int = _COLUMNS
) -> None:
    """Write a PNG of pictures in rows; the same pictures give the same bytes.

    Args:
        file: the PNG; its folder must exist.
        title: the line above.
        entries: image uint8 (H, W, 3), RGB, of any size; the caption; a second line in gray.
        columns: most pictures in a row.
    """
    if not entries:
        raise ValueError("a contact sheet needs one picture or more, got none.")
    columns = min(columns, len(entries))
    rows = math.ceil(len(entries) / columns)
    path = font_manager.findfont("DejaVu Sans")  # comes with matplotlib
    large, small = ImageFont.truetype(path, 16), ImageFont.truetype(path, 11)
    step = (_CELL[0] + _GAP, _CELL[1] + 2 * _LINE + _GAP)
    top = 36
    width = max(_GAP + columns * step[0], math.ceil(large.getlength(visible(title))) + 2 * _GAP)
    sheet = Image.new("RGB", (width, top + rows * step[1]), _BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    pen.text((_GAP, 9), visible(title), _INK, large)
    for index, (frame, line, faint) in enumerate(entries):
        left, upper = _GAP + index % columns * step[0], top + index // columns * step[1]
        pen.rectangle((left, upper, left + _CELL[0] - 1, upper + _CELL[1] - 1), _PLACE)
        scale = min(_CELL[0] / frame.shape[1], _CELL[1] / frame.shape[0])
        size = (max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale)))
        picture = Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS)
        sheet.paste(picture, (left + (_CELL[0] - size[0]) // 2, upper + (_CELL[1] - size[1]) // 2))
        pen.text((left, upper + _CELL[1] + 1), _cut(line, small), _INK, small)
        pen.text((left, upper + _CELL[1] + _LINE), _cut(faint, small), _SOFT, small)
    sheet.save(file, format="PNG")


def _cut(text: str, font: ImageFont.FreeTypeFont) -> str:
    """The text, with its end as dots where it is wider than a picture."""
    text = visible(text)
    if font.getlength(text) <= _CELL[0]:
        return text
    while text and font.getlength(text + "…") > _CELL[0]:
        text = text[:-1]
    return text + "…"
