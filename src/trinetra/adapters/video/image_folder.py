"""Frame source that reads a folder of images in the natural order of their names."""

import re
import struct
from pathlib import Path
from typing import Any

import av
import av.error
import simplejpeg

from trinetra.adapters.video.decoding import AvPicture, FrameLimits, Scalers, check_frame
from trinetra.adapters.video.display import Display, exif_orientation
from trinetra.errors import FrameRejected, SourceUnavailable
from trinetra.values import Instant, after

_CODECS = {".jpg": "mjpeg", ".jpeg": "mjpeg", ".png": "png", ".bmp": "bmp"}
_PNG_HEADER = struct.Struct(">8s8xII")
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def _natural_order(path: Path) -> tuple[list[str | int], str]:
    """Return a sort key by which 2.jpg comes before 10.jpg, as `ffmpeg %d.jpg` numbers them."""
    parts = re.split(r"([0-9]+)", path.name)
    return [int(part) if n % 2 else part.lower() for n, part in enumerate(parts)], path.name


class ImageFolderSource:
    """JPEG, PNG and BMP files at ``fps``; image ``n`` is captured ``n / fps`` after the start."""

    def __init__(
        self,
        folder: Path,
        started_at: Instant,
        *,
        fps: float,
        loop: bool = False,
        only: str | None = None,
        limits: FrameLimits | None = None,
    ) -> None:
        """Read a folder, or ``only`` the image of that name in it."""
        self._folder = folder
        self._started_at = started_at
        self._fps = fps
        self._loop = loop
        self._only = only
        self._limits = limits or FrameLimits()
        self._scalers = Scalers()
        self._files: list[Path] = []
        self._number = 0
        self._good_in_pass = 0

    def open(self) -> None:
        """List the folder. Raises SourceUnavailable if it has no images."""
        if not self._folder.is_dir():
            raise SourceUnavailable(f"{self._folder} is not a folder; check the camera's source")
        files = (p for p in self._folder.iterdir() if p.suffix.lower() in _CODECS)
        if self._only is not None:
            files = (p for p in files if p.name == self._only)
        self._files = sorted(files, key=_natural_order)
        if not self._files:
            raise SourceUnavailable(
                f"{self._folder} has no {', '.join(_CODECS)} file; check the camera's source"
            )
        self._number = self._good_in_pass = 0

    def read(self, *, key_frames_only: bool) -> AvPicture | None:  # noqa: ARG002  every picture is a key frame
        """Return the next image, or None after the last; see ``FrameSource.read``."""
        if not self._files or not self._has_next():
            return None
        number, self._number = self._number, self._number + 1
        frame, display = self._decode(self._files[number % len(self._files)])
        self._good_in_pass += 1
        captured_at = after(self._started_at, number / self._fps)
        return AvPicture(frame, captured_at, self._scalers, display)

    @property
    def codec(self) -> str:
        """FFmpeg's name of the first image's codec; empty while closed."""
        return _CODECS[self._files[0].suffix.lower()] if self._files else ""

    def close(self) -> None:
        """Discard the list of files."""
        self._files = []

    def _has_next(self) -> bool:
        if self._number == 0 or self._number % len(self._files):
            return True
        # Without this check a folder of only damaged files would loop forever without a frame.
        if self._loop and not self._good_in_pass:
            raise SourceUnavailable(f"{self._folder} has no usable image to loop over")
        self._good_in_pass = 0
        return self._loop

    def _decode(self, path: Path) -> tuple[Any, Display]:
        try:
            data = path.read_bytes()
            self._check_header(path, data)
            frame = self._first_frame(path, data)
        except (OSError, av.error.FFmpegError, ValueError, struct.error) as error:
            raise FrameRejected(f"{path} cannot be read as an image: {error}") from error
        if frame is None:
            raise FrameRejected(f"{path} contains no image")
        # The density that a JPEG claims is of print, not of the camera: pixels count as square.
        display = Display(exif_orientation(data))
        check_frame(frame, self._limits, display)
        return frame, display

    def _check_header(self, path: Path, data: bytes) -> None:
        """Check the size before the decoder allocates memory for the pixels."""
        codec = _CODECS[path.suffix.lower()]
        if codec == "mjpeg":
            height, width, *_ = simplejpeg.decode_jpeg_header(data)
            self._limits.check(width, height)
        elif codec == "png":
            magic, width, height = _PNG_HEADER.unpack_from(data)
            if magic != _PNG_MAGIC:
                raise ValueError("it is not a PNG file")
            self._limits.check(width, height)

    def _first_frame(self, path: Path, data: bytes) -> Any:
        context = av.CodecContext.create(_CODECS[path.suffix.lower()], "r")
        context.thread_type = "NONE"
        context.options = {"max_pixels": str(self._limits.max_pixels)}
        frames = [*context.decode(av.Packet(data)), *context.decode(None)]
        return frames[0] if frames else None
