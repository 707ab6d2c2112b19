"""Following the customer book: every service folds who is whom for itself, through outages too."""

from collections.abc import Sequence

from trinetra.errors import StorageFull, StoreUnavailable
from trinetra.events.customers import CustomerDirectory, NumberedChange
from trinetra.ports import Clock, CustomerLog, ExpiringStore, InsightStore
from trinetra.streaming.background import Poller
from trinetra.streaming.retry import OutageTracker
from trinetra.telemetry import CUSTOMER_LOG_UP, STATE_REJECTED, get_logger
from trinetra.values import after

_AT_ONCE = 1000
_EXPIRED_AT_ONCE = 1000


async def read_people(customer_log: CustomerLog) -> CustomerDirectory:
    """Return who is whom after everything the book says; raises StoreUnavailable."""
    people = CustomerDirectory()
    while changes := await customer_log.changes(people.number, _AT_ONCE):
        people.apply(changes)
    return people


class CustomerFeed:
    """Keeps ``people`` in step with the customer book, about once a second.

    While the book does not answer, what it said last holds. ``is_current``: it was read to its end
    once, so that ``people`` is who is whom, and not who was whom some time ago.
    """

    def __init__(
        self,
        customer_log: CustomerLog,
        clock: Clock,
        *,
        service: str,
        people: CustomerDirectory | None = None,
        every_s: float = 1.0,
    ) -> None:
        """Follow ``book`` into ``people``; ``service`` is who, for metrics and logs."""
        self.people = people if people is not None else CustomerDirectory()
        self.is_current = False
        self._clock = clock
        self._service = service
        self._poller = Poller(
            lambda: customer_log.changes(self.people.number, _AT_ONCE), clock, every_s=every_s
        )
        self._outage = OutageTracker(clock, get_logger(service), "customer log")

    async def read_up(self, silence_s: float) -> list[NumberedChange]:
        """Fold the book to its end, at a start; return what was new.

        A long book is read for as long as that takes; one that was silent for so long is not waited
        for any more, but followed from when it speaks again: ``is_current`` tells.
        """
        read = await self.catch_up()
        heard_s = self._clock.monotonic()
        while not self.is_current and self._clock.monotonic() - heard_s < silence_s:
            await self._clock.sleep(self._poller.wait_s)
            if changes := await self.catch_up():
                read = read + changes
                heard_s = self._clock.monotonic()
        return read

    async def catch_up(self) -> list[NumberedChange]:
        """Fold what is new, if it is time to look; return it.

        Never raises StoreUnavailable, and never waits long for a book that is slow.
        """
        try:
            changes = await self._poller.answer()
        except (StoreUnavailable, StorageFull) as cause:
            CUSTOMER_LOG_UP.labels(self._service).set(0)
            self._outage.note(cause)
            return []
        if changes is None:
            return []
        self._outage.end()
        CUSTOMER_LOG_UP.labels(self._service).set(1)
        self._fold(changes)
        return changes

    async def close(self) -> None:
        """Stop following; may be called more than once."""
        await self._poller.close()

    def _fold(self, changes: Sequence[NumberedChange]) -> None:
        if len(changes) == _AT_ONCE:
            self._poller.hurry()
        else:
            self.is_current = True
        if unknown := sum(change.change == "unknown" for _, change in changes):
            STATE_REJECTED.labels("customer book").inc(unknown)
            get_logger(self._service).warning(
                "changes of a later version", changes=unknown, todo="update this service, restart"
            )
        self.people.apply(changes)


class StoreCustomerSync:
    """Lets the insight store know who is whom, in step with the customer book."""

    def __init__(
        self, customer_log: CustomerLog, store: InsightStore, clock: Clock, *, service: str
    ) -> None:
        self._reader = CustomerFeed(customer_log, clock, service=service)
        self._store = store
        self._told_to = 0

    @property
    def directory(self) -> CustomerDirectory:
        """The customer log's state as last read."""
        return self._reader.people

    async def tend(self) -> None:
        """Pass on to the store what is new in the customer log. Raises StoreUnavailable.

        The first time, the whole log is read: merges are known before a visit is counted.
        """
        while await self._reader.catch_up() and not self._reader.is_current:
            pass
        if not self._reader.is_current:
            raise StoreUnavailable("the customer book was not yet read")
        people = self._reader.people
        if people.number > self._told_to:
            await self._store.know(people)
            self._told_to = people.number

    async def close(self) -> None:
        """Stop following; may be called more than once."""
        await self._reader.close()


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

    async def tend(self) -> None:
        """Delete some of what is too old, if it is time. Raises StoreUnavailable."""
        if self._clock.monotonic() < self._due_s:
            return
        before = after(self._clock.now(), -self._keeps_s)
        gone = await self._store.expire(before, _EXPIRED_AT_ONCE)
        if gone < _EXPIRED_AT_ONCE:
            self._due_s = self._clock.monotonic() + self._every_s
        if gone:
            get_logger("retention").info("insights deleted", number=gone, before=str(before))

    async def close(self) -> None:
        """Do nothing: nothing is held."""
