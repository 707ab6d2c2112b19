"""Journeys follow from visits and stays; figures about few people are not shown."""

from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.insights.tills import NOON, in_order, of_staff, stay

from trinetra.events.derivation import Span
from trinetra.events.schema import InsightEvent, Journey, Visit, ZoneStay
from trinetra.insights.journeys.journeys import Journeys
from trinetra.insights.journeys.paths import (
    OUTSIDE,
    Cell,
    exits,
    flows,
    path_of,
    paths,
    shown,
)
from trinetra.insights.metrics.engagement import engaged_share
from trinetra.insights.metrics.histogram import bin_of
from trinetra.insights.metrics.journey_coverage import cells
from trinetra.values import CameraId, CustomerId, EventId, IdentityKind, SiteId, after, derive_id


def visit(customer: str, from_s: float, to_s: float, **changed: object) -> Visit:
    event = Visit(
        event_id=EventId(derive_id("visit", customer, from_s)),
        site_id=SiteId("shop"),
        camera_id=CameraId("door"),
        captured_at=after(NOON, to_s),
        customer_id=CustomerId(customer),
        kind=IdentityKind.ANONYMOUS,
        started_at=after(NOON, from_s),
        cameras=(CameraId("door"),),
        visit_number=1,
    )
    return msgspec.structs.replace(event, **changed)


def journeys(*events: InsightEvent, from_s: float = -3600, to_s: float = 7200) -> list[Journey]:
    span = Span(after(NOON, from_s), after(NOON, to_s))
    return list(Journeys().derive(span, in_order([*events])))


def walked(customer: str, *zones: str) -> Journey:
    stays = [stay(z, 60 * n, 60 * n + 30, f"{customer}{n}", customer) for n, z in enumerate(zones)]
    (journey,) = journeys(visit(customer, 0, 3000), *stays)
    return journey


def test_a_journey_has_the_zones_of_a_visit_in_order() -> None:
    (journey,) = journeys(
        visit("ann", 0, 300),
        stay("till", 200, 260, "c", "ann"),
        stay("bread", 60, 90, "b", "ann"),
        stay("fruit", 20, 50, "a", "ann"),
    )
    assert [step.zone_id for step in journey.steps] == ["fruit", "bread", "till"]
    assert [step.dwell_s for step in journey.steps] == [30.0, 30.0, 60.0]
    assert (journey.customer_id, journey.started_at) == ("ann", NOON)
    assert journey.captured_at == after(NOON, 300)


def test_stays_in_one_zone_that_follow_each_other_are_one_step() -> None:
    (journey,) = journeys(
        visit("ann", 0, 300),
        stay("fruit", 20, 50, "a", "ann"),
        stay("fruit", 60, 70, "b", "ann"),
        stay("bread", 80, 90, "b", "ann"),
        stay("fruit", 100, 110, "b", "ann"),
    )
    told = [(step.zone_id, step.dwell_s) for step in journey.steps]
    assert told == [("fruit", 40.0), ("bread", 10.0), ("fruit", 10.0)]


def test_stays_of_others_and_of_other_visits_are_left_out() -> None:
    found = journeys(
        visit("ann", 0, 100),
        visit("ann", 2000, 2100),
        stay("fruit", 20, 50, "a", "ann"),
        stay("bread", 20, 50, "b", "bob"),
        stay("till", 20, 50, "c"),
        stay("dairy", 2020, 2050, "d", "ann"),
    )
    assert [path_of(journey) for journey in found] == [
        ("till-camera/fruit",),
        ("till-camera/dairy",),
    ]


def test_a_visit_without_stays_is_no_journey() -> None:
    assert journeys(visit("ann", 0, 100)) == []


@pytest.mark.parametrize("changed", [{"withdrawn": True}, {"kind": IdentityKind.STAFF}])
def test_staff_and_withdrawn_visits_have_no_journey(changed: dict[str, object]) -> None:
    assert journeys(visit("ann", 0, 100, **changed), stay("fruit", 20, 50, "a", "ann")) == []


def test_a_journey_belongs_to_the_window_in_which_its_visit_ended() -> None:
    events = visit("ann", 0, 100), stay("fruit", 20, 50, "a", "ann")
    assert journeys(*events, to_s=100) == []
    assert len(journeys(*events, from_s=100)) == 1


def test_the_order_of_arrival_does_not_matter() -> None:
    events: list[InsightEvent] = [visit("ann", 0, 900)]
    events += [stay("fruit", 30 * n, 30 * n + 9, f"t{n}", "ann") for n in range(9)]
    shuffled = list(events)
    Random(3).shuffle(shuffled)
    assert journeys(*shuffled) == journeys(*events)


def test_flows_lead_from_outside_through_the_zones_to_outside() -> None:
    assert flows([walked("ann", "fruit", "till"), walked("bob", "fruit")]) == {
        (OUTSIDE, "till-camera/fruit"): Cell(2, 2),
        ("till-camera/fruit", "till-camera/till"): Cell(1, 1),
        ("till-camera/till", OUTSIDE): Cell(1, 1),
        ("till-camera/fruit", OUTSIDE): Cell(1, 1),
    }


def test_paths_and_exits_count_times_and_people() -> None:
    twice = [walked("ann", "fruit", "till"), walked("ann", "fruit", "till"), walked("bob", "till")]
    fruit_till = ("till-camera/fruit", "till-camera/till")
    assert paths(twice) == {fruit_till: Cell(2, 1), ("till-camera/till",): Cell(1, 1)}
    assert exits(twice) == {"till-camera/till": Cell(3, 2)}


def test_cells_of_few_people_are_not_shown_however_often_they_came() -> None:
    found = shown({"a": Cell(90, 4), "b": Cell(7, 5), "c": Cell(8, 8), "d": Cell(1, 1)}, 5)
    assert (list(found.cells), found.left_out) == (["c", "b"], 2)


def test_a_single_small_cell_cannot_be_told_from_the_sum() -> None:
    found = shown({"a": Cell(3, 3), "b": Cell(7, 5), "c": Cell(80, 60)}, 5)
    assert (list(found.cells), found.left_out) == (["c"], 2)


def test_without_a_small_cell_all_are_shown() -> None:
    assert shown({"a": Cell(9, 9), "b": Cell(7, 5)}, 5).left_out == 0


def test_a_limit_of_1_shows_all() -> None:
    assert list(shown({"a": Cell(1, 1), "b": Cell(2, 1)}, 1).cells) == ["b", "a"]


@given(
    st.dictionaries(st.text(max_size=3), st.integers(1, 20).map(lambda n: Cell(n, n))),
    st.integers(1, 10),
)
def test_no_sum_tells_a_cell_that_is_not_shown(cells: dict[str, Cell], least: int) -> None:
    found = shown(cells, least)
    assert all(cell.people >= least for cell in found.cells.values())
    assert len(found.cells) + found.left_out == len(cells)
    if found.left_out == 1:
        assert len(cells) == 1


def test_the_share_of_engaged_stays_follows_from_the_bins() -> None:
    bins: dict[int, int] = {}
    for dwell_s in (2.5, 9.9, 10.0, 15.0, 300.0):
        bins[bin_of(dwell_s)] = bins.get(bin_of(dwell_s), 0) + 1
    assert engaged_share(bins, 10.0) == pytest.approx(3 / 5)
    assert engaged_share({}, 10.0) is None


def test_only_the_time_of_known_customers_is_in_journeys() -> None:
    def counted(event: ZoneStay) -> list[int]:
        return [cell.value for cell in cells(event)]

    assert counted(stay("fruit", 0, 30, "a", "ann")) == [30_000]
    assert counted(stay("fruit", 0, 30, "a")) == []
    assert counted(of_staff(stay("fruit", 0, 30, "a", "ann"))) == []
