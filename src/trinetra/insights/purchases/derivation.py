"""Derives purchases: each sale, and the person at the till it is attributed to."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from trinetra.events.derivation import Span
from trinetra.events.schema import InsightEvent, Purchase, Receipt, UnpaidStay, Visit, ZoneStay
from trinetra.insights.purchases.association import Pairs, marginals, most_likely
from trinetra.insights.purchases.journeys import Journeys
from trinetra.insights.purchases.policy import PurchasePolicy
from trinetra.insights.purchases.services import (
    Service,
    TillZones,
    groups_of_tills,
    services_at,
    stays_by_zone,
)
from trinetra.insights.purchases.till_clock import Services, TillClock, estimate_clock, pairs_of
from trinetra.values import CameraId, EventId, Instant, after, derive_id, seconds_between

Floats = NDArray[np.float64]
_LEAST_CLAIM = 0.5
"""A service that more likely than not has a receipt is not reported as unpaid."""


@dataclass(frozen=True, slots=True)
class Purchases:
    """The derivation of purchases and of stays at tills without a receipt.

    ``zones_of_till`` has the tills whose customers are seen; the sales of other tills are
    attributed to no person.
    """

    zones_of_till: TillZones
    policy: PurchasePolicy = field(default_factory=PurchasePolicy)
    name: str = "purchases"
    version: int = 1
    inputs: frozenset[str] = frozenset({"receipt", "zone_stay", "visit"})
    outputs: frozenset[str] = frozenset({"purchase", "unpaid_stay"})
    window_s: float = 86_400.0
    margin_s: float = 7_200.0

    def derive(self, span: Span, inputs: Sequence[InsightEvent]) -> Sequence[InsightEvent]:
        """Return the purchases of the receipts in the span, and the unpaid stays that end in it."""
        sales = [e for e in inputs if isinstance(e, Receipt) and e.kind == "sale"]
        stays = [e for e in inputs if isinstance(e, ZoneStay)]
        journeys = Journeys(stays, [e for e in inputs if isinstance(e, Visit)])
        of_till: dict[str, list[Receipt]] = defaultdict(list)
        for sale in sales:
            of_till[sale.till_id].append(sale)
        found: list[InsightEvent] = []
        for tills in groups_of_tills(self.zones_of_till):
            zones = {zone for till in tills for zone in self.zones_of_till[till]}
            hall = _Hall(
                receipts={till: of_till.pop(till) for till in tills if till in of_till},
                services=services_at(
                    stays_by_zone(stays, zones),
                    one_till=len(tills) == 1,
                    party_end_s=self.policy.party_end_s,
                ),
                zones_of_till=self.zones_of_till,
                policy=self.policy,
            )
            found += hall.outputs(journeys)
        found += [_unattributed(sale, 0.0, 0.0) for sales in of_till.values() for sale in sales]
        inside = (event for event in found if span.start <= event.captured_at < span.end)
        return sorted(inside, key=lambda event: (event.captured_at, event.event_id))


@dataclass(frozen=True, slots=True)
class _Hall:
    """Tills that share zones: their sales and the services in these zones."""

    receipts: dict[str, list[Receipt]]
    services: list[Service]
    zones_of_till: TillZones
    policy: PurchasePolicy

    def outputs(self, journeys: Journeys) -> Iterator[InsightEvent]:
        """Yield a purchase of each sale, and the unpaid stays."""
        if not self.receipts:  # the point of sale is not connected: nothing is known to be unpaid
            return
        clocks = {till: self._clock(till) for till in self.receipts}
        sales = [sale for till in sorted(self.receipts) for sale in self.receipts[till]]
        pairs = self._pairs(clocks)
        shares = marginals(pairs)
        partner, unseen = most_likely(pairs), 1.0 - pairs.by_row(shares)
        for row, sale in enumerate(sales):
            clock = clocks[sale.till_id]
            told = _unattributed(
                sale, self._ahead_s(clock, sale), clock.spread_s, float(unseen[row])
            )
            pair = partner.get(row)
            if pair is not None and shares[pair] >= self.policy.least_confidence:
                payer = self.services[int(pairs.column[pair])].payer
                told = _attributed(told, payer, float(shares[pair]), journeys)
            yield told
        yield from self._unpaid(pairs.by_column(shares), clocks)

    @property
    def _origin(self) -> Instant:
        return min(sale.issued_at for sales in self.receipts.values() for sale in sales)

    def _clock(self, till: str) -> TillClock:
        zones = self.zones_of_till[till]
        own = [s for s in self.services if _place(s.payer) in zones]
        return estimate_clock(self._issued_s(till), _as_arrays(own, self._origin), self.policy)

    def _issued_s(self, till: str) -> Floats:
        return np.array([seconds_between(self._origin, s.issued_at) for s in self.receipts[till]])

    def _ahead_s(self, clock: TillClock, sale: Receipt) -> float:
        issued_s = np.array([seconds_between(self._origin, sale.issued_at)])
        return float(clock.ahead_s(issued_s)[0])

    def _pairs(self, clocks: dict[str, TillClock]) -> Pairs:
        """Return the possible pairs of all sales, in the order of their tills, and services."""
        services = _as_arrays(self.services, self._origin)
        parts: list[tuple[NDArray[np.int64], NDArray[np.int64], Floats]] = []
        rows = 0
        for till in sorted(self.receipts):
            zones = self.zones_of_till[till]
            is_there = np.array([_place(s.payer) in zones for s in self.services], np.bool_)
            pairs = pairs_of(self._issued_s(till), services, clocks[till], self.policy)
            here = is_there[pairs.column]
            parts.append((pairs.row[here] + rows, pairs.column[here], pairs.odds[here]))
            rows += pairs.rows
        row, column, odds = (np.concatenate(part) for part in zip(*parts, strict=True))
        return Pairs(row, column, odds, rows, len(self.services))

    def _unpaid(self, claimed: Floats, clocks: dict[str, TillClock]) -> Iterator[UnpaidStay]:
        """Yield services without a receipt, up to the last receipt of a till that it may be of."""
        for service, share in zip(self.services, claimed, strict=True):
            payer = service.payer
            tills = [t for t in self.receipts if _place(payer) in self.zones_of_till[t]]
            known_to = [
                after(
                    self.receipts[t][-1].issued_at, self._ahead_s(clocks[t], self.receipts[t][-1])
                )
                for t in tills
            ]
            was_served = service.length_s >= self.policy.least_service_s
            is_known = bool(known_to) and service.ended_at <= min(known_to)
            if was_served and share < _LEAST_CLAIM and is_known:
                yield _unpaid_stay(payer, tills[0] if len(tills) == 1 else "")


def _as_arrays(services: Iterable[Service], origin: Instant) -> Services:
    rows = [(seconds_between(origin, s.ended_at), s.length_s) for s in services]
    ends_s, lengths_s = np.array(rows, np.float64).reshape(-1, 2).T
    return Services(ends_s, lengths_s)


def _place(stay: ZoneStay) -> tuple[CameraId, str]:
    return stay.camera_id, stay.zone_id


def _attributed(sale: Purchase, payer: ZoneStay, confidence: float, journeys: Journeys) -> Purchase:
    journey = journeys.before(payer)
    return msgspec.structs.replace(
        sale,
        confidence=min(confidence, 1.0),
        camera_id=payer.camera_id,
        stay_id=payer.event_id,
        track_id=payer.track_id,
        customer_id=payer.customer_id,
        kind=payer.kind,
        entered_at=journey.entered_at or msgspec.UNSET,
        zones_before=journey.zones,
    )


def _unattributed(
    sale: Receipt, ahead_s: float, spread_s: float, confidence: float = 1.0
) -> Purchase:
    return Purchase(
        event_id=EventId(derive_id("pur", sale.event_id)),
        site_id=sale.site_id,
        camera_id=CameraId(""),
        captured_at=sale.captured_at,
        receipt_id=sale.receipt_id,
        till_id=sale.till_id,
        paid_at=after(sale.issued_at, ahead_s),
        total_minor=sale.total_minor,
        currency=sale.currency,
        offset_s=ahead_s,
        spread_s=spread_s,
        confidence=min(max(confidence, 0.0), 1.0),
        item_count=sale.item_count,
    )


def _unpaid_stay(payer: ZoneStay, till_id: str) -> UnpaidStay:
    return UnpaidStay(
        event_id=EventId(derive_id("unp", payer.event_id)),
        site_id=payer.site_id,
        camera_id=payer.camera_id,
        captured_at=payer.captured_at,
        till_id=till_id,
        zone_id=payer.zone_id,
        stay_id=payer.event_id,
        track_id=payer.track_id,
        dwell_s=payer.dwell_s,
        customer_id=payer.customer_id,
        kind=payer.kind,
    )
