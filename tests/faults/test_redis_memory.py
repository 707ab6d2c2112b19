"""Twenty 1080p cameras without workers, on a Redis with the memory of `deploy/redis`."""

import re
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis
from tests.faults.redis_shop import NOON, frame

from trinetra.adapters.clock import ManualClock, SystemClock
from trinetra.adapters.redis.frame_buffer import RedisFrameBuffer
from trinetra.devservers.redis import RedisServer
from trinetra.errors import BufferUnavailable
from trinetra.ports import Clock
from trinetra.settings import Settings
from trinetra.site import site_from_text
from trinetra.values import CameraId
from trinetra.wiring.connections import open_buffer

CONFIG = Path(__file__).parents[2] / "deploy" / "redis" / "redis.conf"
CAMERAS = [CameraId(f"camera-{number}") for number in range(20)]
SCALE = 8
"""Memory, limits and pictures are an eighth of the real ones, which would take half a gigabyte."""
SQUARE_BYTES, NATIVE_BYTES = 60_000, 302_000
"""JPEGs of 640x640 and, at its native quality, of a 1080p frame of `store-aisle-detection.mp4`."""


def deployed_bytes() -> int:
    found = re.search(r"^maxmemory (\d+)mb$", CONFIG.read_text(), re.MULTILINE)
    assert found
    return int(found[1]) << 20


def opened(server: RedisServer, clock: Clock, megabytes: int):
    entries = [
        {"id": name, "role": "entrance", "source": {"url": "rtsp://h/x"}} for name in CAMERAS
    ]
    site = site_from_text(
        msgspec.json.encode({"site": "shop", "timezone": "UTC", "cameras": entries}).decode()
    )
    settings = Settings(frame_buffer="redis", redis_url=server.url, frames_max_mb=megabytes)
    return open_buffer(site, settings, clock)


async def fill(buffer: RedisFrameBuffer) -> int:
    """Append 120 frames of every camera; return how many were dropped."""
    dropped = 0
    for seq in range(120):
        for camera in CAMERAS:
            small = frame(seq, camera, size=SQUARE_BYTES // SCALE)
            native = b"\xff" * (NATIVE_BYTES // SCALE)
            dropped += await buffer.append(msgspec.structs.replace(small, native_jpeg=native))
    return dropped


async def limit_memory(server: RedisServer) -> None:
    async with Redis.from_url(server.url) as redis:
        await redis.config_set("maxmemory", deployed_bytes() // SCALE)
        await redis.config_set("maxmemory-policy", "noeviction")


async def test_the_frames_fit_and_leases_are_renewed_while_no_worker_runs(
    redis_server: RedisServer,
) -> None:
    await limit_memory(redis_server)
    clock = ManualClock(NOON)
    async with opened(redis_server, clock, Settings().frames_max_mb // SCALE) as buffer:
        assert await fill(buffer) > 0
        clock.advance(3.0)
        for camera in CAMERAS:  # renews the leases, which are due
            assert await buffer.append(frame(120, camera, size=100)) <= 1
        async with Redis.from_url(redis_server.url) as redis:
            used = (await redis.info("memory"))["used_memory"]
        assert used < 0.9 * deployed_bytes() // SCALE


async def test_more_than_the_memory_of_redis_is_an_outage(redis_server: RedisServer) -> None:
    await limit_memory(redis_server)
    async with opened(redis_server, SystemClock(), deployed_bytes() >> 18) as buffer:
        with pytest.raises(BufferUnavailable, match="memory"):
            await fill(buffer)
