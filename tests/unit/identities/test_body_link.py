"""Links by body: means of pictures, thresholds that grow with the shop, margins, and the book."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from trinetra.identities.decision.body_link import (
    BodyBook,
    BodyMean,
    KnownBody,
    LinkPolicy,
    choose,
    rank_bodies,
    with_picture,
)
from trinetra.values import CameraId, CustomerId

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DOOR, TILL = CameraId("door"), CameraId("till")
ANNA, BEN = CustomerId("cus_anna"), CustomerId("cus_ben")
MODEL = "reid@1"


def packed(*values: float) -> bytes:
    vector = np.array(values)
    return (vector / np.linalg.norm(vector)).astype("<f2").tobytes()


def mean(vector: bytes, *, seen: int = 5, model: str = MODEL, after_s: float = 0) -> BodyMean:
    return BodyMean(model, vector, seen, NOON + timedelta(seconds=after_s))


def known(customer: CustomerId, vector: bytes, *, camera: CameraId = TILL, seen: int = 5):
    return customer, KnownBody(customer, camera, mean(vector, seen=seen))


def test_the_mean_of_pictures_is_their_average_and_counts_them() -> None:
    body = None
    for number, picture in enumerate([packed(1, 0, 0), packed(0, 1, 0), packed(0, 0, 1)]):
        body = with_picture(body, picture, MODEL, NOON + timedelta(seconds=number))
    assert body is not None
    assert body.seen == 3
    assert np.frombuffer(body.vector, "<f2") == pytest.approx([1 / 3] * 3, abs=1e-3)


def test_pictures_within_a_fifth_of_a_second_count_once() -> None:
    body = with_picture(None, packed(1, 0), MODEL, NOON)
    assert with_picture(body, packed(0, 1), MODEL, NOON + timedelta(seconds=0.1)) is body


def test_a_body_of_another_network_starts_over() -> None:
    body = with_picture(mean(packed(1, 0), seen=9), packed(0, 1), "reid@2", NOON)
    assert (body.model, body.seen) == ("reid@2", 1)


def test_the_threshold_rises_with_the_number_of_customers_and_is_higher_within_one_view() -> None:
    policy = LinkPolicy()
    here = [policy.threshold(n, same_view=True) for n in (1, 10, 100)]
    there = [policy.threshold(n, same_view=False) for n in (1, 10, 100)]
    assert here == sorted(here)
    assert all(a > b for a, b in zip(here, there, strict=True))
    # By hand: 0.15 + 0.105 * 3.40 and 0.11 + 0.07 * 3.40, for a one-sided tail of 0.01 / 30.
    assert (here[1], there[1]) == pytest.approx((0.507, 0.348), abs=0.002)


def test_strangers_exceed_the_threshold_as_rarely_as_asked() -> None:
    policy, shop = LinkPolicy(false_link_rate=0.05, looks=(5,)), 40
    cosines = np.random.default_rng(7).normal(0.11, 0.07, (20_000, shop))
    exceeded = (cosines.max(axis=1) >= policy.threshold(shop, same_view=False)).mean()
    assert exceeded == pytest.approx(0.05, abs=0.006)


def chosen(
    *bodies: tuple[CustomerId, KnownBody], absent: CustomerId | None = None
) -> CustomerId | None:
    """Return the customer to whom a body at the door is linked."""
    policy = LinkPolicy()
    ranked = rank_bodies(mean(packed(1, 0.3)), DOOR, bodies, policy)
    found = choose(ranked, lambda customer_id: customer_id != absent, policy)
    return found[0].customer_id if found else None


def test_a_clearly_most_similar_customer_is_linked() -> None:
    assert chosen(known(BEN, packed(0, 1)), known(ANNA, packed(1, 0))) == ANNA


def test_the_evidence_tells_cosine_threshold_and_lead() -> None:
    policy, body = LinkPolicy(), mean(packed(1, 0.3))
    customers = [known(BEN, packed(0, 1)), known(ANNA, packed(1, 0))]
    best, other = rank_bodies(body, DOOR, customers, policy)
    evidence = best.evidence(body, policy, other)
    assert (evidence.customer_id, evidence.from_camera, evidence.compared) == (ANNA, TILL, 2)
    assert evidence.cosine == pytest.approx(1 / np.hypot(1, 0.3), abs=1e-3)
    assert evidence.threshold == pytest.approx(policy.threshold(2, same_view=False), abs=1e-3)
    assert evidence.margin == pytest.approx(0.7 / np.hypot(1, 0.3), abs=1e-3)


def test_two_customers_in_like_clothes_are_not_linked_unless_one_cannot_be_here() -> None:
    alike = known(BEN, packed(1, 0.2)), known(ANNA, packed(1, 0.1))
    assert chosen(*alike) is None
    assert chosen(*alike, absent=BEN) == ANNA


def test_a_customer_who_resembles_too_little_is_not_linked() -> None:
    assert chosen(known(ANNA, packed(-0.1, 1))) is None


def test_a_customer_known_by_two_cameras_is_no_rival_of_their_own() -> None:
    (best,) = rank_bodies(
        mean(packed(1, 0)),
        DOOR,
        [known(ANNA, packed(1, 0.1)), known(ANNA, packed(1, 0.2), camera=DOOR)],
        LinkPolicy(),
    )
    assert best.known.camera_id == TILL  # as similar, and on the scale of two views
    assert best.compared == 1


def test_the_cosine_is_that_of_single_pictures_however_many_there_are() -> None:
    rng = np.random.default_rng(5)
    look = np.zeros(256)
    look[0] = 0.7
    single = [look + rng.normal(0, np.sqrt(0.51 / 256), 256) for _ in range(120)]
    found = []
    for count in (5, 60):
        bodies: list[BodyMean] = []
        for pictures in (single[:count], single[60 : 60 + count]):
            body = None
            for number, picture in enumerate(pictures):
                at = NOON + timedelta(seconds=number)
                body = with_picture(body, packed(*picture), MODEL, at)
            assert body is not None
            bodies.append(body)
        known_body = ANNA, KnownBody(ANNA, TILL, bodies[1])
        (best,) = rank_bodies(bodies[0], DOOR, [known_body], LinkPolicy())
        found.append(best.cosine)
    assert found == pytest.approx([0.49, 0.49], abs=0.03)


def test_few_pictures_and_other_networks_are_not_compared() -> None:
    few = known(ANNA, packed(1, 0), seen=4)
    other = BEN, KnownBody(BEN, TILL, mean(packed(1, 0), model="reid@2"))
    assert rank_bodies(mean(packed(1, 0)), DOOR, [few, other], LinkPolicy()) == []


def test_the_book_is_bounded_and_drops_the_body_that_was_noted_longest_ago() -> None:
    book = BodyBook(max_bodies=2)
    for second, customer in enumerate((ANNA, BEN, ANNA)):
        book.note(customer, DOOR, mean(packed(1, 0), after_s=second))
    book.note(CustomerId("cus_cleo"), DOOR, mean(packed(1, 0), after_s=3))
    assert [customer for customer, _ in book.known] == [ANNA, "cus_cleo"]


def test_the_book_drops_what_is_too_old_and_what_a_fast_clock_dated_in_the_future() -> None:
    book = BodyBook()
    for customer, after_s in ((ANNA, -100), (BEN, 0), (CustomerId("cus_cleo"), 100)):
        book.note(customer, DOOR, mean(packed(1, 0), after_s=after_s))
    book.evict(NOON, 50)
    assert [customer for customer, _ in book.known] == [BEN]
