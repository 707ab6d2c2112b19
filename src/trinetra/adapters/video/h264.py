"""Converts video files to H.264 access units for streaming, and images to H.264 files (PyAV)."""

import errno
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, Self

import av
import av.error
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.video.frame import PictureType

from trinetra.adapters.video.decoding import AvPicture, Scalers, best_video_stream
from trinetra.adapters.video.display import Display, display_of
from trinetra.errors import ConfigurationError, SourceUnavailable, StorageFull
from trinetra.values import EPOCH, ImageBgr

_NS = 1_000_000_000
_DEFAULT_RATE = Fraction(25)
_KEY_EVERY_S = 1
_ENCODER = "libx264"


class AccessUnit(NamedTuple):
    """One coded picture; times are relative to the decoding time of the first picture."""

    size: int
    pts_ns: int
    dts_ns: int
    is_key: bool


@dataclass(frozen=True, slots=True)
class ElementaryStream:
    """An Annex B byte stream on disk (ITU-T H.264, annex B) and its access units.

    It starts with a key frame; parameter sets precede every key frame. ``period_ns`` is the time
    between the first pictures of two passes when it is played in a loop.
    """

    path: Path
    units: tuple[AccessUnit, ...]
    period_ns: int
    reencoded: bool


def write_elementary_stream(clip: Path, target: Path) -> ElementaryStream:
    """Write a video file as H.264 access units; re-encode it if it has another format.

    A byte stream carries no rotation, so a clip that is displayed other than it is stored is
    re-encoded as displayed.

    Raises ConfigurationError naming the file if it is not a video.
    """
    try:
        with av.open(f"file:{clip}", "r", options={"protocol_whitelist": "file"}) as container:
            stream = best_video_stream(container, str(clip))
            copies = stream.codec_context.name == "h264" and _is_shown_as_stored(clip)
            packets = _annex_b(container, stream) if copies else _encoded(container, stream)
            frame_ns = int(_NS / (stream.average_rate or _DEFAULT_RATE))
            units = tuple(_write(packets, target, frame_ns))
    except (av.error.FFmpegError, SourceUnavailable) as error:
        reason = error.strerror if isinstance(error, av.error.FFmpegError) else error
        raise ConfigurationError(f"{clip} cannot be served as a camera: {reason}") from error
    if not units:
        raise ConfigurationError(
            f"{clip} cannot be served as a camera: it has no key frame; use another file"
        )
    period_ns = max(u.pts_ns for u in units) - min(u.pts_ns for u in units) + frame_ns
    return ElementaryStream(target, units, period_ns, reencoded=not copies)


def _is_shown_as_stored(clip: Path) -> bool:
    with av.open(f"file:{clip}", "r", options={"protocol_whitelist": "file"}) as container:
        stream = best_video_stream(container, str(clip))
        frame = next(container.decode(stream), None)
        return frame is None or display_of(frame, stream.sample_aspect_ratio) == Display()


def _annex_b(container: Any, stream: Any) -> Iterator[Any]:
    """Yield a file's packets with start codes instead of lengths, and parameter sets in band."""
    to_annex_b = BitStreamFilterContext("h264_mp4toannexb", stream)
    for packet in container.demux(stream):
        yield from to_annex_b.filter(packet if packet.size else None)


def _encoded(container: Any, stream: Any) -> Iterator[Any]:
    """Yield the pictures of a file, re-encoded as H.264 packets."""
    encoder: Any = None
    scalers = Scalers()
    for frame in container.decode(stream):
        display = display_of(frame, stream.sample_aspect_ratio)
        if encoder is None:
            rate = stream.average_rate or _DEFAULT_RATE
            size = display.size(frame.width, frame.height)
            encoder = _encoder(*size, rate, stream.time_base)
        picture = _displayed(frame, display, scalers, encoder.width, encoder.height)
        # Otherwise the encoder would reuse the picture types of the original encoding.
        picture.pict_type = PictureType.NONE
        yield from encoder.encode(picture)
    if encoder is not None:
        yield from encoder.encode(None)


def _displayed(frame: Any, display: Display, scalers: Scalers, width: int, height: int) -> Any:
    """Return a frame as it is displayed, of even sides, for the encoder."""
    if display == Display():
        return frame.reformat(width, height, "yuv420p")
    planes = AvPicture(frame, EPOCH, scalers, display).planes(width, height)
    rows = np.concatenate([plane.ravel() for plane in planes]).reshape(height * 3 // 2, width)
    picture = av.VideoFrame.from_ndarray(rows, format="yuvj420p").reformat(format="yuv420p")
    picture.pts, picture.time_base = frame.pts, frame.time_base
    return picture


def _encoder(width: int, height: int, rate: Fraction, time_base: Fraction) -> Any:
    encoder: Any = av.CodecContext.create(_ENCODER, "w")
    encoder.width, encoder.height = _even(width), _even(height)
    encoder.pix_fmt = "yuv420p"
    encoder.framerate, encoder.time_base = rate, time_base
    encoder.options = _encoder_options(rate)
    return encoder


def _encoder_options(rate: Fraction) -> dict[str, str]:
    # One key frame per second, which bounds how long a new client waits for its first picture.
    key_every = max(1, round(rate * _KEY_EVERY_S))
    x264 = f"keyint={key_every}:min-keyint={key_every}:scenecut=0:bframes=0"
    return {"preset": "superfast", "crf": "23", "x264-params": x264}


def _even(side: int) -> int:
    """Round a side down to an even number, which 4:2:0 sampling requires; at least 2."""
    return max(2, side // 2 * 2)


def _write(packets: Iterable[Any], target: Path, frame_ns: int) -> Iterator[AccessUnit]:
    """Write packets from the first key frame on; yield the access units.

    Decoding times that do not increase or are missing, as in edited files, are replaced by times at
    the nominal rate.
    """
    first_ns, last_ns = None, -frame_ns
    with target.open("wb") as file:
        for packet in packets:
            if first_ns is None and not packet.is_keyframe:
                continue
            tick_ns = packet.time_base * _NS
            given = packet.dts if packet.dts is not None else packet.pts
            given_ns = None if given is None else int(given * tick_ns)
            if first_ns is None:
                first_ns = given_ns or 0
            dts_ns = last_ns + frame_ns if given_ns is None else given_ns - first_ns
            if dts_ns <= last_ns:
                dts_ns = last_ns + frame_ns
            pts_ns = dts_ns if packet.pts is None else int(packet.pts * tick_ns) - first_ns
            last_ns = dts_ns
            size = file.write(bytes(packet))
            yield AccessUnit(size, max(pts_ns, dts_ns), dts_ns, bool(packet.is_keyframe))


class VideoWriter:
    """Writes an MP4 file image by image; a context manager.

    The file gets its final name only once complete. The last pixel of an odd side is omitted,
    because 4:2:0 color sampling requires even sides.
    """

    def __init__(self, path: Path, width: int, height: int, fps: float) -> None:
        """Create a file for images of this size. Raises ConfigurationError if it cannot."""
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        rate = Fraction(fps).limit_denominator(1001)
        with self._translating():
            self._container = av.open(str(self._partial), "w", format="mp4")
        self._stream: Any = self._container.add_stream(
            _ENCODER, rate=rate, options=_encoder_options(rate)
        )
        self._stream.width, self._stream.height = _even(width), _even(height)
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = 1 / rate
        self._frames = 0

    def __enter__(self) -> Self:
        return self

    def write(self, image: ImageBgr) -> None:
        """Append one image. Raises StorageFull."""
        whole = image[: self._stream.height, : self._stream.width]
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(whole), format="bgr24")
        frame.pts, self._frames = self._frames, self._frames + 1
        with self._translating():
            self._container.mux(self._stream.encode(frame))

    def __exit__(self, kind: object, *_: object) -> None:
        complete = False
        try:
            with self._translating(), closing(self._container):
                self._container.mux(self._stream.encode(None))
            complete = kind is None
        finally:
            if complete:
                self._partial.replace(self._path)
            else:
                self._partial.unlink(missing_ok=True)

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:  # FFmpeg's errors with an errno are OSErrors too
            if error.errno == errno.ENOSPC:
                raise StorageFull(
                    f"the disk is full: {self._path} was not written; free some space"
                ) from error
            raise ConfigurationError(
                f"{self._path} cannot be written: {error.strerror}; choose another path"
            ) from error
