"""State of one camera's tracks and identities, and its pure step: no gallery, log or clock.

The service calls ``advance`` for each frame, fetches gallery matches for the tracks that are due,
and passes them to ``resolve``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import msgspec

from trinetra.errors import MalformedEvent
from trinetra.events.schema import (
    Box,
    DetectionEvent,
    Evidence,
    FaceBox,
    PlateReading,
)
from trinetra.identities.decision.body_link import BodyMean, with_picture
from trinetra.identities.decision.matching import (
    ERASED,
    LEFT_OUT,
    Decision,
)
from trinetra.identities.gate.topology import Sighting, SiteGraph
from trinetra.identities.tracking.boxes import share_hidden
from trinetra.identities.tracking.face_association import observe
from trinetra.identities.tracking.face_similarity import compare_faces, owners
from trinetra.identities.tracking.life_signs import LifePolicy, LifeSigns, with_body, with_face
from trinetra.identities.tracking.policy import TrackerPolicy
from trinetra.identities.tracking.reorder_buffer import ReorderWindow
from trinetra.identities.tracking.track_faces import TrackFaces, add_face, mean_quality
from trinetra.identities.tracking.tracker import step
from trinetra.identities.tracking.tracks import DetectionBatch, Track, TrackerState
from trinetra.values import (
    CameraId,
    CustomerId,
    EventId,
    Instant,
    SiteId,
    TrackId,
)

_FIRST_LOOKS = frozenset({2, 3, 4, 6})
_LOOK_EVERY = 4
"""Numbers of usable faces at which an undecided track is looked up: densely at first."""
_REVIEWS = frozenset({8, 16})
_REVIEW_EVERY = 32
"""Numbers of usable faces at which a decided track is reviewed.

Undecided tracks are looked up then, too: a decision in the same batch must not lose its review.
"""
_FACES_TO_RETURN = 3
_LIFE = LifePolicy()
_BODY_TASK = "body_embed"
_MOST_HIDDEN = 0.4
"""Share of a body's box that nearer people may cover for it to be known by the picture."""
_BEST_SHOTS = 3
_CLEARLY_BETTER = 0.1
"""Gain in quality for which a new identity is stored again while its track goes on.

It bounds the number of writes: quality lies between 0 and 1.
"""
GONE_OVER = Decision("unknown", ("faces_changed",))
"""The track's faces now show another person, who has not been identified yet."""
SEEN_ELSEWHERE = Decision("unknown", ("seen_on_another_track",))
"""Another track in view showed this track's customer more recently."""


class Arrival(NamedTuple):
    """A detection event and its offset in the partition."""

    event: DetectionEvent
    offset: int


class FrameHeader(msgspec.Struct, frozen=True, array_like=True):
    """A detection event without its objects and faces."""

    event_id: EventId
    site_id: SiteId
    camera_id: CameraId
    captured_at: Instant
    frame_seq: int
    frame_width: int
    frame_height: int
    session: int = 0

    @classmethod
    def of(cls, event: DetectionEvent) -> "FrameHeader":
        """Return the header of an event."""
        return cls(
            event.event_id,
            event.site_id,
            event.camera_id,
            event.captured_at,
            event.frame_seq,
            event.frame_width,
            event.frame_height,
            event.session or 0,
        )


class EnrolledShots(msgspec.Struct, frozen=True, array_like=True):
    """What a new identity was stored with: its usable faces so far, and the best ones' quality."""

    usable: int
    quality: float

    @classmethod
    def of(cls, evidence: TrackFaces) -> "EnrolledShots":
        """Return the shots that the evidence has now."""
        return cls(evidence.usable, mean_quality(evidence.shots[:_BEST_SHOTS]))

    def is_clearly_worse(self, evidence: TrackFaces) -> bool:
        """Return whether the evidence has clearly better shots by now."""
        return EnrolledShots.of(evidence).quality >= self.quality + _CLEARLY_BETTER


@dataclass(slots=True)
class TrackIdentity:
    """Evidence and decision on who a track is.

    ``decision`` is valid from ``since`` on (None: from the start of the track) and concerns the
    person of that ``segment`` of the evidence. ``asked_at`` is the number of usable faces at the
    last lookup, ``alerted`` the customers with an alert on an impossible transition. ``life`` tells
    a person from a poster. ``enrolled`` are the shots that the gallery has of a new identity.
    ``body`` is what the person of this segment looks like.
    """

    track_id: TrackId
    label: str
    started_at: Instant
    evidence: TrackFaces = field(default_factory=TrackFaces)
    decision: Decision | None = None
    explained: Evidence | None = None
    asked_at: int = 0
    gallery_missed: bool = False
    alerted: set[CustomerId] = field(default_factory=set)
    segment: int = 0
    since: Instant | None = None
    life: LifeSigns = field(default_factory=LifeSigns)
    enrolled: EnrolledShots | None = None
    body: BodyMean | None = None

    @property
    def customer_id(self) -> CustomerId | None:
        """The identity this track was given, if any."""
        return self.decision.customer_id if self.decision else None

    @property
    def is_linked(self) -> bool:
        """True if the identity follows from the body, not from a face."""
        return self.decision is not None and self.decision.linked

    def is_due(self, evidence: TrackFaces, asked_at: int, *, missed: bool) -> bool:
        """Return whether the gallery should be searched for this evidence.

        ``asked_at`` is the number of usable faces at the last lookup, ``missed`` whether the
        gallery did not answer it.
        """
        usable = evidence.usable
        if usable <= asked_at or self.is_left_out:
            return False
        if self.segment == evidence.segment and self.decision == SEEN_ELSEWHERE:
            # One stray face of that person must not bring the withdrawn identity back.
            asked_at = self.asked_at + _FACES_TO_RETURN
            return usable >= asked_at and (usable in _REVIEWS or usable % _REVIEW_EVERY == 0)
        if missed or usable in _REVIEWS or usable % _REVIEW_EVERY == 0:
            return True
        if self.segment == evidence.segment and self.is_settled:
            return False
        is_first_look = asked_at == 0 and usable > 1
        return is_first_look or usable in _FIRST_LOOKS or usable % _LOOK_EVERY == 0

    @property
    def is_settled(self) -> bool:
        """True if more faces are unlikely to change the decision."""
        by_face = self.customer_id is not None and not self.is_linked
        return by_face or self.decision == SEEN_ELSEWHERE

    @property
    def is_left_out(self) -> bool:
        """True if the person opted out or was erased.

        The track then stays unknown to its end, even if it switches to another person.
        """
        return self.decision in {LEFT_OUT, ERASED}

    def is_of(self, is_erased: Callable[[CustomerId], bool]) -> bool:
        """Return whether the track was identified as an erased customer."""
        ids = (self.decision.customer_id, self.decision.own_id) if self.decision else ()
        return any(is_erased(customer_id) for customer_id in ids if customer_id)

    def leave_out(self, why: Decision = LEFT_OUT) -> None:
        """Drop all evidence about a person who opted out or was erased."""
        if self.explained is not None:
            self.explained = msgspec.structs.replace(
                self.explained, candidates=(), margin=None, gate=(), known_since=None
            )
        self.decision, self.evidence, self.since = why, TrackFaces(), None
        self.enrolled = self.body = None
        self.alerted.clear()

    def follow(self, evidence: TrackFaces) -> bool:
        """Drop the decision if the evidence has switched to another person.

        Return whether there was a decision to drop.
        """
        if self.segment == evidence.segment or self.is_left_out:
            return False
        # A track whose identity was taken away had left that person before its faces showed it, so
        # the new segment starts then, not when the new faces prevailed.
        starts = [self.since] if self.decision == SEEN_ELSEWHERE else []
        starts.append(evidence.since)
        self.segment, self.since = evidence.segment, min((s for s in starts if s), default=None)
        self.asked_at, self.gallery_missed, self.body = 0, False, None
        # Who moved was the person before: the track may have passed on to a poster beside them.
        self.life = LifeSigns(has_body=self.life.is_person)
        had_one, self.decision = self.decision is not None, None
        return had_one


@dataclass(slots=True)
class CameraState:
    """The resolver's state of one camera; ``heard_s`` is the last arrival, monotonic clock.

    ``told_silent`` is true once consumers were told that nothing has arrived since.
    """

    camera_id: CameraId
    window: ReorderWindow[Arrival] = field(default_factory=ReorderWindow)
    tracker: TrackerState = field(default_factory=TrackerState)
    identities: dict[TrackId, TrackIdentity] = field(default_factory=dict)
    last: FrameHeader | None = None
    heard_s: float = 0.0
    told_silent: bool = False

    def drop_left_out_bodies(self) -> None:
        """Drop what the tracker knows of the bodies of people who opted out or were erased."""
        left_out = {i.track_id for i in self.identities.values() if i.is_left_out}
        if left_out:
            tracks = tuple(
                msgspec.structs.replace(track, look=None, body=None)
                if track.track_id in left_out
                else track
                for track in self.tracker.tracks
            )
            self.tracker = replace(self.tracker, tracks=tracks)


class TrackObservation(NamedTuple):
    """A confirmed track in one frame, with the evidence up to that frame.

    ``frame`` is the width and height of the image, in pixels. If ``predicted``, the box is the
    tracker's estimate: the detection was too weak to be taken as it is. ``body`` is what the person
    looks like, and ``plates`` are the readings of a vehicle's plate, up to that frame.
    """

    identity: TrackIdentity
    evidence: TrackFaces
    box: Box
    seen_at: Instant
    frame: tuple[int, int] | None = None
    predicted: bool = False
    body: BodyMean | None = None
    plates: tuple[PlateReading, ...] = ()

    @property
    def is_due(self) -> bool:
        """True if the gallery should be searched now."""
        identity = self.identity
        return identity.is_due(self.evidence, identity.asked_at, missed=identity.gallery_missed)

    def segment(self, camera_id: CameraId, graph: SiteGraph) -> Sighting:
        """Return the time this person has certainly been in view, and the position now."""
        since = self.evidence.known_since or self.identity.started_at
        place = graph.place(camera_id, self.box, self.frame)
        return Sighting(camera_id, since, self.seen_at, place)


@dataclass(frozen=True, slots=True)
class FrameOutcome:
    """Result of one frame: the visible tracks, the tracks that ended, and malformed faces."""

    visible: tuple[TrackObservation, ...]
    ended: tuple[TrackIdentity, ...]
    faults: tuple[MalformedEvent, ...]

    def in_view(self, but: TrackObservation, *, linked: bool = False) -> frozenset[CustomerId]:
        """Return the customers of the other tracks in this frame, those of links only if asked.

        A link stands in no face's way. A customer whose face was last seen on the other track
        before it appeared on this one does not count: that track may have switched to another
        person unnoticed.
        """
        since = but.evidence.known_since
        return frozenset(
            other.identity.customer_id
            for other in self.visible
            if other.identity.customer_id is not None
            and other.identity is not but.identity
            and (linked or not other.identity.is_linked)
            and not (since and other.evidence.shown_at and other.evidence.shown_at < since)
        )

    def doubles(self) -> list[tuple[TrackObservation, Instant]]:
        """Return tracks whose customer was seen later on another track, and since when.

        One person cannot be in two places of one view, so the track with the older face must have
        switched to another person unnoticed.
        """
        if len(self.visible) < 2:  # noqa: PLR2004  two tracks make a pair
            return []
        latest: dict[CustomerId, TrackObservation] = {}
        doubles = []
        for seen in self.visible:
            customer = seen.identity.customer_id
            if customer is None or seen.evidence.shown_at is None or seen.identity.is_linked:
                continue
            other = latest.get(customer)
            if other is None:
                latest[customer] = seen
                continue
            stale, fresh = sorted((seen, other), key=_shown_at)
            latest[customer] = fresh
            since = fresh.evidence.known_since or fresh.seen_at
            doubles.append((stale, max(since, _shown_at(stale))))
        return doubles


def _shown_at(seen: TrackObservation) -> Instant:
    return seen.evidence.shown_at or seen.identity.started_at


def advance(
    camera: CameraState,
    event: DetectionEvent,
    *,
    site_id: SiteId,
    dimension: int,
    policy: TrackerPolicy,
) -> FrameOutcome:
    """Advance the tracker by one frame and add its faces to the tracks' evidence.

    A face that clearly belongs to another track, by its embedding, is not added to the track whose
    box it was found in.
    """
    seen = observe(event)
    alike = _face_similarities(camera, seen, dimension)
    stepped = step(
        camera.tracker,
        replace(seen, face_similarity=alike),
        event.captured_at,
        where=(site_id, camera.camera_id),
        policy=policy,
    )
    camera.tracker, camera.last = stepped.state, FrameHeader.of(event)
    visible, faults = [], []
    owner = owners(alike, policy.looks.same_cosine)
    for track in stepped.state.tracks:
        detection = stepped.matched.get(track.track_id)
        if detection is None:
            continue
        identity = _identity(camera, track)
        if detection not in seen.face_only:
            identity.life = with_body(identity.life)
        face = (
            seen.faces[detection]
            if owner.get(detection, track.track_id) == track.track_id
            else None
        )
        if face is not None:
            identity.life = with_face(identity.life, face, event.captured_at, _LIFE)
        if fault := _add_face(identity, face, event.captured_at, dimension):
            faults.append(fault)
        _add_body(identity, seen, detection, event)
        weak = track.track_id in stepped.weak
        shows = track.confirmed and identity.life.is_person
        if shows and not (weak and track.steadiness < policy.steady):
            size = event.frame_width, event.frame_height
            box = _clipped(track.xyxy, size) if weak else seen.boxes[detection]
            visible.append(
                TrackObservation(
                    identity,
                    identity.evidence,
                    _rounded(box),
                    track.seen_at,
                    size,
                    weak,
                    identity.body,
                    track.plates,
                )
            )
    return FrameOutcome(tuple(visible), _end(camera, stepped.ended), tuple(faults))


def _face_similarities(
    camera: CameraState, seen: DetectionBatch, dimension: int
) -> dict[tuple[TrackId, int], float]:
    """Return the cosine of every face in a frame to the faces of the camera's tracks."""
    if not any(face is not None and face.embedding is not None for face in seen.faces):
        return {}
    known = {
        track_id: identity.evidence.groups[0].center
        for track_id, identity in camera.identities.items()
        if identity.evidence.groups
    }
    return compare_faces(seen.faces, known, dimension)


def _identity(camera: CameraState, track: Track) -> TrackIdentity:
    known = camera.identities.get(track.track_id)
    if known is None:
        known = TrackIdentity(track.track_id, track.label, track.started_at)
        camera.identities[track.track_id] = known
    return known


def end_all(camera: CameraState) -> tuple[TrackIdentity, ...]:
    """Drop every track and return the confirmed ones; for the end of a stream."""
    confirmed = tuple(track for track in camera.tracker.tracks if track.confirmed)
    camera.tracker = TrackerState(stripes_unit=camera.tracker.stripes_unit)
    return _end(camera, confirmed)


def _end(camera: CameraState, tracks: tuple[Track, ...]) -> tuple[TrackIdentity, ...]:
    known = (camera.identities[track.track_id] for track in tracks)
    ended = tuple(identity for identity in known if identity.life.is_person)
    if len(camera.identities) > len(camera.tracker.tracks):
        alive = {track.track_id for track in camera.tracker.tracks}
        camera.identities = {t: i for t, i in camera.identities.items() if t in alive}
    return ended


def _add_face(
    identity: TrackIdentity, face: FaceBox | None, captured_at: Instant, dimension: int
) -> MalformedEvent | None:
    """Add a face to the evidence; return the fault if its embedding is malformed."""
    if face is None or identity.is_left_out:
        return None
    try:
        identity.evidence = add_face(identity.evidence, face, captured_at, dimension)
    except MalformedEvent as fault:
        return fault
    return None


def _add_body(
    identity: TrackIdentity, seen: DetectionBatch, detection: int, event: DetectionEvent
) -> None:
    """Add a picture of the body, unless a nearer person covers too much of it."""
    body = seen.body(detection)
    if body is None or identity.is_left_out:
        return
    if share_hidden(detection, seen.boxes) <= _MOST_HIDDEN:
        model = event.models.get(_BODY_TASK, "")
        identity.body = with_picture(identity.body, body, model, event.captured_at)


def _clipped(box: Box, size: tuple[int, int]) -> Box:
    x1, y1, x2, y2 = box
    width, height = size
    return max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))


def _rounded(box: Box) -> Box:
    x1, y1, x2, y2 = box
    return round(x1, 1), round(y1, 1), round(x2, 1), round(y2, 1)
