"""Erasure of a person: a standing request that every process executes and acknowledges.

The request contains ids until all processes have acknowledged it; from then on only their digests
remain.
"""

from collections import Counter
from collections.abc import Iterable

import msgspec

from trinetra.events.customers import CustomerChange, erasure_digest
from trinetra.values import CustomerId, Instant, derive_id

GALLERY = "gallery_faces"
"""Key of the deleted faces in an acknowledgement; an erasure is not complete without it."""


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """One person to be erased, under all ids; ``ids`` is empty once all acknowledged."""

    number: int
    asked_at: Instant
    ids: tuple[CustomerId, ...]
    digests: tuple[CustomerId, ...]


class Acknowledgement(msgspec.Struct, frozen=True, kw_only=True):
    """Number of items that one process deleted for a person, by kind."""

    member: str
    at: Instant
    removed: dict[str, int]


def answers_for(member: str, owner: str) -> bool:
    """Return whether a member's acknowledgement is that of an owner: itself, or its service."""
    return owner in {member, service_of(member)}


def service_of(member: str) -> str:
    """Return the service of a member named ``SERVICE@INSTANCE``."""
    return member.partition("@")[0]


class ErasureStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Progress of an erasure: acknowledged, still awaited, and the time of completion.

    ``awaited`` are live members and owners without an acknowledgement. ``owners`` are all that had
    to acknowledge, whether alive or not.
    """

    erasure: Erasure
    shares: tuple[Acknowledgement, ...]
    awaited: tuple[str, ...]
    settled_at: Instant | None
    owners: tuple[str, ...] = ()

    def removed(self) -> dict[str, int]:
        """Return the total number of deleted items by kind."""
        total: Counter[str] = Counter()
        for share in self.shares:
            total.update(share.removed)
        return dict(sorted(total.items()))


def erased_change(customer_id: CustomerId, at: Instant) -> CustomerChange:
    """Return the change that replaces all entries about a person in the customer log."""
    digest = erasure_digest(customer_id)
    return CustomerChange(
        change_id=derive_id("chg", "erased", digest), change="erased", customer_id=digest, at=at
    )


def digests_of(ids: Iterable[CustomerId]) -> tuple[CustomerId, ...]:
    """Return the digests that remain after these ids are erased."""
    return tuple(sorted(map(erasure_digest, ids)))
