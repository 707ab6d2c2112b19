"""A shop with live cameras: frames and events are put in by hand, as the services would."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import simplejpeg
from tests.web.shop import SignedIn

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.adapters.memory.frame_buffer import MemoryFrameBuffer, MemoryFrameStreams
from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.events import topics
from trinetra.events.codec import encode
from trinetra.events.schema import (
    AnyEvent,
    Box,
    DetectionEvent,
    FaceBox,
    FaceQuality,
    LifecycleEvent,
    ObjectBox,
    TrackPosition,
    TracksEvent,
)
from trinetra.frames.connection import CameraState, CameraStatus
from trinetra.insights.metrics.catalog import ROLLUP_RULES
from trinetra.ports import EventLog, Record
from trinetra.settings import Settings
from trinetra.site import site_from_text
from trinetra.values import CameraId, CustomerId, EventId, Frame, Instant, Letterbox, SiteId
from trinetra.web.access import Role
from trinetra.web.app import inner_app
from trinetra.web.live.parts import LiveParts
from trinetra.web.middleware import Envelope
from trinetra.wiring.figures import prepare_figures
from trinetra.wiring.health import OwnServices
from trinetra.wiring.live import LiveSources, open_live
from trinetra.wiring.site_watch import SiteWatcher
from trinetra.wiring.web import SiteFile, backend_of

SITE = """
site: shop
timezone: Europe/Berlin
cameras:
  - id: door
    role: entrance
    source: {file: door.mp4}
    lines: [{id: sill, a: [0.1, 0.7], b: [0.9, 0.7]}]
    floor: [[[0, 1], [0, 0]], [[1, 1], [4, 0]], [[1, 0.2], [6, 9]], [[0, 0.2], [-2, 9]]]
    zones: [{id: mat, polygon: [[0.2, 0.6], [0.8, 0.6], [0.8, 0.95], [0.2, 0.95]]}]
  - id: till
    role: billing
    source: {file: till.mp4}
    position: {x_m: 8, y_m: 3}
    zones:
      - {id: line, kind: queue, tills: [t1], polygon: [[0, 0.5], [0.5, 0.5], [0.5, 1], [0, 1]]}
      - {id: desk, kind: till, tills: [t1], polygon: [[0.6, 0.4], [1, 0.4], [1, 1], [0.6, 1]]}
  - id: parking
    role: vehicle
    source: {file: parking.mp4}
policies: {privacy: {least_people: 2}}
"""
SHOP = site_from_text(SITE)
WIDTH, HEIGHT = 1280, 720
PERSON: Box = (200.0, 100.0, 400.0, 700.0)
STATUS = CameraStatus(
    state=CameraState.STREAMING,
    since=datetime.fromisoformat("2026-11-27T08:00:00+00:00"),
    frames_read=900,
    frames_sampled=300,
    dropped={"buffer_full": 3},
    frames_left_to_other=0,
    failures=0,
    last_frame_at=None,
    width=WIDTH,
    height=HEIGHT,
    sample_fps=5.04,
    key_frames_only=False,
    problem=None,
)


def noise(seed: int = 1) -> np.ndarray:
    """Return a square picture of fine gray squares, which any blur would wipe out."""
    blocks = np.random.default_rng(seed).integers(0, 256, (160, 160, 1), np.uint8)
    return np.ascontiguousarray(np.kron(blocks, np.ones((4, 4, 3), np.uint8)))


async def until(holds: Callable[[], object]) -> None:
    """Return once a condition holds."""
    while not holds():  # noqa: ASYNC110  nothing tells when
        await asyncio.sleep(0.005)


def decoded(jpeg: bytes) -> np.ndarray:
    return simplejpeg.decode_jpeg(jpeg, "BGR").astype(np.int16)


@dataclass
class LiveStage:
    """An open shop."""

    app: object
    signed_in: SignedIn
    log: EventLog
    buffer: MemoryFrameBuffer
    store: SqlInsightStore
    live: LiveParts
    settings: Settings
    watcher: SiteWatcher | None = None
    seq: int = 0

    def client(self, role: Role | None = Role.ADMIN) -> httpx.AsyncClient:
        self.signed_in.role = role
        transport = httpx.ASGITransport(app=self.app)
        return httpx.AsyncClient(transport=transport, base_url="http://shop")

    async def send(self, event: AnyEvent, topic: topics.Topic = topics.INSIGHTS) -> None:
        await self.log.append([Record(topic, event.camera_id, encode(event))])

    async def frame(
        self, camera: str = "door", image: np.ndarray | None = None, at: Instant | None = None
    ) -> Frame:
        """Buffer a frame of which nothing is known yet."""
        self.seq += 1
        jpeg = simplejpeg.encode_jpeg(noise(self.seq) if image is None else image, 95, "BGR", "444")
        frame = Frame(
            camera_id=CameraId(camera),
            seq=self.seq,
            captured_at=at or SystemClock().now(),
            width=WIDTH,
            height=HEIGHT,
            letterbox=Letterbox.fit(WIDTH, HEIGHT, 640),
            jpeg=jpeg,
            session=7,
        )
        await self.buffer.append(frame)
        return frame

    async def detect(
        self, frame: Frame, people: Sequence[Box] = (), faces: Sequence[Box] = ()
    ) -> None:
        """Say what is in a frame."""
        quality = FaceQuality(total=0.5, size_px=50, sharpness=1, frontality=1, exposure=1)
        points = ((0.0, 0.0),) * 5
        event = DetectionEvent(
            event_id=EventId(f"d{frame.seq}"),
            site_id=SiteId("shop"),
            camera_id=frame.camera_id,
            captured_at=frame.captured_at,
            frame_seq=frame.seq,
            frame_width=WIDTH,
            frame_height=HEIGHT,
            objects=tuple(ObjectBox("person", 0.9, box) for box in people),
            faces=tuple(FaceBox(0.9, box, points, quality) for box in faces),
            session=frame.session,
        )
        await self.send(event, topics.DETECTIONS)
        await self.read()

    async def track(self, frame: Frame, *tracks: TrackPosition) -> None:
        """Say which tracks are in a frame."""
        event = TracksEvent(
            event_id=EventId(f"t{frame.seq}"),
            site_id=SiteId("shop"),
            camera_id=frame.camera_id,
            captured_at=frame.captured_at,
            frame_seq=frame.seq,
            frame_width=WIDTH,
            frame_height=HEIGHT,
            tracks=tracks,
            session=frame.session,
        )
        await self.send(event, topics.IDENTITIES)
        await self.read()

    async def shown(self, camera: str = "door", **options: object) -> Frame:
        """Buffer a frame of which everything is known."""
        frame = await self.frame(camera)
        await self.detect(frame, **options)
        return frame

    async def film(self, recording_id: str, pictures: int = 3, camera: str = "door") -> list[Frame]:
        """Show a camera of which a recording goes on a person, once a second by its clock.

        A picture is recorded once more than half a second after it is known.
        """
        begin, frames = SystemClock().now() - timedelta(minutes=2), []
        for second in range(pictures + 1):
            frame = await self.frame(camera, at=begin + timedelta(seconds=second))
            await self.look(frame)
            await self.detect(frame, people=[PERSON])
            frames.append(frame)
        index = self.live.recordings.index
        await until(lambda: len(index(recording_id).times) == pictures)
        return frames[:-1]

    async def look(self, frame: Frame) -> None:
        """Return once the web, which is showing or recording the camera, has seen a frame."""
        feed = self.live.feed.pictures.feed(frame.camera_id)
        await until(lambda: any(frame.captured_at == one.captured_at for one in feed.waiting))

    async def read(self) -> None:
        """Return when the web has read the log: it tells the last event that was put in."""
        marker = self.live.feed.ring.end
        mark = EventId(f"mark-{self.seq}-{marker}")
        await self.send(_marker(mark), topics.CUSTOMERS)
        await until(lambda: self.live.feed.ring.end > marker)


def _marker(event_id: EventId) -> AnyEvent:
    return LifecycleEvent(
        event_id=event_id,
        site_id=SiteId("shop"),
        camera_id=CameraId(""),
        captured_at=SystemClock().now(),
        change="expired",
        customer_id=CustomerId("nobody"),
    )


@asynccontextmanager
async def open_live_shop(
    folder: Path,
    *,
    log: EventLog | None = None,
    statuses: bool = True,
    site_file: Path | None = None,
) -> AsyncIterator[LiveStage]:
    """Open the shop; events are read from ``log``, changes of the site from ``site_file``."""
    clock = SystemClock()
    settings = Settings(data_dir=folder)
    log = log or MemoryEventLog(clock)
    buffer = MemoryFrameBuffer(MemoryFrameStreams(clock, 8), "workers", "w1")
    async with AsyncExitStack() as stack:
        url = f"sqlite:///{folder / 'insights.db'}"
        store = await stack.enter_async_context(SqlInsightStore.open(url, ROLLUP_RULES))
        await prepare_figures(store, SHOP, settings, clock)
        told = {CameraId("door"): STATUS} if statuses else {}
        sources = LiveSources(log, buffer, store, OwnServices((), lambda: told), clock)
        watcher = SiteWatcher(site_file, SHOP, clock, None) if site_file else None
        file = SiteFile(site_file, SHOP, settings, watcher) if site_file else None
        live = await stack.enter_async_context(open_live(SHOP, settings, sources, watcher))
        signed_in = SignedIn(Role.ADMIN)
        backend = backend_of(SHOP, store, clock, site_file=file, live=live)
        app = Envelope(inner_app(backend, signed_in))
        stage = LiveStage(app, signed_in, log, buffer, store, live, settings, watcher)
        await until(live.feed.tail.ready)
        yield stage
