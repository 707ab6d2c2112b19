"""Following the customer book: every service folds who is whom for itself, through outages too."""

from collections.abc import Sequence

from trinetra.errors import StorageFull, StoreUnavailable
from trinetra.events.customers import NumberedChange, People
from trinetra.ports import Clock, CustomerBook, ExpiringStore, InsightStore
from trinetra.streaming.waiting import Errand, Outage
from trinetra.telemetry import CUSTOMER_BOOK_UP, STATE_REJECTED, get_logger
from trinetra.values import after

_AT_ONCE = 1000
_EXPIRED_AT_ONCE = 1000


async def read_people(book: CustomerBook) -> People:
    """Return who is whom after everything the book says; raises StoreUnavailable."""
    people = People()
    while changes := await book.changes(people.number, _AT_ONCE):
        people.apply(changes)
    return people


class BookFollower:
    """Keeps ``people`` in step with the customer book, about once a second.

    While the book does not answer, what it said last holds. ``is_current``: it was read to its end
    once, so that ``people`` is who is whom, and not who was whom some time ago.
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
        self.is_current = False
        self._clock = clock
        self._service = service
        self._errand = Errand(
            lambda: book.changes(self.people.number, _AT_ONCE), clock, every_s=every_s
        )
        self._outage = Outage(clock, self._tell_outage)

    async def read_up(self, silence_s: float) -> list[NumberedChange]:
        """Fold the book to its end, at a start; return what was new.

        A long book is read for as long as that takes; one that was silent for so long is not waited
        for any more, but followed from when it speaks again: ``is_current`` tells.
        """
        read = await self.catch_up()
        heard_s = self._clock.monotonic()
        while not self.is_current and self._clock.monotonic() - heard_s < silence_s:
            await self._clock.sleep(self._errand.wait_s)
            if changes := await self.catch_up():
                read = read + changes
                heard_s = self._clock.monotonic()
        return read

    async def catch_up(self) -> list[NumberedChange]:
        """Fold what is new, if it is time to look; return it.

        Never raises StoreUnavailable, and never waits long for a book that is slow.
        """
        try:
            changes = await self._errand.answer()
        except (StoreUnavailable, StorageFull) as cause:
            CUSTOMER_BOOK_UP.labels(self._service).set(0)
            self._outage.note(cause)
            return []
        if changes is None:
            return []
        self._outage.end()
        CUSTOMER_BOOK_UP.labels(self._service).set(1)
        self._fold(changes)
        return changes

    async def close(self) -> None:
        """Stop following; may be called more than once."""
        await self._errand.close()

    def _fold(self, changes: Sequence[NumberedChange]) -> None:
        if len(changes) == _AT_ONCE:
            self._errand.hurry()
        else:
            self.is_current = True
        if unknown := sum(change.change == "unknown" for _, change in changes):
            STATE_REJECTED.labels("customer book").inc(unknown)
            get_logger(self._service).warning(
                "changes of a later version", changes=unknown, todo="update this service, restart"
            )
        self.people.apply(changes)

    def _tell_outage(self, cause: Exception) -> None:
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
        """Tell the store what is new in the book; raises StoreUnavailable, then call it again.

        The first time, the whole book is read: who is whom is known before anybody is counted.
        """
        while await self._follower.catch_up() and not self._follower.is_current:
            pass
        if not self._follower.is_current:
            raise StoreUnavailable("the customer book was not yet read")
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
