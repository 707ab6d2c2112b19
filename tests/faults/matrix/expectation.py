"""What a run without any fault makes of the same detections."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory import MemoryEventLog
from trinetra.adapters.memory_gallery import MemoryGallery
from trinetra.adapters.sql import SqlInsightStore
from trinetra.events.codec import decode, encode
from trinetra.events.schema import (
    AnyEvent,
    DetectionEvent,
    LineCrossing,
    TracksEvent,
    ZoneStay,
)
from trinetra.events.topics import DETECTIONS, IDENTITIES, INSIGHTS
from trinetra.hosting import Service
from trinetra.models.manifest import load_manifest
from trinetra.ports import Record
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.values import after
from trinetra.wiring import assembly

PERSON = "person"
_MANY = 1_000_000
_SETTLED_S = 45.0


@dataclass(frozen=True, slots=True)
class Expectation:
    """What does not depend on which camera's detections were resolved first, as ids.

    ``people`` are tracks of persons that are over: each must have a decision.
    """

    tracks: frozenset[str]
    people: frozenset[str]
    crossings: frozenset[str]
    stays: frozenset[str]


async def expected(site: Site, settings: Settings, events: list[DetectionEvent]) -> Expectation:
    """Resolve detections within this process, undisturbed, and return what came of them."""
    clock = SystemClock()
    log = MemoryEventLog(clock, keep_records=_MANY, max_records=_MANY)
    face = load_manifest().profile(settings.profile).face_embedder
    gallery = MemoryGallery(face.dimension)
    await log.append([Record(DETECTIONS, e.camera_id, encode(e)) for e in events])
    async with SqlInsightStore.open("sqlite://") as store:
        await _work_off(assembly.resolver(site, settings, face, gallery, log, clock))
        await _work_off(assembly.engine(site, settings, log, store, clock))
    return expectation_of(await _everything(log))


async def _work_off(service: Service) -> None:
    at_once = asyncio.Event()
    at_once.set()
    await service.run(at_once)


async def _everything(log: MemoryEventLog) -> list[AnyEvent]:
    reader = await log.subscribe([IDENTITIES, INSIGHTS], "expectation")
    events = []
    while deliveries := await reader.poll(max_records=_MANY, wait_s=0):
        events += [decode(delivery.value) for delivery in deliveries]
    return events


def expectation_of(events: Iterable[AnyEvent]) -> Expectation:
    """Return what the events of a run say about tracks and insights.

    The end of a run within one process ends what is open, which a process of a cluster leaves to
    the next: decisions and stays count that were settled before.
    """
    events = list(events)
    frames = [e for e in events if isinstance(e, TracksEvent)]
    settled_at = after(max(frame.captured_at for frame in frames), -_SETTLED_S)
    seen_at = {t.track_id: f.captured_at for f in frames for t in f.tracks}
    labels = {t.track_id: t.label for f in frames for t in f.tracks}
    return Expectation(
        tracks=frozenset(seen_at),
        people=frozenset(t for t, at in seen_at.items() if at < settled_at and labels[t] == PERSON),
        crossings=frozenset(e.event_id for e in events if isinstance(e, LineCrossing)),
        stays=frozenset(
            e.event_id for e in events if isinstance(e, ZoneStay) and e.captured_at < settled_at
        ),
    )
