"""What a day of identities says about how the cameras lie to each other."""

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
"""How fast adults walk who go straight there (Bohannon, Age and Ageing 26, 1997)."""
_QUICK = 10
"""Percentile of the times: those who did not stop on the way, but no single mistake."""
_ONE_VIEW_S = 10.0
_TOGETHER_S = 1.0
_LEAST_TOGETHER_SHARE = 0.2
_ONE_WAY_FROM = 20
_ROUNDABOUT = 0.95
_STRAIGHT_ON = 2.0
"""Of the quickest tenth's time: half of those who do not stop take no longer than that."""


@dataclass(frozen=True, slots=True)
class TopologyEstimate:
    """What is proposed for two cameras, and what that rests on.

    ``there`` and ``back`` count walks from ``a`` to ``b`` and from ``b`` to ``a``; ``together`` how
    often one person was in both views at once. Times are from the end of one view to the beginning
    of the other: ``median_s`` of half of the walks, ``quick_s`` of the quickest tenth.
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
        """Whether the two views seem to overlap."""
        return self.seen_together >= _LEAST_TOGETHER_SHARE * (
            self.seen_together + self.there + self.back
        )

    @property
    def one_way(self) -> bool:
        """Whether so many went there and none back that the way may lead one way only."""
        return self.there >= _ONE_WAY_FROM and not self.back

    @property
    def sure(self) -> bool:
        """Whether most walk straight on, so that their times speak for a distance.

        Where they stop on the way, even the quickest may have: the distance is then one at most,
        and the gate would refuse those who do not stop.
        """
        return self.overlap or self.median_s <= _STRAIGHT_ON * max(self.quick_s, 1.0)

    @property
    def distance_m(self) -> float:
        """The way on foot that the times speak for."""
        return round(max(0.5, WALKING_MPS * self.quick_s), 1)


@dataclass(slots=True)
class _Track:
    """Who a track was, and in which stretches of time."""

    camera_id: CameraId
    stretches: dict[CustomerId, Sighting] = field(default_factory=dict)


@dataclass(slots=True)
class TransitionCollector:
    """Collects where people were from identity and tracks events, in any number."""

    _tracks: dict[TrackId, _Track] = field(default_factory=dict)

    def add(self, event: IdentityEvent | TracksEvent) -> None:
        """Take note of one event; each camera's must come in order."""
        if isinstance(event, IdentityEvent):
            self._decide(event)
            return
        for seen in event.tracks:
            track = self._tracks.get(seen.track_id)
            stretch = track.stretches.get(seen.customer_id) if track and seen.customer_id else None
            if track and stretch and seen.customer_id:
                track.stretches[seen.customer_id] = Sighting(
                    stretch.camera_id, stretch.first_at, event.captured_at
                )

    def _decide(self, event: IdentityEvent) -> None:
        track = self._tracks.setdefault(event.track_id, _Track(event.camera_id))
        if not event.since:
            track.stretches.clear()
        if event.customer_id is not None:
            since = event.since or event.track_started_at
            track.stretches[event.customer_id] = Sighting(event.camera_id, since, event.captured_at)

    @property
    def recognised_at(self) -> frozenset[CameraId]:
        """The cameras that recognised somebody."""
        return frozenset(t.camera_id for t in self._tracks.values() if t.stretches)

    def people(self) -> dict[CustomerId, list[Sighting]]:
        """Return everybody's stretches in view, in order, those of one view joined."""
        seen: defaultdict[CustomerId, list[Sighting]] = defaultdict(list)
        for track in self._tracks.values():
            for customer, stretch in track.stretches.items():
                seen[customer].append(stretch)
        return {customer: _joined(stretches) for customer, stretches in seen.items()}


def _joined(stretches: Iterable[Sighting]) -> list[Sighting]:
    joined: list[Sighting] = []
    for stretch in sorted(stretches, key=lambda s: (s.first_at, s.last_at)):
        last = joined[-1] if joined else None
        if last and last.camera_id == stretch.camera_id and _gone_s(last, stretch) <= _ONE_VIEW_S:
            joined[-1] = last.joined(stretch)
        else:
            joined.append(stretch)
    return joined


def _gone_s(before: Sighting, after: Sighting) -> float:
    return seconds_between(before.last_at, after.first_at)


def suggest(
    people: Mapping[CustomerId, Sequence[Sighting]], *, least: int = 5
) -> list[TopologyEstimate]:
    """Return the edges and overlaps that at least so many walks, or meetings of views, speak for.

    An edge that is hardly shorter than the way through other proposed ones is left out.
    """
    walks: defaultdict[tuple[CameraId, CameraId], list[float]] = defaultdict(list)
    for stretches in people.values():
        for before, after in pairwise(stretches):
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
    length = {frozenset((s.a, s.b)): 0.0 if s.overlap else s.distance_m for s in found}
    cameras = {camera for pair in length for camera in pair}
    for each in found:
        through = (
            length[first] + length[second]
            for camera in cameras - {each.a, each.b}
            if (first := frozenset((each.a, camera))) in length
            and (second := frozenset((camera, each.b))) in length
        )
        if each.overlap or each.distance_m < _ROUNDABOUT * min(through, default=float("inf")):
            yield each
