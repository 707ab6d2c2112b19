"""Line crossings, counted once each despite jitter of the foot points.

Around each line lies a dead band as wide as foot points may jitter (hysteresis). A crossing is
counted when a body was clearly on one side, is now clearly on the other, and its path went through
the segment: the signed crossings of the segment on that path must add up to the direction walked.
Ten crossings back and forth within the band therefore count once or not at all, and a walk around
the line's end never counts.
"""

from dataclasses import dataclass, field

import msgspec

from trinetra.events.schema import Point
from trinetra.insights.camera.geometry import crossing, signed_distance
from trinetra.insights.camera.reports import Direction
from trinetra.insights.camera.scene import Scene
from trinetra.insights.config import InsightPolicy, Line
from trinetra.values import Instant, TrackId


@dataclass(frozen=True, slots=True)
class Crossed:
    """A crossing by the track in ``row`` of the scene; ``at`` is the frame in which it crossed."""

    line_id: str
    direction: Direction
    row: int
    at: Instant


class Approach(msgspec.Struct, array_like=True):
    """One body's path since it was last clearly on a side (+1 right, -1 left, 0 not yet).

    ``net`` is the sum of the signed crossings since then.
    """

    foot: Point
    side: int = 0
    net: int = 0
    crossed_at: Instant | None = None


@dataclass(slots=True)
class LineCounter:
    """Counts the crossings of one camera's lines."""

    lines: tuple[Line, ...]
    policy: InsightPolicy
    approaches: dict[tuple[str, TrackId], Approach] = field(default_factory=dict)

    def step(self, scene: Scene, body_ids: list[TrackId]) -> list[Crossed]:
        """Return the crossings that this scene completes."""
        found = []
        for line in self.lines:
            distances = signed_distance(scene.feet, line.a, line.b, scene.aspect)
            for row, body_id in enumerate(body_ids):
                approach = self._advance(scene, row, line, body_id)
                at = _settle(approach, float(distances[row]), self._band(scene, row))
                if at:
                    direction: Direction = "in" if approach.side > 0 else "out"
                    found.append(Crossed(line.line_id, direction, row, at))
        return found

    def copy(self, body_id: TrackId, new_body_id: TrackId) -> None:
        """Start the path of a split-off body as a copy of the one it was split from."""
        for line in self.lines:
            if approach := self.approaches.get((line.line_id, body_id)):
                self.approaches[line.line_id, new_body_id] = msgspec.structs.replace(approach)

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
        approach.foot = foot
        return approach

    def _band(self, scene: Scene, row: int) -> float:
        return max(
            self.policy.dead_band_min, self.policy.dead_band_boxes * float(scene.height[row])
        )


def _settle(approach: Approach, distance: float, band: float) -> Instant | None:
    """Update the side once it is clear; return when the line was crossed, if that is now certain.

    The crossing is dated to the frame in which the path met the line, not to the later one in which
    the foot left the dead band.
    """
    if abs(distance) <= band:
        return None
    before, net = approach.side, approach.net
    approach.side, approach.net = (1 if distance > 0 else -1), 0
    changed_side = before == -approach.side
    # Changing sides is not enough: a path around the end of the segment has a net crossing of 0.
    return approach.crossed_at if changed_side and net == approach.side else None
