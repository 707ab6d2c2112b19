"""How identities come into the gallery, and when they leave it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trinetra.identities.evidence import Shot, fuse
from trinetra.values import (
    CustomerId,
    GalleryEntry,
    IdentityKind,
    Instant,
    TrackId,
    after,
    derive_id,
)

_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """Days an embedding is kept after its person was last seen; None keeps it until erased."""

    days: Mapping[IdentityKind, float | None] = field(
        default_factory=lambda: {
            IdentityKind.ANONYMOUS: 30.0,
            IdentityKind.ENROLLED: None,
            IdentityKind.STAFF: None,
            IdentityKind.WATCHLIST: None,
        }
    )

    def expires_at(self, kind: IdentityKind, last_seen: Instant) -> Instant | None:
        """Return when an embedding of this kind is to be deleted."""
        days = self.days.get(kind)
        return None if days is None else after(last_seen, days * _DAY_S)


def customer_of(track_id: TrackId) -> CustomerId:
    """Return the id of the identity that a track brings into being; the same on every replay."""
    return CustomerId(derive_id("cus", track_id))


def enrol(
    customer_id: CustomerId,
    kind: IdentityKind,
    shots: Sequence[Shot],
    retention: RetentionPolicy,
    *,
    variety: int = 2,
) -> list[GalleryEntry]:
    """Return the entries of a new identity: its fused face and its ``variety`` best shots."""
    first, last = min(s.captured_at for s in shots), max(s.captured_at for s in shots)
    best = sorted(shots, key=lambda s: s.quality, reverse=True)[:variety]
    quality = sum(s.quality for s in shots) / len(shots)
    rows = [("fused", fuse(tuple(shots)), quality)]
    rows += [(f"shot{i}", shot.embedding, shot.quality) for i, shot in enumerate(best)]
    return [
        GalleryEntry(
            entry_id=derive_id("emb", customer_id, name),
            customer_id=customer_id,
            kind=kind,
            embedding=embedding,
            quality=quality,
            first_seen=first,
            last_seen=last,
            expires_at=retention.expires_at(kind, last),
            consent=kind is not IdentityKind.ANONYMOUS,
        )
        for name, embedding, quality in rows
    ]


def renew(
    customer_id: CustomerId, kind: IdentityKind, shots: Sequence[Shot], retention: RetentionPolicy
) -> GalleryEntry:
    """Return the entry that keeps a returning identity fresh: its face as last seen.

    There is one such entry per identity, so the gallery does not grow with every visit.
    """
    last = max(s.captured_at for s in shots)
    return GalleryEntry(
        entry_id=derive_id("emb", customer_id, "latest"),
        customer_id=customer_id,
        kind=kind,
        embedding=fuse(tuple(shots)),
        quality=sum(s.quality for s in shots) / len(shots),
        first_seen=min(s.captured_at for s in shots),
        last_seen=last,
        expires_at=retention.expires_at(kind, last),
        consent=kind is not IdentityKind.ANONYMOUS,
    )
