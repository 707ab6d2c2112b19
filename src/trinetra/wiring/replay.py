"""Resolver and insight engine in this process, over detections that were made already.

Everything runs in one thread in the order in which the detections are given, on a log, a gallery
and a store in memory: the same detections give the same events on every machine, as fast as it can,
and nothing that lasts is read or written.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace

from trinetra.adapters.memory.customer_log import MemoryCustomerLog
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.adapters.memory.gallery import MemoryGallery
from trinetra.events.customers import People
from trinetra.events.schema import InsightEvent, Visit
from trinetra.events.topics import ALERTS, CUSTOMERS, DETECTIONS, IDENTITIES, INSIGHTS
from trinetra.events.visits import unite
from trinetra.hosting import Service
from trinetra.identities.customer_sync import CustomerSync
from trinetra.identities.face_identifier import FaceIdentifier
from trinetra.identities.merge_job import MergeJob
from trinetra.identities.service import IdentityResolver
from trinetra.insights.service import InsightEngine
from trinetra.models.manifest import FaceEmbedderModel
from trinetra.ports import Clock, EventLog, Gallery, Record, read_up_to
from trinetra.site import Site
from trinetra.values import EPOCH, CameraId, CustomerId, EventId, GalleryEntry, Instant
from trinetra.wiring import config as plans
from trinetra.wiring.site_graph import site_graph

Detected = tuple[CameraId, bytes]
"""A camera and one of its detection events, as on the wire."""
Listener = Callable[[bytes], None]
"""Is given every event that the services say, as on the wire."""
_AHEAD = 64
"""Frames of one partition that may wait for the resolver: cameras stay within seconds of each
other, as they do in life."""
_APPEND_AT_ONCE = 256
_SAID = (IDENTITIES, CUSTOMERS, ALERTS, INSIGHTS)


class ReplayClock:
    """Real time to sleep by, but no camera ever counts as silent: a replay outruns the clock."""

    def now(self) -> Instant:
        """Return always the same instant."""
        return EPOCH

    def monotonic(self) -> float:
        """Return always the same time."""
        return 0.0

    async def sleep(self, seconds: float) -> None:
        """Return after that many real seconds."""
        await asyncio.sleep(seconds)


class MemoryInsightStore:
    """Insights in a dictionary; without the threads of a database everything keeps its order."""

    def __init__(self) -> None:
        self._kept: dict[EventId, InsightEvent] = {}
        self._last: dict[CustomerId, Visit] = {}
        self._people = People()

    async def record(self, insights: Sequence[InsightEvent]) -> None:
        """Insert or replace by event id."""
        for insight in insights:
            self._kept[insight.event_id] = insight
            if isinstance(insight, Visit):
                self._last[insight.customer_id] = insight

    async def fetch(self, kind: str, start: Instant, end: Instant) -> list[InsightEvent]:
        """Return insights of one type in their order."""
        found = [i for i in self._kept.values() if str(i.__struct_config__.tag) == kind]
        return sorted(
            (i for i in found if start <= i.captured_at < end), key=lambda i: i.captured_at
        )

    async def last_visit(self, customer_id: CustomerId) -> InsightEvent | None:
        """Return the most recent visit recorded under this very id."""
        return self._last.get(customer_id)

    async def know(self, people: People) -> None:
        """Take note of who is whom."""
        self._people = people

    async def visits(self, start: Instant, end: Instant, gap_s: float) -> list[Visit]:
        """Return the visits of people that ended in ``[start, end)``."""
        recorded = [i for i in self._kept.values() if isinstance(i, Visit)]
        united = unite(recorded, self._people.canonical, gap_s, self._people.kind_of)
        return [visit for visit in united if start <= visit.captured_at < end]


@dataclass(frozen=True, slots=True)
class Stage:
    """What the detections are replayed on: a site's settings, a model, and who is known at first.

    ``model`` carries the version that read the faces: those of another would not be compared.
    """

    site: Site
    model: FaceEmbedderModel
    entries: Sequence[GalleryEntry] = ()
    people: People = field(default_factory=People)


async def replay(stage: Stage, detections: Iterable[Detected], listener: Listener) -> None:
    """Run detections through the services; ``listener`` hears all they say, in its order."""
    clock = ReplayClock()
    log = MemoryEventLog(clock, max_records=_AHEAD)
    gallery = MemoryGallery(stage.model.dimension)
    await gallery.upsert(stage.entries)
    services: tuple[Service, ...] = (
        _resolver(stage, gallery, log, clock),
        _engine(stage.site, log, clock),
        _EventTap(log, listener),
    )
    stops = [asyncio.Event() for _ in services]
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(service.run(stop))
            for service, stop in zip(services, stops, strict=True)
        ]
        await _feed(detections, log)
        for stop, task in zip(stops, tasks, strict=True):
            stop.set()
            await task


async def _feed(detections: Iterable[Detected], log: EventLog) -> None:
    remaining = iter(detections)
    while batch := list(itertools.islice(remaining, _APPEND_AT_ONCE)):
        await asyncio.sleep(0)  # those who read have their turn
        await log.append([Record(DETECTIONS, camera, payload) for camera, payload in batch])


def _resolver(stage: Stage, gallery: Gallery, log: EventLog, clock: Clock) -> IdentityResolver:
    site, model = stage.site, stage.model
    face_identifier = FaceIdentifier(
        site_id=site.site_id,
        gallery=gallery,
        registry=plans.registry(site),
        graph=site_graph(site),
        clock=clock,
        model=model.version,
        dimension=model.dimension,
        policy=plans.recognition_policy(site, model.calibration),
        people=replace(deepcopy(stage.people), number=0),  # of a book that begins here
    )
    customer_log = MemoryCustomerLog()
    background_tasks = (
        MergeJob(face_identifier, customer_log, plans.consolidation_policy(site)),
        CustomerSync(face_identifier, customer_log, log, every_s=0.0),
    )
    return IdentityResolver(log, face_identifier, plans.resolver_policy(site), background_tasks)


def _engine(site: Site, log: EventLog, clock: Clock) -> InsightEngine:
    return InsightEngine(
        site.site_id,
        log,
        MemoryInsightStore(),
        plans.insight_plans(site),
        plans.insight_policy(site),
        clock=clock,
    )


class _EventTap:
    """A service that hands on what the others say."""

    name = "eavesdropper"

    def __init__(self, log: EventLog, listener: Listener) -> None:
        self._log = log
        self._listener = listener

    def ready(self) -> bool:
        """Return always true: nobody waits for it."""
        return True

    def status(self) -> dict[str, object]:
        """Return nothing: nobody asks."""
        return {}

    async def run(self, stopping: asyncio.Event) -> None:
        """Hand on until told to stop, then what is still in the log."""
        subscription = await self._log.subscribe(_SAID, self.name)
        try:
            while not stopping.is_set() or await subscription.lag():
                deliveries = await subscription.poll(max_records=1000, wait_s=0.2)
                for delivery in deliveries:
                    self._listener(delivery.value)
                await subscription.commit(read_up_to(deliveries))
        finally:
            await subscription.close()
