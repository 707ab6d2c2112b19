"""Coverage: when one camera was watched without a gap.

A figure is known only for the time in which its camera was watched. Two frames that are further
apart than ``gap_s`` leave a gap between them: a person may have come and gone unseen.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

import msgspec

from trinetra.events.schema import CameraCoverage
from trinetra.insights.camera.reports import Place
from trinetra.values import EventId, Instant, derive_id, seconds_between

_REPORT_S = 60.0
Ended = Literal["gap", "silent", "session"]


class WatchedSpan(msgspec.Struct, array_like=True):
    """The span in progress, and its end as last reported."""

    started_at: Instant
    until: Instant
    frames: int
    reported_until: Instant | None = None


@dataclass(slots=True)
class CoverageMeter:
    """Reports the watched spans of one camera: each minute, and when one ends."""

    place: Place
    gap_s: float
    span: WatchedSpan | None = None
    _out: list[CameraCoverage] = field(default_factory=list)

    def step(self, at: Instant) -> list[CameraCoverage]:
        """Take a frame in; return the spans to report."""
        if self.span and seconds_between(self.span.until, at) > self.gap_s:
            self._end("gap")
        if self.span is None:
            self.span = WatchedSpan(at, at, 0)
        self._pass_hours(at)
        self.span.until, self.span.frames = at, self.span.frames + 1
        if seconds_between(self.span.reported_until or self.span.started_at, at) >= _REPORT_S:
            self._report()
        return self._taken()

    def end(self, ended: Ended | None) -> list[CameraCoverage]:
        """End the span at its last frame; return what is to report. None: no reason is known."""
        self._end(ended)
        return self._taken()

    def _pass_hours(self, at: Instant) -> None:
        """End the span at each full hour before ``at``, and begin the next one there."""
        while self.span and at > (hour := _next_hour(self.span.started_at)):
            self.span.until = hour
            self._report()
            self.span = WatchedSpan(hour, hour, 0)

    def _end(self, ended: Ended | None) -> None:
        if self.span and self.span.until > self.span.started_at:
            self._report(ended)
        self.span = None

    def _report(self, ended: Ended | None = None) -> None:
        if span := self.span:
            span.reported_until = span.until
            self._out.append(self._event(span, ended or msgspec.UNSET))

    def _event(self, span: WatchedSpan, ended: Ended | msgspec.UnsetType) -> CameraCoverage:
        return CameraCoverage(
            event_id=EventId(derive_id("coverage", *self.place, span.started_at)),
            site_id=self.place.site_id,
            camera_id=self.place.camera_id,
            captured_at=span.until,
            started_at=span.started_at,
            frames=span.frames,
            ended=ended,
        )

    def _taken(self) -> list[CameraCoverage]:
        out, self._out = self._out, []
        return out


def _next_hour(at: Instant) -> Instant:
    return at.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
