"""Derives journeys: the zones in which a customer stayed during a visit, in order.

Only people whose face was recognized, or who were linked to one by their body, have a journey, and
only their identified tracks are in it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from trinetra.events.derivation import Span
from trinetra.events.schema import InsightEvent, Journey, JourneyStep, Visit, ZoneStay
from trinetra.values import CustomerId, EventId, IdentityKind, after, derive_id

_LONGEST_S = 4 * 3600.0
"""Of a longer visit only the end, from this long before it, is sure to be in its journey.

Every stay lets the windows within this reach be derived anew, so it should not be much longer than
visits are.
"""
_SLACK_S = 2.0
"""Stays may begin and end this much outside of a visit, because cameras' clocks differ."""


@dataclass(frozen=True, slots=True)
class Journeys:
    """The derivation of journeys; a journey belongs to the end of its visit."""

    name: str = "journeys"
    version: int = 1
    inputs: frozenset[str] = frozenset({"visit", "zone_stay"})
    outputs: frozenset[str] = frozenset({"journey"})
    window_s: float = _LONGEST_S
    margin_s: float = _LONGEST_S

    def derive(self, span: Span, inputs: Sequence[InsightEvent]) -> Sequence[Journey]:
        """Return the journeys of the visits that ended in the span, by their end."""
        stays: dict[CustomerId, list[ZoneStay]] = defaultdict(list)
        for event in inputs:
            if isinstance(event, ZoneStay) and event.customer_id:
                stays[event.customer_id].append(event)
        visits = [event for event in inputs if isinstance(event, Visit) and _counts(event)]
        ended = (visit for visit in visits if span.start <= visit.captured_at < span.end)
        journeys = (_journey(visit, stays[visit.customer_id]) for visit in ended)
        return [journey for journey in journeys if journey.steps]


def _counts(visit: Visit) -> bool:
    return visit.withdrawn is not True and visit.kind is not IdentityKind.STAFF


def _journey(visit: Visit, stays: Iterable[ZoneStay]) -> Journey:
    first, last = after(visit.started_at, -_SLACK_S), after(visit.captured_at, _SLACK_S)
    during = [s for s in stays if first <= s.entered_at and s.captured_at <= last]
    return Journey(
        event_id=EventId(derive_id("journey", visit.event_id)),
        site_id=visit.site_id,
        camera_id=visit.camera_id,
        captured_at=visit.captured_at,
        visit_id=visit.event_id,
        customer_id=visit.customer_id,
        started_at=visit.started_at,
        steps=tuple(_steps(during)),
    )


def _steps(stays: Iterable[ZoneStay]) -> Iterator[JourneyStep]:
    """Yield a step for each run of stays in one zone."""
    step: JourneyStep | None = None
    for stay in sorted(stays, key=lambda stay: (stay.entered_at, stay.event_id)):
        if step and (step.camera_id, step.zone_id) == (stay.camera_id, stay.zone_id):
            step = replace(step, dwell_s=round(step.dwell_s + stay.dwell_s, 3))
            continue
        if step:
            yield step
        step = JourneyStep(stay.camera_id, stay.zone_id, stay.entered_at, stay.dwell_s)
    if step:
        yield step
