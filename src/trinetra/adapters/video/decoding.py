"""Video decoding with PyAV (FFmpeg), and translation of FFmpeg's errors.

No FFmpeg message leaves this package unchanged: FFmpeg's errors contain the URL, including the
password. For the same reason PyAV's log stays off, which is its default.
"""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import av
import av.error
import numpy as np
from av.stream import Disposition
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from trinetra.adapters.video.display import Display, display_of
from trinetra.errors import FrameRejected, SourceAbsent, SourceRefused, SourceUnavailable
from trinetra.values import Instant, YuvPlanes

_MAX_SCALERS = 8
_AS_STORED = Display()
_STILL = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image


@dataclass(frozen=True, slots=True)
class FrameLimits:
    """Frame sizes that are decoded; the maximum is 8K, 7680 x 4320."""

    min_side: int = 16
    max_pixels: int = 7680 * 4320

    def check(self, width: int, height: int) -> None:
        """Raise FrameRejected for a size outside the limits."""
        if min(width, height) < self.min_side:
            raise FrameRejected(
                f"a frame of {width}x{height} is smaller than {self.min_side} pixels on a side",
                reason="too_small",
            )
        self.check_large(width, height)

    def check_large(self, width: int, height: int) -> None:
        """Raise FrameRejected for too many pixels; 0 x 0, an unknown size, is accepted."""
        if width * height > self.max_pixels:
            raise FrameRejected(
                f"a frame of {width}x{height} has more than {self.max_pixels} pixels",
                reason="too_large",
            )


class Scalers:
    """Caches one swscale context per size and format; to create one costs more than to scale."""

    def __init__(self) -> None:
        self._contexts: dict[tuple[int, int, str], VideoReformatter] = {}

    def planes(self, frame: Any, width: int, height: int) -> YuvPlanes:
        """Return the picture in that size and in JPEG's color space, converted from any other.

        Range, matrix and size are converted in one pass. The planes are views of FFmpeg's memory.
        """
        jpeg = {"dst_colorspace": Colorspace.ITU601, "dst_color_range": ColorRange.JPEG}
        method = Interpolation.FAST_BILINEAR
        scaled = self._scale(frame, width, height, "yuv420p", method, **jpeg)
        return YuvPlanes(*(_pixels(plane) for plane in scaled.planes))

    def luma(self, frame: Any, width: int, height: int) -> NDArray[np.uint8]:
        """Return the mean brightness over each pixel of a ``(height, width)`` picture."""
        return _pixels(self._scale(frame, width, height, "gray", Interpolation.AREA).planes[0])

    def _scale(
        self,
        frame: Any,
        width: int,
        height: int,
        pixels: str,
        method: Interpolation,
        **colors: Any,
    ) -> Any:
        key = (width, height, pixels)
        if key not in self._contexts and len(self._contexts) >= _MAX_SCALERS:
            self._contexts.clear()
        context = self._contexts.setdefault(key, VideoReformatter())
        # threads=1: the default starts a thread per processor in every context.
        return context.reformat(
            frame, width, height, pixels, interpolation=method, threads=1, **colors
        )


def _pixels(plane: Any) -> NDArray[np.uint8]:
    """Return a plane's pixels without the padding that FFmpeg adds to align its rows."""
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width]


class AvPicture:
    """A decoded frame in FFmpeg's own memory, scaled only on demand; sizes are as displayed."""

    __slots__ = ("_display", "_frame", "_scalers", "captured_at", "height", "width")

    def __init__(
        self, frame: Any, captured_at: Instant, scalers: Scalers, display: Display = _AS_STORED
    ) -> None:
        self._frame = frame
        self._scalers = scalers
        self._display = display
        self.captured_at = captured_at
        self.width, self.height = display.size(frame.width, frame.height)

    def planes(self, width: int, height: int) -> YuvPlanes:
        """Return the picture scaled to ``width x height``, in JPEG's color space."""
        with _rejecting(width, height):
            planes = self._scalers.planes(self._frame, *self._display.stored_size(width, height))
        return YuvPlanes(*(self._display.orientation.apply(plane) for plane in planes))

    def luma(self, width: int, height: int) -> NDArray[np.uint8]:
        """Return the mean brightness over each pixel of a ``(height, width)`` picture."""
        with _rejecting(width, height):
            luma = self._scalers.luma(self._frame, *self._display.stored_size(width, height))
        return self._display.orientation.apply(luma)


@contextmanager
def _rejecting(width: int, height: int) -> Iterator[None]:
    """Translate FFmpeg's errors while scaling to that size into FrameRejected."""
    try:
        yield
    except (av.error.FFmpegError, ValueError) as error:
        raise FrameRejected(f"a frame cannot be scaled to {width}x{height}: {error}") from error


class PacketDecoder:
    """Decodes one video stream, either in full or, while nothing moves, its key frames only.

    ``key_frames_only`` is a permission: it is used only if the last two key frames were at most
    ``max_key_gap_s`` apart. After a return to full decoding, no frame is output that refers to a
    frame which was not decoded: either decoding resumes from the last key frame, if nothing was
    skipped since, or it waits for the next one.
    """

    def __init__(self, stream: Any, limits: FrameLimits, *, max_key_gap_s: float = 2.5) -> None:
        self._context = stream.codec_context
        self._time_base = stream.time_base
        self._stream_aspect = stream.sample_aspect_ratio
        self._first_aspect = self._context.sample_aspect_ratio
        self._context.thread_type = "NONE"
        self._context.thread_count = 1
        self._context.options = {"max_pixels": str(limits.max_pixels)}
        self._limits = limits
        self._max_key_gap_s = max_key_gap_s
        self._key_ticks: int | None = None
        self._key_gap_s = float("inf")
        self._drained_key: Any = None
        self._shown_pts: int | None = None
        self._broken_chain = False

    @property
    def codec(self) -> str:
        """FFmpeg's name of the codec."""
        return str(self._context.name)

    def decode(self, packet: Any, *, key_frames_only: bool) -> Sequence[Any]:
        """Return the frames that this packet completes. Raises FrameRejected."""
        self._limits.check_large(self._context.width, self._context.height)
        if packet.is_keyframe:
            self._measure_gap(packet)
        if key_frames_only and self._key_gap_s <= self._max_key_gap_s:
            return self._decode_key(packet)
        return self._decode_next(packet)

    def drain(self) -> Sequence[Any]:
        """Return the frames still inside the decoder at the end of a file."""
        return () if self._broken_chain else self._feed(None)

    def time_s(self, frame: Any) -> float | None:
        """Return a frame's time on the stream's clock.

        ``frame.time`` cannot be used, because a drained frame has lost its time base in PyAV.
        """
        return None if frame.pts is None else float(frame.pts * self._time_base)

    def display(self, frame: Any) -> Display:
        """Return how a frame is displayed; the container's pixel shape precedes the codec's.

        A codec's pixel shape that has changed within the stream precedes both.
        """
        current = self._context.sample_aspect_ratio
        changed = current is not None and current != self._first_aspect
        return display_of(frame, current if changed else self._stream_aspect)

    def _measure_gap(self, packet: Any) -> None:
        ticks = packet.pts if packet.pts is not None else packet.dts
        if ticks is not None and self._key_ticks is not None:
            self._key_gap_s = float(abs(ticks - self._key_ticks) * self._time_base)
        self._key_ticks = ticks

    def _decode_key(self, packet: Any) -> Sequence[Any]:
        if not packet.is_keyframe:
            self._broken_chain, self._drained_key = True, None
            return ()
        if self._broken_chain or self._drained_key is not None:
            self._context.flush_buffers()
        self._broken_chain, self._drained_key = False, None
        frames = self._feed(packet)
        if any(frame.pts == packet.pts for frame in frames):
            return frames
        # A decoder that reorders frames holds the key frame back until it gets the next packets,
        # which are skipped here. Draining outputs it, but ends the decoding until a flush.
        self._drained_key = packet
        return [*frames, *self._feed(None)]

    def _decode_next(self, packet: Any) -> Sequence[Any]:
        if self._broken_chain and not packet.is_keyframe:
            return ()
        if self._broken_chain:
            self._context.flush_buffers()
        self._broken_chain = False
        if self._drained_key is None:
            return self._feed(packet)
        return self._resume_after(self._drained_key, packet)

    def _resume_after(self, key: Any, packet: Any) -> Sequence[Any]:
        """Decode the key frame again, as the reference, and continue with the packet.

        The drained decoder has to be flushed, which discards its reference frames. The key frame
        was already output, so ``_was_shown`` suppresses it this time.
        """
        self._drained_key, self._shown_pts = None, key.pts
        self._context.flush_buffers()
        return [*self._feed(key), *self._feed(packet)]

    def _feed(self, packet: Any) -> Sequence[Any]:
        try:
            frames = self._context.decode(packet)
        except av.error.FFmpegError as error:
            raise FrameRejected(f"a packet cannot be decoded: {error.strerror}") from None
        return [frame for frame in frames if not self._was_shown(frame)]

    def _was_shown(self, frame: Any) -> bool:
        if self._shown_pts is None or frame.pts != self._shown_pts:
            return False
        self._shown_pts = None
        return True


def check_frame(frame: Any, limits: FrameLimits, display: Display) -> None:
    """Raise FrameRejected for a frame that is damaged or outside the limits as displayed."""
    limits.check(*display.size(frame.width, frame.height))
    if frame.is_corrupt:
        raise FrameRejected("a frame is corrupt")


def best_video_stream(container: Any, label: str) -> Any:
    """Return the largest moving video stream; of equal ones, the first.

    Cover pictures and thumbnail tracks are not video, wherever they stand in the file. Raises
    SourceUnavailable if there is no other stream that can be decoded.
    """
    streams = [s for s in container.streams.video if s.codec_context is not None]
    if not streams:
        raise SourceUnavailable(f"{label} has no video that can be decoded; check the source")
    videos = [s for s in streams if not s.disposition & _STILL]
    if not videos:
        raise SourceUnavailable(
            f"{label} has only a cover picture, no video; use the recording itself"
        )
    return max(videos, key=_size_if_moving)


def _size_if_moving(stream: Any) -> tuple[bool, int]:
    """Return a stream's rank; its number of frames is 0 if the container does not say it."""
    context = stream.codec_context
    return stream.frames != 1, context.width * context.height


def open_failure(error: av.error.FFmpegError, label: str) -> SourceUnavailable:
    """Return the translated error for an FFmpeg error while connecting."""
    if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
        return SourceRefused(f"{label} refused the user or password; check the credentials")
    if isinstance(error, av.error.HTTPNotFoundError):
        return SourceAbsent(
            f"{label} was not found: the camera is starting, or the path of its address is wrong"
        )
    if isinstance(error, av.error.HTTPClientError):
        return SourceAbsent(f"{label} refused the request: {error.strerror}")
    if isinstance(error, av.error.InvalidDataError | av.error.EOFError):
        return SourceUnavailable(f"{label} answered, but not with readable video")
    if error.errno == errno.EIO:
        # FFmpeg reports a host name that does not resolve as an I/O error, and an HTTP answer that
        # ends too early.
        return SourceUnavailable(
            f"{label} cannot be reached, or does not answer with video: check the name, the path "
            "and the network"
        )
    return SourceUnavailable(f"{label} cannot be reached: {error.strerror}")
