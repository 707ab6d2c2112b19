"""Vehicle visits, plates and links to customers on the twin, against its truth.

    python benchmarks/vehicles.py --seeds 31 32 33 34

Vehicles run through resolver, insight engine and derivation. Links get the visits of customers from
the truth, because faces have scores of their own: what is measured is what time alone can tell.
"""

import argparse
import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

import numpy as np
from scipy.optimize import linear_sum_assignment

from trinetra.evaluation.intervals import wilson
from trinetra.events.codec import decode
from trinetra.events.derivation import Span
from trinetra.events.plates import PlateKey
from trinetra.events.schema import InsightEvent, LineCrossing, VehicleStay, VehicleVisit, Visit
from trinetra.insights.vehicles.links import LinkPolicy, VehicleLinks
from trinetra.insights.vehicles.visits import VehicleVisits
from trinetra.twin.record import Recorder
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Scenario
from trinetra.twin.shop import built_in_shop
from trinetra.twin.truth import CrossingTruth, VehicleTruth, VisitTruth
from trinetra.values import CameraId, CustomerId, EventId, IdentityKind, Instant, seconds_between
from trinetra.wiring.replay import ReplayInputs, replay
from trinetra.wiring.simulation import face_model, site_of

_KEY = PlateKey(b"the twin's plates are no secret")
_MIN_OVERLAP = 0.5
_TOLD = LinkPolicy().min_confidence


@dataclass(frozen=True)
class Car:
    """A car's time at the site."""

    party_id: str
    plate: str
    since: Instant
    until: Instant


def measure(seed: int, shoppers_per_hour: float, hours: float) -> Counter[str]:
    """Return the counts of one run: true and found visits, plates, links."""
    twin = Twin(built_in_shop(), Scenario(seed, shoppers_per_hour, hours), plate_key=_KEY)
    truth = list(Recorder(twin.world).lines())
    cars = _cars(truth)
    start = twin.scenario.started_at
    span = Span(start - timedelta(days=1), start + timedelta(days=2))
    visits = [v for v in _derived(twin, span) if isinstance(v, VehicleVisit)]
    pairs = _matched(visits, cars)
    counts = Counter(cars=len(cars), visits=len(visits), matched=len(pairs))
    counts["plates"] = sum(visit.plate is not None for visit, _ in pairs)
    counts["exact"] = sum(_reads(visit, car) for visit, car in pairs)
    errors_s = [visit.stay_s - seconds_between(car.since, car.until) for visit, car in pairs]
    print(f"seed {seed}: median error of stays {median(errors_s):+.1f} s", end=" ")
    return counts + _links(visits, {v.event_id: c for v, c in pairs}, truth, span)


def _derived(twin: Twin, span: Span) -> Sequence[InsightEvent]:
    site = site_of(twin.plan)
    plates = site.policies.plates.model_copy(update={"keeps_text": True})
    policies = site.policies.model_copy(update={"plates": plates})
    site = site.model_copy(update={"policies": policies})
    views = {view.camera_id for view in twin.plan.views if "car" in view.labels}
    found: dict[str, InsightEvent] = {}

    def detections() -> Iterator[tuple[CameraId, bytes]]:
        for arrival in twin.arrivals():
            if arrival.camera_id in views:
                yield CameraId(arrival.camera_id), arrival.payload

    def listen(payload: bytes) -> None:
        event = decode(payload)
        if isinstance(event, VehicleStay | LineCrossing):
            found[event.event_id] = event

    inputs = ReplayInputs(site, face_model(twin, "default"), plate_key=_KEY)
    asyncio.run(replay(inputs, detections(), listen))
    ordered = sorted(found.values(), key=lambda event: (event.captured_at, event.event_id))
    return VehicleVisits().derive(span, ordered)


def _cars(truth: Sequence[object]) -> list[Car]:
    spans: dict[str, Car] = {}
    for one in truth:
        if isinstance(one, VehicleTruth):
            plate = "".join(filter(str.isalnum, one.plate))
            known = spans.get(one.vehicle_id, Car(one.party_id, plate, one.from_at, one.to_at))
            since, until = min(known.since, one.from_at), max(known.until, one.to_at)
            spans[one.vehicle_id] = Car(one.party_id, plate, since, until)
    return list(spans.values())


def _matched(visits: Sequence[VehicleVisit], cars: Sequence[Car]) -> list[tuple[VehicleVisit, Car]]:
    """Return the pairs that overlap in time by at least half of both together."""
    overlap = np.array([[_overlap(v, c) + 1e-3 * _reads(v, c) for c in cars] for v in visits])
    rows, columns = linear_sum_assignment(-overlap)
    return [
        (visits[i], cars[j])
        for i, j in zip(rows, columns, strict=True)
        if overlap[i, j] >= _MIN_OVERLAP
    ]


def _overlap(visit: VehicleVisit, car: Car) -> float:
    both = seconds_between(max(visit.captured_at, car.since), min(visit.left_at, car.until))
    any_ = seconds_between(min(visit.captured_at, car.since), max(visit.left_at, car.until))
    return max(0.0, both) / any_ if any_ > 0 else 0.0


def _reads(visit: VehicleVisit, car: Car) -> bool:
    return visit.plate is not None and visit.plate.text == car.plate


def _links(
    visits: Sequence[VehicleVisit], car_of: dict[EventId, Car], truth: Sequence[object], span: Span
) -> Counter[str]:
    entered = {
        one.visit_id: one.at
        for one in reversed(truth)
        if isinstance(one, CrossingTruth) and one.label == "person" and one.direction == "in"
    }
    people = [v for v in truth if isinstance(v, VisitTruth) and v.party_id is not None]
    party_of = {v.visit_id: v.party_id for v in people}
    driven = {car.party_id for car in car_of.values()}
    inputs: list[InsightEvent] = [
        *visits,
        *(_visit(v, entered) for v in people if v.visit_id in entered),
    ]
    counts = Counter(drivers=sum(v.party_id in driven and v.visit_id in entered for v in people))
    for link in VehicleLinks(LinkPolicy(min_confidence=0.0)).derive(span, inputs):
        car = car_of.get(link.vehicle_visit_id)
        is_right = car is not None and party_of[link.visit_id] == car.party_id
        sure = "sure" if link.confidence == 1.0 else "told" if link.confidence >= _TOLD else "rest"
        counts[f"links_{sure}"] += 1
        counts[f"right_{sure}"] += is_right
    return counts


def _visit(of: VisitTruth, entered: dict[str | None, Instant]) -> Visit:
    return Visit(
        event_id=EventId(of.visit_id),
        site_id=built_in_shop().site_id,
        camera_id=CameraId("door"),
        captured_at=of.left_at,
        customer_id=CustomerId(of.person_id),
        kind=IdentityKind.ANONYMOUS,
        started_at=entered[of.visit_id],
        cameras=(CameraId("door"),),
        visit_number=1,
    )


def main() -> None:
    """Print the counts of each seed and of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[31, 32, 33, 34])
    parser.add_argument("--shoppers", type=float, default=60.0)
    parser.add_argument("--hours", type=float, default=1.0)
    options = parser.parse_args()
    total: Counter[str] = Counter()
    for seed in options.seeds:
        counts = measure(seed, options.shoppers, options.hours)
        print(dict(counts), flush=True)
        total += counts
    print("all:", dict(total))
    for part, whole in (("matched", "cars"), ("matched", "visits"), ("exact", "plates")):
        low, high = wilson(total[part], total[whole])
        print(f"{part} of {whole}: {total[part]} of {total[whole]} ({low:.0%} to {high:.0%})")


if __name__ == "__main__":
    main()
