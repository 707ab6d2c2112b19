"""Frame source that plays a video file once or in a loop, with PyAV."""

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import av.error

from trinetra.adapters.video.decoding import (
    AvPicture,
    FrameLimits,
    PacketDecoder,
    Scalers,
    best_video_stream,
    check_frame,
)
from trinetra.adapters.video.display import Display
from trinetra.errors import FrameRejected, SourceUnavailable
from trinetra.values import Instant, after

_DEFAULT_FRAME_S = 0.04


class VideoFileSource:
    """A video file; the capture time of a frame is ``started_at`` plus its time in the file.

    In a loop, capture times continue: the next pass starts one frame after the end of the last.
    """

    def __init__(
        self,
        path: Path,
        started_at: Instant,
        *,
        loop: bool = False,
        limits: FrameLimits | None = None,
    ) -> None:
        self._path = path
        self._pass_starts_at = started_at
        self._loop = loop
        self._limits = limits or FrameLimits()
        self._scalers = Scalers()
        self._container: Any = None
        self._packets: Iterator[Any] = iter(())
        self._decoder: PacketDecoder | None = None
        self._ready: deque[tuple[Any, Display, float | None]] = deque()
        self._frame_s = _DEFAULT_FRAME_S
        self._first_s: float | None = None
        self._elapsed_s: float | None = None

    def open(self) -> None:
        """Open the file. Raises SourceUnavailable naming it."""
        self.close()
        if not self._path.is_file():
            raise SourceUnavailable(f"{self._path} is not a file; check the camera's source")
        try:
            self._container = self._open_container()
            stream = best_video_stream(self._container, str(self._path))
        except av.error.FFmpegError as error:
            self.close()
            raise SourceUnavailable(
                f"{self._path} cannot be read as video ({error.strerror}); "
                "it may be truncated: copy or record it again"
            ) from error
        self._frame_s = 1.0 / float(stream.average_rate or 1.0 / _DEFAULT_FRAME_S)
        self._first_s = self._elapsed_s = None
        self._decoder = PacketDecoder(stream, self._limits)
        self._packets = self._container.demux(stream)

    def read(self, *, key_frames_only: bool) -> AvPicture | None:
        """Return the next frame, or None at the end; see ``FrameSource.read``."""
        while not self._ready:
            if self._decoder is None:
                return None
            self._advance(self._decoder, key_frames_only=key_frames_only)
        frame, display, time_s = self._ready.popleft()
        check_frame(frame, self._limits, display)
        return AvPicture(frame, self._captured_at(time_s), self._scalers, display)

    @property
    def codec(self) -> str:
        """FFmpeg's name of the codec; empty while closed."""
        return self._decoder.codec if self._decoder else ""

    def close(self) -> None:
        """Close the file."""
        container, self._container, self._decoder = self._container, None, None
        self._packets = iter(())
        self._ready.clear()
        if container is not None:
            container.close()

    def _open_container(self) -> Any:
        # The whitelist keeps a recording from making FFmpeg open other resources, as a playlist
        # could; "file:" keeps FFmpeg from parsing a colon in the file name as a protocol.
        options = {"protocol_whitelist": "file", "max_pixels": str(self._limits.max_pixels)}
        return av.open(f"file:{self._path}", "r", options=options)

    def _advance(self, decoder: PacketDecoder, *, key_frames_only: bool) -> None:
        try:
            packet = next(self._packets, None)
        except av.error.FFmpegError as error:
            self._packets = iter(())
            raise FrameRejected(
                f"the rest of {self._path} cannot be read: {error.strerror}"
            ) from error
        if packet is None:
            self._end_pass()
        else:
            is_flush = packet.size == 0
            frames = (
                decoder.drain()
                if is_flush
                else decoder.decode(packet, key_frames_only=key_frames_only)
            )
            self._ready.extend(
                (frame, decoder.display(frame), decoder.time_s(frame)) for frame in frames
            )

    def _end_pass(self) -> None:
        elapsed_s = self._elapsed_s
        self.close()
        if not self._loop:
            return
        if elapsed_s is None:
            raise SourceUnavailable(f"{self._path} has no usable frame to loop over")
        self._pass_starts_at = after(self._pass_starts_at, elapsed_s + self._frame_s)
        self.open()

    def _captured_at(self, time_s: float | None) -> Instant:
        if self._first_s is None:
            self._first_s = time_s or 0.0
        if self._elapsed_s is None:
            self._elapsed_s = 0.0
        else:
            elapsed_s = -1.0 if time_s is None else time_s - self._first_s
            # Times that do not increase, as in edited files, are replaced by the nominal rate.
            is_later = elapsed_s > self._elapsed_s
            self._elapsed_s = elapsed_s if is_later else self._elapsed_s + self._frame_s
        return after(self._pass_starts_at, self._elapsed_s)
