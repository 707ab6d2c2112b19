"""Keeps the faces that the gallery must contain, and only those, in the gallery.

The customer log has the faces of enrolled people: customers, staff, the watchlist, and people who
opted out, who are recognized only to be left out. The gallery can lose them at any time: it may be
deleted and made anew, or restored from a backup, which may also bring back people who were erased
since. Therefore what it contains is compared with the log, by ids, at the start, after every outage
and periodically; and its number of entries every few seconds.
"""

from collections.abc import Iterable, Sequence

from trinetra.errors import GalleryUnavailable
from trinetra.events.customers import CustomerChange
from trinetra.identities.context import ResolverContext
from trinetra.identities.decision.canonical_ids import resembling
from trinetra.ports import CustomerLog
from trinetra.telemetry import get_logger
from trinetra.values import GalleryEntry, IdentityKind

_FACES_AT_ONCE = 64
_ENTRIES_AT_ONCE = 256
_SAME_FACE = 0.999
"""Minimum cosine of a stored face and the same face in the log; they differ by rounding."""
log = get_logger("identity-resolver")


class EnrolledFaces:
    """The enrolled faces of one resolver's gallery; every method may raise what its servers raise.

    The gallery is counted every ``count_every_s``, and compared face by face every
    ``compare_every_s``.
    """

    def __init__(
        self,
        context: ResolverContext,
        customer_log: CustomerLog,
        *,
        count_every_s: float = 10.0,
        compare_every_s: float = 600.0,
    ) -> None:
        self._context = context
        self._customer_log = customer_log
        self._count_every_s, self._compare_every_s = count_every_s, compare_every_s
        self._pending: list[GalleryEntry] | None = None
        self._wanted = 0
        self._clears_all = True
        self._scans = True
        self._recoveries = 0
        self._count_at_s = self._compare_at_s = 0.0

    def note(self, change: CustomerChange) -> None:
        """Compare again when a change may concern enrolled faces."""
        if change.kind is IdentityKind.OPTED_OUT:
            self._pending, self._clears_all = None, True
        elif change.change in {"enrolled", "erased"}:
            self._pending = None

    async def reconcile(self) -> None:
        """Store the faces that the gallery lacks, and find those that it must not have.

        Erased identities go into the context's ``withdrawn``.
        """
        try:
            await self._reconcile()
        except GalleryUnavailable:
            self._pending, self._scans = None, True  # another gallery may answer next time
            raise

    async def _reconcile(self) -> None:
        client = self._context.gallery_client
        if not await client.probe():
            return
        await self._note_losses()
        if self._pending is None:
            if self._scans:
                await self._find_unwanted()
            self._pending = await self._missing()
            self._compare_at_s = self._context.clock.monotonic() + self._compare_every_s
        while self._pending and client.may_ask:
            batch = self._pending[:_FACES_AT_ONCE]
            await self._context.gallery.upsert(batch)
            self._context.merge_queue.offer_stored(batch)
            self._pending = self._pending[_FACES_AT_ONCE:]

    async def _note_losses(self) -> None:
        """Compare again after an outage, from time to time, and when entries have disappeared."""
        now_s, recoveries = self._context.clock.monotonic(), self._context.gallery_client.recoveries
        if recoveries != self._recoveries:
            self._pending, self._scans, self._recoveries = None, True, recoveries
        elif now_s >= self._compare_at_s:
            self._pending = None
        elif now_s >= self._count_at_s and self._pending == []:
            self._count_at_s = now_s + self._count_every_s
            count = await self._context.gallery.count()
            if count < self._wanted:
                log.warning("the gallery lost faces", entries=count, enrolled=self._wanted)
                self._pending, self._scans = None, True

    async def _find_unwanted(self) -> None:
        """Find faces of erased people, and camera faces of people who opted out."""
        directory = self._context.directory
        kinds = {customer.kind for customer in directory.customers.values()}
        if directory.erased or IdentityKind.OPTED_OUT in kinds:
            async for batch in self._context.gallery.entries(_ENTRIES_AT_ONCE):
                ids = {entry.customer_id for entry in batch}
                self._context.withdrawn.update(filter(directory.is_erased, ids))
                self._clears_all |= any(
                    directory.kind_of(each) is IdentityKind.OPTED_OUT for each in ids
                )
        self._scans = False

    async def _missing(self) -> list[GalleryEntry]:
        """Return the enrolled faces that the gallery lacks.

        Before, camera faces of people who opted out are deleted, where that was not done yet.
        """
        wanted = await self._enrolled()
        self._wanted = len(wanted)
        missing = await self._not_held(wanted)
        uncleared = self._opted_out(wanted if self._clears_all else missing)
        if uncleared:
            await self._clear(uncleared)
            missing = await self._not_held(wanted)  # the enrolled faces among them were deleted too
        self._clears_all = False
        return missing

    async def _enrolled(self) -> list[GalleryEntry]:
        """Return the faces in the customer log that the gallery must contain."""
        directory, now = self._context.directory, self._context.clock.now()
        entries = await self._customer_log.templates(self._context.model)
        without = len(directory.customers.keys() - {entry.customer_id for entry in entries})
        if without:
            log.warning(
                "customers without faces of this model",
                customers=without,
                model=self._context.model,
                todo="see `trinetra customers list` and enroll them again",
            )
        return [
            entry
            for entry in entries
            if not directory.is_erased(entry.customer_id)
            and (entry.expires_at is None or entry.expires_at > now)
        ]

    async def _not_held(self, wanted: Sequence[GalleryEntry]) -> list[GalleryEntry]:
        """Return the entries that the gallery does not have, or has with another face."""
        missing = []
        for start in range(0, len(wanted), _ENTRIES_AT_ONCE):
            batch = wanted[start : start + _ENTRIES_AT_ONCE]
            held = await self._context.gallery.get([entry.entry_id for entry in batch])
            faces = {entry.entry_id: entry.embedding for entry in held}
            missing += [
                entry
                for entry in batch
                if (face := faces.get(entry.entry_id)) is None
                or float(face @ entry.embedding) < _SAME_FACE
            ]
        return missing

    def _opted_out(self, entries: Iterable[GalleryEntry]) -> list[GalleryEntry]:
        kind_of = self._context.directory.kind_of
        return [e for e in entries if kind_of(e.customer_id) is IdentityKind.OPTED_OUT]

    async def _clear(self, out: Sequence[GalleryEntry]) -> None:
        """Delete camera faces of opted-out people before their enrolled faces are stored.

        That is every face under one of their ids, and those of anonymous identities with the same
        face.
        """
        context = self._context
        directory = context.directory
        probes = [entry.embedding for entry in out]
        found = await context.gallery.search(probes, context.policy.top_k)
        seen = resembling(found, directory, context.policy.matching)
        for customer_id in seen.union(*(directory.members(entry.customer_id) for entry in out)):
            await context.gallery.delete(customer_id)
            # Stored at once, not later with the others: without these faces the person would not
            # be recognized as opted out and could be enrolled as a new identity in the meantime.
            if enrolled_faces := [entry for entry in out if entry.customer_id == customer_id]:
                await context.gallery.upsert(enrolled_faces)
            context.forget(customer_id)
