"""Snapshots of a resolver's state: one value per camera, open track, outbox entry and known body.

Every commit includes a snapshot, so it is split into pieces and only changed ones are written: a
camera with the motion of its tracks at every frame, a few hundred bytes each, and 1,100 more of a
track whose body is known; a track's best faces, 8 KB, only when a better one was seen; the body of
an identified customer, 700 bytes, with every picture of it. Nothing is rounded: a resolver that
continues from a snapshot decides exactly as one that never stopped. Embeddings stay the float16
values they arrived as.

Events in a reorder window are not part of it: their offsets are not committed, so they are
delivered again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np

from trinetra.errors import MalformedEvent, MalformedState
from trinetra.events.codec import unpack_embedding
from trinetra.identities.decision.body_link import BodyMean, KnownBody
from trinetra.identities.decision.matching import Decision
from trinetra.identities.decision.track_identity import (
    Arrival,
    CameraState,
    EnrolledShots,
    FrameHeader,
    TrackIdentity,
)
from trinetra.identities.tracking.life_signs import LifeSigns
from trinetra.identities.tracking.reorder_buffer import ReorderWindow
from trinetra.identities.tracking.track_faces import FaceGroup, Shot, TrackFaces, fuse
from trinetra.identities.tracking.tracks import Track, TrackerState
from trinetra.values import CameraId, CustomerId, GalleryEntry, IdentityKind, Instant, TrackId

VERSION = 2
"""The first byte of every value; values of other versions are rejected."""


class _Piece(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """One value, as MessagePack.

    Fields are stored by position and the type by class name: reordering fields or renaming a
    subclass breaks existing snapshots.
    """


class _GroupRow(msgspec.Struct, frozen=True, array_like=True):
    usable: int
    first_at: Instant
    last_at: Instant
    lead: int
    lead_since: Instant | None


class _TrackRow(msgspec.Struct, frozen=True, array_like=True):
    track: Track
    faces_seen: int
    best_face_px: float
    unusable: dict[str, int]
    groups: list[_GroupRow]
    segment: int
    since: Instant | None
    life: LifeSigns | None = None
    body: BodyMean | None = None


class _Camera(_Piece, frozen=True):
    camera_id: CameraId
    last_seq: int | None
    last: FrameHeader | None
    stepped_at: Instant | None
    rows: list[_TrackRow]
    interval_s: float | None = None
    session: int = 0
    earlier: dict[int, int] = {}
    stripes_unit: float = 1.0


class _Shot(msgspec.Struct, frozen=True, array_like=True):
    packed: bytes
    quality: float
    size_px: float
    captured_at: Instant


class _Track(_Piece, frozen=True):
    track_id: TrackId
    model: str
    groups: list[list[_Shot]]
    decision: Decision | None
    asked_at: int
    gallery_missed: bool
    alerted: list[CustomerId]
    segment: int
    since: Instant | None
    enrolled: EnrolledShots | None = None


class _Entry(_Piece, frozen=True):
    model: str
    entry_id: str
    customer_id: CustomerId
    kind: IdentityKind
    embedding: bytes
    quality: float
    first_seen: Instant
    last_seen: Instant
    expires_at: Instant | None
    consent: bool


class _Body(_Piece, frozen=True):
    known: KnownBody


_AnyPiece = _Camera | _Track | _Entry | _Body
_WRITTEN_WITHOUT_LIFE = LifeSigns(has_body=True, has_moved=True)
"""State without these signs is older: the track was told as a person, and must be ended as one."""
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[_AnyPiece] = msgspec.msgpack.Decoder(_AnyPiece)


def encode_camera(camera: CameraState) -> bytes:
    """Encode a camera's reorder position, tracker and face counts."""
    rows = []
    for track in camera.tracker.tracks:
        identity = camera.identities.get(track.track_id)
        seen = identity.evidence if identity else TrackFaces()
        groups = [
            _GroupRow(g.usable, g.first_at, g.last_at, g.lead, g.lead_since) for g in seen.groups
        ]
        counts = (seen.faces_seen, seen.best_face_px, dict(seen.unusable), groups)
        life, body = (identity.life, identity.body) if identity else (None, None)
        rows.append(_TrackRow(track, *counts, seen.segment, seen.since, life, body))
    state = _Camera(
        camera.camera_id,
        camera.window.last_seq,
        camera.last,
        camera.tracker.stepped_at,
        rows,
        camera.tracker.interval_s,
        camera.window.session,
        camera.window.earlier,
        camera.tracker.stripes_unit,
    )
    return _encode(state)


def encode_track(identity: TrackIdentity, model: str) -> bytes:
    """Encode a track's best faces, embedded by ``model``, and its decision."""
    return _encode(
        _Track(
            identity.track_id,
            model,
            [
                [_Shot(s.packed, s.quality, s.size_px, s.captured_at) for s in group.shots]
                for group in identity.evidence.groups
            ],
            identity.decision,
            identity.asked_at,
            identity.gallery_missed,
            sorted(identity.alerted),
            identity.segment,
            identity.since,
            identity.enrolled,
        )
    )


def encode_entry(entry: GalleryEntry, model: str) -> bytes:
    """Encode an outbox entry that the gallery of ``model`` does not have yet."""
    return _encode(
        _Entry(
            model,
            entry.entry_id,
            entry.customer_id,
            entry.kind,
            entry.embedding.astype("<f4").tobytes(),
            entry.quality,
            entry.first_seen,
            entry.last_seen,
            entry.expires_at,
            entry.consent,
        )
    )


def encode_body(known: KnownBody) -> bytes:
    """Encode the body of a customer whose visit goes on."""
    return _encode(_Body(known))


def _encode(piece: _AnyPiece) -> bytes:
    return bytes([VERSION]) + _encoder.encode(piece)


@dataclass(slots=True)
class Restored:
    """The readable part of a partition's values; ``faults`` has a line for each unreadable one."""

    cameras: dict[CameraId, CameraState] = field(default_factory=dict)
    entries: dict[str, GalleryEntry] = field(default_factory=dict)
    bodies: list[KnownBody] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def restore(
    values: Mapping[str, bytes], *, model: str, dimension: int, window: tuple[int, float]
) -> Restored:
    """Return the state decoded from a partition's values.

    A value that cannot be read, or is of another ``model``, is lost; all others are restored.
    ``window`` is the capacity of the reorder window, in events and in seconds.
    """
    restored = Restored()
    cameras: list[_Camera] = []
    faces: dict[TrackId, _Faces] = {}
    for key, value in values.items():
        try:
            piece = _decode(value)
            if isinstance(piece, _Camera):
                cameras.append(piece)
            elif isinstance(piece, _Track):
                faces[piece.track_id] = _Faces(piece, _groups(piece, model, dimension))
            elif isinstance(piece, _Body):
                restored.bodies.append(piece.known)
            else:
                restored.entries[piece.entry_id] = _entry(piece, model, dimension)
        except (MalformedState, MalformedEvent) as fault:
            restored.faults.append(f"{key}: {fault}")
    restored.cameras = {c.camera_id: _camera(c, faces, window) for c in cameras}
    return restored


@dataclass(frozen=True, slots=True)
class _Faces:
    track: _Track
    groups: list[tuple[Shot, ...]]


def _decode(value: bytes) -> _AnyPiece:
    if value[:1] != bytes([VERSION]):
        raise MalformedState(f"version {value[0] if value else 'none'} instead of {VERSION}")
    try:
        return _decoder.decode(value[1:])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as cause:
        raise MalformedState(f"unreadable: {cause}") from cause


def _groups(piece: _Track, model: str, dimension: int) -> list[tuple[Shot, ...]]:
    _check_model(piece.model, model)
    if not all(piece.groups):
        raise MalformedState("a face group without faces")
    return [tuple(_shot(shot, dimension) for shot in group) for group in piece.groups]


def _shot(shot: _Shot, dimension: int) -> Shot:
    embedding = unpack_embedding(shot.packed, dimension)
    return Shot(embedding, shot.quality, shot.size_px, shot.captured_at, shot.packed)


def _entry(piece: _Entry, model: str, dimension: int) -> GalleryEntry:
    _check_model(piece.model, model)
    if len(piece.embedding) != 4 * dimension:
        raise MalformedState(f"embedding of {len(piece.embedding)} bytes, from another model")
    return GalleryEntry(
        piece.entry_id,
        piece.customer_id,
        piece.kind,
        np.frombuffer(piece.embedding, "<f4").astype(np.float32),
        piece.quality,
        piece.first_seen,
        piece.last_seen,
        piece.expires_at,
        piece.consent,
    )


def _check_model(written: str, model: str) -> None:
    if written != model:
        raise MalformedState(f"faces embedded by {written}, not {model}")


def _camera(
    piece: _Camera, faces: Mapping[TrackId, _Faces], window: tuple[int, float]
) -> CameraState:
    tracks = tuple(row.track for row in piece.rows)
    return CameraState(
        camera_id=piece.camera_id,
        window=ReorderWindow[Arrival](
            *window, last_seq=piece.last_seq, session=piece.session, earlier=dict(piece.earlier)
        ),
        tracker=TrackerState(tracks, piece.stepped_at, piece.interval_s, piece.stripes_unit),
        identities={
            row.track.track_id: _identity(row, faces.get(row.track.track_id)) for row in piece.rows
        },
        last=piece.last,
    )


def _identity(row: _TrackRow, faces: _Faces | None) -> TrackIdentity:
    identity = TrackIdentity(row.track.track_id, row.track.label, row.track.started_at)
    identity.life, identity.body = row.life or _WRITTEN_WITHOUT_LIFE, row.body
    shots = faces.groups if faces else []
    if len(shots) != len(row.groups):
        # The track's faces are lost. Counts and groups must agree, so the counts start over, too.
        return identity
    identity.evidence = TrackFaces(
        faces_seen=row.faces_seen,
        best_face_px=row.best_face_px,
        groups=tuple(map(_group, row.groups, shots)),
        unusable=row.unusable,
        segment=row.segment,
        since=row.since,
    )
    if faces:
        identity.segment, identity.since = faces.track.segment, faces.track.since
        identity.decision, identity.asked_at = faces.track.decision, faces.track.asked_at
        identity.gallery_missed = faces.track.gallery_missed
        identity.enrolled = faces.track.enrolled
        identity.alerted = set(faces.track.alerted)
    return identity


def _group(row: _GroupRow, shots: tuple[Shot, ...]) -> FaceGroup:
    center = fuse(shots) if len(shots) > 1 else shots[0].embedding
    return FaceGroup(shots, center, row.usable, row.first_at, row.last_at, row.lead, row.lead_since)
