"""Where people are in the view of one camera, and for how long: the parts of heatmaps.

The time between two looks at a person counts at the place of the first one. A longer time than
``gap_s`` counts nowhere: the person may have been anywhere. What is counted is reported per quarter
hour, because the hours of every shop begin with one.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta

import msgspec

from trinetra.events.schema import FloorCell, FloorPresence
from trinetra.geometry import Homography, UprightScale, upright_scale
from trinetra.insights.camera.grid import cell_numbered, floor_cell, number_of, picture_cell
from trinetra.insights.camera.reports import Place
from trinetra.insights.camera.scene import Scene
from trinetra.insights.config import PERSON
from trinetra.values import EventId, Instant, TrackId, derive_id, microseconds, seconds_between

_REPORT_S = 300.0
_STAYED_MS = 1000
"""Whoever is in a cell for so long counts as one of its people."""
_UNPLACED = -1
_MOST_CELLS = 576
"""Cells of one report; the time in those with the least counts as unplaced."""


class Walk(msgspec.Struct, array_like=True):
    """One body: its last look and cell, its time by cell in this span, and where it has counted.

    Stored by position in snapshots: add new fields at the end.
    """

    seen_at: Instant
    cell: int
    ms: dict[int, int] = {}
    counted: list[int] = []


class HeatSpan(msgspec.Struct, array_like=True):
    """The span in progress, up to the frame at ``until``.

    ``settled_ms`` and ``settled_tracks`` are of bodies that cannot be identified any more.
    """

    started_at: Instant
    until: Instant
    session: int
    walks: dict[TrackId, Walk] = {}
    settled_ms: dict[int, int] = {}
    settled_tracks: dict[int, int] = {}
    reported_at: Instant | None = None


@dataclass(slots=True)
class HeatMeter:
    """Reports the presence in one camera's view: every five minutes, and at the quarter hour."""

    place: Place
    gap_s: float
    floor: Homography | None = None
    span: HeatSpan | None = None
    _scale: tuple[float, UprightScale | None] | None = None

    def step(
        self,
        scene: Scene,
        body_ids: list[TrackId],
        session: int = 0,
        predicted: Collection[TrackId] = (),
    ) -> list[FloorPresence]:
        """Take the people of a frame in; return what is to report.

        ``predicted`` are the tracks whose boxes are only estimates.
        """
        ended = self._turn(scene.at, session)
        span = self.span = self.span or HeatSpan(scene.at, scene.at, session)
        span.until = scene.at
        for row, body_id in enumerate(body_ids):
            if scene.labels[row] == PERSON and scene.track_ids[row] not in predicted:
                self._see(span, body_id, scene, row)
        is_due = seconds_between(span.reported_at or span.started_at, scene.at) >= _REPORT_S
        return [*ended, *(self._report() if is_due else ())]

    def keep(self, body_ids: Collection[TrackId], staff: Collection[TrackId]) -> None:
        """Leave staff out, and settle the time of bodies that are not known any more."""
        if self.span is None:
            return
        for body_id in [body for body in self.span.walks if body in staff]:
            del self.span.walks[body_id]
        for body_id in [body for body in self.span.walks if body not in body_ids]:
            _settle(self.span, self.span.walks.pop(body_id))

    def merge(self, body_id: TrackId, gone_id: TrackId) -> None:
        """Add the time of body ``gone_id`` to ``body_id``, which it turned out to continue."""
        gone = self.span.walks.pop(gone_id, None) if self.span else None
        if self.span and gone:
            own = self.span.walks.get(body_id, gone)
            self.span.walks[body_id] = gone if own is gone else _joined(own, gone)

    def flush(self) -> list[FloorPresence]:
        """End the span at its last frame; return what is to report."""
        ended = self._report()
        self.span = None
        return ended

    def _turn(self, at: Instant, session: int) -> list[FloorPresence]:
        """End the span if its quarter hour is over; the next one begins with this frame."""
        if self.span is None or at < _next_quarter(self.span.started_at):
            return []
        ended = self._report()
        walks = {body_id: _gone_on(walk) for body_id, walk in self.span.walks.items()}
        self.span = HeatSpan(at, at, session, walks)
        return ended

    def _see(self, span: HeatSpan, body_id: TrackId, scene: Scene, row: int) -> None:
        cell = self._cell(scene, row)
        walk = span.walks.setdefault(body_id, Walk(scene.at, cell))
        if 0 < seconds_between(walk.seen_at, scene.at) <= self.gap_s:
            # Differences of whole milliseconds: they add up exactly.
            since_ms = microseconds(scene.at) // 1000 - microseconds(walk.seen_at) // 1000
            walk.ms[walk.cell] = walk.ms.get(walk.cell, 0) + since_ms
        walk.seen_at, walk.cell = scene.at, cell

    def _cell(self, scene: Scene, row: int) -> int:
        x, y = scene.feet[row]
        if self.floor is None:
            return number_of(picture_cell((x, y)))
        if self._scale is None or self._scale[0] != scene.aspect:
            self._scale = scene.aspect, upright_scale(self.floor, scene.aspect)
        if scale := self._scale[1]:
            x, y = scale.foot_of((x, y - scene.height[row] / 2), y, scene.aspect)
        cell = floor_cell(self.floor, (x, y))
        return _UNPLACED if cell is None else number_of(cell)

    def _report(self) -> list[FloorPresence]:
        span = self.span
        if span is None:
            return []
        ms, tracks = Counter(span.settled_ms), Counter(span.settled_tracks)
        for walk in span.walks.values():
            ms.update(walk.ms)
            tracks.update(_stayed(walk))
        if not ms and span.reported_at is None:
            return []
        span.reported_at = span.until
        return [self._event(span, ms, tracks)]

    def _event(self, span: HeatSpan, ms: Counter[int], tracks: Counter[int]) -> FloorPresence:
        placed = sorted(number for number in ms if number != _UNPLACED)
        shown = sorted(sorted(placed, key=lambda number: -ms[number])[:_MOST_CELLS])
        identity = (*self.place, span.session, span.started_at)
        return FloorPresence(
            event_id=EventId(derive_id("floor_presence", *identity)),
            site_id=self.place.site_id,
            camera_id=self.place.camera_id,
            captured_at=span.until,
            started_at=span.started_at,
            grid="floor" if self.floor else "picture",
            cells=tuple(FloorCell(*cell_numbered(n), ms[n], tracks[n]) for n in shown),
            unplaced_ms=sum(ms.values()) - sum(ms[number] for number in shown),
        )


def _stayed(walk: Walk) -> Iterable[int]:
    """Return the cells in which a body has been for long enough, and has not counted before."""
    return [cell for cell, ms in walk.ms.items() if ms >= _STAYED_MS and cell not in walk.counted]


def _gone_on(walk: Walk) -> Walk:
    """Return a body as it goes on in the next span."""
    return Walk(walk.seen_at, walk.cell, {}, [*walk.counted, *_stayed(walk)])


def _settle(span: HeatSpan, walk: Walk) -> None:
    for cell in _stayed(walk):
        span.settled_tracks[cell] = span.settled_tracks.get(cell, 0) + 1
    for cell, ms in walk.ms.items():
        span.settled_ms[cell] = span.settled_ms.get(cell, 0) + ms


def _joined(one: Walk, two: Walk) -> Walk:
    last = max(one, two, key=lambda walk: walk.seen_at)
    ms = Counter(one.ms)
    ms.update(two.ms)
    counted = sorted({*one.counted, *two.counted})
    return Walk(last.seen_at, last.cell, dict(ms), counted)


def _next_quarter(at: Instant) -> Instant:
    hour = at.replace(minute=0, second=0, microsecond=0)
    return hour + timedelta(minutes=15 * (at.minute // 15 + 1))
