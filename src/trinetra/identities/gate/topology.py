"""Spatiotemporal gate: rules out transitions that are too fast to walk.

Cameras are the nodes of a site graph; edges carry walking distances in m. A transition is
impossible when it is too fast even under the most favorable assumption about everything uncertain:
the skew between the cameras' clocks, and where in the image, and so on the floor, a person stood.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import dist, hypot, isfinite
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from trinetra.events.schema import Box, GateEvidence
from trinetra.geometry import Homography
from trinetra.identities.gate.transition_times import TransitionTimes
from trinetra.opening_hours import OpeningHours
from trinetra.values import CameraId, CustomerId, Instant, seconds_between

Edge = tuple[CameraId, CameraId, float]
Position = tuple[float, float]
_FOOT_SHARE = (0.15, 0.08)
"""Foot point error, as fractions of the box's width and height; detectors differ by less."""
_CUT_OFF = 0.99
"""A box that reaches this fraction of the image height may be cut off: its foot is not visible."""


class Place(NamedTuple):
    """A person's position on the floor plan and its error bound, in m."""

    x_m: float
    y_m: float
    error_m: float


@dataclass(frozen=True, slots=True)
class Sighting:
    """One segment of time in which an identity was in one camera's view.

    ``place`` is the position at its end, if the camera is calibrated.
    """

    camera_id: CameraId
    first_at: Instant
    last_at: Instant
    place: Place | None = None

    def joined(self, other: "Sighting") -> "Sighting":
        """Return the segment from the beginning of the earlier to the end of the later one."""
        later = max(other, self, key=lambda sighting: sighting.last_at)
        first_at = min(self.first_at, other.first_at)
        return Sighting(later.camera_id, first_at, later.last_at, later.place)


@dataclass(frozen=True, slots=True)
class SiteGraph:
    """Shortest walking distances between cameras, overlapping views, and limits on walking.

    ``distance_m[i, j]`` is the distance from the i-th camera to the j-th, infinite if no route is
    known; ``before[i, j]`` is the camera before the j-th on that route, negative for a straight
    line.
    """

    index: Mapping[CameraId, int] = field(default_factory=dict)
    distance_m: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    before: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 0), np.int32))
    overlaps: frozenset[frozenset[CameraId]] = frozenset()
    floors: Mapping[CameraId, Homography] = field(default_factory=dict)
    hours: OpeningHours | None = None
    limit_mps: float = 2.5
    clock_skew_s: float = 0.5

    def distance(self, a: CameraId, b: CameraId) -> float | None:
        """Return the walking distance from ``a`` to ``b`` in m; None if no route is known."""
        if a == b:
            return 0.0
        i, j = self.index.get(a), self.index.get(b)
        if i is None or j is None:
            return None
        distance_m = float(self.distance_m[i, j])
        return distance_m if isfinite(distance_m) else None

    def route(self, a: CameraId, b: CameraId) -> tuple[CameraId, ...]:
        """Return the cameras along the shortest route, ends included; empty if none is known."""
        if self.distance(a, b) is None:
            return ()
        names = list(self.index)
        i, j, back = self.index[a], self.index[b], [b]
        while i != j and (j := int(self.before[i, j])) >= 0:
            back.append(names[j])
        return tuple(reversed(back)) if back[-1] == a else (a, b)

    def overlap(self, a: CameraId, b: CameraId) -> bool:
        """Return whether a person can be in both views at once."""
        return a == b or frozenset((a, b)) in self.overlaps

    def place(self, camera_id: CameraId, box: Box, frame: tuple[int, int] | None) -> Place | None:
        """Return the position of a box's foot on the floor, or None if it cannot be determined.

        ``frame`` is the image's width and height in pixels.
        """
        floor = self.floors.get(camera_id)
        if floor is None or frame is None:
            return None
        (x1, y1, x2, y2), (width, height) = box, frame
        if y2 >= _CUT_OFF * height:
            return None
        foot = floor.to_floor((x1 + x2) / 2 / width, y2 / height)
        if foot is None:
            return None
        across, down = _FOOT_SHARE[0] * (x2 - x1) / width, _FOOT_SHARE[1] * (y2 - y1) / height
        error_m = hypot(across * foot.right_m, down * foot.down_m) + floor.rms_m
        return Place(round(foot.x_m, 2), round(foot.y_m, 2), round(error_m, 2))


def build_graph(
    cameras: Sequence[CameraId],
    edges: Iterable[Edge],
    *,
    one_way: Iterable[Edge] = (),
    positions_m: Mapping[CameraId, Position] | None = None,
    overlaps: Iterable[tuple[CameraId, CameraId]] = (),
) -> SiteGraph:
    """Return the site graph with all shortest distances (Dijkstra 1959).

    ``edges`` lead both ways, those of ``one_way`` from the first camera to the second. The distance
    between overlapping views is 0. If no route is given but both floor positions are, the straight
    line is used: no route can be shorter. Floors, hours and limits have their defaults; set others
    with ``dataclasses.replace``.
    """
    index = {camera: i for i, camera in enumerate(cameras)}
    touching = [(a, b) for a, b in overlaps if a != b]
    both_ways = [*edges, *((a, b, 0.0) for a, b in touching)]
    back = [(b, a, distance_m) for a, b, distance_m in both_ways]
    distance_m, before = _shortest(index, [*both_ways, *back, *one_way])
    _fill_straight(distance_m, index, positions_m or {})
    pairs = frozenset(frozenset(pair) for pair in touching)
    return SiteGraph(index, distance_m, before, pairs)


def _shortest(
    index: Mapping[CameraId, int], edges: Iterable[Edge]
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    size = len(index)
    if not size:
        return np.zeros((0, 0)), np.zeros((0, 0), np.int32)
    direct: dict[tuple[int, int], float] = {}
    for a, b, distance_m in edges:
        ends = index[a], index[b]
        direct[ends] = min(distance_m, direct.get(ends, distance_m))
    rows, columns = zip(*direct, strict=True) if direct else ((), ())
    # Sparse, because in a dense matrix SciPy takes a length of 0, an overlap, for a missing edge.
    graph = scipy.sparse.csr_array(
        (list(direct.values()), (rows, columns)), shape=(size, size), dtype=np.float64
    )
    distances, before = scipy.sparse.csgraph.dijkstra(
        graph, directed=True, return_predecessors=True
    )
    # Rounded, because sums in a different order differ in the last bits: both directions of a
    # two-way route must be exactly equal.
    return np.round(distances, 9), before


def _fill_straight(
    distance_m: NDArray[np.float64],
    index: Mapping[CameraId, int],
    positions_m: Mapping[CameraId, Position],
) -> None:
    placed = [(index[camera], place) for camera, place in positions_m.items()]
    for i, here in placed:
        for j, there in placed:
            if not isfinite(distance_m[i, j]):
                distance_m[i, j] = dist(here, there)


# --- verdicts ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Reading:
    """One estimate of a transition: distance and time, each with its uncertainty."""

    distance_m: float
    slack_m: float
    elapsed_s: float
    slack_s: float
    route: tuple[CameraId, ...] = ()
    between_places: bool = False

    @property
    def least_mps(self) -> float:
        """The lowest speed that explains the transition, taking all slack in its favor."""
        if self.distance_m <= self.slack_m:
            return 0.0
        seconds = self.elapsed_s + self.slack_s
        return (self.distance_m - self.slack_m) / seconds if seconds else float("inf")

    @property
    def most_mps(self) -> float | None:
        """The highest possible speed; None if it is unbounded."""
        seconds = self.elapsed_s - self.slack_s
        return (self.distance_m + self.slack_m) / seconds if seconds > 0 else None


def judge(
    graph: SiteGraph,
    customer_id: CustomerId,
    sightings: Iterable[Sighting],
    here: Sighting,
    times: TransitionTimes | None = None,
) -> GateEvidence:
    """Return whether an identity can be here, given its sightings elsewhere.

    The verdict is the worst over all sightings: one impossible transition is enough. It does not
    depend on the order in which cameras report, only on when people were seen. ``times`` are those
    that people usually take; they are reported with the verdict and never change it.
    """
    known = list(sightings)
    verdicts = [_transition(graph, customer_id, there, here, times) for there in known]
    if not verdicts:
        return GateEvidence(customer_id=customer_id, verdict="unknown", reason="no_recent_sighting")
    return min(verdicts, key=_severity)


def _severity(evidence: GateEvidence) -> tuple[int, float]:
    rank = {"impossible": 0, "plausible": 1, "unknown": 2}[evidence.verdict]
    return rank, -(evidence.least_speed_mps or 0.0)


def _transition(
    graph: SiteGraph,
    customer_id: CustomerId,
    there: Sighting,
    here: Sighting,
    times: TransitionTimes | None,
) -> GateEvidence:
    readings = list(_readings(graph, there, here))
    if not readings:
        return _unjudged(graph, customer_id, there, here)
    worst = max(readings, key=lambda reading: reading.least_mps)
    verdict, reason = _verdict(graph, worst, there, here)
    usual = times.usual(there.camera_id, here.camera_id) if times else None
    gone_s = seconds_between(there.last_at, here.first_at)
    return GateEvidence(
        customer_id=customer_id,
        verdict=verdict,  # type: ignore[arg-type]  # the literals of _verdict are the Verdicts
        reason=reason,
        from_camera=there.camera_id,
        distance_m=round(worst.distance_m, 2),
        elapsed_s=round(worst.elapsed_s, 3),
        speed_mps=round(worst.distance_m / worst.elapsed_s, 3) if worst.elapsed_s else None,
        limit_mps=graph.limit_mps,
        route=worst.route,
        slack_m=worst.slack_m,
        slack_s=worst.slack_s,
        least_speed_mps=_speed(worst.least_mps),
        most_speed_mps=_speed(worst.most_mps),
        usual_s=round(usual.median_s, 1) if usual and gone_s > 0 else None,
        surprise=round(usual.surprise(gone_s), 2) if usual and gone_s > 0 else None,
    )


def _unjudged(
    graph: SiteGraph, customer_id: CustomerId, there: Sighting, here: Sighting
) -> GateEvidence:
    """Return the evidence for a pair without a distance: overlapping views, or the reason."""
    a, b = there.camera_id, here.camera_id
    verdict, reason = "unknown", "no_route"
    if graph.overlap(a, b):
        verdict, reason = "plausible", "overlapping_views"
    elif graph.distance(a, b) is not None or graph.distance(b, a) is not None:
        reason = "against_one_way"
    return GateEvidence(
        customer_id=customer_id,
        verdict=verdict,  # type: ignore[arg-type]  # the literals above are Verdicts
        reason=reason,
        from_camera=a,
        distance_m=0.0 if verdict == "plausible" else None,
        elapsed_s=round(gap_s(there, here), 3),
        limit_mps=graph.limit_mps,
    )


def _verdict(
    graph: SiteGraph, reading: _Reading, there: Sighting, here: Sighting
) -> tuple[str, str]:
    overlapping = graph.overlap(there.camera_id, here.camera_id)
    if reading.least_mps > graph.limit_mps:
        at_once = reading.between_places and (overlapping or reading.elapsed_s <= reading.slack_s)
        return "impossible", "two_places" if at_once else "too_fast"
    if overlapping:
        return "plausible", "overlapping_views"
    earlier, later = _in_order(there, here)
    # The shop was closed in between: such a time is no evidence for a walk between the cameras.
    if graph.hours and graph.hours.closed_between(earlier.last_at, later.last_at):
        return "unknown", "closed_between"
    if seconds_between(here.last_at, there.first_at) > graph.clock_skew_s:
        return "plausible", "seen_later_there"
    return "plausible", "walkable"


def _readings(graph: SiteGraph, there: Sighting, here: Sighting) -> Iterator[_Reading]:
    """Yield the distances between two sightings: between views, and between positions if known."""
    skew_s = graph.clock_skew_s
    if not graph.overlap(there.camera_id, here.camera_id):
        way = _way(graph, there, here)
        if way is not None:
            route = graph.route(*way)
            yield _Reading(graph.distance(*way) or 0.0, 0.0, gap_s(there, here), skew_s, route)
    if there.place and here.place:
        yield _Reading(
            dist(there.place[:2], here.place[:2]),
            round(there.place.error_m + here.place.error_m, 2),
            abs(seconds_between(there.last_at, here.last_at)),
            skew_s,
            (there.camera_id, here.camera_id),
            between_places=True,
        )


def _way(graph: SiteGraph, there: Sighting, here: Sighting) -> tuple[CameraId, CameraId] | None:
    """Return the direction of the walk; the shorter one if the order is uncertain.

    Within the clock skew either sighting may have been first. On a one-way edge the directions
    differ, and only the more favorable one may count against a person.
    """
    earlier, later = _in_order(there, here)
    ways = [(earlier.camera_id, later.camera_id)]
    if gap_s(there, here) <= graph.clock_skew_s:
        ways.append((later.camera_id, earlier.camera_id))
    known = [(distance_m, way) for way in ways if (distance_m := graph.distance(*way)) is not None]
    return min(known)[1] if known else None


def _in_order(there: Sighting, here: Sighting) -> tuple[Sighting, Sighting]:
    """Return the two sightings, the one that ended first in front."""
    return (here, there) if here.last_at < there.last_at else (there, here)


def gap_s(there: Sighting, here: Sighting) -> float:
    """Return the seconds between two segments of time, 0 if they overlap."""
    return max(
        0.0,
        seconds_between(there.last_at, here.first_at),
        seconds_between(here.last_at, there.first_at),
    )


def _speed(mps: float | None) -> float | None:
    return round(mps, 3) if mps is not None and isfinite(mps) else None
