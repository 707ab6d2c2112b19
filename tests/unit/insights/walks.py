"""Synthetic tracks: boxes at given foot points, as identity events."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from trinetra.events.schema import (
    Evidence,
    IdentityEvent,
    Point,
    Thresholds,
    TrackPosition,
    TracksEvent,
)
from trinetra.insights.camera.camera_analytics import Outcome
from trinetra.insights.config import CameraInsights, InsightPolicy
from trinetra.insights.partitions import CameraPartition, CustomerPartition
from trinetra.values import (
    CameraId,
    CustomerId,
    EventId,
    IdentityKind,
    Instant,
    SiteId,
    TrackId,
    after,
    derive_id,
)

SITE = SiteId("shop")
CAMERA = CameraId("door")
START = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
WIDTH, HEIGHT = 800, 400
BOX_HEIGHT = 0.4
"""Of every person, as a fraction of the frame's height."""

Feet = Mapping[str, Point]


def at(seconds: float) -> Instant:
    return after(START, seconds)


def position(
    track: str,
    foot: Point,
    *,
    label: str = "person",
    customer: str | None = None,
    kind: IdentityKind | None = None,
) -> TrackPosition:
    x, y = foot[0] * WIDTH, foot[1] * HEIGHT
    return TrackPosition(
        track_id=TrackId(track),
        label=label,
        box=(x - 30, y - BOX_HEIGHT * HEIGHT, x + 30, y),
        customer_id=CustomerId(customer) if customer else None,
        kind=kind,
    )


def frame(
    seconds: float,
    feet: Feet | Iterable[TrackPosition] = (),
    *,
    camera: CameraId = CAMERA,
    label: str = "person",
) -> TracksEvent:
    """Return the tracks at one instant: feet by track, or ready-made positions."""
    if isinstance(feet, Mapping):
        feet = [position(track, foot, label=label) for track, foot in feet.items()]
    return TracksEvent(
        event_id=EventId(derive_id("tracks", camera, seconds)),
        site_id=SITE,
        camera_id=camera,
        captured_at=at(seconds),
        frame_seq=round(seconds * 1000),
        frame_width=WIDTH,
        frame_height=HEIGHT,
        tracks=tuple(feet),
    )


def identity(
    seconds: float,
    track: str,
    customer: str | None,
    *,
    started: float | None = None,
    kind: IdentityKind = IdentityKind.ANONYMOUS,
    camera: CameraId = CAMERA,
    since: float | None = None,
) -> IdentityEvent:
    """Return a decision; customer None is an unknown person."""
    return IdentityEvent(
        event_id=EventId(derive_id("identity", camera, track, seconds)),
        site_id=SITE,
        camera_id=camera,
        captured_at=at(seconds),
        track_id=TrackId(track),
        status="known" if customer else "unknown",
        reasons=(),
        evidence=Evidence(
            faces_seen=1,
            faces_used=1,
            best_face_px=60.0,
            quality=0.8,
            model="m",
            thresholds=Thresholds(similarity=0.72, margin=0.03, quality=0.3, min_face_px=32),
        ),
        track_started_at=at(seconds if started is None else started),
        customer_id=CustomerId(customer) if customer else None,
        kind=kind if customer else None,
        since=msgspec.UNSET if since is None else at(since),
    )


@dataclass
class Shop:
    """An engine without its log: camera analytics and visits in one step."""

    cameras: CameraPartition
    customers: CustomerPartition

    def step(self, event: TracksEvent | IdentityEvent) -> list[object]:
        return self._with_visits(self.cameras.step(event) or Outcome())

    def flush(self) -> list[object]:
        outputs = self._with_visits(self.cameras.flush())
        return [*outputs, *self.customers.flush().insights]

    def _with_visits(self, outcome: Outcome) -> list[object]:
        visits = [v for s in outcome.sightings for v in self.customers.step(s, 0).insights]
        return [*outcome.insights, *visits]


def machine(plan: CameraInsights | None = None, policy: InsightPolicy | None = None) -> Shop:
    plans, policy = {CAMERA: plan or CameraInsights()}, policy or InsightPolicy()
    return Shop(CameraPartition(SITE, plans, policy), CustomerPartition(SITE, policy))


def play(shop: Shop, events: Iterable[TracksEvent | IdentityEvent]) -> list[object]:
    """Step through the events and flush; return every output in order."""
    outputs: list[object] = []
    for event in events:
        outputs += shop.step(event)
    return [*outputs, *shop.flush()]


def latest(outputs: Iterable[object], kind: type) -> list:
    """Return the last version of each event of one type, as a store would hold them."""
    return list({o.event_id: o for o in outputs if isinstance(o, kind)}.values())
