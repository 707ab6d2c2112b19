"""Enrollment: needs a legal basis and photos of one person; similar customers are found."""

import numpy as np
import pytest
from tests.flows.shop import NOON, Person

from trinetra.errors import CustomerConflict, PhotoRejected
from trinetra.events.customers import CustomerChange, CustomerDirectory, NumberedChange
from trinetra.identities.decision.enrollment import (
    enrolled,
    faces_of,
    likenesses,
    need_a_basis,
    need_one_person,
)
from trinetra.identities.decision.matching import MatchingPolicy
from trinetra.identities.tracking.track_faces import Shot
from trinetra.values import CustomerId, IdentityKind, after

ANN, BOB = CustomerId("ann"), CustomerId("bob")
POLICY = MatchingPolicy()


def shots(person: Person, count: int = 3) -> list[Shot]:
    return [Shot(person.photo(), 0.8, 90.0, NOON) for _ in range(count)]


def people_with(*customers: CustomerId) -> CustomerDirectory:
    directory = CustomerDirectory()
    for number, who in enumerate(customers, start=1):
        change = enrolled(who, who, IdentityKind.VIP, NOON, consent=True, purpose=None)
        directory.apply([NumberedChange(number, change)])
    return directory


@pytest.mark.parametrize(
    ("kind", "consent", "purpose", "is_allowed"),
    [
        (IdentityKind.ENROLLED, True, None, True),
        (IdentityKind.ENROLLED, False, "marketing", False),
        (IdentityKind.VIP, False, None, False),
        (IdentityKind.OPTED_OUT, False, None, False),
        (IdentityKind.OPTED_OUT, True, None, True),
        (IdentityKind.STAFF, False, None, False),
        (IdentityKind.STAFF, False, "works agreement 7", True),
        (IdentityKind.WATCHLIST, True, None, False),
        (IdentityKind.WATCHLIST, False, "theft, case 12", True),
        (IdentityKind.ANONYMOUS, True, "any", False),
    ],
)
def test_a_face_is_kept_only_on_a_basis(
    kind: IdentityKind, *, consent: bool, purpose: str | None, is_allowed: bool
) -> None:
    if is_allowed:
        need_a_basis(kind, consent=consent, purpose=purpose)
        return
    with pytest.raises(CustomerConflict):
        need_a_basis(kind, consent=consent, purpose=purpose)


def test_photos_of_two_people_are_told_apart_by_name() -> None:
    anna, ben = shots(Person(1), 2), shots(Person(2), 1)
    photos = {"a1.jpg": anna[0], "a2.jpg": anna[1], "b.jpg": ben[0]}

    with pytest.raises(PhotoRejected, match=r"b\.jpg seems to show another person"):
        need_one_person(photos, POLICY)


def test_photos_of_one_person_and_a_single_one_are_fine() -> None:
    need_one_person({str(i): shot for i, shot in enumerate(shots(Person(1), 5))}, POLICY)
    need_one_person({"only.jpg": shots(Person(1), 1)[0]}, POLICY)


def test_who_is_enrolled_already_is_found_under_the_id_that_holds_now() -> None:
    person, directory = Person(1), people_with(ANN, BOB)
    merged = CustomerChange(
        change_id="m", change="merged", customer_id=CustomerId("old"), other=ANN, at=NOON
    )
    directory.apply([NumberedChange(9, merged)])
    templates = faces_of(CustomerId("old"), IdentityKind.VIP, shots(person))
    templates += faces_of(BOB, IdentityKind.VIP, shots(Person(2)))

    [found] = likenesses(shots(person), templates, directory, POLICY)

    assert found.customer.customer_id == ANN
    assert found.score >= POLICY.similarity


def test_every_photo_and_all_together_are_kept_under_ids_of_the_person() -> None:
    entries = faces_of(ANN, IdentityKind.STAFF, shots(Person(1), 3))

    assert len({entry.entry_id for entry in entries}) == 4
    assert {(e.customer_id, e.kind, e.expires_at) for e in entries} == {
        (ANN, IdentityKind.STAFF, None)
    }
    assert all(np.linalg.norm(e.embedding) == pytest.approx(1, abs=1e-5) for e in entries)


# --- what is written, and the limits ----------------------------------------------------------


def facing(degrees: float, quality: float = 0.8) -> Shot:
    """Return a face at an angle to the first axis: two of them are as similar as their cosine."""
    angle = np.radians(degrees)
    return Shot(np.array([np.cos(angle), np.sin(angle)], np.float32), quality, 90.0, NOON)


COSINE = MatchingPolicy(
    similarity=0.75, margin=0.1, new_below=0.5, scale_offset=0.0, scale_gain=1.0
)


def test_an_enrollment_says_who_on_what_basis_and_when() -> None:
    change = enrolled(ANN, "Ann", IdentityKind.STAFF, NOON, consent=True, purpose="agreement 7")
    assert (change.change, change.customer_id, change.name) == ("enrolled", ANN, "Ann")
    assert (change.kind, change.at) == (IdentityKind.STAFF, NOON)
    assert (change.consent, change.purpose, change.by) == (True, "agreement 7", "operator")
    other = enrolled(BOB, "Ann", IdentityKind.STAFF, NOON, consent=True, purpose=None)
    later = enrolled(ANN, "Ann", IdentityKind.STAFF, after(NOON, 1), consent=True, purpose=None)
    again = enrolled(ANN, "Anna", IdentityKind.VIP, NOON, consent=True, purpose=None)
    assert len({change.change_id, other.change_id, later.change_id}) == 3
    assert again.change_id == change.change_id


def test_a_photo_that_is_just_similar_enough_to_the_others_is_of_the_same_person() -> None:
    need_one_person({"a": facing(0), "b": facing(59)}, COSINE)
    with pytest.raises(PhotoRejected, match=r"a seems .* 0\.48, .* reach 0\.50"):
        need_one_person({"a": facing(0), "b": facing(61)}, COSINE)


def test_a_photo_is_compared_with_all_others_together() -> None:
    photos = {"left": facing(-35), "front": facing(0), "right": facing(35)}
    need_one_person(photos, COSINE)


def test_similar_customers_are_found_from_the_threshold_on_the_most_similar_first() -> None:
    directory = people_with(ANN, BOB)
    templates = [
        *faces_of(ANN, IdentityKind.VIP, [facing(40), facing(80)]),
        *faces_of(BOB, IdentityKind.VIP, [facing(10)]),
        *faces_of(CustomerId("cleo"), IdentityKind.VIP, [facing(0)]),
    ]
    found = likenesses([facing(0)], templates, directory, COSINE)
    assert [likeness.customer.customer_id for likeness in found] == [BOB, ANN]
    assert [likeness.score for likeness in found] == pytest.approx(
        [np.cos(np.radians(10)), np.cos(np.radians(40))]
    )
    assert likenesses([facing(90 + 60)], templates, directory, COSINE) == []


def test_the_reason_for_a_refusal_names_what_is_missing() -> None:
    for kind, word in (
        (IdentityKind.VIP, "vip needs the person's consent.*--consent"),
        (IdentityKind.STAFF, "--consent, or --purpose"),
        (IdentityKind.WATCHLIST, "--purpose"),
        (IdentityKind.ANONYMOUS, "--kind"),
    ):
        with pytest.raises(CustomerConflict, match=word):
            need_a_basis(kind, consent=False, purpose=None)
