"""The way of a person through the shop before a payment."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from trinetra.events.schema import Visit, ZoneStay
from trinetra.values import CustomerId, Instant, TrackId


class Journey(NamedTuple):
    """When a person came, None if that is unknown, and the zones of their stays until then."""

    entered_at: Instant | None
    zones: tuple[str, ...]


class Journeys:
    """Stays and visits, by person."""

    def __init__(self, stays: Iterable[ZoneStay], visits: Iterable[Visit]) -> None:
        self._of_customer: dict[CustomerId, list[ZoneStay]] = defaultdict(list)
        self._of_track: dict[TrackId, list[ZoneStay]] = defaultdict(list)
        self._visits: dict[CustomerId, list[Visit]] = defaultdict(list)
        for stay in stays:
            self._of_track[stay.track_id].append(stay)
            if stay.customer_id is not None:
                self._of_customer[stay.customer_id].append(stay)
        for visit in visits:
            if not visit.withdrawn:
                self._visits[visit.customer_id].append(visit)

    def before(self, payment: ZoneStay) -> Journey:
        """Return the journey that led to a stay at a till.

        Of a person who is not a known customer only the way within the same view is known.
        """
        customer = payment.customer_id
        if customer is None:
            return Journey(None, _zones(self._of_track[payment.track_id], payment, None))
        visit = max(
            (v for v in self._visits[customer] if v.started_at <= payment.captured_at),
            key=lambda v: (v.started_at, v.event_id),
            default=None,
        )
        entered_at = visit.started_at if visit else None
        return Journey(entered_at, _zones(self._of_customer[customer], payment, entered_at))


def _zones(stays: Iterable[ZoneStay], payment: ZoneStay, since: Instant | None) -> tuple[str, ...]:
    earlier = sorted(
        (stay.entered_at, stay.event_id, f"{stay.camera_id}/{stay.zone_id}")
        for stay in stays
        if stay.entered_at < payment.entered_at
        and stay.event_id != payment.event_id
        and (since is None or stay.captured_at >= since)
    )
    return tuple(dict.fromkeys(zone for _, _, zone in earlier))
