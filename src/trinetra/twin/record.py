"""Derives ground truth and receipts from a world: visits, tracks, crossings, stays, queues."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trinetra.twin.camera import Camera
from trinetra.twin.plan import Line, Point, Zone
from trinetra.twin.point_of_sale import till_clocks
from trinetra.twin.sensing import Bodies, cars_in_view, people_in_view
from trinetra.twin.tills import Ticket
from trinetra.twin.truth import (
    AnyTruth,
    CameraTruth,
    CrossingTruth,
    PathTruth,
    PersonTruth,
    PurchaseTruth,
    QueueTruth,
    RunTruth,
    StayTruth,
    TrackTruth,
    Transaction,
    VehicleTruth,
    VisitTruth,
)
from trinetra.twin.walks import Path
from trinetra.twin.world import Purchase, Stay, World
from trinetra.values import Instant, derive_id

Array = NDArray[np.float64]
STEP_S = 0.1
"""Tracks, crossings and stays are derived from positions this far apart."""
TRACK_GAP_S = 2.0
STAY_GAP_S = 1.5
"""Shorter absences do not end a track or a stay."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Path of a foot point through one image: seconds, and image points 0..1, each ``(n,)``."""

    t: Array
    u: Array
    v: Array


@dataclass
class Recorder:
    """Derives the ground truth of a world."""

    world: World

    def lines(self) -> Iterator[AnyTruth]:
        """Yield all ground truth except the frames."""
        yield self._run()
        yield from self._people()
        stays = [stay for stay in self.world.stays if self._span(stay.path)]
        yield from map(self._visit, stays)
        yield from map(self._path, stays)
        for camera in self._cameras:
            yield from self._seen_people(camera, stays)
            yield from self._seen_cars(camera)
        yield from self._vehicles()
        yield from self._queues()
        yield from self._purchases()

    def transactions(self) -> Iterator[Transaction]:
        """Yield the receipts of the recorded windows in order of payment."""
        clocks = till_clocks(self.world)
        for purchase in self._paid:
            yield Transaction(
                transaction_id=self._transaction_id(purchase),
                site_id=self.world.plan.site_id,
                till_id=purchase.till_id,
                at=self._at(purchase.paid_s),
                issued_at=self._at(clocks[purchase.till_id].issued_s(purchase)),
                items=purchase.items,
                amount_cents=purchase.amount_cents,
                tender=purchase.tender,
                plate=purchase.plate,
            )

    # --- the run and its people ---------------------------------------------------------------

    def _run(self) -> RunTruth:
        scenario = self.world.scenario
        return RunTruth(
            site_id=self.world.plan.site_id,
            seed=scenario.seed,
            shoppers_per_hour=scenario.shoppers_per_hour,
            hours=scenario.hours,
            windows=tuple((self._at(a), self._at(b)) for a, b in scenario.windows()),
            cameras=tuple(_camera_truth(camera) for camera in self._cameras),
        )

    def _people(self) -> Iterator[PersonTruth]:
        present = {stay.person.index for stay in self.world.stays if self._span(stay.path)}
        for person in self.world.people:
            if person.index in present:
                twin = person.look_alike_of
                yield PersonTruth(
                    person_id=person.person_id,
                    kind=person.kind,
                    is_regular=person.is_regular,
                    height_m=person.height_m,
                    look_alike_of=None if twin is None else self.world.people[twin].person_id,
                )

    def _visit(self, stay: Stay) -> VisitTruth:
        start, end = self._span(stay.path) or (stay.path.start_s, stay.path.end_s)
        return VisitTruth(
            visit_id=stay.visit_id,
            person_id=stay.person.person_id,
            party_id=_party_id(stay.party) if stay.party >= 0 else None,
            arrived_at=self._at(start),
            left_at=self._at(end),
            outcome=stay.outcome,
            is_whole=end == stay.path.end_s,
            plate=self._plates.get(stay.party),
        )

    def _path(self, stay: Stay) -> PathTruth:
        path = stay.path
        start, end = self._span(path) or (path.start_s, path.end_s)
        t = np.append(path.t[path.t < end], end)
        x, y, _, _ = path.at(t)
        knots = np.stack([t - start, x, y], axis=1).round(3).tolist()
        return PathTruth(visit_id=stay.visit_id, knots=tuple((a, b, c) for a, b, c in knots))

    # --- what cameras could see ---------------------------------------------------------------

    def _seen_people(self, camera: Camera, stays: Sequence[Stay]) -> Iterator[AnyTruth]:
        view = camera.view
        if "person" not in view.labels:
            return
        for stay in stays:
            t = self._grid(stay.path)
            heights = np.array([stay.person.height_m])
            trace = _trace(camera, t, people_in_view(camera, t, [stay], heights))
            who = {"visit_id": stay.visit_id, "person_id": stay.person.person_id}
            for begin, end in spells(trace.t, TRACK_GAP_S):
                yield TrackTruth(
                    camera_id=view.camera_id, from_at=self._at(begin), to_at=self._at(end), **who
                )
            yield from self._crossings(camera, trace, "person", who["person_id"], stay.visit_id)
            for zone in view.zones:
                inside = is_inside(zone, trace.u, trace.v)
                for begin, end in spells(trace.t[inside], STAY_GAP_S):
                    yield StayTruth(
                        camera_id=view.camera_id,
                        zone_id=zone.zone_id,
                        entered_at=self._at(begin),
                        left_at=self._at(end),
                        **who,
                    )

    def _seen_cars(self, camera: Camera) -> Iterator[AnyTruth]:
        if "car" not in camera.view.labels:
            return
        for drive in self.world.drives:
            if self._span(drive.path):
                t = self._grid(drive.path)
                trace = _trace(camera, t, cars_in_view(camera, t, [drive]))
                yield from self._crossings(camera, trace, "car", drive.vehicle_id, None)

    def _crossings(
        self,
        camera: Camera,
        trace: Trace,
        label: Literal["person", "car"],
        subject_id: str,
        visit_id: str | None,
    ) -> Iterator[CrossingTruth]:
        for line in camera.view.lines:
            for at, direction in crossings(line, trace):
                yield CrossingTruth(
                    camera_id=camera.view.camera_id,
                    line_id=line.line_id,
                    direction=direction,
                    at=self._at(at),
                    label=label,
                    subject_id=subject_id,
                    visit_id=visit_id,
                )

    # --- tills and cars -----------------------------------------------------------------------

    def _queues(self) -> Iterator[QueueTruth]:
        for party, ticket in self._tickets.items():
            if ticket.end is None or ticket.left_s is None or not self._is_recorded(ticket.left_s):
                continue
            served = ticket.served_s
            yield QueueTruth(
                party_id=_party_id(party),
                person_ids=self._members[party],
                joined_at=self._at(ticket.joined_s),
                left_at=self._at(ticket.left_s),
                end=ticket.end,
                wait_s=round((served or ticket.left_s) - ticket.joined_s, 3),
                till_id=self.world.plan.tills[ticket.places[-1].till].till_id
                if ticket.places
                else None,
                service_s=None if served is None else round(ticket.left_s - served, 3),
                changes=ticket.changes,
            )

    def _purchases(self) -> Iterator[PurchaseTruth]:
        for purchase in self._paid:
            yield PurchaseTruth(
                transaction_id=self._transaction_id(purchase),
                party_id=_party_id(purchase.party),
                person_ids=self._members[purchase.party],
            )

    def _vehicles(self) -> Iterator[VehicleTruth]:
        for drive in self.world.drives:
            if span := self._span(drive.path):
                yield VehicleTruth(
                    vehicle_id=drive.vehicle_id,
                    plate=drive.plate,
                    party_id=_party_id(drive.party),
                    from_at=self._at(span[0]),
                    to_at=self._at(span[1]),
                )

    @cached_property
    def _tickets(self) -> dict[int, Ticket]:
        return {s.party: s.queue for s in self.world.stays if s.queue is not None}

    @cached_property
    def _members(self) -> dict[int, tuple[str, ...]]:
        members: dict[int, tuple[str, ...]] = {}
        for stay in self.world.stays:
            members[stay.party] = (*members.get(stay.party, ()), stay.person.person_id)
        return members

    @cached_property
    def _plates(self) -> dict[int, str]:
        return {drive.party: drive.plate for drive in self.world.drives}

    @cached_property
    def _paid(self) -> list[Purchase]:
        return [p for p in self.world.purchases if self._is_recorded(p.paid_s)]

    @cached_property
    def _cameras(self) -> list[Camera]:
        return [Camera(view) for view in self.world.plan.views]

    # --- time ---------------------------------------------------------------------------------

    @cached_property
    def _windows(self) -> list[tuple[float, float]]:
        return self.world.scenario.windows()

    def _span(self, path: Path) -> tuple[float, float] | None:
        """Return the recorded part of a path, or None if no part was recorded."""
        for opens, closes in self._windows:
            if path.start_s < closes and path.end_s > opens:
                return max(path.start_s, opens), min(path.end_s, closes)
        return None

    def _is_recorded(self, t: float) -> bool:
        return any(opens <= t < closes for opens, closes in self._windows)

    def _grid(self, path: Path) -> Array:
        start, end = self._span(path) or (path.start_s, path.end_s)
        return np.arange(np.ceil(start / STEP_S), np.floor(end / STEP_S) + 1) * STEP_S

    def _at(self, t: float) -> Instant:
        return self.world.scenario.started_at + timedelta(microseconds=round(t * 1e6))

    def _transaction_id(self, purchase: Purchase) -> str:
        site_id, seed = self.world.plan.site_id, self.world.scenario.seed
        return derive_id("pos", site_id, seed, purchase.till_id, self._at(purchase.paid_s))


def _party_id(party: int) -> str:
    return f"g{party:06d}"


def _camera_truth(camera: Camera) -> CameraTruth:
    view = camera.view
    rows = camera.floor_to_image.tolist()
    return CameraTruth(
        camera_id=view.camera_id,
        role=view.role,
        fps=view.fps,
        width=view.width,
        height=view.height,
        floor_to_image=tuple((a, b, c) for a, b, c in rows),
        field=tuple(camera.field()),
        lines=tuple(line.line_id for line in view.lines),
        zones=tuple(zone.zone_id for zone in view.zones),
    )


def _trace(camera: Camera, t: Array, bodies: Bodies) -> Trace:
    """Return the foot points as line counting sees them: the middle of the box's lower edge."""
    x1, _, x2, y2 = bodies.xyxy.T
    width, height = camera.view.width, camera.view.height
    return Trace(t[bodies.frame], (x1 + x2) / 2 / width, y2 / height)


def spells(t: Array, gap_s: float) -> list[tuple[float, float]]:
    """Return first and last instant of every run without a gap of more than ``gap_s``."""
    if not len(t):
        return []
    breaks = np.flatnonzero(np.diff(t) > gap_s) + 1
    firsts, lasts = np.append(0, breaks), np.append(breaks - 1, len(t) - 1)
    return list(zip(t[firsts].tolist(), t[lasts].tolist(), strict=True))


def crossings(line: Line, trace: Trace) -> list[tuple[float, Literal["in", "out"]]]:
    """Return time and direction of each line crossing, interpolated between adjacent positions."""
    (ax, ay), (bx, by) = line.a, line.b
    side = (bx - ax) * (trace.v - ay) - (by - ay) * (trace.u - ax)
    before, after = side[:-1], side[1:]
    share = np.clip(before / np.where(before == after, 1.0, before - after), 0, 1)
    u = trace.u[:-1] + share * np.diff(trace.u)
    v = trace.v[:-1] + share * np.diff(trace.v)
    along = (u - ax) * (bx - ax) + (v - ay) * (by - ay)
    within = (along >= 0) & (along <= (bx - ax) ** 2 + (by - ay) ** 2)
    near = np.diff(trace.t) < TRACK_GAP_S
    rows = np.flatnonzero(((before < 0) != (after < 0)) & within & near)
    at = trace.t[rows] + share[rows] * np.diff(trace.t)[rows]
    return [
        (when, "in" if rises else "out")
        for when, rises in zip(at.tolist(), (after[rows] >= 0).tolist(), strict=True)
    ]


def is_inside(zone: Zone, u: Array, v: Array) -> NDArray[np.bool_]:
    """Return a mask of the points in a zone, by counting the edges to their right."""
    inside = np.zeros(len(u), np.bool_)
    corners: tuple[Point, ...] = zone.polygon
    for (ax, ay), (bx, by) in zip(corners, (*corners[1:], corners[0]), strict=True):
        if ay != by:
            spans = (ay > v) != (by > v)
            inside ^= spans & (u < ax + (v - ay) * (bx - ax) / (by - ay))
    return inside
