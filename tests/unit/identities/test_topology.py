"""The gate: physics, whatever the order in which cameras report."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.identities.topology import Sighting, SiteGraph, build_graph, gap_s, judge
from trinetra.values import CameraId, CustomerId

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
A, B, C, D = (CameraId(name) for name in "abcd")
ANNA = CustomerId("cus_anna")


def seen(camera: CameraId, start_s: float, end_s: float) -> Sighting:
    return Sighting(camera, NOON + timedelta(seconds=start_s), NOON + timedelta(seconds=end_s))


def pair(distance_m: float, **options: float) -> SiteGraph:
    return build_graph([A, B], [(A, B, distance_m)], **options)


def test_forty_metres_in_a_minute_is_a_walk() -> None:
    verdict = judge(pair(40), ANNA, [seen(A, 0, 3)], seen(B, 60, 63))
    assert verdict.verdict == "plausible"
    assert verdict.elapsed_s == 57
    assert verdict.speed_mps == pytest.approx(40 / 57, abs=1e-3)
    assert verdict.least_speed_mps == pytest.approx(40 / 57.5, abs=1e-3)
    assert verdict.most_speed_mps == pytest.approx(40 / 56.5, abs=1e-3)


def test_four_hundred_metres_in_two_seconds_is_impossible() -> None:
    verdict = judge(pair(400), ANNA, [seen(A, 0, 3)], seen(B, 5, 6))
    assert (verdict.verdict, verdict.reason) == ("impossible", "too_fast")
    assert (verdict.distance_m, verdict.limit_mps) == (400, 2.5)


def test_being_in_two_distant_places_at_once_is_impossible() -> None:
    assert judge(pair(400), ANNA, [seen(A, 0, 3)], seen(B, 2, 5)).verdict == "impossible"


def test_overlapping_views_allow_being_in_both() -> None:
    graph = build_graph([A, B], [(A, B, 400)], overlaps=[(B, A)])
    assert judge(graph, ANNA, [seen(A, 0, 3)], seen(B, 2, 5)).reason == "overlapping_views"


def test_the_shortest_way_counts_even_through_other_cameras() -> None:
    graph = build_graph([A, B, C], [(A, B, 5), (B, C, 5), (A, C, 100)])
    assert graph.distance(A, C) == 10


def test_without_a_route_the_straight_line_on_the_floor_serves() -> None:
    graph = build_graph([A, B, C], [], positions_m={A: (0, 0), B: (30, 40)})
    assert graph.distance(A, B) == 50
    assert graph.distance(A, C) is None
    assert judge(graph, ANNA, [seen(A, 0, 1)], seen(C, 2, 3)).reason == "no_route"


def test_one_impossible_transition_outweighs_plausible_ones() -> None:
    graph = build_graph([A, B, C], [(A, C, 3), (B, C, 500)])
    verdict = judge(graph, ANNA, [seen(A, 0, 1), seen(B, 3, 4)], seen(C, 5, 6))
    assert (verdict.verdict, verdict.from_camera) == ("impossible", B)


def test_somebody_not_seen_elsewhere_is_no_contradiction() -> None:
    assert judge(pair(40), ANNA, [], seen(B, 5, 6)).reason == "no_recent_sighting"


spans = st.tuples(st.floats(0, 1000), st.floats(0, 100)).map(lambda p: (p[0], p[0] + p[1]))


@given(first=spans, second=spans, distance_m=st.floats(0.1, 2000))
def test_the_verdict_does_not_depend_on_which_camera_reports_first(
    first: tuple[float, float], second: tuple[float, float], distance_m: float
) -> None:
    here, there = seen(A, *first), seen(B, *second)
    graph = pair(distance_m)
    assert judge(graph, ANNA, [there], here).verdict == judge(graph, ANNA, [here], there).verdict
    assert gap_s(here, there) == gap_s(there, here) >= 0


@given(first=spans, second=spans, distance_m=st.floats(0.1, 2000), more_m=st.floats(0, 500))
def test_a_longer_way_never_turns_impossible_into_plausible(
    first: tuple[float, float], second: tuple[float, float], distance_m: float, more_m: float
) -> None:
    near = judge(pair(distance_m), ANNA, [seen(A, *first)], seen(B, *second)).verdict
    far = judge(pair(distance_m + more_m), ANNA, [seen(A, *first)], seen(B, *second)).verdict
    assert (near, far) != ("impossible", "plausible")


@given(
    edges=st.lists(
        st.tuples(st.sampled_from([A, B, C, D]), st.sampled_from([A, B, C, D]), st.floats(1, 99)),
        max_size=8,
    )
)
def test_distances_are_symmetric_and_obey_the_triangle_inequality(
    edges: list[tuple[CameraId, CameraId, float]],
) -> None:
    graph = build_graph([A, B, C, D], edges)
    table = np.array([[graph.distance(x, y) or np.inf for y in (A, B, C, D)] for x in (A, B, C, D)])
    np.fill_diagonal(table, 0)
    np.testing.assert_array_equal(table, table.T)
    assert (table[:, None, :] <= table[:, :, None] + table[None, :, :] + 1e-6).all()
