"""Multi-object tracking within one camera, as a pure step from state to state.

Boxes move by a constant-velocity Kalman filter on centre, width and height (Bewley et al., SORT,
2016). Detections are associated in the order of ByteTrack (Zhang et al., 2022): strong ones first,
weak ones only to keep a track alive. Similarity is the IoU of boxes widened by a buffer (Yang et
al., C-BIoU, 2023), since at a few frames a second people move by more than their own width.

All is done in plain numbers: a view shows a handful of objects, and NumPy's overhead per call would
be several times what the arithmetic takes.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import msgspec

from trinetra.events.schema import Box
from trinetra.identities.assignment import best_pairs
from trinetra.values import CameraId, Instant, SiteId, TrackId, derive_id, seconds_between

_SIZE_MOBILITY = 0.2
"""Sizes change slower than places: ratio of the standard deviations of their velocities."""
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


class Axis(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One coordinate as the filter knows it: value, velocity per second, and their covariances."""

    value: float
    velocity: float
    value_var: float
    covariance: float
    velocity_var: float


Motion = tuple[Axis, Axis, Axis, Axis]
"""Centre x, centre y, width and height, taken as independent of each other."""


class Track(msgspec.Struct, frozen=True, array_like=True):
    """One object as it moves through one camera's view."""

    track_id: TrackId
    label: str
    motion: Motion
    started_at: Instant
    seen_at: Instant
    hits: int
    confirmed: bool

    @property
    def xyxy(self) -> Box:
        """The box as last estimated."""
        x, y, w, h = self.motion
        half_w, half_h = w.value / 2, h.value / 2
        return x.value - half_w, y.value - half_h, x.value + half_w, y.value + half_h


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


@dataclass(frozen=True, slots=True)
class Sightings:
    """The detections of one frame, struct-of-arrays."""

    boxes: Sequence[Box]
    scores: Sequence[float]
    labels: Sequence[str]

    def strong(self, policy: TrackerPolicy) -> set[int]:
        """Return which of them may begin a track."""
        return {
            d
            for d, (score, label) in enumerate(zip(self.scores, self.labels, strict=True))
            if score >= _birth_score(label, policy)
        }


def group_of(label: str) -> str:
    """Return the class group within which a track may change its label."""
    return "vehicle" if label in _VEHICLES else label


def step(
    state: TrackerState,
    seen: Sightings,
    captured_at: Instant,
    *,
    where: tuple[SiteId, CameraId],
    policy: TrackerPolicy,
) -> Step:
    """Return the tracks after one frame."""
    elapsed_s = _elapsed(state, captured_at)
    strong = seen.strong(policy)
    tracks = [_predict(track, elapsed_s, policy) for track in state.tracks]
    pairs = _associate(tracks, seen, strong, policy)
    matched: dict[TrackId, int] = {}
    alive: list[Track] = []
    ended: list[Track] = []
    for i, predicted in enumerate(tracks):
        track = predicted
        if i in pairs:
            matched[track.track_id] = pairs[i]
            track = _update(track, seen.boxes[pairs[i]], captured_at, policy)
        if not _is_over(track, captured_at, policy):
            alive.append(track)
        elif track.confirmed:
            ended.append(track)
    for d in sorted(strong.difference(pairs.values())):
        born = _begin(seen.boxes[d], seen.labels[d], captured_at, where, d, policy)
        matched[born.track_id] = d
        alive.append(born)
    return Step(TrackerState(tuple(alive), captured_at), matched, tuple(ended))


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


def _apart(a: Box, b: Box) -> bool:
    """Return whether two boxes share nothing: so it is with most pairs, and this is quick."""
    return a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def _area(box: Box) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def _elapsed(state: TrackerState, captured_at: Instant) -> float:
    if state.stepped_at is None:
        return 0.0
    return max(0.0, seconds_between(state.stepped_at, captured_at))


def _associate(
    tracks: Sequence[Track], seen: Sightings, strong: set[int], policy: TrackerPolicy
) -> dict[int, int]:
    """Return track index -> detection index, strong detections first, near ones before far ones."""
    near, far = policy.buffers
    weak = set(range(len(seen.boxes))) - strong
    pairs: dict[int, int] = {}
    for buffer, eligible in ((near, strong), (near, weak), (far, strong)):
        left = [i for i in range(len(tracks)) if i not in pairs]
        free = eligible.difference(pairs.values())
        if left and free:
            similarity = _similarity(tracks, left, seen, free, buffer)
            best = best_pairs(similarity).items()
            pairs |= {i: d for i, d in best if similarity[i, d] >= policy.min_similarity}
    return pairs


def _similarity(
    tracks: Sequence[Track],
    rows: Sequence[int],
    seen: Sightings,
    columns: Collection[int],
    buffer: float,
) -> dict[tuple[int, int], float]:
    """Return the similarity of every pair of a kind that is not wholly apart."""
    detections = [(d, group_of(seen.labels[d]), widened(seen.boxes[d], buffer)) for d in columns]
    found = {}
    for i in rows:
        group, box = group_of(tracks[i].label), widened(tracks[i].xyxy, buffer)
        for d, its_group, its_box in detections:
            if group == its_group and not _apart(box, its_box):
                found[i, d] = iou(box, its_box)
    return found


def _birth_score(label: str, policy: TrackerPolicy) -> float:
    return policy.vehicle_birth_score if label in _VEHICLES else policy.birth_score


def _begin(
    box: Box,
    label: str,
    captured_at: Instant,
    where: tuple[SiteId, CameraId],
    index: int,
    policy: TrackerPolicy,
) -> Track:
    x, y, w, h = _measured(box)
    scale = max(h, 1.0)
    position_var = _square(policy.position_noise * scale)
    place_var = _square(policy.velocity_noise * scale)
    size_var = _square(policy.velocity_noise * scale * _SIZE_MOBILITY)
    return Track(
        track_id=TrackId(derive_id("trk", *where, captured_at, index)),
        label=label,
        motion=(
            Axis(x, 0.0, position_var, 0.0, place_var),
            Axis(y, 0.0, position_var, 0.0, place_var),
            Axis(w, 0.0, position_var, 0.0, size_var),
            Axis(h, 0.0, position_var, 0.0, size_var),
        ),
        started_at=captured_at,
        seen_at=captured_at,
        hits=1,
        confirmed=policy.confirm_hits <= 1,
    )


def _measured(box: Box) -> tuple[float, float, float, float]:
    """Return a box as centre, width and height."""
    x1, y1, x2, y2 = box
    return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1


def _predict(track: Track, elapsed_s: float, policy: TrackerPolicy) -> Track:
    """Move a track on by its velocity; process noise is white acceleration."""
    x, y, w, h = track.motion
    drift = policy.velocity_noise * max(h.value, 1.0)
    place_noise = _square(drift) * elapsed_s
    size_noise = _square(drift * _SIZE_MOBILITY) * elapsed_s
    motion = (
        _moved(x, elapsed_s, place_noise),
        _moved(y, elapsed_s, place_noise),
        _at_least_one(_moved(w, elapsed_s, size_noise)),
        _at_least_one(_moved(h, elapsed_s, size_noise)),
    )
    return _with_motion(track, motion)


def _square(value: float) -> float:
    return value * value


def _moved(axis: Axis, elapsed_s: float, noise: float) -> Axis:
    covariance = axis.covariance + elapsed_s * axis.velocity_var
    spread = axis.value_var + elapsed_s * axis.covariance + elapsed_s * covariance
    return Axis(
        axis.value + axis.velocity * elapsed_s,
        axis.velocity,
        spread + noise * elapsed_s * elapsed_s / 3,
        covariance,
        axis.velocity_var + noise,
    )


def _at_least_one(size: Axis) -> Axis:
    """Return a size of one pixel or more."""
    return size if size.value >= 1.0 else msgspec.structs.replace(size, value=1.0)


def _with_motion(track: Track, motion: Motion) -> Track:
    return Track(
        track.track_id,
        track.label,
        motion,
        track.started_at,
        track.seen_at,
        track.hits,
        track.confirmed,
    )


def _update(track: Track, box: Box, captured_at: Instant, policy: TrackerPolicy) -> Track:
    measured = _measured(box)
    noise = _square(policy.position_noise * max(measured[3], 1.0))
    x, y, w, h = track.motion
    hits = track.hits + 1
    return Track(
        track.track_id,
        track.label,
        (
            _corrected(x, measured[0], noise),
            _corrected(y, measured[1], noise),
            _corrected(w, measured[2], noise),
            _corrected(h, measured[3], noise),
        ),
        track.started_at,
        captured_at,
        hits,
        track.confirmed or hits >= policy.confirm_hits,
    )


def _corrected(axis: Axis, measured: float, noise: float) -> Axis:
    total = axis.value_var + noise
    gain, velocity_gain = axis.value_var / total, axis.covariance / total
    surprise = measured - axis.value
    return Axis(
        axis.value + gain * surprise,
        axis.velocity + velocity_gain * surprise,
        axis.value_var - gain * axis.value_var,
        axis.covariance - gain * axis.covariance,
        axis.velocity_var - velocity_gain * axis.covariance,
    )


def _is_over(track: Track, captured_at: Instant, policy: TrackerPolicy) -> bool:
    allowed_s = policy.max_gap_s if track.confirmed else policy.tentative_gap_s
    return seconds_between(track.seen_at, captured_at) > allowed_s
