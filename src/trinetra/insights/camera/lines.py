"""Line crossings, counted once each despite jitter of the foot points and single wrong boxes.

Around each line lies a dead band as wide as foot points may jitter (hysteresis). A crossing is
counted when a body was clearly on one side, has been clearly on the other for a while, and its path
went through the segment: the signed crossings of the segment on that path must add up to the
direction walked. Ten crossings back and forth within the band therefore count once or not at all,
and a walk around the line's end never counts.

A body that vanishes before its new side is certain has crossed if it was seen there twice, or if it
walked there: a quick walker may be seen only once beyond the line. One that vanishes within the
band has crossed if its path had met the line and it was still walking on.

A body that is first seen within the band came over the line if it walks straight on out of the
band: through a door that opens, or from behind the person before it, people often appear only
there. One that stays or turns within the band first has not come over it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from trinetra.events.schema import Point
from trinetra.insights.camera.geometry import along, crossing, signed_distance
from trinetra.insights.camera.reports import Direction
from trinetra.insights.camera.scene import Scene
from trinetra.insights.config import InsightPolicy, Line
from trinetra.values import Instant, TrackId, seconds_between

_WALKED = 0.25
"""A body walked over the line if it was moving that way before, at this part of the speed."""
_ONWARD_BANDS = 1.0
"""How far a body must walk out of the band in which it began, in half widths of the band."""
_ONWARD_S = 1.5
"""A body that is still in the band after this time does not walk straight on."""


@dataclass(frozen=True, slots=True)
class Crossed:
    """A crossing by a body; ``at`` is the frame in which it crossed."""

    line_id: str
    body_id: TrackId
    track_id: TrackId
    direction: Direction
    at: Instant


class Approach(msgspec.Struct, array_like=True):
    """One body's path since it was last certainly on a side (+1 right, -1 left, 0 not yet).

    ``net`` is the sum of the signed crossings since then. ``beyond_since`` is when the body was
    first seen clearly on the other side, if it has been there at each of the last ``looks``.
    ``distance`` is that of the last look, ``speed`` its change per second, None before the second
    look. ``began`` is the distance and time of the first look if that was within the band.
    """

    foot: Point
    side: int = 0
    net: int = 0
    crossed_at: Instant | None = None
    beyond_since: Instant | None = None
    looks: int = 0
    has_walked: bool = False
    distance: float = 0.0
    speed: float | None = None
    track_id: TrackId = TrackId("")
    seen_at: Instant | None = None
    began: tuple[float, Instant] | None = None


@dataclass(slots=True)
class LineCounter:
    """Counts the crossings of one camera's lines."""

    lines: tuple[Line, ...]
    policy: InsightPolicy
    approaches: dict[tuple[str, TrackId], Approach] = field(default_factory=dict)

    def step(self, scene: Scene, body_ids: list[TrackId]) -> list[Crossed]:
        """Return the crossings that this scene completes."""
        found: list[Crossed] = []
        for line in self.lines:
            distances = signed_distance(scene.feet, line.a, line.b, scene.aspect)
            for row, body_id in enumerate(body_ids):
                approach = self._advance(scene, row, line, body_id)
                distance, band = float(distances[row]), self._band(scene, row)
                if approach.seen_at is None and abs(distance) <= band:
                    approach.began = _beside(approach.foot, line, distance, scene.at)
                _look(approach, distance, band, scene.at)
                if self._is_certain(approach):
                    found += _settled(line.line_id, body_id, approach)
        return found

    def lose(self, now: Instant) -> list[Crossed]:
        """Return the crossings of bodies that have vanished."""
        bridge_s = self.policy.bridge_s
        return [
            crossed
            for key, approach in self.approaches.items()
            if approach.seen_at and seconds_between(approach.seen_at, now) > bridge_s
            for crossed in _ended(key, approach)
        ]

    def flush(self) -> list[Crossed]:
        """Return the crossings of bodies that will not be seen again."""
        return [c for key, approach in self.approaches.items() for c in _ended(key, approach)]

    def copy(self, body_id: TrackId, new_body_id: TrackId) -> None:
        """Start the path of a split-off body as a copy of the one it was split from.

        A crossing that is not certain yet stays with the one that was seen last, or it would count
        for both.
        """
        for line in self.lines:
            if approach := self.approaches.get((line.line_id, body_id)):
                copy = msgspec.structs.replace(approach)
                self.approaches[line.line_id, new_body_id] = copy
                unseen = approach if approach.track_id == new_body_id else copy
                unseen.beyond_since, unseen.looks, unseen.net = None, 0, 0
                unseen.has_walked = False

    def rename(self, gone_id: TrackId, body_id: TrackId) -> None:
        """Move the path of body ``gone_id`` to ``body_id``, which it turned out to continue."""
        for line in self.lines:
            if approach := self.approaches.pop((line.line_id, gone_id), None):
                self.approaches[line.line_id, body_id] = approach

    def keep(self, body_ids: set[TrackId]) -> None:
        """Drop all bodies except these."""
        for key in [key for key in self.approaches if key[1] not in body_ids]:
            del self.approaches[key]

    def _advance(self, scene: Scene, row: int, line: Line, body_id: TrackId) -> Approach:
        foot = (float(scene.feet[row, 0]), float(scene.feet[row, 1]))
        approach = self.approaches.setdefault((line.line_id, body_id), Approach(foot))
        if step := crossing(approach.foot, foot, line.a, line.b):
            approach.net += step
            approach.crossed_at = scene.at
        approach.foot, approach.track_id = foot, scene.track_ids[row]
        return approach

    def _is_certain(self, approach: Approach) -> bool:
        """Return whether a body is on the other side for good."""
        since, at = approach.beyond_since, approach.seen_at
        return bool(since and at and seconds_between(since, at) >= self.policy.confirm_s)

    def _band(self, scene: Scene, row: int) -> float:
        return max(
            self.policy.dead_band_min, self.policy.dead_band_boxes * float(scene.height[row])
        )


def _beside(
    foot: Point, line: Line, distance: float, at: Instant
) -> tuple[float, Instant] | None:
    """Return where and when a body began within the band, None if beyond the line's ends."""
    return (distance, at) if 0.0 <= along(line.a, line.b, foot) <= 1.0 else None


def _look(approach: Approach, distance: float, band: float, at: Instant) -> None:
    """Record on which side a body is seen; a foot within the band is on neither."""
    before, approach.speed = approach.speed, None
    elapsed_s = seconds_between(approach.seen_at, at) if approach.seen_at else 0.0
    if elapsed_s > 0:
        approach.speed = (distance - approach.distance) / elapsed_s
    approach.distance, approach.seen_at = distance, at
    seen = 0 if abs(distance) <= band else (1 if distance > 0 else -1)
    if seen and approach.began:
        if _came_over(approach, seen, band):
            approach.side, approach.net = -seen, seen
            approach.crossed_at = approach.crossed_at or approach.began[1]
        approach.began = None
    if seen and approach.side in (0, seen):
        approach.side, approach.net = seen, 0
    if seen == -approach.side and seen:
        if approach.beyond_since is None:
            approach.beyond_since = at
            approach.has_walked = _is_walk(before, approach.speed)
        approach.looks += 1
    else:
        approach.beyond_since, approach.looks = None, 0
        approach.has_walked = not seen and _walks_on(approach, before)


def _walks_on(approach: Approach, before: float | None) -> bool:
    """Return whether a body within the band is over the line and was walking on at two looks."""
    speed, way = approach.speed, -approach.side
    if before is None or speed is None or approach.net != way or not way:
        return False
    return approach.distance * way > 0 and speed * way > 0 and _is_walk(before, speed)


def _came_over(approach: Approach, seen: int, band: float) -> bool:
    """Return whether a body that began within the band has walked straight out of it."""
    if approach.began is None or approach.seen_at is None:
        return False
    began_distance, began_at = approach.began
    onward = (approach.distance - began_distance) * seen
    is_straight = seconds_between(began_at, approach.seen_at) <= _ONWARD_S
    return is_straight and onward >= _ONWARD_BANDS * band and approach.net in (0, seen)


def _is_walk(before: float | None, now: float | None) -> bool:
    """Return whether a body went on as before; one that was seen only once may have walked."""
    if before is None or now is None:
        return True
    return before * now > 0 and abs(before) >= _WALKED * abs(now)


def _settled(line_id: str, body_id: TrackId, approach: Approach) -> Iterator[Crossed]:
    """Move a body to the other side; yield the crossing, unless it walked around the line.

    It is dated to the frame in which the path met the line, not to the later one in which the side
    became certain.
    """
    net, approach.side, approach.net = approach.net, -approach.side, 0
    approach.beyond_since, approach.looks, approach.has_walked = None, 0, False
    # Changing sides is not enough: a path around the end of the segment has a net crossing of 0.
    if net == approach.side and approach.crossed_at:
        direction: Direction = "in" if approach.side > 0 else "out"
        yield Crossed(line_id, body_id, approach.track_id, direction, approach.crossed_at)


def _ended(key: tuple[str, TrackId], approach: Approach) -> Iterator[Crossed]:
    """Yield the crossing of a body that vanished beyond the line, if it is likely one."""
    if approach.looks > 1 or approach.has_walked:
        yield from _settled(*key, approach)
