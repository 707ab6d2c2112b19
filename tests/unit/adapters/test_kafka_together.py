"""Several requests at once."""

import asyncio
from contextlib import suppress

import pytest

from trinetra.adapters.kafka_brokers import together


async def refused() -> int:
    raise ConnectionRefusedError


async def answer(number: int) -> int:
    return number


async def test_all_answers_come_back_in_order() -> None:
    assert await together([answer(1), answer(2)]) == [1, 2]
    assert await together([]) == []


async def test_the_first_failure_ends_the_others() -> None:
    ended = asyncio.Event()

    async def patient() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return 0

    with pytest.raises(ConnectionRefusedError):
        await together([patient(), refused()])
    assert ended.is_set()


async def test_a_time_out_after_failed_requests_is_still_a_time_out() -> None:
    async def fail_and_wait() -> None:
        async with asyncio.timeout(0.01):
            with suppress(ConnectionRefusedError):
                await together([refused(), answer(1)])
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await fail_and_wait()
