"""Merge job of the resolver: finds duplicate identities in the background.

Every fused face that the gallery has accepted is looked up there, several per search. If two
resolvers store faces of one person at the same time, the later one finds both, so one lookup per
face is enough. A result becomes a change in the customer log, from which all services read it.
While the gallery or the log is unavailable, pending lookups and changes wait in bounded queues; a
process that ends loses them, and the person's next visit triggers the lookup again.
"""

from collections import deque
from collections.abc import Sequence
from itertools import islice

from trinetra.errors import CustomerConflict, GalleryUnavailable, StorageFull, StoreUnavailable
from trinetra.events.customers import CustomerChange
from trinetra.identities.context import ResolverContext
from trinetra.identities.decision.duplicates import (
    AmbiguousFace,
    DuplicatePair,
    Finding,
    MergePolicy,
    Nomination,
    changes_of,
    compare,
    duplicates_of,
    judge_duplicates,
    nominate,
)
from trinetra.ports import CustomerLog
from trinetra.streaming.background import TaskSlot
from trinetra.streaming.retry import OutageTracker
from trinetra.telemetry import CONSOLIDATIONS, get_logger
from trinetra.values import CustomerId, GalleryEntry, Instant

_FACES_PER_TURN = 32
_MATCHES = 24
"""Nearest entries per face: its own four, and those of a few similar identities."""
_MOST_UNWRITTEN = 1_000
_MOST_SETTLING = 10_000
_RETRY_S = 2.0
log = get_logger("identity-resolver")


class MergeJob:
    """Background task of the resolver that merges duplicates or proposes to.

    A face is looked up ``settle_s`` after it was stored: by then the registry knows from other
    resolvers where the similar identity was seen, which may rule out a merge.
    """

    def __init__(
        self,
        context: ResolverContext,
        customer_log: CustomerLog,
        policy: MergePolicy,
        *,
        settle_s: float = 0.0,
    ) -> None:
        self._context = context
        self._customer_log = customer_log
        self._policy = policy
        self._settle_s = settle_s
        self._settling: deque[tuple[float, GalleryEntry | AmbiguousFace]] = deque(
            maxlen=_MOST_SETTLING
        )
        self._unwritten: list[CustomerChange] = []
        self._turn = TaskSlot()
        self._joined: dict[CustomerId, CustomerId] = {}
        self._joined_to = 0
        self._outage = OutageTracker(
            context.clock, log, "customer log that merges wait for", retry_s=_RETRY_S
        )

    async def tend(self) -> None:
        """Apply merges to the registry and start the next batch of lookups."""
        self._join_merged()
        self._admit()
        if not self._turn.is_busy and self._is_due:
            self._turn.begin(self._take_turn())

    async def close(self) -> None:
        """Finish the remaining lookups and changes, as far as gallery and log answer."""
        await self._turn.finish()
        self._admit()
        while self._is_due:
            await self._take_turn()

    def _admit(self) -> None:
        """Queue new faces, each with the time at which it becomes due."""
        due_s = self._context.clock.monotonic() + self._settle_s
        self._settling.extend((due_s, face) for face in self._context.merge_queue.drain())

    @property
    def _is_due(self) -> bool:
        now_s = self._context.clock.monotonic()
        has_work = self._unwritten or (self._settling and self._settling[0][0] <= now_s)
        return bool(has_work) and self._outage.may_ask and self._context.gallery_client.may_ask

    def _join_merged(self) -> None:
        """Apply merges and splits to the registry.

        After a split both identities are removed: their sightings were joined and cannot be
        attributed to either.
        """
        directory, registry = self._context.directory, self._context.registry
        if directory.number == self._joined_to:
            return
        for parted in self._joined.items() - directory.merged.items():
            for customer_id in parted:
                registry.forget(directory.canonical(customer_id))
        for deleted, _ in directory.merged.items() - self._joined.items():
            registry.join(deleted, directory.canonical(deleted))
        self._joined, self._joined_to = dict(directory.merged), directory.number

    async def _take_turn(self) -> None:
        """Look up some faces and write the changes; what fails is retried in a later turn."""
        now_s = self._context.clock.monotonic()
        due = [part for part in islice(self._settling, _FACES_PER_TURN) if part[0] <= now_s]
        for _ in due:
            self._settling.popleft()
        faces = [face for _, face in due]
        try:
            if faces:
                await self._look_up(faces)
            while self._unwritten:
                # Removed only after it was written: a failure in between leaves it to be retried,
                # and writing a change twice is harmless, as its id is derived from the pair.
                await self._write(self._unwritten[0])
                del self._unwritten[0]
                self._outage.end()
        except GalleryUnavailable as cause:
            self._context.gallery_client.mark_down(cause)
            self._settling.extendleft(reversed(due))
        except (StoreUnavailable, StorageFull) as cause:
            self._outage.note(cause)

    async def _look_up(self, faces: Sequence[GalleryEntry | AmbiguousFace]) -> None:
        probes = [face.embedding for face in faces]
        found = await self._context.gallery.search(probes, _MATCHES)
        directory, score = self._context.directory, self._context.policy.matching.score
        pairs: list[tuple[DuplicatePair, Instant]] = []
        nominated: list[tuple[Nomination, Instant]] = []
        for face, matches in zip(faces, found, strict=True):
            if not isinstance(face, AmbiguousFace):
                duplicates = duplicates_of(face, matches, directory, score)
                pairs += [(pair, face.last_seen) for pair in duplicates]
            elif nomination := nominate(matches, directory):
                nominated.append((nomination, face.at))
        pairs += await self._compare(nominated)
        judged = (self._judge(pair, at) for pair, at in pairs)
        findings = [finding for finding in judged if finding is not None]
        for finding in findings:
            CONSOLIDATIONS.labels(finding.reason).inc()
        self._unwritten = (self._unwritten + changes_of(findings))[-_MOST_UNWRITTEN:]

    async def _compare(
        self, nominated: Sequence[tuple[Nomination, Instant]]
    ) -> list[tuple[DuplicatePair, Instant]]:
        """Return the nominated pairs, scored by their own faces."""
        names = {name for pair, _ in nominated for faces in pair.faces for name in faces}
        if not names:
            return []
        entries = await self._context.gallery.get(sorted(names))
        kept = [e for e in entries if not self._context.directory.is_erased(e.customer_id)]
        score = self._context.policy.matching.score
        compared = ((compare(pair, kept, score), at) for pair, at in nominated)
        return [(pair, at) for pair, at in compared if pair is not None]

    def _judge(self, pair: DuplicatePair, at: Instant) -> Finding | None:
        context = self._context
        presences = (
            context.registry.get(pair.one.customer_id),
            context.registry.get(pair.two.customer_id),
        )
        return judge_duplicates(
            pair, context.directory, presences, context.graph, self._limits(), at
        )

    def _limits(self) -> MergePolicy:
        """Return the limits for a gallery of the present size."""
        rules = self._context.rules
        if rules.table is None:
            return self._policy
        return self._policy.raised_to(*rules.table.merge_limits(rules.rivals))

    async def _write(self, change: CustomerChange) -> None:
        """Write one change on its own: it may conflict with what others have written meanwhile."""
        try:
            await self._customer_log.write([change])
        except CustomerConflict as conflict:
            log.info("not merged", cause=str(conflict))
