"""Conversion between gallery entries and Qdrant points, for the embedded engine and the server.

Both use the same ids and payload, so entries can be moved between them unchanged. Instants are
whole microseconds since 1970, which are exact in the engine's float64 ranges until the year 2255.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
import numpy as np

from trinetra.values import (
    CustomerId,
    Embedding,
    GalleryEntry,
    GalleryMatch,
    IdentityKind,
    instant_at,
    microseconds,
)

ENTRY_ID, CUSTOMER_ID, KIND, EXPIRES_AT = "entry_id", "customer_id", "kind", "expires_at_us"
FIRST_SEEN = "first_seen_us"
PAYLOAD_OF_A_MATCH = [ENTRY_ID, CUSTOMER_ID, KIND, FIRST_SEEN]


class StoredPoint(msgspec.Struct, frozen=True, array_like=True):
    """A gallery entry in stored form; ``vector`` is float32, little-endian."""

    entry_id: str
    customer_id: str
    kind: str
    vector: bytes
    quality: float
    first_seen_us: int
    last_seen_us: int
    expires_at_us: int | None
    consent: bool


class StoredPayload(msgspec.Struct, frozen=True, omit_defaults=True):
    """The payload of a vector; ``expires_at_us`` is absent if the entry never expires."""

    entry_id: str
    customer_id: str
    kind: str
    quality: float
    first_seen_us: int
    last_seen_us: int
    consent: bool
    expires_at_us: int | None = None


def stored_point(entry: GalleryEntry, dimension: int) -> StoredPoint:
    """Return the entry in stored form. Raises ValueError as ``pack_vector`` does."""
    expires_at = entry.expires_at
    return StoredPoint(
        entry.entry_id,
        entry.customer_id,
        entry.kind,
        pack_vector(entry.embedding, dimension),
        entry.quality,
        microseconds(entry.first_seen),
        microseconds(entry.last_seen),
        None if expires_at is None else microseconds(expires_at),
        entry.consent,
    )


def gallery_entry(point: StoredPoint) -> GalleryEntry:
    """Return the gallery entry of a stored point."""
    expires_at_us = point.expires_at_us
    return GalleryEntry(
        entry_id=point.entry_id,
        customer_id=CustomerId(point.customer_id),
        kind=IdentityKind(point.kind),
        embedding=np.frombuffer(point.vector, "<f4").astype(np.float32),
        quality=point.quality,
        first_seen=instant_at(point.first_seen_us),
        last_seen=instant_at(point.last_seen_us),
        expires_at=None if expires_at_us is None else instant_at(expires_at_us),
        consent=point.consent,
    )


def payload_of(point: StoredPoint) -> dict[str, Any]:
    """Return the payload that is stored with the point's vector."""
    payload: dict[str, Any] = msgspec.to_builtins(
        StoredPayload(
            point.entry_id,
            point.customer_id,
            point.kind,
            point.quality,
            point.first_seen_us,
            point.last_seen_us,
            point.consent,
            point.expires_at_us,
        )
    )
    return payload


def point_of(payload: Mapping[str, Any] | None, vector: bytes) -> StoredPoint:
    """Return the stored point for a payload and its vector. Raises msgspec.ValidationError."""
    stored = msgspec.convert(payload or {}, StoredPayload)
    return StoredPoint(
        stored.entry_id,
        stored.customer_id,
        stored.kind,
        vector,
        stored.quality,
        stored.first_seen_us,
        stored.last_seen_us,
        stored.expires_at_us,
        stored.consent,
    )


def gallery_match(
    entry_id: str, customer_id: str, kind: str, cosine: float, first_seen_us: int
) -> GalleryMatch:
    """Return a match; its cosine is clipped to [-1, 1], which rounding in the engine may exceed."""
    bounded = max(-1.0, min(1.0, cosine))
    seen = instant_at(first_seen_us)
    return GalleryMatch(entry_id, CustomerId(customer_id), IdentityKind(kind), bounded, seen)


def point_id(entry_id: str) -> UUID:
    """Return the engine's id of an entry; the engine accepts only integers and UUIDs."""
    return UUID(bytes=hashlib.blake2b(entry_id.encode(), digest_size=16).digest())


def model_slug(model_version: str) -> str:
    """Return a name for one embedding model version, unique by a digest of the version."""
    slug = re.sub(r"[^a-z0-9.-]+", "_", model_version.lower()).strip("._-")[:48]
    digest = hashlib.blake2b(model_version.encode(), digest_size=4).hexdigest()
    return f"{slug or 'model'}-{digest}"


def pack_vector(embedding: Embedding, dimension: int) -> bytes:
    """Return a copy of the embedding as float32 bytes.

    Raises ValueError for embeddings that must never reach an index: a shape other than
    ``(dimension,)``, values that are not finite, or the zero vector, which has no direction.
    """
    if embedding.shape != (dimension,):
        raise ValueError(f"an embedding of shape {embedding.shape}, expected ({dimension},)")
    norm = float(np.linalg.norm(embedding))
    if not 0.0 < norm < float("inf"):  # also rejects NaN
        raise ValueError(f"an embedding of norm {norm} cannot be compared by cosine")
    return np.ascontiguousarray(embedding, "<f4").tobytes()


def floats(vector: bytes) -> list[float]:
    """Return packed float32 values as the list that the engine's APIs accept."""
    values: list[float] = np.frombuffer(vector, "<f4").tolist()
    return values


def pack_floats(values: Any) -> bytes:
    """Return a vector from the engine's API in packed form."""
    return np.asarray(values, "<f4").tobytes()
