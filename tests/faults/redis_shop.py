"""A site's frame buffer on a real Redis, as the ingestor and workers open it."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime

from redis.asyncio import Redis

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.redis.frame_buffer import FrameStreams, RedisFrameBuffer
from trinetra.values import CameraId, Frame, Letterbox, SiteId

GROUP = "inference-workers"
STREAM_OPTIONS = {"cameras", "namespace", "max_frames"}
DOOR, TILL = CameraId("door"), CameraId("till")
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def frame(seq: int, camera: CameraId = DOOR, *, size: int = 100) -> Frame:
    return Frame(camera, seq, NOON, 1280, 720, Letterbox.fit(1280, 720, 640), b"\xff" * size)


def buffer_of(
    url: str, consumer: str = "w1", site: str = "north-street", **more: object
) -> AbstractAsyncContextManager[RedisFrameBuffer]:
    of_streams = {name: more.pop(name) for name in STREAM_OPTIONS & more.keys()}
    streams = FrameStreams(SiteId(site), **({"cameras": [DOOR, TILL]} | of_streams))
    given = {"clock": SystemClock(), "group": GROUP} | more
    return RedisFrameBuffer.open(url, streams, consumer=consumer, **given)


@asynccontextmanager
async def plain_client(url: str) -> AsyncIterator[Redis]:
    """Return a client as anybody has it, to look behind the buffer's back."""
    async with Redis.from_url(url, protocol=2) as redis:
        yield redis


async def blocked_clients(redis: Redis) -> int:
    return int((await redis.info("clients"))["blocked_clients"])


async def until_blocked(redis: Redis, clients: int = 1) -> None:
    """Return when that many clients wait on the server."""
    while await blocked_clients(redis) != clients:
        pass
