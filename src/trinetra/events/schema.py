"""Every event on the wire, as frozen structs in one tagged union.

JSON, one object per event; ``type`` names the struct and ``version`` its schema. Additive optional
fields keep the version; any other change raises it and adds an upcaster and a golden file. Boxes
are ``[x1, y1, x2, y2]`` in pixels of the camera's native image.
"""

from typing import Literal

import msgspec

from trinetra.values import CameraId, CustomerId, EventId, IdentityKind, Instant, SiteId, TrackId

Box = tuple[float, float, float, float]
Point = tuple[float, float]
IdentityStatus = Literal["known", "new", "unknown"]
Verdict = Literal["plausible", "impossible", "unknown"]
LifecycleChange = Literal[
    "created", "seen", "merge_proposed", "merged", "split", "renamed", "expired", "erased"
]


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """What every event carries: a deterministic id, where, and when its frame was captured."""

    event_id: EventId
    site_id: SiteId
    camera_id: CameraId
    captured_at: Instant


class ObjectBox(msgspec.Struct, frozen=True, omit_defaults=True):
    """One detected object: COCO label, score in 0..1 and box.

    ``appearance`` describes its clothes, to follow a body within one view; it names nobody.
    """

    label: str
    score: float
    box: Box
    appearance: bytes | None = None


class FaceQuality(msgspec.Struct, frozen=True):
    """How usable a face is; all lie in 0..1 but ``size_px``, the shorter side."""

    total: float
    size_px: float
    sharpness: float
    frontality: float
    exposure: float


class FaceBox(msgspec.Struct, frozen=True, omit_defaults=True):
    """One detected face.

    ``embedding`` holds little-endian float16 values of an L2-normalised vector (base64 in JSON). It
    is absent when the face cannot be recognised; ``unusable`` then says why (``too_small``,
    ``blurred``, ``turned_away``, ``too_dark``, ``too_bright``, ``no_native_image``, ``poor``).
    ``norm`` is the length the embedding had before it was normalised: it falls with the picture.
    """

    score: float
    box: Box
    landmarks: tuple[Point, Point, Point, Point, Point]
    quality: FaceQuality
    embedding: bytes | None = None
    unusable: str | None = None
    norm: float | None = None


class DetectionEvent(Event, frozen=True, tag="detection", kw_only=True):
    """What one frame shows. ``models`` maps a task to the model version that did it."""

    version: Literal[1] = 1
    frame_seq: int
    frame_width: int
    frame_height: int
    objects: tuple[ObjectBox, ...] = ()
    faces: tuple[FaceBox, ...] = ()
    models: dict[str, str] = {}


class TrackPosition(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where one track is in one frame, and who it is as far as known."""

    track_id: TrackId
    label: str
    box: Box
    customer_id: CustomerId | None = None
    kind: IdentityKind | None = None


class TracksEvent(Event, frozen=True, tag="tracks", kw_only=True):
    """The confirmed tracks of one frame, by captured_at; ``ended`` lists tracks now over."""

    version: Literal[1] = 1
    frame_seq: int
    frame_width: int
    frame_height: int
    tracks: tuple[TrackPosition, ...] = ()
    ended: tuple[TrackId, ...] = ()


class Candidate(msgspec.Struct, frozen=True):
    """An identity that was considered; ``score`` is on the calibrated 0..1 scale."""

    customer_id: CustomerId
    score: float


class GateEvidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the spatiotemporal gate found for one candidate, with the numbers that led to it.

    ``reason``: ``walkable``, ``overlapping_views``, ``seen_later_there`` (this sighting is older
    than the one there, by the cameras' clocks), ``too_fast``, ``two_places`` (seen at once at
    places too far apart), ``no_recent_sighting``, ``no_route``, ``against_one_way`` (there is a way
    in the other direction only) or ``closed_between`` (the shop was closed meanwhile).
    ``distance_m`` and ``elapsed_s`` are right to within the slack: the speed lies between its least
    and its most, and too fast is what exceeds ``limit_mps`` even at its least. ``usual_s`` is what
    half of the people take, ``surprise`` by how many deviations this time is longer or shorter.
    """

    customer_id: CustomerId
    verdict: Verdict
    reason: str
    from_camera: CameraId | None = None
    distance_m: float | None = None
    elapsed_s: float | None = None
    speed_mps: float | None = None
    limit_mps: float | None = None
    route: tuple[CameraId, ...] = ()
    slack_m: float | None = None
    slack_s: float | None = None
    least_speed_mps: float | None = None
    most_speed_mps: float | None = None
    usual_s: float | None = None
    surprise: float | None = None


class Thresholds(msgspec.Struct, frozen=True):
    """The limits in force when a decision was made; scores on the calibrated 0..1 scale."""

    similarity: float
    margin: float
    quality: float
    min_face_px: float


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why an identity was decided as it was; enough to replay it with other thresholds.

    ``known_since`` is when the person whose faces these are first showed one on this track, or
    showed one again after somebody else did: before, nothing says that the track was them.
    """

    faces_seen: int
    faces_used: int
    best_face_px: float
    quality: float
    model: str
    thresholds: Thresholds
    candidates: tuple[Candidate, ...] = ()
    margin: float | None = None
    gate: tuple[GateEvidence, ...] = ()
    known_since: Instant | None = None


class IdentityEvent(Event, frozen=True, tag="identity", kw_only=True):
    """A decision about who a track is.

    A later event of the same track replaces what earlier ones said of the time from ``since`` on;
    without ``since`` of the whole track. So a track that went over from one person to another is
    the first one up to ``since``, and the second one from then on.
    """

    version: Literal[1] = 1
    track_id: TrackId
    status: IdentityStatus
    reasons: tuple[str, ...]
    evidence: Evidence
    track_started_at: Instant
    customer_id: CustomerId | None = None
    kind: IdentityKind | None = None
    since: Instant | msgspec.UnsetType = msgspec.UNSET


class LifecycleEvent(Event, frozen=True, tag="lifecycle", kw_only=True):
    """An identity came to be, was seen again, changed or ended.

    ``merged``: ``customer_id`` is from now on ``other``; ``split`` takes that back;
    ``merge_proposed``: the two may be one person. ``by`` tells who did it: ``resolver`` or
    ``operator``. An operator's change happened at no camera: ``camera_id`` is then empty.
    ``erased`` carries a digest instead of the person's id.
    """

    version: Literal[1] = 1
    change: LifecycleChange
    customer_id: CustomerId
    by: Literal["resolver", "operator"] = "resolver"
    kind: IdentityKind | None = None
    other: CustomerId | None = None
    track_id: TrackId | None = None
    score: float | None = None
    reason: str = ""


class AlertEvent(Event, frozen=True, tag="alert", kw_only=True):
    """Something a person should look at now; ``rule`` names what raised it."""

    version: Literal[1] = 1
    rule: str
    severity: Literal["info", "warning", "critical"]
    message: str
    track_id: TrackId | None = None
    customer_id: CustomerId | None = None
    detail: dict[str, float | str] = {}


class LineCrossing(Event, frozen=True, tag="line_crossing", kw_only=True):
    """One track went over a line; ``in`` is from the line's left side to its right side.

    ``kind`` is there when the customer is known. Staff are told of, and not to be counted.
    """

    version: Literal[1] = 1
    line_id: str
    direction: Literal["in", "out"]
    track_id: TrackId
    label: str
    customer_id: CustomerId | None = None
    kind: IdentityKind | msgspec.UnsetType = msgspec.UNSET


class ZoneStay(Event, frozen=True, tag="zone_stay", kw_only=True):
    """One finished stay in a zone; ``captured_at`` is the instant it ended, ``kind`` as above."""

    version: Literal[1] = 1
    zone_id: str
    track_id: TrackId
    label: str
    entered_at: Instant
    dwell_s: float
    customer_id: CustomerId | None = None
    kind: IdentityKind | msgspec.UnsetType = msgspec.UNSET


class Occupancy(Event, frozen=True, tag="occupancy", kw_only=True):
    """How many people are in a zone (or, with ``zone_id`` None, in view) from this instant on.

    Known staff are not among them.
    """

    version: Literal[1] = 1
    zone_id: str | None
    persons: int


class Visit(Event, frozen=True, tag="visit", kw_only=True):
    """A customer's presence at the site; re-sent under the same id as it grows.

    ``captured_at`` is the last sighting; ``camera_id`` is where the visit began.
    """

    version: Literal[1] = 1
    customer_id: CustomerId
    kind: IdentityKind
    started_at: Instant
    cameras: tuple[CameraId, ...]
    visit_number: int


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="dead_letter"):
    """A record that no consumer could read, with the reason and where it stood."""

    version: Literal[1] = 1
    topic: str
    partition: int
    offset: int
    reason: str
    payload: bytes


InsightEvent = LineCrossing | ZoneStay | Occupancy | Visit
AnyEvent = (
    DetectionEvent
    | TracksEvent
    | IdentityEvent
    | LifecycleEvent
    | AlertEvent
    | LineCrossing
    | ZoneStay
    | Occupancy
    | Visit
)
