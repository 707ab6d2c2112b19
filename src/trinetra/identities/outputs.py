"""Output records of a batch of detections, by the partition of their input."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from trinetra.events.codec import encode
from trinetra.events.schema import (
    AlertEvent,
    AnyEvent,
    DetectionEvent,
    IdentityEvent,
    TrackPlate,
)
from trinetra.events.topics import ALERTS, CUSTOMERS, IDENTITIES, Topic
from trinetra.identities.decision.events import (
    identity_event,
    lifecycle_events,
    track_ended,
    tracks_event,
)
from trinetra.identities.decision.track_identity import FrameHeader, FrameOutcome, TrackIdentity
from trinetra.ports import Record, TopicPartition
from trinetra.telemetry import ALERTS as ALERTS_RAISED
from trinetra.telemetry import IDENTITIES as IDENTITIES_DECIDED
from trinetra.telemetry import IDENTITY_AGE_S
from trinetra.values import Instant, SiteId, TrackId, seconds_between


class Outputs:
    """Collects the records to commit; ``take`` hands them over, ``forget`` drops them."""

    def __init__(self, site_id: SiteId) -> None:
        self._site_id = site_id
        self._records: defaultdict[TopicPartition, list[Record]] = defaultdict(list)
        self._announced: list[IdentityEvent] = []

    def add(self, home: TopicPartition, record: Record) -> None:
        """Add a record that was built elsewhere, such as a dead letter."""
        self._records[home].append(record)

    def add_frame(
        self,
        home: TopicPartition,
        event: DetectionEvent,
        outcome: FrameOutcome,
        changed: Iterable[TrackIdentity],
        alerts: Iterable[AlertEvent],
        plates: Mapping[TrackId, TrackPlate] = MappingProxyType({}),
    ) -> None:
        """Add a frame's track positions with their plates, new decisions and alerts."""
        self._decide(home, FrameHeader.of(event), changed, outcome.ended)
        records = self._records[home]
        records.append(_record(IDENTITIES, tracks_event(event, outcome, plates)))
        for alert in alerts:
            ALERTS_RAISED.labels(alert.rule).inc()
            records.append(_record(ALERTS, alert))

    def add_end(
        self,
        home: TopicPartition,
        last: FrameHeader,
        changed: Iterable[TrackIdentity],
        ended: tuple[TrackIdentity, ...],
    ) -> None:
        """Add the end of tracks that ended with a camera's last frame."""
        self._decide(home, last, changed, ended)
        self._records[home].append(_record(IDENTITIES, track_ended(last, ended)))

    def add_change(self, home: TopicPartition, last: FrameHeader, changed: TrackIdentity) -> None:
        """Add a decision on a track that was not caused by a frame of its camera."""
        self._decide(home, last, [changed], ())

    def take(self) -> dict[TopicPartition, list[Record]]:
        """Return all records by partition, and start over."""
        records, self._records = self._records, defaultdict(list)
        return records

    def forget(self, home: TopicPartition) -> None:
        """Drop the records of a partition that another resolver owns now."""
        self._records.pop(home, None)

    def note_committed(self, now: Instant) -> None:
        """Observe the age of the decisions that have just been committed."""
        for event in self._announced:
            IDENTITY_AGE_S.labels(event.camera_id).observe(seconds_between(event.captured_at, now))
        self._announced.clear()

    def _decide(
        self,
        home: TopicPartition,
        frame: FrameHeader,
        changed: Iterable[TrackIdentity],
        ended: Iterable[TrackIdentity],
    ) -> None:
        changed, where = tuple(changed), (self._site_id, frame.camera_id, frame.captured_at)
        records = self._records[home]
        for identity in changed:
            event = identity_event(identity, *where)
            IDENTITIES_DECIDED.labels(event.camera_id, event.status).inc()
            self._announced.append(event)
            records.append(_record(IDENTITIES, event))
        for life in lifecycle_events(*where, changed, ended):
            records.append(Record(CUSTOMERS, life.customer_id, encode(life)))


def _record(topic: Topic, event: AnyEvent) -> Record:
    return Record(topic, event.camera_id, encode(event))
