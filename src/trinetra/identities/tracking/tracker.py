"""Multi-object tracking within one camera, as a pure step from state to state.

Detections are associated by place and motion first, and by looks where places compete
(``association``). A track that would have to switch to a person who looks different pauses instead,
and the other person gets a new track; a paused track is resumed only unambiguously (``returns``).
Two tracks of one person can be joined by identity later; one track of two people cannot be taken
apart.
"""

from collections.abc import Iterable, Sequence

import msgspec

from trinetra.identities.tracking.appearance import (
    adapted_unit,
    blended,
    blended_body,
    difference,
)
from trinetra.identities.tracking.association import Frame, associate
from trinetra.identities.tracking.boxes import are_disjoint, covered_share, lies_at
from trinetra.identities.tracking.kalman import initial_motion, predict, slowed, update
from trinetra.identities.tracking.policy import TrackerPolicy
from trinetra.identities.tracking.returns import can_return, returned, stood_still
from trinetra.identities.tracking.tracks import (
    DetectionBatch,
    Step,
    Track,
    TrackerState,
    best_plates,
    group_of,
    is_paused,
)
from trinetra.values import CameraId, Instant, SiteId, TrackId, derive_id, seconds_between

_STEADINESS_SHARE = 0.1
"""Weight of one detection in a track's running share of strong ones."""


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
    tracks = [_predict(track, elapsed_s, state, captured_at, policy) for track in state.tracks]
    strong = batch.strong(policy)
    frame = Frame(tracks, batch, strong, captured_at, policy, state.stripes_unit)
    pairs = associate(frame)
    pairs |= stood_still(state, frame, pairs)
    pairs |= returned(frame, pairs)
    updated = [
        _update(track, frame, pairs[i]) if i in pairs else track for i, track in enumerate(tracks)
    ]
    matched = {tracks[i].track_id: d for i, d in pairs.items()}
    alive = [track for track in updated if not _is_over(track, captured_at, policy)]
    ended = tuple(
        track for track in updated if track.confirmed and _is_over(track, captured_at, policy)
    )
    for d in sorted(frame.free(pairs)):
        if not _doubles_a_track(frame, d, alive, pairs.values()):
            born = _begin(frame, d, where)
            matched[born.track_id] = d
            alive.append(born)
    interval_s = state.interval_s if state.stepped_at is None else elapsed_s
    unit = _learned_unit(frame, pairs)
    return Step(
        TrackerState(tuple(alive), captured_at, interval_s, unit),
        matched,
        ended,
        frozenset(tracks[i].track_id for i, d in pairs.items() if d not in strong),
    )


def _elapsed(state: TrackerState, captured_at: Instant) -> float:
    if state.stepped_at is None:
        return 0.0
    return max(0.0, seconds_between(state.stepped_at, captured_at))


def _interval_s(state: TrackerState, elapsed_s: float) -> float:
    """Return the camera's interval between frames: the shorter one of the last two.

    A single long interval may be an outage, during which people moved on.
    """
    return elapsed_s if state.interval_s is None else min(state.interval_s, elapsed_s)


def _doubles_a_track(
    frame: Frame, detection: int, alive: Sequence[Track], matched: Iterable[int]
) -> bool:
    """Return whether a detection shows a person that another track already has in this frame.

    Either a part of the person was detected beside the whole, or a face alone lies where a person
    is tracked whose body the detector missed, and which it fits badly.
    """
    batch, policy = frame.batch, frame.policy
    group, box = group_of(batch.labels[detection]), batch.boxes[detection]
    if any(
        group_of(batch.labels[d]) == group
        and covered_share(box, batch.boxes[d]) >= policy.doubles_at
        for d in matched
    ):
        return True
    face = batch.faces[detection] if detection in batch.face_only else None
    return face is not None and any(
        group_of(track.label) == group
        and not is_paused(track, frame.captured_at, policy)
        and lies_at(face.box, track.xyxy)
        for track in alive
    )


def _begin(frame: Frame, detection: int, where: tuple[SiteId, CameraId]) -> Track:
    batch, at = frame.batch, frame.captured_at
    return Track(
        track_id=TrackId(derive_id("trk", *where, at, detection)),
        label=batch.labels[detection],
        motion=initial_motion(batch.boxes[detection], frame.policy.noise),
        started_at=at,
        seen_at=at,
        hits=1,
        confirmed=frame.policy.confirm_hits <= 1,
        look=batch.look(detection),
        body=batch.body(detection),
        plates=batch.plate(detection),
    )


def _predict(
    track: Track,
    elapsed_s: float,
    state: TrackerState,
    captured_at: Instant,
    policy: TrackerPolicy,
) -> Track:
    """Extrapolate a track by its velocity; a paused one stays at its last estimate.

    An unseen track slows down: people stop behind things, and nothing corrects its velocity.
    """
    if is_paused(track, captured_at, policy):
        return track
    motion = track.motion
    if track.seen_at != state.stepped_at:
        motion = slowed(motion, elapsed_s / policy.coast_s)
    return msgspec.structs.replace(track, motion=predict(motion, elapsed_s, policy.noise))


def _update(track: Track, frame: Frame, detection: int) -> Track:
    batch, policy, box = frame.batch, frame.policy, frame.batch.boxes[detection]
    is_strong = detection in frame.strong
    hits = track.hits + is_strong
    # After a pause the old velocity means nothing, so the filter starts over at the new box.
    paused = is_paused(track, frame.captured_at, policy)
    look, body = track.look, track.body
    if is_strong:
        look = blended(look, batch.look(detection), policy.looks.stripes_share)
        body = blended_body(body, batch.body(detection), policy.looks.share)
    return Track(
        track.track_id,
        track.label,
        initial_motion(box, policy.noise) if paused else update(track.motion, box, policy.noise),
        track.started_at,
        frame.captured_at,
        hits,
        track.confirmed or hits >= policy.confirm_hits,
        look,
        body,
        track.steadiness + _STEADINESS_SHARE * (is_strong - track.steadiness),
        best_plates((*track.plates, *batch.plate(detection))),
    )


def _is_over(track: Track, captured_at: Instant, policy: TrackerPolicy) -> bool:
    allowed_s = policy.max_gap_s if track.confirmed else policy.tentative_gap_s
    if can_return(track, policy):
        allowed_s = max(allowed_s, policy.returns.max_pause_s)
    return track.unseen_s(captured_at) > allowed_s


def _learned_unit(frame: Frame, pairs: dict[int, int]) -> float:
    """Return the camera's unit of stripes, adapted by the people who stand alone in this frame."""
    unit, boxes = frame.stripes_unit, frame.batch.boxes
    for i, d in pairs.items():
        track = frame.tracks[i]
        stands_alone = all(are_disjoint(boxes[d], box) for e, box in enumerate(boxes) if e != d)
        if stands_alone and track.confirmed and d in frame.strong:
            differs = difference(track.look, frame.batch.look(d))
            unit = unit if differs is None else adapted_unit(unit, differs)
    return unit
