"""The resolver's tie to the customer book: whom the shop knows, and who is whom.

What is new in the book is folded for the face_identifier; the faces of enrolled people go into the
gallery; and the changes are told on as events. Each step waits for its server on its own, and each
may be done twice: faces have fixed ids, and so have events. An event may therefore come again after
a crash, or when another resolver takes over. Names never leave the book.
"""

from collections.abc import Sequence

from trinetra.customers.customer_feed import CustomerFeed
from trinetra.errors import EventLogUnavailable, GalleryUnavailable, StorageFull, StoreUnavailable
from trinetra.events.codec import encode
from trinetra.events.customers import CustomerChange, NumberedChange
from trinetra.events.topics import CUSTOMERS, DETECTIONS
from trinetra.identities.context import ResolverContext
from trinetra.identities.decision.canonical_ids import event_of, resembling
from trinetra.identities.state.partition import drop
from trinetra.ports import CustomerLog, EventLog, Record, TopicPartition
from trinetra.streaming.background import TaskSlot
from trinetra.streaming.retry import OutageTracker
from trinetra.telemetry import get_logger
from trinetra.values import GalleryEntry, IdentityKind

READER = "announcer"
_ANNOUNCER: TopicPartition = (DETECTIONS.name, 0)
"""Whoever owns this partition tells the changes on: one resolver at a time, and always one."""
_AT_ONCE = 500
_FACES_AT_ONCE = 64
_RETRY_S = 2.0
_PATIENCE_S = 0.25
"""How long a batch waits for faces and events that are on their way to their servers."""
log = get_logger("identity-resolver")


class CustomerSync:
    """A companion of the resolver that keeps it acquainted with the customer book."""

    def __init__(
        self,
        context: ResolverContext,
        customer_log: CustomerLog,
        event_log: EventLog,
        *,
        every_s: float = 1.0,
        silence_s: float = 30.0,
    ) -> None:
        """Know nobody yet; at its start it waits ``silence_s`` for a book that does not answer."""
        self._context = context
        self._customer_log = customer_log
        self._log = event_log
        self._reader = CustomerFeed(
            customer_log,
            context.clock,
            service="identity-resolver",
            people=context.directory,
            every_s=every_s,
        )
        self._untaught: list[GalleryEntry] | None = None
        self._taught: set[str] = set()
        self._told_to: int | None = None
        self._silence_s: float | None = silence_s
        self._work = TaskSlot()
        self._outage = OutageTracker(
            context.clock, log, "gallery, event log or customer log", retry_s=_RETRY_S
        )

    async def tend(self) -> None:
        """Fold what is new in the book, teach the gallery faces, and tell changes on."""
        for _, change in await self._read():
            self._note(change)
        self._drop_waiting()
        if self._work.is_busy:
            return
        if _ANNOUNCER not in self._context.partitions:
            self._told_to = None
        if self._outage.may_ask:
            self._work.begin(self._act(tells=_ANNOUNCER in self._context.partitions))
            await self._work.wait(_PATIENCE_S)

    async def close(self) -> None:
        """Delete what must not stay, if the gallery answers, and stop following the book."""
        await self._work.finish()
        try:
            await self._withdraw()
        except GalleryUnavailable as cause:
            log.warning("faces of people who opted out stay for now", cause=str(cause))
        await self._reader.close()

    async def _read(self) -> list[NumberedChange]:
        """Return what is new in the book; the first time, nothing is decided before its end."""
        if self._silence_s is None:
            return await self._reader.catch_up()
        read = await self._reader.read_up(self._silence_s)
        self._silence_s = None
        if not self._reader.is_current:
            log.error("goes on without the customer book: people are of the kinds of the gallery")
        return read

    async def _act(self, *, tells: bool) -> None:
        """Do what the book says; what fails is for a later time."""
        try:
            await self._withdraw()
            await self._teach()
            if tells:
                await self._tell()
            self._outage.end()
        except (StoreUnavailable, GalleryUnavailable, EventLogUnavailable, StorageFull) as cause:
            self._outage.note(cause)

    def _note(self, change: CustomerChange) -> None:
        """Have the book's faces looked through again when some are new, or are treated anew."""
        if change.change in {"enrolled", "erased"}:
            self._untaught = None
        elif change.kind is IdentityKind.OPTED_OUT:
            self._untaught, self._taught = None, set()

    def _drop_waiting(self) -> None:
        """Drop faces of those who are not to be kept before the gallery gets them after all."""
        withdrawn = self._context.withdrawn
        for state in self._context.partitions.values() if withdrawn else ():
            drop(state.outbox, withdrawn.__contains__)

    async def _withdraw(self) -> None:
        """Delete the faces of people of whom it turned out too late that they must not stay."""
        for customer_id in list(self._context.withdrawn):
            if not self._context.gallery_client.may_ask:
                return
            await self._context.gallery.delete(customer_id)
            self._context.withdrawn.discard(customer_id)

    async def _teach(self) -> None:
        """Put enrolled faces into the gallery that it has not been given by this process."""
        if self._untaught is None:
            if not self._context.gallery_client.may_ask:
                return
            entries = await self._new_faces()
            await self._clear_opted_out(entries)
            self._untaught = entries
        while self._untaught:
            if not self._context.gallery_client.may_ask:
                return
            batch = self._untaught[:_FACES_AT_ONCE]
            await self._context.gallery.upsert(batch)
            self._context.merge_queue.offer_stored(batch)
            self._taught |= {entry.entry_id for entry in batch}
            self._untaught = self._untaught[_FACES_AT_ONCE:]

    async def _new_faces(self) -> list[GalleryEntry]:
        people, now = self._context.directory, self._context.clock.now()
        entries = await self._customer_log.templates(self._context.model)
        lacking = len(people.customers.keys() - {entry.customer_id for entry in entries})
        if lacking:
            log.warning(
                "people without faces of this model",
                people=lacking,
                model=self._context.model,
                todo="see `trinetra customers list` and enroll them again",
            )
        return [
            entry
            for entry in entries
            if entry.entry_id not in self._taught
            and not people.is_erased(entry.customer_id)
            and (entry.expires_at is None or entry.expires_at > now)
        ]

    async def _clear_opted_out(self, entries: Sequence[GalleryEntry]) -> None:
        """Delete what cameras have shown of people before they opted out, before they are taught.

        That is every face under an id of theirs, and of anonymous identities with the same face.
        """
        context = self._context
        people = context.directory
        out = [e for e in entries if people.kind_of(e.customer_id) is IdentityKind.OPTED_OUT]
        if not out:
            return
        probes = [entry.embedding for entry in out]
        found = await context.gallery.search(probes, context.policy.top_k)
        seen = resembling(found, people, context.policy.matching)
        for customer_id in seen.union(*(people.members(entry.customer_id) for entry in out)):
            await context.gallery.delete(customer_id)
            # At once, and not with the others later: without these faces the person is enrolled.
            if taught := [entry for entry in out if entry.customer_id == customer_id]:
                await context.gallery.upsert(taught)
            context.registry.forget(customer_id)

    async def _tell(self) -> None:
        """Publish changes that nobody has told on yet; events first, so that none is missed."""
        if self._told_to is None:
            self._told_to = await self._customer_log.reached(READER)
        if self._context.directory.number <= self._told_to:
            return
        changes = await self._customer_log.changes(self._told_to, _AT_ONCE)
        known = [change for change in changes if change.number <= self._context.directory.number]
        if not known:
            return
        await self._log.append([record for change in known for record in self._records(change)])
        self._told_to = await self._customer_log.reached(READER, known[-1].number)

    def _records(self, numbered: NumberedChange) -> list[Record]:
        event = event_of(numbered.change, self._context.directory, self._context.site_id)
        return [Record(CUSTOMERS, event.customer_id, encode(event))] if event else []
