"""Rules for finding duplicate identities of one person, free of I/O.

Duplicates arise when two cameras, or two resolvers, enroll a person at the same time, and when a
face was too poor to be recognized on a later visit. They are found when an identity's fused face is
looked up after it was stored and another identity's fused face resembles it; or when a track
resembles two identities so much that it cannot be assigned to either. Such a track only nominates
the two: they are judged by their own faces, compared with each other.

The verdict and the id of the resulting change depend only on the two identities, never on which of
them was looked up. Resolvers that find the same pair at the same time therefore write the same
change, which is applied once.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from trinetra.events.customers import CustomerChange, CustomerDirectory
from trinetra.identities.decision.lifecycle import summaries_of
from trinetra.identities.gate.registry import Presence
from trinetra.identities.gate.topology import Sighting, SiteGraph, judge
from trinetra.values import (
    CustomerId,
    Embedding,
    GalleryEntry,
    GalleryMatch,
    IdentityKind,
    Instant,
    derive_id,
    seconds_between,
)

_ANONYMOUS = IdentityKind.ANONYMOUS


@dataclass(frozen=True, slots=True)
class MergePolicy:
    """Scores from which two identities are merged, or proposed for merging.

    Scores are on the scale of the matching policy. Both lie above its ``similarity``: a wrong match
    affects one track, a wrong merge everything that two people ever do. A limit above 1 disables
    its step.
    """

    merge_at: float = 0.84
    propose_at: float = 0.78

    def raised_to(self, merge_at: float, propose_at: float) -> "MergePolicy":
        """Return the policy with limits that are not below these."""
        return MergePolicy(max(self.merge_at, merge_at), max(self.propose_at, propose_at))


class IdentityRef(NamedTuple):
    """One identity of a candidate pair, under its canonical id and current kind."""

    customer_id: CustomerId
    kind: IdentityKind
    first_seen: Instant


class DuplicatePair(NamedTuple):
    """Two identities with nearly the same face; ``score`` is calibrated."""

    one: IdentityRef
    two: IdentityRef
    score: float


class Nomination(NamedTuple):
    """Two identities that resemble a third face, and the ids of their own faces.

    That says nothing about how much the two resemble each other: a face can lie halfway between two
    strangers.
    """

    one: IdentityRef
    two: IdentityRef
    faces: tuple[frozenset[str], frozenset[str]]


class Finding(NamedTuple):
    """The verdict on a pair; ``change`` is None when the pair is neither merged nor proposed."""

    change: CustomerChange | None
    reason: str


class AmbiguousFace(NamedTuple):
    """A track's fused face that resembled two identities too much to be assigned to either."""

    embedding: Embedding
    at: Instant


def duplicates_of(
    entry: GalleryEntry,
    matches: Sequence[GalleryMatch],
    directory: CustomerDirectory,
    score: Callable[[float], float],
) -> list[DuplicatePair]:
    """Return the identities that resemble a fused entry, best first.

    Only fused faces of other identities count, and photos of enrolled customers: a single shot
    resembles strangers more often. Opted-out customers are never included.
    """
    if directory.is_erased(entry.customer_id):
        return []
    own, kind = directory.as_known(entry.customer_id, entry.kind)
    if kind is IdentityKind.OPTED_OUT:
        return []
    one = IdentityRef(own, kind, min([entry.first_seen, *_first_seen(matches, directory, own)]))
    return [
        DuplicatePair(one, two, score(cosine))
        for two, cosine in _resembling(matches, directory)
        if two.customer_id != own
    ]


def nominate(matches: Sequence[GalleryMatch], directory: CustomerDirectory) -> Nomination | None:
    """Return the two identities that a face resembles most, to be compared with each other.

    This finds duplicates that were missed when they were created. As long as both exist, the
    person's later tracks are ambiguous, so no new face is stored that could trigger a lookup.
    """
    found = [identity for identity, _ in _resembling(matches, directory)[:2]]
    if len(found) < 2:  # noqa: PLR2004 - a pair
        return None
    one, two = found
    return Nomination(
        one, two, (_own_faces(one, matches, directory), _own_faces(two, matches, directory))
    )


def _own_faces(
    identity: IdentityRef, matches: Iterable[GalleryMatch], directory: CustomerDirectory
) -> frozenset[str]:
    """Return the ids of an identity's reliable entries: its fused faces, and photos if enrolled."""
    fused = {
        name for own_id in directory.members(identity.customer_id) for name in summaries_of(own_id)
    }
    photos = {
        match.entry_id
        for match in matches
        if directory.canonical(match.customer_id) == identity.customer_id
        and _is_telling(match, directory)
    }
    return frozenset(fused | photos)


def compare(
    nomination: Nomination, entries: Iterable[GalleryEntry], score: Callable[[float], float]
) -> DuplicatePair | None:
    """Return a nominated pair scored by its two most similar own faces among ``entries``.

    None if the gallery has lost the faces of one of them.
    """
    by_id = {entry.entry_id: entry.embedding for entry in entries}
    ones, twos = ([by_id[name] for name in faces if name in by_id] for faces in nomination.faces)
    if not ones or not twos:
        return None
    cosine = float(np.max(np.stack(ones) @ np.stack(twos).T))
    return DuplicatePair(nomination.one, nomination.two, score(cosine))


def _resembling(
    matches: Sequence[GalleryMatch], directory: CustomerDirectory
) -> list[tuple[IdentityRef, float]]:
    """Return identities with the cosine of their most similar reliable entry, best first."""
    best: dict[CustomerId, GalleryMatch] = {}
    for match in matches:
        customer_id = directory.canonical(match.customer_id)
        if _is_telling(match, directory) and not directory.is_erased(match.customer_id):
            best[customer_id] = max(match, best.get(customer_id, match), key=lambda m: m.cosine)
    found = [
        (IdentityRef(*directory.as_known(customer_id, match.kind), since), match.cosine)
        for customer_id, match in best.items()
        if (since := min(_first_seen(matches, directory, customer_id), default=None)) is not None
    ]
    named = [
        (customer_id, cosine)
        for customer_id, cosine in found
        if customer_id.kind is not IdentityKind.OPTED_OUT
    ]
    return sorted(named, key=lambda row: (-row[1], row[0].customer_id))


def _first_seen(
    matches: Iterable[GalleryMatch], directory: CustomerDirectory, customer_id: CustomerId
) -> Iterator[Instant]:
    for match in matches:
        if match.first_seen is not None and directory.canonical(match.customer_id) == customer_id:
            yield match.first_seen


def _is_telling(match: GalleryMatch, directory: CustomerDirectory) -> bool:
    is_enrolled = directory.kind_of(match.customer_id) is not None
    return is_enrolled or match.entry_id in summaries_of(match.customer_id)


def judge_duplicates(
    pair: DuplicatePair,
    directory: CustomerDirectory,
    presences: tuple[Presence | None, Presence | None],
    graph: SiteGraph,
    policy: MergePolicy,
    at: Instant,
) -> Finding | None:
    """Return whether a pair is merged, proposed or rejected and why; None if it is dissimilar.

    Only anonymous identities are merged. A merge with an enrolled customer would give them the
    visits, and the alerts, of another person, so it is only proposed, for a person to confirm.

    A person's verdict is final: identities that were dismissed as different, or whose merge was
    undone, are neither merged nor proposed again, whatever other ids they have been given since.
    """
    is_anonymous = {pair.one.kind, pair.two.kind} == {_ANONYMOUS}
    merges = is_anonymous and pair.score >= policy.merge_at
    if not merges and pair.score < policy.propose_at:
        return None
    ids = pair.one.customer_id, pair.two.customer_id
    if were_told_apart(directory, *ids):
        return Finding(None, "told_apart")
    if conflict := apart(*presences, graph):
        return Finding(None, conflict)
    if merges:
        return Finding(_change("merged", pair, at), "merged")
    if (min(ids), max(ids)) in directory.proposed:
        return Finding(None, "proposed_already")
    return Finding(_change("merge_proposed", pair, at), "proposed")


def were_told_apart(directory: CustomerDirectory, one: CustomerId, two: CustomerId) -> bool:
    """Return whether a person has declared these two different, under any of their ids."""
    heads = {one, two}
    return any(
        {directory.canonical(first), directory.canonical(second)} == heads
        for first, second in directory.dismissed
    )


def apart(one: Presence | None, two: Presence | None, graph: SiteGraph) -> str | None:
    """Return the reason why two recently seen identities cannot be one person, or None."""
    if one is None or two is None:
        return None
    for camera_id, first in one.sightings.items():
        second = two.sightings.get(camera_id)
        if second is not None and _at_once(first, second):
            return "in_view_together"
    elsewhere = [s for s in one.sightings.values() if s.camera_id not in two.sightings]
    for here in two.sightings.values():
        there = [s for s in elsewhere if s.camera_id != here.camera_id]
        if judge(graph, two.customer_id, there, here).verdict == "impossible":
            return "two_places"
    return None


def _at_once(first: Sighting, second: Sighting) -> bool:
    """Return whether two segments in one view have more than an instant in common."""
    begins, ends = max(first.first_at, second.first_at), min(first.last_at, second.last_at)
    return seconds_between(begins, ends) > 0


def survivor(one: IdentityRef, two: IdentityRef) -> tuple[IdentityRef, IdentityRef]:
    """Return (merged, survivor): an enrolled identity survives, otherwise the older one.

    Ties are broken by id, so that all resolvers choose the same survivor.
    """
    into, merged_away = sorted((one, two), key=lambda f: (f.kind is _ANONYMOUS, f.first_seen, f[0]))
    return merged_away, into


def _change(
    what: Literal["merged", "merge_proposed"], pair: DuplicatePair, at: Instant
) -> CustomerChange:
    merged_away, into = survivor(pair.one, pair.two)
    return CustomerChange(
        change_id=derive_id("chg", what, "resolver", merged_away.customer_id, into.customer_id),
        change=what,
        customer_id=merged_away.customer_id,
        other=into.customer_id,
        at=at,
        by="resolver",
        score=round(pair.score, 4),
        reason="same_face",
    )


def changes_of(findings: Sequence[Finding]) -> list[CustomerChange]:
    """Return the distinct changes to write."""
    changes = {f.change.change_id: f.change for f in findings if f.change is not None}
    return list(changes.values())
