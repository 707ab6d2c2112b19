"""One camera's way from detections to identities, without the world: no gallery, no log, no clock.

The service asks ``advance`` what a frame changed, fetches gallery matches for the tracks that are
due, and asks ``resolve`` what they mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from trinetra.errors import MalformedEvent
from trinetra.events.schema import (
    Box,
    DetectionEvent,
    Evidence,
    FaceBox,
    GateEvidence,
    IdentityEvent,
    TrackPosition,
    TracksEvent,
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
from trinetra.identities.tracking import Track, TrackerPolicy, TrackerState, step
from trinetra.values import (
    CameraId,
    CustomerId,
    EventId,
    GalleryMatch,
    Instant,
    SiteId,
    TrackId,
    derive_id,
)

_DECIDE_AT = frozenset({2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64})
"""Usable faces at which an undecided track is looked up (again): often at first, then rarely."""


@dataclass(slots=True)
class TrackIdentity:
    """What is known about who a confirmed track is."""

    track_id: TrackId
    label: str
    started_at: Instant
    seen_at: Instant
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

    def stretch(self, camera_id: CameraId) -> Sighting:
        """Return how long this person has certainly been in the camera's view."""
        since = self.evidence.known_since or self.started_at
        return Sighting(camera_id, since, self.seen_at)

    @property
    def is_due(self) -> bool:
        """Whether the gallery should be asked now."""
        if self.customer_id is not None or not self.evidence.shots:
            return False
        fresh = self.evidence.usable > self.asked_at
        return self.gallery_missed or (fresh and self.evidence.usable in _DECIDE_AT)


@dataclass(slots=True)
class CameraState:
    """Everything the resolver remembers of one camera."""

    camera_id: CameraId
    window: ReorderWindow[DetectionEvent] = field(default_factory=ReorderWindow)
    tracker: TrackerState = field(default_factory=TrackerState)
    identities: dict[TrackId, TrackIdentity] = field(default_factory=dict)
    last: DetectionEvent | None = None


@dataclass(frozen=True, slots=True)
class FrameOutcome:
    """What one frame changed: the tracks in it with their boxes, and the tracks that are over."""

    visible: tuple[tuple[Track, TrackIdentity, Box], ...]
    ended: tuple[TrackIdentity, ...]
    faults: tuple[MalformedEvent, ...]

    def in_view(self, but: TrackId) -> frozenset[CustomerId]:
        """Return the identities of the other tracks in this frame."""
        others = (i.customer_id for _, i, _ in self.visible if i.track_id != but)
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
        seen.xyxy,
        seen.score,
        seen.labels,
        event.captured_at,
        where=(site_id, camera.camera_id),
        policy=policy,
    )
    camera.tracker, camera.last = stepped.state, event
    visible, faults = [], []
    for track in stepped.state.tracks:
        detection = stepped.matched.get(track.track_id)
        if detection is None:
            continue
        identity = camera.identities.setdefault(
            track.track_id,
            TrackIdentity(track.track_id, track.label, track.started_at, track.seen_at),
        )
        identity.seen_at = track.seen_at
        if fault := _add_face(identity, seen.face[detection], event.captured_at, dimension):
            faults.append(fault)
        if track.confirmed:
            visible.append((track, identity, _rounded(seen.xyxy[detection])))
    return FrameOutcome(tuple(visible), _end(camera, stepped.ended), tuple(faults))


def end_all(camera: CameraState) -> tuple[TrackIdentity, ...]:
    """Forget every track and return the confirmed ones; for the end of a stream."""
    confirmed = tuple(track for track in camera.tracker.tracks if track.confirmed)
    camera.tracker = TrackerState()
    return _end(camera, confirmed)


def _end(camera: CameraState, tracks: tuple[Track, ...]) -> tuple[TrackIdentity, ...]:
    ended = tuple(camera.identities[track.track_id] for track in tracks)
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


def _rounded(xyxy: Sequence[float]) -> Box:
    x1, y1, x2, y2 = (round(float(v), 1) for v in xyxy)
    return x1, y1, x2, y2


@dataclass(frozen=True, slots=True)
class Judgement:
    """A decision with everything that led to it; ``gate`` is set when a match was strong."""

    decision: Decision
    gate: GateEvidence | None
    explained: Evidence


def resolve(
    identity: TrackIdentity,
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
        gate = judge(graph, best, elsewhere, identity.stretch(camera_id))
    good = len(consistent_shots(identity.evidence.shots))
    decision = decide(ranked, gate, good_faces=good, in_view=in_view, policy=policy)
    explained = explain(identity.evidence, model, policy)
    margin = margin_of(ranked)
    return Judgement(
        decision,
        gate,
        Evidence(
            faces_seen=explained.faces_seen,
            faces_used=explained.faces_used,
            best_face_px=explained.best_face_px,
            quality=explained.quality,
            model=model,
            thresholds=explained.thresholds,
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


def identity_event(
    identity: TrackIdentity, site_id: SiteId, camera_id: CameraId, captured_at: Instant
) -> IdentityEvent:
    """Return the event that announces a track's present decision."""
    decision, explained = identity.decision, identity.explained
    if decision is None or explained is None:
        raise ValueError(f"track {identity.track_id} has no decision to announce")
    name = (identity.track_id, captured_at, decision.status, decision.customer_id)
    return IdentityEvent(
        event_id=EventId(derive_id("idn", *name, *decision.reasons)),
        site_id=site_id,
        camera_id=camera_id,
        captured_at=captured_at,
        track_id=identity.track_id,
        status=decision.status,
        reasons=decision.reasons,
        evidence=explained,
        track_started_at=identity.started_at,
        customer_id=decision.customer_id,
        kind=decision.kind,
    )


def tracks_event(event: DetectionEvent, outcome: FrameOutcome) -> TracksEvent:
    """Return the positions of a frame's tracks, with their identities as far as known."""
    return TracksEvent(
        event_id=EventId(derive_id("trs", event.event_id)),
        site_id=event.site_id,
        camera_id=event.camera_id,
        captured_at=event.captured_at,
        frame_seq=event.frame_seq,
        frame_width=event.frame_width,
        frame_height=event.frame_height,
        tracks=tuple(
            TrackPosition(
                track_id=track.track_id,
                label=track.label,
                box=box,
                customer_id=identity.customer_id,
                kind=identity.decision.kind if identity.decision else None,
            )
            for track, identity, box in outcome.visible
        ),
        ended=tuple(identity.track_id for identity in outcome.ended),
    )


def farewell(last: DetectionEvent, ended: Sequence[TrackIdentity]) -> TracksEvent:
    """Return the event that ends a camera's tracks when nothing comes after its last frame."""
    tracks = tuple(identity.track_id for identity in ended)
    return TracksEvent(
        event_id=EventId(derive_id("trs", last.event_id, *tracks)),
        site_id=last.site_id,
        camera_id=last.camera_id,
        captured_at=last.captured_at,
        frame_seq=last.frame_seq,
        frame_width=last.frame_width,
        frame_height=last.frame_height,
        ended=tracks,
    )
