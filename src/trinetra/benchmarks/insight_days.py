"""Days of a large store as insights: the ground truth of several twins, and what is derived of it.

A wing is one twin of the built-in shop. Cameras, tills and people of a wing carry its number, so a
store of 20 cameras is three wings of six cameras and a part of a fourth. No person is missed and
everybody is recognized: more is on record than in a real store with as many people.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count, islice
from typing import Any, NamedTuple

import msgspec

from trinetra.events.derivation import Derivation, Span
from trinetra.events.receipts import ReceiptRules, read_receipt
from trinetra.events.schema import (
    CameraCoverage,
    InsightEvent,
    LineCrossing,
    Receipt,
    VehicleVisit,
    Visit,
    ZoneStay,
)
from trinetra.insights.config import PERSON
from trinetra.site import Site
from trinetra.twin.plan import FloorPlan, View
from trinetra.twin.record import Recorder
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Scenario
from trinetra.twin.shop import built_in_shop
from trinetra.twin.truth import (
    AnyTruth,
    CrossingTruth,
    PersonTruth,
    StayTruth,
    VehicleTruth,
    VisitTruth,
)
from trinetra.values import (
    CameraId,
    CustomerId,
    EventId,
    IdentityKind,
    Instant,
    TrackId,
    derive_id,
    seconds_between,
)
from trinetra.wiring.config import derivations
from trinetra.wiring.simulation import site_document

DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_SEEDS_PER_DAY = 100
_OPENING = {
    "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
    "opens": "09:00",
    "closes": "21:00",
}
"""A day of the twin begins at nine, see ``Scenario``, and has twelve hours."""


class StoreSize(NamedTuple):
    """Cameras of a store, and shoppers an hour in each wing."""

    cameras: int = 20
    shoppers_per_hour: float = 60.0
    open_hours: float = 12.0  # as in the site's opening hours


@dataclass(frozen=True, slots=True)
class LargeStore:
    """A store of several wings."""

    size: StoreSize
    plan: FloorPlan

    @classmethod
    def of(cls, size: StoreSize) -> "LargeStore":
        """Return a store of a size."""
        return cls(size, built_in_shop())

    def views(self) -> list[tuple[int, View]]:
        """Return the cameras, with the number of their wing."""
        pairs = ((wing, view) for wing in count(1) for view in self.plan.views)
        return list(islice(pairs, self.size.cameras))

    def site(self) -> Site:
        """Return the store as a site."""
        document = site_document(self.plan)
        by_id = {camera["id"]: camera for camera in document["cameras"]}
        cameras = [_in_wing(by_id[view.camera_id], wing) for wing, view in self.views()]
        changed = {"cameras": cameras, "topology": {}, "opening_hours": [_OPENING]}
        return Site.model_validate({**document, **changed})

    def day(self, number: int) -> list[InsightEvent]:
        """Return the insights of one simulated day, the first of the twin's calendar."""
        site = self.site()
        cameras = frozenset(camera.camera_id for camera in site.cameras)
        seen: list[InsightEvent] = []
        for wing in sorted({wing for wing, _ in self.views()}):
            scenario = Scenario(
                number * _SEEDS_PER_DAY + wing,
                self.size.shoppers_per_hour,
                self.size.open_hours,
                open_hours=self.size.open_hours,
            )
            seen += _Wing(wing, Twin(self.plan, scenario), site, cameras).insights()
        return [*seen, *_derived(derivations(site), seen)]


def shifted(event: InsightEvent, days: int) -> InsightEvent:
    """Return an insight as it would have been that many days later."""
    later = DAY * days
    moved: dict[str, Any] = {
        name: value + later
        for name in event.__struct_fields__
        if isinstance(value := getattr(event, name), datetime)
    }
    moved["event_id"] = EventId(derive_id("year", event.event_id, days))
    return msgspec.structs.replace(event, **moved)


def _in_wing(camera: dict[str, Any], wing: int) -> dict[str, Any]:
    zones = [
        {**zone, "tills": [f"{till}-{wing}" for till in zone["tills"]]} for zone in camera["zones"]
    ]
    return {**camera, "id": f"{camera['id']}-{wing}", "zones": zones}


@dataclass
class _Wing:
    """What the cameras and tills of one wing report of a day."""

    number: int
    twin: Twin
    site: Site
    cameras: frozenset[CameraId]

    def insights(self) -> list[InsightEvent]:
        """Return the insights in no order, without what is derived from them."""
        recorder = Recorder(self.twin.world)
        lines = list(recorder.lines())
        staff = {p.person_id for p in lines if isinstance(p, PersonTruth) and p.kind == "staff"}
        regulars = {p.person_id for p in lines if isinstance(p, PersonTruth) and p.is_regular}
        seen = [event for line in lines if (event := self._event(line, staff, regulars))]
        kept = [event for event in seen if event.camera_id in self.cameras]
        return [*kept, *self._coverage(), *self._receipts(recorder)]

    def _event(self, line: AnyTruth, staff: set[str], regulars: set[str]) -> InsightEvent | None:
        match line:
            case CrossingTruth(label="person"):
                return LineCrossing(
                    **self._common(line.camera_id, line.at, line.line_id, line.visit_id),
                    **self._who(line.subject_id, staff),
                    line_id=line.line_id,
                    direction=line.direction,
                    track_id=TrackId(f"{line.visit_id}-{self.number}"),
                    label=PERSON,
                )
            case StayTruth():
                return ZoneStay(
                    **self._common(line.camera_id, line.left_at, line.zone_id, line.visit_id),
                    **self._who(line.person_id, staff),
                    zone_id=line.zone_id,
                    track_id=TrackId(f"{line.visit_id}-{self.number}"),
                    label=PERSON,
                    entered_at=line.entered_at,
                    dwell_s=seconds_between(line.entered_at, line.left_at),
                )
            case VisitTruth():
                return Visit(
                    **self._common("entrance", line.left_at, line.visit_id),
                    **self._who(line.person_id, staff),
                    started_at=line.arrived_at,
                    cameras=(self._camera("entrance"),),
                    visit_number=2 if line.person_id in regulars else 1,
                )
            case VehicleTruth():
                return VehicleVisit(
                    **self._common("parking", line.from_at, line.vehicle_id),
                    left_at=line.to_at,
                    stay_s=seconds_between(line.from_at, line.to_at),
                    label="car",
                    stays=(),
                    cameras=(self._camera("parking"),),
                )
        return None

    def _coverage(self) -> Iterator[CameraCoverage]:
        for view in self.twin.plan.views:
            for hour in range(round(self.twin.scenario.open_hours)):
                start = self.twin.scenario.started_at + hour * _HOUR
                if self._camera(view.camera_id) in self.cameras:
                    yield CameraCoverage(
                        **self._common(view.camera_id, start + _HOUR, "coverage"),
                        started_at=start,
                        frames=round(view.fps * _HOUR.total_seconds()),
                    )

    def _receipts(self, recorder: Recorder) -> Iterator[Receipt]:
        for number, told in enumerate(recorder.transactions()):
            document = {
                "receipt_id": f"{self.number}-{number}",  # a digest may look like a card number
                "till_id": f"{told.till_id}-{self.number}",
                "issued_at": told.issued_at.isoformat(),
                "total_minor": told.amount_cents,
                "currency": told.currency,
                "item_count": told.items,
            }
            yield read_receipt(document, ReceiptRules(self.site.site_id), None)

    def _camera(self, camera_id: str) -> CameraId:
        return CameraId(f"{camera_id}-{self.number}")

    def _common(self, camera_id: str, at: Instant, *what: object) -> dict[str, Any]:
        camera = self._camera(camera_id)
        return {
            "event_id": EventId(derive_id("truth", camera, at, *what)),
            "site_id": self.site.site_id,
            "camera_id": camera,
            "captured_at": at,
        }

    def _who(self, person_id: str, staff: set[str]) -> dict[str, Any]:
        kind = IdentityKind.STAFF if person_id in staff else IdentityKind.ANONYMOUS
        return {"customer_id": CustomerId(f"{person_id}-{self.number}"), "kind": kind}


def _derived(
    order: Sequence[Derivation], observed: Sequence[InsightEvent]
) -> Iterator[InsightEvent]:
    """Yield what follows from the insights of a day, inputs before outputs."""
    known = list(observed)
    for derivation in order:
        if any(_tag(event) in derivation.outputs for event in observed):
            continue
        made = list(_outputs(derivation, known))
        known += made
        yield from made


def _outputs(derivation: Derivation, known: Sequence[InsightEvent]) -> Iterator[InsightEvent]:
    read = [event for event in known if _tag(event) in derivation.inputs]
    read.sort(key=lambda event: (event.captured_at, event.event_id))
    margin, window = (timedelta(seconds=s) for s in (derivation.margin_s, derivation.window_s))
    if not read:
        return
    start = read[0].captured_at.replace(hour=0, minute=0, second=0, microsecond=0)
    while start <= read[-1].captured_at:
        span = Span(start, start + window)
        near = [e for e in read if start - margin <= e.captured_at < span.end + margin]
        yield from derivation.derive(span, near)
        start = span.end


def _tag(event: InsightEvent) -> str:
    return str(type(event).__struct_config__.tag)
