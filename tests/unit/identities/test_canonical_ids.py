"""The customer directory applied: canonical ids, published changes, and whom an erasure reaches."""

from datetime import UTC, datetime

import pytest

from trinetra.events.customers import (
    ChangeKind,
    CustomerChange,
    CustomerDirectory,
    NumberedChange,
    erasure_digest,
)
from trinetra.identities.decision.canonical_ids import (
    as_known,
    event_of,
    resembling,
    without_rivals,
)
from trinetra.identities.decision.matching import MatchingPolicy
from trinetra.values import CustomerId, GalleryMatch, IdentityKind, SiteId

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ANN, BEN, CLEO = CustomerId("ann"), CustomerId("ben"), CustomerId("cleo")
ANONYMOUS, VIP = IdentityKind.ANONYMOUS, IdentityKind.VIP
SHOP = SiteId("shop")


def change(what: ChangeKind, who: CustomerId, **more: object) -> CustomerChange:
    return CustomerChange(change_id=f"{what} {who}", change=what, customer_id=who, at=NOON, **more)


def directory(*changes: CustomerChange) -> CustomerDirectory:
    folded = CustomerDirectory()
    folded.apply([NumberedChange(number, said) for number, said in enumerate(changes, 1)])
    return folded


def match(who: CustomerId, cosine: float = 0.9, kind: IdentityKind = ANONYMOUS) -> GalleryMatch:
    return GalleryMatch(f"emb_{who}", who, kind, cosine, NOON)


def test_a_match_is_known_under_its_canonical_id_and_current_kind() -> None:
    known = directory(change("enrolled", BEN, kind=VIP), change("merged", ANN, other=BEN))
    found = as_known(known, [match(ANN, 0.8), match(CLEO, 0.7)])
    assert [(m.customer_id, m.kind, m.cosine) for m in found] == [
        (BEN, VIP, 0.8),
        (CLEO, ANONYMOUS, 0.7),
    ]


def test_erased_customers_match_nothing_and_the_others_are_kept() -> None:
    found = as_known(directory(change("erased", erasure_digest(ANN))), [match(ANN), match(BEN)])
    assert [m.customer_id for m in found] == [BEN]


def test_a_change_is_published_without_the_name() -> None:
    said = change("enrolled", ANN, kind=VIP, name="Ann Example", consent=True)
    event = event_of(said, directory(said), SHOP)
    assert event is not None
    assert (event.change, event.customer_id, event.kind) == ("created", ANN, VIP)
    assert (event.site_id, event.captured_at, event.by) == (SHOP, NOON, "operator")
    assert "Example" not in repr(event)


def test_a_published_merge_names_both_the_score_and_who_decided() -> None:
    said = change("merged", ANN, other=BEN, score=0.91, reason="same_face", by="resolver")
    event = event_of(said, directory(said), SHOP)
    assert event is not None
    assert (event.customer_id, event.other, event.score) == (ANN, BEN, 0.91)
    assert (event.reason, event.by) == ("same_face", "resolver")


def test_every_change_is_one_event_however_often_it_is_published() -> None:
    one, other = change("erased", ANN), change("erased", BEN)
    ids = {said.change_id: set[str]() for said in (one, other)}
    for said in (one, other, one):
        event = event_of(said, directory(), SHOP)
        assert event is not None
        ids[said.change_id].add(event.event_id)
    assert [len(found) for found in ids.values()] == [1, 1]
    assert len(set.union(*ids.values())) == 2


def test_a_dismissed_proposal_is_not_published() -> None:
    assert event_of(change("merge_dismissed", ANN, other=BEN), directory(), SHOP) is None


@pytest.mark.parametrize(("who", "other"), [(ANN, BEN), (BEN, ANN)])
def test_nothing_that_involves_a_person_who_opted_out_is_published(
    who: CustomerId, other: CustomerId
) -> None:
    known = directory(change("enrolled", BEN, kind=IdentityKind.OPTED_OUT))
    assert event_of(change("merge_proposed", who, other=other), known, SHOP) is None


def test_only_anonymous_identities_clearly_above_the_threshold_resemble() -> None:
    policy = MatchingPolicy(similarity=0.7, margin=0.05, scale_offset=0.0, scale_gain=1.0)
    known = directory(change("enrolled", BEN, kind=VIP))
    assert resembling([[match(ANN, 0.76)], [match(CLEO, 0.74)]], known, policy) == {ANN}
    assert resembling([[match(BEN, 0.99)]], known, policy) == set()
    assert resembling([[match(ANN, 0.99, IdentityKind.STAFF)]], known, policy) == set()


@pytest.mark.parametrize(
    ("enrolled_cosine", "is_proposed", "left"),
    [
        (0.9, True, ["ann", "cleo"]),
        (0.9, False, ["ann", "ben", "cleo"]),
        (0.2, True, ["ann", "ben", "cleo"]),
    ],
)
def test_an_identity_that_may_be_an_enrolled_person_does_not_rival_that_person(
    enrolled_cosine: float, is_proposed: bool, left: list[str]
) -> None:
    changes = [change("enrolled", ANN, kind=VIP)]
    if is_proposed:
        changes.append(change("merge_proposed", BEN, other=ANN))
    matches = [match(ANN, enrolled_cosine, VIP), match(BEN, 0.91), match(CLEO, 0.92)]
    found = without_rivals(directory(*changes), matches, MatchingPolicy())
    assert [one.customer_id for one in found] == left
