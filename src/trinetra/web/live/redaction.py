"""Makes pictures to show: people made unrecognizable, tracks drawn, encoded as JPEG.

A region is reduced to at most 6 x 6 mean colors, from which no face can be computed back, unlike
from a Gaussian blur. Regions are the upper part of every person's box, because the face detector
misses faces that people still recognize, every known face and every known plate. Where it is not
known what a picture shows, all of it is reduced.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import simplejpeg

from trinetra.errors import FrameRejected
from trinetra.events.schema import Box
from trinetra.values import Frame, ImageBgr

_MOSAIC = 6
"""Largest side of a reduced region, in blocks."""
_COVERED_SIDE = 24
"""Longer side in blocks of a picture of which nothing is known."""
_COARSE_SIDE = 96
"""The same of a camera that does not look for people: vehicles stay visible, faces do not."""
_HEAD_OF_HEIGHT, _HEAD_OF_WIDTH = 0.22, 0.5
"""Height of the reduced part of a person's box: the larger of these shares of its sides. The second
is for people who are close, or cut off below the chest."""
_AROUND_HEAD, _AROUND_FACE = 0.08, 0.25
_QUALITY = 75
_LARGEST_PX = 4096 * 4096
_COLORS = {"watchlist": (60, 60, 230), "staff": (200, 160, 60), "": (110, 180, 60)}
_FONT = cv2.FONT_HERSHEY_SIMPLEX


class Label(NamedTuple):
    """A box to draw: its kind chooses the color."""

    box: Box
    text: str
    kind: str = ""


class Regions(NamedTuple):
    """What a picture shows, in native pixels."""

    people: Sequence[Box] = ()
    faces: Sequence[Box] = ()
    plates: Sequence[Box] = ()


def open_content(frame: Frame) -> ImageBgr:
    """Return the pixels of a frame without padding. Raises FrameRejected."""
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(frame.jpeg)
        if height * width > _LARGEST_PX:
            raise FrameRejected(f"a picture of {width} x {height} is too large")
        boxed = simplejpeg.decode_jpeg(frame.jpeg, "BGR", fastdct=True, fastupsample=True)
    except ValueError as cause:
        raise FrameRejected(f"a picture cannot be decoded: {cause}") from cause
    fit = frame.letterbox
    left, top = int(fit.pad_x), int(fit.pad_y)
    right, bottom = left + round(frame.width * fit.scale), top + round(frame.height * fit.scale)
    content: ImageBgr = np.ascontiguousarray(boxed[top : max(bottom, top + 1), left:right])
    if not content.size:
        raise FrameRejected(f"the letterbox {fit} exceeds a picture of {boxed.shape[:2]}")
    return content


def to_jpeg(image: ImageBgr) -> bytes:
    """Return an image as JPEG."""
    encoded: bytes = simplejpeg.encode_jpeg(image, _QUALITY, "BGR", "420", fastdct=True)
    return encoded


def smaller(image: ImageBgr, side: int) -> tuple[ImageBgr, float]:
    """Return an image whose longer side is at most ``side``, and its scale to the given one."""
    height, width = image.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return (cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image), scale


def cover(image: ImageBgr, *, is_coarse: bool = False) -> None:
    """Reduce a whole picture in place; ``is_coarse`` keeps more of it."""
    height, width = image.shape[:2]
    scale = (_COARSE_SIDE if is_coarse else _COVERED_SIDE) / max(height, width)
    _reduce(image, max(1, round(width * scale)), max(1, round(height * scale)))


def hide_people(image: ImageBgr, regions: Regions, scale: float) -> None:
    """Reduce heads, faces and plates in place; ``scale`` is that of the picture to native."""
    for box in regions.people:
        _hide(image, _head(box), scale, _AROUND_HEAD)
    for box in (*regions.faces, *regions.plates):
        _hide(image, box, scale, _AROUND_FACE)


def draw(image: ImageBgr, labels: Iterable[Label], scale: float) -> None:
    """Draw boxes and their texts in place."""
    for box, text, kind in labels:
        x1, y1, x2, y2 = (round(side * scale) for side in box)
        color = _COLORS.get(kind, _COLORS[""])
        cv2.rectangle(image, (x1, y1), (x2, y2), color, 2)
        if text:
            (width, height), _ = cv2.getTextSize(text, _FONT, 0.45, 1)
            top = max(y1, height + 6)
            cv2.rectangle(image, (x1, top - height - 6), (x1 + width + 6, top), color, -1)
            cv2.putText(image, text, (x1 + 3, top - 4), _FONT, 0.45, (0, 0, 0), 1, cv2.LINE_AA)


def _head(box: Box) -> Box:
    x1, y1, x2, y2 = box
    height = max(_HEAD_OF_HEIGHT * (y2 - y1), min(_HEAD_OF_WIDTH * (x2 - x1), y2 - y1))
    return x1, y1, x2, y1 + height


def _hide(image: ImageBgr, box: Box, scale: float, margin: float) -> None:
    x1, y1, x2, y2 = box
    pad = margin * max(x2 - x1, y2 - y1)
    height, width = image.shape[:2]
    left, right = _clipped((x1 - pad) * scale, (x2 + pad) * scale, width)
    top, bottom = _clipped((y1 - pad) * scale, (y2 + pad) * scale, height)
    if right > left and bottom > top:
        region = image[top:bottom, left:right]
        _reduce(region, min(_MOSAIC, right - left), min(_MOSAIC, bottom - top))


def _clipped(low: float, high: float, end: int) -> tuple[int, int]:
    return max(0, int(np.floor(low))), min(end, int(np.ceil(high)))


def _reduce(region: ImageBgr, columns: int, rows: int) -> None:
    height, width = region.shape[:2]
    few = cv2.resize(region, (columns, rows), interpolation=cv2.INTER_AREA)
    region[:] = cv2.resize(few, (width, height), interpolation=cv2.INTER_NEAREST)
