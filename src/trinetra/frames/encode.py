"""Encodes a decoded picture as a frame for the buffer: letterbox, scale, JPEG.

Pictures stay in JPEG's color space, with chroma planes at half size, throughout. Converting to RGB
would only make the JPEG encoder convert back.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from trinetra.values import CameraId, Frame, Instant, Letterbox, YuvPlanes

_GRAY = 128


@dataclass(frozen=True, slots=True)
class EncodingConfig:
    """Size and quality of the encoded pictures.

    ``keeps_native`` adds the native picture, bounded to ``native_max_side`` pixels, for cameras
    with face recognition. ``pad_level`` is the gray level around the letterboxed picture.
    """

    side: int = 640
    quality: int = 80
    pad_level: int = 0
    keeps_native: bool = False
    native_max_side: int = 1920
    native_quality: int = 90


class Picture(Protocol):
    """The part of a decoded frame that encoding needs."""

    @property
    def width(self) -> int:
        """Native width in pixels."""

    @property
    def height(self) -> int:
        """Native height in pixels."""

    def planes(self, width: int, height: int) -> YuvPlanes:
        """Return the picture scaled to ``width x height``, in JPEG's color space."""


class Encoder:
    """Encodes the frames of one camera; not thread-safe."""

    def __init__(self, camera_id: CameraId, config: EncodingConfig) -> None:
        self._camera_id = camera_id
        self._config = config
        self._square = Square(config.side, config.pad_level)

    def encode(
        self, seq: int, captured_at: Instant, picture: Picture, *, session: int = 0
    ) -> Frame:
        """Return the frame for the buffer."""
        config = self._config
        box = letterbox(picture, config.side)
        content = picture.planes(*_scaled(picture, box.scale))
        native_jpeg, native_scale = _native(picture, config) if config.keeps_native else (None, 1.0)
        return Frame(
            camera_id=self._camera_id,
            seq=seq,
            captured_at=captured_at,
            width=picture.width,
            height=picture.height,
            letterbox=box,
            jpeg=to_jpeg(self._square.show(content, box), config.quality),
            native_jpeg=native_jpeg,
            native_scale=native_scale,
            session=session,
        )


def letterbox(picture: Picture, side: int) -> Letterbox:
    """Return the position of the picture in the square: centered, but at even coordinates.

    A chroma sample covers 2 x 2 pixels; at an odd coordinate the samples of the content would not
    coincide with those of the square.
    """
    box = Letterbox.fit(picture.width, picture.height, side)
    return Letterbox(box.scale, box.pad_x - box.pad_x % 2, box.pad_y - box.pad_y % 2)


class Square:
    """Planes for letterboxed pictures, reused from one picture to the next.

    Allocating them for each picture would cost more than scaling: the system has to clear half a
    megabyte.
    """

    def __init__(self, side: int, pad_level: int) -> None:
        half = (side + 1) // 2
        self._planes = YuvPlanes(
            np.empty((side, side), np.uint8),
            np.empty((half, half), np.uint8),
            np.empty((half, half), np.uint8),
        )
        self._padding = (pad_level, _GRAY, _GRAY)
        self._shown: tuple[Letterbox, tuple[int, ...]] | None = None

    def show(self, content: YuvPlanes, box: Letterbox) -> YuvPlanes:
        """Return the padded picture; the next call overwrites it."""
        shown = box, content.y.shape
        if self._shown != shown:
            for plane, level in zip(self._planes, self._padding, strict=True):
                plane[:] = level
            self._shown = shown
        x, y = int(box.pad_x), int(box.pad_y)
        _paste(content.y, self._planes.y, x, y)
        _paste(content.u, self._planes.u, x // 2, y // 2)
        _paste(content.v, self._planes.v, x // 2, y // 2)
        return self._planes


def _paste(plane: NDArray[np.uint8], onto: NDArray[np.uint8], x: int, y: int) -> None:
    height, width = plane.shape
    onto[y : y + height, x : x + width] = plane


def _native(picture: Picture, config: EncodingConfig) -> tuple[bytes, float]:
    scale = min(1.0, config.native_max_side / max(picture.width, picture.height))
    planes = picture.planes(*_scaled(picture, scale))
    return to_jpeg(planes, config.native_quality), scale


def _scaled(picture: Picture, scale: float) -> tuple[int, int]:
    return max(1, round(picture.width * scale)), max(1, round(picture.height * scale))


def to_jpeg(planes: YuvPlanes, quality: int) -> bytes:
    """Return the picture as a JPEG with chroma at half size."""
    encoded: bytes = simplejpeg.encode_jpeg_yuv_planes(
        _in_whole_cells(planes.y), planes.u, planes.v, quality, fastdct=True
    )
    return encoded


def _in_whole_cells(y: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the plane backed by memory with even sides.

    The encoder reads whole cells of 2 x 2 pixels, so with odd sides it would read beyond the end of
    the memory.
    """
    height, width = y.shape
    if not (height % 2 or width % 2):
        return y
    return np.pad(y, ((0, height % 2), (0, width % 2)), mode="edge")[:height, :width]
