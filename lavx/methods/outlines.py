"""Lines around parts of an image that can be seen on any footage.

One color vanishes somewhere: green on a lawn, red on a red coat. A line is therefore two, a light and a dark one
side by side: against any color at least one of white and black has a contrast ratio of 4.58 (WCAG 2.2, 1.4.3), as
the two ratios multiply to 21.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lavx.types import Drawing, Frames

LIGHT, DARK = (255, 255, 255), (0, 0, 0)
GROUND_TRUTH = (255, 221, 0)  # its dashes between black ones
_DASH = 4  # pixels of a dash, times the line's width


def outline(image: NDArray[np.uint8], area: NDArray[np.bool_], width: int = 1, dashed: bool = False) -> None:
    """Draw, in place, a double line along the border of an area: light inside of it, dark outside.

    Args:
        image: uint8 (H, W, 3).
        area: bool (H, W).
        width: of each of the two lines, pixels.
        dashed: whether the line has gaps.
    """
    if not area.any():
        return
    inner = area & ~_eroded(area, width)
    outer = _dilated(area, width) & ~area
    if dashed:
        on = _dashes(area.shape, width)
        inner, outer = inner & on, outer & on
    image[outer] = DARK
    image[inner] = LIGHT


def outline_ground_truth(image: NDArray[np.uint8], truth: NDArray[np.bool_], width: int = 1) -> None:
    """Draw, in place, dashes of yellow and black around the ground truth, unlike the lines around regions."""
    if not truth.any():
        return
    ring = _dilated(truth, width) & ~truth
    on = _dashes(truth.shape, width)
    image[ring & on] = GROUND_TRUTH
    image[ring & ~on] = DARK


def outline_drawing(image: NDArray[np.uint8], signs: NDArray[np.int8], width: int = 1) -> None:
    """Draw, in place, the lines of a drawing: solid where it speaks for the target, dashed where against it.

    Args:
        image: uint8 (H, W, 3).
        signs: int8 (H, W), one frame of `lavx.types.Drawing.outlined`.
        width: of a line, pixels.
    """
    outline(image, signs > 0, width)
    outline(image, signs < 0, width, dashed=True)


def with_lines(drawing: Drawing) -> Frames:
    """The frames of a drawing with its lines, a pixel of the clip wide: uint8 (T, H, W, 3)."""
    if drawing.outlined is None or not drawing.outlined.any():
        return drawing.frames
    frames = drawing.frames.copy()
    for frame, signs in zip(frames, drawing.outlined, strict=True):
        outline_drawing(frame, signs)
    return frames


def _dashes(shape: tuple[int, ...], width: int) -> NDArray[np.bool_]:
    y, x = np.indices(shape, sparse=True)
    on: NDArray[np.bool_] = (x + y) // (_DASH * width) % 2 == 0
    return on


def _dilated(area: NDArray[np.bool_], times: int) -> NDArray[np.bool_]:
    """The area with its neighbors, corners included."""
    for _ in range(times):
        for axis in (0, 1):
            wider = area.copy()
            before, after = (slice(None),) * axis + (slice(None, -1),), (slice(None),) * axis + (slice(1, None),)
            wider[before] |= area[after]
            wider[after] |= area[before]
            area = wider
    return area


def _eroded(area: NDArray[np.bool_], times: int) -> NDArray[np.bool_]:
    """The area without its border; beyond the image there is none of it, so that its border is drawn there too."""
    padded = np.pad(~area, times, constant_values=True)
    return ~_dilated(padded, times)[times:-times, times:-times]
