"""Cost of the dashboard: viewers of live pictures.

The server is what production serves, on a loopback port of this process; its viewers are another
process, whose time does not count. Frames and boxes come as from a worker, with people in them.
"""

import asyncio
import multiprocessing
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import httpx
import numpy as np
import simplejpeg
from fastapi import Request

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.adapters.memory.frame_buffer import MemoryFrameBuffer, MemoryFrameStreams
from trinetra.events.codec import encode
from trinetra.events.schema import DetectionEvent, ObjectBox
from trinetra.events.topics import DETECTIONS
from trinetra.hosting import serving
from trinetra.ports import Record
from trinetra.settings import Settings
from trinetra.site import Site, site_from_text
from trinetra.values import CameraId, EventId, Frame, Instant, Letterbox
from trinetra.web.access import PERMISSIONS, Principal, Role
from trinetra.web.app import inner_app
from trinetra.web.live.parts import LiveParts
from trinetra.web.middleware import Envelope
from trinetra.wiring.health import OwnServices
from trinetra.wiring.live import LiveSources, open_live
from trinetra.wiring.stores import open_store
from trinetra.wiring.web import backend_of

_WIDTH, _HEIGHT, _SIDE = 1920, 1080, 640
_FRAMES_A_SECOND = 2.0
_EVERY_S = 1.0
_PEOPLE = 3
_WARM_UP_S = 3.0


def run(cameras: int, viewers: int, streams: int, seconds: float) -> dict[str, Any]:
    """Return what viewers of a wall cost, and viewers of one camera's stream.

    Shares are of one core. ``without_share`` is the cost of frames and events without viewers;
    ``one_share`` that with one viewer, which includes making all pictures; the rest of
    ``viewers_share`` is the cost of the other viewers. On a busy machine they get fewer walls than
    one a second each: see ``walls_a_second``.
    """
    return asyncio.run(_measure(cameras, viewers, streams, seconds))


async def _measure(cameras: int, viewers: int, streams: int, seconds: float) -> dict[str, Any]:
    site = _site(cameras)
    with TemporaryDirectory() as folder:
        async with _shop(site, Path(folder)) as (port, live):
            without = await _share(live, port, (0, 0), site, seconds)
            one = await _share(live, port, (1, 0), site, seconds)
            many = await _share(live, port, (viewers, 0), site, seconds)
            stream = await _share(live, port, (0, streams), site, seconds)
    return {
        "cameras": cameras,
        "viewers": viewers,
        "without_share": round(without.share, 4),
        "one_share": round(one.share, 4),
        "viewers_share": round(many.share, 4),
        "besides_encoding_share": round(many.share - one.share, 4),
        "walls_a_second": round(many.walls_a_second, 1),
        "pictures_made_for_one": one.pictures,
        "pictures_made_for_all": many.pictures,
        "streams": streams,
        "streams_share": round(stream.share, 4),
        "pictures_made_for_streams": stream.pictures,
    }


class _Cost(NamedTuple):
    share: float
    pictures: int
    walls_a_second: float


async def _share(
    live: LiveParts, port: int, viewers: tuple[int, int], site: Site, seconds: float
) -> _Cost:
    """Return what this process does for some viewers of the wall and of a stream."""
    names = [camera.id for camera in site.cameras]
    spawning = multiprocessing.get_context("spawn")
    answers = spawning.Value("L", 0)
    process = spawning.Process(target=_watch, args=(port, names, *viewers, answers), daemon=True)
    process.start()
    try:
        await asyncio.sleep(_WARM_UP_S)
        pictures = live.feed.pictures
        made = pictures.encoded if pictures else 0
        begun_s, used_s, answered = time.monotonic(), time.process_time(), answers.value
        await asyncio.sleep(seconds)
        took_s = time.monotonic() - begun_s
        return _Cost(
            (time.process_time() - used_s) / took_s,
            (pictures.encoded if pictures else 0) - made,
            (answers.value - answered) / took_s,
        )
    finally:
        process.terminate()
        await asyncio.to_thread(process.join)


def _watch(port: int, cameras: list[str], viewers: int, streams: int, answers: Any) -> None:
    """Be some viewers, until the process is ended."""

    async def watch() -> None:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", limits=limits, timeout=60, trust_env=False
        ) as client:
            walls = (_wall(client, cameras, n / max(viewers, 1), answers) for n in range(viewers))
            await asyncio.gather(*walls, *(_stream(client, cameras[0]) for _ in range(streams)))

    asyncio.run(watch())


async def _wall(client: httpx.AsyncClient, cameras: list[str], wait_s: float, answers: Any) -> None:
    """Ask for the wall every second, as live.js does."""
    await asyncio.sleep(wait_s)
    known = ""
    while True:
        reply = await client.get(
            "/v1/snapshots",
            params={"camera": cameras, "boxes": True},
            headers={"If-None-Match": known} if known else {},
        )
        answers.value += 1
        heads = reply.content.split(b'filename="')[1:]
        if heads:
            tags = [head.partition(b'"')[0].decode() for head in heads]
            known = ", ".join(f'"{tag}"' for tag in tags)
        await asyncio.sleep(_EVERY_S)


async def _stream(client: httpx.AsyncClient, camera: str) -> None:
    async with client.stream("GET", f"/v1/cameras/{camera}/live") as reply:
        async for _ in reply.aiter_raw():
            pass


class _Everyone:
    """Takes every request for one of a viewer."""

    async def authenticate(self, request: Request) -> Principal | None:  # noqa: ARG002
        """Return a viewer."""
        return Principal("viewer", Role.VIEWER, PERMISSIONS[Role.VIEWER])


def _site(cameras: int) -> Site:
    listed = "\n".join(
        f"  - {{id: c{number}, role: tracking, source: {{file: c.mp4}}}}"
        for number in range(cameras)
    )
    return site_from_text(f"site: bench\ntimezone: UTC\ncameras:\n{listed}\n")


@asynccontextmanager
async def _shop(site: Site, folder: Path) -> AsyncIterator[tuple[int, LiveParts]]:
    clock, settings = SystemClock(), Settings(data_dir=folder)
    log = MemoryEventLog(clock)
    buffer = MemoryFrameBuffer(MemoryFrameStreams(clock, 8), "workers", "bench")
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(settings))
        sources = LiveSources(log, buffer, store, OwnServices((), dict), clock)
        live = await stack.enter_async_context(open_live(site, settings, sources))
        app = Envelope(inner_app(backend_of(site, store, clock, live=live), _Everyone()))
        port = await stack.enter_async_context(serving(app, address="127.0.0.1", port=0))
        filming = asyncio.create_task(_film(site, buffer, log))
        try:
            yield port, live
        finally:
            filming.cancel()
            await asyncio.gather(filming, return_exceptions=True)


async def _film(site: Site, buffer: MemoryFrameBuffer, log: MemoryEventLog) -> None:
    """Put frames and boxes of all cameras in, evenly over time."""
    jpeg, seq = _jpeg(), 0
    pause_s = 1 / (_FRAMES_A_SECOND * len(site.cameras))
    started_at = SystemClock().now()
    while True:
        for camera in site.cameras:
            at = started_at + timedelta(seconds=seq / _FRAMES_A_SECOND)
            await buffer.append(_frame(camera.camera_id, seq, at, jpeg))
            event = _event(site, camera.camera_id, seq, at)
            await log.append([Record(DETECTIONS, camera.camera_id, encode(event))])
            await asyncio.sleep(pause_s)
        seq += 1


def _frame(camera_id: CameraId, seq: int, at: Instant, jpeg: bytes) -> Frame:
    return Frame(
        camera_id=camera_id,
        seq=seq,
        captured_at=at,
        width=_WIDTH,
        height=_HEIGHT,
        letterbox=Letterbox.fit(_WIDTH, _HEIGHT, _SIDE),
        jpeg=jpeg,
    )


def _event(site: Site, camera_id: CameraId, seq: int, at: Instant) -> DetectionEvent:
    boxes = [(300.0 * n, 200.0, 300.0 * n + 250.0, 900.0) for n in range(_PEOPLE)]
    return DetectionEvent(
        event_id=EventId(f"{camera_id}-{seq}"),
        site_id=site.site_id,
        camera_id=camera_id,
        captured_at=at,
        frame_seq=seq,
        frame_width=_WIDTH,
        frame_height=_HEIGHT,
        objects=tuple(ObjectBox("person", 0.9, box) for box in boxes),
    )


def _jpeg() -> bytes:
    """Return a picture of about the size that a real one has: smooth, with some noise."""
    random = np.random.default_rng(1)
    coarse = random.integers(0, 256, (40, 40, 3)).repeat(16, axis=0).repeat(16, axis=1)
    picture = np.clip(coarse + random.integers(-8, 9, coarse.shape), 0, 255).astype(np.uint8)
    encoded: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(picture), 85, "BGR", "420")
    return encoded
