"""What the cameras see now: boxes of people and faces by frame, and the tracks in it.

Pure state, fed from the event log. It is bounded: per camera the boxes of the last frames, and only
of cameras that the site has.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from trinetra.errors import MalformedEvent
from trinetra.events.schema import Box, TrackPosition, TracksEvent
from trinetra.values import CameraId, Instant, seconds_between

PERSON = "person"
FRESH_S = 5.0
"""Boxes that arrived longer ago say nothing of now."""
_FRAMES_KEPT = 256
Value = TypeVar("Value")
FrameKey = tuple[int, int]
"""Capture session and number of a frame."""


class _Plate(msgspec.Struct, frozen=True):
    box: Box


class _Object(msgspec.Struct, frozen=True):
    label: str
    box: Box
    plate: _Plate | None = None


class _Face(msgspec.Struct, frozen=True):
    box: Box


class SeenFrame(msgspec.Struct, frozen=True, tag_field="type", tag="detection"):
    """The boxes of a detection event; embeddings, its largest part, are not decoded."""

    camera_id: CameraId
    captured_at: Instant
    frame_seq: int
    frame_width: int
    frame_height: int
    objects: tuple[_Object, ...] = ()
    faces: tuple[_Face, ...] = ()
    session: int = 0

    @property
    def key(self) -> FrameKey:
        """The frame that it describes."""
        return self.session, self.frame_seq

    def people(self) -> Iterator[Box]:
        """Yield the boxes of people."""
        return (seen.box for seen in self.objects if seen.label == PERSON)

    def plates(self) -> Iterator[Box]:
        """Yield the boxes of license plates."""
        return (seen.plate.box for seen in self.objects if seen.plate)


_decoder = msgspec.json.Decoder(SeenFrame)


def decode_boxes(payload: bytes) -> SeenFrame:
    """Return the boxes in a detection event. Raises MalformedEvent."""
    try:
        seen = _decoder.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError) as cause:
        raise MalformedEvent(f"not a detection event: {cause}") from cause
    if seen.captured_at.tzinfo is None:
        raise MalformedEvent("a detection event without UTC offset")
    return seen


@dataclass(frozen=True, slots=True)
class LiveTracks:
    """The tracks of one frame, and when they became known on the monotonic clock."""

    event: TracksEvent
    arrived_s: float

    @property
    def key(self) -> FrameKey:
        """The frame that shows them."""
        return self.event.session or 0, self.event.frame_seq

    @property
    def tracks(self) -> tuple[TrackPosition, ...]:
        """The tracks; none once the camera has been silent."""
        return () if self.event.silent is True else self.event.tracks


@dataclass(slots=True)
class _Camera:
    frames: OrderedDict[FrameKey, SeenFrame] = field(default_factory=OrderedDict)
    tracks: OrderedDict[FrameKey, LiveTracks] = field(default_factory=OrderedDict)
    seen_s: float | None = None
    delay_s: float | None = None


class LiveView:
    """Boxes and tracks of the last frames of each camera."""

    def __init__(self, cameras: Iterable[CameraId]) -> None:
        self._cameras = {camera: _Camera() for camera in cameras}

    def change(self, cameras: Iterable[CameraId]) -> None:
        """Go by other cameras from now on; what is known of those that stay is kept."""
        self._cameras = {camera: self._of(camera) for camera in cameras}

    def see(self, seen: SeenFrame, now_s: float, now: Instant) -> None:
        """Add the boxes of a frame; those of a camera that the site has not are ignored."""
        camera = self._cameras.get(seen.camera_id)
        if camera is not None:
            _keep(camera.frames, seen.key, seen)
            camera.seen_s, camera.delay_s = now_s, seconds_between(seen.captured_at, now)

    def follow(self, event: TracksEvent, now_s: float) -> None:
        """Add the tracks of a frame."""
        camera = self._cameras.get(event.camera_id)
        if camera is not None:
            tracks = LiveTracks(event, now_s)
            _keep(camera.tracks, tracks.key, tracks)

    def forget_tracks(self) -> None:
        """Forget all tracks, which name customers; boxes stay."""
        for camera in self._cameras.values():
            camera.tracks.clear()

    def frame(self, camera_id: CameraId, key: FrameKey) -> SeenFrame | None:
        """Return the boxes in a frame; None while nothing has looked at it."""
        return self._of(camera_id).frames.get(key)

    def around(self, seen: SeenFrame, within_s: float) -> list[SeenFrame]:
        """Return the boxes in a frame and in those captured shortly before or after it.

        A person who is not detected in one frame usually is in the next.
        """
        return [
            other
            for other in self._of(seen.camera_id).frames.values()
            if other.session == seen.session
            and abs(seconds_between(other.captured_at, seen.captured_at)) <= within_s
        ]

    def tracks(self, camera_id: CameraId, key: FrameKey) -> LiveTracks | None:
        """Return the tracks in a frame; None while they are not known."""
        return self._of(camera_id).tracks.get(key)

    def latest_tracks(self, camera_id: CameraId, now_s: float) -> LiveTracks | None:
        """Return a camera's last tracks; None if they are not of now."""
        last = next(reversed(self._of(camera_id).tracks.values()), None)
        return last if last and now_s - last.arrived_s <= FRESH_S else None

    def people(self, camera_id: CameraId, now_s: float) -> int | None:
        """Return how many people are in view; None if that is not known."""
        last = self.latest_tracks(camera_id, now_s)
        return sum(t.label == PERSON for t in last.tracks) if last else None

    def delay_s(self, camera_id: CameraId, now_s: float) -> float | None:
        """Return the time from a camera's last frame to its boxes; None if it is not of now."""
        camera = self._of(camera_id)
        is_fresh = camera.seen_s is not None and now_s - camera.seen_s <= FRESH_S
        return camera.delay_s if is_fresh else None

    def _of(self, camera_id: CameraId) -> _Camera:
        """Return a camera; one that the site has no more may still be asked for by a viewer."""
        return self._cameras.get(camera_id) or _Camera()


def _keep(kept: OrderedDict[FrameKey, Value], key: FrameKey, value: Value) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > _FRAMES_KEPT:
        kept.popitem(last=False)
