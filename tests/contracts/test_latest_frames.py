"""Contract of the last frames of the cameras: they are read without taking them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from trinetra.adapters.clock import ManualClock
from trinetra.adapters.memory.frame_buffer import MemoryFrameBuffer, MemoryFrameStreams
from trinetra.adapters.redis.frame_buffer import FrameStreams, RedisFrameBuffer
from trinetra.adapters.redis.latest_frames import RedisLatestFrames
from trinetra.ports import FrameBuffer, LatestFrames
from trinetra.values import CameraId, Frame, Letterbox, SiteId

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
CAMERAS = [CameraId("door"), CameraId("till")]


@dataclass
class Rig:
    """A buffer, its last frames, and time that passes without a frame of a camera."""

    buffer: FrameBuffer
    frames: LatestFrames
    elapse: Callable[[CameraId, float], Awaitable[None]]


MakeRig = Callable[[], AbstractAsyncContextManager[Rig]]


def frame(camera: str, seq: int) -> Frame:
    return Frame(
        camera_id=CameraId(camera),
        seq=seq,
        captured_at=NOON + timedelta(seconds=seq),
        width=1280,
        height=720,
        letterbox=Letterbox.fit(1280, 720, 640),
        jpeg=b"\xff\xd8" + seq.to_bytes(8, "big"),
    )


@asynccontextmanager
async def memory_rig() -> AsyncIterator[Rig]:
    clock = ManualClock(NOON)
    buffer = MemoryFrameBuffer(MemoryFrameStreams(clock, 4), "workers", "w1")

    async def elapse(camera: CameraId, seconds: float) -> None:
        clock.advance(seconds)

    yield Rig(buffer, buffer, elapse)


@asynccontextmanager
async def redis_rig(url: str) -> AsyncIterator[Rig]:
    """Provide a buffer on Redis; its last frames are read by a process that has no buffer."""
    namespace, clock = uuid4().hex, ManualClock(NOON)
    streams = FrameStreams(SiteId("shop"), CAMERAS, namespace, 4)
    opening = RedisFrameBuffer.open(url, streams, group="workers", consumer="w1", clock=clock)
    async with (
        opening as buffer,
        RedisLatestFrames.open(url, namespace) as frames,
        Redis.from_url(url) as redis,
    ):

        async def elapse(camera: CameraId, seconds: float) -> None:
            """Let the key expire that much sooner; the server has its own clock."""
            key = f"{namespace}:trinetra:latest:{camera}"
            left_ms = await redis.pttl(key) - round(1000 * seconds)
            await redis.pexpire(key, max(1, left_ms))
            while left_ms <= 0 and await redis.exists(key):
                pass

        yield Rig(buffer, frames, elapse)


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    is_memory = request.param == "memory"
    make = memory_rig if is_memory else partial(redis_rig, request.getfixturevalue("redis_url"))
    async with make() as made:
        yield made


async def test_a_camera_that_never_delivered_has_no_last_frame(rig: Rig) -> None:
    assert await rig.frames.latest(CameraId("door")) is None
    assert await rig.frames.latest(CameraId("unheard-of")) is None


async def test_the_newest_frame_is_the_last_one_of_its_camera(rig: Rig) -> None:
    await rig.buffer.append(frame("door", 1))
    await rig.buffer.append(frame("door", 2))
    await rig.buffer.append(frame("till", 9))
    assert await rig.frames.latest(CameraId("door")) == frame("door", 2)
    assert await rig.frames.latest(CameraId("till")) == frame("till", 9)


async def test_the_last_frame_stays_when_it_was_acknowledged(rig: Rig) -> None:
    await rig.buffer.append(frame("door", 1))
    await rig.buffer.ack(await rig.buffer.read(max_frames=9, wait_s=0))
    assert await rig.frames.latest(CameraId("door")) == frame("door", 1)


async def test_each_frame_of_a_watched_camera_is_shown_although_workers_are_fast(rig: Rig) -> None:
    await rig.frames.latest(CameraId("door"))
    shown = []
    for seq in range(1, 4):
        await rig.buffer.append(frame("door", seq))
        await rig.buffer.ack(await rig.buffer.read(max_frames=9, wait_s=0))
        shown.append(await rig.frames.latest(CameraId("door")))
    # On Redis the writer learns with its first frame that the camera is watched.
    assert shown == [frame("door", 1), frame("door", 2), frame("door", 3)]


async def test_showing_frames_takes_them_from_no_consumer(rig: Rig) -> None:
    await rig.buffer.append(frame("door", 1))
    assert await rig.frames.latest(CameraId("door")) == frame("door", 1)
    assert await rig.buffer.lag(CameraId("door")) == 1
    [buffered] = await rig.buffer.read(max_frames=9, wait_s=0)
    await rig.buffer.ack([buffered])
    await rig.frames.latest(CameraId("door"))
    assert await rig.buffer.lag(CameraId("door")) == 0


async def test_frames_dropped_by_the_bound_are_counted_as_without_viewers(rig: Rig) -> None:
    await rig.frames.latest(CameraId("door"))
    dropped = [await rig.buffer.append(frame("door", seq)) for seq in range(6)]
    assert dropped == [0, 0, 0, 0, 1, 1]


async def test_the_last_frame_of_a_silent_camera_is_gone_after_a_while(rig: Rig) -> None:
    await rig.buffer.append(frame("door", 1))
    await rig.buffer.ack(await rig.buffer.read(max_frames=9, wait_s=0))
    await rig.elapse(CameraId("door"), 59)
    assert await rig.frames.latest(CameraId("door")) == frame("door", 1)
    await rig.elapse(CameraId("door"), 2)
    assert await rig.frames.latest(CameraId("door")) is None
