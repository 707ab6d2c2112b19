"""Lifecycle of identities in the gallery: creation, renewal, renaming and retention."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from trinetra.events.customers import CustomerDirectory
from trinetra.identities.decision.matching import Decision
from trinetra.identities.decision.track_identity import TrackIdentity
from trinetra.identities.tracking.track_faces import Shot, fuse
from trinetra.values import (
    CustomerId,
    GalleryEntry,
    GalleryMatch,
    IdentityKind,
    Instant,
    TrackId,
    after,
    derive_id,
)

_DAY_S = 86_400.0
_VARIETY = 2
"""Number of single shots that are stored beside the fused face."""
_NEARLY_AS_GOOD = 0.9
"""Quality of a shot, relative to the best one left, from which its pose counts for more."""


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """Days an embedding is kept after the person was last seen; None keeps it until erased."""

    days: Mapping[IdentityKind, float | None] = field(
        default_factory=lambda: {
            IdentityKind.ANONYMOUS: 30.0,
            IdentityKind.ENROLLED: None,
            IdentityKind.STAFF: None,
            IdentityKind.WATCHLIST: None,
        }
    )

    def expires_at(self, kind: IdentityKind, last_seen: Instant) -> Instant | None:
        """Return when an embedding of this kind expires, or None if it does not."""
        days = self.days.get(kind)
        return None if days is None else after(last_seen, days * _DAY_S)


def customer_of(track_id: TrackId, segment: int = 0) -> CustomerId:
    """Return the id of the identity that a track creates; the same on every replay.

    A track that switched from one person to another may create one identity per ``segment``.
    """
    return CustomerId(derive_id("cus", track_id, *([segment] if segment else [])))


def summaries_of(customer_id: CustomerId) -> tuple[str, str]:
    """Return the ids of an identity's two fused faces: as first seen, and as last seen."""
    return derive_id("emb", customer_id, "fused"), derive_id("emb", customer_id, "latest")


def is_summary(entry: GalleryEntry) -> bool:
    """Return whether an entry is one of its identity's fused faces."""
    return entry.entry_id in summaries_of(entry.customer_id)


def rename(identity: TrackIdentity, directory: CustomerDirectory) -> bool:
    """Give a track its customer's canonical id; return whether the id changed.

    After a merge this is the surviving id. After a split it is the track's own id again: the id
    under which the most similar face is stored, remembered in ``own_id``.
    """
    decision = identity.decision
    if decision is None or decision.customer_id is None:
        return False
    own = decision.own_id or decision.customer_id
    now, kind = directory.as_known(own, IdentityKind.ANONYMOUS)
    if now == decision.customer_id:
        return False
    identity.decision = replace(
        decision,
        status="known",
        reasons=("split" if now == own else "merged",),
        customer_id=now,
        kind=kind,
        own_id=own if now != own else None,
    )
    return True


def own_kind(customer_id: CustomerId, directory: CustomerDirectory) -> IdentityKind:
    """Return the kind of an id itself, regardless of what it was merged into.

    An id without an enrollment in the customer log was created by a camera and is anonymous.
    """
    known = directory.customers.get(customer_id)
    return known.kind if known else IdentityKind.ANONYMOUS


def with_own_id(
    decision: Decision, found: Iterable[GalleryMatch], directory: CustomerDirectory
) -> Decision:
    """Return the decision with the id under which the customer's most similar face is stored.

    ``found`` are the raw gallery matches, best first. A split needs this id to tell which of the
    two customers the track belongs to.
    """
    customer_id = decision.customer_id
    if customer_id is None or decision.status != "known":
        return decision
    own = next(
        (m.customer_id for m in found if directory.canonical(m.customer_id) == customer_id),
        customer_id,
    )
    return decision if own == customer_id else replace(decision, own_id=own)


def enroll(
    customer_id: CustomerId,
    kind: IdentityKind,
    shots: Sequence[Shot],
    retention: RetentionPolicy,
    *,
    variety: int = _VARIETY,
) -> list[GalleryEntry]:
    """Return the entries of an identity: its fused face, and its ``variety`` best shots.

    Their ids depend on the customer alone: entries of better shots replace the earlier ones.
    """
    first, last = min(s.captured_at for s in shots), max(s.captured_at for s in shots)
    best = best_shots(shots, variety)
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


def least_entries(enrol_after_faces: int) -> int:
    """Return the number of entries that every identity made from a track has at least."""
    return 1 + min(_VARIETY, enrol_after_faces)


def best_shots(shots: Sequence[Shot], count: int) -> list[Shot]:
    """Return the ``count`` best shots: good ones, in different poses.

    The first is that of the best quality. Each next one resembles those before it least, among the
    shots that are nearly as good: two shots of one moment would store one pose twice.
    """
    ranked = sorted(shots, key=lambda shot: -shot.quality)
    chosen = ranked[:1]
    rest = ranked[1:]
    while rest and len(chosen) < count:
        good = [s for s in rest if s.quality >= _NEARLY_AS_GOOD * rest[0].quality]
        best = min(good, key=lambda s: max(float(s.embedding @ c.embedding) for c in chosen))
        chosen.append(best)
        rest = [shot for shot in rest if shot is not best]
    return chosen[:count]


def renew(
    customer_id: CustomerId, kind: IdentityKind, shots: Sequence[Shot], retention: RetentionPolicy
) -> GalleryEntry:
    """Return the entry with the latest fused face of a returning identity.

    There is one such entry per identity, so the gallery does not grow with every visit.
    """
    [fused] = enroll(customer_id, kind, shots, retention, variety=0)
    _, latest = summaries_of(customer_id)
    return replace(fused, entry_id=latest)
