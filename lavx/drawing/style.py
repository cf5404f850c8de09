"""What the plots of lavx have in common."""

from __future__ import annotations

from collections.abc import Collection

from matplotlib.axes import Axes

INK = "#222222"  # words that are read first
SOFT = "#666666"  # all other words
EDGE = "#aaaaaa"  # the lines around plots
CURVE_COLORS = {"deletion": "#d55e00", "insertion": "#0072b2"}  # Okabe and Ito 2008: apart in color blindness


def plain_axes(axes: Axes, sides: Collection[str] = ("left", "bottom"), font: str | None = None) -> None:
    """Leave only some sides of the frame, in gray, and put ticks and grid behind what is drawn.

    Args:
        axes: to style.
        sides: of "left", "right", "top" and "bottom".
        font: family of the tick labels; None for matplotlib's own.
    """
    for side, spine in axes.spines.items():
        spine.set_visible(side in sides)
        spine.set_color(EDGE)
    axes.tick_params(labelsize=8, labelcolor=SOFT, color=EDGE, length=3)
    if font is not None:
        axes.tick_params(labelfontfamily=font)
    axes.set_axisbelow(True)
