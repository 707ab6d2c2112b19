"""Writes down what runs through the event log: every event as a JSON line, and a summary.

A subscriber like any other: it works in one process as well as beside a cluster.
"""

import asyncio
import errno
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from trinetra.errors import MalformedEvent, StorageFull
from trinetra.events.codec import decode, encode
from trinetra.events.schema import (
    AlertEvent,
    AnyEvent,
    DetectionEvent,
    IdentityEvent,
    InsightEvent,
    LineCrossing,
    Occupancy,
    TracksEvent,
    Visit,
    ZoneStay,
)
from trinetra.events.topics import ALERTS, DETECTIONS, IDENTITIES, INSIGHTS
from trinetra.ports import Delivery, EventLog
from trinetra.values import CameraId, CustomerId, EventId, TrackId

_PERSON = "person"


@dataclass(slots=True)
class CameraTally:
    """What one camera has shown; objects are counted per frame, tracks once."""

    frames_inferred: int = 0
    persons: int = 0
    faces: int = 0
    vehicles: int = 0
    tracks: set[TrackId] = field(default_factory=set)
    statuses: Counter[str] = field(default_factory=Counter)
    occupancy: int = 0


@dataclass(slots=True)
class Tally:
    """Running figures over all events; insights that are sent again count once."""

    cameras: defaultdict[CameraId, CameraTally] = field(
        default_factory=lambda: defaultdict(CameraTally)
    )
    customers: set[CustomerId] = field(default_factory=set)
    crossings: dict[EventId, LineCrossing] = field(default_factory=dict)
    stays: dict[EventId, ZoneStay] = field(default_factory=dict)
    visits: dict[EventId, Visit] = field(default_factory=dict)
    peak_occupancy: Counter[str] = field(default_factory=Counter)
    alerts: Counter[str] = field(default_factory=Counter)

    def add(self, event: AnyEvent) -> None:
        """Count one event."""
        camera = self.cameras[event.camera_id]
        match event:
            case DetectionEvent():
                camera.frames_inferred += 1
                persons = sum(o.label == _PERSON for o in event.objects)
                camera.persons += persons
                camera.vehicles += len(event.objects) - persons
                camera.faces += len(event.faces)
            case TracksEvent():
                camera.tracks.update(track.track_id for track in event.tracks)
                self.customers.update(t.customer_id for t in event.tracks if t.customer_id)
            case IdentityEvent():
                camera.statuses[event.status] += 1
                if event.customer_id:
                    self.customers.add(event.customer_id)
            case AlertEvent():
                self.alerts[event.rule] += 1
            case _:
                self._add_insight(event)

    def _add_insight(self, event: InsightEvent) -> None:
        match event:
            case LineCrossing():
                self.crossings[event.event_id] = event
            case ZoneStay():
                self.stays[event.event_id] = event
            case Visit():
                self.visits[event.event_id] = event
            case Occupancy():
                place = event.zone_id or event.camera_id
                self.peak_occupancy[place] = max(self.peak_occupancy[place], event.persons)
                if event.zone_id is None:
                    self.cameras[event.camera_id].occupancy = event.persons

    def insights(self) -> dict[str, object]:
        """Return the insights so far, as plain values for JSON."""
        directions = Counter(c.direction for c in self.crossings.values())
        dwell: defaultdict[str, list[float]] = defaultdict(list)
        for stay in self.stays.values():
            dwell[stay.zone_id].append(stay.dwell_s)
        return {
            "footfall": {"in": directions["in"], "out": directions["out"]},
            "zone_stays": {
                zone: {"stays": len(times), "mean_dwell_s": round(sum(times) / len(times), 1)}
                for zone, times in sorted(dwell.items())
            },
            "peak_occupancy": dict(sorted(self.peak_occupancy.items())),
            "visits": len(self.visits),
            "alerts": dict(sorted(self.alerts.items())),
        }


class RecentEvents:
    """The last events, for watchers; a slow one misses some and holds up nobody."""

    def __init__(self, keep: int = 1000) -> None:
        self._events: deque[AnyEvent] = deque(maxlen=keep)
        self._seen = 0
        self._changed = asyncio.Event()

    def add(self, event: AnyEvent) -> None:
        """Keep an event and wake the watchers."""
        self._events.append(event)
        self._seen += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def watch(self, last: int = 0) -> AsyncIterator[bytes]:
        """Yield the ``last`` events and then every new one as a JSON line, without embeddings."""
        sent = self._seen - min(last, len(self._events))
        while True:
            waiting = min(self._seen - sent, len(self._events))
            batch = list(self._events)[len(self._events) - waiting :]
            sent = self._seen
            for event in batch:
                yield encode(without_embeddings(event)) + b"\n"
            if sent == self._seen:
                await self._changed.wait()


def without_embeddings(event: AnyEvent) -> AnyEvent:
    """Return the event as it may be shown: nobody can be recognised by it."""
    if not isinstance(event, DetectionEvent):
        return event
    faces = tuple(msgspec.structs.replace(face, embedding=None) for face in event.faces)
    return msgspec.structs.replace(event, faces=faces)


class EventRecorder:
    """A service that tallies every event and, if asked, writes it to a file as on the wire."""

    name = "recorder"

    def __init__(self, event_log: EventLog, path: Path | None = None) -> None:
        self.tally = Tally()
        self.recent = RecentEvents()
        self._log = event_log
        self._path = path
        self._file: BinaryIO | None = None
        self._ready = False

    def __enter__(self) -> Self:
        """Open the file anew; raises StorageFull or OSError where it cannot be written."""
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("wb")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def ready(self) -> bool:
        """Return whether the recorder reads the log."""
        return self._ready

    def status(self) -> dict[str, object]:
        """Return what the health page shows."""
        return {"customers": len(self.tally.customers), "file": str(self._path or "")}

    async def run(self, stopping: asyncio.Event) -> None:
        """Record until told to stop, then what is still in the log."""
        topics = [DETECTIONS, IDENTITIES, ALERTS, INSIGHTS]
        subscription = await self._log.subscribe(topics, "recorder")
        self._ready = True
        try:
            while not stopping.is_set() or await subscription.lag():
                deliveries = await subscription.poll(max_records=1000, wait_s=0.2)
                self._record(deliveries)
                await subscription.commit(
                    {(d.topic, d.partition): d.offset + 1 for d in deliveries}
                )
        finally:
            self._ready = False
            await subscription.close()

    def _record(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            try:
                event = decode(delivery.value)
            except MalformedEvent:
                continue  # its reader has sent it to the dead-letter topic and counted it
            self.tally.add(event)
            self.recent.add(event)
            self._write(delivery.value)

    def _write(self, line: bytes) -> None:
        if self._file is None:
            return
        try:
            self._file.write(line + b"\n")
            self._file.flush()
        except OSError as cause:
            if cause.errno != errno.ENOSPC:
                raise
            raise StorageFull(
                f"no space left for {self._path}; free some and start again"
            ) from cause
