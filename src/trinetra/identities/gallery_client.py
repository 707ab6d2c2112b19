"""The gallery as the resolver uses it: searched in batches, written behind, spared during outages.

What is enrolled waits in an outbox of the partition it came from until that partition's decisions
are committed, and only then goes into the gallery. A batch that is processed again after a crash
therefore finds the gallery as it was the first time, and no decision rests on an uncommitted one.
"""

from collections.abc import Iterable, Sequence

from trinetra.errors import GalleryUnavailable
from trinetra.events.customers import CustomerDirectory
from trinetra.identities.decision.lifecycle import summaries_of
from trinetra.identities.decision.lookup import LookupBatch, LookupResults
from trinetra.identities.state.partition import drop
from trinetra.ports import Clock, Gallery
from trinetra.streaming.retry import OutageTracker
from trinetra.telemetry import GALLERY_AVAILABILITY, GALLERY_S, get_logger
from trinetra.values import (
    CustomerId,
    Embedding,
    GalleryEntry,
    GalleryMatch,
    IdentityKind,
    Instant,
)

Outbox = dict[str, GalleryEntry]
"""Entries by ``entry_id`` that the gallery does not have yet, or not in this form."""
_SPARE_MATCHES = 6
"""Requested beyond the best, since the outboxes may hold some of them in a newer form."""
log = get_logger("identity-resolver")


class GalleryClient:
    """A gallery that may be unavailable, and the outboxes that wait for it.

    ``recoveries`` is the number of outages that have ended. Every anonymous identity has at least
    ``least_entries`` entries.
    """

    def __init__(
        self,
        gallery: Gallery,
        clock: Clock,
        directory: CustomerDirectory,
        *,
        top_k: int,
        retry_s: float,
        most_waiting: int,
        least_entries: int = 1,
    ) -> None:
        self._gallery = gallery
        self._directory = directory
        self._top_k = top_k
        self._most_waiting = most_waiting
        self._least_entries = least_entries
        self._counted: int | None = None
        self._added: set[CustomerId] = set()
        self._outage = OutageTracker(clock, log, "gallery", retry_s=retry_s)
        self.recoveries = 0
        self._was_reported = False
        self._refuses_entries = False
        self._reported_full = False

    @property
    def may_ask(self) -> bool:
        """Whether the gallery did not fail just now."""
        return self._outage.may_ask

    @property
    def people(self) -> int:
        """At most how many people the gallery has: as counted last, and those stored since."""
        return (self._counted or 0) + len(self._added)

    async def count_people(self) -> None:
        """Count the people in the gallery, from its entries; an outage leaves the last number.

        An enrolled person may have two entries only, a photo and the fused face.
        """
        if not self.may_ask:
            return
        try:
            entries = await self._gallery.count()
        except GalleryUnavailable as cause:
            self.mark_down(cause)
            return
        enrolled = len(self._directory.customers)
        self._counted = -(-(entries + enrolled) // self._least_entries)
        self._added.clear()

    async def probe(self) -> bool:
        """Return whether the gallery answers, as far as is known; during an outage, ask it.

        In a quiet shop no search would ask for hours, and it would be reported as unavailable.
        """
        if self._outage.cause is None or not self.may_ask:
            return self._outage.cause is None
        try:
            await self._gallery.count()
        except GalleryUnavailable as cause:
            self.mark_down(cause)
            return False
        self._mark_up()
        return True

    async def lookup(self, batch: LookupBatch) -> LookupResults | None:
        """Return the gallery's matches for the faces of a batch; None if it is unavailable."""
        probes = batch.probes()
        if not probes:
            return LookupResults({}, {})
        if not self.may_ask:
            return None
        if self._counted is None:
            await self.count_people()
            if self._counted is None:
                return None
        wanted = self._top_k + _SPARE_MATCHES
        try:
            with GALLERY_S.labels("search").time():
                found = await self._gallery.search(list(probes.values()), wanted)
        except GalleryUnavailable as cause:
            self.mark_down(cause)
            return None
        self._mark_up()
        return LookupResults(probes, dict(zip(probes, found, strict=True)))

    async def store(self, outboxes: Sequence[Outbox]) -> list[GalleryEntry]:
        """Move what the outboxes hold into the gallery; return what it accepted.

        Call it once the decisions behind these entries are committed. Faces of customers who have
        opted out or were erased since are dropped. During an outage the entries stay.
        """
        for outbox in outboxes:
            drop(outbox, self._must_not_be_kept)
        entries = {name: entry for outbox in outboxes for name, entry in outbox.items()}
        if not entries:
            self._refuses_entries = self._reported_full = False
            return []
        if not self.may_ask:
            return []
        accepted = list(entries.values())
        try:
            with GALLERY_S.labels("upsert").time():
                await self._gallery.upsert(accepted)
        except GalleryUnavailable as cause:
            self._refuses_entries = True
            self.mark_down(cause)
            return []
        self._refuses_entries = self._reported_full = False
        for outbox in outboxes:
            outbox.clear()
        self._added.update(e.customer_id for e in accepted if e.entry_id == _first_face(e))
        return accepted

    async def delete_expired(self, now: Instant) -> None:
        """Delete entries whose retention has ended."""
        try:
            await self._gallery.delete_expired(now)
        except GalleryUnavailable as cause:
            self.mark_down(cause)

    def has_room(self, outbox: Outbox) -> bool:
        """Return whether another entry may wait in an outbox; a full one is logged once."""
        if len(outbox) < self._most_waiting:
            return True
        if not self._reported_full:
            self._reported_full = True
            log.error("no new identities until the gallery accepts entries", waiting=len(outbox))
        return False

    def is_first_of_outage(self) -> bool:
        """Return True on the first call in an outage: it is to be alerted on once."""
        first, self._was_reported = not self._was_reported, True
        return first

    def mark_down(self, cause: GalleryUnavailable) -> None:
        """Leave the gallery alone for a while: it does not answer."""
        GALLERY_AVAILABILITY.note(False)
        self._outage.note(cause)

    def _mark_up(self) -> None:
        GALLERY_AVAILABILITY.note(True)
        self.recoveries += self._outage.cause is not None
        self._outage.end()
        # A gallery that answers searches but fails writes is still down: otherwise every search
        # would end an outage that the next write begins again, with an alert each time.
        self._was_reported = self._was_reported and self._refuses_entries

    def _must_not_be_kept(self, customer_id: CustomerId) -> bool:
        is_out = self._directory.kind_of(customer_id) is IdentityKind.OPTED_OUT
        return is_out or self._directory.is_erased(customer_id)


def _first_face(entry: GalleryEntry) -> str:
    return summaries_of(entry.customer_id)[0]


def waiting_matches(face: Embedding, outboxes: Iterable[Outbox]) -> list[GalleryMatch]:
    """Return the similarity of a face to every entry that waits in an outbox."""
    return [
        GalleryMatch(entry.entry_id, entry.customer_id, entry.kind, float(face @ entry.embedding))
        for outbox in outboxes
        for entry in outbox.values()
    ]
