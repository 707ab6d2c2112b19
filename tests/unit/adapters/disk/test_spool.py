import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.disk.spool import SpoolingEventLog, SpoolPolicy
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.errors import EventLogUnavailable
from trinetra.events.topics import DETECTIONS, RESOLVER_STATE
from trinetra.ports import EventLog, Record
from trinetra.streaming.retry import Backoff
from trinetra.telemetry import REGISTRY


class FlakyLog(MemoryEventLog):
    """A log that can be away; it notes what it accepted, in order."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.up = True
        self.accepted: list[int] = []
        self.asked = 0
        self.answered = asyncio.Condition()

    async def append(self, records: Sequence[Record]) -> None:
        async with self.answered:
            self.asked += 1
            self.answered.notify_all()
            if not self.up:
                raise EventLogUnavailable("nobody answers")
            self.accepted += [int(record.value or b"") for record in records]
            await super().append(records)

    async def until(self, count: int) -> None:
        """Return when so many records were accepted."""
        async with self.answered:
            await self.answered.wait_for(lambda: len(self.accepted) >= count)

    async def until_asked(self, times: int) -> None:
        async with self.answered:
            await self.answered.wait_for(lambda: self.asked >= times)


@asynccontextmanager
async def spooling(
    log: EventLog, folder: Path, *, max_bytes: int = 1 << 20, batch_records: int = 5
) -> AsyncIterator[SpoolingEventLog]:
    policy = SpoolPolicy(batch_records, backoff=Backoff(0.001, 0.01), segment_bytes=2000)
    async with SpoolingEventLog.open(
        log, folder, max_bytes=max_bytes, clock=SystemClock(), policy=policy
    ) as spool:
        yield spool


def records(*numbers: int) -> list[Record]:
    return [Record(DETECTIONS, "door", b"%d" % number) for number in numbers]


def disk_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.spool"))


async def emptied(spool: SpoolingEventLog) -> None:
    while spool.status().bytes:  # noqa: ASYNC110  only tests wait for it
        await asyncio.sleep(0)


async def fill(spool: SpoolingEventLog, accepted: list[int]) -> None:
    """Append until refused."""
    while True:
        await spool.append(records(len(accepted)))
        accepted.append(len(accepted))


def metric(name: str) -> float:
    return REGISTRY.get_sample_value(name, {"service": "inference-worker"}) or 0.0


async def test_while_the_log_answers_nothing_touches_the_disk(tmp_path: Path) -> None:
    log = FlakyLog()
    async with spooling(log, tmp_path) as spool:
        await spool.append(records(1, 2))
        await spool.append([])
        assert log.accepted == [1, 2]
        assert log.asked == 1
        assert await spool.check() == "empty"
    assert disk_bytes(tmp_path) == 0


async def test_an_append_during_an_outage_returns_and_arrives_afterwards(tmp_path: Path) -> None:
    log = FlakyLog()
    drained = metric("trinetra_spool_drained_total")
    async with spooling(log, tmp_path) as spool:
        log.up = False
        for number in range(20):
            await spool.append(records(number))
        assert spool.status().records == 20
        assert "20 records" in await spool.check()
        assert metric("trinetra_spool_records") == 20
        assert metric("trinetra_spool_bytes") == spool.status().bytes > 0
        log.up = True
        await log.until(20)
        await emptied(spool)
        await spool.append(records(20))
    assert log.accepted == list(range(21))
    assert metric("trinetra_spool_drained_total") - drained == 20
    assert metric("trinetra_spool_records") == 0


async def test_a_busy_writer_does_not_keep_the_spool_from_becoming_empty(tmp_path: Path) -> None:
    log = FlakyLog()
    async with spooling(log, tmp_path) as spool:
        log.up = False
        await spool.append(records(0))
        log.up = True
        number = 0
        while spool.status().bytes:  # no pause between appends
            number += 1
            await spool.append(records(number))
    assert log.accepted == list(range(number + 1))


async def test_what_was_left_is_sent_by_the_next_process(tmp_path: Path) -> None:
    log = FlakyLog()
    log.up = False
    async with spooling(log, tmp_path) as spool:
        await spool.append(records(1, 2, 3))
    assert log.accepted == []
    log.up = True
    async with spooling(log, tmp_path) as spool:
        await spool.append(records(4))
        await log.until(4)
    assert log.accepted == [1, 2, 3, 4]


async def test_callers_at_the_same_time_share_the_disk_and_keep_their_order(tmp_path: Path) -> None:
    log = FlakyLog()
    log.up = False
    async with spooling(log, tmp_path) as spool:
        await asyncio.gather(*(spool.append(records(number)) for number in range(50)))
        log.up = True
        await log.until(50)
    assert log.accepted == list(range(50))


async def test_a_full_spool_refuses_and_takes_again_when_there_is_room(tmp_path: Path) -> None:
    log = FlakyLog()
    log.up = False
    kept: list[int] = []
    async with spooling(log, tmp_path, max_bytes=3000) as spool:
        with pytest.raises(EventLogUnavailable, match="the spool is full"):
            await fill(spool, kept)
        assert len(kept) > 5
        assert disk_bytes(tmp_path) <= 3000
        log.up = True
        await log.until(len(kept))
        await emptied(spool)
        await spool.append(records(len(kept)))
    assert log.accepted == [*kept, len(kept)]


async def test_more_than_fits_at_once_is_refused_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    log = FlakyLog()
    log.up = False
    async with spooling(log, tmp_path, max_bytes=3000) as spool:
        with pytest.raises(EventLogUnavailable, match="TRINETRA_SPOOL_MAX_MB"):
            await spool.append(records(*range(100)))
        assert spool.status().records == 0


async def test_the_disk_is_asked_again_and_again_until_the_log_answers(tmp_path: Path) -> None:
    log = FlakyLog()
    log.up = False
    async with spooling(log, tmp_path) as spool:
        await spool.append(records(1))
        await log.until_asked(6)
        assert spool.status().records == 1
        log.up = True
        await log.until(1)


async def test_a_caller_who_gave_up_leaves_the_order_alone(tmp_path: Path) -> None:
    log = FlakyLog()
    log.up = False
    async with spooling(log, tmp_path) as spool:
        await spool.append(records(1))
        waiting = asyncio.ensure_future(spool.append(records(2)))
        await asyncio.sleep(0)
        waiting.cancel()
        await spool.append(records(3))
        log.up = True
        await log.until(2)
        await spool.append(records(4))
        await log.until(3)
    assert [number for number in log.accepted if number != 2] == [1, 3, 4]


async def test_a_failure_that_is_no_outage_ends_the_block_with_its_true_exception(
    tmp_path: Path,
) -> None:
    class SickLog(FlakyLog):
        async def append(self, records: Sequence[Record]) -> None:
            if self.up:
                raise ZeroDivisionError
            await super().append(records)

    log = SickLog()
    log.up = False

    async def wait_for_ever() -> None:
        async with spooling(log, tmp_path) as spool:
            await spool.append(records(1))
            log.up = True
            await asyncio.Event().wait()

    with pytest.raises(ZeroDivisionError):
        await wait_for_ever()


async def test_the_blocks_own_exception_comes_out_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with spooling(FlakyLog(), tmp_path):
            raise ZeroDivisionError


async def test_reading_goes_past_the_spool(tmp_path: Path) -> None:
    log = FlakyLog()
    async with spooling(log, tmp_path) as spool:
        await spool.append([*records(1), Record(RESOLVER_STATE, "door", b"7", partition=3)])
        reader = await spool.subscribe([DETECTIONS], "group")
        [delivery] = await reader.poll(max_records=10, wait_s=1)
        assert (delivery.key, delivery.value) == ("door", b"1")
        assert await spool.latest(RESOLVER_STATE, 3) == {"door": b"7"}


async def test_all_that_makes_a_record_survives_the_disk(tmp_path: Path) -> None:
    log = FlakyLog()
    log.up = False
    async with spooling(log, tmp_path) as spool:
        await spool.append([Record(RESOLVER_STATE, "door", b"7", partition=3)])
        log.up = True
        await log.until(1)
    assert await log.latest(RESOLVER_STATE, 3) == {"door": b"7"}
