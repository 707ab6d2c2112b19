"""Generates small clips and pictures for tests."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import simplejpeg

from trinetra.values import YuvPlanes


def picture(number: int, width: int, height: int, *, moves: bool = True) -> np.ndarray:
    """Return a textured BGR picture; if it ``moves``, a blue square steps across it."""
    y, x = np.mgrid[0:height, 0:width]
    image = np.repeat(((x * 3 + y * 2) % 200)[..., None], 3, axis=2).astype(np.uint8)
    if moves:
        at = number * width // 24 % max(1, width * 3 // 4)
        image[height // 3 : height * 2 // 3, at : at + width // 4] = (255, 40, 40)
    return image


def mark(image: np.ndarray, number: int) -> np.ndarray:
    """Write the frame number into 8 bands at the right edge, bright for a set bit."""
    height, width = image.shape[:2]
    for bit in range(8):
        band = slice(bit * height // 8, (bit + 1) * height // 8)
        image[band, width * 7 // 8 :] = 255 if number >> bit & 1 else 0
    return image


def bgr_of(planes: YuvPlanes) -> np.ndarray:
    """Return the BGR pixels of a picture in JPEG's color space (ITU-T T.871)."""
    y, u, v = (plane.astype(np.float32) for plane in planes)
    height, width = y.shape
    u, v = ((p - 128).repeat(2, 0).repeat(2, 1)[:height, :width] for p in (u, v))
    bgr = np.stack([y + 1.772 * u, y - 0.344136 * u - 0.714136 * v, y + 1.402 * v], axis=2)
    return np.clip(np.rint(bgr), 0, 255).astype(np.uint8)


def read_mark(bgr: np.ndarray) -> int:
    """Return the number that ``mark`` wrote; it survives video compression."""
    height, width = bgr.shape[:2]
    number = 0
    for bit in range(8):
        center = (2 * bit + 1) * height // 16
        patch = bgr[center - 1 : center + 2, width * 15 // 16 - 2 : width * 15 // 16 + 2]
        number |= int(patch.mean() > 127) << bit
    return number


def write_clip(
    path: Path,
    *,
    frames: int = 45,
    fps: int = 15,
    size: tuple[int, int] = (192, 128),
    key_every: int = 15,
    b_frames: int = 0,
    moves: bool = True,
) -> Path:
    """Write an H.264 file whose frames carry their number; it has no audio."""
    width, height = size
    with av.open(str(path), "w") as container:
        options = {
            "preset": "ultrafast",
            "crf": "18",
            "x264-params": f"keyint={key_every}:min-keyint={key_every}:scenecut=0"
            f":bframes={b_frames}",
        }
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, fps)
        for number in range(frames):
            image = mark(picture(number, width, height, moves=moves), number)
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def jpeg(width: int, height: int, number: int = 0) -> bytes:
    """Return a JPEG of that size."""
    return simplejpeg.encode_jpeg(picture(number, width, height), 80, "BGR")
