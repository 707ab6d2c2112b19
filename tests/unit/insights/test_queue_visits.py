"""Waits, services, abandonment and changes of the queue follow from stays at the tills."""

from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.insights.tills import NOON, PLAN, of_staff, stay, visits

from trinetra.events.schema import QueueVisit, ZoneStay
from trinetra.insights.queues.plan import TillZone
from trinetra.insights.queues.visits import QueueVisits
from trinetra.values import after


def only(*stays: ZoneStay) -> QueueVisit:
    (visit,) = visits(*stays)
    return visit


def test_a_customer_waits_and_is_served() -> None:
    visit = only(stay("queue-1", 0, 40, "a"), stay("desk-1", 41, 71, "a"))
    assert (visit.end, visit.wait_s, visit.service_s) == ("served", 41.0, 30.0)
    assert (visit.queue_id, visit.till_id, visit.persons) == ("queue-1", "till-1", 1)
    assert (visit.joined_at, visit.captured_at) == (NOON, after(NOON, 71))
    assert visit.served_at == after(NOON, 41)


def test_a_walk_through_the_queue_is_no_visit() -> None:
    assert visits(stay("queue-1", 0, 6, "a")) == []


def test_a_walk_past_the_till_is_no_service() -> None:
    assert visits(stay("queue-1", 0, 6, "a"), stay("desk-1", 6, 9, "a")) == []


def test_a_walk_through_the_queue_to_a_free_till_is_a_wait_of_0() -> None:
    visit = only(stay("queue-1", 0, 6, "a"), stay("desk-1", 6, 36, "a"))
    assert (visit.end, visit.wait_s, visit.service_s) == ("served", 0.0, 30.0)


def test_a_short_wait_behind_another_is_a_wait() -> None:
    first = stay("queue-1", 0, 5, "a"), stay("desk-1", 5, 40, "a")
    second = stay("queue-1", 32, 40, "b"), stay("desk-1", 41, 60, "b")
    assert [visit.wait_s for visit in visits(*first, *second)] == [0.0, 9.0]


def test_the_wait_of_a_person_who_was_not_seen_to_come_is_unknown() -> None:
    visit = only(stay("desk-1", 0, 30, "a"))
    assert (visit.end, visit.wait_s, visit.service_s, visit.queue_id) == (
        "served",
        None,
        30.0,
        None,
    )


def test_a_till_without_a_queue_tells_services() -> None:
    visit = only(stay("kiosk", 0, 30, "a"))
    assert (visit.end, visit.wait_s, visit.till_id) == ("served", None, "till-5")


def test_a_wait_without_service_is_abandoned() -> None:
    visit = only(stay("queue-1", 0, 95, "a"))
    assert (visit.end, visit.wait_s, visit.service_s) == ("abandoned", 95.0, None)
    assert visit.served_at is None


def test_a_customer_who_is_lost_in_the_queue_waited_all_the_time() -> None:
    visit = only(
        stay("queue-1", 0, 20, "a", "ann"),
        stay("queue-1", 100, 120, "b", "ann"),
        stay("desk-1", 122, 150, "c", "ann"),
    )
    assert (visit.wait_s, visit.customer_id, visit.persons) == (122.0, "ann", 1)


def test_a_person_without_identity_who_is_seen_again_shortly_after_is_the_same() -> None:
    visit = only(
        stay("queue-1", 0, 20, "a"), stay("queue-1", 25, 50, "b"), stay("desk-1", 52, 80, "c")
    )
    assert visit.wait_s == 52.0


def test_each_end_is_joined_to_one_beginning() -> None:
    found = visits(
        stay("queue-1", 0, 30, "a"),
        stay("queue-1", 10, 60, "b"),
        stay("desk-1", 31, 59, "c"),
        stay("desk-1", 61, 90, "d"),
    )
    assert [visit.wait_s for visit in found] == [31.0, 51.0]


def test_customers_who_are_known_to_differ_are_not_joined() -> None:
    ends = [
        visit.end
        for visit in visits(stay("queue-1", 0, 30, "a", "ann"), stay("desk-1", 31, 60, "b", "bob"))
    ]
    assert sorted(ends) == ["abandoned", "served"]


def test_a_foot_that_is_seen_at_the_till_for_a_while_does_not_begin_the_service() -> None:
    visit = only(
        stay("queue-1", 0, 40, "a"),
        stay("desk-1", 40, 46, "a"),
        stay("queue-1", 46, 90, "a"),
        stay("desk-1", 91, 120, "a"),
    )
    assert (visit.wait_s, visit.service_s) == (91.0, 29.0)


def test_a_foot_that_is_seen_in_the_queue_for_a_while_does_not_end_the_service() -> None:
    visit = only(
        stay("queue-1", 0, 20, "a"),
        stay("desk-1", 20, 50, "a"),
        stay("queue-1", 50, 60, "a"),
        stay("desk-1", 60, 70, "a"),
    )
    assert (visit.wait_s, visit.service_s) == (20.0, 50.0)


def test_people_who_are_served_together_are_one_party() -> None:
    visit = only(
        stay("queue-1", 0, 40, "a"),
        stay("queue-1", 1, 41, "b"),
        stay("desk-1", 41, 70, "a"),
        stay("desk-1", 42, 71, "b"),
    )
    assert (visit.persons, visit.wait_s, visit.service_s) == (2, 41.0, 30.0)


def test_a_companion_who_stays_in_the_queue_did_not_give_up() -> None:
    visit = only(
        stay("queue-1", 0, 20, "a"), stay("queue-1", 2, 50, "b"), stay("desk-1", 20, 50, "a")
    )
    assert (visit.end, visit.persons) == ("served", 2)


def test_people_who_give_up_together_are_one_party() -> None:
    visit = only(stay("queue-1", 0, 60, "a"), stay("queue-1", 2, 61, "b"))
    assert (visit.end, visit.persons) == ("abandoned", 2)


def test_a_change_of_the_queue_ends_a_visit_and_begins_another() -> None:
    moved, served = visits(
        stay("queue-1", 0, 60, "a"), stay("queue-2", 65, 90, "a"), stay("desk-2", 91, 120, "a")
    )
    assert (moved.end, moved.till_id, moved.wait_s, moved.changes) == ("moved", "till-1", 60.0, 0)
    assert (served.end, served.till_id, served.changes) == ("served", "till-2", 1)
    assert (served.wait_s, served.joined_at) == (91.0, after(NOON, 65))


def test_a_walk_through_another_queue_is_no_change() -> None:
    visit = only(
        stay("queue-1", 0, 4, "a"), stay("queue-2", 5, 30, "a"), stay("desk-2", 31, 60, "a")
    )
    assert (visit.changes, visit.wait_s) == (0, 26.0)


def test_a_queue_may_lead_to_several_tills() -> None:
    found = visits(
        stay("snake", 0, 30, "a"),
        stay("desk-4", 31, 60, "a"),
        stay("snake", 5, 40, "b"),
        stay("desk-3", 42, 70, "b"),
        stay("snake", 50, 100, "c"),
    )
    told = [(visit.queue_id, visit.till_id, visit.end, visit.wait_s) for visit in found]
    assert told == [
        ("snake", "till-4", "served", 31.0),
        ("snake", "till-3", "served", 37.0),
        ("snake", None, "abandoned", 50.0),
    ]


def test_staff_and_vehicles_do_not_queue() -> None:
    cart = msgspec.structs.replace(stay("queue-1", 0, 60, "b"), label="car")
    assert visits(of_staff(stay("desk-1", 0, 600, "a")), cart) == []


def test_stays_elsewhere_are_left_out() -> None:
    assert visits(stay("shelf", 0, 60, "a")) == []


def test_a_customer_who_comes_again_later_is_another_party() -> None:
    first = stay("queue-1", 0, 5, "a", "ann"), stay("desk-1", 5, 40, "a", "ann")
    again = stay("queue-1", 1000, 1005, "b", "ann"), stay("desk-1", 1005, 1040, "b", "ann")
    assert [visit.service_s for visit in visits(*first, *again)] == [35.0, 35.0]


def test_a_visit_belongs_to_the_window_in_which_it_ended() -> None:
    stays = stay("queue-1", 0, 40, "a"), stay("desk-1", 41, 71, "a")
    assert visits(*stays, to_s=71) == []
    assert len(visits(*stays, from_s=71)) == 1


def test_a_till_zone_serves_one_till() -> None:
    with pytest.raises(ValueError, match=r"exactly one till, not \['a', 'b'\]"):
        TillZone("till", frozenset({"a", "b"}), 5.0)


@st.composite
def days(draw: st.DrawFn) -> list[ZoneStay]:
    zones = ("queue-1", "desk-1", "queue-2", "desk-2", "snake", "desk-3")
    found = []
    for number in range(draw(st.integers(0, 25))):
        start = draw(st.integers(0, 600))
        length = draw(st.integers(2, 120))
        customer = draw(st.sampled_from([None, None, "ann", "bob", "eve"]))
        found.append(
            stay(draw(st.sampled_from(zones)), start, start + length, f"t{number}", customer)
        )
    return found


@given(days(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(stays: list[ZoneStay], random: Random) -> None:
    shuffled = list(stays)
    random.shuffle(shuffled)
    assert visits(*shuffled) == visits(*stays)


@given(days())
def test_every_visit_is_consistent(stays: list[ZoneStay]) -> None:
    found = visits(*stays)
    assert len({visit.event_id for visit in found}) == len(found)
    for visit in found:
        assert visit.joined_at <= visit.captured_at
        assert (visit.end == "served") == (visit.served_at is not None)
        assert visit.wait_s is None or visit.wait_s >= 0
        assert visit.service_s is None or visit.service_s > 0


@given(days(), st.integers(0, 700))
def test_two_windows_hold_what_one_holds(stays: list[ZoneStay], cut_s: int) -> None:
    both = [*visits(*stays, to_s=cut_s), *visits(*stays, from_s=cut_s)]
    assert both == visits(*stays)


def test_the_derivation_reads_stays_and_writes_queue_visits() -> None:
    derivation = QueueVisits(PLAN)
    assert (derivation.inputs, derivation.outputs) == ({"zone_stay"}, {"queue_visit"})
    assert derivation.margin_s >= PLAN.same_person_s
