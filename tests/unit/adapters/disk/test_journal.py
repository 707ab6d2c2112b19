"""The event log of one process, with its past on disk."""

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from prometheus_client import Counter

from trinetra.adapters.clock import ManualClock, SystemClock
from trinetra.adapters.disk.journal import JournalingEventLog
from trinetra.adapters.disk.journal_file import JournalFolder, read_journal
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.errors import ConfigurationError
from trinetra.events.topics import Topic
from trinetra.ports import Clock, Delivery, Progress, Record, TopicReader
from trinetra.telemetry import JOURNAL_LOST
from trinetra.values import EPOCH

TOPIC = Topic("test.kept", 4)
OTHER = Topic("test.other", 1)
Opening = Callable[..., AbstractAsyncContextManager[JournalingEventLog]]


@pytest.fixture
def opening(tmp_path: Path) -> Opening:
    def opened(
        clock: Clock | None = None, *, linger_s: float = 0.005, max_records: int = 20_000
    ) -> AbstractAsyncContextManager[JournalingEventLog]:
        log = MemoryEventLog(clock or SystemClock(), keep_records=1, max_records=max_records)
        return JournalingEventLog.open(
            log,
            tmp_path / "journal",
            max_bytes=1 << 20,
            retention_s={TOPIC: 3600.0},
            linger_s=linger_s,
        )

    return opened


def record(number: int, key: str = "") -> Record:
    return Record(TOPIC, key or f"key{number % 7}", str(number).encode())


def on_disk(folder: Path) -> list[int]:
    return [int(e.value) for e in read_journal(folder, [TOPIC.name], since=EPOCH)]


async def numbers(reader: TopicReader, until: int) -> list[Delivery]:
    got: list[Delivery] = []
    while not got or max(int(d.value) for d in got) < until:
        got += await reader.poll(max_records=13, wait_s=1)
    return got


def value_of(metric: Counter, *labels: str) -> float:
    return float(metric.labels(*labels)._value.get())


async def test_from_files_to_memory_there_is_no_gap_and_nothing_twice(opening: Opening) -> None:
    async with opening() as log:
        for number in range(100):
            await log.append([record(number)])
        await asyncio.sleep(0.02)  # some of them are in the files by now
        readers: list[TopicReader] = []
        reading: list[asyncio.Task[list[Delivery]]] = []
        for number in range(100, 700):
            await log.append([record(number)])
            if number % 60 == 0:  # readers begin at all stages of writing
                readers.append(await log.open_reader([TOPIC], since=EPOCH))
                reading.append(asyncio.create_task(numbers(readers[-1], 699)))
                await asyncio.sleep(0.001)
        for got in await asyncio.gather(*reading):
            assert sorted(int(d.value) for d in got) == list(range(700))
            for partition in range(TOPIC.partitions):
                offsets = [d.offset for d in got if d.partition == partition]
                assert offsets == sorted(offsets)


async def test_the_next_process_reads_what_the_last_one_was_given(opening: Opening) -> None:
    async with opening() as log:
        reader = await log.subscribe([OTHER], "g")
        await log.append([Record(OTHER, "a", b"x"), record(1)])
        await reader.poll(max_records=1, wait_s=1)
        await reader.commit([Progress((OTHER.name, 0), 1, [record(2)])])
    async with opening() as log:
        await log.append([record(3)])
        reader = await log.open_reader([TOPIC], since=EPOCH)
        assert sorted(int(d.value) for d in await numbers(reader, 3)) == [1, 2, 3]


async def test_a_follower_of_a_topic_without_a_journal_reads_memory(opening: Opening) -> None:
    async with opening() as log:
        reader = await log.open_reader([TOPIC, OTHER], since=EPOCH)
        await log.append([Record(OTHER, "a", b"1"), record(2)])
        assert {d.topic for d in await numbers(reader, 2)} == {TOPIC.name, OTHER.name}


async def test_a_poll_that_is_cancelled_loses_nothing(opening: Opening) -> None:
    async with opening() as log:
        await log.append([record(n) for n in range(50)])
    async with opening() as log:
        reader = await log.open_reader([TOPIC], since=EPOCH)
        got: list[Delivery] = []
        for patience in count():
            polling = asyncio.create_task(reader.poll(max_records=5, wait_s=0))
            for _ in range(patience % 4):
                await asyncio.sleep(0)
            polling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                got += await polling
            got += await reader.poll(max_records=5, wait_s=0)
            if not await reader.lag():
                break
        assert sorted(int(d.value) for d in got) == list(range(50))


async def test_a_closed_follower_reads_nothing_more(opening: Opening) -> None:
    async with opening() as log:
        await log.append([record(1)])
        early, late = [await log.open_reader([TOPIC], since=EPOCH) for _ in range(2)]
        await numbers(late, 1)
        for reader in (early, late):
            await reader.close()
            await reader.close()
            assert await reader.poll(max_records=5, wait_s=0) == []
            assert await reader.lag() == 0


async def test_a_disk_that_takes_nothing_stops_nobody_and_is_counted(
    opening: Opening,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(_folder: JournalFolder, _topic: str, _entries: object) -> None:
        raise OSError(28, "No space left on device")

    lost = value_of(JOURNAL_LOST, TOPIC.name)
    async with opening(max_records=50) as log:
        with monkeypatch.context() as full:
            full.setattr(JournalFolder, "append", refuse)
            for number in range(200):
                await log.append([record(number, key="same")])
                await asyncio.sleep(0.001)
            await log.rewrite(lambda entry: entry)  # changes nothing, once all is written
        await log.append([record(200)])
    assert on_disk(tmp_path / "journal") == [200]
    assert value_of(JOURNAL_LOST, TOPIC.name) - lost == 200
    assert "".join(capsys.readouterr()).count("journal cannot be written") == 1


async def test_rewriting_reaches_what_was_appended_before_it(
    opening: Opening, tmp_path: Path
) -> None:
    clock = ManualClock(datetime(2026, 3, 2, tzinfo=UTC))  # never lets the writer write
    async with opening(clock) as log:
        await log.append([record(n) for n in range(10)])
        changed = await log.rewrite(lambda entry: None if entry.value == b"3" else entry)
        assert changed == 1
        assert sorted(on_disk(tmp_path / "journal")) == [0, 1, 2, 4, 5, 6, 7, 8, 9]


async def test_a_folder_that_is_none_is_told_at_the_start(tmp_path: Path, opening: Opening) -> None:
    (tmp_path / "journal").write_text("not a folder")
    with pytest.raises(ConfigurationError, match="the journal in"):
        async with opening():
            pass
