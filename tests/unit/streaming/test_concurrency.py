"""Waiting for several tasks at once, and until a stop event."""

import asyncio
from contextlib import suppress

import pytest

from trinetra.streaming.concurrency import gather_or_cancel, run_until


async def refused() -> int:
    raise ConnectionRefusedError


async def answer(number: int) -> int:
    return number


async def test_all_answers_come_back_in_order() -> None:
    assert await gather_or_cancel([answer(1), answer(2)]) == [1, 2]
    assert await gather_or_cancel([]) == []


async def test_the_first_failure_ends_the_others() -> None:
    ended = asyncio.Event()

    async def patient() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return 0

    with pytest.raises(ConnectionRefusedError):
        await gather_or_cancel([patient(), refused()])
    assert ended.is_set()


async def test_a_time_out_after_failed_requests_is_still_a_time_out() -> None:
    async def fail_and_wait() -> None:
        async with asyncio.timeout(0.01):
            with suppress(ConnectionRefusedError):
                await gather_or_cancel([refused(), answer(1)])
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await fail_and_wait()


async def test_work_is_abandoned_when_the_event_is_set_and_otherwise_done() -> None:
    event, ended = asyncio.Event(), asyncio.Event()

    async def patient() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.create_task(run_until(event, patient()))
    await asyncio.sleep(0)
    event.set()
    await waiting
    assert ended.is_set()


async def test_what_goes_wrong_with_the_work_is_raised() -> None:
    async def fail() -> None:
        raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        await run_until(asyncio.Event(), fail())
