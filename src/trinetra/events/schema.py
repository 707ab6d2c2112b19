"""Every event on the wire, as frozen structs in one tagged union.

JSON, one object per event; ``type`` names the struct and ``version`` its schema. Additive optional
fields keep the version; any other change increments it and needs an upcaster and a golden file.
Boxes are ``[x1, y1, x2, y2]`` in pixels of the camera's native image.
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
    """Fields of every event: a deterministic id, site, camera, and capture time of its frame."""

    event_id: EventId
    site_id: SiteId
    camera_id: CameraId
    captured_at: Instant


class PlateReading(msgspec.Struct, frozen=True):
    """A license plate read on a vehicle in one frame.

    ``sealed`` has the characters and the probability of each, encrypted with the plate key of the
    site (``events.plates``), because the log keeps detections. ``confidence`` is the mean
    probability, ``box`` the plate's.
    """

    sealed: bytes
    confidence: float
    box: Box


class ObjectBox(msgspec.Struct, frozen=True, omit_defaults=True):
    """One detected object: COCO label, score in 0..1 and box.

    ``appearance`` describes its clothing, for tracking within one view; it does not identify a
    person. ``body`` is the embedding of a well-visible person by the network that the event's
    ``models`` name under ``body_embed``: one signed byte per dimension (base64 in JSON),
    proportional to the unit vector, the largest magnitude 127. Only embeddings of one network can
    be compared, by cosine. It names no person, and is kept with the detection. ``plate`` is that of
    a vehicle, if it was legible.
    """

    label: str
    score: float
    box: Box
    appearance: bytes | None = None
    body: bytes | None = None
    plate: PlateReading | None = None


class FaceQuality(msgspec.Struct, frozen=True):
    """Usability of a face; all values are in 0..1 except ``size_px``, the shorter side."""

    total: float
    size_px: float
    sharpness: float
    frontality: float
    exposure: float


class FaceBox(msgspec.Struct, frozen=True, omit_defaults=True):
    """One detected face.

    ``embedding`` holds little-endian float16 values of an L2-normalized vector (base64 in JSON). It
    is absent if the face cannot be recognized; ``unusable`` then says why (``too_small``,
    ``blurred``, ``turned_away``, ``too_dark``, ``too_bright``, ``no_native_image``, ``poor``).
    ``norm`` is the length of the embedding before normalization: it decreases with the quality of
    the picture.
    """

    score: float
    box: Box
    landmarks: tuple[Point, Point, Point, Point, Point]
    quality: FaceQuality
    embedding: bytes | None = None
    unusable: str | None = None
    norm: float | None = None


class DetectionEvent(Event, frozen=True, tag="detection", kw_only=True):
    """Content of one frame.

    ``models`` maps a task to the version of the model that performed it. ``session`` names the
    camera's capture session: only within one do ``frame_seq`` and ``captured_at`` increase.
    """

    version: Literal[1] = 1
    frame_seq: int
    frame_width: int
    frame_height: int
    objects: tuple[ObjectBox, ...] = ()
    faces: tuple[FaceBox, ...] = ()
    models: dict[str, str] = {}
    session: int | msgspec.UnsetType = msgspec.UNSET


class TrackPlate(msgspec.Struct, frozen=True, omit_defaults=True):
    """The license plate of a vehicle's track, as far as its readings tell it.

    ``plate_id`` is its pseudonym at this site. ``confidence`` is the share of the votes of all
    ``readings`` for its characters. ``country`` is the one whose format it fits (ISO 3166), absent
    if it fits none: it is then kept as read. ``text`` is present only if the site stores plates in
    plain text.
    """

    plate_id: str
    confidence: float
    readings: int
    country: str | None = None
    text: str | None = None


class TrackPosition(msgspec.Struct, frozen=True, omit_defaults=True):
    """Position of one track in one frame, and its identity as far as known.

    If ``predicted``, the box is the tracker's estimate: the detection in this frame was too weak
    to start a track, and only keeps this one alive. If ``linked``, the customer follows from the
    body, not from a face. ``plate`` is that of a vehicle, once it was read.
    """

    track_id: TrackId
    label: str
    box: Box
    customer_id: CustomerId | None = None
    kind: IdentityKind | None = None
    predicted: bool = False
    linked: bool = False
    plate: TrackPlate | None = None


class TracksEvent(Event, frozen=True, tag="tracks", kw_only=True):
    """The confirmed tracks of one frame, by captured_at; ``ended`` lists tracks that ended.

    ``session`` is that of the detection; no track outlasts its session. ``silent`` is true in an
    event that shows no frame: the camera has been silent since its last one, whose header the event
    repeats, and nothing is known of the view from then on.
    """

    version: Literal[1] = 1
    frame_seq: int
    frame_width: int
    frame_height: int
    tracks: tuple[TrackPosition, ...] = ()
    ended: tuple[TrackId, ...] = ()
    silent: bool | msgspec.UnsetType = msgspec.UNSET
    session: int | msgspec.UnsetType = msgspec.UNSET


class Candidate(msgspec.Struct, frozen=True):
    """An identity that was considered; ``score`` is on the calibrated 0..1 scale."""

    customer_id: CustomerId
    score: float


class GateEvidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """The spatiotemporal gate's finding for one candidate, with the numbers that led to it.

    ``reason``: ``walkable``, ``overlapping_views``, ``seen_later_there`` (this sighting is earlier
    than the one there, by the cameras' clocks), ``too_fast``, ``two_places`` (seen at the same time
    at places too far apart), ``no_recent_sighting``, ``no_route``, ``against_one_way`` (there is a
    route only in the other direction) or ``closed_between`` (the shop was closed in between).
    ``distance_m`` and ``elapsed_s`` are accurate to within the slack: the speed lies between
    ``least_speed_mps`` and ``most_speed_mps``, and is too fast if even the least exceeds
    ``limit_mps``. ``usual_s`` is the median walking time, ``surprise`` by how many deviations this
    time differs from it.
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
    """Thresholds in force when a decision was made; scores on the calibrated 0..1 scale."""

    similarity: float
    margin: float
    quality: float
    min_face_px: float


Rivalry = Literal["gallery", "on_site"]


class ThresholdBasis(msgspec.Struct, frozen=True):
    """Why the similarity threshold has its value, if it was derived from a target.

    ``target`` is the share of visitors unknown to the gallery that may be taken for a person in it
    (FPIR). The threshold allows for ``people`` people, the number of those ``among`` which the best
    candidate is, rounded up: the gallery, or the people who are on site now. It holds for fused
    faces with a mean size of ``face_px`` pixels and more.
    """

    target: float
    people: int
    among: Rivalry
    face_px: float


class BodyEvidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """How much a track's body resembles that of a customer identified by face in the same visit.

    ``cosine`` is the mean of all pairs of their pictures, ``seen`` the number of the track's,
    ``from_camera`` the camera that saw the customer. A link needs ``threshold``, which rises with
    the number of customers ``compared``. ``margin`` is the lead over the next best customer who can
    be here, each measured from their own threshold, None if no other came near; a link needs
    ``least_margin``.
    """

    customer_id: CustomerId
    cosine: float
    threshold: float
    least_margin: float
    seen: int
    compared: int
    from_camera: CameraId
    model: str
    margin: float | None = None


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """Reasons of an identity decision; sufficient to replay it with other thresholds.

    ``basis`` is absent if the similarity threshold is a fixed one. ``known_since`` is when this
    person's face was first seen on the track, or seen again after another person's face: before
    that there is no evidence that the track was this person. ``body`` is set if the track was
    compared by its body because it showed no usable face.
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
    basis: ThresholdBasis | None = None
    body: BodyEvidence | None = None


class IdentityEvent(Event, frozen=True, tag="identity", kw_only=True):
    """A decision about the identity of a track.

    A later event of the same track replaces earlier ones for the time from ``since`` on; without
    ``since`` for the whole track. A track that switched from one person to another is thus the
    first person until ``since``, and the second from then on. If ``linked`` is true, the customer
    follows from the body, not from a face: that is less certain, and a face overrides it.
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
    linked: bool | msgspec.UnsetType = msgspec.UNSET


class LifecycleEvent(Event, frozen=True, tag="lifecycle", kw_only=True):
    """An identity was created, seen again, changed or deleted.

    ``merged``: ``customer_id`` becomes an alias of ``other``; ``split`` reverses that;
    ``merge_proposed``: the two may be one person. ``by`` is ``resolver`` or ``operator``. An
    operator's change is not bound to a camera: ``camera_id`` is then empty. ``erased`` carries a
    digest instead of the person's id.
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
    """Something that requires human attention now; ``rule`` names the rule that raised it."""

    version: Literal[1] = 1
    rule: str
    severity: Literal["info", "warning", "critical"]
    message: str
    track_id: TrackId | None = None
    customer_id: CustomerId | None = None
    detail: dict[str, float | str] = {}


class LineCrossing(Event, frozen=True, tag="line_crossing", kw_only=True):
    """One track crossed a line; ``in`` is from the line's left side to its right side.

    ``kind`` is set if the customer is known. Crossings of staff are reported, but must not be
    counted. ``revision`` counts the corrections of an event that is sent again under the same id.
    ``along`` is where the person met the line: the distance from the line's end ``a``, in heights
    of the person's box. ``height_m`` is the person's height, if the camera is calibrated.
    ``body_id`` is the first track of the same person in this view, if ``track_id`` is a later one.
    ``reach`` is set if the person has crossed the line before: how far from it the person was in
    between, in heights of the box.
    """

    version: Literal[1] = 1
    line_id: str
    direction: Literal["in", "out"]
    track_id: TrackId
    label: str
    customer_id: CustomerId | None = None
    kind: IdentityKind | msgspec.UnsetType = msgspec.UNSET
    revision: int | msgspec.UnsetType = msgspec.UNSET
    along: float | msgspec.UnsetType = msgspec.UNSET
    height_m: float | msgspec.UnsetType = msgspec.UNSET
    body_id: TrackId | msgspec.UnsetType = msgspec.UNSET
    reach: float | msgspec.UnsetType = msgspec.UNSET


class ZoneStay(Event, frozen=True, tag="zone_stay", kw_only=True):
    """One finished stay in a zone; ``captured_at`` is the end of the stay, the rest as above."""

    version: Literal[1] = 1
    zone_id: str
    track_id: TrackId
    label: str
    entered_at: Instant
    dwell_s: float
    customer_id: CustomerId | None = None
    kind: IdentityKind | msgspec.UnsetType = msgspec.UNSET
    revision: int | msgspec.UnsetType = msgspec.UNSET


class Occupancy(Event, frozen=True, tag="occupancy", kw_only=True):
    """Number of people in a zone (or, with ``zone_id`` None, in view) from this instant on.

    Known staff are not counted. If ``unseen`` is true, the camera shows nothing from this instant
    on: ``persons`` is 0 although the number is unknown.
    """

    version: Literal[1] = 1
    zone_id: str | None
    persons: int
    unseen: bool | msgspec.UnsetType = msgspec.UNSET


class Visit(Event, frozen=True, tag="visit", kw_only=True):
    """A customer's presence at the site; sent again under the same id as it grows.

    ``captured_at`` is the last sighting; ``camera_id`` is the camera at which the visit began. If a
    track of the visit turns out to be another person's, the visit is sent again with the next
    ``revision`` as it is without that track. If nothing is left of it, ``withdrawn`` is true and
    there was no such visit.
    """

    version: Literal[1] = 1
    customer_id: CustomerId
    kind: IdentityKind
    started_at: Instant
    cameras: tuple[CameraId, ...]
    visit_number: int
    revision: int | msgspec.UnsetType = msgspec.UNSET
    withdrawn: bool | msgspec.UnsetType = msgspec.UNSET


DoorKind = Literal["entrance", "passby", "inner"]
AgeGroup = Literal["adult", "child"]


class Passage(Event, frozen=True, tag="passage", kw_only=True):
    """One person passed a door once; derived from ``crossings``, the ids of the line crossings.

    Several cameras may have seen it. ``captured_at`` and ``camera_id`` are those of the first.
    Passages of staff must not be counted. ``age`` is set where the person's height is known.
    """

    version: Literal[1] = 1
    door_id: str
    door_kind: DoorKind
    direction: Literal["in", "out"]
    label: str
    crossings: tuple[EventId, ...]
    customer_id: CustomerId | None = None
    kind: IdentityKind | msgspec.UnsetType = msgspec.UNSET
    age: AgeGroup | msgspec.UnsetType = msgspec.UNSET


class Group(Event, frozen=True, tag="group", kw_only=True):
    """People who came in or went out together, at least one; derived from their ``passages``.

    Everyone who is not staff belongs to exactly one group. ``captured_at`` is the first passage,
    ``last_at`` the last one.
    """

    version: Literal[1] = 1
    door_id: str
    direction: Literal["in", "out"]
    passages: tuple[EventId, ...]
    people: int
    children: int
    last_at: Instant


class SiteOccupancy(Event, frozen=True, tag="site_occupancy", kw_only=True):
    """The number of customers inside the shop from ``captured_at`` until ``until``, above 0.

    It is derived from passages, corrected by what must hold; the camera id is empty.
    """

    version: Literal[1] = 1
    until: Instant
    people: int


class CameraCoverage(Event, frozen=True, tag="coverage", kw_only=True):
    """A span in which a camera was watched without a gap; sent again under the same id as it grows.

    ``captured_at`` is its last frame. A span ends at the full hour, so that none grows for long.
    ``ended`` says why no other follows at once: ``gap`` (frames are missing), ``silent`` (no frames
    came) or ``session`` (its clock began anew).
    """

    version: Literal[1] = 1
    started_at: Instant
    frames: int
    ended: Literal["gap", "silent", "session"] | msgspec.UnsetType = msgspec.UNSET


class FloorCell(msgspec.Struct, frozen=True, array_like=True):
    """Time of people in one cell of a grid, and how many of them came to it.

    ``tracks`` are those that were there for at least a second, each counted in one report only.
    """

    x: int
    y: int
    ms: int
    tracks: int


class FloorPresence(Event, frozen=True, tag="floor_presence", kw_only=True):
    """Where people were in one camera's view, and for how long; sent again as it grows.

    The span begins at ``started_at``, ends at the quarter hour at the latest, and ``captured_at``
    is its last frame. The cells of ``grid`` are 1 m on the floor plan from its origin (``floor``),
    or for a camera that is not calibrated 1/32 by 1/18 of the picture from its top left corner
    (``picture``). ``unplaced_ms`` is the time of people whose place is not known. Staff are not in
    it.
    """

    version: Literal[1] = 1
    started_at: Instant
    grid: Literal["floor", "picture"]
    cells: tuple[FloorCell, ...]
    unplaced_ms: int = 0


class VehicleStay(Event, frozen=True, tag="vehicle_stay", kw_only=True):
    """One vehicle in the view of one camera, as one track: ``captured_at`` is its last frame.

    ``appeared`` and ``vanished`` are its first and last box. A vehicle that parks in view may have
    several stays, because a parked car is not detected in every frame.
    """

    version: Literal[1] = 1
    track_id: TrackId
    label: str
    entered_at: Instant
    appeared: Box
    vanished: Box
    plate: TrackPlate | None = None

    @property
    def plate_id(self) -> str | None:
        """The pseudonym of its plate, if it was read."""
        return self.plate.plate_id if self.plate else None


class VehicleVisit(Event, frozen=True, tag="vehicle_visit", kw_only=True):
    """A vehicle's presence at the site, from its arrival (``captured_at``) until it was last seen.

    It is derived from ``stays``, on ``cameras``. ``label`` is its class; ``departed`` tells that it
    was seen to leave over a line, ``plate`` the plate that was read most often.
    """

    version: Literal[1] = 1
    left_at: Instant
    stay_s: float
    label: str
    stays: tuple[EventId, ...]
    cameras: tuple[CameraId, ...]
    departed: bool = False
    plate: TrackPlate | None = None

    @property
    def plate_id(self) -> str | None:
        """The pseudonym of its plate, if it was read."""
        return self.plate.plate_id if self.plate else None


class VehicleLink(Event, frozen=True, tag="vehicle_link", kw_only=True):
    """A customer who probably came by a vehicle; ``captured_at`` is the vehicle's arrival.

    ``visit_id`` is the customer's visit, which began ``delay_s`` after the arrival. ``confidence``
    is the share of this pair among all vehicles and parties that could belong together: an upper
    bound, because customers who came on foot are among them.
    """

    version: Literal[1] = 1
    vehicle_visit_id: EventId
    visit_id: EventId
    customer_id: CustomerId
    kind: IdentityKind
    delay_s: float
    confidence: float


class Withdrawal(Event, frozen=True, tag="withdrawal", kw_only=True):
    """An insight that was derived from others no longer holds: ``insight_id`` of ``insight_type``.

    ``captured_at`` is that of the withdrawn insight.
    """

    version: Literal[1] = 1
    insight_id: EventId
    insight_type: str


class QueueVisit(Event, frozen=True, tag="queue_visit", kw_only=True):
    """A party's wait in one queue, and its service at the till if it was served.

    ``captured_at`` is when the party left the till or the queue, ``joined_at`` when it came.
    ``end``: ``served``, ``abandoned``, or ``moved`` to another queue, where another visit goes on;
    ``changes`` counts such moves before this visit. ``wait_s`` lasts from joining the first queue
    until service, or until this visit ended without it: 0 for a party that walked straight to the
    till, and None for one that was not seen to come. ``till_id`` is None for a party that left a
    queue of several tills unserved, ``queue_id`` for one that was only seen at the till.
    """

    version: Literal[1] = 1
    queue_id: str | None
    till_id: str | None
    joined_at: Instant
    served_at: Instant | None
    end: Literal["served", "abandoned", "moved"]
    wait_s: float | None
    service_s: float | None
    changes: int = 0
    persons: int = 1
    track_id: TrackId
    customer_id: CustomerId | None = None


ReceiptKind = Literal["sale", "refund", "void", "training"]


class ReceiptItem(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One line of a receipt; ``amount_minor`` is of the whole line, negative for a discount."""

    sku: str
    amount_minor: int
    quantity: int = 1


class Receipt(Event, frozen=True, tag="receipt", kw_only=True):
    """One receipt of a till, as the point of sale reports it; it names no person.

    ``issued_at`` is by the clock of the till, which may be wrong; ``captured_at`` repeats it.
    ``total_minor`` is in the smallest unit of ``currency`` (ISO 4217) and never negative: the total
    of a ``refund`` reduces the sales. A ``void`` or ``training`` receipt sold nothing. The camera
    id is empty. The event id follows from site and ``receipt_id``; ``revision`` counts corrections
    of the same receipt. ``item_count`` is the number of pieces sold.
    """

    version: Literal[1] = 1
    receipt_id: str
    till_id: str
    issued_at: Instant
    kind: ReceiptKind
    total_minor: int
    currency: str
    item_count: int | msgspec.UnsetType = msgspec.UNSET
    items: tuple[ReceiptItem, ...] | msgspec.UnsetType = msgspec.UNSET
    revision: int | msgspec.UnsetType = msgspec.UNSET


class Purchase(Event, frozen=True, tag="purchase", kw_only=True):
    """A sale, and the person at the till it is attributed to, if there is one.

    ``paid_at`` is when it happened by the clock of the cameras: the receipt's own time, which
    ``captured_at`` has, plus ``offset_s``. ``spread_s`` is the usual difference that is left.
    ``confidence`` is the probability that the receipt belongs to the person; without a person it is
    the probability that it belongs to none who was seen. ``stay_id`` is the stay at the till. The
    receipt has one payer: their group shares it. ``entered_at`` is the start of the customer's
    visit, and ``zones_before`` names the zones in which the person stayed before, as
    ``camera/zone`` in order of first entry.
    """

    version: Literal[1] = 1
    receipt_id: str
    till_id: str
    paid_at: Instant
    total_minor: int
    currency: str
    offset_s: float
    spread_s: float
    confidence: float
    stay_id: EventId | None = None
    track_id: TrackId | None = None
    customer_id: CustomerId | None = None
    kind: IdentityKind | msgspec.UnsetType = msgspec.UNSET
    item_count: int | msgspec.UnsetType = msgspec.UNSET
    entered_at: Instant | msgspec.UnsetType = msgspec.UNSET
    zones_before: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


class UnpaidStay(Event, frozen=True, tag="unpaid_stay", kw_only=True):
    """A stay at a till, long enough to be served, that no receipt belongs to.

    ``captured_at`` is the end of the stay, whose event is ``stay_id``.
    """

    version: Literal[1] = 1
    till_id: str
    zone_id: str
    stay_id: EventId
    track_id: TrackId
    dwell_s: float
    customer_id: CustomerId | None = None
    kind: IdentityKind | msgspec.UnsetType = msgspec.UNSET


class JourneyStep(msgspec.Struct, frozen=True):
    """A customer's time in one zone of a journey; stays there that follow each other are one."""

    camera_id: CameraId
    zone_id: str
    entered_at: Instant
    dwell_s: float


class Journey(Event, frozen=True, tag="journey", kw_only=True):
    """The zones in which a customer stayed during a visit, in the order of entering.

    It has the ``captured_at`` and ``camera_id`` of the visit ``visit_id``. It holds only stays of
    tracks that are known to be the customer's.
    """

    version: Literal[1] = 1
    visit_id: EventId
    customer_id: CustomerId
    started_at: Instant
    steps: tuple[JourneyStep, ...]


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="dead_letter"):
    """A record that a consumer could not read, with the reason and its position in the log."""

    version: Literal[1] = 1
    topic: str
    partition: int
    offset: int
    reason: str
    payload: bytes


InsightEvent = (
    LineCrossing
    | ZoneStay
    | Occupancy
    | Visit
    | CameraCoverage
    | FloorPresence
    | QueueVisit
    | Receipt
    | Purchase
    | UnpaidStay
    | Passage
    | Group
    | Journey
    | VehicleStay
    | VehicleVisit
    | VehicleLink
    | SiteOccupancy
)
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
    | CameraCoverage
    | FloorPresence
    | VehicleStay
    | VehicleVisit
    | VehicleLink
    | Withdrawal
    | QueueVisit
    | Receipt
    | Purchase
    | UnpaidStay
    | Passage
    | Group
    | Journey
    | SiteOccupancy
)
