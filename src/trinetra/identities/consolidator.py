"""The resolver's look for identities that are one person, beside its batches.

Every fused face that the gallery has just taken is looked up there, a few at a time and in one
search. Of two resolvers that store the faces of one person at once, the later one finds both, so
nothing has to be asked twice. What is found becomes a change in the customer book, by which
everybody learns of it. While the gallery or the book is away, what is to be looked up or written
waits, within a bound; a process that ends forgets it, and the next visit of the person asks again.
"""

import asyncio
from collections.abc import Mapping, Sequence

from trinetra.errors import CustomerConflict, GalleryUnavailable, StoreUnavailable
from trinetra.events.customers import CustomerChange
from trinetra.identities.consolidation import (
    ConsolidationPolicy,
    Finding,
    changes_of,
    judge_twins,
    twins_of,
)
from trinetra.identities.partition import PartitionState
from trinetra.identities.recognition import Recogniser
from trinetra.ports import CustomerBook, TopicPartition
from trinetra.telemetry import CONSOLIDATIONS, get_logger
from trinetra.values import CustomerId, GalleryEntry, GalleryMatch

_FACES_PER_TURN = 32
_MATCHES = 24
"""Nearest entries of a face: its own four, and those of a few others who look like it."""
_MOST_UNWRITTEN = 1_000
_RETRY_S = 2.0
log = get_logger("identity-resolver")


class Consolidator:
    """A companion of the resolver that merges twins, or proposes to."""

    def __init__(
        self, recogniser: Recogniser, book: CustomerBook, policy: ConsolidationPolicy
    ) -> None:
        self._recogniser = recogniser
        self._book = book
        self._policy = policy
        self._unwritten: list[CustomerChange] = []
        self._turn: asyncio.Task[None] | None = None
        self._joined: dict[CustomerId, CustomerId] = {}
        self._joined_to = 0
        self._retry_at_s = 0.0

    async def tend(self, held: Mapping[TopicPartition, PartitionState]) -> None:
        """Join what the registry knows of merged identities; let the look at new faces go on."""
        del held
        self._join_merged()
        if self._turn is not None and self._turn.done():
            self._turn.result()
            self._turn = None
        is_due = self._unwritten or self._recogniser.fresh
        if self._turn is None and is_due and self._may_work:
            self._turn = asyncio.create_task(self._take_turn())

    async def close(self) -> None:
        """Look up and write what is left, as far as gallery and book answer."""
        if self._turn is not None:
            await self._turn
            self._turn = None
        while (self._unwritten or self._recogniser.fresh) and self._may_work:
            await self._take_turn()

    @property
    def _may_work(self) -> bool:
        is_later = self._recogniser.clock.monotonic() >= self._retry_at_s
        return is_later and self._recogniser.may_ask

    def _join_merged(self) -> None:
        people = self._recogniser.people
        if people.number == self._joined_to:
            return
        for gone in people.merged.keys() - self._joined.keys():
            self._recogniser.registry.join(gone, people.canonical(gone))
        self._joined, self._joined_to = dict(people.merged), people.number

    async def _take_turn(self) -> None:
        """Look up some faces and write what that tells; what fails is for a later turn."""
        fresh = self._recogniser.fresh
        faces = [fresh.popleft() for _ in range(min(_FACES_PER_TURN, len(fresh)))]
        try:
            if faces:
                await self._look_up(faces)
            while self._unwritten:
                await self._write(self._unwritten[0])
                del self._unwritten[0]
        except GalleryUnavailable as cause:
            self._recogniser.mark_down(cause)
            fresh.extendleft(reversed(faces))
        except StoreUnavailable as cause:
            log.info("identities wait to be merged", cause=str(cause))
            self._retry_at_s = self._recogniser.clock.monotonic() + _RETRY_S

    async def _look_up(self, faces: Sequence[GalleryEntry]) -> None:
        probes = [entry.embedding for entry in faces]
        found = await self._recogniser.gallery.search(probes, _MATCHES)
        findings = [f for e, m in zip(faces, found, strict=True) for f in self._judge(e, m)]
        for finding in findings:
            CONSOLIDATIONS.labels(finding.reason).inc()
        self._unwritten = (self._unwritten + changes_of(findings))[-_MOST_UNWRITTEN:]

    def _judge(self, entry: GalleryEntry, matches: Sequence[GalleryMatch]) -> list[Finding]:
        people, registry = self._recogniser.people, self._recogniser.registry
        findings = []
        for twins in twins_of(entry, matches, people, self._recogniser.policy.matching.score):
            one, two = twins.one.customer_id, twins.two.customer_id
            presences = registry.get(one), registry.get(two)
            graph, at = self._recogniser.graph, entry.last_seen
            finding = judge_twins(twins, people, presences, graph, self._policy, at)
            if finding is not None:
                findings.append(finding)
        return findings

    async def _write(self, change: CustomerChange) -> None:
        """Write a change for itself: others may have said by now who one of the two is."""
        try:
            await self._book.write([change])
        except CustomerConflict as conflict:
            log.info("not merged", cause=str(conflict))
