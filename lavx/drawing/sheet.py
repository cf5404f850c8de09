"""A sheet of paper: words, lines, areas and images at places in inches from its top left corner.

It is written as PNG, PDF or SVG by matplotlib's renderers, to which everything goes directly: matplotlib's axes,
ticks and layouts take ten times as long as drawing. No global state, so that sheets may be drawn in several
threads, and the same input gives the same bytes.
"""

from __future__ import annotations

import functools
import io
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import FT2Font
from matplotlib.path import Path as Outline
from matplotlib.transforms import Affine2D
from numpy.typing import NDArray
from PIL import Image

from lavx.text import visible

FORMATS = ("png", "pdf", "svg")
FONT = "DejaVu Sans"  # comes with matplotlib, so that pictures look the same everywhere
ASCENT, LINE = 0.76, 1.25  # height of a capital and of a line, in sizes of the font
_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
_PLAIN = (
    threading.Lock()
)  # settings of matplotlib hold for a process; those of vector files are set while it is held

Points = Sequence[tuple[float, float]]


class Sheet:
    """What is drawn, in order, and how large the sheet is.

    Args:
        width: in inches.
        height: in inches.
        dpi: pixels an inch, of images and of the PNG.
    """

    def __init__(self, width: float, height: float, dpi: int) -> None:
        self.width, self.height, self.dpi = width, height, dpi
        self._commands: list[Callable[[Any, float], None]] = []  # drawn by a renderer of so many dots an inch

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: float,
        *,
        room: float | None = None,
        color: str = "black",
        weight: str = "normal",
        ha: str = "left",
        va: str = "top",
        upright: bool = False,
    ) -> None:
        """One line at a place, cut to `room` inches; where `upright`, it runs from bottom to top."""
        words = _drawable(words, weight) if room is None else fit(words, size, room, weight)
        if not words:
            return
        along = {"left": 0.0, "center": 0.5, "right": 1.0}[ha] * measure(words, size, weight)
        down = {"top": ASCENT, "center": ASCENT / 2, "bottom": 0.0}[va] * size / 72
        dx, dy = (down, along) if upright else (-along, down)
        font = FontProperties(family=FONT, weight=weight, size=size)

        def draw(renderer: Any, dots: float) -> None:
            gc = renderer.new_gc()
            gc.set_foreground(to_rgb(color))
            place = (x + dx) * dots, self._up(renderer, y + dy) * dots
            renderer.draw_text(gc, *place, words, font, 90 if upright else 0)
            gc.restore()

        self._commands.append(draw)

    def line(
        self, points: Points, color: str, width: float = 0.8, dashes: tuple[float, float] | None = None
    ) -> None:
        """A line through points; width and dashes in points of type."""

        def draw(renderer: Any, dots: float) -> None:
            gc = renderer.new_gc()
            gc.set_foreground(to_rgb(color))
            gc.set_linewidth(width)
            gc.set_joinstyle("round")
            if dashes is not None:
                gc.set_dashes(0, list(dashes))
            renderer.draw_path(gc, Outline(points), self._placing(dots), None)
            gc.restore()

        self._commands.append(draw)

    def area(self, points: Points, color: Any, alpha: float = 1.0) -> None:
        """A filled polygon."""

        def draw(renderer: Any, dots: float) -> None:
            gc = renderer.new_gc()
            gc.set_linewidth(0)
            gc.set_alpha(alpha)
            closed = Outline([*points, points[0]], closed=True)
            renderer.draw_path(gc, closed, self._placing(dots), (*to_rgb(color), alpha))
            gc.restore()

        self._commands.append(draw)

    def box(self, x: float, y: float, width: float, height: float, color: Any, alpha: float = 1.0) -> None:
        """A filled rectangle whose top left corner is at the place."""
        self.area([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], color, alpha)

    def image(self, x: float, y: float, image: NDArray[np.uint8]) -> None:
        """An image uint8 (h, w, 3) of the sheet's pixels, its top left corner at the place, rounded to a pixel."""
        opaque = np.full((*image.shape[:2], 1), 255, dtype=np.uint8)
        picture = np.concatenate([image, opaque], axis=2)[::-1]
        left, top = round(x * self.dpi) / self.dpi, round(y * self.dpi) / self.dpi
        bottom = self.height - top - len(image) / self.dpi

        def draw(renderer: Any, dots: float) -> None:
            gc = renderer.new_gc()
            renderer.draw_image(gc, left * dots, round(bottom * self.dpi) / self.dpi * dots, picture)
            gc.restore()

        self._commands.append(draw)

    def write(self, target: Path | str | IO[bytes], kind: str = "png") -> None:
        """Write the sheet to a file, whose folder must be there, or to an open one, as one of `FORMATS`."""
        figure = Figure((self.width, self.height), dpi=self.dpi, facecolor="white")
        figure.add_artist(_Drawing(self))
        place = str(target) if isinstance(target, Path) else target
        if kind == "png":
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
            picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
            # Run lengths (zlib's strategy 3): as small as level 6, which would take as long as all else together.
            picture.save(place, format="png", compress_level=1, compress_type=3)
            return
        module = __import__(f"matplotlib.backends.backend_{kind}", fromlist=["FigureCanvas"])
        # Letters as letters (Type 42), as journals want them, and no names drawn at random.
        with _PLAIN, matplotlib.rc_context({"pdf.fonttype": 42, "svg.hashsalt": "lavx"}):
            fixed = {"pdf": {"CreationDate": None, "Producer": None, "Creator": None}, "svg": {"Date": None}}[kind]
            getattr(module.FigureCanvas(figure), f"print_{kind}")(place, metadata=fixed)

    def _placing(self, dots: float) -> Affine2D:
        """From inches below the top left corner to the renderer's dots."""
        return Affine2D().scale(dots, -dots).translate(0, self.height * dots)

    def _up(self, renderer: Any, y: float) -> float:
        """A height as the renderer counts it for words."""
        return y if renderer.flipy() else self.height - y


class _Drawing(Artist):
    """A sheet among matplotlib's things."""

    def __init__(self, sheet: Sheet) -> None:
        super().__init__()
        self._sheet = sheet

    def draw(self, renderer: Any) -> None:
        dots = renderer.points_to_pixels(72)
        for command in self._sheet._commands:
            command(renderer, dots)


def kind_of(path: Path | str | IO[bytes]) -> str:
    """The format that a file's ending names; "png" for an open file.

    Raises:
        ValueError: for another ending.
    """
    if not isinstance(path, Path | str):
        return "png"
    ending = Path(path).suffix.lower().removeprefix(".")
    if ending not in FORMATS:
        raise ValueError(f"the picture's file must end in .{', .'.join(FORMATS)}, got {str(path)!r}")
    return ending


@functools.cache
def _file(weight: str) -> str:
    return str(findfont(FontProperties(family=FONT, weight=weight)))


_WIDE = 64  # size at which letters are measured, so that hinting does not matter


@functools.lru_cache(maxsize=8192)
def _advance(letter: str, weight: str) -> float:
    """Width of a letter, in sizes of the font."""
    font: FT2Font = get_font(_file(weight))
    font.set_size(_WIDE, 72)
    return float(font.load_char(ord(letter)).linearHoriAdvance) / 65536 / _WIDE


@functools.lru_cache(maxsize=8192)
def _has(letter: str, weight: str) -> bool:
    return bool(get_font(_file(weight)).get_char_index(ord(letter)))


def measure(words: str, size: float, weight: str = "normal") -> float:
    """Width of a line in inches."""
    return sum(_advance(letter, weight) for letter in words) * size / 72


def _drawable(words: str, weight: str) -> str:
    """The words as they can be drawn: signs that the font lacks replaced."""
    words = "".join(" " if c.isspace() else c for c in visible(words))
    return "".join(c if _has(c, weight) else "\N{WHITE SQUARE}" for c in words)


def fit(words: str, size: float, room: float, weight: str = "normal") -> str:
    """The words as they can be drawn in `room` inches, cut where they are too long."""
    words = _drawable(words, weight)
    if measure(words, size, weight) <= room:
        return words
    left = room - measure(_ELLIPSIS, size, weight)
    for n, letter in enumerate(words):
        left -= measure(letter, size, weight)
        if left < 0:
            return words[:n].rstrip() + _ELLIPSIS if n else ""
    return words


def wrapped(words: str, size: float, room: float, most: int, weight: str = "normal") -> list[str]:
    """The words in at most `most` lines of `room` inches, broken at spaces, and within words that are too long."""
    left, lines = _drawable(words, weight).strip(), list[str]()
    while left and len(lines) < most - 1 and measure(left, size, weight) > room:
        taken, width = 0, 0.0
        while taken < len(left) and (width := width + measure(left[taken], size, weight)) <= room:
            taken += 1
        space = left.rfind(" ", 1, taken + 1)
        end = space if space > 0 else max(1, taken)
        lines.append(left[:end].rstrip())
        left = left[end:].strip()
    return [*lines, fit(left, size, room, weight)] if left else lines


def resized(image: NDArray[np.uint8], wide: int, high: int) -> NDArray[np.uint8]:
    """The image as large as it fits into so many pixels."""
    factor = min(wide / image.shape[1], high / image.shape[0])
    size = (
        min(max(1, round(image.shape[1] * factor)), wide),
        min(max(1, round(image.shape[0] * factor)), high),
    )
    how = Image.Resampling.BOX if factor < 1 else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize(size, how))


def png_bytes(sheet: Sheet) -> bytes:
    """The sheet as a PNG."""
    file = io.BytesIO()
    sheet.write(file)
    return file.getvalue()
