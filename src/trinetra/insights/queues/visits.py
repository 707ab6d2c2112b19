"""Derives visits to queues from stays in queue and till zones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trinetra.events.derivation import Span
from trinetra.events.schema import InsightEvent, QueueVisit, ZoneStay
from trinetra.insights.config import PERSON
from trinetra.insights.queues.errands import Errand, errands_of
from trinetra.insights.queues.parties import parties_of
from trinetra.insights.queues.persons import persons_of
from trinetra.insights.queues.plan import QueuePlan
from trinetra.values import EventId, IdentityKind, SiteId, derive_id, seconds_between

_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class QueueVisits:
    """The derivation of queue visits; a visit belongs to the instant at which it ended."""

    plan: QueuePlan
    name: str = "queues"
    version: int = 1
    inputs: frozenset[str] = frozenset({"zone_stay"})
    outputs: frozenset[str] = frozenset({"queue_visit"})
    window_s: float = _HOUR_S
    margin_s: float = _HOUR_S

    def derive(self, span: Span, inputs: Sequence[InsightEvent]) -> Sequence[QueueVisit]:
        """Return the visits that ended in the span, by their end."""
        errands = [e for p in persons_of(_stays(inputs), self.plan) for e in errands_of(p)]
        sites = {event.site_id for event in inputs}
        return [
            _visit(min(sites), party)
            for party in parties_of(errands, self.plan)
            if span.start <= party.left_at < span.end
        ]


def _stays(inputs: Sequence[InsightEvent]) -> Iterator[ZoneStay]:
    for event in inputs:
        is_customer = isinstance(event, ZoneStay) and event.kind is not IdentityKind.STAFF
        if is_customer and isinstance(event, ZoneStay) and event.label == PERSON:
            yield event


def _visit(site_id: SiteId, party: Errand) -> QueueVisit:
    place = site_id, party.camera_id, party.queue_id, party.till_id
    until = party.served_at or party.left_at
    since = party.waited_since
    return QueueVisit(
        event_id=EventId(derive_id("queue", *place, party.track_id, party.came_at)),
        site_id=site_id,
        camera_id=party.camera_id,
        captured_at=party.left_at,
        queue_id=party.queue_id,
        till_id=party.till_id,
        joined_at=party.came_at,
        served_at=party.served_at,
        end=party.end,
        wait_s=None if since is None else round(seconds_between(since, until), 3),
        service_s=None
        if party.served_at is None
        else round(seconds_between(party.served_at, party.left_at), 3),
        changes=party.changes,
        persons=party.persons,
        track_id=party.track_id,
        customer_id=party.customer_id,
    )
