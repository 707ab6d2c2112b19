"""The resolver's tie to the customer book: whom the shop knows, and who is whom.

What is new in the book is folded for the recogniser; the faces of enrolled people go into the
gallery; and the changes are told on as events. Each step waits for its server on its own, and each
may be done twice: faces have fixed ids, and so have events. An event may therefore come again after
a crash, or when another resolver takes over. Names never leave the book.
"""

from collections.abc import Mapping, Sequence

from trinetra.errors import EventLogUnavailable, GalleryUnavailable, StoreUnavailable
from trinetra.events.codec import encode
from trinetra.events.customers import CustomerChange, NumberedChange
from trinetra.events.topics import CUSTOMERS, DETECTIONS
from trinetra.following import BookFollower
from trinetra.identities.acquaintance import event_of, resembling
from trinetra.identities.lifecycle import is_summary
from trinetra.identities.partition import PartitionState
from trinetra.identities.recognition import Recogniser
from trinetra.ports import CustomerBook, EventLog, Record, TopicPartition
from trinetra.telemetry import get_logger
from trinetra.values import GalleryEntry, IdentityKind

READER = "announcer"
_ANNOUNCER: TopicPartition = (DETECTIONS.name, 0)
"""Whoever owns this partition tells the changes on: one resolver at a time, and always one."""
_AT_ONCE = 500
_FACES_AT_ONCE = 64
_RETRY_S = 2.0
log = get_logger("identity-resolver")


class Directory:
    """A companion of the resolver that keeps it acquainted with the customer book."""

    def __init__(
        self,
        recogniser: Recogniser,
        book: CustomerBook,
        event_log: EventLog,
        *,
        every_s: float = 1.0,
    ) -> None:
        self._recogniser = recogniser
        self._book = book
        self._log = event_log
        self._follower = BookFollower(
            book,
            recogniser.clock,
            service="identity-resolver",
            people=recogniser.people,
            every_s=every_s,
        )
        self._untaught: list[GalleryEntry] | None = None
        self._taught: set[str] = set()
        self._told_to: int | None = None
        self._retry_at_s = 0.0

    async def tend(self, held: Mapping[TopicPartition, PartitionState]) -> None:
        """Fold what is new in the book, teach the gallery faces, and tell changes on."""
        changes = await self._follower.catch_up()
        for _, change in changes:
            self._note(change)
        if _ANNOUNCER not in held:
            self._told_to = None
        if self._recogniser.clock.monotonic() < self._retry_at_s:
            return
        try:
            await self._withdraw()
            await self._teach()
            if _ANNOUNCER in held:
                await self._tell()
        except (StoreUnavailable, GalleryUnavailable, EventLogUnavailable) as cause:
            self._retry_at_s = self._recogniser.clock.monotonic() + _RETRY_S
            log.info("the customer book has to wait", cause=str(cause))

    async def close(self) -> None:
        """Delete what must not stay, if the gallery answers, and stop following the book."""
        try:
            await self._withdraw()
        except GalleryUnavailable as cause:
            log.warning("faces of people who opted out stay for now", cause=str(cause))
        await self._follower.close()

    def _note(self, change: CustomerChange) -> None:
        """Have the book's faces looked through again when some are new, or are treated anew."""
        if change.change in {"enrolled", "erased"}:
            self._untaught = None
        elif change.kind is IdentityKind.OPTED_OUT:
            self._untaught, self._taught = None, set()

    async def _withdraw(self) -> None:
        """Delete the faces of people of whom it turned out too late that they opted out."""
        for customer_id in list(self._recogniser.withdrawn):
            if not self._recogniser.faces.may_ask:
                return
            await self._recogniser.gallery.delete(customer_id)
            self._recogniser.withdrawn.discard(customer_id)

    async def _teach(self) -> None:
        """Put enrolled faces into the gallery that it has not been given by this process."""
        if self._untaught is None:
            if not self._recogniser.faces.may_ask:
                return
            entries = await self._new_faces()
            await self._clear_opted_out(entries)
            self._untaught = entries
        while self._untaught:
            if not self._recogniser.faces.may_ask:
                return
            batch = self._untaught[:_FACES_AT_ONCE]
            await self._recogniser.gallery.upsert(batch)
            self._recogniser.faces.fresh.extend(entry for entry in batch if is_summary(entry))
            self._taught |= {entry.entry_id for entry in batch}
            self._untaught = self._untaught[_FACES_AT_ONCE:]

    async def _new_faces(self) -> list[GalleryEntry]:
        people, now = self._recogniser.people, self._recogniser.clock.now()
        entries = await self._book.templates(self._recogniser.model)
        lacking = len(people.customers.keys() - {entry.customer_id for entry in entries})
        if lacking:
            log.warning(
                "people without faces of this model",
                people=lacking,
                model=self._recogniser.model,
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
        recogniser = self._recogniser
        people = recogniser.people
        out = [e for e in entries if people.kind_of(e.customer_id) is IdentityKind.OPTED_OUT]
        if not out:
            return
        probes = [entry.embedding for entry in out]
        found = await recogniser.gallery.search(probes, recogniser.policy.top_k)
        seen = resembling(found, people, recogniser.policy.matching)
        for customer_id in seen.union(*(people.members(entry.customer_id) for entry in out)):
            await recogniser.gallery.delete(customer_id)
            recogniser.registry.forget(customer_id)

    async def _tell(self) -> None:
        """Publish changes that nobody has told on yet; events first, so that none is missed."""
        if self._told_to is None:
            self._told_to = await self._book.reached(READER)
        if self._recogniser.people.number <= self._told_to:
            return
        changes = await self._book.changes(self._told_to, _AT_ONCE)
        known = [change for change in changes if change.number <= self._recogniser.people.number]
        if not known:
            return
        await self._log.append([record for change in known for record in self._records(change)])
        self._told_to = await self._book.reached(READER, known[-1].number)

    def _records(self, numbered: NumberedChange) -> list[Record]:
        event = event_of(numbered.change, self._recogniser.people, self._recogniser.site_id)
        return [Record(CUSTOMERS, event.customer_id, encode(event))] if event else []
