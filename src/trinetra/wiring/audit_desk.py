"""Counts by hand for API and dashboard: compared with the platform's, kept, and called for."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import uuid4

from trinetra.client.models import Audit, AuditedDirection, LineState, NewAudit
from trinetra.events.audits import CountAudit, SeenCrossing, Way
from trinetra.events.derivation import Span
from trinetra.events.figures import Mark
from trinetra.events.schema import LineCrossing
from trinetra.insights.footfall.count_accuracy import accuracy
from trinetra.insights.line_intervals import audits_by_place, changes_of
from trinetra.ports import Clock, SiteStore
from trinetra.site import Camera, Line, Site
from trinetra.values import CameraId, seconds_between
from trinetra.web.problems import Invalid, NotFound

_LONGEST = timedelta(hours=2)
_PERSON = "person"
_OLD = timedelta(days=180)
_FEW = 20
"""Fewer people in both directions than this tell little."""


class LineAuditDesk:
    """The counts by hand of a site's lines."""

    def __init__(self, site: Callable[[], Site], store: SiteStore, clock: Clock) -> None:
        self._site = site
        self._store = store
        self._clock = clock

    async def record(self, audit: NewAudit, by: str) -> Audit:
        """Compare and keep a count by hand. Raises NotFound or Invalid."""
        _find_line(self._site(), audit.camera, audit.line)
        self._check(audit)
        margin = timedelta(seconds=audit.tolerance_s)
        made = CountAudit(
            audit_id=uuid4().hex,
            camera_id=CameraId(audit.camera),
            line_id=audit.line,
            start=audit.start,
            end=audit.end,
            by=by,
            made_at=self._clock.now(),
            tolerance_s=audit.tolerance_s,
            taps=tuple(SeenCrossing(tap.at, tap.direction) for tap in audit.taps),
            crossings=await self._crossings(
                audit.camera, audit.line, Span(audit.start - margin, audit.end + margin)
            ),
        )
        await self._store.write_audit(made)
        return _told(made, await self._marks([made]))

    async def audits(self, camera: str | None, line: str | None) -> Sequence[Audit]:
        """Return the counts by hand, the latest first."""
        found = [
            audit
            for audit in await self._store.audits()
            if camera in (None, audit.camera_id) and line in (None, audit.line_id)
        ]
        marks = await self._marks(found)
        return [_told(audit, marks) for audit in found]

    async def lines(self) -> Sequence[LineState]:
        """Return all counting lines with their last audit, those that are due first."""
        audits = await self._store.audits()
        marks, of_place = await self._marks(audits), audits_by_place(audits)
        states = []
        for camera in self._site().cameras:
            for line in camera.lines:
                made = of_place.get(f"{camera.id}/{line.id}", [])
                states.append(self._state(camera, line, _told(made[0], marks) if made else None))
        return sorted(states, key=lambda state: not state.is_due)

    def _state(self, camera: Camera, line: Line, last: Audit | None) -> LineState:
        reason = self._reason(last)
        return LineState(
            camera=camera.id,
            line=line.id,
            kind=line.kind,
            last=last,
            is_due=bool(reason),
            reason=reason,
        )

    def _reason(self, last: Audit | None) -> str:
        if last is None:
            return "never counted by hand"
        if last.changed_since:
            return f"{last.changed_since} has changed since the last count by hand"
        if sum(each.by_hand for each in last.directions) < _FEW:
            return f"fewer than {_FEW} people were seen in the last count by hand"
        if self._clock.now() - last.end > _OLD:
            return f"the last count by hand is more than {_OLD.days} days old"
        return ""

    def _check(self, audit: NewAudit) -> None:
        if not audit.start < audit.end <= audit.start + _LONGEST:
            raise Invalid("a count by hand ends after it starts, and takes at most two hours")
        if audit.end > self._clock.now():
            raise Invalid(
                "a count by hand ends in the past: the platform's count must be on record"
            )
        if not all(audit.start <= tap.at < audit.end for tap in audit.taps):
            raise Invalid("every tap must lie between start and end")

    async def _crossings(self, camera: str, line: str, span: Span) -> tuple[SeenCrossing, ...]:
        found = await self._store.counted(["line_crossing"], span)
        return tuple(
            SeenCrossing(each.captured_at, each.direction)
            for each in found
            if isinstance(each, LineCrossing)
            and (each.camera_id, each.line_id, each.label) == (camera, line, _PERSON)
        )

    async def _marks(self, audits: Sequence[CountAudit]) -> Sequence[Mark]:
        if not audits:
            return ()
        since = min(audit.start for audit in audits)
        until = self._clock.now() + timedelta(seconds=1)
        return await self._store.marks(Span(since, until)) if since < until else ()


def _find_line(site: Site, camera_id: str, line_id: str) -> Line:
    for camera in site.cameras:
        for line in camera.lines:
            if (camera.id, line.id) == (camera_id, line_id):
                return line
    raise NotFound(f"no line {line_id} of camera {camera_id} in the site file")


def _told(audit: CountAudit, marks: Sequence[Mark]) -> Audit:
    place = f"{audit.camera_id}/{audit.line_id}"
    later = [mark for mark in changes_of(place, marks) if seconds_between(audit.start, mark.at) > 0]
    ways: tuple[Way, ...] = ("in", "out")
    return Audit(
        id=audit.audit_id,
        camera=audit.camera_id,
        line=audit.line_id,
        start=audit.start,
        end=audit.end,
        by=audit.by,
        made_at=audit.made_at,
        tolerance_s=audit.tolerance_s,
        directions=tuple(_direction(audit, way) for way in ways),
        is_current=not later,
        changed_since=_what(later[-1], place) if later else None,
    )


def _what(mark: Mark, place: str) -> str:
    if mark.what == "model":
        return "a network"
    return "the line" if mark.name == place else "the floor of the camera"


def _direction(audit: CountAudit, way: Way) -> AuditedDirection:
    found = accuracy(audit, way)
    factor = found.factor
    return AuditedDirection(
        direction=way,
        by_hand=found.by_hand,
        by_platform=found.by_platform,
        matched=found.matched,
        factor=factor.value if factor else None,
        low=factor.low if factor else None,
        high=factor.high if factor else None,
    )
