"""Which identities are one person: the rules, without the world.

Two identities of one person come about when two cameras, or two resolvers, enrol somebody at once,
and when a face was too poor to be recognised on a return. Such twins are found where an identity's
fused face is looked up after it was stored, and its like is the fused face of another; or where a
track resembles two people too much to be named after either.

The verdict depends on what the two are, never on which of them was looked up, and so does the name
of the change that says it. So resolvers that find the same twins at the same time say the same.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

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
    """From which score two fused faces are one person's, and from which it is worth asking.

    Scores are on the scale of the matching policy. Both lie above its ``similarity``: a wrong match
    names one track, a wrong merge all that two people ever do.
    """

    merge_at: float = 0.84
    propose_at: float = 0.78


class IdentityRef(NamedTuple):
    """One of two who may be one person, under the id and kind that hold now."""

    customer_id: CustomerId
    kind: IdentityKind
    first_seen: Instant


class DuplicatePair(NamedTuple):
    """An identity and another that has nearly the same face; ``score`` is calibrated."""

    one: IdentityRef
    two: IdentityRef
    score: float


class Finding(NamedTuple):
    """What is to be done about two identities; None where something speaks against it."""

    change: CustomerChange | None
    reason: str


class AmbiguousFace(NamedTuple):
    """A track's fused face that resembled two people too much to be either's."""

    embedding: Embedding
    at: Instant


def duplicates_of(
    entry: GalleryEntry,
    matches: Sequence[GalleryMatch],
    people: CustomerDirectory,
    score: Callable[[float], float],
) -> list[DuplicatePair]:
    """Return who else has the face of a fused entry, best first.

    Only fused faces of others count, or the photos of those whom the shop enrolled: a single shot
    resembles strangers more often. Who opted out is left out of this, as of everything.
    """
    if people.is_erased(entry.customer_id):
        return []
    own, kind = people.as_known(entry.customer_id, entry.kind)
    if kind is IdentityKind.OPTED_OUT:
        return []
    one = IdentityRef(own, kind, min([entry.first_seen, *_first_seen(matches, people, own)]))
    return [
        DuplicatePair(one, two, score(cosine))
        for two, cosine in _resembling(matches, people)
        if two.customer_id != own
    ]


def ambiguous_duplicates(
    matches: Sequence[GalleryMatch], people: CustomerDirectory, score: Callable[[float], float]
) -> list[DuplicatePair]:
    """Return the two people whom a face resembles most, as alike as it is to the second.

    So twins are found whom nobody looked up when they came to be; while there are two of them, who
    comes back is neither, and no new face of either is stored.
    """
    found = _resembling(matches, people)[:2]
    return [DuplicatePair(found[0][0], found[1][0], score(found[1][1]))] if len(found) > 1 else []


def _resembling(
    matches: Sequence[GalleryMatch], people: CustomerDirectory
) -> list[tuple[IdentityRef, float]]:
    """Return people with the cosine of their most similar telling entry, best first."""
    best: dict[CustomerId, GalleryMatch] = {}
    for match in matches:
        who = people.canonical(match.customer_id)
        if _is_telling(match, people) and not people.is_erased(match.customer_id):
            best[who] = max(match, best.get(who, match), key=lambda m: m.cosine)
    found = [
        (IdentityRef(*people.as_known(who, match.kind), since), match.cosine)
        for who, match in best.items()
        if (since := min(_first_seen(matches, people, who), default=None)) is not None
    ]
    named = [(who, cosine) for who, cosine in found if who.kind is not IdentityKind.OPTED_OUT]
    return sorted(named, key=lambda row: (-row[1], row[0].customer_id))


def _first_seen(
    matches: Iterable[GalleryMatch], people: CustomerDirectory, who: CustomerId
) -> Iterator[Instant]:
    for match in matches:
        if match.first_seen is not None and people.canonical(match.customer_id) == who:
            yield match.first_seen


def _is_telling(match: GalleryMatch, people: CustomerDirectory) -> bool:
    is_enrolled = people.kind_of(match.customer_id) is not None
    return is_enrolled or match.entry_id in summaries_of(match.customer_id)


def judge_duplicates(
    pair: DuplicatePair,
    people: CustomerDirectory,
    presences: tuple[Presence | None, Presence | None],
    graph: SiteGraph,
    policy: MergePolicy,
    at: Instant,
) -> Finding | None:
    """Return whether two identities become one, are proposed to, or why not; None if unlike.

    What a person has said of two identities is final: who was told apart, or whose merge was
    undone, is neither merged nor proposed again, whichever other ids they have been given since.
    """
    if pair.score < policy.propose_at:
        return None
    ids = pair.one.customer_id, pair.two.customer_id
    if were_told_apart(people, *ids):
        return Finding(None, "told_apart")
    if conflict := apart(*presences, graph):
        return Finding(None, conflict)
    both_enrolled = _ANONYMOUS not in {pair.one.kind, pair.two.kind}
    if pair.score >= policy.merge_at and not both_enrolled:
        return Finding(_change("merged", pair, at), "merged")
    if (min(ids), max(ids)) in people.proposed:
        return Finding(None, "proposed_already")
    return Finding(_change("merge_proposed", pair, at), "proposed")


def were_told_apart(people: CustomerDirectory, one: CustomerId, two: CustomerId) -> bool:
    """Return whether somebody said that these are two people, of any of their ids."""
    heads = {one, two}
    return any(
        {people.canonical(first), people.canonical(second)} == heads
        for first, second in people.dismissed
    )


def apart(one: Presence | None, two: Presence | None, graph: SiteGraph) -> str | None:
    """Return why two identities that were on site lately cannot be one person, if they cannot."""
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
    """Return whether two stretches in one view have more than an instant in common."""
    begins, ends = max(first.first_at, second.first_at), min(first.last_at, second.last_at)
    return seconds_between(begins, ends) > 0


def survivor(one: IdentityRef, two: IdentityRef) -> tuple[IdentityRef, IdentityRef]:
    """Return who is merged and into whom: the anonymous into the enrolled, else into the elder."""
    into, gone = sorted((one, two), key=lambda f: (f.kind is _ANONYMOUS, f.first_seen, f[0]))
    return gone, into


def _change(
    what: Literal["merged", "merge_proposed"], pair: DuplicatePair, at: Instant
) -> CustomerChange:
    gone, into = survivor(pair.one, pair.two)
    return CustomerChange(
        change_id=derive_id("chg", what, "resolver", gone.customer_id, into.customer_id),
        change=what,
        customer_id=gone.customer_id,
        other=into.customer_id,
        at=at,
        by="resolver",
        score=round(pair.score, 4),
        reason="same_face",
    )


def changes_of(findings: Sequence[Finding]) -> list[CustomerChange]:
    """Return what is to be written, each once."""
    changes = {f.change.change_id: f.change for f in findings if f.change is not None}
    return list(changes.values())
