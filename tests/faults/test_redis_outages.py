"""The frame buffer while Redis dies, forgets, hangs, hangs up or is full."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from redis.asyncio import Redis
from tests.faults.redis_shop import (
    DOOR,
    GROUP,
    TILL,
    buffer_of,
    frame,
    plain_client,
    until_blocked,
)

from trinetra.adapters.redis.frame_buffer import RedisFrameBuffer
from trinetra.devservers.redis import RedisServer
from trinetra.errors import BufferUnavailable, ConfigurationError
from trinetra.telemetry import FRAMES_DROPPED, FRAMES_OVERTAKEN
from trinetra.values import CameraId

pytestmark = pytest.mark.redis
EVERY_CALL = {
    "append": lambda buffer: buffer.append(frame(1)),
    "read": lambda buffer: buffer.read(max_frames=4, wait_s=0.05),
    "ack": lambda buffer: buffer.ack(AHEAD),
    "claim": lambda buffer: buffer.claim(idle_s=1, max_frames=4),
    "lag": lambda buffer: buffer.lag(DOOR),
    "check": lambda buffer: buffer.check(),
}
AHEAD = []


@pytest.fixture
async def redis(redis_server: RedisServer) -> AsyncIterator[Redis]:
    async with plain_client(redis_server.url) as redis:
        yield redis


async def seqs(buffer: RedisFrameBuffer, wait_s: float = 0) -> list[int]:
    return [b.frame.seq for b in await buffer.read(max_frames=100, wait_s=wait_s)]


async def eventually(ask: Callable[[], Awaitable[object]]) -> object:
    """Ask again and again until the buffer answers."""
    while True:
        try:
            return await ask()
        except BufferUnavailable:
            await asyncio.sleep(0)


@pytest.mark.parametrize("call", EVERY_CALL)
async def test_every_call_says_that_a_killed_server_is_away_and_works_when_it_is_back(
    redis_server: RedisServer, call: str
) -> None:
    async with buffer_of(redis_server.url) as buffer:
        await buffer.append(frame(1))
        AHEAD[:] = await buffer.read(max_frames=1, wait_s=0)
        redis_server.kill()
        for _ in range(2):
            with pytest.raises(BufferUnavailable, match=redis_server.address):
                await EVERY_CALL[call](buffer)
        redis_server.start()
        await EVERY_CALL[call](buffer)
        await buffer.append(frame(2))
        assert (await seqs(buffer))[-1] == 2


@pytest.mark.parametrize("call", EVERY_CALL)
async def test_a_server_that_hangs_holds_no_call_up(redis_server: RedisServer, call: str) -> None:
    async with buffer_of(redis_server.url, answer_s=0.1) as buffer:
        await buffer.append(frame(1))
        AHEAD[:] = await buffer.read(max_frames=1, wait_s=0)
        redis_server.suspend()
        for _ in range(2):
            with pytest.raises(BufferUnavailable, match="did not answer within"):
                await EVERY_CALL[call](buffer)
        redis_server.resume()
        await eventually(lambda: EVERY_CALL[call](buffer))


async def test_a_restarted_empty_server_is_used_at_once(redis_server: RedisServer) -> None:
    async with buffer_of(redis_server.url) as buffer, buffer_of(redis_server.url, "w2") as other:
        await buffer.append(frame(1))
        held = await buffer.read(max_frames=1, wait_s=0)
        await asyncio.to_thread(redis_server.restart)
        await eventually(lambda: buffer.append(frame(2)))
        await eventually(lambda: buffer.append(frame(3, TILL)))
        await buffer.ack(held)
        assert sorted(await eventually(lambda: seqs(other))) == [2, 3]
        assert await buffer.lag(DOOR) == 1


async def test_a_flush_while_a_reader_waits_costs_no_later_frame(
    redis_server: RedisServer, redis: Redis
) -> None:
    async with buffer_of(redis_server.url) as buffer, buffer_of(redis_server.url) as ingestor:
        reading = asyncio.create_task(seqs(buffer, wait_s=3600))
        await until_blocked(redis)
        await redis.flushall()
        await ingestor.append(frame(1))
        assert await reading == [1]
        assert await redis.get("trinetra:site") == b"north-street"


async def test_one_lost_group_of_many_costs_nobody_a_frame(
    redis_server: RedisServer, redis: Redis
) -> None:
    async with buffer_of(redis_server.url) as buffer:
        assert await seqs(buffer) == []
        await buffer.append(frame(1))
        await buffer.append(frame(2, TILL))
        await redis.xgroup_destroy("frames:door", GROUP)
        assert sorted(await seqs(buffer)) == [1, 2]
        await redis.delete("frames:till")
        assert await buffer.claim(idle_s=0, max_frames=10) != []


async def test_a_cut_connection_is_made_again(redis_server: RedisServer, redis: Redis) -> None:
    async with buffer_of(redis_server.url) as buffer, buffer_of(redis_server.url) as ingestor:
        reading = asyncio.create_task(seqs(buffer, wait_s=3600))
        await until_blocked(redis)
        await redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        with pytest.raises(BufferUnavailable):
            await reading
        await eventually(lambda: ingestor.append(frame(1)))
        assert await seqs(buffer, wait_s=3600) == [1]


async def test_what_was_delivered_to_a_lost_answer_comes_again_and_nothing_else(
    redis_server: RedisServer, redis: Redis
) -> None:
    async with buffer_of(redis_server.url) as buffer:
        await buffer.append(frame(1))
        await buffer.append(frame(2))
        assert [b.frame.seq for b in await buffer.read(max_frames=1, wait_s=0)] == [1]
        reading = asyncio.create_task(seqs(buffer, wait_s=3600))
        assert await reading == [2]
        reading = asyncio.create_task(seqs(buffer, wait_s=3600))
        await until_blocked(redis)
        await redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        with pytest.raises(BufferUnavailable):
            await reading
        await redis.xadd("frames:door", await _payload(buffer, redis))
        await redis.xreadgroup(GROUP, "w1", {"frames:door": ">"})  # whose answer w1 never saw
        assert await seqs(buffer, wait_s=3600) == [3]


async def _payload(buffer: RedisFrameBuffer, redis: Redis) -> dict[bytes, bytes]:
    """Return the fields of an entry for frame 3."""
    await buffer.append(frame(3, TILL))
    ((entry_id, fields),) = await redis.xrange("frames:till")
    await redis.xdel("frames:till", entry_id)
    return {name: value.replace(b"till", b"door") for name, value in fields.items()}


async def test_a_worker_that_returns_under_its_name_goes_on_with_what_it_held(
    redis_server: RedisServer,
) -> None:
    async with buffer_of(redis_server.url, "w1") as killed:
        for seq in range(6):
            await killed.append(frame(seq))
        await killed.read(max_frames=4, wait_s=0)
    async with buffer_of(redis_server.url, "w1") as again:
        assert await seqs(again) == [0, 1, 2, 3]
        assert await seqs(again) == [4, 5]


async def test_of_two_workers_one_dies_and_the_other_claims_exactly_what_it_held(
    redis_server: RedisServer, redis: Redis
) -> None:
    url = redis_server.url
    async with buffer_of(url, "alive") as alive:
        async with buffer_of(url, "dead") as dead:
            for seq in range(10):
                await dead.append(frame(seq, (DOOR, TILL)[seq % 2]))
            await dead.ack((await dead.read(max_frames=6, wait_s=0))[:2])
        mine = await seqs(alive)
        for stream in ("frames:door", "frames:till"):
            for held in await redis.xpending_range(stream, GROUP, "-", "+", 10, "dead"):
                ids = [held["message_id"]]
                await redis.xclaim(stream, GROUP, "dead", 0, ids, idle=60_000, justid=True)
        claimed = await alive.claim(idle_s=30, max_frames=100)
        theirs = [b.frame.seq for b in claimed]
        assert (len(mine), len(theirs)) == (4, 4)
        assert await alive.claim(idle_s=30, max_frames=100) == []
        await alive.ack(claimed)
        assert await alive.lag(DOOR) + await alive.lag(TILL) == len(mine)


async def test_entries_that_are_no_frames_are_counted_and_gone(
    redis_server: RedisServer, redis: Redis
) -> None:
    lost = FRAMES_DROPPED.labels("door", "undecodable")
    before = lost._value.get()
    async with buffer_of(redis_server.url) as buffer:
        await buffer.append(frame(1, TILL))
        ((_, fields),) = await redis.xrange("frames:till")
        for poison in ({"frame": b"\xc1"}, {"picture": b"\xff\xd8"}, {b"a": b"b", **fields}):
            await redis.xadd("frames:door", poison)
        await buffer.append(frame(2))
        assert sorted(await seqs(buffer)) == [1, 2]
        assert lost._value.get() == before + 3
        assert await buffer.lag(DOOR) == 1
        assert (await redis.xpending("frames:door", GROUP))["pending"] == 1


async def test_frames_that_gave_way_while_their_worker_was_dead_are_counted(
    redis_server: RedisServer, redis: Redis
) -> None:
    overtaken = FRAMES_OVERTAKEN.labels("door")
    before = overtaken._value.get()
    async with buffer_of(redis_server.url, "alive", max_frames=2) as alive:
        async with buffer_of(redis_server.url, "w1", max_frames=2) as dead:
            await dead.append(frame(1))
            await dead.append(frame(2))
            await dead.read(max_frames=2, wait_s=0)
            assert [await dead.append(frame(seq)) for seq in (3, 4)] == [1, 1]
        async with buffer_of(redis_server.url, "w1", max_frames=2) as again:
            assert await seqs(again) == [3, 4]
        assert await alive.claim(idle_s=0, max_frames=10) != []
    assert overtaken._value.get() == before + 2
    assert (await redis.xpending("frames:door", GROUP))["pending"] == 2


async def test_a_full_server_takes_no_frame_and_says_so_until_it_has_room(
    redis_server: RedisServer, redis: Redis
) -> None:
    async with buffer_of(redis_server.url) as buffer:
        await redis.config_set("maxmemory", 1)
        with pytest.raises(BufferUnavailable, match="maxmemory"):
            await buffer.append(frame(1))
        await redis.config_set("maxmemory", 0)
        await buffer.append(frame(2))
        assert await seqs(buffer) == [2]


async def test_another_site_that_took_the_names_after_a_flush_is_noticed(
    redis_server: RedisServer, redis: Redis
) -> None:
    async with buffer_of(redis_server.url) as buffer:
        await redis.flushall()
        async with buffer_of(redis_server.url, site="south-street") as other:
            with pytest.raises(ConfigurationError, match="south-street"):
                await buffer.append(frame(1))
            with pytest.raises(ConfigurationError, match="south-street"):
                await buffer.read(max_frames=1, wait_s=0)
            assert await seqs(other) == []


async def test_twenty_full_cameras_stay_within_their_memory(
    redis_server: RedisServer, redis: Redis
) -> None:
    cameras = [CameraId(f"camera-{n:02}") for n in range(20)]
    async with buffer_of(redis_server.url, cameras=cameras) as buffer:
        empty = (await redis.info("memory"))["used_memory"]
        for camera in cameras:
            dropped = [
                await buffer.append(frame(seq, camera, size=65 * 1024)) for seq in range(110)
            ]
            assert sum(dropped) == 10
        full = (await redis.info("memory"))["used_memory"]
        assert {await buffer.lag(camera) for camera in cameras} == {100}
    # 127 MB of pictures; the allocator rounds each up to 80 KiB, which makes 156.
    assert (full - empty) / 2**20 < 160
