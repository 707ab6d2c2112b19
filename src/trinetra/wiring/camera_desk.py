"""Finds and tries cameras for API and dashboard; keeps pictures of tries in memory for a while."""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

import cv2

from trinetra.adapters.onvif import device, discovery
from trinetra.adapters.video.overlay import Shapes, draw
from trinetra.adapters.video.probe import Probe, probe
from trinetra.adapters.video.sources import SourceSpec, infer_kind
from trinetra.client.models import (
    CameraSearch,
    CameraTry,
    FoundCamera,
    OnvifLogin,
    OnvifStream,
    OnvifStreams,
    TriedCamera,
)
from trinetra.errors import ConfigurationError, SourceUnavailable
from trinetra.ports import Clock
from trinetra.redaction import mask_urls
from trinetra.site import Site, StreamSource
from trinetra.site.sources import URL_SCHEMES
from trinetra.values import Instant, seconds_between
from trinetra.web.desks import ShownCamera
from trinetra.web.problems import NotFound, TooManyRequests
from trinetra.wiring.config import source_spec

_AT_ONCE = 4
_DEADLINE_S = 25.0
_KEPT = 16
_KEPT_S = 900.0
_FRESH_S = 30.0
_JPEG_QUALITY = 85
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Picture:
    jpeg: bytes
    at: Instant


class SiteCameraDesk:
    """The cameras of a site, and those that may become some.

    ``latest`` returns the latest picture of a running camera, with heads unrecognizable, None if
    there is none; then the camera is connected to for a picture.
    """

    def __init__(
        self,
        site: Callable[[], Site],
        environ: Mapping[str, str],
        clock: Clock,
        *,
        latest: Callable[[str], Awaitable[bytes | None]] | None = None,
        interfaces: Callable[[], Mapping[str, str]] = discovery.interfaces,
        search_s: float = 3.0,
    ) -> None:
        self._site = site
        self._environ = environ
        self._clock = clock
        self._latest = latest
        self._interfaces = interfaces
        self._search_s = search_s
        self._kept: OrderedDict[str, _Picture] = OrderedDict()
        self._connecting = 0
        self._searching = asyncio.Lock()

    async def search(self) -> CameraSearch:
        """Search for cameras in the networks of this machine, one search at a time."""
        async with self._searching:
            addresses = list(self._interfaces().values())
            found = await asyncio.to_thread(
                discovery.discover, addresses, self._clock, wait_s=self._search_s
            )
        known = self._known_hosts()
        problems = found.problems or (() if addresses else ("this machine has no network",))
        return CameraSearch(
            cameras=tuple(
                FoundCamera(
                    address=each.address,
                    host=each.host,
                    name=each.name,
                    hardware=each.hardware,
                    location=each.location,
                    is_in_site=each.host in known,
                )
                for each in found.devices
            ),
            problems=problems,
        )

    async def streams(self, login: OnvifLogin) -> OnvifStreams:
        """Return the streams of a camera. Raises SourceUnavailable or ConfigurationError."""
        by = device.Login(login.username, login.password)
        found = await self._bounded(lambda: device.streams(login.address, by, self._clock))
        return OnvifStreams(
            streams=tuple(
                OnvifStream(
                    name=each.name,
                    url=each.url,
                    codec=each.codec,
                    width=each.width,
                    height=each.height,
                )
                for each in found
            )
        )

    async def attempt(self, camera: CameraTry) -> TriedCamera:
        """Connect to a camera and keep its picture for some minutes."""
        spec = _spec(camera)
        try:
            found = await self._bounded(lambda: probe(spec, self._clock))
        except SourceUnavailable as cause:
            return TriedCamera(problem=mask_urls(str(cause)))
        name = secrets.token_urlsafe(16)
        self._keep(name, await asyncio.to_thread(_jpeg, found))
        return TriedCamera(
            codec=found.codec,
            width=found.width,
            height=found.height,
            fps=round(found.fps, 1),
            picture=f"/v1/setup/tries/{name}/picture",
        )

    def tried_picture(self, name: str) -> bytes | None:
        """Return the picture of a camera that was tried, as JPEG."""
        picture = self._kept.get(name)
        return picture.jpeg if picture and self._age_s(picture) <= _KEPT_S else None

    async def picture(self, camera_id: str) -> ShownCamera:
        """Return a picture of a camera of the site file, as JPEG."""
        camera = next((c for c in self._site().cameras if c.id == camera_id), None)
        if camera is None:
            raise NotFound(f"no camera {camera_id} in the site file")
        if self._latest and (latest := await self._latest(camera_id)):
            return ShownCamera(latest, shows_faces=False)
        name = f"camera {camera_id}"
        kept = self._kept.get(name)
        if kept and self._age_s(kept) <= _FRESH_S:
            return ShownCamera(kept.jpeg, shows_faces=True)
        spec = source_spec(camera, self._environ, self._clock.now())
        found = await self._bounded(lambda: probe(spec, self._clock))
        jpeg = self._keep(name, await asyncio.to_thread(_jpeg, found))
        return ShownCamera(jpeg, shows_faces=True)

    async def _bounded(self, work: Callable[[], T]) -> T:
        """Run blocking work in a thread, with a deadline and few at once.

        A camera can hold a thread up longer than the deadline, but not for longer than its own
        timeouts; until then it counts among the few.
        """
        if self._connecting >= _AT_ONCE:
            raise TooManyRequests(
                f"{_AT_ONCE} cameras are being tried already; try again", _DEADLINE_S
            )
        self._connecting += 1
        task = asyncio.ensure_future(asyncio.to_thread(work))
        task.add_done_callback(self._done)
        try:
            return await asyncio.wait_for(asyncio.shield(task), _DEADLINE_S)
        except TimeoutError as cause:
            raise SourceUnavailable(
                f"no answer within {_DEADLINE_S:g} s: check address, network and camera"
            ) from cause

    def _done(self, task: "asyncio.Future[T]") -> None:
        self._connecting -= 1
        if not task.cancelled():
            task.exception()  # which the caller, if it still waits, gets too

    def _keep(self, name: str, jpeg: bytes) -> bytes:
        self._kept[name] = _Picture(jpeg, self._clock.now())
        self._kept.move_to_end(name)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return jpeg

    def _age_s(self, picture: _Picture) -> float:
        return seconds_between(picture.at, self._clock.now())

    def _known_hosts(self) -> set[str]:
        sources = (c.source for c in self._site().cameras if isinstance(c.source, StreamSource))
        return {host for source in sources if (host := urlsplit(source.url).hostname)}


def _spec(camera: CameraTry) -> SourceSpec:
    """Return what to connect to. Raises ConfigurationError: a file of this machine is no camera."""
    try:
        parts = urlsplit(camera.url)
        _ = parts.port
    except ValueError as cause:
        raise ConfigurationError("this is no address of a camera") from cause
    if parts.scheme not in URL_SCHEMES or not parts.hostname or "@" in parts.netloc:
        raise ConfigurationError(
            "the address of a camera begins with rtsp://, rtsps://, http:// or https://; user and "
            "password are given apart from it"
        )
    return SourceSpec(
        infer_kind(camera.url),
        camera.url,
        username=camera.username or None,
        password=camera.password or None,
        transport=camera.transport,
    )


def _jpeg(found: Probe) -> bytes:
    drawn = draw(found.picture, Shapes([], []))
    _, jpeg = cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return bytes(jpeg.tobytes())
