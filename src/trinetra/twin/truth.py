"""File format of the ground truth: one JSON object per line, ``type`` names the struct.

See docs/twin.md. Instants are RFC 3339 in UTC; positions are meters on the floor plan; boxes are
pixels of the camera's native image.
"""

from typing import Literal

import msgspec

from trinetra.twin.people import PersonKind
from trinetra.twin.tills import QueueEnd
from trinetra.twin.world import Outcome, Tender
from trinetra.values import CameraId, Instant, Role, SiteId


class Truth(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    """Base of every line of the ground truth."""


class CameraTruth(msgspec.Struct, frozen=True, kw_only=True):
    """One camera: ``floor_to_image`` is the homography, ``field`` the floor in view."""

    camera_id: CameraId
    role: Role
    fps: float
    width: int
    height: int
    floor_to_image: tuple[tuple[float, float, float], ...]
    field: tuple[tuple[float, float], ...]
    lines: tuple[str, ...]
    zones: tuple[str, ...]


class RunTruth(Truth, frozen=True, kw_only=True, tag="run", omit_defaults=False):
    """The first line: parameters of the run. ``windows`` are the recorded time spans."""

    version: Literal[1] = 1
    site_id: SiteId
    seed: int
    shoppers_per_hour: float
    hours: float
    windows: tuple[tuple[Instant, Instant], ...]
    cameras: tuple[CameraTruth, ...]


class PersonTruth(Truth, frozen=True, kw_only=True, tag="person"):
    """A person who was present at least once; ``look_alike_of`` has nearly the same face."""

    person_id: str
    kind: PersonKind
    is_regular: bool
    height_m: float
    look_alike_of: str | None = None


class VisitTruth(Truth, frozen=True, kw_only=True, tag="visit"):
    """One person's time on the premises, within the recorded windows.

    ``is_whole`` is false if recording ended before the person had left.
    """

    visit_id: str
    person_id: str
    party_id: str | None = None
    arrived_at: Instant
    left_at: Instant
    outcome: Outcome
    is_whole: bool
    plate: str | None = None


class PathTruth(Truth, frozen=True, kw_only=True, tag="path"):
    """Path of a visit: knots ``[seconds after arrived_at, x_m, y_m]``, straight in between."""

    visit_id: str
    knots: tuple[tuple[float, float, float], ...]


class TrackTruth(Truth, frozen=True, kw_only=True, tag="track"):
    """One uninterrupted presence of a person in one camera's view."""

    camera_id: CameraId
    visit_id: str
    person_id: str
    from_at: Instant
    to_at: Instant


class CrossingTruth(Truth, frozen=True, kw_only=True, tag="crossing"):
    """The foot point of a person or car crossed a line of a camera."""

    camera_id: CameraId
    line_id: str
    direction: Literal["in", "out"]
    at: Instant
    label: Literal["person", "car"]
    subject_id: str
    visit_id: str | None = None


class StayTruth(Truth, frozen=True, kw_only=True, tag="stay"):
    """The foot point of a person was in a zone of a camera."""

    camera_id: CameraId
    zone_id: str
    visit_id: str
    person_id: str
    entered_at: Instant
    left_at: Instant


class QueueTruth(Truth, frozen=True, kw_only=True, tag="queue"):
    """One party at the tills.

    ``wait_s`` runs from joining to being served, or to giving up; ``changes`` counts how often the
    party switched queues; ``till_id`` is the last one, absent for a party that balked.
    """

    party_id: str
    person_ids: tuple[str, ...]
    joined_at: Instant
    left_at: Instant
    end: QueueEnd
    wait_s: float
    till_id: str | None = None
    service_s: float | None = None
    changes: int = 0


class PurchaseTruth(Truth, frozen=True, kw_only=True, tag="purchase"):
    """The party that a transaction belongs to."""

    transaction_id: str
    party_id: str
    person_ids: tuple[str, ...]


class VehicleTruth(Truth, frozen=True, kw_only=True, tag="vehicle"):
    """A car's arrival, or its stay in a slot and its departure, under the same id."""

    vehicle_id: str
    plate: str
    party_id: str
    from_at: Instant
    to_at: Instant


Seen = tuple[str, float, float, float, float, float]
"""Person, box ``x1, y1, x2, y2``, and the fraction of it that nearer bodies leave visible."""


class FrameTruth(Truth, frozen=True, kw_only=True, tag="frame"):
    """People and cars in one frame, including occluded ones; empty frames are left out.

    ``faces`` lists the people whose face the frame shows well enough to compare it, and its size in
    pixels.
    """

    camera_id: CameraId
    seq: int
    captured_at: Instant
    persons: tuple[Seen, ...] = ()
    vehicles: tuple[Seen, ...] = ()
    faces: tuple[tuple[str, float], ...] = ()


class Transaction(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="transaction"):
    """One receipt as a point of sale reports it; it does not identify the customer.

    ``issued_at`` is by the clock of the till, ``at`` when the customer left the till in truth.
    ``plate`` is set if the customer had parking validated.
    """

    version: Literal[1] = 1
    transaction_id: str
    site_id: SiteId
    till_id: str
    at: Instant
    issued_at: Instant
    items: int
    amount_cents: int
    currency: str = "EUR"
    tender: Tender
    plate: str | None = None


AnyTruth = (
    RunTruth
    | PersonTruth
    | VisitTruth
    | PathTruth
    | TrackTruth
    | CrossingTruth
    | StayTruth
    | QueueTruth
    | PurchaseTruth
    | VehicleTruth
    | FrameTruth
)
