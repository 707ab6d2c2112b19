"""Following the customer book: every service folds who is whom for itself, through outages too."""

import asyncio

from trinetra.errors import StoreUnavailable
from trinetra.events.customers import NumberedChange, People
from trinetra.ports import Clock, CustomerBook, ExpiringStore, InsightStore
from trinetra.telemetry import CUSTOMER_BOOK_UP, get_logger
from trinetra.values import after

_AT_ONCE = 1000
_EXPIRED_AT_ONCE = 1000
_PATIENCE_S = 0.25
"""How long a caller waits for the book; a slow answer is taken by one of the next calls."""


async def read_people(book: CustomerBook) -> People:
    """Return who is whom after everything the book says; raises StoreUnavailable."""
    people = People()
    while changes := await book.changes(people.number, _AT_ONCE):
        people.apply(changes)
    return people


class BookFollower:
    """Keeps ``people`` in step with the customer book, about once a second.

    While the book does not answer, what it said last holds.
    """

    def __init__(
        self,
        book: CustomerBook,
        clock: Clock,
        *,
        service: str,
        people: People | None = None,
        every_s: float = 1.0,
    ) -> None:
        """Follow ``book`` into ``people``; ``service`` is who, for metrics and logs."""
        self.people = people if people is not None else People()
        self._book = book
        self._clock = clock
        self._service = service
        self._every_s = every_s
        self._due_s = clock.monotonic()
        self._reading: asyncio.Future[list[NumberedChange]] | None = None
        self._is_away = False

    async def catch_up(self) -> list[NumberedChange]:
        """Fold what is new, if it is time to look; return it.

        Never raises StoreUnavailable, and never waits long for a book that is slow.
        """
        if self._reading is None:
            if self._clock.monotonic() < self._due_s:
                return []
            asking = self._book.changes(self.people.number, _AT_ONCE)
            self._reading = asyncio.ensure_future(asking)
        done, _ = await asyncio.wait({self._reading}, timeout=_PATIENCE_S)
        return self._take(done.pop()) if done else []

    async def close(self) -> None:
        """Stop following; may be called more than once."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
            self._reading = None

    def _take(self, answer: asyncio.Future[list[NumberedChange]]) -> list[NumberedChange]:
        self._reading = None
        self._due_s = self._clock.monotonic() + self._every_s
        try:
            changes = answer.result()
        except StoreUnavailable as cause:
            self._note_outage(cause)
            return []
        self._is_away = False
        CUSTOMER_BOOK_UP.labels(self._service).set(1)
        if len(changes) == _AT_ONCE:
            self._due_s = self._clock.monotonic()
        self.people.apply(changes)
        return changes

    def _note_outage(self, cause: StoreUnavailable) -> None:
        CUSTOMER_BOOK_UP.labels(self._service).set(0)
        if not self._is_away:  # once per outage
            self._is_away = True
            get_logger(self._service).warning("customer book unavailable", cause=str(cause))


class StoreAcquaintance:
    """Lets the insight store know who is whom, in step with the customer book."""

    def __init__(
        self, book: CustomerBook, store: InsightStore, clock: Clock, *, service: str
    ) -> None:
        self._follower = BookFollower(book, clock, service=service)
        self._store = store
        self._told_to = 0

    @property
    def people(self) -> People:
        """Who is whom, as last read."""
        return self._follower.people

    async def renew(self) -> None:
        """Tell the store what is new in the book; raises StoreUnavailable, then call it again."""
        await self._follower.catch_up()
        people = self._follower.people
        if people.number > self._told_to:
            await self._store.know(people)
            self._told_to = people.number

    async def close(self) -> None:
        """Stop following; may be called more than once."""
        await self._follower.close()


class StoreRetention:
    """Lets the insight store forget what is older than ``keeps_s``, a part of it at once."""

    def __init__(
        self, store: ExpiringStore, clock: Clock, keeps_s: float, *, every_s: float = 600.0
    ) -> None:
        self._store = store
        self._clock = clock
        self._keeps_s = keeps_s
        self._every_s = every_s
        self._due_s = clock.monotonic()

    async def renew(self) -> None:
        """Delete some of what is too old, if it is time; raises StoreUnavailable."""
        if self._clock.monotonic() < self._due_s:
            return
        before = after(self._clock.now(), -self._keeps_s)
        gone = await self._store.expire(before, _EXPIRED_AT_ONCE)
        if gone < _EXPIRED_AT_ONCE:
            self._due_s = self._clock.monotonic() + self._every_s
        if gone:
            get_logger("retention").info("insights deleted", number=gone, before=str(before))
