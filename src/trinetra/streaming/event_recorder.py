"""Recorder of the event log: every event as a JSON line, and a summary.

It is an ordinary subscriber, so it works in a single process as well as next to a cluster.
"""

import asyncio
import errno
import os
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from trinetra.errors import ConfigurationError, MalformedEvent, StorageFull, TrinetraError
from trinetra.events.codec import decode, encode, without_embeddings
from trinetra.events.schema import (
    AlertEvent,
    AnyEvent,
    DetectionEvent,
    IdentityEvent,
    InsightEvent,
    LifecycleEvent,
    LineCrossing,
    Occupancy,
    TracksEvent,
    Visit,
    Withdrawal,
    ZoneStay,
)
from trinetra.events.topics import ALERTS, CUSTOMERS, DETECTIONS, IDENTITIES, INSIGHTS
from trinetra.ports import Delivery, EventLog, read_up_to
from trinetra.values import CameraId, CustomerId, EventId, IdentityKind, TrackId

_PERSON = "person"
_STAFF = IdentityKind.STAFF
_NOT_COUNTED = -1.0
Key = TypeVar("Key")
Value = TypeVar("Value")


class Distinct(Generic[Key, Value]):
    """Counts distinct keys and remembers the value of the most recent ones, within a bound.

    A key that returns after ``keep`` others counts again: memory stays bounded on a platform that
    runs for months.
    """

    def __init__(self, keep: int = 10_000) -> None:
        self.total = 0
        self._keep = keep
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def __contains__(self, key: Key) -> bool:
        """Return whether a key is remembered."""
        return key in self._values

    def get(self, key: Key) -> Value | None:
        """Return a key's value; None if it is not remembered."""
        return self._values.get(key)

    def discard(self, key: Key) -> None:
        """Take a key back that turned out not to be there."""
        if self._values.pop(key, None) is not None:
            self.total -= 1

    def put(self, key: Key, value: Value) -> Value | None:
        """Store a key's value; return its previous value, or None if the key is new."""
        before = self._values.pop(key, None)
        self._values[key] = value
        if before is None:
            self.total += 1
        if len(self._values) > self._keep:
            self._values.popitem(last=False)
        return before


@dataclass(slots=True)
class CameraTally:
    """Counts for one camera: objects once per frame, tracks once each."""

    frames_inferred: int = 0
    persons: int = 0
    faces: int = 0
    vehicles: int = 0
    tracks: Distinct[TrackId, bool] = field(default_factory=Distinct)
    decided: Distinct[TrackId, str] = field(default_factory=Distinct)
    statuses: Counter[str] = field(default_factory=Counter)

    def add_detection(self, event: DetectionEvent) -> None:
        """Count a frame and its detections."""
        persons = sum(o.label == _PERSON for o in event.objects)
        self.frames_inferred += 1
        self.persons += persons
        self.vehicles += len(event.objects) - persons
        self.faces += len(event.faces)

    def add_decision(self, event: IdentityEvent) -> None:
        """Count a track under its latest status."""
        if before := self.decided.put(event.track_id, event.status):
            self.statuses[before] -= 1
        self.statuses[event.status] += 1


@dataclass(slots=True)
class Tally:
    """Running totals over all events; an insight that is sent again counts once.

    ``customers`` has the number of tracks of each customer, ``track_customers`` the customer of
    each track: a customer without any track left, because all were corrected, does not count.
    Neither do staff.
    """

    cameras: defaultdict[CameraId, CameraTally] = field(
        default_factory=lambda: defaultdict(CameraTally)
    )
    customers: Distinct[CustomerId, int] = field(default_factory=lambda: Distinct(100_000))
    track_customers: Distinct[TrackId, CustomerId] = field(default_factory=Distinct)
    insights_seen: Distinct[EventId, float] = field(default_factory=Distinct)
    footfall: Counter[str] = field(default_factory=Counter)
    vehicles: Counter[str] = field(default_factory=Counter)
    stays: Counter[str] = field(default_factory=Counter)
    dwell_s: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    visits: int = 0
    peak_occupancy: Counter[str] = field(default_factory=Counter)
    alerts: Counter[str] = field(default_factory=Counter)
    merged: set[CustomerId] = field(default_factory=set)

    @property
    def people(self) -> int:
        """Number of customers seen; merged identities count once."""
        return self.customers.total - len(self.merged)

    def add(self, event: AnyEvent) -> None:
        """Count one event."""
        if isinstance(event, LifecycleEvent):
            self._follow(event)
            return
        camera = self.cameras[event.camera_id]
        match event:
            case DetectionEvent():
                camera.add_detection(event)
            case TracksEvent():
                for track in event.tracks:
                    camera.tracks.put(track.track_id, value=True)
            case IdentityEvent():
                camera.add_decision(event)
                self._add_customer(event)
            case AlertEvent():
                self.alerts[event.rule] += 1
            case Withdrawal():
                pass
            case _:
                self._add_insight(event)

    def _add_customer(self, event: IdentityEvent) -> None:
        before = self.track_customers.get(event.track_id)
        if event.customer_id == before:
            return
        if before and not event.since:
            self._take_track(before, is_mistake=event.reasons != ("merged",))
        if event.customer_id:
            self.customers.put(event.customer_id, (self.customers.get(event.customer_id) or 0) + 1)
            self.track_customers.put(event.track_id, event.customer_id)
        elif before:
            self.track_customers.discard(event.track_id)

    def _take_track(self, customer_id: CustomerId, *, is_mistake: bool) -> None:
        left = (self.customers.get(customer_id) or 1) - 1
        if left or not is_mistake:
            self.customers.put(customer_id, left)
        else:
            self.customers.discard(customer_id)
            self.merged.discard(customer_id)

    def _follow(self, event: LifecycleEvent) -> None:
        """Record a merge of a customer who was counted; other merges change no count."""
        if event.change == "merged" and event.customer_id in self.customers:
            self.merged.add(event.customer_id)
        elif event.change == "split":
            self.merged.discard(event.customer_id)

    def _add_insight(self, event: InsightEvent) -> None:
        match event:
            case LineCrossing():
                counts = self.footfall if event.label == _PERSON else self.vehicles
                counts[event.direction] += self._change(event, counts=event.kind is not _STAFF)[0]
            case ZoneStay():
                stays, dwell_s = self._change(event, event.dwell_s, counts=event.kind is not _STAFF)
                self.stays[event.zone_id] += stays
                self.dwell_s[event.zone_id] += dwell_s
            case Visit():
                self.visits += self._change(event, counts=not event.withdrawn)[0]
            case Occupancy():
                place = event.zone_id or event.camera_id
                self.peak_occupancy[place] = max(self.peak_occupancy[place], event.persons)

    def _change(
        self, event: InsightEvent, value: float = 0.0, *, counts: bool
    ) -> tuple[int, float]:
        """Return by how much an insight, compared with its last version, changes count and sum."""
        now = value if counts else _NOT_COUNTED
        before = self.insights_seen.put(event.event_id, now)
        was_counted = before is not None and before != _NOT_COUNTED
        earlier = before if before is not None and was_counted else 0.0
        return counts - was_counted, (value if counts else 0.0) - earlier

    def insights(self) -> dict[str, Any]:
        """Return the insights so far, as plain values for JSON."""
        return {
            "footfall": {way: self.footfall[way] for way in ("in", "out")},
            "vehicles": {way: self.vehicles[way] for way in ("in", "out")},
            "zone_stays": {
                zone: {"stays": stays, "mean_dwell_s": round(self.dwell_s[zone] / stays, 1)}
                for zone, stays in sorted(self.stays.items())
                if stays
            },
            "peak_occupancy": {p: n for p, n in sorted(self.peak_occupancy.items()) if n},
            "visits": self.visits,
            "alerts": dict(sorted(self.alerts.items())),
        }


class RecentEvents:
    """The most recent events, for watchers; a slow watcher misses events and delays no other."""

    def __init__(self, keep: int = 1000) -> None:
        self._events: deque[AnyEvent] = deque(maxlen=keep)
        self._seen = 0
        self._changed = asyncio.Event()

    def add(self, event: AnyEvent) -> None:
        """Keep an event and wake the watchers."""
        self._events.append(event)
        self._seen += 1
        # A fresh Event per change wakes all present watchers once, without a race on clear().
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


class EventRecorder:
    """Service that tallies every event and optionally writes it to a file in its wire format."""

    name = "recorder"

    def __init__(self, event_log: EventLog, path: Path | None = None) -> None:
        self.tally = Tally()
        self.recent = RecentEvents()
        self._log = event_log
        self._path = path
        self._file: FileIO | None = None
        self._ready = False

    def __enter__(self) -> Self:
        """Create or truncate the file; raises StorageFull or ConfigurationError on failure."""
        if self._path is not None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                # Unbuffered: closing a buffered file retries what a full disk has refused.
                self._file = self._path.open("wb", buffering=0)
            except OSError as cause:
                raise _unwritable(self._path, cause) from cause
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
        """Return the details for the health page."""
        return {"customers": self.tally.people, "file": str(self._path or "")}

    async def run(self, stopping: asyncio.Event) -> None:
        """Record until ``stopping`` is set, then drain what is still in the log."""
        topics = [DETECTIONS, IDENTITIES, CUSTOMERS, ALERTS, INSIGHTS]
        subscription = await self._log.subscribe(topics, "recorder")
        self._ready = True
        try:
            while not stopping.is_set() or await subscription.lag():
                deliveries = await subscription.poll(max_records=1000, wait_s=0.2)
                self._record(deliveries)
                await subscription.commit(read_up_to(deliveries))
        finally:
            self._ready = False
            await subscription.close()

    def _record(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            try:
                event = decode(delivery.value)
            except MalformedEvent:
                continue  # the consumer of that topic counts it and writes its dead letter
            self.tally.add(event)
            self.recent.add(event)
            self._write(delivery.value)

    def _write(self, line: bytes) -> None:
        """Write a line completely or not at all. Raises StorageFull or ConfigurationError."""
        if self._file is None or self._path is None:
            return
        written, rest = 0, line + b"\n"
        try:
            while written < len(rest):
                written += self._file.write(rest[written:])
        except OSError as cause:
            if written:
                self._file.seek(-written, os.SEEK_END)
                self._file.truncate()
            raise _unwritable(self._path, cause) from cause


def _unwritable(path: Path, cause: OSError) -> TrinetraError:
    if cause.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StorageFull(f"no space left for {path}; free some and start again")
    return ConfigurationError(
        f"{path} cannot be written: {(cause.strerror or str(cause)).lower()}; choose another file"
    )
