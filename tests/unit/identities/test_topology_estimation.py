"""Estimated distances and overlaps: from people who did not stop, where enough have walked."""

from datetime import UTC, datetime

import pytest

from trinetra.identities.gate.topology import Sighting
from trinetra.identities.gate.topology_estimation import (
    WALKING_MPS,
    TopologyEstimate,
    suggest,
)
from trinetra.identities.gate.transition_times import LONGEST_S
from trinetra.values import CameraId, CustomerId, after

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
A, B, C, D = (CameraId(name) for name in "abcd")
People = dict[CustomerId, list[Sighting]]


def walk(*legs: tuple[CameraId, float, float]) -> list[Sighting]:
    return [Sighting(camera, after(NOON, begin), after(NOON, end)) for camera, begin, end in legs]


def people(*walks: list[Sighting]) -> People:
    return {CustomerId(f"cus_{number}"): walked for number, walked in enumerate(walks)}


def there(count: int, gone_s: float = 10.0) -> list[list[Sighting]]:
    return [walk((A, 0, 5), (B, 5 + gone_s, 20 + gone_s)) for _ in range(count)]


def back(count: int, gone_s: float = 10.0) -> list[list[Sighting]]:
    return [walk((B, 0, 5), (A, 5 + gone_s, 20 + gone_s)) for _ in range(count)]


def together(count: int) -> list[list[Sighting]]:
    return [walk((A, 0, 10), (B, 5, 20)) for _ in range(count)]


def the_one(found: list[TopologyEstimate]) -> TopologyEstimate:
    [estimate] = found
    return estimate


def test_a_distance_is_the_walking_speed_times_the_time_of_the_quick() -> None:
    found = the_one(suggest(people(*there(9, 10.0), *there(1, 90.0))))
    assert (found.quick_s, found.median_s) == (10.0, 10.0)
    assert found.distance_m == pytest.approx(WALKING_MPS * 10.0)
    assert found.sure


def test_fewer_walks_than_asked_for_suggest_nothing() -> None:
    assert suggest(people(*there(4))) == []
    assert the_one(suggest(people(*there(5)))).there == 5
    assert the_one(suggest(people(*there(2)), least=2)).there == 2


def test_walks_both_ways_are_one_edge_from_where_most_came() -> None:
    found = the_one(suggest(people(*there(2), *back(3))))
    assert (found.a, found.b, found.there, found.back) == (B, A, 3, 2)
    found = the_one(suggest(people(*there(3), *back(2))))
    assert (found.a, found.b, found.there, found.back) == (A, B, 3, 2)


def test_a_long_absence_is_no_walk() -> None:
    assert suggest(people(*there(5, LONGEST_S + 1))) == []
    assert the_one(suggest(people(*there(5, LONGEST_S)))).there == 5


def test_nobody_back_after_twenty_walks_there_means_one_way() -> None:
    assert the_one(suggest(people(*there(20)))).one_way
    assert not the_one(suggest(people(*there(19)))).one_way
    assert not the_one(suggest(people(*there(20), *back(1)))).one_way


def test_one_in_five_seen_in_both_views_at_once_means_that_they_overlap() -> None:
    found = the_one(suggest(people(*together(1), *there(4))))
    assert (found.seen_together, found.there, found.overlap) == (1, 4, True)
    assert not the_one(suggest(people(*together(1), *there(5)))).overlap


def test_a_moment_in_both_views_may_be_the_clocks_and_is_no_overlap() -> None:
    brief = [walk((A, 0, 10), (B, 9.5, 20)) for _ in range(5)]
    assert suggest(people(*brief)) == []
    second = [walk((A, 0, 10), (B, 9, 20)) for _ in range(5)]
    assert the_one(suggest(people(*second))).overlap


def test_people_who_linger_make_a_distance_unsure() -> None:
    strollers = [walked for gone_s in (10, 10, 20, 20, 20) for walked in there(1, gone_s)]
    assert the_one(suggest(people(*strollers))).sure
    shoppers = [walked for gone_s in (10, 10, 60, 60, 60) for walked in there(1, gone_s)]
    assert not the_one(suggest(people(*shoppers))).sure


def test_an_edge_as_long_as_the_way_through_another_view_is_left_out() -> None:
    steps = [walk((A, 0, 5), (B, 15, 20), (C, 30, 35)) for _ in range(5)]
    through = [walk((A, 0, 5), (C, 25, 30)) for _ in range(5)]
    assert {(s.a, s.b) for s in suggest(people(*steps, *through))} == {(A, B), (B, C)}
    shortcut = [walk((A, 0, 5), (C, 20, 25)) for _ in range(5)]
    assert {(s.a, s.b) for s in suggest(people(*steps, *shortcut))} == {(A, B), (B, C), (A, C)}


def test_overlaps_come_first_and_then_the_shortest_edges() -> None:
    overlapping = [walk((B, 0, 10), (C, 5, 20)) for _ in range(5)]
    far = [walk((A, 0, 5), (D, 65, 70)) for _ in range(5)]
    found = suggest(people(*far, *there(5), *overlapping))
    assert [(s.a, s.b) for s in found] == [(B, C), (A, B), (A, D)]


@pytest.mark.parametrize("gone_s", [9.6, 10.0, 10.4])
def test_of_two_edges_to_views_that_overlap_one_is_kept(gone_s: float) -> None:
    overlapping = [walk((B, 0, 10), (C, 5, 20)) for _ in range(5)]
    to_c = [walk((A, 0, 5), (C, 5 + gone_s, 30)) for _ in range(5)]
    found = suggest(people(*there(5, 10.0), *to_c, *overlapping))
    assert [(s.a, s.b) for s in found] == [(B, C), (A, C) if gone_s < 10.0 else (A, B)]


def test_no_camera_loses_its_last_edge_to_routes_that_are_left_out_themselves() -> None:
    close = [walk((B, 0, 10), (C, 10.2, 20)) for _ in range(5)]
    to_c = [walk((A, 0, 5), (C, 25, 30)) for _ in range(5)]
    found = suggest(people(*there(5, 20.0), *to_c, *close))
    assert [(s.a, s.b) for s in found] == [(B, C), (A, B)]


def test_walks_in_one_direction_only_are_told_in_that_direction() -> None:
    found = the_one(suggest(people(*back(5))))
    assert (found.a, found.b, found.there, found.back) == (B, A, 5, 0)
