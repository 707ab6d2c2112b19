"""Multi-object tracking within one camera, as a pure step from state to state.

Detections are associated in the order of ByteTrack (Zhang et al., 2022): strong ones first, weak
ones only to keep a track alive. Similarity is the IoU of boxes widened by a buffer (Yang et al.,
C-BIoU, 2023), since at a few frames a second people move by more than their own width. Clothing,
and faces where visible, are further cues (Aharon et al., BoT-SORT, 2022; Maggiolino et al.,
Deep OC-SORT, 2023): a track that would have to switch to a person who looks different pauses
instead, and the other person gets a new track. Two tracks of one person can be joined by identity
later; one track of two people cannot be taken apart.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from trinetra.events.schema import Box, FaceBox
from trinetra.identities.tracking.appearance import Look, blended, difference
from trinetra.identities.tracking.assignment import best_pairs
from trinetra.identities.tracking.kalman import (
    Motion,
    MotionNoise,
    box_of,
    initial_motion,
    predict,
    update,
)
from trinetra.values import CameraId, Instant, SiteId, TrackId, derive_id, seconds_between

_VEHICLES = frozenset({"bicycle", "car", "motorcycle", "bus", "truck"})
_NEVER = -2.0
"""Lower than any overlap can compensate: the pair is ruled out."""
_MAX_GAP_INTERVALS = 2.5
"""Longest gap in a track, in frame intervals: one missed frame, and the jitter of capture times."""
_STOOD_SIMILARITY = 0.4
"""Minimum overlap with the last box, adjusted by clothing, for a person who stood still.

Higher than ``min_similarity``: while no frame came, another person may have taken the place.
"""


@dataclass(frozen=True, slots=True)
class LookPolicy:
    """Weight of clothing and faces in relation to position.

    Similarity gains up to ``weight`` if looks agree, nothing at a difference of ``neutral``, and
    loses proportionally beyond that. A face with a cosine below ``stranger_cosine`` to a track's
    face belongs to another person, wherever it is; one above ``same_cosine`` outweighs clothing.
    A paused track with at least ``least_hits`` hits is resumed within ``max_pause_s`` by a new
    person nearby who differs from it by ``found_again`` at most, provided that the match is
    unambiguous: all competing pairs differ by more than ``neutral``.
    """

    weight: float = 0.3
    neutral: float = 1.5
    share: float = 0.25
    stranger_cosine: float = 0.3
    same_cosine: float = 0.5
    max_pause_s: float = 10.0
    least_hits: int = 5
    found_again: float = 0.7
    reach_heights: float = 1.0
    reach_heights_per_s: float = 0.3


@dataclass(frozen=True, slots=True)
class TrackerPolicy:
    """Limits for starting, matching and ending tracks; scores in 0..1, noise in box heights.

    A detection below its birth score starts no track but keeps one alive. Vehicles have a lower
    birth score: seen from above they score low, and little on a road is mistaken for them.
    """

    birth_score: float = 0.45
    vehicle_birth_score: float = 0.34
    confirm_hits: int = 2
    max_gap_s: float = 2.0
    tentative_gap_s: float = 0.7
    min_similarity: float = 0.15
    buffers: tuple[float, float] = (0.2, 0.6)
    noise: MotionNoise = field(default_factory=MotionNoise)
    looks: LookPolicy = field(default_factory=LookPolicy)

    def at_interval(self, interval_s: float) -> "TrackerPolicy":
        """Return the policy for a camera with a frame every ``interval_s``.

        However rare the frames, a track must not end because one of them missed it.
        """
        max_gap_s = _MAX_GAP_INTERVALS * interval_s
        return replace(self, max_gap_s=max_gap_s) if max_gap_s > self.max_gap_s else self


class Track(msgspec.Struct, frozen=True, array_like=True):
    """One object as it moves through one camera's view."""

    track_id: TrackId
    label: str
    motion: Motion
    started_at: Instant
    seen_at: Instant
    hits: int
    confirmed: bool
    look: Look | None = None

    @property
    def xyxy(self) -> Box:
        """The box as estimated last, in pixels."""
        return box_of(self.motion)


@dataclass(frozen=True, slots=True)
class TrackerState:
    """The tracker's complete state of one camera; ``interval_s`` is that of its last two frames."""

    tracks: tuple[Track, ...] = ()
    stepped_at: Instant | None = None
    interval_s: float | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """Result of one frame: the new state, the detection of each track, and ended tracks."""

    state: TrackerState
    matched: dict[TrackId, int]
    ended: tuple[Track, ...]


@dataclass(frozen=True, slots=True)
class DetectionBatch:
    """The detections of one frame, struct-of-arrays; look and face are None where unknown.

    Plain tuples: a frame shows a handful of objects, for which NumPy is slower than Python.
    ``face_similarity`` is the cosine of a track's face and a detection's face, by (track id,
    detection index), where both have one. ``face_only`` are people with a face but no body.
    """

    boxes: Sequence[Box]
    scores: Sequence[float]
    labels: Sequence[str]
    looks: Sequence[Look | None] = ()
    faces: Sequence[FaceBox | None] = ()
    face_similarity: Mapping[tuple[TrackId, int], float] = field(default_factory=dict)
    face_only: frozenset[int] = frozenset()

    def strong(self, policy: TrackerPolicy) -> set[int]:
        """Return the indices of detections that may start a track."""
        return {
            d
            for d, (score, label) in enumerate(zip(self.scores, self.labels, strict=True))
            if score >= _birth_score(label, policy)
        }

    def look(self, detection: int) -> Look | None:
        """Return the appearance of a detection, or None if it is unknown."""
        return self.looks[detection] if self.looks else None


def group_of(label: str) -> str:
    """Return the class group within which a track may change its label."""
    return "vehicle" if label in _VEHICLES else label


def step(
    state: TrackerState,
    batch: DetectionBatch,
    captured_at: Instant,
    *,
    where: tuple[SiteId, CameraId],
    policy: TrackerPolicy,
) -> Step:
    """Return the tracks after one frame."""
    elapsed_s = _elapsed(state, captured_at)
    policy = policy.at_interval(_interval_s(state, elapsed_s))
    strong = batch.strong(policy)
    tracks = [_predict(track, elapsed_s, captured_at, policy) for track in state.tracks]
    pairs = _associate(tracks, batch, strong, captured_at, policy)
    pairs |= _stood_still(state, pairs, batch, strong, captured_at, policy)
    pairs |= _found_again(tracks, pairs, batch, strong, captured_at, policy)
    matched: dict[TrackId, int] = {}
    alive: list[Track] = []
    ended: list[Track] = []
    for i, predicted in enumerate(tracks):
        track = predicted
        if i in pairs:
            matched[track.track_id] = pairs[i]
            track = _update(track, batch, pairs[i], captured_at, policy)
        if not _is_over(track, captured_at, policy):
            alive.append(track)
        elif track.confirmed:
            ended.append(track)
    for d in sorted(strong.difference(pairs.values())):
        if _doubles_a_track(batch, d, alive, captured_at, policy):
            continue
        born = _begin(batch, d, captured_at, where, policy)
        matched[born.track_id] = d
        alive.append(born)
    interval_s = state.interval_s if state.stepped_at is None else elapsed_s
    return Step(TrackerState(tuple(alive), captured_at, interval_s), matched, tuple(ended))


def widened(box: Box, buffer: float) -> Box:
    """Return a box made wider by ``buffer`` times its size on each side."""
    x1, y1, x2, y2 = box
    dx, dy = (x2 - x1) * buffer, (y2 - y1) * buffer
    return x1 - dx, y1 - dy, x2 + dx, y2 + dy


def iou(a: Box, b: Box) -> float:
    """Return the shared area of two boxes over that of their union."""
    across = min(a[2], b[2]) - max(a[0], b[0])
    down = min(a[3], b[3]) - max(a[1], b[1])
    if across <= 0 or down <= 0:
        return 0.0
    shared = across * down
    return shared / max(_area(a) + _area(b) - shared, 1e-9)


def lies_at(face: Box, body: Box) -> bool:
    """Return whether the center of a face lies in a body's box, or less than half a face beside."""
    x, y = (face[0] + face[2]) / 2, (face[1] + face[3]) / 2
    wide, tall = (face[2] - face[0]) / 2, (face[3] - face[1]) / 2
    return body[0] - wide <= x <= body[2] + wide and body[1] - tall <= y <= body[3] + tall


def _apart(a: Box, b: Box) -> bool:
    """Return whether two boxes are disjoint; a cheap test that settles most pairs."""
    return a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def _area(box: Box) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def _elapsed(state: TrackerState, captured_at: Instant) -> float:
    if state.stepped_at is None:
        return 0.0
    return max(0.0, seconds_between(state.stepped_at, captured_at))


def _interval_s(state: TrackerState, elapsed_s: float) -> float:
    """Return the camera's interval between frames: the shorter one of the last two.

    A single long interval may be an outage, during which people moved on.
    """
    return elapsed_s if state.interval_s is None else min(state.interval_s, elapsed_s)


def _associate(
    tracks: Sequence[Track],
    batch: DetectionBatch,
    strong: set[int],
    captured_at: Instant,
    policy: TrackerPolicy,
) -> dict[int, int]:
    """Return track index -> detection index, by a cascade of assignments.

    Strong detections come first and near ones before far ones, as in ByteTrack and C-BIoU.
    """
    # Weak detections are often occluded people, or no people at all: they only keep tracks alive
    # that no strong detection nearby continues, and never get the wide buffer.
    near, far = policy.buffers
    weak = set(range(len(batch.boxes))) - strong
    running = [i for i, t in enumerate(tracks) if not _is_paused(t, captured_at, policy)]
    pairs: dict[int, int] = {}
    for buffer, eligible in ((near, strong), (near, weak), (far, strong)):
        left = [i for i in running if i not in pairs]
        free = eligible.difference(pairs.values())
        if left and free:
            pairs |= best_pairs(_similarity(tracks, left, batch, free, buffer, policy))
    return pairs


def _similarity(
    tracks: Sequence[Track],
    rows: Sequence[int],
    batch: DetectionBatch,
    columns: Collection[int],
    buffer: float,
    policy: TrackerPolicy,
) -> dict[tuple[int, int], float]:
    """Return the similarity of all pairs of one class group that exceed the minimum."""
    detections = [(d, group_of(batch.labels[d]), widened(batch.boxes[d], buffer)) for d in columns]
    found = {}
    for i in rows:
        group, box = group_of(tracks[i].label), widened(tracks[i].xyxy, buffer)
        for d, its_group, its_box in detections:
            if group == its_group and not _apart(box, its_box):
                near = iou(box, its_box)
                if near < policy.min_similarity:
                    continue
                similarity = near + _agreement(tracks[i], batch, d, policy.looks)
                if similarity >= policy.min_similarity:
                    found[i, d] = similarity
    return found


def _agreement(track: Track, batch: DetectionBatch, detection: int, policy: LookPolicy) -> float:
    """Return the contribution of face and clothing to the similarity of a pair."""
    # A face is decisive in both directions: position and clothing can agree for two people who
    # cross or wear a uniform, but a dissimilar face cannot be the same person's.
    cosine = batch.face_similarity.get((track.track_id, detection))
    if cosine is not None and cosine < policy.stranger_cosine:
        return _NEVER
    if cosine is not None and cosine >= policy.same_cosine:
        return policy.weight
    differs = difference(track.look, batch.look(detection))
    if differs is None:
        return 0.0
    return policy.weight * (1.0 - differs / policy.neutral)


def _found_again(
    tracks: Sequence[Track],
    pairs: Mapping[int, int],
    batch: DetectionBatch,
    strong: set[int],
    captured_at: Instant,
    policy: TrackerPolicy,
) -> dict[int, int]:
    """Return paused track index -> new detection index, where the match is unambiguous.

    Both must look alike, and every other pair that shares one of them must look different.
    """
    left = [i for i, t in enumerate(tracks) if i not in pairs and _can_pause(t, policy)]
    new = sorted(strong.difference(pairs.values()))
    if not left or not new:
        return {}
    looks = policy.looks
    close = {
        (i, d): differs
        for i in left
        for d in new
        if _in_reach(tracks[i], batch, d, captured_at, looks)
        and (differs := difference(tracks[i].look, batch.look(d))) is not None
    }
    sure = {}
    for (i, d), differs in close.items():
        # Exactly one of track and detection in common: the pairs that compete with this one.
        others = [v for (j, e), v in close.items() if (j == i) != (e == d)]
        if differs <= looks.found_again and all(v > looks.neutral for v in others):
            sure[i, d] = 1.0
    return best_pairs(sure) if sure else {}


def _stood_still(
    state: TrackerState,
    pairs: Mapping[int, int],
    batch: DetectionBatch,
    strong: set[int],
    captured_at: Instant,
    policy: TrackerPolicy,
) -> dict[int, int]:
    """Return paused track index -> detection index of people who are where they stood.

    No frame has missed these tracks: the camera was silent, or its rate has just dropped. Their
    motion cannot be extrapolated that far, so only a box in nearly the same place continues one.
    """
    unmissed = [
        i
        for i, track in enumerate(state.tracks)
        if i not in pairs
        and track.seen_at == state.stepped_at
        and track.confirmed
        and _is_paused(track, captured_at, policy)
        and seconds_between(track.seen_at, captured_at) <= policy.looks.max_pause_s
    ]
    free = strong.difference(pairs.values())
    if not unmissed or not free:
        return {}
    found = _similarity(state.tracks, unmissed, batch, free, 0.0, policy)
    return best_pairs({pair: gain for pair, gain in found.items() if gain >= _STOOD_SIMILARITY})


def _in_reach(
    track: Track, batch: DetectionBatch, detection: int, captured_at: Instant, policy: LookPolicy
) -> bool:
    """Return whether a person can have moved from a paused track's position to a detection."""
    if group_of(track.label) != group_of(batch.labels[detection]):
        return False
    cosine = batch.face_similarity.get((track.track_id, detection), policy.stranger_cosine)
    if cosine < policy.stranger_cosine:
        return False
    x, y, _, h = track.motion
    x1, y1, x2, y2 = batch.boxes[detection]
    gap_s = seconds_between(track.seen_at, captured_at)
    reach = (policy.reach_heights + policy.reach_heights_per_s * gap_s) * h.value
    return abs((x1 + x2) / 2 - x.value) <= reach and abs((y1 + y2) / 2 - y.value) <= reach


def _doubles_a_track(
    batch: DetectionBatch,
    detection: int,
    tracks: Sequence[Track],
    captured_at: Instant,
    policy: TrackerPolicy,
) -> bool:
    """Return whether a face without a body lies where a person is tracked.

    The detector missed that person's body in this frame, and the face fits it badly.
    """
    face = batch.faces[detection] if detection in batch.face_only else None
    return face is not None and any(
        group_of(track.label) == group_of(batch.labels[detection])
        and not _is_paused(track, captured_at, policy)
        and lies_at(face.box, track.xyxy)
        for track in tracks
    )


def _birth_score(label: str, policy: TrackerPolicy) -> float:
    return policy.vehicle_birth_score if label in _VEHICLES else policy.birth_score


def _begin(
    batch: DetectionBatch,
    detection: int,
    captured_at: Instant,
    where: tuple[SiteId, CameraId],
    policy: TrackerPolicy,
) -> Track:
    return Track(
        track_id=TrackId(derive_id("trk", *where, captured_at, detection)),
        label=batch.labels[detection],
        motion=initial_motion(batch.boxes[detection], policy.noise),
        started_at=captured_at,
        seen_at=captured_at,
        hits=1,
        confirmed=policy.confirm_hits <= 1,
        look=batch.look(detection),
    )


def _predict(track: Track, elapsed_s: float, captured_at: Instant, policy: TrackerPolicy) -> Track:
    """Extrapolate a track by its velocity; a paused one stays at its last estimate."""
    if _is_paused(track, captured_at, policy):
        return track
    return Track(
        track.track_id,
        track.label,
        predict(track.motion, elapsed_s, policy.noise),
        track.started_at,
        track.seen_at,
        track.hits,
        track.confirmed,
        track.look,
    )


def _update(
    track: Track, batch: DetectionBatch, detection: int, captured_at: Instant, policy: TrackerPolicy
) -> Track:
    hits, box = track.hits + 1, batch.boxes[detection]
    paused = _is_paused(track, captured_at, policy)
    # After a pause the old velocity means nothing, so the filter starts over at the new box.
    return Track(
        track.track_id,
        track.label,
        initial_motion(box, policy.noise) if paused else update(track.motion, box, policy.noise),
        track.started_at,
        captured_at,
        hits,
        track.confirmed or hits >= policy.confirm_hits,
        blended(track.look, batch.look(detection), policy.looks.share),
    )


def _is_paused(track: Track, captured_at: Instant, policy: TrackerPolicy) -> bool:
    """Return whether a track has been unseen for longer than its motion can be extrapolated."""
    return seconds_between(track.seen_at, captured_at) > policy.max_gap_s


def _can_pause(track: Track, policy: TrackerPolicy) -> bool:
    """Return whether a track is known well enough to be recognized after a pause."""
    return track.look is not None and track.hits >= policy.looks.least_hits and track.confirmed


def _is_over(track: Track, captured_at: Instant, policy: TrackerPolicy) -> bool:
    allowed_s = policy.max_gap_s if track.confirmed else policy.tentative_gap_s
    if _can_pause(track, policy):
        allowed_s = max(allowed_s, policy.looks.max_pause_s)
    return seconds_between(track.seen_at, captured_at) > allowed_s
