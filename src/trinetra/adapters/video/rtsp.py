"""Frame source for live cameras: RTSP (over TCP, TLS or UDP) and MJPEG over HTTP, with PyAV."""

import errno
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import av
import av.error

from trinetra.adapters.video.capture_time import CaptureTimes
from trinetra.adapters.video.decoding import (
    AvPicture,
    FrameLimits,
    PacketDecoder,
    Scalers,
    best_video_stream,
    check_frame,
    open_failure,
)
from trinetra.errors import SourceStalled, SourceUnavailable
from trinetra.ports import Clock

_KEY_FRAME_PATIENCE_S = 30.0
_NO_VIDEO = "{} answered, but not with readable video"
# Without times in the stream, FFmpeg would analyze until it knows the frame rate: 5 s at 8 fps.
_ANALYZE_US = {"rtsp": "2000000", "mpjpeg": "2000000", "mjpeg": "1"}


@dataclass(frozen=True, slots=True)
class LiveProtocol:
    """How FFmpeg reads a protocol.

    Only ``demuxers`` are used, in this order: FFmpeg would otherwise guess from the answer, and a
    hostile camera that answers with a playlist could make it fetch any address of the network. The
    next one is tried where one cannot read the answer. ``options`` are FFmpeg's.
    ``trusts_stream_times`` is for protocols that carry capture times.
    """

    demuxers: tuple[str, ...]
    allowed: str
    options: Mapping[str, str]
    trusts_stream_times: bool


RTSP = LiveProtocol(("rtsp",), "rtsp,rtsps,rtp,tcp,tls,udp", {}, trusts_stream_times=True)
# The second one looks for pictures instead of parts, and so also reads malformed multipart streams;
# it recognizes the end of a picture only by the next one.
MJPEG = LiveProtocol(
    ("mpjpeg", "mjpeg"),
    "http,https,httpproxy,tcp,tls",
    {"max_redirects": "0"},  # a redirect could lead to any address of the network, too
    trusts_stream_times=False,
)


class LiveSource:
    """A network camera; its stream should never end, so an end of stream is a failure.

    ``url`` may contain credentials and is therefore never shown; messages use ``label`` instead.
    ``transport`` is that of RTP, tcp or udp.
    """

    def __init__(
        self,
        url: str,
        label: str,
        clock: Clock,
        *,
        protocol: LiveProtocol,
        transport: str = "tcp",
        timeout_s: float = 5.0,
        limits: FrameLimits | None = None,
    ) -> None:
        self._url = url
        self._label = label
        self._clock = clock
        self._protocol = protocol
        self._transport = transport
        self._demuxers = list(protocol.demuxers)
        self._timeout_s = timeout_s
        self._limits = limits or FrameLimits()
        self._times = CaptureTimes()
        self._scalers = Scalers()
        self._container: Any = None
        self._packets: Iterator[Any] = iter(())
        self._decoder: PacketDecoder | None = None
        self._ready: deque[Any] = deque()
        self._framed_at_s = 0.0

    def open(self) -> None:
        """Connect. Raises SourceUnavailable, SourceAbsent or SourceRefused."""
        self.close()
        started_s = self._clock.monotonic()
        try:
            self._container = self._connect()
            stream = best_video_stream(self._container, self._label)
        except av.error.FFmpegError as error:
            self.close()
            if self._has_other_demuxer(error) and not self._is_overdue(started_s):
                self.open()
                return
            # "from None": FFmpeg's own error contains the URL, and with it the password.
            raise self._open_failure(error, started_s) from None
        if not stream.codec_context.width and self._protocol is MJPEG:
            self.close()
            raise SourceUnavailable(_NO_VIDEO.format(self._label))
        self._decoder = PacketDecoder(stream, self._limits)
        self._packets = self._container.demux(stream)
        self._framed_at_s = self._clock.monotonic()

    def read(self, *, key_frames_only: bool) -> AvPicture | None:
        """Return the next frame; raises as ``FrameSource.read`` does."""
        if self._decoder is None:
            raise SourceUnavailable(f"{self._label} is not open")
        while not self._ready:
            packet = self._next_packet()
            self._ready.extend(self._decoder.decode(packet, key_frames_only=key_frames_only))
            self._expect_frames()
        frame = self._ready.popleft()
        self._framed_at_s = self._clock.monotonic()
        display = self._decoder.display(frame)
        check_frame(frame, self._limits, display)
        has_time = self._protocol.trusts_stream_times
        stream_s = self._decoder.time_s(frame) if has_time else None
        captured_at = self._times.stamp(self._clock.now(), stream_s)
        return AvPicture(frame, captured_at, self._scalers, display)

    @property
    def codec(self) -> str:
        """FFmpeg's name of the codec; empty while closed."""
        return self._decoder.codec if self._decoder else ""

    def close(self) -> None:
        """Close the connection."""
        container, self._container, self._decoder = self._container, None, None
        self._packets = iter(())
        self._ready.clear()
        if container is not None:
            container.close()

    def _connect(self) -> Any:
        # Connecting and probing may each take the whole timeout; a read fails after twice its
        # timeout, hence the half. FFmpeg's `stimeout` and `rw_timeout` options have no effect here.
        demuxer = self._demuxers[0]
        options = {
            "rtsp_transport": self._transport,
            "protocol_whitelist": self._protocol.allowed,
            "analyzeduration": _ANALYZE_US[demuxer],
            "fpsprobesize": "0",
            "max_pixels": str(self._limits.max_pixels),
            **self._protocol.options,
        }
        timeout = (self._timeout_s, self._timeout_s / 2)
        return av.open(self._url, "r", format=demuxer, options=options, timeout=timeout)

    def _has_other_demuxer(self, error: av.error.FFmpegError) -> bool:
        """Change to the next demuxer if this one cannot read the stream; return if there is one."""
        if len(self._demuxers) == 1 or not isinstance(error, av.error.InvalidDataError):
            return False
        del self._demuxers[0]
        return True

    def _is_overdue(self, started_s: float) -> bool:
        return self._clock.monotonic() - started_s >= self._timeout_s

    def _open_failure(self, error: av.error.FFmpegError, started_s: float) -> SourceUnavailable:
        if error.errno == errno.EPROTONOSUPPORT and self._transport == "tcp":
            return SourceUnavailable(
                f"{self._label} offers no RTSP over TCP: switch it on in the camera, or set "
                "`transport: udp` in the camera's source"
            )
        # FFmpeg reports its timeouts as several different errors, InvalidDataError among them.
        is_answer = isinstance(error, av.error.HTTPError)
        if not is_answer and self._is_overdue(started_s):
            return SourceUnavailable(f"{self._label} did not answer within {self._timeout_s:g} s")
        has_answered = len(self._demuxers) < len(self._protocol.demuxers)
        if has_answered and not is_answer:
            return SourceUnavailable(_NO_VIDEO.format(self._label))
        failure = open_failure(error, self._label)
        if error.errno == errno.EIO and self._protocol is MJPEG:
            return SourceUnavailable(f"{failure}; redirects are not followed: set where they lead")
        return failure

    def _next_packet(self) -> Any:
        try:
            packet = next(self._packets, None)
        except (av.error.ExitError, av.error.TimeoutError):
            raise SourceStalled(
                f"{self._label} sent nothing for {self._timeout_s:g} s; reconnecting"
            ) from None
        except av.error.FFmpegError as error:
            if self._has_other_demuxer(error):
                self.open()
                return self._next_packet()
            raise SourceUnavailable(f"{self._label} was lost: {error.strerror}") from None
        if packet is None or packet.size == 0:
            raise SourceUnavailable(f"{self._label} closed the connection")
        return packet

    def _expect_frames(self) -> None:
        if self._clock.monotonic() - self._framed_at_s > _KEY_FRAME_PATIENCE_S:
            raise SourceStalled(
                f"{self._label} sends packets but no key frame for {_KEY_FRAME_PATIENCE_S:g} s"
            )
