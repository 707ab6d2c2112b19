"""Audit of counting lines from recorded tracks: what their crossings can be trusted for.

A line counts well if people are seen well before and well after it. Where tracks begin or end at
it, crossings rest on guesses; where people pass beside its ends, they are not counted at all.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from trinetra.events.schema import Point, TracksEvent
from trinetra.insights.camera.geometry import Ruler, crossing
from trinetra.insights.camera.scene import scene_of
from trinetra.insights.config import PERSON, Line
from trinetra.insights.footfall.doors import LineRef
from trinetra.values import CameraId, Instant, TrackId, seconds_between

_AT_LINE_BOXES = 0.3
"""Tracks that begin or end nearer to the line than this, in box heights, are born or lost at it."""
_EDGE_S = 2.0
"""Tracks in view when a recording begins or ends are neither born nor lost."""
LEAST_TRACKS = 20
_BORN, _LOST, _BESIDE = 0.2, 0.2, 0.05


@dataclass(slots=True)
class _Path:
    """A track's first and last sight: time, signed distance in box heights, and its sides."""

    first_at: Instant
    last_at: Instant
    first: float
    last: float
    foot: Point
    through: int = 0


@dataclass(frozen=True, slots=True)
class LineReport:
    """Counts of the tracks near a line.

    ``near`` tracks came within a box height of it. ``through`` changed sides through the line,
    ``beside`` around its ends. ``born`` and ``lost`` began or ended at it.
    """

    ref: LineRef
    near: int
    through: int
    beside: int
    born: int
    lost: int

    def findings(self) -> Iterator[str]:
        """Yield what is wrong with the line and what to do, or that too few tracks are known."""
        if self.near < LEAST_TRACKS:
            yield f"only {self.near} tracks came near it: {LEAST_TRACKS} are needed to judge it"
            return
        if not self.through:
            yield "no track crossed it: it may lie where people do not walk, or run along their way"
        if self.born > _BORN * self.near:
            yield (
                f"{self.born} of {self.near} tracks begin at it: people are first seen there. Move "
                "it further along their way"
            )
        if self.lost > _LOST * self.near:
            yield (
                f"{self.lost} of {self.near} tracks end at it: people are lost there. Move it back "
                "along their way"
            )
        if self.beside > _BESIDE * (self.through + self.beside):
            yield (
                f"{self.beside} of {self.through + self.beside} people passed beside its ends: "
                "lengthen it"
            )


@dataclass(slots=True)
class LineAudit:
    """Collects the tracks of one camera; frames must be added in the order of capture."""

    camera_id: CameraId
    lines: tuple[Line, ...]
    _paths: dict[tuple[str, TrackId], _Path] = field(default_factory=dict)
    _near: set[tuple[str, TrackId]] = field(default_factory=set)
    _span: tuple[Instant, Instant] | None = None

    def add(self, event: TracksEvent) -> None:
        """Add the tracks of one frame."""
        if event.silent is True:
            return
        scene = scene_of(event)
        first_at = self._span[0] if self._span else event.captured_at
        self._span = first_at, event.captured_at
        for line in self.lines:
            ruler = Ruler.of(line.a, line.b, scene.aspect)
            for row, track_id in enumerate(scene.track_ids):
                if scene.labels[row] != PERSON or scene.height[row] <= 0:
                    continue
                foot = scene.feet[row]
                boxes = ruler.distance(foot) / scene.height[row]
                self._follow(line, track_id, foot, boxes, scene.at)

    def reports(self) -> list[LineReport]:
        """Return a report for every line."""
        return [self._report(line) for line in self.lines]

    def _follow(
        self, line: Line, track_id: TrackId, foot: Point, boxes: float, at: Instant
    ) -> None:
        key = line.line_id, track_id
        path = self._paths.setdefault(key, _Path(at, at, boxes, boxes, foot))
        path.through += crossing(path.foot, foot, line.a, line.b)
        path.foot, path.last, path.last_at = foot, boxes, at
        if abs(boxes) <= 1.0 and _is_beside(line, foot):
            self._near.add(key)

    def _report(self, line: Line) -> LineReport:
        paths = [path for key, path in self._paths.items() if key[0] == line.line_id]
        near = [self._paths[key] for key in self._near if key[0] == line.line_id]
        changed = [path for path in paths if path.first * path.last < 0]
        through = sum(path.through != 0 for path in changed)
        return LineReport(
            ref=LineRef(self.camera_id, line.line_id),
            near=len(near),
            through=through,
            beside=len(changed) - through,
            born=sum(self._is_born(path) for path in near),
            lost=sum(self._is_lost(path) for path in near),
        )

    def _is_born(self, path: _Path) -> bool:
        is_late = self._span and seconds_between(self._span[0], path.first_at) > _EDGE_S
        return bool(is_late) and abs(path.first) <= _AT_LINE_BOXES

    def _is_lost(self, path: _Path) -> bool:
        is_early = self._span and seconds_between(path.last_at, self._span[1]) > _EDGE_S
        return bool(is_early) and abs(path.last) <= _AT_LINE_BOXES


def _is_beside(line: Line, foot: Point) -> bool:
    """Return whether a foot is beside the line itself, not beyond its ends."""
    (ax, ay), (bx, by) = line.a, line.b
    dx, dy = bx - ax, by - ay
    share = ((foot[0] - ax) * dx + (foot[1] - ay) * dy) / (dx * dx + dy * dy)
    return 0.0 <= share <= 1.0
