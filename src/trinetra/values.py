"""Domain value types: ids, instants, boxes, embeddings and frames.

Instants are timezone-aware UTC datetimes. Boxes are ``xyxy`` in pixels of the camera's native image
unless a name says otherwise. Arrays of boxes, scores and landmarks are passed as struct of arrays,
one row per object.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple, NewType

import msgspec
import numpy as np
from numpy.typing import NDArray

SiteId = NewType("SiteId", str)
CameraId = NewType("CameraId", str)
TrackId = NewType("TrackId", str)
CustomerId = NewType("CustomerId", str)
EventId = NewType("EventId", str)

Instant = datetime
ImageBgr = NDArray[np.uint8]
"""Pixels, ``(height, width, 3)``, BGR, 0..255."""
Embedding = NDArray[np.float32]
"""One L2-normalized face embedding, ``(dimension,)``."""


class YuvPlanes(NamedTuple):
    """An image in JPEG's color space: full-range BT.601 with chroma at half size (4:2:0).

    ``y (height, width)``; ``u`` and ``v`` ``((height + 1) // 2, (width + 1) // 2)``; 0..255, and
    128 in both means gray.
    """

    y: NDArray[np.uint8]
    u: NDArray[np.uint8]
    v: NDArray[np.uint8]


MAX_PICTURE_SIDE = 4096
"""Longest side in pixels of a picture that the ingestor encodes and a worker decodes."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Role(StrEnum):
    """Purpose of a camera; the role sets its defaults."""

    ENTRANCE = "entrance"
    FACE = "face"
    TRACKING = "tracking"
    BILLING = "billing"
    VEHICLE = "vehicle"


class IdentityKind(StrEnum):
    """Kind of an identity: its origin in the gallery and its treatment.

    Staff are never counted as customers. A person who opted out is recognized only to be excluded:
    such a person is neither named nor stored.
    """

    ANONYMOUS = "anonymous"
    ENROLLED = "enrolled"
    VIP = "vip"
    STAFF = "staff"
    WATCHLIST = "watchlist"
    OPTED_OUT = "opted_out"


def derive_id(prefix: str, *parts: object) -> str:
    """Return ``prefix_`` plus 24 hex digits that depend only on the parts.

    Replaying the same input therefore yields the same ids, which makes every write idempotent.
    """
    text = "\x1f".join(p.isoformat() if isinstance(p, datetime) else str(p) for p in parts)
    return f"{prefix}_{hashlib.blake2b(text.encode(), digest_size=12).hexdigest()}"


def seconds_between(earlier: Instant, later: Instant) -> float:
    """Return ``later - earlier`` in seconds, negative if the order is reversed."""
    return (later - earlier).total_seconds()


@lru_cache(maxsize=256)
def longest(seconds: float) -> timedelta:
    """Return the longest whole number of microseconds that is not longer than ``seconds``.

    ``later - earlier > longest(s)`` and ``seconds_between(earlier, later) > s`` are the same, and
    of many instants the first need not be computed: they are compared with ``later - longest(s)``.
    """
    span = timedelta(seconds=seconds)
    while span.total_seconds() > seconds:
        span -= timedelta.resolution
    while (span + timedelta.resolution).total_seconds() <= seconds:
        span += timedelta.resolution
    return span


def after(instant: Instant, seconds: float) -> Instant:
    """Return the instant ``seconds`` after the given one."""
    return instant + timedelta(seconds=seconds)


def microseconds(instant: Instant) -> int:
    """Return the whole microseconds from 1970 to an instant; exact and fast."""
    gone = instant - EPOCH
    return (gone.days * 86_400 + gone.seconds) * 1_000_000 + gone.microseconds


def instant_at(micros: int) -> Instant:
    """Return the instant that many microseconds after 1970."""
    return EPOCH + timedelta(microseconds=micros)


class Letterbox(msgspec.Struct, frozen=True, array_like=True):
    """Scale and padding of a native image in a square: ``boxed = native * scale + pad``."""

    scale: float
    pad_x: float
    pad_y: float

    @classmethod
    def fit(cls, width: int, height: int, side: int) -> "Letterbox":
        """Return the centered letterbox that fits ``width x height`` into ``side x side``.

        The content is at least one pixel wide and high, and starts on a whole pixel.
        """
        scale = side / max(width, height)
        content_w, content_h = max(1, round(width * scale)), max(1, round(height * scale))
        return cls(scale, float((side - content_w) // 2), float((side - content_h) // 2))

    def to_native(self, xy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map points ``(..., 2)`` from the letterboxed to the native image."""
        return (xy - np.array([self.pad_x, self.pad_y], np.float32)) / np.float32(self.scale)

    def to_boxed(self, xy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map points ``(..., 2)`` from the native to the letterboxed image."""
        return xy * np.float32(self.scale) + np.array([self.pad_x, self.pad_y], np.float32)


class Frame(msgspec.Struct, frozen=True):
    """One sampled frame in the format of the frame buffer.

    ``jpeg`` is the letterboxed square for detection; ``native_jpeg`` is the larger image from which
    faces are cropped, present only for roles that read faces. ``native_scale`` is the size of
    ``native_jpeg`` relative to the camera's native image (1.0 unless it was limited).

    ``session`` names the camera's capture session (docs/adr/0018): a new one begins whenever the
    ingestor starts, takes the camera over, or sees its clock stepped. Only within a session do
    ``seq``, which increases by one per sample, and ``captured_at`` increase.
    """

    camera_id: CameraId
    seq: int
    captured_at: Instant
    width: int
    height: int
    letterbox: Letterbox
    jpeg: bytes
    native_jpeg: bytes | None = None
    native_scale: float = 1.0
    session: int = 0


def first_seq(started_at: Instant) -> int:
    """Return the first frame number after a start of the ingestor: its time in Unix milliseconds.

    Cameras deliver far fewer than 1,000 frames a second, so numbers do not repeat after a restart
    and no counter has to be stored. If the clock was set back meanwhile they may repeat: the
    frame's ``session`` tells the frames apart.
    """
    return int((started_at - EPOCH) / timedelta(milliseconds=1))


@dataclass(frozen=True, slots=True)
class Detections:
    """Objects in one image: ``xyxy (n, 4)`` and ``score (n,)`` float32, ``label (n,)`` str."""

    xyxy: NDArray[np.float32]
    score: NDArray[np.float32]
    label: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True, slots=True)
class Faces:
    """Faces in one image: ``xyxy (n, 4)``, ``score (n,)``, ``landmarks (n, 5, 2)`` float32.

    Landmark order, as seen in the image: left eye, right eye, nose, left and right mouth corner.
    """

    xyxy: NDArray[np.float32]
    score: NDArray[np.float32]
    landmarks: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.score)


class PlateText(NamedTuple):
    """A text read on a vehicle: its characters with their probabilities, and its box ``(4,)``."""

    text: str
    confidences: tuple[float, ...]
    xyxy: NDArray[np.float32]

    @property
    def confidence(self) -> float:
        """The mean probability of the characters; 0 without any."""
        return sum(self.confidences) / len(self.confidences) if self.confidences else 0.0


class FaceVectors(NamedTuple):
    """Embeddings of some faces: ``unit (n, dimension)`` and ``norm (n,)`` float32.

    Vectors are L2-normalized; ``norm`` is their length before, which indicates image quality. A
    face without a usable vector has norm 0.
    """

    unit: NDArray[np.float32]
    norm: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class GalleryEntry:
    """One embedding of one identity, with the fields that retention and matching need."""

    entry_id: str
    customer_id: CustomerId
    kind: IdentityKind
    embedding: Embedding
    quality: float
    first_seen: Instant
    last_seen: Instant
    expires_at: Instant | None
    consent: bool


@dataclass(frozen=True, slots=True)
class GalleryMatch:
    """One gallery entry near a searched embedding; ``cosine`` is the raw similarity in [-1, 1].

    ``first_seen`` is that of the entry, or None if it is not in the gallery yet.
    """

    entry_id: str
    customer_id: CustomerId
    kind: IdentityKind
    cosine: float
    first_seen: Instant | None = None


def no_detections() -> Detections:
    """Return an empty set of detections."""
    return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), ())


def no_faces() -> Faces:
    """Return an empty set of faces."""
    return Faces(
        np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32)
    )
