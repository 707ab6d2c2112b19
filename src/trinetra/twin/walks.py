"""Walking: shortest routes between spots, and trails of knots joined by straight lines."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy
from numpy.typing import NDArray

from trinetra.twin.plan import FloorPlan, Point
from trinetra.twin.scenario import MAX_WALKING_MPS

Array = NDArray[np.float64]
_STANDING_MPS = 0.3
"""Below this speed people shift their weight instead of walking, and keep their gaze direction."""
_FIDGET_S = 7.0
_WOBBLE_M = 0.25


@dataclass(frozen=True, slots=True)
class Path:
    """A person's path: knots ``(n,)`` of seconds and meters, straight and steady in between.

    ``facing (n,)`` is the gaze direction from a knot on, ``speed (n,)`` the speed from it.
    """

    t: Array
    x: Array
    y: Array
    facing: Array
    speed: Array

    @property
    def start_s(self) -> float:
        """Instant of the first knot."""
        return float(self.t[0])

    @property
    def end_s(self) -> float:
        """Instant of the last knot."""
        return float(self.t[-1])

    def at(self, t: Array) -> tuple[Array, Array, Array, Array]:
        """Return x, y, facing and speed at instants between start and end."""
        leg = np.clip(np.searchsorted(self.t, t, side="right") - 1, 0, len(self.t) - 1)
        x, y = np.interp(t, self.t, self.x), np.interp(t, self.t, self.y)
        return x, y, self.facing[leg], self.speed[leg]

    def beside(self, offset: Point) -> "Path":
        """Return the path of a person who walks alongside at a fixed offset in meters."""
        return Path(self.t, self.x + offset[0], self.y + offset[1], self.facing, self.speed)


@dataclass(slots=True)
class Trail:
    """A path under construction: its knots so far."""

    rng: np.random.Generator
    t: list[float] = field(default_factory=list)
    x: list[float] = field(default_factory=list)
    y: list[float] = field(default_factory=list)
    facing: list[float] = field(default_factory=list)

    @classmethod
    def begin(cls, rng: np.random.Generator, t: float, at: Point) -> "Trail":
        """Return a trail that begins at an instant and a position."""
        return cls(rng, [t], [at[0]], [at[1]], [0.0])

    @property
    def now(self) -> float:
        """Instant of the last knot."""
        return self.t[-1]

    @property
    def here(self) -> Point:
        """Position of the last knot."""
        return self.x[-1], self.y[-1]

    def walk(self, points: Sequence[Point], speed_mps: float, *, exact: bool = False) -> None:
        """Walk through the points; unless ``exact``, with the inaccuracy of people."""
        for point in points:
            near = (0.0, 0.0) if exact else self._wobble()
            pace = speed_mps * float(np.clip(self.rng.normal(1.0, 0.08), 0.8, 1.15))
            self._leg((point[0] + near[0], point[1] + near[1]), min(pace, MAX_WALKING_MPS))

    def drive(self, points: Sequence[Point], speed_mps: float) -> None:
        """Move through the points exactly, at a steady speed."""
        for point in points:
            self._leg(point, speed_mps)

    def stand(self, until: float, facing_rad: float, fidget_m: float = 0.06) -> None:
        """Stay until an instant, with occasional shifts of weight and gaze."""
        here, since = self.here, self.now
        if until <= since:
            return
        steps = max(1, int((until - since) // _FIDGET_S))
        # Short stops leave no time to sway far.
        reach_m = fidget_m * min(1.0, (until - since) / steps / _FIDGET_S)
        for step in range(1, steps + 1):
            self.facing[-1] = facing_rad + float(self.rng.normal(0, 0.25))
            sway = self.rng.normal(0, reach_m, 2).clip(-2 * reach_m, 2 * reach_m)
            place = (here[0] + float(sway[0]), here[1] + float(sway[1]))
            self._knot(since + (until - since) * step / steps, place, facing_rad)

    def wait(self, until: float) -> None:
        """Stay until an instant without moving, as a parked car does."""
        self._knot(max(until, self.now), self.here, self.facing[-1])

    def path(self) -> Path:
        """Return the whole trail."""
        t, x, y = (np.array(values, np.float64) for values in (self.t, self.x, self.y))
        dx, dy = np.diff(x), np.diff(y)
        speed = np.append(np.hypot(dx, dy) / np.maximum(np.diff(t), 1e-9), 0.0)
        heading = np.append(np.arctan2(dy, dx), 0.0)
        facing = np.where(speed > _STANDING_MPS, heading, np.array(self.facing, np.float64))
        return Path(t, x, y, facing, speed)

    def _leg(self, point: Point, speed_mps: float) -> None:
        distance_m = float(np.hypot(point[0] - self.x[-1], point[1] - self.y[-1]))
        if distance_m > 0:
            self._knot(self.now + distance_m / speed_mps, point, self.facing[-1])

    def _knot(self, t: float, point: Point, facing_rad: float) -> None:
        self.t.append(t)
        self.x.append(point[0])
        self.y.append(point[1])
        self.facing.append(facing_rad)

    def _wobble(self) -> Point:
        dx, dy = self.rng.normal(0, _WOBBLE_M, 2).clip(-2 * _WOBBLE_M, 2 * _WOBBLE_M)
        return float(dx), float(dy)


class Router:
    """Shortest routes between the spots of a plan."""

    def __init__(self, plan: FloorPlan) -> None:
        self._index = {spot.name: i for i, spot in enumerate(plan.spots)}
        self._places: list[Point] = [(spot.x_m, spot.y_m) for spot in plan.spots]
        meters = np.zeros((len(self._places), len(self._places)))
        for a, b in plan.ways:
            i, j = self._index[a], self._index[b]
            meters[i, j] = meters[j, i] = max(np.hypot(*self._between(i, j)), 1e-6)
        _, self._before = scipy.sparse.csgraph.shortest_path(
            meters, directed=False, return_predecessors=True
        )

    def place(self, name: str) -> Point:
        """Return the position of a spot."""
        return self._places[self._index[name]]

    def way(self, start: str, end: str) -> list[Point]:
        """Return the points after ``start`` up to and including ``end``."""
        i, j = self._index[start], self._index[end]
        back: list[Point] = []
        while j != i and j >= 0:
            back.append(self._places[j])
            j = int(self._before[i, j])
        return back[::-1]

    def _between(self, i: int, j: int) -> Point:
        (ax, ay), (bx, by) = self._places[i], self._places[j]
        return bx - ax, by - ay
