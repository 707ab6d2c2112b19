"""Follows the customer log: every service keeps its own directory, also during outages."""

from collections.abc import Sequence

from trinetra.errors import StorageFull, StoreUnavailable
from trinetra.events.customers import CustomerDirectory, NumberedChange
from trinetra.ports import Clock, CustomerLog, InsightStore
from trinetra.streaming.background import Poller
from trinetra.streaming.retry import OutageTracker
from trinetra.telemetry import CUSTOMER_LOG_AVAILABILITY, STATE_REJECTED, get_logger
from trinetra.values import CustomerId

_AT_ONCE = 1000


async def read_people(customer_log: CustomerLog) -> CustomerDirectory:
    """Return the directory after all changes in the customer log; raises StoreUnavailable."""
    directory = CustomerDirectory()
    while changes := await customer_log.changes(directory.number, _AT_ONCE):
        directory.apply(changes)
    return directory


class CustomerFeed:
    """Keeps ``directory`` up to date with the customer log, about once a second.

    While the log does not answer, the directory keeps its last state. ``is_current`` is set once
    the log has been read to its end: before that, the directory may describe an earlier state.
    """

    def __init__(
        self,
        customer_log: CustomerLog,
        clock: Clock,
        *,
        service: str,
        directory: CustomerDirectory | None = None,
        every_s: float = 1.0,
    ) -> None:
        """Follow ``customer_log`` into ``directory``; ``service`` labels metrics and logs."""
        self.directory = directory if directory is not None else CustomerDirectory()
        self.is_current = False
        self._clock = clock
        self._service = service
        self._poller = Poller(
            lambda: customer_log.changes(self.directory.number, _AT_ONCE), clock, every_s=every_s
        )
        self._outage = OutageTracker(clock, get_logger(service), "customer log")

    async def read_up(self, silence_s: float) -> list[NumberedChange]:
        """Read the log to its end, for a service that starts; return the new changes.

        A long log is read for as long as that takes. After ``silence_s`` without an answer the
        call returns with ``is_current`` unset, and later calls of ``catch_up`` go on from there.
        """
        read = await self.catch_up()
        answered_s = self._clock.monotonic()
        while not self.is_current and self._clock.monotonic() - answered_s < silence_s:
            await self._clock.sleep(self._poller.wait_s)
            if changes := await self.catch_up():
                read = read + changes
                answered_s = self._clock.monotonic()
        return read

    async def catch_up(self) -> list[NumberedChange]:
        """Apply and return the new changes, if a poll is due.

        Never raises StoreUnavailable, and never waits long for a slow log.
        """
        try:
            changes = await self._poller.answer()
        except (StoreUnavailable, StorageFull) as cause:
            CUSTOMER_LOG_AVAILABILITY.note(False, self._service)
            self._outage.note(cause)
            return []
        if changes is None:
            return []
        self._outage.end()
        CUSTOMER_LOG_AVAILABILITY.note(True, self._service)
        self._fold(changes)
        return changes

    async def close(self) -> None:
        """Stop following; may be called more than once."""
        await self._poller.close()
        CUSTOMER_LOG_AVAILABILITY.forget(self._service)

    def _fold(self, changes: Sequence[NumberedChange]) -> None:
        # A full page means that more is waiting: only a short one shows the end of the log.
        if len(changes) == _AT_ONCE:
            self._poller.hurry()
        else:
            self.is_current = True
        # A newer release may write kinds of change that this one cannot apply. They are counted
        # and skipped: stopping would hold up every later change during a rolling update.
        if unknown := sum(change.change == "unknown" for _, change in changes):
            STATE_REJECTED.labels("customer log").inc(unknown)
            get_logger(self._service).warning(
                "changes written by a later version were skipped",
                changes=unknown,
                todo="update this service and restart it",
            )
        self.directory.apply(changes)


class StoreCustomerSync:
    """Copies the customer directory from the customer log into the insight store."""

    def __init__(
        self, customer_log: CustomerLog, store: InsightStore, clock: Clock, *, service: str
    ) -> None:
        self._reader = CustomerFeed(customer_log, clock, service=service)
        self._store = store
        self._stored_to = 0
        self._named: set[CustomerId] | None = None  # by changes since; None: all must be compared

    @property
    def directory(self) -> CustomerDirectory:
        """The customer log's state as last read."""
        return self._reader.directory

    async def tend(self) -> None:
        """Write the directory to the store if the customer log has changed.

        The first call reads the whole log, so that merges are known before a visit is counted.
        Raises StoreUnavailable.
        """
        while changes := await self._reader.catch_up():
            self._note(changes)
            if self._reader.is_current:
                break
        if not self._reader.is_current:
            raise StoreUnavailable("the customer log has not been read yet")
        directory = self._reader.directory
        if directory.number > self._stored_to:
            await self._store.know(directory, self._named)
            self._stored_to, self._named = directory.number, set()

    def _note(self, changes: Sequence[NumberedChange]) -> None:
        """Note the ids of these changes, so that the store compares no others."""
        if any(change.change == "erased" for _, change in changes):
            self._named = None  # the ids of an erased person are known by their digests alone
        if self._named is not None:
            named = ((change.customer_id, change.other) for _, change in changes)
            self._named |= {each for pair in named for each in pair if each}

    async def close(self) -> None:
        """Stop following; may be called more than once."""
        await self._reader.close()
