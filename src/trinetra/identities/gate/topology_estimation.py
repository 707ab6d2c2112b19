"""Estimates the camera topology (walking distances, overlaps) from recorded identities."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from trinetra.events.schema import IdentityEvent, TracksEvent
from trinetra.identities.gate.topology import Sighting
from trinetra.identities.gate.transition_times import LONGEST_S
from trinetra.values import CameraId, CustomerId, TrackId, seconds_between

WALKING_MPS = 1.4
"""Comfortable walking speed of adults (Bohannon, Age and Ageing 26, 1997)."""
_QUICK = 10
"""Percentile of the walking times: people who did not stop, yet robust to single errors."""
_ONE_VIEW_S = 10.0
_TOGETHER_S = 1.0
_LEAST_TOGETHER_SHARE = 0.2
_ONE_WAY_FROM = 20
_ROUNDABOUT = 0.95
_STRAIGHT_ON = 2.0
"""Ratio of median to quick time up to which most people are taken to walk without a stop."""


@dataclass(frozen=True, slots=True)
class TopologyEstimate:
    """The estimated relation of two cameras and its evidence.

    ``there`` and ``back`` count walks from ``a`` to ``b`` and from ``b`` to ``a``;
    ``seen_together`` counts how often one person was in both views at once. Times run from the end
    of one view to the beginning of the other: ``median_s`` is the median, ``quick_s`` the 10th
    percentile.
    """

    a: CameraId
    b: CameraId
    there: int
    back: int
    seen_together: int
    median_s: float = 0.0
    quick_s: float = 0.0

    @property
    def overlap(self) -> bool:
        """True if the two views seem to overlap."""
        return self.seen_together >= _LEAST_TOGETHER_SHARE * (
            self.seen_together + self.there + self.back
        )

    @property
    def one_way(self) -> bool:
        """True if enough people went there, and none back, to suggest a one-way route."""
        return self.there >= _ONE_WAY_FROM and not self.back

    @property
    def sure(self) -> bool:
        """True if most people walk without a stop, so that their times indicate a distance.

        If people stop on the way, even the quickest may have stopped. The estimate is then an upper
        bound of the distance, and the gate would reject people who walk straight on.
        """
        return self.overlap or self.median_s <= _STRAIGHT_ON * max(self.quick_s, 1.0)

    @property
    def distance_m(self) -> float:
        """The walking distance in m that the times indicate."""
        return round(max(0.5, WALKING_MPS * self.quick_s), 1)


@dataclass(slots=True)
class _Track:
    """The customers of a track, each with its segment of time."""

    camera_id: CameraId
    segments: dict[CustomerId, Sighting] = field(default_factory=dict)


@dataclass(slots=True)
class TransitionCollector:
    """Collects the segments of every customer from identity and tracks events."""

    _tracks: dict[TrackId, _Track] = field(default_factory=dict)

    def add(self, event: IdentityEvent | TracksEvent) -> None:
        """Add one event; the events of each camera must come in order."""
        if isinstance(event, IdentityEvent):
            self._decide(event)
            return
        for seen in event.tracks:
            track = self._tracks.get(seen.track_id)
            segment = track.segments.get(seen.customer_id) if track and seen.customer_id else None
            if track and segment and seen.customer_id:
                track.segments[seen.customer_id] = Sighting(
                    segment.camera_id, segment.first_at, event.captured_at
                )

    def _decide(self, event: IdentityEvent) -> None:
        track = self._tracks.setdefault(event.track_id, _Track(event.camera_id))
        if not event.since:
            track.segments.clear()
        if event.customer_id is not None and not event.linked:
            since = event.since or event.track_started_at
            track.segments[event.customer_id] = Sighting(event.camera_id, since, event.captured_at)

    @property
    def recognized_at(self) -> frozenset[CameraId]:
        """The cameras that recognized at least one person."""
        return frozenset(t.camera_id for t in self._tracks.values() if t.segments)

    def people(self) -> dict[CustomerId, list[Sighting]]:
        """Return every customer's segments in order, consecutive ones of one view joined."""
        seen: defaultdict[CustomerId, list[Sighting]] = defaultdict(list)
        for track in self._tracks.values():
            for customer, segment in track.segments.items():
                seen[customer].append(segment)
        return {customer: _joined(segments) for customer, segments in seen.items()}


def _joined(segments: Iterable[Sighting]) -> list[Sighting]:
    joined: list[Sighting] = []
    for segment in sorted(segments, key=lambda s: (s.first_at, s.last_at)):
        last = joined[-1] if joined else None
        if last and last.camera_id == segment.camera_id and _gone_s(last, segment) <= _ONE_VIEW_S:
            joined[-1] = last.joined(segment)
        else:
            joined.append(segment)
    return joined


def _gone_s(before: Sighting, after: Sighting) -> float:
    return seconds_between(before.last_at, after.first_at)


def suggest(
    people: Mapping[CustomerId, Sequence[Sighting]], *, least: int = 5
) -> list[TopologyEstimate]:
    """Return the edges and overlaps that are supported by at least ``least`` observations.

    An edge that is hardly shorter than a route through other estimated edges is left out.
    """
    walks: defaultdict[tuple[CameraId, CameraId], list[float]] = defaultdict(list)
    for segments in people.values():
        for before, after in pairwise(segments):
            if before.camera_id != after.camera_id and _gone_s(before, after) <= LONGEST_S:
                walks[before.camera_id, after.camera_id].append(_gone_s(before, after))
    pairs = {min(pair, pair[::-1]) for pair in walks}
    found = [_suggestion(walks.get((a, b), []), walks.get((b, a), []), a, b) for a, b in pairs]
    enough = [s for s in found if s.there + s.back + s.seen_together >= least]
    return sorted(_direct(enough), key=lambda s: (not s.overlap, s.distance_m, s.a, s.b))


def _suggestion(
    there: list[float], back: list[float], a: CameraId, b: CameraId
) -> TopologyEstimate:
    if len(back) > len(there):
        return _suggestion(back, there, b, a)
    walked = [seconds for seconds in (*there, *back) if seconds > 0]
    quick_s, median_s = np.percentile(walked, [_QUICK, 50]) if walked else (0.0, 0.0)
    return TopologyEstimate(
        a,
        b,
        sum(seconds > 0 for seconds in there),
        sum(seconds > 0 for seconds in back),
        sum(seconds <= -_TOGETHER_S for seconds in (*there, *back)),
        round(float(median_s), 1),
        round(float(quick_s), 1),
    )


def _direct(found: Sequence[TopologyEstimate]) -> Iterator[TopologyEstimate]:
    """Yield overlaps, and the edges that are shorter than a route through others that are kept."""
    length = {frozenset((s.a, s.b)): 0.0 if s.overlap else s.distance_m for s in found}
    cameras = {camera for pair in length for camera in pair}
    # The longest first, each against those that are left: two edges to overlapping views are each
    # as long as the route through the other, and one of them must stay.
    for each in sorted(found, key=lambda s: (s.distance_m, s.a, s.b), reverse=True):
        through = (
            length[first] + length[second]
            for camera in cameras - {each.a, each.b}
            if (first := frozenset((each.a, camera))) in length
            and (second := frozenset((camera, each.b))) in length
        )
        if each.overlap or each.distance_m < _ROUNDABOUT * min(through, default=float("inf")):
            yield each
        else:
            del length[frozenset((each.a, each.b))]
