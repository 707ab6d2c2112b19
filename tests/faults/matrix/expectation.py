"""What an undisturbed process makes of the same events."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory.customer_log import MemoryCustomerLog
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.adapters.memory.gallery import MemoryGallery
from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.events.codec import decode, encode
from trinetra.events.schema import (
    AnyEvent,
    DetectionEvent,
    IdentityEvent,
    LineCrossing,
    TracksEvent,
    Visit,
    ZoneStay,
)
from trinetra.events.topics import DETECTIONS, IDENTITIES, INSIGHTS, Topic
from trinetra.hosting import Service
from trinetra.models.manifest import load_manifest
from trinetra.ports import Record
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.values import Instant, after
from trinetra.wiring import assembly
from trinetra.wiring.assembly import EnginePorts, FaceModel, Member, ResolverPorts

PERSON = "person"
_MANY = 1_000_000
_SETTLED_S = 45.0


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the resolvers must say whatever happens, as ids of tracks.

    Only what does not depend on which camera's detections were resolved first is compared.
    ``people`` are tracks of persons that are over: each must have a decision.
    """

    tracks: frozenset[str]
    people: frozenset[str]


async def expected(site: Site, settings: Settings, detections: list[DetectionEvent]) -> Expectation:
    """Resolve detections within this process, undisturbed, and return what came of them."""
    clock, log = _log()
    model = load_manifest().profile(settings.profile).face_embedder
    gallery = MemoryGallery(model.dimension)
    await log.append([Record(DETECTIONS, e.camera_id, encode(e)) for e in detections])
    ports = ResolverPorts(log, gallery, MemoryCustomerLog(), clock)
    face = FaceModel.of(model, settings.data_dir)
    await _work_off(assembly.resolver(site, face, ports, Member.of(settings)))
    frames = [e for e in await _everything(log, IDENTITIES) if isinstance(e, TracksEvent)]
    seen_at = {t.track_id: f.captured_at for f in frames for t in f.tracks}
    labels = {t.track_id: t.label for f in frames for t in f.tracks}
    settled_at = _settled_at(frames)
    people = {t for t, at in seen_at.items() if at < settled_at and labels[t] == PERSON}
    return Expectation(tracks=frozenset(seen_at), people=frozenset(people))


@dataclass(frozen=True, slots=True)
class Insights:
    """What one undisturbed engine makes of identities.

    ``ids`` are crossings, visits and stays; its end ends the stays that are open, which a process
    of a cluster leaves to the next, so those count that were over some time before. ``payloads``
    are all insights in their very words: one whose name is taken back and given again is said
    twice.
    """

    ids: frozenset[str] = frozenset()
    payloads: Counter[bytes] = field(default_factory=Counter)


async def insights_from(
    site: Site, settings: Settings, identities: list[TracksEvent | IdentityEvent]
) -> Insights:
    """Count within this process, undisturbed, and return what came of it."""
    clock, log = _log()
    await log.append([Record(IDENTITIES, e.camera_id, encode(e)) for e in identities])
    async with SqlInsightStore.open("sqlite://") as store:
        ports = EnginePorts(log, store, MemoryCustomerLog(), clock)
        await _work_off(assembly.engine(site, ports, Member.of(settings)))
    settled_at = _settled_at(identities)
    events = await _everything(log, INSIGHTS)
    ids = {
        event.event_id
        for event in events
        if isinstance(event, LineCrossing | Visit)
        or (isinstance(event, ZoneStay) and event.captured_at < settled_at)
    }
    return Insights(frozenset(ids), Counter(encode(event) for event in events))


def _log() -> tuple[SystemClock, MemoryEventLog]:
    clock = SystemClock()
    return clock, MemoryEventLog(clock, keep_records=_MANY, max_records=_MANY)


async def _work_off(service: Service) -> None:
    at_once = asyncio.Event()
    at_once.set()
    await service.run(at_once)


async def _everything(log: MemoryEventLog, topic: Topic) -> list[AnyEvent]:
    reader = await log.subscribe([topic], "expectation")
    events = []
    while deliveries := await reader.poll(max_records=_MANY, wait_s=0):
        events += [decode(delivery.value) for delivery in deliveries]
    return events


def _settled_at(events: Iterable[AnyEvent]) -> Instant:
    return after(max(event.captured_at for event in events), -_SETTLED_S)
