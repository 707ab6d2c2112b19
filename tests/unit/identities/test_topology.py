"""The gate: physical limits, independent of the order in which cameras report."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.geometry import fit
from trinetra.identities.gate.topology import Sighting, SiteGraph, build_graph, gap_s, judge
from trinetra.identities.gate.transition_times import SURPRISING, TransitionTimes
from trinetra.opening_hours import OpeningHours, OpenSpan
from trinetra.values import CameraId, CustomerId

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
A, B, C, D = (CameraId(name) for name in "abcd")
ANNA = CustomerId("cus_anna")


def seen(camera: CameraId, start_s: float, end_s: float) -> Sighting:
    return Sighting(camera, NOON + timedelta(seconds=start_s), NOON + timedelta(seconds=end_s))


def pair(distance_m: float, **options: float) -> SiteGraph:
    return replace(build_graph([A, B], [(A, B, distance_m)]), **options)


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


# --- routes and directions --------------------------------------------------------------------


def test_the_verdict_tells_the_way() -> None:
    graph = build_graph([A, B, C, D], [(A, B, 5), (B, C, 5), (C, D, 5), (A, D, 100)])
    assert graph.route(A, D) == (A, B, C, D)
    assert graph.route(D, B) == (D, C, B)
    verdict = judge(graph, ANNA, [seen(A, 0, 1)], seen(D, 60, 61))
    assert (verdict.route, verdict.distance_m) == ((A, B, C, D), 15)


def test_a_straight_line_is_a_route_of_two() -> None:
    graph = build_graph([A, B], [], positions_m={A: (0, 0), B: (3, 4)})
    assert graph.route(A, B) == (A, B)
    assert graph.route(A, C) == ()


def test_views_that_overlap_join_the_ways_of_both() -> None:
    graph = build_graph([A, B, C], [(B, C, 7)], overlaps=[(A, B)])
    assert graph.distance(A, C) == 7
    assert graph.route(A, C) == (A, B, C)


def test_against_an_escalator_one_has_to_go_the_long_way_round() -> None:
    graph = build_graph([A, B, C], [(B, C, 50), (C, A, 50)], one_way=[(A, B, 10)])
    assert (graph.distance(A, B), graph.distance(B, A)) == (10, 100)
    up, down = [seen(A, 0, 1)], [seen(B, 0, 1)]
    assert judge(graph, ANNA, up, seen(B, 11, 12)).verdict == "plausible"
    assert judge(graph, ANNA, down, seen(A, 11, 12)).reason == "too_fast"


def test_where_no_way_leads_back_nothing_is_said_of_who_came_back() -> None:
    graph = build_graph([A, B], [], one_way=[(A, B, 10)])
    verdict = judge(graph, ANNA, [seen(B, 0, 1)], seen(A, 11, 12))
    assert (verdict.verdict, verdict.reason) == ("unknown", "against_one_way")


@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd"), st.floats(1, 99)), max_size=9
    )
)
def test_one_way_loops_end_and_a_route_is_as_long_as_it_says(
    edges: list[tuple[str, str, float]],
) -> None:
    ways = [(CameraId(a), CameraId(b), metres) for a, b, metres in edges if a != b]
    graph = build_graph([A, B, C, D], [], one_way=ways)
    direct: dict[tuple[CameraId, CameraId], float] = {}
    for a, b, metres in ways:
        direct[a, b] = min(metres, direct.get((a, b), metres))
    for a in (A, B, C, D):
        for b in {A, B, C, D} - {a}:
            route = graph.route(a, b)
            assert bool(route) == (graph.distance(a, b) is not None)
            walked = sum(direct[step] for step in pairwise(route))
            assert walked == pytest.approx(graph.distance(a, b) or 0)


# --- places on the floor ----------------------------------------------------------------------

FLAT = fit([((0, 0), (0, 20)), ((1, 0), (20, 20)), ((1, 1), (20, 0)), ((0, 1), (0, 0))])
"""A camera straight above a floor of 20 m by 20 m."""
FRAME = (1000, 1000)


def standing(graph: SiteGraph, camera: CameraId, x_m: float, y_m: float, at_s: float) -> Sighting:
    foot_x, foot_y = 50 * x_m, 1000 - 50 * y_m
    place = graph.place(camera, (foot_x - 10, foot_y - 60, foot_x + 10, foot_y), FRAME)
    return replace(seen(camera, at_s, at_s), place=place)


def calibrated(overlaps: list[tuple[CameraId, CameraId]] | None = None) -> SiteGraph:
    graph = build_graph([A, B], [], overlaps=overlaps or [])
    return replace(graph, floors={A: FLAT, B: FLAT})


def test_a_box_stands_where_its_foot_is_give_or_take() -> None:
    place = calibrated().place(A, (490, 340, 510, 400), FRAME)
    assert place is not None
    assert place[:2] == pytest.approx((10, 12))
    assert 0.05 < place.error_m < 0.3


def test_feet_out_of_the_picture_and_cameras_without_floor_have_no_place() -> None:
    assert calibrated().place(A, (490, 600, 510, 1000), FRAME) is None
    assert calibrated().place(C, (490, 340, 510, 400), FRAME) is None
    assert calibrated().place(A, (490, 340, 510, 400), None) is None


def test_two_people_at_once_at_two_places_of_overlapping_views_are_two() -> None:
    graph = calibrated([(A, B)])
    there = standing(graph, A, 4, 10, 0)
    verdict = judge(graph, ANNA, [there], standing(graph, B, 10, 10, 0.2))
    assert (verdict.verdict, verdict.reason, verdict.distance_m) == ("impossible", "two_places", 6)
    same = judge(graph, ANNA, [there], standing(graph, B, 4.3, 10, 0.2))
    assert (same.verdict, same.reason) == ("plausible", "overlapping_views")


def test_how_far_somebody_walked_counts_from_where_they_stood() -> None:
    graph = calibrated()
    there = standing(graph, A, 0, 10, 0)
    assert judge(graph, ANNA, [there], standing(graph, B, 18, 10, 5)).reason == "too_fast"
    assert judge(graph, ANNA, [there], standing(graph, B, 8, 10, 5)).reason == "walkable"


@given(x_m=st.floats(0, 20), elapsed_s=st.floats(0, 20), skew_s=st.floats(0, 3))
def test_only_what_is_too_fast_on_the_kindest_reading_is_impossible(
    x_m: float, elapsed_s: float, skew_s: float
) -> None:
    graph = replace(calibrated(), clock_skew_s=skew_s)
    there, here = standing(graph, A, 0, 10, 0), standing(graph, B, x_m, 10, elapsed_s)
    verdict = judge(graph, ANNA, [there], here)
    assert verdict.slack_m is not None
    assert verdict.distance_m is not None
    if verdict.verdict == "impossible":
        assert x_m + 0.02 > verdict.slack_m + 2.5 * (elapsed_s + skew_s)
    if verdict.speed_mps is not None and verdict.least_speed_mps is not None:
        assert verdict.least_speed_mps <= verdict.speed_mps + 1e-3
        assert verdict.speed_mps <= (verdict.most_speed_mps or np.inf) + 1e-3


# --- clocks, hours and habits -----------------------------------------------------------------


def test_a_clock_that_ran_back_makes_no_negative_time_and_says_so() -> None:
    verdict = judge(pair(40), ANNA, [seen(A, 100, 103)], seen(B, 40, 43))
    assert (verdict.verdict, verdict.reason) == ("plausible", "seen_later_there")
    assert verdict.elapsed_s == 57


def test_who_was_inside_while_the_shop_was_closed_is_not_vouched_for() -> None:
    hours = OpeningHours((OpenSpan(NOON.weekday(), 0, 12 * 60 + 5),), "UTC")
    graph = replace(pair(5), hours=hours)
    assert judge(graph, ANNA, [seen(A, 0, 1)], seen(B, 60, 61)).reason == "walkable"
    night = judge(graph, ANNA, [seen(A, 0, 1)], seen(B, 900, 901))
    assert (night.verdict, night.reason) == ("unknown", "closed_between")


def test_a_surprising_time_is_told_and_changes_no_verdict() -> None:
    times = TransitionTimes()
    for number in range(100):
        times.learn(A, B, 30.0 + number % 5)
    usual = judge(pair(20), ANNA, [seen(A, 0, 1)], seen(B, 33, 34), times)
    quick = judge(pair(20), ANNA, [seen(A, 0, 1)], seen(B, 9, 10), times)
    assert (usual.verdict, quick.verdict) == ("plausible", "plausible")
    assert usual.usual_s == pytest.approx(32, abs=1)
    assert usual.surprise is not None
    assert quick.surprise is not None
    assert abs(usual.surprise) < 1
    assert quick.surprise < -SURPRISING


# --- what the evidence reports ----------------------------------------------------------------


def test_the_evidence_names_whom_from_where_and_what_was_assumed() -> None:
    graph = pair(40, limit_mps=2.0, clock_skew_s=1.0)
    verdict = judge(graph, ANNA, [seen(A, 0, 3)], seen(B, 60, 63))
    assert (verdict.customer_id, verdict.from_camera, verdict.route) == (ANNA, A, (A, B))
    assert (verdict.limit_mps, verdict.slack_s, verdict.slack_m) == (2.0, 1.0, 0.0)
    assert (verdict.usual_s, verdict.surprise) == (None, None)


@pytest.mark.parametrize("there", [A, B, C])
def test_evidence_without_a_judgement_still_says_what_is_known(there: CameraId) -> None:
    graph = build_graph([A, B, C, D], [], one_way=[(D, B, 10)], overlaps=[(A, D)])
    verdict = judge(graph, ANNA, [seen(there, 0, 1)], seen(D, 11.5, 12))
    assert (verdict.customer_id, verdict.from_camera) == (ANNA, there)
    assert (verdict.elapsed_s, verdict.limit_mps) == (10.5, graph.limit_mps)
    reasons = {A: "overlapping_views", B: "against_one_way", C: "no_route"}
    assert verdict.reason == reasons[there]
    assert verdict.distance_m == (0.0 if there == A else None)


def test_a_speed_of_just_the_limit_can_be_walked() -> None:
    graph = pair(25, limit_mps=2.5, clock_skew_s=0.0)
    assert judge(graph, ANNA, [seen(A, 0, 0)], seen(B, 10, 10)).verdict == "plausible"
    assert judge(graph, ANNA, [seen(A, 0, 0)], seen(B, 9.99, 9.99)).verdict == "impossible"


def test_without_any_time_in_between_only_touching_places_are_plausible() -> None:
    graph = pair(25, clock_skew_s=0.0)
    at_once = judge(graph, ANNA, [seen(A, 0, 5)], seen(B, 3, 8))
    assert (at_once.verdict, at_once.elapsed_s) == ("impossible", 0.0)
    assert (at_once.speed_mps, at_once.least_speed_mps, at_once.most_speed_mps) == (None,) * 3
    assert judge(pair(0, clock_skew_s=0.0), ANNA, [seen(A, 0, 5)], seen(B, 3, 8)).verdict == (
        "plausible"
    )


def test_of_several_plausible_transitions_the_fastest_is_told() -> None:
    graph = build_graph([A, B, C], [(A, C, 20), (B, C, 60)])
    sightings = [seen(A, 0, 1), seen(B, 0, 1), seen(D, 0, 1)]
    for order in (sightings, sightings[::-1]):
        assert judge(graph, ANNA, order, seen(C, 61, 62)).from_camera == B


def test_the_clocks_may_disagree_by_the_skew_before_an_order_is_believed() -> None:
    graph = pair(1, clock_skew_s=2.0)
    assert judge(graph, ANNA, [seen(A, 12, 13)], seen(B, 9, 10)).reason == "walkable"
    assert judge(graph, ANNA, [seen(A, 12.1, 13)], seen(B, 9, 10)).reason == "seen_later_there"


def test_within_the_clock_skew_the_shorter_direction_counts() -> None:
    graph = build_graph([A, B, C], [(B, C, 50), (C, A, 50)], one_way=[(A, B, 1)])
    graph = replace(graph, clock_skew_s=1.0)
    assert judge(graph, ANNA, [seen(B, 0, 1)], seen(A, 2, 3)).verdict == "plausible"
    assert judge(graph, ANNA, [seen(B, 0, 1)], seen(A, 2.1, 3)).verdict == "impossible"


def test_usual_times_are_told_only_of_walks_that_took_time() -> None:
    times = TransitionTimes()
    for _ in range(50):
        times.learn(A, B, 30.0)
    walked = judge(pair(1), ANNA, [seen(A, 0, 1)], seen(B, 31, 32), times)
    assert (walked.usual_s, walked.surprise) == (30.0, 0.0)
    at_once = judge(pair(1), ANNA, [seen(A, 0, 5)], seen(B, 5, 6), times)
    assert (at_once.usual_s, at_once.surprise) == (None, None)


def test_two_places_at_a_time_are_told_from_a_walk_that_was_too_fast() -> None:
    graph = calibrated()
    there = standing(graph, A, 0, 10, 0)
    assert judge(graph, ANNA, [there], standing(graph, B, 18, 10, 0.5)).reason == "two_places"
    assert judge(graph, ANNA, [there], standing(graph, B, 18, 10, 0.6)).reason == "too_fast"


def test_the_error_of_a_place_is_proportional_to_the_box() -> None:
    graph = calibrated()
    near = graph.place(A, (400, 200, 600, 600), FRAME)
    far = graph.place(A, (490, 560, 510, 600), FRAME)
    assert near is not None
    assert far is not None
    assert near[:2] == far[:2] == pytest.approx((10, 8))
    assert near.error_m == pytest.approx(10 * far.error_m, rel=0.06)
    wide, tall = (
        graph.place(A, box, FRAME) for box in ((300, 560, 700, 600), (490, 200, 510, 600))
    )
    assert wide is not None
    assert tall is not None
    assert far.error_m < tall.error_m < wide.error_m  # detectors err more across than down


def test_a_foot_close_to_the_lower_edge_is_still_in_the_picture() -> None:
    assert calibrated().place(A, (490, 600, 510, 985), FRAME) is not None


def test_a_segment_joined_by_another_runs_from_first_to_last_and_ends_where_the_later_did() -> None:
    graph = calibrated()
    early, late = standing(graph, A, 4, 10, 0), standing(graph, A, 9, 10, 7)
    for joined in (early.joined(late), late.joined(early)):
        assert (joined.camera_id, joined.first_at, joined.last_at) == (
            A,
            early.first_at,
            late.last_at,
        )
        assert joined.place == late.place


def test_given_routes_outrank_the_straight_line_and_of_two_edges_the_shorter_counts() -> None:
    places = {A: (0.0, 0.0), B: (3.0, 4.0)}
    graph = build_graph([A, B], [(A, B, 30), (A, B, 20)], positions_m=places)
    assert graph.distance(A, B) == graph.distance(B, A) == 20


def test_a_view_overlaps_itself_and_those_that_were_named_in_either_order() -> None:
    graph = build_graph([A, B, C], [], overlaps=[(A, B), (C, C)])
    assert graph.overlap(A, A)
    assert graph.overlap(B, A)
    assert not graph.overlap(A, C)
    assert graph.distance(C, C) == 0
    assert graph.route(C, C) == (C,)


def test_a_walk_against_a_one_way_route_is_not_judged_by_when_it_was_seen_either() -> None:
    graph = build_graph([A, B], [], one_way=[(A, B, 10)])
    verdict = judge(graph, ANNA, [seen(A, 11, 12)], seen(B, 0, 1))
    assert (verdict.verdict, verdict.reason) == ("unknown", "against_one_way")
