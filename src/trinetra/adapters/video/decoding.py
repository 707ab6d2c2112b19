"""Decoding with PyAV (FFmpeg): packets to pictures, its failures to ours.

No FFmpeg message leaves this package as it is: FFmpeg puts the URL, with the password, into its
errors. For the same reason PyAV's log stays off, as it is by default.
"""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import av
import av.error
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from trinetra.errors import FrameRejected, SourceRefused, SourceUnavailable
from trinetra.values import Instant, YuvPlanes

_MAX_SCALERS = 8


@dataclass(frozen=True, slots=True)
class FrameLimits:
    """Which frames are worth decoding; 8K is 7680 x 4320."""

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
        """Raise FrameRejected for too many pixels; 0 x 0, an unknown size, passes."""
        if width * height > self.max_pixels:
            raise FrameRejected(
                f"a frame of {width}x{height} has more than {self.max_pixels} pixels",
                reason="too_large",
            )


class Scalers:
    """One swscale context per size and format, since setting one up costs more than scaling."""

    def __init__(self) -> None:
        self._contexts: dict[tuple[int, int, str], VideoReformatter] = {}

    def planes(self, frame: Any, width: int, height: int) -> YuvPlanes:
        """Return the picture in that size and in JPEG's colours, whatever its own are.

        Range, matrix and size change in one pass. The planes are views of FFmpeg's memory.
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
        **colours: Any,
    ) -> Any:
        key = (width, height, pixels)
        if key not in self._contexts and len(self._contexts) >= _MAX_SCALERS:
            self._contexts.clear()
        context = self._contexts.setdefault(key, VideoReformatter())
        # threads=1: the default starts a thread per processor in every context.
        return context.reformat(
            frame, width, height, pixels, interpolation=method, threads=1, **colours
        )


def _pixels(plane: Any) -> NDArray[np.uint8]:
    """Return a plane's pixels without the bytes that FFmpeg aligns its rows with."""
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width]


class AvPicture:
    """A decoded frame in FFmpeg's own memory, scaled only on demand."""

    __slots__ = ("_frame", "_scalers", "captured_at", "height", "width")

    def __init__(self, frame: Any, captured_at: Instant, scalers: Scalers) -> None:
        self._frame = frame
        self._scalers = scalers
        self.captured_at = captured_at
        self.width: int = frame.width
        self.height: int = frame.height

    def planes(self, width: int, height: int) -> YuvPlanes:
        """Return the picture scaled to ``width x height``, in JPEG's colours."""
        with _rejecting(width, height):
            return self._scalers.planes(self._frame, width, height)

    def luma(self, width: int, height: int) -> NDArray[np.uint8]:
        """Return the mean brightness over each pixel of a ``(height, width)`` picture."""
        with _rejecting(width, height):
            return self._scalers.luma(self._frame, width, height)


@contextmanager
def _rejecting(width: int, height: int) -> Iterator[None]:
    """Turn FFmpeg's failures to scale to that size into ours."""
    try:
        yield
    except (av.error.FFmpegError, ValueError) as error:
        raise FrameRejected(f"a frame cannot be scaled to {width}x{height}: {error}") from error


class PacketDecoder:
    """Decodes one video stream, in full or, while nothing moves, its key frames only.

    Key frames only is a permission: it is used where the last two key frames lay at most
    ``max_key_gap_s`` apart. Back to full decoding, nothing is shown that refers to a frame which
    was not decoded: either the last key frame is still at hand and decoding goes on from it, or the
    next one is waited for.
    """

    def __init__(self, stream: Any, limits: FrameLimits, *, max_key_gap_s: float = 2.5) -> None:
        self._context = stream.codec_context
        self._time_base = stream.time_base
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

    def decode(self, packet: Any, *, key_frames_only: bool) -> Sequence[Any]:
        """Return the frames that this packet completes; raises FrameRejected."""
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

        Not ``frame.time``: PyAV knows the time base of a drained frame no more.
        """
        return None if frame.pts is None else float(frame.pts * self._time_base)

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
        # A decoder that reorders holds the key frame back until it sees what follows; nothing will.
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
        """Decode the key frame once more, for the reference, and go on with the packet."""
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


def check_frame(frame: Any, limits: FrameLimits) -> None:
    """Raise FrameRejected for a frame that is damaged or outside the limits."""
    limits.check(frame.width, frame.height)
    if frame.is_corrupt:
        raise FrameRejected("a frame is damaged")


def first_video_stream(container: Any, label: str) -> Any:
    """Return the stream to read; raises SourceUnavailable where there is none to decode."""
    for stream in container.streams.video:
        if stream.codec_context is not None:
            return stream
    raise SourceUnavailable(f"{label} holds no video that can be decoded")


def open_failure(error: av.error.FFmpegError, label: str) -> SourceUnavailable:
    """Return our failure for one of FFmpeg's while connecting."""
    if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
        return SourceRefused(f"{label} refused the user or password; check the credentials")
    if isinstance(error, av.error.HTTPNotFoundError):
        return SourceRefused(f"{label} was not found; check the path of the address")
    if isinstance(error, av.error.HTTPClientError):
        return SourceRefused(f"{label} refused the request: {error.strerror}")
    if isinstance(error, av.error.InvalidDataError):
        return SourceUnavailable(f"{label} answered, but not with video that can be read")
    if error.errno == errno.EIO:
        # FFmpeg's word for a name that does not resolve.
        return SourceUnavailable(f"{label} cannot be reached: check the name and the network")
    return SourceUnavailable(f"{label} cannot be reached: {error.strerror}")
