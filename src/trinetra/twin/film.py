"""Renders a run of the twin as videos, and derives the scenery from the floor plan."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from trinetra.twin.camera import Camera
from trinetra.twin.camera_view import CameraView
from trinetra.twin.canvas import Color
from trinetra.twin.floor_view import FloorView
from trinetra.twin.plan import FloorPlan, Point, Spot, Till
from trinetra.twin.scenery import CAR_M, Block, Car, Figure, Rectangle, Scenery, coat_color
from trinetra.twin.walks import Path
from trinetra.twin.world import World
from trinetra.values import ImageBgr, after

Array = NDArray[np.float64]
TOP_VIEW = "top"
"""The video of the whole floor: for viewing only, not a camera of the site."""
TOP_FPS = 5.0
_SEGMENT_S = 60.0
_WALL_GAP_M = 0.5
_HALL_M = 4.0
_SHELF_AWAY_M = 0.75
_SHELF_M = (1.9, 0.5, 1.35)
_COUNTER_M = (0.5, 1.9, 0.95)
_WOOD: Color = (150, 172, 190)
_STEEL: Color = (176, 170, 164)
_LINE_M = 0.1
_STRIDE_M = 0.75
_STANDING_MPS = 0.3
_AROUND_M = 1.5


@dataclass(frozen=True)
class Films:
    """Renders the videos of a run: one per camera, and one of the floor from above."""

    world: World

    @cached_property
    def scenery(self) -> Scenery:
        """The shop as it is drawn."""
        return scenery_of(self.world.plan)

    def camera(self, index: int) -> Iterator[ImageBgr]:
        """Yield one camera's images, at its own rate and size, over all opening hours."""
        view = self.world.plan.views[index]
        drawn = CameraView(Camera(view), self.scenery)
        # Walls do not occlude moving bodies: an indoor camera would show cars through the walls.
        shows_cars = "car" in view.labels
        for caption, figures, cars in self._moments(view.fps):
            yield drawn.draw(figures, cars if shows_cars else (), f"{view.camera_id}  {caption}")

    @cached_property
    def top(self) -> FloorView:
        """The view from above."""
        plan = self.world.plan
        cameras = tuple(Camera(view) for view in plan.views)
        return FloorView(self.scenery, cameras, area_of(plan, self.scenery))

    def floor(self) -> Iterator[ImageBgr]:
        """Yield the images from above, at ``TOP_FPS``."""
        drawn = self.top
        for caption, figures, cars in self._moments(TOP_FPS):
            yield drawn.draw(figures, cars, f"{caption}   {len(figures)} people")

    def _moments(self, fps: float) -> Iterator[tuple[str, list[Figure], list[Car]]]:
        for opens, closes in self.world.scenario.windows():
            for segment in range(math.ceil((closes - opens) / _SEGMENT_S)):
                begin = opens + segment * _SEGMENT_S
                end = min(begin + _SEGMENT_S, closes)
                first, last = (math.ceil((edge - opens) * fps - 1e-6) for edge in (begin, end))
                yield from self._segment(opens + np.arange(first, last) / fps)

    def _segment(self, t: Array) -> Iterator[tuple[str, list[Figure], list[Car]]]:
        people: list[list[Figure]] = [[] for _ in t]
        cars: list[list[Car]] = [[] for _ in t]
        for stay in self.world.stays:
            number, is_staff = stay.person.index, stay.person.kind == "staff"
            for i, x, y, facing, stride in _along(stay.path, t):
                height_m = stay.person.height_m
                people[i].append(Figure(x, y, height_m, facing, number, stride, is_staff))
        for drive in self.world.drives:
            for i, x, y, facing, _ in _along(drive.path, t):
                cars[i].append(Car(x, y, facing, drive.party))
        start = self.world.scenario.started_at
        for i, seconds in enumerate(t.tolist()):
            yield f"{after(start, seconds):%Y-%m-%d %H:%M:%S}", people[i], cars[i]


def _along(path: Path, t: Array) -> Iterator[tuple[int, float, float, float, float]]:
    """Yield index, position, facing and stride at the times at which the person was there."""
    rows = np.flatnonzero((t >= path.start_s) & (t <= path.end_s))
    if not len(rows):
        return
    x, y, facing, speed = path.at(t[rows])
    steps = np.sin(t[rows] * speed * math.pi / _STRIDE_M)
    stride = np.where(speed > _STANDING_MPS, steps, 0.0)
    columns = (column.tolist() for column in (rows, x, y, facing, stride))
    yield from zip(*columns, strict=True)


def scenery_of(plan: FloorPlan) -> Scenery:
    """Return walls around the indoor area, shelves where people look, counters and parking bays."""
    shelves = [_shelf(spot, number) for number, spot in enumerate(plan.of_kind("shelf"))]
    counters = [_counter(till) for till in plan.tills]
    places = {spot.name: (spot.x_m, spot.y_m) for spot in plan.spots}
    door = places[plan.entry[0]] if plan.entry else places[plan.street]
    blocks = (*shelves, *counters)
    return Scenery(_walls(plan, blocks, places), door, blocks, tuple(_bay_lines(plan)))


def area_of(plan: FloorPlan, scenery: Scenery) -> Rectangle:
    """Return the area of the view from above: the shop, all spots and the car park."""
    west, south, east, north = scenery.walls
    points = [(west, south), (east, north), *((spot.x_m, spot.y_m) for spot in plan.spots)]
    if plan.car_park:
        points += [plan.car_park.gate, *(_beside(s, 0, -2.5) for s in plan.car_park.slots)]
    points += [(view.mount.x_m, view.mount.y_m) for view in plan.views]
    return _around(points, _AROUND_M)


def _walls(plan: FloorPlan, blocks: Sequence[Block], places: Mapping[str, Point]) -> Rectangle:
    """Return the rectangle around everything indoors.

    The wall on the entry side runs through the door, unless something indoors lies beyond it.
    """
    halls = [places[name] for name in (*plan.entry, *plan.exit)]
    indoors = [corner for block in blocks for corner in block.footprint] + halls
    indoors += [till.cashier for till in plan.tills]
    indoors += [(v.mount.x_m, v.mount.y_m) for v in plan.views if "person" in v.labels]
    tight, wide = _around(indoors, 0.0), _around(halls or indoors, _HALL_M)
    low = [min(tight[side] - _WALL_GAP_M, wide[side]) for side in (0, 1)]
    high = [max(tight[side] + _WALL_GAP_M, wide[side]) for side in (2, 3)]
    if len(plan.entry) > 1:
        door, hall = places[plan.entry[0]], places[plan.entry[1]]
        axis = 0 if abs(hall[0] - door[0]) > abs(hall[1] - door[1]) else 1
        if hall[axis] > door[axis] and door[axis] <= tight[axis]:
            low[axis] = door[axis]
        elif hall[axis] < door[axis] and door[axis] >= tight[axis + 2]:
            high[axis] = door[axis]
    return low[0], low[1], high[0], high[1]


def _around(points: Sequence[Point], margin_m: float) -> Rectangle:
    xs, ys = zip(*points, strict=True)
    return min(xs) - margin_m, min(ys) - margin_m, max(xs) + margin_m, max(ys) + margin_m


def _shelf(spot: Spot, number: int) -> Block:
    """Return the shelf that a person at the spot looks at."""
    length, depth, height = _SHELF_M
    cos, sin = math.cos(spot.facing_rad), math.sin(spot.facing_rad)
    x, y = spot.x_m + _SHELF_AWAY_M * cos, spot.y_m + _SHELF_AWAY_M * sin
    corners = ((0, -1), (depth, -1), (depth, 1), (0, 1))
    footprint = tuple(
        (x + a * cos - b * length / 2 * sin, y + a * sin + b * length / 2 * cos) for a, b in corners
    )
    goods = (coat_color(number * 5 + 2), coat_color(number * 5 + 3), coat_color(number * 5 + 4))
    return Block(footprint, height, _WOOD, goods)


def _counter(till: Till) -> Block:
    """Return the counter between a till's customer and its cashier."""
    width, length, height = _COUNTER_M
    x, y = ((a + b) / 2 for a, b in zip(till.desk, till.cashier, strict=True))
    corners = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    footprint = tuple((x + a * width / 2, y + b * length / 2) for a, b in corners)
    return Block(footprint, height, _STEEL)


def _bay_lines(plan: FloorPlan) -> Iterator[tuple[Point, ...]]:
    """Yield the lines on both sides of every parking bay, which are perpendicular to the lane."""
    if plan.car_park is None:
        return
    length, width, _ = CAR_M
    for slot in plan.car_park.slots:
        for side in (-1, 1):
            x = slot[0] + side * (width / 2 + 0.45)
            south, north = slot[1] - length / 2 - 0.2, slot[1] + length / 2 + 0.2
            west, east = x - _LINE_M / 2, x + _LINE_M / 2
            yield ((west, south), (east, south), (east, north), (west, north))


def _beside(point: Point, dx: float, dy: float) -> Point:
    return point[0] + dx, point[1] + dy
