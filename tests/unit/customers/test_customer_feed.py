"""Following the customer book: every change once, none during an outage, all after it."""

import asyncio

import pytest
from tests.contracts.test_customer_book import ANN, BOB, enrolled

from trinetra.adapters.clock import ManualClock, SystemClock
from trinetra.adapters.memory.customer_log import MemoryCustomerBook
from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.customers.customer_feed import BookFollower, StoreAcquaintance, read_people
from trinetra.errors import StorageFull, StoreUnavailable
from trinetra.events.customers import NumberedChange
from trinetra.telemetry import CUSTOMER_BOOK_UP
from trinetra.values import CustomerId


class Moody(MemoryCustomerBook):
    """A book that fails, or does not answer until it is let."""

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
    return CUSTOMER_BOOK_UP.labels("test")._value.get()


async def test_the_book_is_looked_into_once_a_second() -> None:
    book, clock = Moody(), ManualClock()
    follower = BookFollower(book, clock, service="test")
    await book.write([enrolled(ANN)])

    first = await follower.catch_up()
    await book.write([enrolled(BOB)])
    at_once = await follower.catch_up()
    clock.advance(1.0)
    later = await follower.catch_up()

    assert [n.change.customer_id for n in first] == [ANN]
    assert at_once == []
    assert [n.change.customer_id for n in later] == [BOB]
    assert set(follower.people.customers) == {ANN, BOB}
    assert book.asked == 2


@pytest.mark.parametrize("fault", [StoreUnavailable, StorageFull])
async def test_during_an_outage_what_was_known_holds_and_then_all_is_heard(
    fault: type[Exception],
) -> None:
    book, clock = Moody(), ManualClock()
    follower = BookFollower(book, clock, service="test")
    await book.write([enrolled(ANN)])
    await follower.catch_up()
    book.fails = fault
    await book.write([enrolled(BOB)])
    clock.advance(1.0)

    assert await follower.catch_up() == []
    assert (set(follower.people.customers), is_up()) == ({ANN}, 0.0)
    book.fails = None
    clock.advance(1.0)
    await follower.catch_up()
    assert (set(follower.people.customers), is_up()) == ({ANN, BOB}, 1.0)


async def test_a_slow_book_is_asked_once_and_holds_nobody_up() -> None:
    book = Moody()
    await book.write([enrolled(ANN)])
    book.answers.clear()
    follower = BookFollower(book, ManualClock(), service="test")

    assert await follower.catch_up() == []
    assert await follower.catch_up() == []
    book.answers.set()
    assert len(await follower.catch_up()) == 1
    assert book.asked == 1


async def test_closing_does_not_wait_for_a_book_that_hangs() -> None:
    book = Moody()
    book.answers.clear()
    follower = BookFollower(book, ManualClock(), service="test")
    await follower.catch_up()

    await follower.close()
    await follower.close()


async def test_a_long_book_is_read_to_its_end() -> None:
    book = MemoryCustomerBook()
    await book.write([enrolled(CustomerId(f"c{i}")) for i in range(2500)])

    assert len((await read_people(book)).customers) == 2500
    follower = BookFollower(book, ManualClock(), service="test")
    while await follower.catch_up():
        pass
    assert len(follower.people.customers) == 2500


async def test_at_a_start_a_long_book_is_read_to_its_end_before_anything_else() -> None:
    book = MemoryCustomerBook()
    await book.write([enrolled(CustomerId(f"c{i}")) for i in range(2500)])
    follower = BookFollower(book, SystemClock(), service="test")

    assert len(await follower.read_up(silence_s=30.0)) == 2500
    assert follower.is_current


async def test_a_book_that_is_silent_at_a_start_is_given_up_and_followed_when_it_speaks() -> None:
    book = Moody()
    await book.write([enrolled(ANN)])
    book.fails = StoreUnavailable
    follower = BookFollower(book, SystemClock(), service="test", every_s=0.0)

    assert await follower.read_up(silence_s=0.01) == []
    assert not follower.is_current
    book.fails = None
    assert len(await follower.catch_up()) == 1
    assert follower.is_current


async def test_nobody_is_counted_before_the_book_was_read_to_its_end() -> None:
    book, clock = Moody(), ManualClock()
    await book.write([enrolled(CustomerId(f"c{i}")) for i in range(1500)])
    book.fails = StoreUnavailable
    async with SqlInsightStore.open("sqlite://") as store:
        acquaintance = StoreAcquaintance(book, store, clock, service="test")
        with pytest.raises(StoreUnavailable):
            await acquaintance.renew()
        book.fails = None
        clock.advance(1.0)
        await acquaintance.renew()
    assert len(acquaintance.people.customers) == 1500
