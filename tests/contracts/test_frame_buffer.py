"""Contract of every frame buffer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from trinetra.adapters.clock import ManualClock, SystemClock
from trinetra.adapters.memory.frame_buffer import MemoryFrameBuffer, MemoryFrameStreams
from trinetra.adapters.redis.frame_buffer import FrameStreams, RedisFrameBuffer
from trinetra.events.codec import encode_frame
from trinetra.ports import Clock, FrameBuffer
from trinetra.values import CameraId, Frame, Letterbox, SiteId

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
GROUP = "inference-workers"
CAMERAS = [CameraId(name) for name in ("busy", "door", "quiet")]


@dataclass
class Rig:
    """A shared buffer: creates consumers, and advances time for waits and for pending frames.

    ``append_aged`` appends a frame that long ago. ``clock`` is that of all consumers; its wall
    clock is off.
    """

    consumer: Callable[[str], Awaitable[FrameBuffer]]
    elapse: Callable[[float], Awaitable[None]]
    leave_idle: Callable[[float], Awaitable[None]]
    append_aged: Callable[[Frame, float], Awaitable[None]]
    clock: Clock


MakeRig = Callable[..., AbstractAsyncContextManager[Rig]]


def frame(camera: str, seq: int) -> Frame:
    return Frame(
        camera_id=CameraId(camera),
        seq=seq,
        captured_at=NOON,
        width=1280,
        height=720,
        letterbox=Letterbox.fit(1280, 720, 640),
        jpeg=b"\xff\xd8" + seq.to_bytes(8, "big"),
        native_jpeg=b"native" if seq % 2 else None,
    )


@asynccontextmanager
async def memory_rig(max_frames: int = 100, **bounds: int) -> AsyncIterator[Rig]:
    clock = ManualClock(NOON)
    streams = MemoryFrameStreams(clock, max_frames, **bounds)

    async def consumer(name: str) -> FrameBuffer:
        return MemoryFrameBuffer(streams, GROUP, name)

    async def elapse(seconds: float) -> None:
        clock.advance(seconds)

    async def append_aged(frame: Frame, age_s: float) -> None:
        streams.append(frame)
        clock.advance(age_s)

    yield Rig(consumer, elapse, elapse, append_aged, clock)


class WrongClock(SystemClock):
    """A clock of a host that is in another century."""

    def now(self) -> datetime:
        return NOON - timedelta(days=36_525)


@asynccontextmanager
async def redis_rig(url: str, max_frames: int = 100, **bounds: int) -> AsyncIterator[Rig]:
    namespace, clock = uuid4().hex, WrongClock()

    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(Redis.from_url(url))

        async def consumer(name: str) -> FrameBuffer:
            return await stack.enter_async_context(
                RedisFrameBuffer.open(
                    url,
                    FrameStreams(SiteId("shop"), CAMERAS, namespace, max_frames, **bounds),
                    group=GROUP,
                    consumer=name,
                    clock=clock,
                )
            )

        async def elapse(seconds: float) -> None:
            """Do nothing: the server has its own clock."""

        async def leave_idle(seconds: float) -> None:
            for camera in CAMERAS:
                stream = f"{namespace}:frames:{camera}"
                for held in await redis.xpending_range(stream, GROUP, "-", "+", 1000):
                    owner, entry_id = held["consumer"], held["message_id"]
                    idle_ms = held["time_since_delivered"] + round(1000 * seconds)
                    await redis.xclaim(
                        stream, GROUP, owner, 0, [entry_id], idle=idle_ms, justid=True
                    )

        async def append_aged(frame: Frame, age_s: float) -> None:
            seconds, microseconds = await redis.time()
            at_ms = round(1000 * (seconds + microseconds / 1e6 - age_s))
            stream = f"{namespace}:frames:{frame.camera_id}"
            await redis.xadd(stream, {"frame": encode_frame(frame)}, id=f"{at_ms}-1")

        yield Rig(consumer, elapse, leave_idle, append_aged, clock)


@pytest.fixture(scope="module", params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def make_rig(request: pytest.FixtureRequest) -> MakeRig:
    if request.param == "memory":
        return memory_rig
    return partial(redis_rig, request.getfixturevalue("redis_url"))


@pytest.fixture
async def rig(make_rig: MakeRig) -> AsyncIterator[Rig]:
    async with make_rig() as rig:
        yield rig


async def test_a_frame_comes_out_as_it_went_in(rig: Rig) -> None:
    buffer = await rig.consumer("w1")
    await buffer.append(frame("door", 7))
    assert [b.frame for b in await buffer.read(max_frames=4, wait_s=0)] == [frame("door", 7)]


async def test_two_consumers_of_a_group_share_the_frames(rig: Rig) -> None:
    first, second = await rig.consumer("w1"), await rig.consumer("w2")
    for seq in range(6):
        await first.append(frame("door", seq))
    mine = await first.read(max_frames=3, wait_s=0)
    yours = await second.read(max_frames=9, wait_s=0)
    assert [b.frame.seq for b in mine + yours] == list(range(6))


async def test_reading_is_fair_over_cameras(rig: Rig) -> None:
    buffer = await rig.consumer("w1")
    for seq in range(50):
        await buffer.append(frame("busy", seq))
    await buffer.append(frame("quiet", 0))
    taken = await buffer.read(max_frames=4, wait_s=0)
    assert "quiet" in {b.frame.camera_id for b in taken}


async def test_the_oldest_frames_give_way_and_are_counted(rig: Rig) -> None:
    buffer = await rig.consumer("w1")
    dropped = sum([await buffer.append(frame("door", seq)) for seq in range(103)])
    left = [b.frame.seq for b in await buffer.read(max_frames=200, wait_s=0)]
    assert dropped == 3
    assert left == list(range(3, 103))


async def test_an_acknowledged_frame_is_no_loss_when_the_stream_is_full(rig: Rig) -> None:
    buffer = await rig.consumer("w1")
    for seq in range(100):
        await buffer.append(frame("door", seq))
    await buffer.ack(await buffer.read(max_frames=100, wait_s=0))
    assert [await buffer.append(frame("door", 100 + n)) for n in range(100)] == [0] * 100


async def test_a_dead_consumers_frames_can_be_claimed_once_idle(rig: Rig) -> None:
    dead, alive = await rig.consumer("w1"), await rig.consumer("w2")
    await dead.append(frame("door", 1))
    await dead.read(max_frames=1, wait_s=0)
    assert await alive.claim(idle_s=30, max_frames=10) == []
    await rig.leave_idle(31)
    claimed = await alive.claim(idle_s=30, max_frames=10)
    assert [b.frame.seq for b in claimed] == [1]
    assert await alive.claim(idle_s=30, max_frames=10) == []


async def test_how_long_a_frame_waited_is_told_by_the_clock_of_the_buffer(rig: Rig) -> None:
    dead, alive = await rig.consumer("w1"), await rig.consumer("w2")
    await rig.append_aged(frame("door", 1), 40.0)
    await dead.append(frame("door", 2))
    taken = await dead.read(max_frames=2, wait_s=0)
    waited_s = [rig.clock.monotonic() - b.appended_s for b in taken]
    assert 40.0 <= waited_s[0] < 50.0
    assert 0.0 <= waited_s[1] < 10.0
    await rig.leave_idle(31)
    claimed = await alive.claim(idle_s=30, max_frames=1)
    assert [b.frame.seq for b in claimed] == [1]
    assert rig.clock.monotonic() - claimed[0].appended_s >= 40.0


async def test_an_acknowledged_frame_never_comes_back(rig: Rig) -> None:
    buffer = await rig.consumer("w1")
    await buffer.append(frame("door", 1))
    await buffer.ack(await buffer.read(max_frames=1, wait_s=0))
    await rig.leave_idle(3600)
    assert await buffer.claim(idle_s=1, max_frames=10) == []
    assert await buffer.lag(CameraId("door")) == 0


async def test_lag_counts_waiting_and_held_frames(rig: Rig) -> None:
    buffer = await rig.consumer("w1")
    for seq in range(5):
        await buffer.append(frame("door", seq))
    await buffer.read(max_frames=2, wait_s=0)
    assert await buffer.lag(CameraId("door")) == 5
    assert await buffer.lag(CameraId("other")) == 0


async def test_reading_an_empty_buffer_gives_up_after_the_wait(rig: Rig) -> None:
    buffer = await rig.consumer("w1")
    reading = asyncio.ensure_future(buffer.read(max_frames=4, wait_s=0.1))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not reading.done()
    await rig.elapse(0.1)
    assert await reading == []


async def test_a_waiting_reader_gets_a_frame_as_it_arrives(rig: Rig) -> None:
    buffer = await rig.consumer("w1")
    reading = asyncio.ensure_future(buffer.read(max_frames=4, wait_s=3600))
    await asyncio.sleep(0)
    await buffer.append(frame("door", 1))
    assert [b.frame.seq for b in await reading] == [1]


async def test_a_reader_that_gave_up_waiting_has_lost_nothing(rig: Rig) -> None:
    buffer, writer = await rig.consumer("w1"), await rig.consumer("ingestor")
    reading = asyncio.ensure_future(buffer.read(max_frames=4, wait_s=3600))
    for _ in range(5):
        await asyncio.sleep(0)
    reading.cancel()
    await writer.append(frame("door", 1))
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert [b.frame.seq for b in await buffer.read(max_frames=4, wait_s=3600)] == [1]


async def test_no_more_frames_are_taken_than_were_asked_for(rig: Rig) -> None:
    greedy, other = await rig.consumer("w1"), await rig.consumer("w2")
    for camera in CAMERAS:
        for seq in range(3):
            await greedy.append(frame(camera, seq))
    mine = await greedy.read(max_frames=2, wait_s=0)
    rest = await other.read(max_frames=100, wait_s=0)
    assert (len(mine), len(rest)) == (2, 7)


async def test_no_camera_is_passed_over_for_long(rig: Rig) -> None:
    buffer = await rig.consumer("w1")
    for camera in CAMERAS:
        for seq in range(10):
            await buffer.append(frame(camera, seq))
    cameras = [(await buffer.read(max_frames=1, wait_s=0))[0].frame.camera_id for _ in range(9)]
    assert {camera: cameras.count(camera) for camera in CAMERAS} == dict.fromkeys(CAMERAS, 3)


async def test_frames_of_a_camera_come_in_order(rig: Rig) -> None:
    buffer = await rig.consumer("w1")
    for seq in range(20):
        await buffer.append(frame(CAMERAS[seq % 3], seq))
    taken = []
    while len(taken) < 20:
        taken += await buffer.read(max_frames=7, wait_s=0)
    for camera in CAMERAS:
        seqs = [b.frame.seq for b in taken if b.frame.camera_id == camera]
        assert seqs == sorted(seqs)


async def test_claims_take_no_more_than_asked_for_and_the_rest_later(rig: Rig) -> None:
    dead, alive = await rig.consumer("w1"), await rig.consumer("w2")
    for camera in CAMERAS:
        for seq in range(3):
            await dead.append(frame(camera, seq))
    await dead.read(max_frames=9, wait_s=0)
    await rig.leave_idle(31)
    claims = [await alive.claim(idle_s=30, max_frames=4) for _ in range(4)]
    assert [len(claimed) for claimed in claims] == [4, 4, 1, 0]
    assert len({b.entry_id for claimed in claims for b in claimed}) == 9


async def test_a_frame_that_gave_way_while_held_is_not_delivered_again(make_rig: MakeRig) -> None:
    async with make_rig(max_frames=2) as rig:
        dead, alive = await rig.consumer("w1"), await rig.consumer("w2")
        await dead.append(frame("door", 1))
        held = await dead.read(max_frames=1, wait_s=0)
        assert [await dead.append(frame("door", seq)) for seq in (2, 3)] == [0, 1]
        await rig.leave_idle(31)
        assert await alive.claim(idle_s=30, max_frames=10) == []
        await dead.ack(held)
        assert await alive.lag(CameraId("door")) == 2


def picture(camera: str, seq: int, size: int) -> Frame:
    return msgspec.structs.replace(frame(camera, seq), native_jpeg=b"\xff" * size)


def size_of(frames: Iterable[Frame]) -> int:
    return sum(len(encode_frame(frame)) for frame in frames)


async def test_large_frames_are_bounded_by_their_bytes(make_rig: MakeRig) -> None:
    limit = 1_000_000
    async with make_rig(max_bytes=limit) as rig:
        buffer = await rig.consumer("w1")
        pictures = [picture("door", seq, 100_000) for seq in range(30)]
        dropped = sum([await buffer.append(each) for each in pictures])
        left = [b.frame for b in await buffer.read(max_frames=100, wait_s=0)]
    assert [each.seq for each in left] == list(range(30 - len(left), 30))
    assert len(left) == limit // size_of(pictures[:1])
    assert dropped == 30 - len(left)


@example([60_000, 60_000, 30_000, 500, 500])
@given(st.lists(st.integers(0, 60_000), min_size=1, max_size=40))
@settings(max_examples=20, deadline=None)
async def test_frames_of_any_sizes_stay_within_the_bytes(
    make_rig: MakeRig, sizes: list[int]
) -> None:
    limit = 150_000
    async with make_rig(max_bytes=limit) as rig:
        buffer = await rig.consumer("w1")
        for seq, size in enumerate(sizes):
            await buffer.append(picture("door", seq, size))
        left = [b.frame for b in await buffer.read(max_frames=100, wait_s=0)]
    assert size_of(left) <= limit
    assert left[-1].seq == len(sizes) - 1


async def test_a_frame_larger_than_the_bytes_is_kept_alone(make_rig: MakeRig) -> None:
    async with make_rig(max_bytes=10_000) as rig:
        buffer = await rig.consumer("w1")
        dropped = [await buffer.append(picture("door", seq, 50_000)) for seq in range(3)]
        left = await buffer.read(max_frames=100, wait_s=0)
    assert (dropped, [b.frame.seq for b in left]) == ([0, 1, 1], [2])


async def test_the_bytes_of_one_camera_do_not_push_out_another(make_rig: MakeRig) -> None:
    async with make_rig(max_bytes=500_000) as rig:
        buffer = await rig.consumer("w1")
        await buffer.append(picture("quiet", 0, 100))
        for seq in range(20):
            await buffer.append(picture("busy", seq, 100_000))
        assert await buffer.lag(CameraId("quiet")) == 1


async def test_acknowledged_frames_free_their_bytes(make_rig: MakeRig) -> None:
    async with make_rig(max_bytes=500_000) as rig:
        buffer = await rig.consumer("w1")
        for start in range(0, 20, 4):
            dropped = [await buffer.append(picture("door", start + n, 100_000)) for n in range(4)]
            assert dropped == [0] * 4
            await buffer.ack(await buffer.read(max_frames=4, wait_s=0))


async def test_acknowledging_twice_or_nothing_is_harmless(rig: Rig) -> None:
    buffer = await rig.consumer("w1")
    for seq in range(3):
        await buffer.append(frame("door", seq))
    taken = await buffer.read(max_frames=2, wait_s=0)
    for done in (taken, taken, []):
        await buffer.ack(done)
    assert await buffer.lag(CameraId("door")) == 1


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["append", "read", "ack", "claim"]), st.integers(1, 7)),
        max_size=60,
    )
)
@settings(max_examples=30, deadline=None)
async def test_every_frame_is_acknowledged_dropped_or_still_there(
    make_rig: MakeRig, steps: list[tuple[str, int]]
) -> None:
    async with make_rig(max_frames=5) as rig:
        await account_for_every_frame(rig, steps)


async def account_for_every_frame(rig: Rig, steps: list[tuple[str, int]]) -> None:
    buffer = await rig.consumer("w1")
    sent = dropped = acked = 0
    held = {}
    for action, n in steps:
        if action == "append":
            for _ in range(n):
                dropped += await buffer.append(frame("door", sent))
                sent += 1
        elif action == "ack" and held:
            lag = await buffer.lag(CameraId("door"))
            await buffer.ack(list(held.values())[:n])
            acked += lag - await buffer.lag(CameraId("door"))
            held = dict(list(held.items())[n:])
        elif action == "read":
            held |= {b.entry_id: b for b in await buffer.read(max_frames=n, wait_s=0)}
        elif action == "claim":
            await rig.leave_idle(10)
            held |= {b.entry_id: b for b in await buffer.claim(idle_s=5, max_frames=n)}
    assert sent == dropped + acked + await buffer.lag(CameraId("door"))
