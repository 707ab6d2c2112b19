"""The gallery as the resolver uses it: asked in batches, written behind, left alone when down.

What is enrolled waits in an outbox of the partition it came from until that partition's decisions
are committed, and only then goes into the gallery. So a batch that is done again after a crash
finds the gallery as it was the first time, and no decision is ever founded on one that nobody saw.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trinetra.errors import GalleryUnavailable
from trinetra.events.customers import People
from trinetra.identities.decision.lifecycle import is_summary
from trinetra.identities.decision.lookup import LookupBatch, LookupResults
from trinetra.identities.state.partition import drop
from trinetra.ports import Clock, Gallery, TopicPartition
from trinetra.telemetry import GALLERY_S, GALLERY_UP, get_logger
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
MOST_FRESH = 10_000
_SPARE_MATCHES = 6
"""Asked for beyond the best, since the outboxes may hold some of them in a newer form."""
log = get_logger("identity-resolver")


@dataclass(slots=True)
class GalleryClient:
    """A gallery that may be away; ``fresh`` are the fused faces it took lately, to be looked up."""

    gallery: Gallery
    clock: Clock
    people: People
    top_k: int
    retry_s: float
    most_waiting: int
    fresh: deque[GalleryEntry] = field(default_factory=lambda: deque(maxlen=MOST_FRESH))
    _down_until_s: float = 0.0
    _was_down: bool = False
    _refuses_entries: bool = False
    _told_full: bool = False

    @property
    def may_ask(self) -> bool:
        """Whether the gallery has not failed just now."""
        return self.clock.monotonic() >= self._down_until_s

    async def ask(self, lookup: LookupBatch) -> LookupResults | None:
        """Return what the gallery knows of the faces, or None when it does not answer."""
        probes = lookup.probes()
        if not probes:
            return LookupResults({}, {})
        if not self.may_ask:
            return None
        try:
            with GALLERY_S.labels("search").time():
                found = await self.gallery.search(
                    list(probes.values()), self.top_k + _SPARE_MATCHES
                )
        except GalleryUnavailable as cause:
            self.mark_down(cause)
            return None
        self._mark_up()
        return LookupResults(probes, dict(zip(probes, found, strict=True)))

    async def store(self, outboxes: Sequence[Outbox]) -> bool:
        """Put what the outboxes hold into the gallery and empty them; return whether that worked.

        Call it once what led to these entries is committed. Faces of who opted out or was erased
        since are dropped.
        """
        for outbox in outboxes:
            drop(outbox, self._is_gone)
        entries = {name: entry for outbox in outboxes for name, entry in outbox.items()}
        if not entries:
            self._refuses_entries = self._told_full = False
            return True
        if not self.may_ask:
            return False
        try:
            with GALLERY_S.labels("upsert").time():
                await self.gallery.upsert(list(entries.values()))
        except GalleryUnavailable as cause:
            self._refuses_entries = True
            self.mark_down(cause)
            return False
        self._refuses_entries = self._told_full = False
        self.fresh.extend(entry for entry in entries.values() if is_summary(entry))
        for outbox in outboxes:
            outbox.clear()
        return True

    def _is_gone(self, customer_id: CustomerId) -> bool:
        people = self.people
        is_out = people.kind_of(customer_id) is IdentityKind.OPTED_OUT
        return is_out or people.is_erased(customer_id)

    async def forget_expired(self, now: Instant) -> None:
        """Let the gallery forget what its retention says."""
        try:
            await self.gallery.delete_expired(now)
        except GalleryUnavailable as cause:
            self.mark_down(cause)

    def has_room(self, outbox: Outbox) -> bool:
        """Return whether more may wait for the gallery; says once that it may not."""
        if len(outbox) < self.most_waiting:
            return True
        if not self._told_full:
            self._told_full = True
            log.error("nobody is enrolled until the gallery takes entries", waiting=len(outbox))
        return False

    def is_first_of_outage(self) -> bool:
        """Return whether nobody was told of this outage yet; by asking, somebody is."""
        first, self._was_down = not self._was_down, True
        return first

    def mark_down(self, cause: GalleryUnavailable) -> None:
        """Leave the gallery alone for a while: it does not answer."""
        self._down_until_s = self.clock.monotonic() + self.retry_s
        GALLERY_UP.set(0)
        log.warning("gallery unavailable", cause=str(cause))

    def _mark_up(self) -> None:
        GALLERY_UP.set(1)
        # One that finds but takes nothing is not back: every search would end an outage otherwise.
        self._was_down = self._was_down and self._refuses_entries


def resembling(face: Embedding, outboxes: Mapping[TopicPartition, Outbox]) -> list[GalleryMatch]:
    """Return how a face resembles those that the gallery does not have yet."""
    return [
        GalleryMatch(entry.entry_id, entry.customer_id, entry.kind, float(face @ entry.embedding))
        for outbox in outboxes.values()
        for entry in outbox.values()
    ]
