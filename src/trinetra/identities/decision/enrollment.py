"""Who may be enrolled from photos, and what is kept of them: faces as numbers, never the photos."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from trinetra.errors import CustomerConflict, PhotoRejected
from trinetra.events.customers import Customer, CustomerChange, CustomerDirectory
from trinetra.identities.decision.lifecycle import RetentionPolicy, enroll
from trinetra.identities.decision.matching import MatchingPolicy
from trinetra.identities.tracking.track_faces import Shot, fuse
from trinetra.values import CustomerId, GalleryEntry, IdentityKind, Instant, derive_id

_BY_CONSENT = frozenset({IdentityKind.ENROLLED, IdentityKind.VIP, IdentityKind.OPTED_OUT})


class Likeness(NamedTuple):
    """Somebody enrolled who has nearly the same face; ``score`` is calibrated."""

    customer: Customer
    score: float


def need_a_basis(kind: IdentityKind, *, consent: bool, purpose: str | None) -> None:
    """Refuse to keep a face without a reason that the law knows; raises CustomerConflict.

    Customers consent (GDPR, Article 9(2)(a)), and so does who opts out, whose face is kept to leave
    it out. Staff consent, or an agreement or law is named as the purpose (9(2)(b), 88). Nobody on a
    watchlist consents: there the legal claim or public interest is named (9(2)(f), (g)).
    """
    if kind in _BY_CONSENT and not consent:
        raise CustomerConflict(f"{kind.value} needs the person's consent: ask, and add --consent")
    if kind is IdentityKind.STAFF and not (consent or purpose):
        raise CustomerConflict(
            "staff needs --consent, or --purpose with the agreement or law that allows it"
        )
    if kind is IdentityKind.WATCHLIST and not purpose:
        raise CustomerConflict(
            "watchlist needs --purpose: what this person did, or which claim is pursued"
        )
    if kind is IdentityKind.ANONYMOUS:
        raise CustomerConflict("nobody is enrolled as anonymous; choose another --kind")


def need_one_person(shots: Mapping[str, Shot], policy: MatchingPolicy) -> None:
    """Refuse photos that show different people; raises PhotoRejected naming the worst one.

    Each must resemble the others taken together as far as only one person's face does.
    """
    for photo, shot in shots.items():
        others = tuple(s for name, s in shots.items() if name != photo)
        if not others:
            return
        score = policy.score(float(shot.embedding @ fuse(others)))
        if score < policy.new_below:
            raise PhotoRejected(
                f"{photo} seems to show somebody else than the other photos: they resemble each "
                f"other by {score:.2f}, and {policy.new_below:.2f} is the least for one person"
            )


def likenesses(
    shots: Iterable[Shot],
    templates: Iterable[GalleryEntry],
    people: CustomerDirectory,
    policy: MatchingPolicy,
) -> list[Likeness]:
    """Return who is enrolled already with a face that would match, the most alike first."""
    face = fuse(tuple(shots))
    best: dict[CustomerId, float] = {}
    for entry in templates:
        who = people.canonical(entry.customer_id)
        best[who] = max(policy.score(float(face @ entry.embedding)), best.get(who, 0.0))
    found = [
        Likeness(people.customers[who], score)
        for who, score in best.items()
        if score >= policy.similarity and who in people.customers
    ]
    return sorted(found, key=lambda likeness: -likeness.score)


def faces_of(
    customer_id: CustomerId, kind: IdentityKind, shots: Sequence[Shot]
) -> list[GalleryEntry]:
    """Return what the gallery is to know somebody by: every photo's face, and all together."""
    kept = RetentionPolicy({})  # enrolled people are kept until they are forgotten
    return enroll(customer_id, kind, shots, kept, variety=len(shots))


def enrolled(
    customer_id: CustomerId,
    name: str,
    kind: IdentityKind,
    at: Instant,
    *,
    consent: bool,
    purpose: str | None,
) -> CustomerChange:
    """Return the change that makes somebody known to the shop."""
    return CustomerChange(
        change_id=derive_id("chg", "enrolled", customer_id, at),
        change="enrolled",
        customer_id=customer_id,
        at=at,
        kind=kind,
        name=name,
        consent=consent,
        purpose=purpose,
    )
