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

import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

import msgspec
import numpy as np

from trinetra.events.schema import Point
from trinetra.geometry import Homography, UprightScale, upright_scale
from trinetra.insights.camera.geometry import Ruler, along, crossing
from trinetra.insights.camera.reports import Crossing, Direction
from trinetra.insights.camera.scene import Scene
from trinetra.insights.config import InsightPolicy, Line
from trinetra.values import Instant, TrackId, longest, seconds_between

_WALKED = 0.25
"""A body walked over the line if it was moving that way before, at this part of the speed."""
_COMPANY_BOXES, _COMPANY_S = 1.0, 2.5
"""A companion is this near to a body that crossed, and began this soon after or before that."""
_JUMP_BOXES, _RUN_BOXES_PER_S = 0.8, 3.0
"""A foot that moves further than both, in box heights and in box heights per second, has jumped."""
_UNSEEN_S = 1.0
"""After this time unseen, only a body that was walking to the line has crossed it meanwhile."""
_HEIGHTS, _LEAST_HEIGHTS = 15, 3
"""Estimates of a person's height that are kept, and needed: a single box may be wrong."""
_EDGE = 0.01
"""A box that is nearer to the upper or lower edge of the picture may be cut off."""
_BEGIN_BANDS = 2.5
"""A body begins at a line if it is first seen this near to it, in half widths of the band."""
_ONWARD_BANDS = 1.0
"""How far a body that began at a line must have walked on, in half widths of the band."""
_WATCHED_S = 2.0
"""A track does not begin at a line when the camera does: the person may have been there before."""
_ONWARD_S = 1.5
"""A body that is still in the band after this time does not walk straight on."""


@dataclass(frozen=True, slots=True)
class Crossed:
    """A crossing by a body; ``at`` is the frame in which it crossed.

    ``along`` is how far from the line's end ``a`` that was, in box heights; ``height_m`` is the
    person's height if known, ``reach`` how far from the line the person had been since crossing it
    before, in box heights; None at the first crossing.
    """

    line_id: str
    body_id: TrackId
    track_id: TrackId
    direction: Direction
    at: Instant
    along: float | None = None
    height_m: float | None = None
    reach: float | None = None


class Approach(msgspec.Struct, array_like=True):
    """One body's path since it was last certainly on a side (+1 right, -1 left, 0 not yet).

    ``net`` is the sum of the signed crossings since then. ``beyond_since`` is when the body was
    first seen clearly on the other side, if it has been there at each of the last ``looks``.
    ``distance`` is that of the last look, ``speed`` its change per second, None before the second
    look. ``began`` is the distance and time of the first look if that was at the line.
    ``met`` is where the path met the line, in box heights from its end ``a``; ``heights_m`` are the
    last estimates of the person's height, ``reach`` is how far from the line, in box heights, the
    body was on its side since it crossed, None if it did not.
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
    height: float = 0.0
    met: float | None = None
    heights_m: list[float] = []
    reach: float | None = None


class Joined(msgspec.Struct, array_like=True):
    """A track that continues a body: its path alone, and the body's path before it."""

    alone: Approach
    before: Approach


_Key = tuple[str, TrackId]


@dataclass(slots=True)
class LineCounter:
    """Counts the crossings of one camera's lines.

    ``approaches`` are the paths of bodies, ``joined`` the tracks that lately continued one.
    ``watch`` is since when frames have come without a longer pause, and the last one.
    """

    lines: tuple[Line, ...]
    policy: InsightPolicy
    floor: Homography | None = None
    approaches: dict[_Key, Approach] = field(default_factory=dict)
    joined: dict[_Key, Joined] = field(default_factory=dict)
    watch: tuple[Instant, Instant] | None = None
    _scale: tuple[float, UprightScale | None] | None = None
    _rulers: tuple[float, tuple[tuple[Line, Ruler], ...]] | None = None

    def step(self, scene: Scene, body_ids: list[TrackId]) -> list[Crossed]:
        """Return the crossings that this scene completes."""
        found: list[Crossed] = []
        watched_s = self._watched_s(scene.at)
        feet = [self._foot(scene, row, watched_s) for row in range(len(body_ids))]
        for line, ruler in self._measured(scene.aspect) if feet else ():
            for foot, body_id in zip(feet, body_ids, strict=True):
                step = _Step(foot, line, ruler, ruler.distance(foot.point))
                key = line.line_id, body_id
                if foot.track_id != body_id:
                    self._follow_alone(key, (line.line_id, foot.track_id), step)
                found += self._follow(self.approaches, key, step)
        if self.joined:
            self._forget_joined(scene.at)
        return found

    def _measured(self, aspect: float) -> tuple[tuple[Line, Ruler], ...]:
        """Return the lines, prepared for frames of this shape."""
        if self._rulers is None or self._rulers[0] != aspect:
            lines = tuple((line, Ruler.of(line.a, line.b, aspect)) for line in self.lines)
            self._rulers = aspect, lines
        return self._rulers[1]

    def _foot(self, scene: Scene, row: int, watched_s: float) -> "_Foot":
        height, policy = scene.height[row], self.policy
        return _Foot(
            at=scene.at,
            track_id=scene.track_ids[row],
            point=scene.feet[row],
            height=height,
            band=max(policy.dead_band_min, policy.dead_band_boxes * height),
            watched_s=watched_s,
            height_m=None if self.floor is None else self._height_m(self.floor, scene, row),
        )

    def _height_m(self, floor: Homography, scene: Scene, row: int) -> float | None:
        """Return the height of a person, None if unknown or cut off by the picture's edge."""
        if self._scale is None or self._scale[0] != scene.aspect:
            self._scale = scene.aspect, upright_scale(floor, scene.aspect)
        (x, y), box_height = scene.feet[row], scene.height[row]
        if self._scale[1] is None or y > 1 - _EDGE or y - box_height < _EDGE:
            return None
        return self._scale[1].height_m((x, y), box_height)

    def _watched_s(self, now: Instant) -> float:
        """Return for how long the view has been watched without a longer pause."""
        since, last_at = self.watch or (now, now)
        if seconds_between(last_at, now) > self.policy.bridge_s:
            since = now
        self.watch = since, now
        return seconds_between(since, now)

    def _follow_alone(self, key: _Key, track_key: _Key, step: "_Step") -> None:
        """Keep the path of a track that continues a body, as if it did not."""
        joined = self.joined.get(track_key)
        alone = {track_key: joined.alone} if joined else {}
        _ = self._follow(alone, track_key, step)
        if joined:
            joined.alone = alone[track_key]
        elif key in self.approaches:
            before = msgspec.structs.replace(self.approaches[key])
            self.joined[track_key] = Joined(alone[track_key], before)

    def _follow(self, approaches: dict[_Key, Approach], key: _Key, step: "_Step") -> list[Crossed]:
        """Advance one path; return the crossings that this completes."""
        found: list[Crossed] = []
        foot, way = step.foot, 0
        approach = approaches.get(key)
        if approach:
            way = crossing(approach.foot, foot.point, step.line.a, step.line.b)
            if way and _is_other(approach, step, way):
                found += _ended(key, approaches.pop(key))
                approach, way = None, 0
        if approach is None:
            approach = approaches[key] = Approach(foot.point)
        _advance(approach, step, way)
        _look(approach, step.distance, foot.band, foot.at)
        if approach.reach is not None and step.distance * approach.side > 0:
            reach = abs(step.distance) / max(foot.height, sys.float_info.min)
            approach.reach = max(approach.reach, reach)
        if approach.began is not None and self._came_over(approach, step):
            _begin_beyond(approach, step)
        if approach.beyond_since and self._is_certain(approach):
            found += _settled(*key, approach)
        return found

    def _forget_joined(self, now: Instant) -> None:
        for key, joined in list(self.joined.items()):
            seen_at = joined.alone.seen_at or now
            if seconds_between(seen_at, now) > self.policy.bridge_s:
                del self.joined[key]

    def change(self, lines: tuple[Line, ...], floor: Homography | None) -> list[Crossed]:
        """Count at these lines from the next scene on; return the crossings of those that end.

        Paths at a line that stays as it is go on. No track begins at a line for a while, because
        those in view may have stood there before.
        """
        same = {line.line_id for line in set(lines) & set(self.lines)}
        over = {key: path for key, path in self.approaches.items() if key[0] not in same}
        self.approaches = {k: path for k, path in self.approaches.items() if k[0] in same}
        self.joined = {key: joined for key, joined in self.joined.items() if key[0] in same}
        if set(lines) != set(self.lines):
            self.watch = None
        self.lines, self.floor = lines, floor
        self._scale = self._rulers = None
        return [crossed for key, path in over.items() for crossed in _ended(key, path)]

    def lose(self, now: Instant) -> list[Crossed]:
        """Return the crossings of bodies that have vanished."""
        oldest = now - longest(self.policy.bridge_s)
        return [
            crossed
            for key, approach in self.approaches.items()
            if approach.seen_at and approach.seen_at < oldest
            for crossed in _ended(key, approach)
        ]

    def flush(self) -> list[Crossed]:
        """Return the crossings of bodies that will not be seen again."""
        return [c for key, approach in self.approaches.items() for c in _ended(key, approach)]

    def split(self, body_id: TrackId, new_body_id: TrackId, *, seen_together: bool) -> None:
        """Start the path of a split-off body as a copy of the one it was split from.

        A crossing that is not certain yet stays with the one that was seen last, or it would count
        for both. If both were seen in one frame, the later track never continued the body: then
        each goes on with its own path.
        """
        for line in self.lines:
            key, new_key = (line.line_id, body_id), (line.line_id, new_body_id)
            joined = self.joined.pop(new_key, None)
            if joined and seen_together:
                self.approaches[key], self.approaches[new_key] = joined.before, joined.alone
            elif approach := self.approaches.get(key):
                copy = self.approaches[new_key] = msgspec.structs.replace(approach)
                _drop_pending(approach if approach.track_id == new_body_id else copy)

    def rename(self, gone_id: TrackId, body_id: TrackId) -> None:
        """Move the path of body ``gone_id`` to ``body_id``, which it turned out to continue."""
        for line in self.lines:
            if approach := self.approaches.pop((line.line_id, gone_id), None):
                self.approaches[line.line_id, body_id] = approach

    def keep(self, body_ids: Collection[TrackId]) -> None:
        """Drop all bodies except these."""
        for key in [key for key in self.approaches if key[1] not in body_ids]:
            del self.approaches[key]

    def _came_over(self, approach: Approach, step: "_Step") -> bool:
        """Return whether a body began at the line, or beside one that crossed, and walked on."""
        side, seen_at = approach.side, approach.seen_at
        if approach.began is None or not side or approach.net not in (0, side) or not seen_at:
            return False
        (began_distance, began_at), band = approach.began, step.foot.band
        if seconds_between(began_at, seen_at) > _ONWARD_S or began_distance * side < -band:
            approach.began = None
            return False
        if (approach.distance - began_distance) * side < _ONWARD_BANDS * band:
            return False
        is_at_line = abs(began_distance) <= _BEGIN_BANDS * band
        return is_at_line or self._has_company(step.line, approach, step.ruler.aspect)

    def _has_company(self, line: Line, approach: Approach, aspect: float) -> bool:
        """Return whether a body beside this one, which may have hidden it, has just crossed."""
        return any(
            line_id == line.line_id
            and other is not approach
            and other.crossed_at is not None
            and other.side == approach.side
            and _is_soon(approach, other.crossed_at)
            and _apart(approach, other, aspect) <= _COMPANY_BOXES * approach.height
            for (line_id, _), other in self.approaches.items()
        )

    def _is_certain(self, approach: Approach) -> bool:
        """Return whether a body is on the other side for good."""
        since, at = approach.beyond_since, approach.seen_at
        return bool(since and at and seconds_between(since, at) >= self.policy.confirm_s)


class _Foot(NamedTuple):
    """One foot in one frame; ``band`` and ``height`` of the box are in frame heights."""

    at: Instant
    track_id: TrackId
    point: Point
    height: float
    band: float
    watched_s: float
    height_m: float | None


class _Step(NamedTuple):
    """A foot, and its distance to a line in frame heights."""

    foot: _Foot
    line: Line
    ruler: Ruler
    distance: float

    @property
    def along(self) -> float:
        """Return how far from the line's end ``a`` the foot is, in box heights."""
        share = along(self.line.a, self.line.b, self.foot.point)
        return share * self.ruler.length / max(self.foot.height, sys.float_info.min)


def _advance(approach: Approach, step: _Step, way: int) -> None:
    """Move a path on to a foot; ``way`` is how it crosses the line on that."""
    foot, line = step.foot, step.line
    if (
        approach.seen_at is None
        and foot.watched_s >= _WATCHED_S
        and 0.0 <= along(line.a, line.b, foot.point) <= 1.0
    ):
        approach.began = step.distance, foot.at
    if way:
        approach.net += way
        approach.crossed_at, approach.met = foot.at, step.along
    approach.foot, approach.height = foot.point, foot.height
    approach.track_id = foot.track_id
    if foot.height_m is not None:
        approach.heights_m = [*approach.heights_m, foot.height_m][-_HEIGHTS:]


def _is_other(before: Approach, step: _Step, way: int) -> bool:
    """Return whether a body has stepped over the line only because two people were confused.

    No one runs that fast; or the body was not seen for a while, and was not walking that way
    before.
    """
    if before.seen_at is None:
        return False
    elapsed_s = seconds_between(before.seen_at, step.foot.at)
    if _apart_boxes(before, step) > max(_JUMP_BOXES, _RUN_BOXES_PER_S * elapsed_s):
        return True
    return elapsed_s > _UNSEEN_S and (before.speed or 0.0) * way <= 0


def _apart_boxes(before: Approach, step: _Step) -> float:
    """Return how far a foot has moved since the last look, in box heights."""
    dx, dy = np.subtract(step.foot.point, before.foot)
    height = max(step.foot.height, before.height, sys.float_info.min)
    return float(np.hypot(dx * step.ruler.aspect, dy)) / height


def _drop_pending(approach: Approach) -> None:
    """Forget a crossing that is not certain yet."""
    approach.beyond_since, approach.looks, approach.net = None, 0, 0
    approach.has_walked = False


def _apart(one: Approach, two: Approach, aspect: float) -> float:
    """Return the distance between two feet in frame heights."""
    dx, dy = np.subtract(one.foot, two.foot)
    return float(np.hypot(dx * aspect, dy))


def _is_soon(approach: Approach, crossed_at: Instant) -> bool:
    """Return whether a body began about when another one crossed."""
    began_at = approach.began[1] if approach.began else crossed_at
    return abs(seconds_between(crossed_at, began_at)) <= _COMPANY_S


def _begin_beyond(approach: Approach, step: _Step) -> None:
    """Treat a body that began at the line as one that came from the other side."""
    way, began = approach.side, approach.began
    approach.side, approach.net, approach.began = -way, way, None
    approach.crossed_at = approach.crossed_at or (began[1] if began else None)
    approach.met = step.along if approach.met is None else approach.met
    approach.beyond_since, approach.looks, approach.has_walked = approach.seen_at, 1, True


def _look(approach: Approach, distance: float, band: float, at: Instant) -> None:
    """Record on which side a body is seen; a foot within the band is on neither."""
    before, approach.speed = approach.speed, None
    elapsed_s = seconds_between(approach.seen_at, at) if approach.seen_at else 0.0
    if elapsed_s > 0:
        approach.speed = (distance - approach.distance) / elapsed_s
    approach.distance, approach.seen_at = distance, at
    seen = 0 if abs(distance) <= band else (1 if distance > 0 else -1)
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
        height_m = median(approach.heights_m) if len(approach.heights_m) >= _LEAST_HEIGHTS else None
        yield Crossed(
            line_id=line_id,
            body_id=body_id,
            track_id=approach.track_id,
            direction=direction,
            at=approach.crossed_at,
            along=approach.met,
            height_m=height_m,
            reach=approach.reach,
        )
        approach.reach = 0.0


def _ended(key: tuple[str, TrackId], approach: Approach) -> Iterator[Crossed]:
    """Yield the crossing of a body that vanished beyond the line, if it is likely one."""
    if approach.looks > 1 or approach.has_walked:
        yield from _settled(*key, approach)


def crossing_of(crossed: Crossed) -> Crossing:
    """Return what is reported of a crossing."""
    return Crossing(
        line_id=crossed.line_id,
        direction=crossed.direction,
        at=crossed.at,
        along=None if crossed.along is None else round(crossed.along, 3),
        height_m=None if crossed.height_m is None else round(crossed.height_m, 3),
        body_id=crossed.body_id,
        reach=None if crossed.reach is None else round(crossed.reach, 3),
    )
