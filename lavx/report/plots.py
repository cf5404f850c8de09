"""What the report's figures have in common: colors, titles and how they are written."""

from __future__ import annotations

import colorsys
import zlib
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from lavx.drawing.style import INK

DPI = 160
GRID = "#e2e2e2"
# Okabe and Ito 2008: apart in every common color blindness.
_COLORS = {"lime": "#009e73", "kernel_shap": "#0072b2", "rise": "#d55e00", "loco": "#cc79a7",
           "univariate": "#e69f00", "occlusion": "#56b4e9", "random": "#9a9a9a", "center": "#5f5f5f",
           "smooth_noise": "#c4c4c4"}  # fmt: skip


def color(method: str) -> str:
    """The color that a method has in every figure; a variation has a lighter one of the same hue."""
    base, hyphen, variation = method.partition("-")
    if base in _COLORS:
        own = to_rgb(_COLORS[base])
    else:
        own = colorsys.hls_to_rgb(zlib.crc32(base.encode()) / 2**32, 0.42, 0.5)
    white = 0.3 + 0.4 * zlib.crc32(variation.encode()) / 2**32 if hyphen else 0.0
    red, green, blue = (white + (1 - white) * part for part in own)
    return to_hex((red, green, blue))


def cut(words: str, most: int) -> str:
    """Words in at most so many characters: their two ends, where that is not all."""
    if len(words) <= most:
        return words
    end = (most - 1) // 2
    return f"{words[: most - 1 - end].rstrip()}\N{HORIZONTAL ELLIPSIS}{words[-end:].lstrip()}"


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write `<name>.png` and `<name>.pdf`, with nothing in them that changes from run to run."""
    FigureCanvasAgg(figure).print_png(str(folder / f"{name}.png"), metadata={"Software": None})
    fixed = {"CreationDate": None, "Producer": None, "Creator": None}
    FigureCanvasPdf(figure).print_pdf(str(folder / f"{name}.pdf"), metadata=fixed)


def new_figure(width: float, height: float) -> Figure:
    """A figure of this size in inches."""
    return Figure(figsize=(width, height), dpi=DPI, facecolor="white", layout="constrained")


def heading(axes: Axes, words: str) -> None:
    """Put a line above a plot."""
    axes.set_title(words, loc="left", fontsize=9.5, color=INK, parse_math=False)
