"""Synchronizes a resolver with the customer log: directory, gallery and lifecycle events.

New changes are applied to the directory, the faces of enrolled customers are stored in the gallery,
and the changes are published as events. Each step waits for its own server, and each is idempotent:
faces and events have deterministic ids. An event may therefore be published again after a crash, or
when another resolver takes over. Names never leave the customer log.
"""

from trinetra.customers.customer_feed import CustomerFeed
from trinetra.errors import EventLogUnavailable, GalleryUnavailable, StorageFull, StoreUnavailable
from trinetra.events.codec import encode
from trinetra.events.customers import NumberedChange
from trinetra.events.topics import CUSTOMERS, DETECTIONS
from trinetra.identities.context import ResolverContext
from trinetra.identities.decision.canonical_ids import event_of
from trinetra.identities.enrolled_faces import EnrolledFaces
from trinetra.identities.state.partition import drop
from trinetra.ports import CustomerLog, EventLog, Record, TopicPartition
from trinetra.streaming.background import TaskSlot
from trinetra.streaming.retry import OutageTracker
from trinetra.telemetry import get_logger

READER = "announcer"
_PUBLISHER_PARTITION: TopicPartition = (DETECTIONS.name, 0)
"""The owner of this partition publishes the changes: exactly one resolver at any time."""
_AT_ONCE = 500
_RETRY_S = 2.0
_PATIENCE_S = 0.25
"""Longest time that a batch waits for faces and events being written to their servers."""
log = get_logger("identity-resolver")


class CustomerSync:
    """Background task of the resolver that follows the customer log."""

    def __init__(
        self,
        context: ResolverContext,
        customer_log: CustomerLog,
        event_log: EventLog,
        *,
        every_s: float = 1.0,
        silence_s: float = 30.0,
        count_every_s: float = 10.0,
    ) -> None:
        """Start with an empty directory; wait ``silence_s`` at most for a log that is silent.

        The gallery's entries are counted every ``count_every_s``, to notice that it was remade.
        """
        self._context = context
        self._customer_log = customer_log
        self._log = event_log
        self._reader = CustomerFeed(
            customer_log,
            context.clock,
            service="identity-resolver",
            directory=context.directory,
            every_s=every_s,
        )
        self._faces = EnrolledFaces(context, customer_log, count_every_s=count_every_s)
        self._published_to: int | None = None
        self._silence_s: float | None = silence_s
        self._work = TaskSlot()
        self._outage = OutageTracker(
            context.clock, log, "gallery, event log or customer log", retry_s=_RETRY_S
        )

    async def tend(self) -> None:
        """Apply new changes, store enrolled faces in the gallery, and publish the changes."""
        for _, change in await self._read():
            self._faces.note(change)
        self._drop_waiting()
        if self._work.is_busy:
            return
        if _PUBLISHER_PARTITION not in self._context.partitions:
            self._published_to = None
        if self._outage.may_ask:
            self._work.begin(self._act(publishes=_PUBLISHER_PARTITION in self._context.partitions))
            await self._work.wait(_PATIENCE_S)

    async def close(self) -> None:
        """Delete withdrawn faces, if the gallery answers, and stop following the log."""
        await self._work.finish()
        try:
            await self._withdraw()
        except GalleryUnavailable as cause:
            log.warning("withdrawn faces remain in the gallery for now", cause=str(cause))
        await self._reader.close()

    async def _read(self) -> list[NumberedChange]:
        """Return new changes; the first call reads to the end, before anything is decided."""
        if self._silence_s is None:
            return await self._reader.catch_up()
        read = await self._reader.read_up(self._silence_s)
        self._silence_s = None
        if not self._reader.is_current:
            log.error("continuing without the customer log: kinds are taken from the gallery")
        return read

    async def _act(self, *, publishes: bool) -> None:
        """Carry out the changes; what fails is retried later.

        Withdrawals come first: an opted-out or erased person must not wait behind new faces.
        """
        steps = [self._withdraw, self._faces.reconcile, *([self._publish] if publishes else [])]
        is_down = False
        for step in steps:  # each, since the gallery must not hold up what needs only the log
            try:
                await step()
            except (
                StoreUnavailable,
                GalleryUnavailable,
                EventLogUnavailable,
                StorageFull,
            ) as cause:
                self._outage.note(cause)
                is_down = True
        if not is_down:
            self._outage.end()

    def _drop_waiting(self) -> None:
        """Drop withdrawn faces from the outboxes, before they reach the gallery after all."""
        withdrawn = self._context.withdrawn
        for state in self._context.partitions.values() if withdrawn else ():
            drop(state.outbox, withdrawn.__contains__)

    async def _withdraw(self) -> None:
        """Delete faces that were stored before an opt-out or erasure was known here."""
        for customer_id in list(self._context.withdrawn):
            if not self._context.gallery_client.may_ask:
                return
            await self._context.gallery.delete(customer_id)
            self._context.withdrawn.discard(customer_id)

    async def _publish(self) -> None:
        """Publish the changes that are not published yet.

        Events are appended before the position is stored: a crash in between repeats events, which
        have the same ids, but loses none.
        """
        if self._published_to is None:
            self._published_to = await self._customer_log.reached(READER)
        if self._context.directory.number <= self._published_to:
            return
        changes = await self._customer_log.changes(self._published_to, _AT_ONCE)
        known = [change for change in changes if change.number <= self._context.directory.number]
        if not known:
            return
        await self._log.append([record for change in known for record in self._records(change)])
        self._published_to = await self._customer_log.reached(READER, known[-1].number)

    def _records(self, numbered: NumberedChange) -> list[Record]:
        event = event_of(numbered.change, self._context.directory, self._context.site_id)
        return [Record(CUSTOMERS, event.customer_id, encode(event))] if event else []
