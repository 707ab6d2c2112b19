"""Generates a floor plan for a site file: the site's views on a floor built around them.

A site file tells what cameras see, not where they are mounted. So each view gets a mount that suits
its role, and the views stand in a row along a corridor, at least as far apart as the walking
distances in the site file. Lines and zones keep their position in the image; people cross the
lines, stop where zones lie on the floor, and queue from the desk along the queue zone.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trinetra.twin.camera import Camera
from trinetra.twin.plan import CarPark, FloorPlan, Line, Mount, Point, Spot, Till, View, Zone
from trinetra.values import CameraId, Role, SiteId

_LOOKS_RAD = -math.pi / 2
_CORRIDOR_Y_M = -13.0
_CLEAR_M = 1.5
_LEAST_GAP_M = 1.0
_STEP_M = 0.95
_LANE_M, _SLOT_M = -30.0, 3.6
_KERB_X_M = -25.0
_MOUNTS = {
    Role.ENTRANCE: (2.8, 17.0, 60.0, 8.5),
    Role.FACE: (2.2, 13.0, 50.0, 9.0),
    Role.TRACKING: (3.0, 28.0, 78.0, 7.2),
    Role.BILLING: (2.8, 24.0, 78.0, 9.0),
    Role.VEHICLE: (5.0, 18.0, 70.0, 26.0),
}
"""Height in meters, tilt and horizontal field of view in degrees, reach in meters."""


@dataclass(frozen=True, slots=True)
class Sketch:
    """The description of a camera in a site file."""

    camera_id: CameraId
    role: Role
    fps: float
    labels: frozenset[str]
    reads_faces: bool
    min_face_px: float = 32.0
    lines: tuple[Line, ...] = ()
    zones: tuple[Zone, ...] = ()


Distances = Mapping[tuple[CameraId, CameraId], float]
"""Known walking distances in meters between the areas that two cameras see, in both orders."""


def lay_out(site_id: SiteId, sketches: Sequence[Sketch], distances: Distances) -> FloorPlan:
    """Return a floor plan on which these cameras see people, with at least these distances.

    Everyone enters through the first entrance; tills are placed where billing cameras look.
    """
    indoors = [s for s in sketches if s.role is not Role.VEHICLE]
    indoors.sort(key=lambda s: list(Role).index(s.role))
    views = _in_a_row(indoors, distances)
    outdoors = [_outdoor_view(s, n) for n, s in enumerate(sketches) if s.role is Role.VEHICLE]
    builder = _Builder(views)
    for view in views:
        builder.furnish(view)
    return builder.plan(site_id, {v.camera_id: v for v in (*views, *outdoors)}, sketches)


def _in_a_row(sketches: Sequence[Sketch], distances: Distances) -> list[View]:
    """Return the views in a row, each far enough to the east of all previous ones."""
    views: list[View] = []
    for sketch in sketches:
        reach = _reach_sideways(sketch.role)
        x = max(
            (
                other.mount.x_m
                + _reach_sideways(other.role)
                + reach
                + distances.get((other.camera_id, sketch.camera_id), _LEAST_GAP_M)
                for other in views
            ),
            default=0.0,
        )
        views.append(_view(sketch, (x, 0.0), _LOOKS_RAD))
    return views


def _outdoor_view(sketch: Sketch, number: int) -> View:
    return _view(sketch, (0.0, _LANE_M - 40.0 * number), 0.0)


def _view(sketch: Sketch, at: Point, yaw_rad: float) -> View:
    height, tilt, hfov, reach = _MOUNTS[sketch.role]
    mount = Mount(*at, height, yaw_rad, math.radians(tilt), math.radians(hfov), reach)
    return View(
        camera_id=sketch.camera_id,
        role=sketch.role,
        mount=mount,
        fps=sketch.fps,
        labels=sketch.labels,
        reads_faces=sketch.reads_faces,
        min_face_px=sketch.min_face_px,
        lines=sketch.lines,
        zones=sketch.zones,
    )


def _reach_sideways(role: Role) -> float:
    _, _, hfov, reach = _MOUNTS[role]
    return reach * math.tan(math.radians(hfov / 2)) + _CLEAR_M


class _Builder:
    """Spots, ways and tills collected so far."""

    def __init__(self, views: Sequence[View]) -> None:
        self._views = views
        self._spots: list[Spot] = []
        self._ways: list[tuple[str, str]] = []
        self._tills: list[Till] = []
        self._entry: list[str] = []
        self._corridor_end: str | None = None
        self._has_door = False

    def furnish(self, view: View) -> None:
        """Add the spots of one view and connect them to the corridor."""
        if view.role is Role.ENTRANCE and not self._has_door:
            self._door(view)
            return
        corner = self._corridor(f"{view.camera_id}:way", view.mount.x_m)
        far, near = self._far_and_near(view)
        first = self._spot(f"{view.camera_id}:far", far)
        last = f"{view.camera_id}:near"
        is_welcome = view.role in {Role.FACE, Role.ENTRANCE}
        self._spots.append(Spot(last, *near, "welcome" if is_welcome else "way", math.pi / 2))
        self._ways += [(corner, first), (first, last)]
        if is_welcome:
            self._entry.append(last)
        if view.role is Role.BILLING:
            self._tills_of(view, far, near)
        else:
            self._shelves(view, first)

    def plan(
        self, site_id: SiteId, views: Mapping[CameraId, View], sketches: Sequence[Sketch]
    ) -> FloorPlan:
        """Return the finished plan; views are in the order of the site file."""
        street = "street"
        if not self._has_door:
            self._spot(street, (-20.0, _CORRIDOR_Y_M))
            if self._views:
                self._ways.append((street, f"{self._views[0].camera_id}:way"))
        car_park = self._car_park(views)
        return FloorPlan(
            site_id=site_id,
            views=tuple(views[sketch.camera_id] for sketch in sketches),
            spots=tuple(self._spots),
            ways=tuple(self._ways),
            street=street,
            entry=tuple(self._entry),
            exit=(),
            tills=tuple(self._tills),
            car_park=car_park,
        )

    def _door(self, view: View) -> None:
        """Lead people over the entrance's first line, then around the view to the corridor."""
        self._has_door = True
        outside, inside = self._sides(view)
        dx, dy = inside[0] - outside[0], inside[1] - outside[1]
        length = math.hypot(dx, dy)
        run = (view.mount.reach_m + 4.0) / length
        beyond = (inside[0] + dx * run, inside[1] + dy * run)
        side = -1.0 if dx < -0.3 * length else 1.0
        past_x = view.mount.x_m + side * _reach_sideways(view.role)
        names = [
            self._spot("street", (outside[0] - dx * run, outside[1] - dy * run)),
            self._spot("outside", outside),
            self._spot("inside", inside),
            self._spot("hall", beyond),
            self._spot("past", (past_x, beyond[1])),
            self._corridor("foyer", past_x),
        ]
        self._ways += itertools.pairwise(names)
        self._entry.append("foyer")

    def _sides(self, view: View) -> tuple[Point, Point]:
        """Return a floor point on each side of the first line, in the order of entering."""
        if not view.lines:
            return self._far_and_near(view)
        (ax, ay), (bx, by) = view.lines[0].a, view.lines[0].b
        middle = (ax + bx) / 2, (ay + by) / 2
        # To the right of a-b, since image rows go down: a short step, lengthened on the floor.
        nx, ny = -(by - ay), bx - ax
        size = math.hypot(nx, ny)
        step = 0.02 / size
        (x1, y1), (x2, y2) = (
            self._on_floor(view, (middle[0] + s * nx * step, middle[1] + s * ny * step))
            for s in (-1, 1)
        )
        length = max(math.hypot(x2 - x1, y2 - y1), 1e-6)
        ux, uy = (x2 - x1) / length * 1.6, (y2 - y1) / length * 1.6
        mx, my = (x1 + x2) / 2, (y1 + y2) / 2
        return (mx - ux, my - uy), (mx + ux, my + uy)

    def _shelves(self, view: View, first: str) -> None:
        places = [self._on_floor(view, _center(zone)) for zone in view.zones]
        far, near = self._far_and_near(view)
        if view.role is Role.TRACKING and not places:
            places = [((far[0] + near[0]) / 2 + dx, (far[1] + near[1]) / 2) for dx in (-1.2, 1.2)]
        for number, place in enumerate(places):
            name = f"{view.camera_id}:shelf-{number}"
            self._spots.append(Spot(name, *place, "shelf", _LOOKS_RAD))
            self._ways.append((first, name))

    def _tills_of(self, view: View, far: Point, near: Point) -> None:
        """Add the tills whose place of service is in view, or one where a till may stand."""
        places = [zone for zone in view.zones if zone.kind == "till"]
        for place in places:
            queues = [
                z for z in view.zones if z.kind == "queue" and set(z.tills) & set(place.tills)
            ]
            back = self._on_floor(view, _center(queues[0])) if queues else far
            self._till(view, place.tills[0], self._on_floor(view, _center(place)), back)
        if not places:
            by_kind = {zone.kind: self._on_floor(view, _center(zone)) for zone in view.zones}
            desk = by_kind.get("table", ((far[0] + 2 * near[0]) / 3, (far[1] + 2 * near[1]) / 3))
            self._till(view, self._free_till_id(), desk, by_kind.get("queue", far))

    def _free_till_id(self) -> str:
        taken = {till for view in self._views for zone in view.zones for till in zone.tills}
        taken |= {till.till_id for till in self._tills}
        return next(name for n in itertools.count(1) if (name := f"till-{n}") not in taken)

    def _till(self, view: View, till_id: str, desk: Point, back: Point) -> None:
        dx, dy = back[0] - desk[0], back[1] - desk[1]
        length = max(math.hypot(dx, dy), 1e-6)
        ux, uy = dx / length, dy / length
        self._tills.append(
            Till(
                till_id=till_id,
                desk=desk,
                step=(ux * _STEP_M, uy * _STEP_M),
                facing_rad=math.pi / 2,
                cashier=(desk[0] - ux, desk[1] - uy),
                approach=f"{view.camera_id}:far",
                leave=f"{view.camera_id}:near",
            )
        )

    def _car_park(self, views: Mapping[CameraId, View]) -> CarPark | None:
        """Return slots along the axis of the first vehicle camera."""
        lots = [view for view in views.values() if view.role is Role.VEHICLE]
        if not lots:
            return None
        x, y, reach = lots[0].mount.x_m, lots[0].mount.y_m, lots[0].mount.reach_m
        # The way goes around the views, so that no one crosses the line before entering.
        street_y = next(spot.y_m for spot in self._spots if spot.name == "street")
        around = [
            self._spot("lot", (x, y + 12.0)),
            self._spot("kerb", (_KERB_X_M, y + 12.0)),
            self._spot("pavement", (_KERB_X_M, street_y)),
            "street",
        ]
        self._ways += itertools.pairwise(around)
        slots = tuple((x + 9.0 + 3.0 * i, y - _SLOT_M) for i in range(5))
        return CarPark((x + reach + 2.0, y), y, slots, "lot")

    def _corridor(self, name: str, x: float) -> str:
        self._spot(name, (x, _CORRIDOR_Y_M))
        if self._corridor_end:
            self._ways.append((self._corridor_end, name))
        self._corridor_end = name
        return name

    def _spot(self, name: str, place: Point) -> str:
        self._spots.append(Spot(name, *place))
        return name

    def _far_and_near(self, view: View) -> tuple[Point, Point]:
        return self._on_floor(view, (0.5, 0.0)), self._on_floor(view, (0.5, 0.95))

    def _on_floor(self, view: View, point: Point) -> Point:
        """Return the floor under an image point; points above the visible floor get its edge."""
        camera = Camera(view)
        u = np.array([point[0] * view.width])
        v = np.array([max(point[1] * view.height, camera.far_row_px + 0.04 * view.height)])
        x, y = camera.to_floor(u, v)
        return float(x[0]), float(y[0])


def _center(zone: Zone) -> Point:
    xs, ys = zip(*zone.polygon, strict=True)
    return sum(xs) / len(xs), sum(ys) / len(ys)


def gaps_m(plan: FloorPlan) -> dict[tuple[CameraId, CameraId], float]:
    """Return the least distance in meters between the walkable areas of each pair of views.

    People walk beside the ways and are detected slightly beyond the image edge: a margin for both
    is subtracted.
    """
    points = _along_ways(plan)
    seen = {}
    for view in plan.views:
        x, y = points[:, 0], points[:, 1]
        seen[view.camera_id] = points[Camera(view).sees_floor(x, y)]
    found = {}
    for i, a in enumerate(plan.views):
        for b in plan.views[i + 1 :]:
            ours, theirs = seen[a.camera_id], seen[b.camera_id]
            if len(ours) and len(theirs):
                apart = ours[:, None, :] - theirs[None, :, :]
                least = float(np.sqrt((apart * apart).sum(axis=2)).min())
                found[a.camera_id, b.camera_id] = round(max(0.0, least - _CLEAR_M), 2)
    return found


def _along_ways(plan: FloorPlan) -> NDArray[np.float64]:
    """Return points ``(n, 2)`` on all ways."""
    places = {spot.name: (spot.x_m, spot.y_m) for spot in plan.spots}
    share = np.linspace(0, 1, 41)[:, None]
    parts = [np.array(places[a]) * (1 - share) + np.array(places[b]) * share for a, b in plan.ways]
    return np.concatenate(parts) if parts else np.zeros((0, 2))
