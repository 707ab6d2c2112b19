"""Applies the customer directory to gallery matches, and turns its changes into events."""

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
_LIFECYCLE_CHANGES: Mapping[ChangeKind, LifecycleChange] = {
    "enrolled": "created",
    "renamed": "renamed",
    "merge_proposed": "merge_proposed",
    "merged": "merged",
    "split": "split",
    "erased": "erased",
}
"""A dismissed merge proposal has no event: it concerns only the log and the merge job."""


def as_known(directory: CustomerDirectory, matches: Iterable[GalleryMatch]) -> list[GalleryMatch]:
    """Return the matches under their canonical ids and current kinds, without erased customers.

    The gallery keeps a face under the id it was enrolled with. A merge is an alias in the directory
    (docs/adr/0013): merges, splits, changes of kind and erasures take effect at once, without
    rewriting the gallery.
    """
    known = []
    for match in matches:
        if directory.is_erased(match.customer_id):
            continue
        customer_id, kind = directory.as_known(match.customer_id, match.kind)
        if (customer_id, kind) != (match.customer_id, match.kind):
            match = replace(match, customer_id=customer_id, kind=kind)  # noqa: PLW2901
        known.append(match)
    return known


def without_rivals(
    directory: CustomerDirectory, matches: list[GalleryMatch], policy: MatchingPolicy
) -> list[GalleryMatch]:
    """Return the matches without anonymous identities that may be an enrolled person who matches.

    A visitor who enrolls resembles the identity of earlier visits as much as the enrolled photos.
    Until an operator has answered the proposal, every track would be ambiguous between the two.
    """
    enrolled = {
        match.customer_id
        for match in matches
        if match.kind is not IdentityKind.ANONYMOUS
        and policy.score(match.cosine) >= policy.similarity
    }
    return [
        match
        for match in matches
        if match.kind is not IdentityKind.ANONYMOUS
        or not any(directory.is_proposed(match.customer_id, one) for one in enrolled)
    ]


def event_of(
    change: CustomerChange, directory: CustomerDirectory, site_id: SiteId
) -> LifecycleEvent | None:
    """Return the lifecycle event for a change, without names; None if it has none.

    Changes that involve an opted-out customer are never published.
    """
    lifecycle_change = _LIFECYCLE_CHANGES.get(change.change)
    parties = (change.customer_id, change.other)
    if lifecycle_change is None or any(
        c and directory.kind_of(c) is IdentityKind.OPTED_OUT for c in parties
    ):
        return None
    return LifecycleEvent(
        event_id=EventId(derive_id("lfc", site_id, change.change_id)),
        site_id=site_id,
        camera_id=_NOWHERE,
        captured_at=change.at,
        change=lifecycle_change,
        customer_id=change.customer_id,
        by=change.by,
        kind=change.kind,
        other=change.other,
        score=change.score,
        reason=change.reason,
    )


def resembling(
    found: Iterable[Iterable[GalleryMatch]], directory: CustomerDirectory, policy: MatchingPolicy
) -> set[CustomerId]:
    """Return anonymous identities, not in the directory, that have nearly the probed face.

    A score that would match is not enough: it must exceed ``similarity`` by the margin that
    separates two people, because the caller deletes these identities.
    """
    return {
        match.customer_id
        for matches in found
        for match in matches
        if match.kind is IdentityKind.ANONYMOUS
        and directory.kind_of(match.customer_id) is None
        and policy.score(match.cosine) >= policy.similarity + policy.margin
    }
