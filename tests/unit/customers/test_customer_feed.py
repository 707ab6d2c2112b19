"""The customer feed: every change once, none during an outage, all after it."""

import asyncio

import pytest
from tests.contracts.test_customer_log import ANN, BOB, enrolled

from trinetra.adapters.clock import ManualClock, SystemClock
from trinetra.adapters.memory.customer_log import MemoryCustomerLog
from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.customers.customer_feed import CustomerFeed, StoreCustomerSync, read_people
from trinetra.errors import StorageFull, StoreUnavailable
from trinetra.events.customers import NumberedChange
from trinetra.telemetry import CUSTOMER_LOG_AVAILABILITY
from trinetra.values import CustomerId


class Moody(MemoryCustomerLog):
    """A customer log that fails, or does not answer until it is released."""

    fails: type[Exception] | None = None

    def __init__(self) -> None:
        super().__init__()
        self.answers = asyncio.Event()
        self.answers.set()
        self.asked = 0

    async def changes(self, after: int, limit: int) -> list[NumberedChange]:
        self.asked += 1
        await self.answers.wait()
        if self.fails is not None:
            raise self.fails("away")
        return await super().changes(after, limit)


def is_up() -> float:
    return CUSTOMER_LOG_AVAILABILITY.value("test")


async def test_the_book_is_looked_into_once_a_second() -> None:
    customer_log, clock = Moody(), ManualClock()
    reader = CustomerFeed(customer_log, clock, service="test")
    await customer_log.write([enrolled(ANN)])

    first = await reader.catch_up()
    await customer_log.write([enrolled(BOB)])
    at_once = await reader.catch_up()
    clock.advance(1.0)
    later = await reader.catch_up()

    assert [n.change.customer_id for n in first] == [ANN]
    assert at_once == []
    assert [n.change.customer_id for n in later] == [BOB]
    assert set(reader.directory.customers) == {ANN, BOB}
    assert customer_log.asked == 2


@pytest.mark.parametrize("fault", [StoreUnavailable, StorageFull])
async def test_during_an_outage_what_was_known_holds_and_then_all_is_heard(
    fault: type[Exception],
) -> None:
    customer_log, clock = Moody(), ManualClock()
    reader = CustomerFeed(customer_log, clock, service="test")
    await customer_log.write([enrolled(ANN)])
    await reader.catch_up()
    customer_log.fails = fault
    await customer_log.write([enrolled(BOB)])
    clock.advance(1.0)

    assert await reader.catch_up() == []
    assert (set(reader.directory.customers), is_up()) == ({ANN}, 0.0)
    customer_log.fails = None
    clock.advance(1.0)
    await reader.catch_up()
    assert (set(reader.directory.customers), is_up()) == ({ANN, BOB}, 1.0)


async def test_a_slow_book_is_asked_once_and_holds_nobody_up() -> None:
    customer_log = Moody()
    await customer_log.write([enrolled(ANN)])
    customer_log.answers.clear()
    reader = CustomerFeed(customer_log, ManualClock(), service="test")

    assert await reader.catch_up() == []
    assert await reader.catch_up() == []
    customer_log.answers.set()
    assert len(await reader.catch_up()) == 1
    assert customer_log.asked == 1


async def test_closing_does_not_wait_for_a_book_that_hangs() -> None:
    customer_log = Moody()
    customer_log.answers.clear()
    reader = CustomerFeed(customer_log, ManualClock(), service="test")
    await reader.catch_up()

    await reader.close()
    await reader.close()


async def test_a_long_book_is_read_to_its_end() -> None:
    customer_log = MemoryCustomerLog()
    await customer_log.write([enrolled(CustomerId(f"c{i}")) for i in range(2500)])

    assert len((await read_people(customer_log)).customers) == 2500
    reader = CustomerFeed(customer_log, ManualClock(), service="test")
    while await reader.catch_up():
        pass
    assert len(reader.directory.customers) == 2500


async def test_at_a_start_a_long_book_is_read_to_its_end_before_anything_else() -> None:
    customer_log = MemoryCustomerLog()
    await customer_log.write([enrolled(CustomerId(f"c{i}")) for i in range(2500)])
    reader = CustomerFeed(customer_log, SystemClock(), service="test")

    assert len(await reader.read_up(silence_s=30.0)) == 2500
    assert reader.is_current


async def test_a_book_that_is_silent_at_a_start_is_given_up_and_followed_when_it_speaks() -> None:
    customer_log = Moody()
    await customer_log.write([enrolled(ANN)])
    customer_log.fails = StoreUnavailable
    reader = CustomerFeed(customer_log, SystemClock(), service="test", every_s=0.0)

    assert await reader.read_up(silence_s=0.01) == []
    assert not reader.is_current
    customer_log.fails = None
    assert len(await reader.catch_up()) == 1
    assert reader.is_current


async def test_nobody_is_counted_before_the_book_was_read_to_its_end() -> None:
    customer_log, clock = Moody(), ManualClock()
    await customer_log.write([enrolled(CustomerId(f"c{i}")) for i in range(1500)])
    customer_log.fails = StoreUnavailable
    async with SqlInsightStore.open("sqlite://") as store:
        customer_sync = StoreCustomerSync(customer_log, store, clock, service="test")
        with pytest.raises(StoreUnavailable):
            await customer_sync.tend()
        customer_log.fails = None
        clock.advance(1.0)
        await customer_sync.tend()
    assert len(customer_sync.directory.customers) == 1500
