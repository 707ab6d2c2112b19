"""Geometry of a displayed picture: rotation, mirroring and the shape of its pixels.

Phones and body cameras store pictures as the sensor lies and add a rotation; recorders store half
of the columns and add a pixel shape. Everything after the source sees the displayed picture:
upright and with square pixels.
"""

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from av.sidedata.sidedata import Type
from numpy.typing import NDArray

_MAX_STRETCH = 8
_MATRIX = struct.Struct("=9i")
_TIFF = {b"II*\0": "<", b"MM\0*": ">"}
_EXIF_MARKS = (b"Exif\0\0", b"eXIf")
_EXIF_HEAD_BYTES = 1 << 17
_ORIENTATION_TAG = 0x0112


class Orientation(NamedTuple):
    """How stored pixels are shown: transposed first, then mirrored."""

    transposed: bool = False
    mirrored_x: bool = False
    mirrored_y: bool = False

    def apply(self, plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the displayed plane of a stored one; a view if nothing changes."""
        if not any(self):
            return plane
        shown = plane.T if self.transposed else plane
        rows = slice(None, None, -1 if self.mirrored_y else 1)
        columns = slice(None, None, -1 if self.mirrored_x else 1)
        return np.ascontiguousarray(shown[rows, columns])


_UPRIGHT = Orientation()
_SQUARE = Fraction(1)
_BY_ANGLE = {
    0: _UPRIGHT,
    90: Orientation(transposed=True, mirrored_y=True),
    180: Orientation(mirrored_x=True, mirrored_y=True),
    270: Orientation(transposed=True, mirrored_x=True),
}
_BY_EXIF = {
    2: Orientation(mirrored_x=True),
    3: Orientation(mirrored_x=True, mirrored_y=True),
    4: Orientation(mirrored_y=True),
    5: Orientation(transposed=True),
    6: Orientation(transposed=True, mirrored_x=True),
    7: Orientation(transposed=True, mirrored_x=True, mirrored_y=True),
    8: Orientation(transposed=True, mirrored_y=True),
}


@dataclass(frozen=True, slots=True)
class Display:
    """The orientation of a picture, and the width of its stored pixels divided by their height."""

    orientation: Orientation = _UPRIGHT
    pixel_aspect: Fraction = _SQUARE

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the displayed size of a stored one; the shorter side of a pixel is stretched."""
        stretched_x = round(width * max(self.pixel_aspect, _SQUARE))
        stretched_y = round(height / min(self.pixel_aspect, _SQUARE))
        return self.stored_size(stretched_x, stretched_y)

    def stored_size(self, width: int, height: int) -> tuple[int, int]:
        """Return a displayed size as it lies in the stored picture, with square pixels."""
        return (height, width) if self.orientation.transposed else (width, height)


def display_of(frame: Any, pixel_aspect: Fraction | None) -> Display:
    """Return how a decoded frame is displayed; rotations are rounded to quarter turns.

    An aspect that is unknown, or too far from 1 to be true, counts as square.
    """
    aspect = pixel_aspect or _SQUARE
    is_plausible = Fraction(1, _MAX_STRETCH) <= aspect <= _MAX_STRETCH
    return Display(_orientation(frame), aspect if is_plausible else _SQUARE)


def _orientation(frame: Any) -> Orientation:
    try:
        matrix = frame.side_data.get(Type.DISPLAYMATRIX)
    except ValueError:
        # PyAV cannot list the side data of a frame with EXIF, but knows the rotation.
        return _BY_ANGLE[round(frame.rotation / 90) * 90 % 360]
    return _UPRIGHT if matrix is None else _of_matrix(*_MATRIX.unpack(bytes(matrix)))


def _of_matrix(a: int, b: int, _u: int, c: int, d: int, *_: int) -> Orientation:
    """Return the orientation of x' = a x + c y, y' = b x + d y (ISO 14496-12, 8.3.2)."""
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(transposed=True, mirrored_x=c < 0, mirrored_y=b < 0)
    return Orientation(mirrored_x=a < 0, mirrored_y=d < 0)


def exif_orientation(data: bytes) -> Orientation:
    """Return the orientation in the EXIF data of a JPEG or PNG file; upright without any."""
    head = data[:_EXIF_HEAD_BYTES]
    for mark in _EXIF_MARKS:
        at = head.find(mark)
        tiff = head[at + len(mark) :]
        if at >= 0 and (order := _TIFF.get(tiff[:4])):
            return _BY_EXIF.get(_orientation_tag(tiff, order), _UPRIGHT)
    return _UPRIGHT


def _orientation_tag(tiff: bytes, order: str) -> int:
    """Return the orientation of the first directory (TIFF 6.0, section 2); 0 if it has none."""
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, start)
        for entry in range(entries):
            tag, value = struct.unpack_from(f"{order}H6xH", tiff, start + 2 + 12 * entry)
            if tag == _ORIENTATION_TAG:
                return int(value)
    except struct.error:
        return 0  # truncated metadata do not make the picture unusable
    return 0
