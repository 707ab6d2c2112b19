"""Tries a source once: its codec, size and frame rate, and one picture."""

from contextlib import closing
from dataclasses import dataclass

from trinetra.adapters.video.sources import SourceSpec, open_source
from trinetra.errors import FrameRejected, SourceUnavailable
from trinetra.ports import Clock, DecodedFrame
from trinetra.values import Instant, YuvPlanes, seconds_between

_SAMPLE_S = 2.0
_MAX_FRAMES = 60
_PICTURE_SIDE = 1280


@dataclass(frozen=True, slots=True)
class Probe:
    """What a source delivers; the picture's longer side has at most 1280 pixels.

    ``fps`` is measured on capture times, and 0.0 if there was only one frame.
    """

    codec: str
    width: int
    height: int
    fps: float
    picture: YuvPlanes


def probe(spec: SourceSpec, clock: Clock) -> Probe:
    """Read a source for about two seconds; blocks for at most the timeouts of the source more.

    Raises SourceUnavailable, also for a source without a usable frame.
    """
    source = open_source(spec, clock)
    with closing(source):
        source.open()
        codec = source.codec
        started_s, instants, picture = clock.monotonic(), list[Instant](), None
        problem = "it ended before the first frame"
        while len(instants) < _MAX_FRAMES and clock.monotonic() - started_s < _SAMPLE_S:
            try:
                frame = source.read(key_frames_only=False)
            except FrameRejected as rejected:
                problem = str(rejected)
                continue
            if frame is None:
                break
            instants.append(frame.captured_at)
            size = frame.width, frame.height
            picture = picture or _picture(frame)
        if picture is None:
            raise SourceUnavailable(f"{spec.label} has no usable frame: {problem}")
        return Probe(codec, *size, _rate_hz(instants), picture)


def _picture(frame: DecodedFrame) -> YuvPlanes:
    scale = min(1.0, _PICTURE_SIDE / max(frame.width, frame.height))
    planes = frame.planes(round(frame.width * scale), round(frame.height * scale))
    return YuvPlanes(*(plane.copy() for plane in planes))


def _rate_hz(instants: list[Instant]) -> float:
    span_s = seconds_between(instants[0], instants[-1])
    return (len(instants) - 1) / span_s if span_s > 0 else 0.0
