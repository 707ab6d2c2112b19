"""Tests for an event log that is opened in the background."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from trinetra.adapters.clock import ManualClock, SystemClock
from trinetra.adapters.deferred import DeferredEventLog
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.errors import ConfigurationError, EventLogUnavailable
from trinetra.events.topics import DETECTIONS
from trinetra.ports import EventLog, Record

RECORD = Record(DETECTIONS, "door", b"1")


class Opening:
    """Opens a memory log after the given failures."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.tried = asyncio.Event()
        self.opened = asyncio.Event()
        self.closed = False
        self.clock = SystemClock()
        self.log = MemoryEventLog(self.clock)

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[EventLog]:
        self.tried.set()
        if self.failures:
            raise self.failures.pop(0)
        self.opened.set()
        yield self.log
        self.closed = True


async def test_an_unopened_log_is_unavailable_with_the_reason() -> None:
    opening = Opening(EventLogUnavailable("no broker"))
    async with DeferredEventLog.open(opening, ManualClock()) as log:
        with pytest.raises(EventLogUnavailable):
            await log.append([RECORD])
        await opening.tried.wait()
        with pytest.raises(EventLogUnavailable, match="no broker"):
            await log.check()
    assert not opening.closed


async def test_once_it_is_there_everything_goes_through_and_it_is_closed_at_the_end() -> None:
    opening = Opening()
    async with DeferredEventLog.open(opening, opening.clock) as log:
        await opening.opened.wait()
        await log.append([RECORD])
        reader = await log.subscribe([DETECTIONS], "g")
        assert [d.value for d in await reader.poll(max_records=1, wait_s=1)] == [b"1"]
        assert not opening.closed
    assert opening.closed


async def test_it_is_opened_again_until_that_works() -> None:
    opening = Opening(EventLogUnavailable("no broker"))
    async with DeferredEventLog.open(opening, opening.clock):
        await opening.opened.wait()
    assert opening.closed


async def test_an_error_that_no_retry_can_fix_ends_the_block() -> None:
    opening = Opening(ConfigurationError("wrong password"))
    with pytest.raises(ConfigurationError, match="wrong password"):
        async with DeferredEventLog.open(opening, opening.clock):
            await asyncio.Event().wait()


async def test_it_can_be_closed_while_the_log_is_being_opened() -> None:
    entered = asyncio.Event()

    @asynccontextmanager
    async def silent() -> AsyncIterator[EventLog]:
        entered.set()
        await asyncio.Event().wait()
        raise EventLogUnavailable("never")
        yield

    async with DeferredEventLog.open(silent, SystemClock()):
        await entered.wait()
