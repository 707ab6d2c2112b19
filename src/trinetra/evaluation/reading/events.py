"""What the platform said: the JSON lines that ``--events FILE`` writes."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from trinetra.errors import MalformedEvent
from trinetra.evaluation.boxes import Boxes, BoxesBuilder
from trinetra.evaluation.reading.lines import malformed, numbered_lines
from trinetra.evaluation.truth import Crossing, Decision, Facts, Findings, Presence, Stay
from trinetra.events.codec import decode
from trinetra.events.schema import (
    AnyEvent,
    DetectionEvent,
    IdentityEvent,
    LineCrossing,
    TracksEvent,
    Visit,
    ZoneStay,
)
from trinetra.values import EPOCH, EventId, Instant

_MICROSECOND = timedelta(microseconds=1)


def microseconds(instant: Instant) -> int:
    """Return the instant as microseconds since 1970."""
    return (instant - EPOCH) // _MICROSECOND


def read_events(path: Path, *, label: str | None = "person") -> Findings:
    """Return what a file of events tells about objects of one label, or of any.

    Events that were sent twice count once; of those that were sent again because they grew, the
    last counts. Raises ConfigurationError with file and line.
    """
    gathered = Gathered(label)
    for number, line in numbered_lines(path):
        try:
            gathered.add(decode(line))
        except MalformedEvent as cause:
            raise malformed(path, number, str(cause)) from cause
    return gathered.findings()


@dataclass(slots=True)
class Gathered:
    """What the events so far tell about objects of one label, or of any."""

    label: str | None = "person"
    _seen: set[EventId] = field(default_factory=set)
    _detections: dict[str, BoxesBuilder] = field(default_factory=lambda: defaultdict(BoxesBuilder))
    _tracks: dict[str, BoxesBuilder] = field(default_factory=lambda: defaultdict(BoxesBuilder))
    _decisions: dict[tuple[str, str], Decision] = field(default_factory=dict)
    _crossings: dict[EventId, Crossing] = field(default_factory=dict)
    _stays: dict[EventId, Stay] = field(default_factory=dict)
    _visits: dict[EventId, Presence] = field(default_factory=dict)

    def add(self, event: AnyEvent) -> None:
        """Take in one event; alerts and occupancy are not scored."""
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
                self._visits[event.event_id] = Presence(
                    event.customer_id,
                    microseconds(event.started_at),
                    microseconds(event.captured_at),
                )
            case _:
                pass

    def findings(self) -> Findings:
        """Return everything."""
        return Findings(
            detections=_built(self._detections),
            tracks=_built(self._tracks),
            decisions=tuple(self._decisions.values()),
            facts=Facts(
                crossings=tuple(self._crossings.values()),
                stays=tuple(self._stays.values()),
                visits=tuple(self._visits.values()),
            ),
        )

    def _wants(self, label: str) -> bool:
        return self.label in {None, label}

    def _add_frame(self, event: DetectionEvent | TracksEvent) -> None:
        at_us = microseconds(event.captured_at)
        if isinstance(event, DetectionEvent):
            boxes = self._detections[event.camera_id]
            for found in event.objects:
                if self._wants(found.label):
                    boxes.add(at_us, None, found.box, found.score)
        else:
            boxes = self._tracks[event.camera_id]
            for track in event.tracks:
                if self._wants(track.label):
                    boxes.add(at_us, track.track_id, track.box)
        boxes.frame(at_us)

    def _decide(self, event: IdentityEvent) -> None:
        key = (event.camera_id, event.track_id)
        before = self._decisions.get(key)
        is_same = before is not None and before.customer == event.customer_id
        self._decisions[key] = Decision(
            camera=event.camera_id,
            track=event.track_id,
            status=event.status,
            customer=event.customer_id,
            decided_us=before.decided_us if before and is_same else microseconds(event.captured_at),
            was_searched=event.evidence.faces_used > 0,
        )


def _built(builders: dict[str, BoxesBuilder]) -> dict[str, Boxes]:
    return {camera: builder.build() for camera, builder in sorted(builders.items())}
