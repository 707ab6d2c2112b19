"""Reads the platform's output: the JSON lines that ``--events FILE`` writes."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from trinetra.errors import MalformedEvent
from trinetra.evaluation.boxes import Boxes, BoxesBuilder
from trinetra.evaluation.evidence import Evidence, EvidenceGathering
from trinetra.evaluation.reading.lines import malformed, numbered_lines
from trinetra.evaluation.truth import (
    Crossing,
    Decision,
    Facts,
    Findings,
    Inside,
    Presence,
    Stay,
    Wait,
)
from trinetra.events.codec import decode
from trinetra.events.customers import CustomerDirectory
from trinetra.events.schema import (
    AnyEvent,
    DetectionEvent,
    IdentityEvent,
    LifecycleEvent,
    LineCrossing,
    QueueVisit,
    SiteOccupancy,
    TracksEvent,
    Visit,
    ZoneStay,
)
from trinetra.events.visits import unite
from trinetra.values import CustomerId, EventId, microseconds

_MICROSECOND = timedelta(microseconds=1)
_RENAMED = {("merged",), ("split",)}
_VISIT_GAP_S = 1800.0
"""Visits under two ids of one person less than this apart count as one; a site's default."""


def read_events(path: Path, *, label: str | None = "person") -> Findings:
    """Return the findings of an events file about objects of one label, or of any.

    Events that were sent twice count once; of events that were sent again because they grew, the
    last version counts. Raises ConfigurationError with file and line.
    """
    gathered = Gathered(label)
    for event in events_in(path):
        gathered.add(event)
    return gathered.findings()


def read_evidence(path: Path, camera: str, birth_score: float) -> Evidence:
    """Return the conditions of one camera's recording from an events file.

    Detections below ``birth_score`` start no track. Raises ConfigurationError with file and line.
    """
    gathering = EvidenceGathering(camera, birth_score)
    for event in events_in(path):
        gathering.add(event)
    return gathering.evidence()


def events_in(path: Path) -> Iterator[AnyEvent]:
    """Yield the events of a file. Raises ConfigurationError with file and line."""
    for number, line in numbered_lines(path):
        try:
            yield decode(line)
        except MalformedEvent as cause:
            raise malformed(path, number, str(cause)) from cause


@dataclass(slots=True)
class Gathered:
    """Collects findings from events about objects of one label, or of any."""

    label: str | None = "person"
    _seen: set[EventId] = field(default_factory=set)
    _detections: dict[str, BoxesBuilder] = field(default_factory=lambda: defaultdict(BoxesBuilder))
    _tracks: dict[str, BoxesBuilder] = field(default_factory=lambda: defaultdict(BoxesBuilder))
    _faces: dict[str, BoxesBuilder] = field(default_factory=lambda: defaultdict(BoxesBuilder))
    _decisions: dict[tuple[str, str], list[Decision]] = field(default_factory=dict)
    _crossings: dict[EventId, Crossing] = field(default_factory=dict)
    _stays: dict[EventId, Stay] = field(default_factory=dict)
    _visits: dict[EventId, Visit] = field(default_factory=dict)
    _queues: dict[EventId, QueueVisit] = field(default_factory=dict)
    _inside: dict[EventId, Inside] = field(default_factory=dict)
    _people: CustomerDirectory = field(default_factory=CustomerDirectory)

    def add(self, event: AnyEvent) -> None:
        """Add one event; alerts and occupancy are not scored."""
        match event:
            case DetectionEvent() | TracksEvent():
                if event.event_id not in self._seen:
                    self._seen.add(event.event_id)
                    self._add_frame(event)
            case IdentityEvent():
                self._decide(event)
            case LineCrossing() if self._wants(event.label):
                self._crossings[event.event_id] = Crossing(
                    event.camera_id, event.line_id, event.direction, microseconds(event.captured_at)
                )
            case ZoneStay() if self._wants(event.label):
                self._stays[event.event_id] = Stay(
                    event.camera_id,
                    event.zone_id,
                    microseconds(event.entered_at),
                    microseconds(event.entered_at) + round(event.dwell_s * 1e6),
                )
            case Visit():
                self._visits[event.event_id] = event
            case QueueVisit():
                self._queues[event.event_id] = event
            case SiteOccupancy():
                span_us = microseconds(event.captured_at), microseconds(event.until)
                self._inside[event.event_id] = Inside(*span_us, event.people)
            case LifecycleEvent():
                self._people.follow(event)
            case _:
                pass

    def findings(self) -> Findings:
        """Return the collected findings."""
        return Findings(
            detections=_built(self._detections),
            tracks=_built(self._tracks),
            decisions=tuple(
                self._as_known(d) for of_track in self._decisions.values() for d in of_track
            ),
            facts=Facts(
                crossings=tuple(self._crossings.values()),
                stays=tuple(self._stays.values()),
                visits=tuple(
                    Presence(v.customer_id, microseconds(v.started_at), microseconds(v.captured_at))
                    for v in unite(self._visits.values(), self._people.canonical, _VISIT_GAP_S)
                ),
                waits=tuple(map(_wait, self._queues.values())) or None,
                inside=tuple(self._inside.values()) or None,
            ),
            faces=_built(self._faces),
        )

    def _as_known(self, decision: Decision) -> Decision:
        """Return the decision under the canonical customer id after all merges."""
        if decision.customer is None:
            return decision
        customer = self._people.canonical(CustomerId(decision.customer))
        return replace(decision, customer=customer)

    def _wants(self, label: str) -> bool:
        return self.label in {None, label}

    def _add_frame(self, event: DetectionEvent | TracksEvent) -> None:
        at_us = microseconds(event.captured_at)
        if isinstance(event, DetectionEvent):
            boxes = self._detections[event.camera_id]
            for found in event.objects:
                if self._wants(found.label):
                    boxes.add(at_us, None, found.box, found.score)
            self._faces[event.camera_id].frame(at_us)
            for face in event.faces:
                if face.embedding is not None:
                    self._faces[event.camera_id].add(at_us, None, face.box, face.quality.size_px)
        else:
            boxes = self._tracks[event.camera_id]
            for track in event.tracks:
                if self._wants(track.label):
                    boxes.add(at_us, track.track_id, track.box)
        boxes.frame(at_us)

    def _decide(self, event: IdentityEvent) -> None:
        of_track = self._decisions.setdefault((event.camera_id, event.track_id), [])
        since_us = microseconds(event.since) if event.since else None
        decided_us, is_renamed = microseconds(event.captured_at), event.reasons in _RENAMED
        # A decision replaces earlier ones from its start time on; without a time, all of them.
        while of_track and (since_us is None or (of_track[-1].since_us or 0) >= since_us):
            before = of_track.pop()
            is_same = is_renamed or before.customer == event.customer_id
            if before.since_us == since_us and is_same:
                decided_us = before.decided_us
        of_track.append(
            Decision(
                camera=event.camera_id,
                track=event.track_id,
                status=event.status,
                customer=event.customer_id,
                decided_us=decided_us,
                was_searched=event.evidence.faces_used > 0,
                since_us=since_us,
                linked=event.linked is True,
            )
        )


def _wait(event: QueueVisit) -> Wait:
    return Wait(
        till=event.till_id or "",
        joined_us=microseconds(event.joined_at),
        wait_s=event.wait_s,
        left_us=microseconds(event.captured_at),
        end=event.end,
        service_s=event.service_s,
        changes=event.changes,
    )


def _built(builders: dict[str, BoxesBuilder]) -> dict[str, Boxes]:
    return {camera: builder.build() for camera, builder in sorted(builders.items())}
