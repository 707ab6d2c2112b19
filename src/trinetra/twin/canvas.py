"""Drawing primitives of the twin's images: polygons, ellipses and text.

Drawing has subpixel accuracy. Colors are in BGR order.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from trinetra.values import ImageBgr

Array = NDArray[np.float64]
Color = tuple[int, int, int]

INK: Color = (60, 54, 48)
_SUBPIXEL_BITS = 4
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def shaded(color: Color, factor: float) -> Color:
    """Return a color darkened or, with a factor above 1, lightened."""
    blue, green, red = (min(255, round(value * factor)) for value in color)
    return blue, green, red


def draw_polygon(canvas: ImageBgr, points: Array, color: Color) -> None:
    """Fill a polygon; points ``(n, 2)`` are in pixels and may lie outside the image."""
    cv2.fillPoly(canvas, [_fixed(points)], color, cv2.LINE_AA, _SUBPIXEL_BITS)


def draw_ellipse(
    canvas: ImageBgr, center: tuple[float, float], axes: tuple[float, float], color: Color
) -> None:
    """Fill an upright ellipse; ``axes`` are half its width and half its height, in pixels."""
    at = _fixed(np.array(center)).tolist()
    size = [round(axis * (1 << _SUBPIXEL_BITS)) for axis in axes]
    cv2.ellipse(canvas, at, size, 0, 0, 360, color, -1, cv2.LINE_AA, _SUBPIXEL_BITS)


def draw_caption(canvas: ImageBgr, text: str) -> None:
    """Write a caption into the corner, on a dark bar that keeps it legible on any background."""
    if not text:
        return
    scale = canvas.shape[0] / 1500 + 0.2
    (width, height), base = cv2.getTextSize(text, _FONT, scale, 1)
    cv2.rectangle(canvas, (0, 0), (width + 16, height + base + 12), INK, -1)
    draw_text(canvas, text, (8, height + 6), scale, (255, 255, 255))


def draw_text(
    canvas: ImageBgr, text: str, at: tuple[float, float], scale: float, color: Color
) -> None:
    """Write text with its lower left corner at a pixel."""
    origin = (round(at[0]), round(at[1]))
    cv2.putText(canvas, text, origin, _FONT, scale, color, 1, cv2.LINE_AA)


def _fixed(values: Array) -> NDArray[np.int32]:
    """Return pixels in OpenCV's fixed-point format, with pixel centers at integers."""
    # The format has 32 bits. Points far outside the image all draw the same, so clipping is safe.
    scaled = np.clip((values - 0.5) * (1 << _SUBPIXEL_BITS), -(2**26), 2**26)
    return np.asarray(np.rint(scaled), np.int32)
