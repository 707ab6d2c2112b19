"""Rules for enrolling a person from photos; embeddings are kept, never the photos."""

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
    """An enrolled customer with nearly the same face; ``score`` is calibrated."""

    customer: Customer
    score: float


def need_a_basis(kind: IdentityKind, *, consent: bool, purpose: str | None) -> None:
    """Require a legal basis for keeping a face; raises CustomerConflict without one.

    Customers consent (GDPR, Article 9(2)(a)), and so do people who opt out, whose face is kept so
    that they can be left out. Staff consent, or the purpose names an agreement or law (9(2)(b),
    88). A watchlist has no consent: the purpose names the legal claim or public interest (9(2)(f),
    (g)).
    """
    if kind in _BY_CONSENT and not consent:
        raise CustomerConflict(
            f"{kind.value} needs the person's consent: ask, and record it (--consent)"
        )
    if kind is IdentityKind.STAFF and not (consent or purpose):
        raise CustomerConflict(
            "staff needs consent, or as a purpose the agreement or law that allows it "
            "(--consent, or --purpose TEXT)"
        )
    if kind is IdentityKind.WATCHLIST and not purpose:
        raise CustomerConflict(
            "watchlist needs a purpose (--purpose TEXT): what this person did, or which claim is "
            "pursued"
        )
    if kind is IdentityKind.ANONYMOUS:
        raise CustomerConflict(
            "people cannot be enrolled as anonymous; choose another kind (--kind)"
        )


def need_one_person(shots: Mapping[str, Shot], policy: MatchingPolicy) -> None:
    """Require that all photos show one person; raises PhotoRejected naming one that does not.

    Each photo is compared with the fused face of the others and must not score below
    ``new_below``, the limit for a different person.
    """
    for photo, shot in shots.items():
        other_shots = tuple(s for name, s in shots.items() if name != photo)
        if not other_shots:
            return
        score = policy.score(float(shot.embedding @ fuse(other_shots)))
        if score < policy.new_below:
            raise PhotoRejected(
                f"{photo} seems to show another person than the other photos: its similarity to "
                f"them is {score:.2f}, and one person's photos reach {policy.new_below:.2f}"
            )


def likenesses(
    shots: Iterable[Shot],
    templates: Iterable[GalleryEntry],
    directory: CustomerDirectory,
    policy: MatchingPolicy,
) -> list[Likeness]:
    """Return the enrolled customers whose faces would match, the most similar first."""
    face = fuse(tuple(shots))
    best: dict[CustomerId, float] = {}
    for entry in templates:
        customer_id = directory.canonical(entry.customer_id)
        best[customer_id] = max(
            policy.score(float(face @ entry.embedding)), best.get(customer_id, 0.0)
        )
    found = [
        Likeness(directory.customers[customer_id], score)
        for customer_id, score in best.items()
        if score >= policy.similarity and customer_id in directory.customers
    ]
    return sorted(found, key=lambda likeness: -likeness.score)


def faces_of(
    customer_id: CustomerId, kind: IdentityKind, shots: Sequence[Shot]
) -> list[GalleryEntry]:
    """Return the gallery entries of an enrolled customer: one per photo and their fused face."""
    kept = RetentionPolicy({})  # without expiry: enrolled customers stay until they are erased
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
    """Return the change that enrolls a customer."""
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
