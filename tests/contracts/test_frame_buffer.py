"""What every frame buffer promises."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trinetra.adapters.clock import ManualClock
from trinetra.adapters.memory import MemoryFrameBuffer, MemoryFrameStreams
from trinetra.ports import FrameBuffer
from trinetra.values import CameraId, Frame, Letterbox

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
GROUP = "inference-workers"


@dataclass
class Rig:
    clock: ManualClock
    consumer: Callable[[str], FrameBuffer]


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


def memory_rig(max_frames: int = 100) -> Rig:
    clock = ManualClock()
    streams = MemoryFrameStreams(clock, max_frames=max_frames)
    return Rig(clock, lambda name: MemoryFrameBuffer(streams, GROUP, name))


@pytest.fixture(params=["memory"])
async def rig(request: pytest.FixtureRequest) -> Rig:
    return memory_rig()


async def test_a_frame_comes_out_as_it_went_in(rig: Rig) -> None:
    buffer = rig.consumer("w1")
    await buffer.append(frame("door", 7))
    assert [b.frame for b in await buffer.read(max_frames=4, wait_s=0)] == [frame("door", 7)]


async def test_two_consumers_of_a_group_share_the_frames(rig: Rig) -> None:
    first, second = rig.consumer("w1"), rig.consumer("w2")
    for seq in range(6):
        await first.append(frame("door", seq))
    mine = await first.read(max_frames=3, wait_s=0)
    yours = await second.read(max_frames=9, wait_s=0)
    assert [b.frame.seq for b in mine + yours] == list(range(6))


async def test_reading_is_fair_over_cameras(rig: Rig) -> None:
    buffer = rig.consumer("w1")
    for seq in range(50):
        await buffer.append(frame("busy", seq))
    await buffer.append(frame("quiet", 0))
    taken = await buffer.read(max_frames=4, wait_s=0)
    assert "quiet" in {b.frame.camera_id for b in taken}


async def test_the_oldest_frames_give_way_and_are_counted(rig: Rig) -> None:
    buffer = rig.consumer("w1")
    dropped = sum([await buffer.append(frame("door", seq)) for seq in range(103)])
    left = [b.frame.seq for b in await buffer.read(max_frames=200, wait_s=0)]
    assert dropped == 3
    assert left == list(range(3, 103))


async def test_an_acknowledged_frame_is_no_loss_when_the_stream_is_full(rig: Rig) -> None:
    buffer = rig.consumer("w1")
    for seq in range(100):
        await buffer.append(frame("door", seq))
    await buffer.ack(await buffer.read(max_frames=100, wait_s=0))
    assert [await buffer.append(frame("door", 100 + n)) for n in range(100)] == [0] * 100


async def test_a_dead_consumers_frames_can_be_claimed_once_idle(rig: Rig) -> None:
    dead, alive = rig.consumer("w1"), rig.consumer("w2")
    await dead.append(frame("door", 1))
    await dead.read(max_frames=1, wait_s=0)
    assert await alive.claim(idle_s=30, max_frames=10) == []
    rig.clock.advance(31)
    claimed = await alive.claim(idle_s=30, max_frames=10)
    assert [b.frame.seq for b in claimed] == [1]
    assert await alive.claim(idle_s=30, max_frames=10) == []


async def test_an_acknowledged_frame_never_comes_back(rig: Rig) -> None:
    buffer = rig.consumer("w1")
    await buffer.append(frame("door", 1))
    await buffer.ack(await buffer.read(max_frames=1, wait_s=0))
    rig.clock.advance(3600)
    assert await buffer.claim(idle_s=1, max_frames=10) == []
    assert await buffer.lag(CameraId("door")) == 0


async def test_lag_counts_waiting_and_held_frames(rig: Rig) -> None:
    buffer = rig.consumer("w1")
    for seq in range(5):
        await buffer.append(frame("door", seq))
    await buffer.read(max_frames=2, wait_s=0)
    assert await buffer.lag(CameraId("door")) == 5
    assert await buffer.lag(CameraId("other")) == 0


async def test_reading_an_empty_buffer_gives_up_after_the_wait(rig: Rig) -> None:
    reading = asyncio.ensure_future(rig.consumer("w1").read(max_frames=4, wait_s=0.5))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not reading.done()
    rig.clock.advance(0.5)
    assert await reading == []


async def test_a_waiting_reader_gets_a_frame_as_it_arrives(rig: Rig) -> None:
    buffer = rig.consumer("w1")
    reading = asyncio.ensure_future(buffer.read(max_frames=4, wait_s=3600))
    await asyncio.sleep(0)
    await buffer.append(frame("door", 1))
    assert [b.frame.seq for b in await reading] == [1]


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["append", "read", "ack", "claim"]), st.integers(1, 7)),
        max_size=60,
    )
)
@settings(max_examples=60, deadline=None)
async def test_every_frame_is_acknowledged_dropped_or_still_there(
    steps: list[tuple[str, int]],
) -> None:
    rig = memory_rig(max_frames=5)
    buffer = rig.consumer("w1")
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
            rig.clock.advance(10)
            held |= {b.entry_id: b for b in await buffer.claim(idle_s=5, max_frames=n)}
    assert sent == dropped + acked + await buffer.lag(CameraId("door"))
