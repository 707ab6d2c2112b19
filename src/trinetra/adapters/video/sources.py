"""Selects the adapter for a camera's source and passes it the credentials."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from trinetra.adapters.video.decoding import FrameLimits
from trinetra.adapters.video.image_folder import ImageFolderSource
from trinetra.adapters.video.rtsp import MJPEG, RTSP, LiveProtocol, LiveSource
from trinetra.adapters.video.video_file import VideoFileSource
from trinetra.errors import ConfigurationError
from trinetra.ports import Clock, FrameSource
from trinetra.redaction import shown_address
from trinetra.values import Instant


class SourceKind(StrEnum):
    """The kind of source that a camera's frames are read from."""

    RTSP = "rtsp"
    MJPEG = "mjpeg"
    FILE = "file"
    IMAGES = "images"


_SCHEMES = {
    "rtsp": SourceKind.RTSP,
    "rtsps": SourceKind.RTSP,
    "http": SourceKind.MJPEG,
    "https": SourceKind.MJPEG,
}


class VideoSource(FrameSource, Protocol):
    """A frame source that knows its codec."""

    @property
    def codec(self) -> str:
        """FFmpeg's name of the codec; empty while closed."""


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """Location and options of one camera; ``label`` is the part of ``location`` that may be shown.

    ``started_at`` is the capture time of a recording's first frame, now if None; ``fps`` applies to
    image folders, ``transport`` to RTSP.
    """

    kind: SourceKind
    location: str = field(repr=False)
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    loop: bool = False
    fps: float = 5.0
    timeout_s: float = 5.0
    transport: str = "tcp"
    started_at: Instant | None = None
    limits: FrameLimits = field(default_factory=FrameLimits)

    @property
    def label(self) -> str:
        """A camera's address without what could be a credential, or a recording's path."""
        return shown_address(self.location) if self.is_live else self.location

    @property
    def is_live(self) -> bool:
        """True for a camera, False for a recording."""
        return _ADAPTERS[self.kind].is_live


def infer_kind(location: str) -> SourceKind:
    """Return the kind of a location: by its URL scheme, else a folder or a file.

    Raises ConfigurationError for an unknown URL scheme.
    """
    scheme, separator, _ = location.partition("://")
    if not separator:
        return SourceKind.IMAGES if Path(location).is_dir() else SourceKind.FILE
    if (kind := _SCHEMES.get(scheme.lower())) is None:
        raise ConfigurationError(
            f"{shown_address(location)}: a camera's address must start with {', '.join(_SCHEMES)}://"
        )
    return kind


def open_source(spec: SourceSpec, clock: Clock) -> VideoSource:
    """Return the adapter for a source; it is not connected yet."""
    return _ADAPTERS[spec.kind].make(spec, clock)


def _live(spec: SourceSpec, clock: Clock, protocol: LiveProtocol) -> VideoSource:
    return LiveSource(
        _url(spec),
        spec.label,
        clock,
        protocol=protocol,
        transport=spec.transport,
        timeout_s=spec.timeout_s,
        limits=spec.limits,
    )


def _rtsp(spec: SourceSpec, clock: Clock) -> VideoSource:
    return _live(spec, clock, RTSP)


def _mjpeg(spec: SourceSpec, clock: Clock) -> VideoSource:
    return _live(spec, clock, MJPEG)


def _file(spec: SourceSpec, clock: Clock) -> VideoSource:
    started_at = spec.started_at or clock.now()
    return VideoFileSource(Path(spec.location), started_at, loop=spec.loop, limits=spec.limits)


def _images(spec: SourceSpec, clock: Clock) -> VideoSource:
    started_at, folder = spec.started_at or clock.now(), Path(spec.location)
    return ImageFolderSource(folder, started_at, fps=spec.fps, loop=spec.loop, limits=spec.limits)


@dataclass(frozen=True, slots=True)
class _Adapter:
    is_live: bool
    make: Callable[[SourceSpec, Clock], VideoSource]


_ADAPTERS: Mapping[SourceKind, _Adapter] = {
    SourceKind.RTSP: _Adapter(is_live=True, make=_rtsp),
    SourceKind.MJPEG: _Adapter(is_live=True, make=_mjpeg),
    SourceKind.FILE: _Adapter(is_live=False, make=_file),
    SourceKind.IMAGES: _Adapter(is_live=False, make=_images),
}


def _url(spec: SourceSpec) -> str:
    if spec.username is None:
        return spec.location
    scheme, _, rest = spec.location.partition("://")
    userinfo = quote(spec.username, safe="")
    if spec.password is not None:
        userinfo += ":" + quote(spec.password, safe="")
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{userinfo}@{authority.rpartition('@')[2]}{slash}{path}"
