"""Multi-object tracking within one camera, as a pure step from state to state.

Boxes move by a constant-velocity Kalman filter on centre, width and height (Bewley et al., SORT,
2016). Detections are associated in the order of ByteTrack (Zhang et al., 2022): strong ones first,
weak ones only to keep a track alive. Similarity is the IoU of boxes widened by a buffer (Yang et
al., C-BIoU, 2023), since at a few frames a second people move by more than their own width.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from trinetra.values import CameraId, Instant, SiteId, TrackId, derive_id, seconds_between

Array = NDArray[np.float64]
_MOBILITY = np.array([1.0, 1.0, 0.2, 0.2])
"""Places change faster than sizes: standard deviation of the velocities, relative to each other."""
_VEHICLES = frozenset({"bicycle", "car", "motorcycle", "bus", "truck"})


@dataclass(frozen=True, slots=True)
class TrackerPolicy:
    """When tracks begin, join and end. Scores in 0..1; noise relative to the height of the box.

    A detection below its birth score begins no track but keeps one alive. Vehicles seen from above
    score low and have little on a road to be confused with.
    """

    birth_score: float = 0.45
    vehicle_birth_score: float = 0.34
    confirm_hits: int = 2
    max_gap_s: float = 2.0
    tentative_gap_s: float = 0.7
    min_similarity: float = 0.15
    buffers: tuple[float, float] = (0.2, 0.6)
    position_noise: float = 0.05
    velocity_noise: float = 0.35


@dataclass(frozen=True, slots=True)
class Track:
    """One object as it moves through one camera's view.

    ``mean`` is ``(4, 2)``: value and velocity per second of centre x, centre y, width and height.
    ``spread`` is ``(4, 2, 2)``: their covariances, the four being independent.
    """

    track_id: TrackId
    label: str
    mean: Array
    spread: Array
    started_at: Instant
    seen_at: Instant
    hits: int
    confirmed: bool

    @property
    def xyxy(self) -> Array:
        """The box as last estimated, ``(4,)``."""
        return to_xyxy(self.mean[:, 0])


@dataclass(frozen=True, slots=True)
class TrackerState:
    """Everything the tracker remembers of one camera."""

    tracks: tuple[Track, ...] = ()
    stepped_at: Instant | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """The outcome of one frame: the new state, which detection fed which track, who is gone."""

    state: TrackerState
    matched: dict[TrackId, int]
    ended: tuple[Track, ...]


def group_of(label: str) -> str:
    """Return the class group within which a track may change its label."""
    return "vehicle" if label in _VEHICLES else label


def step(
    state: TrackerState,
    xyxy: Array,
    score: Array,
    labels: tuple[str, ...],
    captured_at: Instant,
    *,
    where: tuple[SiteId, CameraId],
    policy: TrackerPolicy,
) -> Step:
    """Return the tracks after one frame with detections ``xyxy (n, 4)`` and ``score (n,)``."""
    elapsed_s = _elapsed(state, captured_at)
    tracks = [_predict(track, elapsed_s, policy) for track in state.tracks]
    boxes = to_cxcywh(xyxy)
    pairs = _associate(tracks, xyxy, score, labels, policy)
    updated = [
        _update(track, boxes[pairs[i]], captured_at, policy) if i in pairs else track
        for i, track in enumerate(tracks)
    ]
    matched = {updated[i].track_id: d for i, d in pairs.items()}
    alive = [t for t in updated if not _is_over(t, captured_at, policy)]
    ended = tuple(t for t in updated if t.confirmed and _is_over(t, captured_at, policy))
    used = set(pairs.values())
    births = [d for d in np.flatnonzero(_strong(score, labels, policy)) if d not in used]
    for d in births:
        born = _begin(boxes[d], labels[d], captured_at, where, int(d), policy)
        matched[born.track_id] = int(d)
        alive.append(born)
    return Step(TrackerState(tuple(alive), captured_at), matched, ended)


def to_cxcywh(xyxy: Array) -> Array:
    """Return boxes ``(..., 4)`` as centre, width and height."""
    low, high = xyxy[..., :2], xyxy[..., 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=-1)


def to_xyxy(cxcywh: Array) -> Array:
    """Return boxes ``(..., 4)`` as corners."""
    centre, half = cxcywh[..., :2], cxcywh[..., 2:] / 2
    return np.concatenate([centre - half, centre + half], axis=-1)


def buffered_iou(a: Array, b: Array, buffer: float) -> Array:
    """Return the ``(n, m)`` IoU of boxes widened by ``buffer`` times their size on each side."""
    a, b = _widen(a, buffer), _widen(b, buffer)
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=-1)
    union = _area(a)[:, None] + _area(b)[None, :] - shared
    return np.asarray(shared / np.maximum(union, 1e-9))


def _widen(xyxy: Array, buffer: float) -> Array:
    margin = (xyxy[:, 2:] - xyxy[:, :2]) * buffer
    return np.concatenate([xyxy[:, :2] - margin, xyxy[:, 2:] + margin], axis=1)


def _area(xyxy: Array) -> Array:
    return np.asarray(np.prod(np.clip(xyxy[:, 2:] - xyxy[:, :2], 0, None), axis=1))


def _elapsed(state: TrackerState, captured_at: Instant) -> float:
    if state.stepped_at is None:
        return 0.0
    return max(0.0, seconds_between(state.stepped_at, captured_at))


def _associate(
    tracks: list[Track],
    xyxy: Array,
    score: Array,
    labels: tuple[str, ...],
    policy: TrackerPolicy,
) -> dict[int, int]:
    """Return track index -> detection index, strong detections first, near ones before far ones."""
    if not tracks or not len(labels):
        return {}
    predicted = np.stack([track.xyxy for track in tracks])
    same_group = np.array(
        [[group_of(t.label) == group_of(label) for label in labels] for t in tracks]
    )
    strong = _strong(score, labels, policy)
    near, far = policy.buffers
    pairs: dict[int, int] = {}
    for buffer, eligible in ((near, strong), (near, ~strong), (far, strong)):
        similarity = buffered_iou(predicted, xyxy, buffer) * same_group * eligible
        similarity[list(pairs), :] = 0
        similarity[:, list(pairs.values())] = 0
        for i, d in zip(*linear_sum_assignment(-similarity), strict=True):
            if similarity[i, d] >= policy.min_similarity:
                pairs[int(i)] = int(d)
    return pairs


def _strong(score: Array, labels: tuple[str, ...], policy: TrackerPolicy) -> NDArray[np.bool_]:
    least = [
        policy.vehicle_birth_score if label in _VEHICLES else policy.birth_score for label in labels
    ]
    return np.asarray(np.asarray(score) >= np.array(least))


def _begin(
    box: Array,
    label: str,
    captured_at: Instant,
    where: tuple[SiteId, CameraId],
    index: int,
    policy: TrackerPolicy,
) -> Track:
    scale = max(float(box[3]), 1.0)
    spread = np.zeros((4, 2, 2))
    spread[:, 0, 0] = (policy.position_noise * scale) ** 2
    spread[:, 1, 1] = (policy.velocity_noise * scale * _MOBILITY) ** 2
    return Track(
        track_id=TrackId(derive_id("trk", *where, captured_at, index)),
        label=label,
        mean=np.stack([box, np.zeros(4)], axis=1),
        spread=spread,
        started_at=captured_at,
        seen_at=captured_at,
        hits=1,
        confirmed=policy.confirm_hits <= 1,
    )


def _predict(track: Track, elapsed_s: float, policy: TrackerPolicy) -> Track:
    """Move a track on by its velocity; process noise is white acceleration."""
    move = np.array([[1.0, elapsed_s], [0.0, 1.0]])
    scale = max(float(track.mean[3, 0]), 1.0)
    noise = (policy.velocity_noise * scale * _MOBILITY) ** 2 * elapsed_s
    spread = move @ track.spread @ move.T
    spread[:, 1, 1] += noise
    spread[:, 0, 0] += noise * elapsed_s**2 / 3
    mean = track.mean @ move.T
    mean[2:, 0] = np.maximum(mean[2:, 0], 1.0)
    return replace(track, mean=mean, spread=spread)


def _update(track: Track, box: Array, captured_at: Instant, policy: TrackerPolicy) -> Track:
    measured = (policy.position_noise * max(float(box[3]), 1.0)) ** 2
    gain = track.spread[:, :, 0] / (track.spread[:, 0, 0] + measured)[:, None]
    mean = track.mean + gain * (box - track.mean[:, 0])[:, None]
    spread = track.spread - gain[:, :, None] * track.spread[:, 0, None, :]
    hits = track.hits + 1
    return replace(
        track,
        mean=mean,
        spread=spread,
        seen_at=captured_at,
        hits=hits,
        confirmed=track.confirmed or hits >= policy.confirm_hits,
    )


def _is_over(track: Track, captured_at: Instant, policy: TrackerPolicy) -> bool:
    allowed_s = policy.max_gap_s if track.confirmed else policy.tentative_gap_s
    return seconds_between(track.seen_at, captured_at) > allowed_s
