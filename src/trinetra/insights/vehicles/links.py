"""Links vehicles to the customers who begin a visit soon after, with what it is worth.

Nothing but time connects a car to those who enter: with several cars and parties at once each pair
is as likely as any other, and the confidence says so. Customers who begin at one camera shortly
after each other are one party.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from trinetra.events.derivation import Span
from trinetra.events.schema import InsightEvent, VehicleLink, VehicleVisit, Visit
from trinetra.values import EventId, IdentityKind, derive_id, seconds_between

_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class LinkPolicy:
    """When customers may have come by a vehicle.

    least_s, most_s: how long after the vehicle's arrival their visit begins.
    party_s: how far apart the customers of one party begin theirs.
    min_confidence: a link that is less certain is not told.
    """

    least_s: float = 5.0
    most_s: float = 300.0
    party_s: float = 15.0
    min_confidence: float = 0.3


_Party = tuple[Visit, ...]


@dataclass(frozen=True, slots=True)
class VehicleLinks:
    """The derivation of links between vehicles and customers."""

    policy: LinkPolicy = field(default_factory=LinkPolicy)
    longest_visit_s: float = _DAY_S / 2
    name: str = "vehicle_links"
    version: int = 1
    inputs: frozenset[str] = frozenset({"vehicle_visit", "visit"})
    outputs: frozenset[str] = frozenset({"vehicle_link"})
    window_s: float = _DAY_S

    @property
    def margin_s(self) -> float:
        """A visit is on record at its end, its beginning matters."""
        return self.longest_visit_s + self.policy.most_s

    def derive(self, span: Span, inputs: Sequence[InsightEvent]) -> Sequence[InsightEvent]:
        """Return the links of vehicles that arrive in ``span``."""
        vehicles = [event for event in inputs if isinstance(event, VehicleVisit)]
        parties = list(_parties(inputs, self.policy.party_s))
        pairs = [
            (vehicle, party)
            for vehicle in vehicles
            for party in parties
            if self.policy.least_s <= _delay_s(vehicle, party) <= self.policy.most_s
        ]
        return [
            link
            for vehicle, party in pairs
            if span.start <= vehicle.captured_at < span.end
            for link in self._links(vehicle, party, pairs)
        ]

    def _links(
        self, vehicle: VehicleVisit, party: _Party, pairs: Sequence[tuple[VehicleVisit, _Party]]
    ) -> Iterator[VehicleLink]:
        rivals = sum(other is vehicle for other, _ in pairs)
        rivals = max(rivals, sum(other is party for _, other in pairs))
        if 1 / rivals >= self.policy.min_confidence:
            for visit in party:
                yield _link(vehicle, visit, round(1 / rivals, 3))


def _parties(inputs: Sequence[InsightEvent], party_s: float) -> Iterator[_Party]:
    """Yield the customers who begin their visits at one camera shortly after each other."""
    visits = sorted(
        (v for v in inputs if isinstance(v, Visit) and not v.withdrawn and _is_customer(v)),
        key=lambda visit: (visit.camera_id, visit.started_at, visit.event_id),
    )
    party: list[Visit] = []
    for visit in visits:
        if party and not _is_together(party[-1], visit, party_s):
            yield tuple(party)
            party = []
        party.append(visit)
    if party:
        yield tuple(party)


def _is_customer(visit: Visit) -> bool:
    return visit.kind is not IdentityKind.STAFF


def _is_together(first: Visit, second: Visit, party_s: float) -> bool:
    is_there = first.camera_id == second.camera_id
    return is_there and seconds_between(first.started_at, second.started_at) <= party_s


def _delay_s(vehicle: VehicleVisit, party: _Party) -> float:
    return seconds_between(vehicle.captured_at, party[0].started_at)


def _link(vehicle: VehicleVisit, visit: Visit, confidence: float) -> VehicleLink:
    return VehicleLink(
        event_id=EventId(derive_id("carlink", vehicle.event_id, visit.event_id)),
        site_id=vehicle.site_id,
        camera_id=vehicle.camera_id,
        captured_at=vehicle.captured_at,
        vehicle_visit_id=vehicle.event_id,
        visit_id=visit.event_id,
        customer_id=visit.customer_id,
        kind=visit.kind,
        delay_s=round(seconds_between(vehicle.captured_at, visit.started_at), 3),
        confidence=confidence,
    )
