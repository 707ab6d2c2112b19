"""The final results of a run, in a form in which two runs can be compared."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from trinetra.events.customers import CustomerDirectory
from trinetra.events.schema import (
    AlertEvent,
    AnyEvent,
    IdentityEvent,
    IdentityStatus,
    LifecycleEvent,
    LineCrossing,
    Visit,
    ZoneStay,
)
from trinetra.events.visits import unite
from trinetra.values import CameraId, CustomerId, EventId, Instant, TrackId


class Verdict(NamedTuple):
    """The last decision about a track; ``customer`` is the canonical id after all merges."""

    camera: CameraId
    at: Instant
    event_id: EventId
    status: IdentityStatus
    customer: CustomerId | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Final results of a run; ``figures`` are counts by what is counted and of what."""

    verdicts: Mapping[TrackId, Verdict]
    figures: Mapping[tuple[str, str], float]


@dataclass(slots=True)
class OutcomeGathering:
    """Collects the results of a run; visits less than ``visit_gap_s`` apart count as one."""

    visit_gap_s: float
    _decisions: dict[TrackId, IdentityEvent] = field(default_factory=dict)
    _people: CustomerDirectory = field(default_factory=CustomerDirectory)
    _visits: dict[EventId, Visit] = field(default_factory=dict)
    _stays: dict[EventId, ZoneStay] = field(default_factory=dict)
    _crossings: dict[EventId, LineCrossing] = field(default_factory=dict)
    _alerts: dict[EventId, str] = field(default_factory=dict)

    def add(self, event: AnyEvent) -> None:
        """Add one event; of an event that is sent again, the last version counts."""
        match event:
            case IdentityEvent():
                self._decisions[event.track_id] = event
            case LifecycleEvent():
                self._people.follow(event)
            case Visit():
                self._visits[event.event_id] = event
            case ZoneStay():
                self._stays[event.event_id] = event
            case LineCrossing():
                self._crossings[event.event_id] = event
            case AlertEvent():
                self._alerts[event.event_id] = event.rule
            case _:
                pass  # events of single frames

    def outcome(self) -> Outcome:
        """Return the final results."""
        verdicts = {track: self._verdict(event) for track, event in self._decisions.items()}
        return Outcome(verdicts, self._figures(verdicts))

    def _verdict(self, event: IdentityEvent) -> Verdict:
        who = event.customer_id and self._people.canonical(event.customer_id)
        return Verdict(
            event.camera_id, event.captured_at, event.event_id, event.status, who, event.reasons
        )

    def _figures(self, verdicts: Mapping[TrackId, Verdict]) -> dict[tuple[str, str], float]:
        visits = unite(self._visits.values(), self._people.canonical, self.visit_gap_s)
        statuses = Counter(verdict.status for verdict in verdicts.values())
        figures: dict[tuple[str, str], float] = {
            ("tracks", ""): len(verdicts),
            **{("tracks", status): statuses[status] for status in ("known", "new", "unknown")},
            ("identities", ""): len({v.customer for v in verdicts.values() if v.customer}),
            ("visits", ""): len(visits),
            ("unique visitors", ""): len({visit.customer_id for visit in visits}),
        }
        for crossing in self._crossings.values():
            _count(figures, "crossings", f"{crossing.line_id} {crossing.direction}")
        for stay in self._stays.values():
            _count(figures, "stays", stay.zone_id)
            _count(figures, "seconds of stay", stay.zone_id, stay.dwell_s)
        for rule in self._alerts.values():
            _count(figures, "alerts", rule)
        return figures


def _count(figures: dict[tuple[str, str], float], what: str, of: str, by: float = 1.0) -> None:
    figures[what, of] = figures.get((what, of), 0.0) + by
