"""Draws lines, zones and the side that counts as "in" on a camera's picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from trinetra.values import ImageBgr, YuvPlanes

Point = tuple[float, float]
_LINE, _ZONE, _IN = (0, 0, 255), (255, 160, 0), (0, 200, 0)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_ARROW_SHARE = 0.12


@dataclass(frozen=True, slots=True)
class Shapes:
    """Lines ``(id, a, b)`` and zones ``(id, corners)`` in normalized coordinates."""

    lines: Sequence[tuple[str, Point, Point]] = ()
    zones: Sequence[tuple[str, Sequence[Point]]] = ()


def draw(planes: YuvPlanes, shapes: Shapes) -> ImageBgr:
    """Return the picture with the shapes drawn on it."""
    image = _bgr(planes)
    size = np.array([image.shape[1], image.shape[0]], np.float64)
    for name, corners in shapes.zones:
        outline = np.rint(np.array(corners) * size).astype(np.int32)
        cv2.polylines(image, [outline], isClosed=True, color=_ZONE, thickness=2)
        _write(image, name, outline.mean(axis=0), _ZONE)
    for name, a, b in shapes.lines:
        _draw_line(image, name, np.array(a) * size, np.array(b) * size)
    return image


def in_arrow(a: NDArray[np.float64], b: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    """Return both ends ``(2, 2)`` of the arrow from the middle of a line to its right, "in" side.

    Coordinates are pixels, y grows downward, and right is as seen from a to b.
    """
    along = (b - a) / np.linalg.norm(b - a)
    middle = (a + b) / 2
    return np.array([middle, middle + length * np.array([-along[1], along[0]])])


def _draw_line(image: ImageBgr, name: str, a: NDArray[np.float64], b: NDArray[np.float64]) -> None:
    start, tip = in_arrow(a, b, _ARROW_SHARE * min(image.shape[:2]))
    cv2.line(image, _pixel(a), _pixel(b), _LINE, 2)
    cv2.arrowedLine(image, _pixel(start), _pixel(tip), _IN, 3, tipLength=0.3)
    _write(image, "in", tip, _IN)
    _write(image, name, a + (b - a) / 4, _LINE)


def _write(
    image: ImageBgr, text: str, at: NDArray[np.float64], color: tuple[int, int, int]
) -> None:
    (width, height), _ = cv2.getTextSize(text, _FONT, 0.6, 2)
    x = int(np.clip(at[0], 0, max(0, image.shape[1] - width)))
    y = int(np.clip(at[1], height, image.shape[0] - 1))
    cv2.putText(image, text, (x, y), _FONT, 0.6, (0, 0, 0), 4)
    cv2.putText(image, text, (x, y), _FONT, 0.6, color, 2)


def _pixel(point: NDArray[np.float64]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def _bgr(planes: YuvPlanes) -> ImageBgr:
    """Return the pixels of a full-range BT.601 picture."""
    height, width = planes.y.shape
    chroma = [cv2.resize(plane, (width, height)) for plane in (planes.v, planes.u)]
    image: ImageBgr = cv2.cvtColor(cv2.merge([planes.y, *chroma]), cv2.COLOR_YCrCb2BGR)
    return image
