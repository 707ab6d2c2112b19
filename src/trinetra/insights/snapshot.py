"""Snapshots of the insight engine for a compacted topic of the log.

One record per camera and one per customer: a version byte, then MessagePack. Reported events are
reduced to the fields from which they, and their ids, can be rebuilt. Measured on synthetic walks:
a camera with ten identified people in view, each with three reported crossings and stays, takes
10 kB and 12 us; a customer 111 bytes after one track, 319 after six on three cameras.
"""

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from trinetra.events.schema import LineCrossing
from trinetra.insights.camera.coverage import WatchedSpan
from trinetra.insights.camera.heat import HeatSpan
from trinetra.insights.camera.lines import Approach, Joined
from trinetra.insights.camera.presence import Presence
from trinetra.insights.camera.reported_events import Nameable
from trinetra.insights.camera.reports import (
    Crossing,
    Direction,
    Place,
    Subject,
    line_crossing,
    zone_stay,
)
from trinetra.insights.camera.track_stitching import Body, Name
from trinetra.insights.camera.vehicles import SeenVehicle
from trinetra.insights.camera.zones import Stay
from trinetra.insights.visits.visit_tracker import CustomerVisits
from trinetra.values import CustomerId, IdentityKind, Instant, TrackId

CAMERA_VERSION = 1
CUSTOMER_VERSION = 1
T = TypeVar("T")


class ReportedCrossing(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """A reported crossing whose track may still be identified."""

    line_id: str
    direction: Direction
    track_id: TrackId
    label: str
    at: Instant
    customer_id: CustomerId | None
    kind: IdentityKind = IdentityKind.ANONYMOUS
    revision: int = 0
    along: float | None = None
    height_m: float | None = None
    body_id: TrackId | None = None
    reach: float | None = None

    @property
    def name(self) -> Name | None:
        """The identity, or None if it is unknown."""
        return Name(self.customer_id, self.kind) if self.customer_id else None


class ReportedStay(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """A reported stay whose track may still be identified."""

    zone_id: str
    track_id: TrackId
    label: str
    entered_at: Instant
    inside_at: Instant
    customer_id: CustomerId | None
    kind: IdentityKind = IdentityKind.ANONYMOUS
    revision: int = 0

    @property
    def name(self) -> Name | None:
        """The identity, or None if it is unknown."""
        return Name(self.customer_id, self.kind) if self.customer_id else None


Reported = ReportedCrossing | ReportedStay


class CameraMemory(msgspec.Struct, array_like=True):
    """The complete state on which a camera's next insights depend.

    Stored by position: reordering the fields breaks existing snapshots. ``last_at`` is the last
    frame of ``session``, ``earlier`` has that of each earlier session.
    """

    last_at: Instant | None
    bodies: list[Body]
    early: dict[TrackId, tuple[Name | None, Instant]]
    approaches: dict[tuple[str, TrackId], Approach]
    stays: list[Stay]
    stays_over: list[Stay]
    occupancy: dict[str | None, tuple[int, Instant]]
    reported: dict[TrackId, list[Reported]]
    present: dict[TrackId, Presence]
    session: int = 0
    earlier: dict[int, Instant] = {}
    watched: WatchedSpan | None = None
    joined: dict[tuple[str, TrackId], Joined] = {}
    watch: tuple[Instant, Instant] | None = None
    vehicles: list[SeenVehicle] = []
    heat: HeatSpan | None = None


_encoder = msgspec.msgpack.Encoder()
_camera_decoder = msgspec.msgpack.Decoder(CameraMemory)
_guest_decoder = msgspec.msgpack.Decoder(CustomerVisits)


def encode_camera(memory: CameraMemory) -> bytes:
    """Encode a camera's state."""
    return bytes([CAMERA_VERSION]) + _encoder.encode(memory)


def decode_camera(payload: bytes) -> CameraMemory:
    """Decode a camera's state; raises ValueError if it cannot be read."""
    return _decode(payload, CAMERA_VERSION, _camera_decoder)


def encode_visits(visits: CustomerVisits) -> bytes:
    """Encode a customer's visits."""
    return bytes([CUSTOMER_VERSION]) + _encoder.encode(visits)


def decode_visits(payload: bytes) -> CustomerVisits:
    """Decode a customer's visits; raises ValueError if they cannot be read."""
    return _decode(payload, CUSTOMER_VERSION, _guest_decoder)


def _decode(payload: bytes, version: int, decoder: "msgspec.msgpack.Decoder[T]") -> T:
    if not payload or payload[0] != version:
        found = payload[0] if payload else "none"
        raise ValueError(f"the state has version {found}, this TRINETRA reads {version}")
    try:
        return decoder.decode(memoryview(payload)[1:])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as cause:
        raise ValueError(f"the state is broken: {cause}") from cause


def facts_of(events: Iterable[Nameable]) -> list[Reported]:
    """Return reported events without the fields that can be derived."""
    return [
        ReportedCrossing(
            event.line_id,
            event.direction,
            event.track_id,
            event.label,
            event.captured_at,
            event.customer_id,
            event.kind or IdentityKind.ANONYMOUS,
            event.revision or 0,
            event.along if event.along is not msgspec.UNSET else None,
            event.height_m if event.height_m is not msgspec.UNSET else None,
            event.body_id or None,
            event.reach if event.reach is not msgspec.UNSET else None,
        )
        if isinstance(event, LineCrossing)
        else ReportedStay(
            event.zone_id,
            event.track_id,
            event.label,
            event.entered_at,
            event.captured_at,
            event.customer_id,
            event.kind or IdentityKind.ANONYMOUS,
            event.revision or 0,
        )
        for event in events
    ]


def events_of(place: Place, facts: Iterable[Reported]) -> list[Nameable]:
    """Return the events rebuilt from their stored fields."""
    return [
        msgspec.structs.replace(_event_of(place, fact), revision=fact.revision or msgspec.UNSET)
        for fact in facts
    ]


def _event_of(place: Place, fact: Reported) -> Nameable:
    subject = Subject(fact.track_id, fact.label, fact.name)
    if isinstance(fact, ReportedCrossing):
        return line_crossing(
            place,
            subject,
            Crossing(
                line_id=fact.line_id,
                direction=fact.direction,
                at=fact.at,
                along=fact.along,
                height_m=fact.height_m,
                body_id=fact.body_id,
                reach=fact.reach,
            ),
        )
    return zone_stay(
        place,
        subject,
        zone_id=fact.zone_id,
        entered_at=fact.entered_at,
        inside_at=fact.inside_at,
    )
