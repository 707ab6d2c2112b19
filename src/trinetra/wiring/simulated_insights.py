"""Insights as they would be without any error of cameras and networks: a twin's ground truth.

For benchmarks and demonstrations that need more days than the pipeline could process in time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

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
from trinetra.twin.record import Recorder
from trinetra.twin.run import Twin
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
    SiteId,
    TrackId,
    derive_id,
    seconds_between,
)

_HOUR = timedelta(hours=1)


@dataclass
class TruthInsights:
    """What the cameras and tills of a twin would report of a day if they missed nothing.

    ``suffix`` is appended to the ids of cameras, tills and people; ``cameras`` are the ids, so
    suffixed, of those that report. Ids of receipts begin with ``receipts``, which must differ
    between the days of a shop, and must be no digest: that may look like a card number.
    """

    twin: Twin
    site_id: SiteId
    suffix: str
    cameras: frozenset[CameraId]
    receipts: str

    def until(self, now: Instant) -> list[InsightEvent]:
        """Return the insights up to an instant, in order, without what is derived from them."""
        told = (event for event in self.insights(now) if event.captured_at <= now)
        return sorted(told, key=lambda event: event.captured_at)

    def insights(self, now: Instant | None = None) -> list[InsightEvent]:
        """Return the insights in no order, without what is derived from them.

        Cameras have watched up to ``now``, by default all the time that the shop was open.
        """
        recorder = Recorder(self.twin.world)
        lines = list(recorder.lines())
        staff = {p.person_id for p in lines if isinstance(p, PersonTruth) and p.kind == "staff"}
        regulars = {p.person_id for p in lines if isinstance(p, PersonTruth) and p.is_regular}
        seen = [event for line in lines if (event := self._event(line, staff, regulars))]
        kept = [event for event in seen if event.camera_id in self.cameras]
        return [*kept, *self._coverage(now), *self._receipts(recorder)]

    def _event(self, line: AnyTruth, staff: set[str], regulars: set[str]) -> InsightEvent | None:
        match line:
            case CrossingTruth(label="person"):
                return LineCrossing(
                    **self._common(line.camera_id, line.at, line.line_id, line.visit_id),
                    **self._who(line.subject_id, staff),
                    line_id=line.line_id,
                    direction=line.direction,
                    track_id=TrackId(f"{line.visit_id}{self.suffix}"),
                    label=PERSON,
                )
            case StayTruth():
                return ZoneStay(
                    **self._common(line.camera_id, line.left_at, line.zone_id, line.visit_id),
                    **self._who(line.person_id, staff),
                    zone_id=line.zone_id,
                    track_id=TrackId(f"{line.visit_id}{self.suffix}"),
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

    def _coverage(self, now: Instant | None) -> Iterator[CameraCoverage]:
        scenario = self.twin.scenario
        for view in self.twin.plan.views:
            for hour in range(round(scenario.open_hours)):
                start = scenario.started_at + hour * _HOUR
                end = min(start + _HOUR, now or start + _HOUR)
                if self._camera(view.camera_id) in self.cameras and start < end:
                    yield CameraCoverage(
                        **self._common(view.camera_id, end, "coverage"),
                        started_at=start,
                        frames=round(view.fps * seconds_between(start, end)),
                    )

    def _receipts(self, recorder: Recorder) -> Iterator[Receipt]:
        for number, told in enumerate(recorder.transactions()):
            document = {
                "receipt_id": f"{self.receipts}-{number}",
                "till_id": f"{told.till_id}{self.suffix}",
                "issued_at": told.issued_at.isoformat(),
                "total_minor": told.amount_cents,
                "currency": told.currency,
                "item_count": told.items,
            }
            yield read_receipt(document, ReceiptRules(self.site_id), None)

    def _camera(self, camera_id: str) -> CameraId:
        return CameraId(f"{camera_id}{self.suffix}")

    def _common(self, camera_id: str, at: Instant, *what: object) -> dict[str, Any]:
        camera = self._camera(camera_id)
        return {
            "event_id": EventId(derive_id("truth", camera, at, *what)),
            "site_id": self.site_id,
            "camera_id": camera,
            "captured_at": at,
        }

    def _who(self, person_id: str, staff: set[str]) -> dict[str, Any]:
        kind = IdentityKind.STAFF if person_id in staff else IdentityKind.ANONYMOUS
        return {"customer_id": CustomerId(f"{person_id}{self.suffix}"), "kind": kind}
