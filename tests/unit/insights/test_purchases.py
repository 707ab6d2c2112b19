"""Purchases: which receipt belongs to whom, however wrong the clock of a till is."""

import itertools
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.events.derivation import Span
from trinetra.events.receipts import ReceiptRules, read_receipt
from trinetra.events.schema import InsightEvent, Purchase, Receipt, UnpaidStay, Visit, ZoneStay
from trinetra.insights.purchases.association import Pairs, marginals, most_likely
from trinetra.insights.purchases.derivation import Purchases
from trinetra.insights.purchases.policy import PurchasePolicy
from trinetra.insights.purchases.services import groups_of_tills, services_at
from trinetra.insights.purchases.till_clock import Services, estimate_clock
from trinetra.values import CameraId, CustomerId, EventId, IdentityKind, SiteId, TrackId

DAY = datetime(2026, 11, 20, tzinfo=UTC)
NINE = DAY + timedelta(hours=9)
WHOLE = Span(DAY, DAY + timedelta(days=1))
TILL = CameraId("till")
ZONES = {"till-1": frozenset({(TILL, "desk-1")}), "till-2": frozenset({(TILL, "desk-2")})}
RULES = ReceiptRules(SiteId("shop"))


def at(seconds: float) -> datetime:
    return NINE + timedelta(seconds=seconds)


def stay(
    who: str, end_s: float, length_s: float = 30.0, zone: str = "desk-1", **changes: object
) -> ZoneStay:
    return ZoneStay(
        event_id=EventId(f"stay-{who}-{zone}"),
        site_id=RULES.site_id,
        camera_id=TILL,
        captured_at=at(end_s),
        zone_id=zone,
        track_id=TrackId(f"track-{who}"),
        label="person",
        entered_at=at(end_s - length_s),
        dwell_s=length_s,
        **changes,
    )


def receipt(number: int, at_s: float, till: str = "till-1", **changes: object) -> Receipt:
    document = {
        "receipt_id": f"R-{number}",
        "till_id": till,
        "issued_at": at(at_s).isoformat(),
        "total_minor": 1000 + number,
        "currency": "EUR",
        **changes,
    }
    return read_receipt(document, RULES, None)


def derived(
    events: Sequence[InsightEvent], span: Span = WHOLE, **policy: float
) -> list[InsightEvent]:
    derivation = Purchases(ZONES, PurchasePolicy(**policy))
    ordered = sorted(events, key=lambda e: (e.captured_at, e.event_id))
    return list(derivation.derive(span, ordered))


def payers(events: Sequence[InsightEvent]) -> dict[str, str | None]:
    return {
        e.receipt_id: e.track_id and e.track_id.removeprefix("track-")
        for e in events
        if isinstance(e, Purchase)
    }


def queue(offset_s: float, number: int = 20, seed: int = 3) -> list[InsightEvent]:
    """Return people served one after the other, and receipts by a clock that is wrong."""
    draw = np.random.default_rng(seed)
    events: list[InsightEvent] = []
    end_s = 0.0
    for person in range(number):
        length_s = float(draw.uniform(15, 60))
        end_s += length_s + float(draw.uniform(1, 90))
        printed_s = end_s - offset_s + float(draw.normal(0, 2))
        events += [stay(str(person), end_s, length_s), receipt(person, printed_s)]
    return events


# --- whose receipt it is ------------------------------------------------------------------------


@pytest.mark.parametrize("offset_s", [0.0, 37.0, -52.0, 400.0, -610.0])
def test_receipts_find_their_payers_whatever_the_clock_of_the_till_shows(offset_s: float) -> None:
    found = derived(queue(offset_s))
    assert payers(found) == {f"R-{n}": str(n) for n in range(20)}
    for purchase in found:
        assert isinstance(purchase, Purchase)
        assert purchase.offset_s == pytest.approx(offset_s, abs=3)
        assert purchase.paid_at - purchase.captured_at == timedelta(seconds=purchase.offset_s)


def test_tills_have_clocks_of_their_own() -> None:
    one = queue(30.0)
    two = [
        msgspec.structs.replace(e, zone_id="desk-2", event_id=EventId(f"{e.event_id}-2"))
        if isinstance(e, ZoneStay)
        else receipt(100 + n, (e.issued_at - NINE).total_seconds() + 90, "till-2")
        for n, e in enumerate(queue(0.0, seed=4))
        if isinstance(e, ZoneStay | Receipt)
    ]
    offsets: dict[str, set[int]] = {"till-1": set(), "till-2": set()}
    for event in derived([*one, *two]):
        if isinstance(event, Purchase):
            offsets[event.till_id].add(round(event.offset_s / 10) * 10)
    assert offsets == {"till-1": {30}, "till-2": {-90}}


def test_a_clock_that_drifts_over_the_day_is_followed() -> None:
    events: list[InsightEvent] = []
    for n in range(60):
        end_s = 600.0 * n
        events += [stay(str(n), end_s), receipt(n, end_s - 20 - 2e-4 * end_s)]
    found = derived(events)
    assert payers(found) == {f"R-{n}": str(n) for n in range(60)}
    first, last = (e for e in (found[0], found[-1]) if isinstance(e, Purchase))
    assert last.offset_s - first.offset_s == pytest.approx(7, abs=2.5)


def test_a_receipt_without_anybody_at_the_till_belongs_to_nobody() -> None:
    found = derived([*queue(5.0), receipt(99, 3600.0)])
    assert payers(found)["R-99"] is None
    (lonely,) = (e for e in found if isinstance(e, Purchase) and e.receipt_id == "R-99")
    assert (lonely.camera_id, lonely.stay_id, lonely.customer_id) == ("", None, None)
    assert lonely.confidence > 0.9


def test_a_stay_without_a_receipt_is_reported_if_it_was_long_enough() -> None:
    events = [*queue(5.0), stay("browser", 2100.0), stay("passer", 2150.0, 2.0), receipt(50, 4000)]
    unpaid = [e for e in derived(events) if isinstance(e, UnpaidStay)]
    assert [(e.track_id, e.till_id, e.dwell_s) for e in unpaid] == [
        ("track-browser", "till-1", 30.0)
    ]


def test_nothing_is_unpaid_where_no_receipts_come_from_or_not_yet() -> None:
    other_till = stay("other", 100.0, zone="desk-2")
    later = stay("later", 9000.0)
    found = derived([*queue(0.0), other_till, later])
    assert not any(isinstance(e, UnpaidStay) for e in found)


def test_one_person_pays_one_receipt() -> None:
    found = derived([stay("a", 100.0), receipt(1, 99.0), receipt(2, 101.0)], least_confidence=0.0)
    assert sorted(payers(found).values(), key=str) == [None, "a"]


def test_between_two_people_who_left_at_once_the_confidence_is_shared() -> None:
    apart = [stay("a", 300.0, 20.0), stay("b", 306.0, 5.5)]  # one after the other, not together
    found = derived([*queue(0.0), *apart, receipt(77, 303.0)], least_confidence=0.0)
    (doubtful,) = (e for e in found if isinstance(e, Purchase) and e.receipt_id == "R-77")
    assert doubtful.confidence < 0.9


def test_below_the_least_confidence_nobody_is_named() -> None:
    events = [*queue(0.0), receipt(99, 10_000.0), stay("far", 10_040.0)]
    assert payers(derived(events))["R-99"] is None


@pytest.mark.parametrize("kind", ["refund", "void", "training"])
def test_only_sales_are_purchases(kind: str) -> None:
    found = derived([stay("a", 100.0), receipt(1, 100.0, kind=kind)])
    assert payers(found) == {}


def test_a_sale_at_a_till_that_no_camera_sees_belongs_to_nobody() -> None:
    found = derived([stay("a", 100.0), receipt(1, 100.0, "till-9")])
    assert payers(found) == {"R-1": None}


def test_staff_and_vehicles_do_not_pay() -> None:
    cashier = stay("cashier", 100.0, kind=IdentityKind.STAFF)
    car = msgspec.structs.replace(stay("car", 100.0), label="car")
    assert payers(derived([cashier, car, receipt(1, 100.0)])) == {"R-1": None}


def test_a_party_has_one_receipt_and_its_known_customer_stands_for_it() -> None:
    ann = CustomerId("cus_ann")
    party = [
        stay("a", 100.0, 40.0),
        stay("b", 101.0, 35.0, customer_id=ann, kind=IdentityKind.ENROLLED),
        stay("c", 103.0, 42.0),
    ]
    found = derived([*queue(0.0, 8, seed=9), *party, receipt(50, 101.0), receipt(51, 3000.0)])
    (purchase,) = (e for e in found if isinstance(e, Purchase) and e.receipt_id == "R-50")
    assert (purchase.track_id, purchase.customer_id) == ("track-b", ann)
    assert not any(isinstance(e, UnpaidStay) and e.track_id == "track-a" for e in found)


def test_the_way_before_the_payment_is_told_for_a_recognized_customer() -> None:
    ann = CustomerId("cus_ann")
    visit = Visit(
        event_id=EventId("visit"),
        site_id=RULES.site_id,
        camera_id=CameraId("door"),
        captured_at=at(110.0),
        customer_id=ann,
        kind=IdentityKind.ANONYMOUS,
        started_at=at(-600.0),
        cameras=(CameraId("door"),),
        visit_number=1,
    )
    shelves = [
        msgspec.structs.replace(
            stay(f"{zone}{n}", end_s, 20.0, zone, customer_id=ann), camera_id=CameraId("aisle")
        )
        for n, (zone, end_s) in enumerate([("bread", -300), ("milk", -100), ("bread", -50)])
    ]
    before = msgspec.structs.replace(shelves[0], event_id=EventId("old"), captured_at=at(-900.0))
    events = [visit, *shelves, before, stay("a", 100.0, customer_id=ann), receipt(1, 99.0)]
    (purchase,) = (e for e in derived(events) if isinstance(e, Purchase))
    assert purchase.entered_at == at(-600.0)
    assert purchase.zones_before == ("aisle/bread", "aisle/milk")


# --- windows ------------------------------------------------------------------------------------


def test_the_order_of_the_events_does_not_matter() -> None:
    events = [*queue(12.0), stay("x", 2000.0), receipt(99, 5000.0)]
    shuffled = list(events)
    random.Random(5).shuffle(shuffled)
    assert derived(shuffled) == derived(events)


def test_each_receipt_is_in_the_window_of_its_own_time_and_in_no_other() -> None:
    midnight = DAY + timedelta(days=1)
    shift_s = (midnight - NINE).total_seconds() - 900
    events = [
        stay(str(n), shift_s + 90.0 * n) if i else receipt(n, shift_s + 90.0 * n - 5)
        for n in range(20)
        for i in range(2)
    ]
    first = derived(events)
    second = derived(events, Span(midnight, midnight + timedelta(days=1)))
    assert payers(first).keys() & payers(second).keys() == set()
    assert payers(first) | payers(second) == {f"R-{n}": str(n) for n in range(20)}


def test_a_purchase_keeps_its_id_when_it_is_attributed_anew() -> None:
    receipts = [receipt(1, 100.0)]
    before, after = derived(receipts), derived([*receipts, stay("a", 101.0)])
    assert [e.event_id for e in before] == [e.event_id for e in after]
    assert payers(before) != payers(after)


# --- parts --------------------------------------------------------------------------------------


def _exact(odds: np.ndarray) -> np.ndarray:
    """Return the marginals by enumeration of all associations."""
    rows, columns = odds.shape
    total, found = 0.0, np.zeros_like(odds)
    for choice in itertools.product(range(-1, columns), repeat=rows):
        taken = [c for c in choice if c >= 0]
        if len(set(taken)) < len(taken):
            continue
        weight = float(np.prod([odds[r, c] for r, c in enumerate(choice) if c >= 0]))
        total += weight
        for row, column in enumerate(choice):
            if column >= 0:
                found[row, column] += weight
    return found / total


def pairs(odds: np.ndarray) -> Pairs:
    row, column = np.nonzero(odds > 0)
    return Pairs(row, column, odds[row, column], *odds.shape)


def test_marginals_are_exact_where_the_pairs_form_a_chain() -> None:
    odds = np.array([[4.0, 1.0, 0.0], [0.0, 3.0, 2.0]])
    chain = pairs(odds)
    assert marginals(chain) == pytest.approx(_exact(odds)[chain.row, chain.column], abs=1e-4)


@given(st.lists(st.floats(0.01, 50.0), min_size=9, max_size=9))
def test_marginals_are_close_to_exact_ones_and_no_service_is_given_away_twice(
    values: list[float],
) -> None:
    odds = np.array(values).reshape(3, 3)
    all_pairs = pairs(odds)
    share = marginals(all_pairs)
    assert all_pairs.by_row(share).max() <= 1 + 1e-6
    assert all_pairs.by_column(share).max() <= 1 + 1e-3
    assert (
        np.abs(share - _exact(odds)[all_pairs.row, all_pairs.column]).max() < 0.25
    )  # as it is where pairs form loops


@given(st.lists(st.floats(0.01, 50.0), min_size=9, max_size=9))
def test_the_most_likely_association_is_found(values: list[float]) -> None:
    odds = np.array(values).reshape(3, 3)
    all_pairs = pairs(odds)
    chosen = most_likely(all_pairs).values()
    product = float(np.prod([all_pairs.odds[pair] for pair in chosen]))
    best = max(
        float(np.prod([odds[r, c] for r, c in enumerate(choice) if c >= 0]))
        for choice in itertools.product(range(-1, 3), repeat=3)
        if len({c for c in choice if c >= 0}) == sum(c >= 0 for c in choice)
    )
    assert product == pytest.approx(best)
    assert len({int(all_pairs.column[pair]) for pair in chosen}) == len(chosen)


def test_without_receipts_or_services_the_clock_is_the_prior() -> None:
    policy = PurchasePolicy()
    nothing = np.zeros(0)
    for issued_s, ends_s in ((nothing, nothing), (np.array([5.0]), nothing), (nothing, np.ones(1))):
        clock = estimate_clock(issued_s, Services(ends_s, ends_s * 30), policy)
        assert (clock.offset_s, clock.spread_s) == (0.0, policy.usual_spread_s)


def test_people_who_were_there_together_were_one_party_only_at_one_till() -> None:
    stays = [stay("a", 100.0), stay("b", 102.0, 28.0), stay("c", 104.0, 1.0), stay("d", 140.0)]
    parties = services_at(stays, one_till=True, party_end_s=4.0)
    names = [[s.track_id.removeprefix("track-") for s in party.stays] for party in parties]
    assert names == [["a", "b", "c"], ["d"]]
    assert len(services_at(stays, one_till=False, party_end_s=4.0)) == 4


def test_tills_that_share_a_zone_are_associated_together() -> None:
    shared = {
        "a": frozenset({(TILL, "1")}),
        "b": frozenset({(TILL, "2"), (TILL, "3")}),
        "c": frozenset({(TILL, "3"), (TILL, "1")}),
        "d": frozenset({(TILL, "4")}),
    }
    assert groups_of_tills(shared) == [("a", "b", "c"), ("d",)]
