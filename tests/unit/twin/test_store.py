"""Simulated days of a shop."""

import itertools
from collections import defaultdict

import numpy as np
import pytest

from trinetra.errors import ConfigurationError
from trinetra.twin.scenario import DAY_S, MAX_WALKING_MPS, Behavior, Scenario
from trinetra.twin.shop import built_in_shop
from trinetra.twin.store import simulate
from trinetra.twin.world import World

SHOP = built_in_shop()


@pytest.fixture(scope="module")
def week() -> World:
    """Five days of two hours each."""
    return simulate(SHOP, Scenario(seed=4, shoppers_per_hour=60, hours=10, open_hours=2))


@pytest.fixture(scope="module")
def rush() -> World:
    return simulate(SHOP, Scenario(seed=4, shoppers_per_hour=700, hours=1))


def test_about_as_many_shoppers_come_as_were_asked_for() -> None:
    counts = []
    for seed in range(30):
        world = simulate(SHOP, Scenario(seed=seed, shoppers_per_hour=60, hours=0.5))
        counts.append(sum(stay.person.kind == "shopper" for stay in world.stays))
    # The number of parties is Poisson, so the number of people has about 1.3 times the deviation of
    # a Poisson count.
    assert np.mean(counts) == pytest.approx(30, abs=4 * np.sqrt(30 * 1.7 / 30))


def test_regulars_come_back_on_other_days_and_only_then(week: World) -> None:
    days = defaultdict(list)
    for stay in week.stays:
        if stay.person.is_regular:
            days[stay.person.index].append(int(stay.path.start_s // DAY_S))
    assert all(len(set(of_one)) == len(of_one) for of_one in days.values())
    assert sum(len(of_one) > 1 for of_one in days.values()) > 20


def test_nobody_is_in_two_places_at_once(week: World) -> None:
    spans = defaultdict(list)
    for stay in week.stays:
        spans[stay.person.index].append((stay.path.start_s, stay.path.end_s))
    for of_one in spans.values():
        for (_, left), (came, _) in itertools.pairwise(sorted(of_one)):
            assert came >= left


def test_nobody_in_the_shop_exceeds_the_speed_limit(week: World, rush: World) -> None:
    for stay in (*week.stays, *rush.stays):
        assert stay.path.speed.max() <= MAX_WALKING_MPS + 1e-9
        assert (np.diff(stay.path.t) > 0).all()


def test_every_kind_of_visit_happens_in_a_rush(rush: World) -> None:
    outcomes = {stay.outcome for stay in rush.stays}
    assert outcomes == {"bought", "browsed", "balked", "reneged", "worked"}
    tickets = {stay.party: stay.queue for stay in rush.stays if stay.queue}
    assert any(ticket.changes for ticket in tickets.values())


def test_one_open_till_makes_people_wait_and_give_up() -> None:
    def tickets(behavior: Behavior) -> list:
        scenario = Scenario(seed=4, shoppers_per_hour=220, hours=1, behavior=behavior)
        stays = simulate(SHOP, scenario).stays
        return list({stay.party: stay.queue for stay in stays if stay.queue}.values())

    def waited_s(queue: list) -> float:
        return float(np.mean([t.served_s - t.joined_s for t in queue if t.served_s is not None]))

    one, all_three = tickets(Behavior(open_tills=1)), tickets(Behavior())
    assert {place.till for ticket in one for place in ticket.places} == {0}
    assert waited_s(one) > 60 > 5 * waited_s(all_three)
    assert {ticket.end for ticket in one} == {"served", "balked", "reneged"}


def test_each_party_that_bought_has_one_receipt(week: World) -> None:
    buyers = {stay.party for stay in week.stays if stay.outcome == "bought"}
    assert sorted(purchase.party for purchase in week.purchases) == sorted(buyers)
    for purchase in week.purchases:
        assert purchase.items >= 1
        assert purchase.amount_cents > 0


def test_a_party_by_car_drives_in_and_out_and_no_slot_holds_two(week: World) -> None:
    drives = defaultdict(list)
    for drive in week.drives:
        drives[drive.party].append(drive.path)
    assert drives
    parked = defaultdict(list)
    for ways in drives.values():
        came, left = sorted(ways, key=lambda path: path.start_s)
        assert left.start_s == came.end_s
        parked[float(came.x[-1]), float(came.y[-1])].append((came.end_s, float(left.t[1])))
    for spans in parked.values():
        for (_, free), (taken, _) in itertools.pairwise(sorted(spans)):
            assert taken >= free


def test_a_person_who_comes_back_by_car_comes_in_the_same_car(week: World) -> None:
    drivers = {stay.party: stay.person.index for stay in reversed(week.stays)}
    plates = defaultdict(set)
    parties = defaultdict(set)
    for drive in week.drives:
        plates[drivers[drive.party]].add(drive.plate)
        parties[drivers[drive.party]].add(drive.party)
    assert all(len(of_one) == 1 for of_one in plates.values())
    assert any(len(of_one) > 1 for of_one in parties.values())


def test_companions_stay_within_reach_of_each_other(week: World) -> None:
    parties = defaultdict(list)
    for stay in week.stays:
        parties[stay.party].append(stay.path)
    pairs = [paths for party, paths in parties.items() if party >= 0 and len(paths) > 1]
    assert pairs
    for first, *others in pairs:
        for other in others:
            apart = np.hypot(other.x - first.x, other.y - first.y)
            assert 0.3 < apart.min() <= apart.max() < 2


def test_a_later_shopper_does_not_change_an_earlier_one() -> None:
    short = simulate(SHOP, Scenario(seed=9, shoppers_per_hour=40, hours=1))
    again = simulate(SHOP, Scenario(seed=9, shoppers_per_hour=40, hours=1))
    for one, other in zip(short.stays, again.stays, strict=True):
        assert one.person == other.person
        assert (one.path.x == other.path.x).all()


def test_look_alikes_are_as_frequent_as_asked_for() -> None:
    behavior = Behavior(look_alike_share=0.5)
    world = simulate(SHOP, Scenario(seed=2, shoppers_per_hour=300, hours=1, behavior=behavior))
    share = np.mean([person.look_alike_of is not None for person in world.people])
    assert share == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize(
    "values",
    [
        {"seed": -1},
        {"shoppers_per_hour": -1},
        {"hours": 0},
        {"hours": float("inf")},
        {"open_hours": 25},
        {"behavior": Behavior(open_tills=0)},
    ],
)
def test_a_scenario_that_makes_no_run_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        Scenario(**values)


def test_hours_are_opening_hours_and_span_days() -> None:
    windows = Scenario(hours=25, open_hours=12).windows()
    assert len(Scenario(hours=0.3, open_hours=0.1).windows()) == 3
    assert Scenario(hours=12 + 1e-9).windows() == [(0, 43_200)]
    assert windows == [(0, 43_200), (DAY_S, DAY_S + 43_200), (2 * DAY_S, 2 * DAY_S + 3600)]
