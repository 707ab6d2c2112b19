"""Tracks and detections of one camera, as the tracker takes and returns them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from trinetra.events.schema import Box, FaceBox, PlateReading
from trinetra.identities.tracking.appearance import Body, Look
from trinetra.identities.tracking.kalman import Motion, box_of
from trinetra.identities.tracking.policy import TrackerPolicy
from trinetra.values import Instant, TrackId, seconds_between

_VEHICLES = frozenset({"bicycle", "car", "motorcycle", "bus", "truck"})
_BEST_PLATES = 8


class Track(msgspec.Struct, frozen=True, array_like=True):
    """One object as it moves through one camera's view.

    ``hits`` counts strong detections; ``steadiness`` is their running share of all detections, 1
    at the start. ``plates`` are the surest readings of a vehicle's plate. Fields are stored by
    position in snapshots: add new ones at the end.
    """

    track_id: TrackId
    label: str
    motion: Motion
    started_at: Instant
    seen_at: Instant
    hits: int
    confirmed: bool
    look: Look | None = None
    body: Body | None = None
    steadiness: float = 1.0
    plates: tuple[PlateReading, ...] = ()

    @property
    def xyxy(self) -> Box:
        """The box as estimated last, in pixels."""
        return box_of(self.motion)

    def unseen_s(self, at: Instant) -> float:
        """Return the time since the track was last seen; 0 for a frame from before that."""
        return max(0.0, seconds_between(self.seen_at, at))


@dataclass(frozen=True, slots=True)
class TrackerState:
    """The tracker's complete state of one camera.

    ``interval_s`` is the time between its last two frames. ``stripes_unit`` is the median
    difference of a person's stripes from frame to frame, as learned from people who stood alone.
    """

    tracks: tuple[Track, ...] = ()
    stepped_at: Instant | None = None
    interval_s: float | None = None
    stripes_unit: float = 1.0


@dataclass(frozen=True, slots=True)
class Step:
    """Result of one frame: the new state, the detection of each track, and ended tracks.

    ``weak`` are the matched tracks whose detection was too weak to be published as seen.
    """

    state: TrackerState
    matched: dict[TrackId, int]
    ended: tuple[Track, ...]
    weak: frozenset[TrackId] = frozenset()


@dataclass(frozen=True, slots=True)
class DetectionBatch:
    """The detections of one frame, struct-of-arrays; what is unknown of one is None.

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
    bodies: Sequence[Body | None] = ()
    plates: Sequence[PlateReading | None] = ()

    def strong(self, policy: TrackerPolicy) -> set[int]:
        """Return the indices of detections that may start a track."""
        return {
            d
            for d, (score, label) in enumerate(zip(self.scores, self.labels, strict=True))
            if score >= (policy.vehicle_birth_score if label in _VEHICLES else policy.birth_score)
        }

    def look(self, detection: int) -> Look | None:
        """Return the clothing of a detection, or None if it is unknown."""
        return self.looks[detection] if self.looks else None

    def body(self, detection: int) -> Body | None:
        """Return the body embedding of a detection, or None if it has none."""
        return self.bodies[detection] if self.bodies else None

    def plate(self, detection: int) -> tuple[PlateReading, ...]:
        """Return the reading of a detection's plate, if it has one."""
        read = self.plates[detection] if self.plates else None
        return () if read is None else (read,)


def best_plates(readings: Sequence[PlateReading]) -> tuple[PlateReading, ...]:
    """Return the surest readings, which bound the state of a vehicle that parks for hours."""
    return tuple(sorted(readings, key=lambda read: -read.confidence)[:_BEST_PLATES])


def group_of(label: str) -> str:
    """Return the class group within which a track may change its label."""
    return "vehicle" if label in _VEHICLES else label


def is_paused(track: Track, at: Instant, policy: TrackerPolicy) -> bool:
    """Return whether a track has been unseen for longer than its motion can be extrapolated."""
    return track.unseen_s(at) > policy.max_gap_s
