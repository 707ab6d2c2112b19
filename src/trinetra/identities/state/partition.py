"""In-memory state of one partition of detections, and the changes that are not yet snapshotted.

A partition is owned as a whole: the tracks of its cameras, the bodies of the customers they saw,
and its outbox of gallery entries, are restored, committed and dropped together.
"""

import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import is_
from typing import TypeVar

from trinetra.events.schema import DetectionEvent
from trinetra.identities.decision.body_link import BodyBook, KnownBody
from trinetra.identities.decision.matching import ERASED, Decision
from trinetra.identities.decision.track_identity import (
    Arrival,
    CameraState,
    EnrolledShots,
    TrackIdentity,
    end_all,
)
from trinetra.identities.state.snapshot import (
    Restored,
    encode_body,
    encode_camera,
    encode_entry,
    encode_track,
)
from trinetra.identities.tracking.reorder_buffer import ReorderWindow
from trinetra.identities.tracking.track_faces import Shot
from trinetra.values import CameraId, CustomerId, GalleryEntry, Instant, TrackId

_Mark = tuple[Decision | None, int, bool, int, int, Instant | None, EnrolledShots | None]


@dataclass(frozen=True, slots=True)
class _Written:
    """A track as it was last written to a snapshot."""

    shots: tuple[tuple[Shot, ...], ...]
    mark: _Mark

    @classmethod
    def of(cls, identity: TrackIdentity) -> "_Written":
        mark = (
            identity.decision,
            identity.asked_at,
            identity.gallery_missed,
            len(identity.alerted),
            identity.segment,
            identity.since,
            identity.enrolled,
        )
        return cls(tuple(group.shots for group in identity.evidence.groups), mark)

    def is_current(self, identity: TrackIdentity) -> bool:
        """Return whether the track is unchanged.

        Shots are compared by object identity, which is cheap: they change only by being replaced.
        """
        now = _Written.of(identity)
        same_faces = len(self.shots) == len(now.shots) and all(map(is_, self.shots, now.shots))
        return same_faces and self.mark == now.mark


_BLANK: _Mark = (None, 0, False, 0, 0, None, None)


@dataclass(slots=True)
class PartitionState:
    """One partition's cameras and outbox; ``number`` is that of the assignment.

    ``read_to`` is the offset after the last record read, ``committed`` the one last committed;
    None before the first record.
    """

    number: int
    cameras: dict[CameraId, CameraState] = field(default_factory=dict)
    outbox: dict[str, GalleryEntry] = field(default_factory=dict)
    bodies: BodyBook = field(default_factory=BodyBook)
    read_to: int | None = None
    committed: int | None = None
    changed: set[CameraId] = field(default_factory=set)
    _tracks: dict[CameraId, dict[TrackId, _Written]] = field(default_factory=dict)
    _entries: dict[str, GalleryEntry] = field(default_factory=dict)
    _bodies: dict[str, KnownBody] = field(default_factory=dict)
    _stale: set[str] = field(default_factory=set)
    _forgot: bool = False
    _erased_tracks: list[tuple[CameraState, TrackIdentity]] = field(default_factory=list)

    @classmethod
    def restored(cls, number: int, values: Mapping[str, bytes], what: Restored) -> "PartitionState":
        """Return the state restored from ``values``; keys that were not used will be deleted."""
        state = cls(number, what.cameras, dict(what.entries), _entries=dict(what.entries))
        for body in sorted(what.bodies, key=lambda known: known.body.last_at):
            state.bodies.known[body.customer_id, body.camera_id] = body
        state._bodies = state._keyed_bodies()
        known = {_entry_key(name) for name in what.entries} | set(state._bodies)
        for camera in what.cameras.values():
            known.add(_camera_key(camera.camera_id))
            written = {
                track_id: _Written.of(identity)
                for track_id, identity in camera.identities.items()
                if _track_key(track_id) in values
            }
            state._tracks[camera.camera_id] = written
            known |= {_track_key(track_id) for track_id in written}
        state._stale = set(values) - known
        return state

    def camera(self, camera_id: CameraId, window: tuple[int, float]) -> CameraState:
        """Return a camera's state, created at its first event."""
        known = self.cameras.get(camera_id)
        if known is None:
            known = CameraState(camera_id, ReorderWindow[Arrival](*window))
            self.cameras[camera_id] = known
        return known

    @property
    def next_offset(self) -> int | None:
        """The offset to commit: the first record that is held back or not read.

        That record must be delivered again after a crash, because the snapshot leaves out the
        reorder window. None before the first record was read.
        """
        if self.read_to is None:
            return None
        held = [a.offset for camera in self.cameras.values() for a in camera.window.pending()]
        return min([*held, self.read_to])

    @property
    def uncommitted(self) -> int:
        """Number of records that were read but not committed."""
        return (self.read_to or 0) - (self.committed or 0)

    @property
    def has_news(self) -> bool:
        """True if there is something to commit: an offset, or state not caused by a record."""
        return (
            self.next_offset != self.committed
            or bool(self._stale)
            or self._forgot
            or self.outbox.keys() != self._entries.keys()
        )

    @property
    def forgets(self) -> bool:
        """True if data was erased here that the last snapshot may still contain."""
        return self._forgot

    def note_committed(self, next_offset: int | None) -> None:
        """Record that this offset was committed, together with the present state."""
        self.committed, self._forgot = next_offset, False

    def advance_to(self, offset: int) -> None:
        """Record that the record at this offset was read."""
        if self.committed is None:
            self.committed = offset
        self.read_to = offset + 1

    def take_changes(self, model: str) -> dict[str, bytes | None]:
        """Return the changed values since the last call, by key; None deletes a key."""
        changes: dict[str, bytes | None] = dict.fromkeys(sorted(self._stale))
        for camera_id in sorted(self.changed):
            camera = self.cameras[camera_id]
            changes[_camera_key(camera_id)] = encode_camera(camera)
            changes |= self._changed_tracks(camera, model)
        changes |= self._changed_entries(model) | self._changed_bodies()
        self._stale, self.changed = set(), set()
        return changes

    def end_tracks(self, camera: CameraState) -> tuple[TrackIdentity, ...]:
        """Drop a camera's tracks, here and from the snapshot; return the confirmed ones."""
        self.changed.add(camera.camera_id)
        self._forgot = True
        return end_all(camera)

    def forget(self, is_erased: Callable[[CustomerId], bool]) -> tuple[int, int]:
        """Drop faces and bodies of erased customers; return the numbers of tracks and faces."""
        waiting, tracks = drop(self.outbox, is_erased), 0
        bodies = self.bodies.forget(is_erased)
        for camera in self.cameras.values():
            for identity in camera.identities.values():
                if identity.is_of(is_erased):
                    identity.leave_out(ERASED)
                    self.changed.add(camera.camera_id)
                    self._erased_tracks.append((camera, identity))
                    tracks += 1
            camera.drop_left_out_bodies()
        self._forgot |= bool(tracks or waiting or bodies)
        return tracks, waiting

    def take_erased(self) -> list[tuple[CameraState, TrackIdentity]]:
        """Return the tracks whose customers were erased since the last call."""
        left_out, self._erased_tracks = self._erased_tracks, []
        return left_out

    def _changed_tracks(self, camera: CameraState, model: str) -> dict[str, bytes | None]:
        before = self._tracks.get(camera.camera_id, {})
        now: dict[TrackId, _Written] = {}
        changes: dict[str, bytes | None] = {}
        for track_id, identity in camera.identities.items():
            written = before.get(track_id)
            if written is None and not _has_evidence(identity):
                continue
            if written is None or not written.is_current(identity):
                written = _Written.of(identity)
                changes[_track_key(track_id)] = encode_track(identity, model)
            now[track_id] = written
        changes |= {_track_key(track_id): None for track_id in before.keys() - now.keys()}
        self._tracks[camera.camera_id] = now
        return changes

    def _changed_bodies(self) -> dict[str, bytes | None]:
        now = self._keyed_bodies()
        changes: dict[str, bytes | None] = {
            key: encode_body(known)
            for key, known in now.items()
            if self._bodies.get(key) is not known
        }
        changes |= dict.fromkeys(self._bodies.keys() - now.keys())
        self._bodies = now
        return changes

    def _keyed_bodies(self) -> dict[str, KnownBody]:
        return {_body_key(*key): known for key, known in self.bodies.known.items()}

    def _changed_entries(self, model: str) -> dict[str, bytes | None]:
        changes: dict[str, bytes | None] = {
            _entry_key(name): encode_entry(entry, model)
            for name, entry in self.outbox.items()
            if self._entries.get(name) is not entry
        }
        changes |= {_entry_key(name): None for name in self._entries.keys() - self.outbox.keys()}
        self._entries = dict(self.outbox)
        return changes


def drop(outbox: dict[str, GalleryEntry], is_removed: Callable[[CustomerId], bool]) -> int:
    """Remove some customers' entries before they reach the gallery; return their number."""
    removed = [name for name, entry in outbox.items() if is_removed(entry.customer_id)]
    for name in removed:
        del outbox[name]
    return len(removed)


Home = TypeVar("Home")


def released(
    held: Mapping[Home, PartitionState], gives_up: Callable[[CameraState], bool]
) -> Iterator[tuple[Home, CameraState, DetectionEvent]]:
    """Yield the events that are ready, merged over all cameras in the order of capture.

    A camera that ``gives_up`` waits no longer for missing frames.
    """
    turns = [
        [
            (slot.captured_at, home, camera, slot.item.event)
            for slot in camera.window.release(everything=gives_up(camera))
        ]
        for home, state in held.items()
        for camera in state.cameras.values()
    ]
    for _, home, camera, event in heapq.merge(*turns, key=lambda row: row[0]):
        yield home, camera, event


def _has_evidence(identity: TrackIdentity) -> bool:
    return bool(identity.evidence.shots) or _Written.of(identity).mark != _BLANK


def _camera_key(camera_id: CameraId) -> str:
    return f"camera/{camera_id}"


def _track_key(track_id: TrackId) -> str:
    return f"track/{track_id}"


def _body_key(customer_id: CustomerId, camera_id: CameraId) -> str:
    return f"body/{camera_id}/{customer_id}"


def _entry_key(entry_id: str) -> str:
    return f"entry/{entry_id}"
