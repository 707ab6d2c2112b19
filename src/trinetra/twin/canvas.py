"""What everything in the twin's pictures is made of: polygons, ellipses and text.

Pictures are drawn with an accuracy below a pixel. Colours are blue-green-red.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from trinetra.values import ImageBgr

Array = NDArray[np.float64]
Colour = tuple[int, int, int]

INK: Colour = (60, 54, 48)
_SUBPIXEL_BITS = 4
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def shaded(colour: Colour, factor: float) -> Colour:
    """Return a colour darker or, with a factor over 1, lighter."""
    blue, green, red = (min(255, round(value * factor)) for value in colour)
    return blue, green, red


def draw_polygon(canvas: ImageBgr, points: Array, colour: Colour) -> None:
    """Fill a polygon; points ``(n, 2)`` in pixels, also beyond the picture."""
    cv2.fillPoly(canvas, [_fixed(points)], colour, cv2.LINE_AA, _SUBPIXEL_BITS)


def draw_ellipse(
    canvas: ImageBgr, centre: tuple[float, float], axes: tuple[float, float], colour: Colour
) -> None:
    """Fill an upright ellipse; ``axes`` are half its width and half its height, in pixels."""
    at = _fixed(np.array(centre)).tolist()
    size = [round(axis * (1 << _SUBPIXEL_BITS)) for axis in axes]
    cv2.ellipse(canvas, at, size, 0, 0, 360, colour, -1, cv2.LINE_AA, _SUBPIXEL_BITS)


def draw_caption(canvas: ImageBgr, text: str) -> None:
    """Write into the corner as cameras do, on a bar that keeps it legible on any ground."""
    if not text:
        return
    scale = canvas.shape[0] / 1500 + 0.2
    (width, height), base = cv2.getTextSize(text, _FONT, scale, 1)
    cv2.rectangle(canvas, (0, 0), (width + 16, height + base + 12), INK, -1)
    draw_text(canvas, text, (8, height + 6), scale, (255, 255, 255))


def draw_text(
    canvas: ImageBgr, text: str, at: tuple[float, float], scale: float, colour: Colour
) -> None:
    """Write with the lower left corner of the text at a pixel."""
    origin = (round(at[0]), round(at[1]))
    cv2.putText(canvas, text, origin, _FONT, scale, colour, 1, cv2.LINE_AA)


def _fixed(values: Array) -> NDArray[np.int32]:
    """Return pixels in OpenCV's fixed point, pixel centres at whole numbers."""
    # Far outside the picture is as good as anywhere there, and has to fit into 32 bits.
    scaled = np.clip((values - 0.5) * (1 << _SUBPIXEL_BITS), -(2**26), 2**26)
    return np.asarray(np.rint(scaled), np.int32)
