"""Two ingestors and one camera: the second stands by."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from redis.asyncio import Redis
from tests.contracts.test_frame_buffer import frame
from tests.servers.clips import write_clip

from trinetra.adapters.clock import ManualClock, SystemClock
from trinetra.adapters.redis.frame_buffer import FrameStreams, RedisFrameBuffer
from trinetra.adapters.video.video_file import VideoFileSource
from trinetra.errors import CameraTaken
from trinetra.frames.camera import CameraPlan
from trinetra.frames.sampling.pacing import Pacing
from trinetra.frames.service import StreamIngestor
from trinetra.values import CameraId, SiteId

DOOR, TILL = CameraId("door"), CameraId("till")
Opening = Callable[..., AbstractAsyncContextManager[RedisFrameBuffer]]


@pytest.fixture
def namespace() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ingestor(redis_url: str, namespace: str, clock: ManualClock) -> Opening:
    return partial(
        RedisFrameBuffer.open,
        redis_url,
        FrameStreams(SiteId("shop"), [DOOR, TILL], namespace),
        group="inference-workers",
        clock=clock,
    )


@pytest.fixture
async def server(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


async def test_a_second_ingestor_is_told_who_has_the_camera(ingestor: Opening) -> None:
    async with ingestor(consumer="first") as first, ingestor(consumer="second") as second:
        await first.append(frame(DOOR, 1))
        with pytest.raises(CameraTaken, match=r"camera door .* first.*--camera"):
            await second.append(frame(DOOR, 100))
        assert [b.frame.seq for b in await first.read(max_frames=9, wait_s=0)] == [1]


async def test_two_ingestors_may_share_the_cameras(ingestor: Opening) -> None:
    async with ingestor(consumer="first") as first, ingestor(consumer="second") as second:
        await first.append(frame(DOOR, 1))
        await second.append(frame(TILL, 2))
        assert {b.frame.seq for b in await first.read(max_frames=9, wait_s=0)} == {1, 2}


async def test_a_stand_by_takes_over_at_once_when_the_first_one_stops(ingestor: Opening) -> None:
    async with ingestor(consumer="second") as second:
        async with ingestor(consumer="first") as first:
            await first.append(frame(DOOR, 1))
        await second.append(frame(DOOR, 2))
        assert await second.lag(DOOR) == 2


async def test_who_was_away_for_too_long_has_lost_the_camera(
    ingestor: Opening, server: Redis, namespace: str, clock: ManualClock
) -> None:
    async with ingestor(consumer="first") as first, ingestor(consumer="second") as second:
        await first.append(frame(DOOR, 1))
        await server.delete(f"{namespace}:trinetra:ingestor:{DOOR}")  # it ran out
        await second.append(frame(DOOR, 2))
        clock.advance(2)
        with pytest.raises(CameraTaken, match="second"):
            await first.append(frame(DOOR, 3))


async def test_one_process_started_twice_under_one_name_stands_by_too(ingestor: Opening) -> None:
    async with ingestor(consumer="host") as first, ingestor(consumer="host") as second:
        await first.append(frame(DOOR, 1))
        with pytest.raises(CameraTaken):
            await second.append(frame(DOOR, 2))


async def test_a_stand_by_leaves_frames_to_the_other_and_drops_none(
    ingestor: Opening, server: Redis, namespace: str, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "door.mp4", frames=15, fps=15)
    long_ago = datetime(2026, 11, 22, tzinfo=UTC)
    async with ingestor(consumer="first") as first, ingestor(consumer="second") as second:
        await first.append(frame(DOOR, 1))
        await server.persist(f"{namespace}:trinetra:ingestor:{DOOR}")  # the first one stays alive
        stand_by = StreamIngestor(
            [CameraPlan(DOOR, Pacing.REALTIME, retries=False)],
            lambda _: VideoFileSource(clip, long_ago),
            second,
            SystemClock(),
        )
        await stand_by.run(asyncio.Event())
    status = stand_by.status()[DOOR]
    assert (status.frames_sampled, status.dropped) == (0, {})
    assert status.frames_left_to_other >= 5
