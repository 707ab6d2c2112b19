"""Decodes the JPEGs of a frame; the header is checked before memory is allocated."""

from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from trinetra.errors import FrameRejected
from trinetra.values import MAX_PICTURE_SIDE, Frame, ImageBgr


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """Sizes of pictures that a worker decodes; 8K is larger, and no camera should deliver it."""

    min_side_px: int = 16
    max_pixels: int = MAX_PICTURE_SIDE**2


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame's square picture without its padding: a view of the decoded pixels."""

    frame: Frame
    content: ImageBgr

    def to_native(self, xy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map points ``(..., 2)`` from the content to the camera's native image."""
        return xy / np.float32(self.frame.letterbox.scale)


def open_picture(frame: Frame, limits: PictureLimits) -> Picture:
    """Decode a frame's square picture and remove its padding.

    Raises FrameRejected when it is not a JPEG, damaged, too small or too large, or does not match
    the frame's letterbox.
    """
    if frame.native_jpeg is not None:
        check_header(frame.native_jpeg, limits)
    return Picture(frame, _content(frame, decode(frame.jpeg, limits, coarse=True)))


def decode(jpeg: bytes, limits: PictureLimits, *, coarse: bool = False) -> ImageBgr:
    """Return the pixels of a JPEG. Raises FrameRejected as ``open_picture`` does.

    ``coarse`` takes a fifth less time and does not interpolate the chroma, which is stored at half
    size: good enough for detection, but not for face recognition.
    """
    check_header(jpeg, limits)
    try:
        image: ImageBgr = simplejpeg.decode_jpeg(jpeg, "BGR", fastdct=coarse, fastupsample=coarse)
    except ValueError as cause:
        raise FrameRejected(f"a picture cannot be decoded: {cause}") from cause
    return image


def check_header(jpeg: bytes, limits: PictureLimits) -> None:
    """Raise FrameRejected unless the header announces a picture within the limits."""
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(jpeg)
    except ValueError as cause:
        raise FrameRejected(f"a picture has no JPEG header: {cause}") from cause
    if min(width, height) < limits.min_side_px:
        raise FrameRejected(f"a picture of {width} x {height} is too small", reason="too_small")
    if width * height > limits.max_pixels:
        raise FrameRejected(f"a picture of {width} x {height} is too large", reason="too_large")


def _content(frame: Frame, boxed: ImageBgr) -> ImageBgr:
    """Return the part of the square that the camera's picture fills."""
    box = frame.letterbox
    positive = np.array([box.scale, frame.native_scale, frame.width, frame.height])
    padding = np.array([box.pad_x, box.pad_y])
    numbers = np.concatenate([positive, padding])
    if not (np.isfinite(numbers).all() and (positive > 0).all() and (padding >= 0).all()):
        raise FrameRejected(
            f"the letterbox {box} of a {frame.width} x {frame.height} frame is invalid"
        )
    left, top = int(box.pad_x), int(box.pad_y)
    right = left + max(1, round(frame.width * box.scale))
    bottom = top + max(1, round(frame.height * box.scale))
    if right > boxed.shape[1] or bottom > boxed.shape[0]:
        raise FrameRejected(f"the letterbox {box} exceeds a picture of {boxed.shape[:2]}")
    return boxed[top:bottom, left:right]
