"""Builds the events of one camera's insights, with ids derived from their content."""

from datetime import timedelta
from typing import Literal, NamedTuple

import msgspec

from trinetra.events.schema import AlertEvent, LineCrossing, Occupancy, ZoneStay
from trinetra.insights.camera.track_stitching import Name
from trinetra.insights.camera.zones import Stay
from trinetra.insights.config import StayLimit
from trinetra.values import (
    CameraId,
    EventId,
    Instant,
    SiteId,
    TrackId,
    derive_id,
    seconds_between,
)

Direction = Literal["in", "out"]


class Place(NamedTuple):
    """A camera of a site."""

    site_id: SiteId
    camera_id: CameraId


class Subject(NamedTuple):
    """The track that an event is about; ``name`` is its customer, if it was recognized."""

    track_id: TrackId
    label: str
    name: Name | None


class Crossing(NamedTuple):
    """What is reported of a line crossing, beside its subject."""

    line_id: str
    direction: Direction
    at: Instant
    along: float | None = None
    height_m: float | None = None
    body_id: TrackId | None = None
    reach: float | None = None


def line_crossing(place: Place, subject: Subject, crossing: Crossing) -> LineCrossing:
    """Return the event for a line crossing."""
    track_id, label, name = subject
    line_id, direction, at, along, height_m, body_id, reach = crossing
    return LineCrossing(
        event_id=EventId(derive_id("crossing", *place, line_id, track_id, at)),
        site_id=place.site_id,
        camera_id=place.camera_id,
        captured_at=at,
        line_id=line_id,
        direction=direction,
        along=msgspec.UNSET if along is None else along,
        height_m=msgspec.UNSET if height_m is None else height_m,
        body_id=body_id if body_id and body_id != track_id else msgspec.UNSET,
        reach=msgspec.UNSET if reach is None else reach,
        track_id=track_id,
        label=label,
        customer_id=name.customer_id if name else None,
        kind=name.kind if name else msgspec.UNSET,
    )


def zone_stay(
    place: Place, subject: Subject, *, zone_id: str, entered_at: Instant, inside_at: Instant
) -> ZoneStay:
    """Return the event for a stay, which ended when the foot was last seen inside."""
    track_id, label, name = subject
    return ZoneStay(
        event_id=EventId(derive_id("stay", *place, zone_id, track_id, entered_at)),
        site_id=place.site_id,
        camera_id=place.camera_id,
        captured_at=inside_at,
        zone_id=zone_id,
        track_id=track_id,
        label=label,
        entered_at=entered_at,
        dwell_s=round(seconds_between(entered_at, inside_at), 3),
        customer_id=name.customer_id if name else None,
        kind=name.kind if name else msgspec.UNSET,
    )


def stay_alert(place: Place, subject: Subject, stay: Stay, limit: StayLimit) -> AlertEvent:
    """Return the alert that a stay has come to last as long as a limit."""
    track_id, _, name = subject
    minutes = limit.after_s / 60
    parts = limit.rule, *place, stay.zone_id, track_id, stay.entered_at
    return AlertEvent(
        event_id=EventId(derive_id("alr", *parts)),
        site_id=place.site_id,
        camera_id=place.camera_id,
        captured_at=stay.inside_at,
        rule=limit.rule,
        severity="warning",
        message=f"a person has been in {stay.zone_id} for {minutes:g} minutes and is still there",
        track_id=track_id,
        customer_id=name.customer_id if name else None,
        detail={"zone": stay.zone_id, "minutes": minutes},
    )


def occupancy(place: Place, zone_id: str | None, persons: int, now: Instant) -> Occupancy:
    """Return the event for a person count; zone None is the whole view."""
    return Occupancy(
        event_id=EventId(derive_id("occupancy", *place, zone_id or "", now)),
        site_id=place.site_id,
        camera_id=place.camera_id,
        captured_at=now,
        zone_id=zone_id,
        persons=persons,
    )


def unseen(place: Place, zone_id: str | None, last_at: Instant) -> Occupancy:
    """Return the event that ends a person count, because nothing was seen since ``last_at``.

    It is dated a microsecond later, the resolution of an instant, so that it follows a count
    reported at the last frame itself.
    """
    return Occupancy(
        event_id=EventId(derive_id("unseen", *place, zone_id or "", last_at)),
        site_id=place.site_id,
        camera_id=place.camera_id,
        captured_at=last_at + timedelta(microseconds=1),
        zone_id=zone_id,
        persons=0,
        unseen=True,
    )
