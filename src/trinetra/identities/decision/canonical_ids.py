"""What the customer book says of the identities that the gallery finds, and how it is told on."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from trinetra.events.customers import ChangeKind, CustomerChange, CustomerDirectory
from trinetra.events.schema import LifecycleChange, LifecycleEvent
from trinetra.identities.decision.matching import MatchingPolicy
from trinetra.values import (
    CameraId,
    CustomerId,
    EventId,
    GalleryMatch,
    IdentityKind,
    SiteId,
    derive_id,
)

_NOWHERE = CameraId("")
_TOLD: Mapping[ChangeKind, LifecycleChange] = {
    "enrolled": "created",
    "renamed": "renamed",
    "merge_proposed": "merge_proposed",
    "merged": "merged",
    "split": "split",
    "erased": "erased",
}
"""That a proposal was dismissed is between the book and those who propose."""


def as_known(people: CustomerDirectory, matches: Iterable[GalleryMatch]) -> list[GalleryMatch]:
    """Return the matches under the ids and kinds that hold now; who was erased is not among them.

    The gallery keeps a face under the id it was enrolled with: merges and their undoing, a change
    of kind or an erasure need no rewriting there to be in force at once.
    """
    known = []
    for match in matches:
        if people.is_erased(match.customer_id):
            continue
        customer_id, kind = people.as_known(match.customer_id, match.kind)
        if (customer_id, kind) != (match.customer_id, match.kind):
            match = replace(match, customer_id=customer_id, kind=kind)  # noqa: PLW2901
        known.append(match)
    return known


def event_of(
    change: CustomerChange, people: CustomerDirectory, site_id: SiteId
) -> LifecycleEvent | None:
    """Return the event that tells a change on, without names; None where there is none.

    Of who opted out nothing is told.
    """
    told = _TOLD.get(change.change)
    parties = (change.customer_id, change.other)
    if told is None or any(c and people.kind_of(c) is IdentityKind.OPTED_OUT for c in parties):
        return None
    return LifecycleEvent(
        event_id=EventId(derive_id("lfc", site_id, change.change_id)),
        site_id=site_id,
        camera_id=_NOWHERE,
        captured_at=change.at,
        change=told,
        customer_id=change.customer_id,
        by=change.by,
        kind=change.kind,
        other=change.other,
        score=change.score,
        reason=change.reason,
    )


def resembling(
    found: Iterable[Iterable[GalleryMatch]], people: CustomerDirectory, policy: MatchingPolicy
) -> set[CustomerId]:
    """Return the identities, unknown to the book, that have nearly the face searched for.

    Not only what would match: it must also lead by the margin that tells two people apart.
    """
    return {
        match.customer_id
        for matches in found
        for match in matches
        if match.kind is IdentityKind.ANONYMOUS
        and people.kind_of(match.customer_id) is None
        and policy.score(match.cosine) >= policy.similarity + policy.margin
    }
