"""One camera's way from detections to identities, without the world: no gallery, no log, no clock.

The service asks ``advance`` what a frame changed, fetches gallery matches for the tracks that are
due, and asks ``resolve`` what they mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from trinetra.errors import MalformedEvent
from trinetra.events.schema import (
    Box,
    DetectionEvent,
    Evidence,
    FaceBox,
    GateEvidence,
)
from trinetra.identities.association import observe
from trinetra.identities.evidence import TrackEvidence, add_face, consistent_shots, mean_quality
from trinetra.identities.matching import (
    Decision,
    MatchingPolicy,
    candidates_of,
    decide,
    margin_of,
    rank,
    without_faces,
)
from trinetra.identities.ordering import ReorderWindow
from trinetra.identities.registry import ActiveRegistry
from trinetra.identities.topology import Sighting, SiteGraph, judge
from trinetra.identities.tracking import Sightings, Track, TrackerPolicy, TrackerState, step
from trinetra.values import (
    CameraId,
    CustomerId,
    EventId,
    GalleryMatch,
    Instant,
    SiteId,
    TrackId,
)

_DECIDE_AT = frozenset({2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64})
"""Usable faces at which an undecided track is looked up (again): often at first, then rarely."""


class Arrival(NamedTuple):
    """A detection event and where it stood in its partition."""

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
        )


@dataclass(slots=True)
class TrackIdentity:
    """What is known about who a track is."""

    track_id: TrackId
    label: str
    started_at: Instant
    evidence: TrackEvidence = field(default_factory=TrackEvidence)
    decision: Decision | None = None
    explained: Evidence | None = None
    asked_at: int = 0
    gallery_missed: bool = False
    alerted: set[CustomerId] = field(default_factory=set)

    @property
    def customer_id(self) -> CustomerId | None:
        """The identity this track was given, if any."""
        return self.decision.customer_id if self.decision else None

    def is_due(self, evidence: TrackEvidence, asked_at: int, *, missed: bool) -> bool:
        """Return whether such evidence is worth asking the gallery about.

        ``asked_at`` is how many usable faces there were when it was asked last, ``missed`` whether
        it did not answer.
        """
        if self.customer_id is not None or evidence.usable <= asked_at or not evidence.shots:
            return False
        return missed or evidence.usable in _DECIDE_AT


@dataclass(slots=True)
class CameraState:
    """Everything the resolver remembers of one camera; ``heard_s`` is of the monotonic clock."""

    camera_id: CameraId
    window: ReorderWindow[Arrival] = field(default_factory=ReorderWindow)
    tracker: TrackerState = field(default_factory=TrackerState)
    identities: dict[TrackId, TrackIdentity] = field(default_factory=dict)
    last: FrameHeader | None = None
    heard_s: float = 0.0


class Visible(NamedTuple):
    """A confirmed track in one frame, with the evidence there was by then."""

    identity: TrackIdentity
    evidence: TrackEvidence
    box: Box
    seen_at: Instant

    @property
    def is_due(self) -> bool:
        """Whether the gallery should be asked now."""
        identity = self.identity
        return identity.is_due(self.evidence, identity.asked_at, missed=identity.gallery_missed)

    def stretch(self, camera_id: CameraId) -> Sighting:
        """Return how long this person has certainly been in the camera's view."""
        since = self.evidence.known_since or self.identity.started_at
        return Sighting(camera_id, since, self.seen_at)


@dataclass(frozen=True, slots=True)
class FrameOutcome:
    """What one frame changed: the tracks in it with their boxes, and the tracks that are over."""

    visible: tuple[Visible, ...]
    ended: tuple[TrackIdentity, ...]
    faults: tuple[MalformedEvent, ...]

    def in_view(self, but: TrackId) -> frozenset[CustomerId]:
        """Return the identities of the other tracks in this frame."""
        others = (v.identity.customer_id for v in self.visible if v.identity.track_id != but)
        return frozenset(c for c in others if c is not None)


def advance(
    camera: CameraState,
    event: DetectionEvent,
    *,
    site_id: SiteId,
    dimension: int,
    policy: TrackerPolicy,
) -> FrameOutcome:
    """Step the tracker by one frame and add its faces to the tracks' evidence."""
    seen = observe(event)
    stepped = step(
        camera.tracker,
        Sightings(seen.boxes, seen.scores, seen.labels),
        event.captured_at,
        where=(site_id, camera.camera_id),
        policy=policy,
    )
    camera.tracker, camera.last = stepped.state, FrameHeader.of(event)
    visible, faults = [], []
    for track in stepped.state.tracks:
        detection = stepped.matched.get(track.track_id)
        if detection is None:
            continue
        identity = _identity(camera, track)
        if fault := _add_face(identity, seen.face[detection], event.captured_at, dimension):
            faults.append(fault)
        if track.confirmed:
            box = _rounded(seen.boxes[detection])
            visible.append(Visible(identity, identity.evidence, box, track.seen_at))
    return FrameOutcome(tuple(visible), _end(camera, stepped.ended), tuple(faults))


def _identity(camera: CameraState, track: Track) -> TrackIdentity:
    known = camera.identities.get(track.track_id)
    if known is None:
        known = TrackIdentity(track.track_id, track.label, track.started_at)
        camera.identities[track.track_id] = known
    return known


def end_all(camera: CameraState) -> tuple[TrackIdentity, ...]:
    """Forget every track and return the confirmed ones; for the end of a stream."""
    confirmed = tuple(track for track in camera.tracker.tracks if track.confirmed)
    camera.tracker = TrackerState()
    return _end(camera, confirmed)


def _end(camera: CameraState, tracks: tuple[Track, ...]) -> tuple[TrackIdentity, ...]:
    ended = tuple(camera.identities[track.track_id] for track in tracks)
    if len(camera.identities) > len(camera.tracker.tracks):
        alive = {track.track_id for track in camera.tracker.tracks}
        camera.identities = {t: i for t, i in camera.identities.items() if t in alive}
    return ended


def _add_face(
    identity: TrackIdentity, face: FaceBox | None, captured_at: Instant, dimension: int
) -> MalformedEvent | None:
    """Add a face to the evidence; return what is wrong with its embedding, if anything is."""
    if face is None:
        return None
    try:
        identity.evidence = add_face(identity.evidence, face, captured_at, dimension)
    except MalformedEvent as fault:
        return fault
    return None


def _rounded(box: Box) -> Box:
    x1, y1, x2, y2 = box
    return round(x1, 1), round(y1, 1), round(x2, 1), round(y2, 1)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A decision with everything that led to it; ``gate`` is set when a match was strong."""

    decision: Decision
    gate: GateEvidence | None
    explained: Evidence


def resolve(
    seen: Visible,
    matches: Sequence[GalleryMatch],
    *,
    camera_id: CameraId,
    in_view: frozenset[CustomerId],
    registry: ActiveRegistry,
    graph: SiteGraph,
    policy: MatchingPolicy,
    model: str,
) -> Judgement:
    """Return who a track is, given its gallery matches and where those identities were seen."""
    ranked = rank(matches, policy)
    gate = None
    if ranked and ranked[0].score >= policy.similarity:
        best = ranked[0].customer_id
        elsewhere = registry.elsewhere(best, camera_id)
        gate = judge(graph, best, elsewhere, seen.stretch(camera_id))
    good = len(consistent_shots(seen.evidence.shots))
    decision = decide(ranked, gate, good_faces=good, in_view=in_view, policy=policy)
    explained = explain(seen.evidence, model, policy)
    margin = margin_of(ranked)
    return Judgement(
        decision,
        gate,
        msgspec.structs.replace(
            explained,
            candidates=candidates_of(ranked),
            margin=None if margin is None else round(margin, 4),
            gate=(gate,) if gate else (),
        ),
    )


def explain(evidence: TrackEvidence, model: str, policy: MatchingPolicy) -> Evidence:
    """Return what an identity event says of a track's faces."""
    shots = consistent_shots(evidence.shots)
    return Evidence(
        faces_seen=evidence.faces_seen,
        faces_used=len(shots),
        best_face_px=round(evidence.best_face_px, 1),
        quality=round(mean_quality(shots), 3),
        model=model,
        thresholds=policy.thresholds(),
    )


def unrecognised(identity: TrackIdentity, model: str, policy: MatchingPolicy) -> Judgement:
    """Return the judgement on a track that ends without a decision."""
    evidence = identity.evidence
    if evidence.shots:
        decision = Decision("unknown", ("too_few_good_faces",))
    else:
        decision = without_faces(evidence.unusable, evidence.faces_seen)
    return Judgement(decision, None, explain(evidence, model, policy))
