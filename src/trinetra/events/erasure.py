"""The forgetting of a person: a standing request that every process carries out and confirms.

The request carries ids until everybody confirmed; from then on only their digests remain.
"""

from collections import Counter
from collections.abc import Iterable

import msgspec

from trinetra.events.customers import CustomerChange, erasure_digest
from trinetra.values import CustomerId, Instant, derive_id

GALLERY = "gallery_faces"
"""What a share tells of the faces it deleted; an erasure is not done before one does."""


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """One person to be forgotten, under all ids; ``ids`` is empty once everybody confirmed."""

    number: int
    asked_at: Instant
    ids: tuple[CustomerId, ...]
    digests: tuple[CustomerId, ...]


class Acknowledgement(msgspec.Struct, frozen=True, kw_only=True):
    """What one process deleted of a person, by what it was."""

    member: str
    at: Instant
    removed: dict[str, int]


class ErasureStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far an erasure is: who confirmed, who has yet to, and since when it is done."""

    erasure: Erasure
    shares: tuple[Acknowledgement, ...]
    awaited: tuple[str, ...]
    settled_at: Instant | None

    def removed(self) -> dict[str, int]:
        """Return what was deleted in all."""
        total: Counter[str] = Counter()
        for share in self.shares:
            total.update(share.removed)
        return dict(sorted(total.items()))


def erased_change(customer_id: CustomerId, at: Instant) -> CustomerChange:
    """Return what the customer book says of somebody instead of everything it said before."""
    digest = erasure_digest(customer_id)
    return CustomerChange(
        change_id=derive_id("chg", "erased", digest), change="erased", customer_id=digest, at=at
    )


def digests_of(ids: Iterable[CustomerId]) -> tuple[CustomerId, ...]:
    """Return what stands for these ids once they are forgotten."""
    return tuple(sorted(map(erasure_digest, ids)))
