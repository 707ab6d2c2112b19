"""Estimated distances and overlaps: from people who did not stop, where enough have walked."""

from datetime import UTC, datetime

import msgspec
import pytest

from trinetra.events.schema import (
    Evidence,
    IdentityEvent,
    Thresholds,
    TrackPosition,
    TracksEvent,
)
from trinetra.identities.gate.topology import Sighting
from trinetra.identities.gate.topology_estimation import (
    WALKING_MPS,
    TopologyEstimate,
    TransitionCollector,
    suggest,
)
from trinetra.identities.gate.transition_times import LONGEST_S
from trinetra.values import CameraId, CustomerId, EventId, SiteId, TrackId, after

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


# --- segments from events ---------------------------------------------------------------------

EVIDENCE = Evidence(3, 3, 80.0, 0.8, "m", Thresholds(0.72, 0.03, 0.3, 32))
ANN, BEN = CustomerId("ann"), CustomerId("ben")


def decided(
    track: str,
    customer: CustomerId | None,
    seconds: float,
    *,
    camera: CameraId = A,
    since_s: float | None = None,
) -> IdentityEvent:
    """Return a decision on a track that began at noon."""
    return IdentityEvent(
        event_id=EventId(f"idn {track} {seconds}"),
        site_id=SiteId("shop"),
        camera_id=camera,
        captured_at=after(NOON, seconds),
        track_id=TrackId(track),
        status="known" if customer else "unknown",
        reasons=(),
        evidence=EVIDENCE,
        track_started_at=NOON,
        customer_id=customer,
        since=msgspec.UNSET if since_s is None else after(NOON, since_s),
    )


def positions(seconds: float, **tracks: CustomerId | None) -> TracksEvent:
    return TracksEvent(
        event_id=EventId(f"trs {seconds}"),
        site_id=SiteId("shop"),
        camera_id=A,
        captured_at=after(NOON, seconds),
        frame_seq=1,
        frame_width=9,
        frame_height=9,
        tracks=tuple(
            TrackPosition(TrackId(track), "person", (0, 0, 9, 9), customer)
            for track, customer in tracks.items()
        ),
    )


def collected(*events: IdentityEvent | TracksEvent) -> TransitionCollector:
    collector = TransitionCollector()
    for event in events:
        collector.add(event)
    return collector


def test_a_customer_was_in_view_from_the_start_of_the_track_to_the_last_position() -> None:
    found = collected(decided("t", ANN, 4), positions(6, t=ANN), positions(9, t=ANN))
    assert found.people() == {ANN: walk((A, 0, 9))}
    assert found.recognized_at == {A}


def test_positions_of_unknown_tracks_and_other_customers_extend_nothing() -> None:
    found = collected(
        positions(1, t=ANN), decided("t", ANN, 4), positions(6, t=None), positions(8, t=BEN)
    )
    assert found.people() == {ANN: walk((A, 0, 4))}


def test_a_track_that_switched_is_the_first_customer_until_then_and_the_second_after() -> None:
    found = collected(decided("t", ANN, 4), decided("t", BEN, 9, since_s=6))
    assert found.people() == {ANN: walk((A, 0, 4)), BEN: walk((A, 6, 9))}


def test_a_decision_about_the_whole_track_replaces_the_earlier_one() -> None:
    assert collected(decided("t", ANN, 4), decided("t", BEN, 9)).people() == {BEN: walk((A, 0, 9))}
    nobody = collected(decided("t", ANN, 4), decided("t", None, 9))
    assert (nobody.people(), nobody.recognized_at) == ({}, frozenset())


def test_segments_of_one_view_are_joined_over_a_short_absence_and_no_others() -> None:
    found = collected(
        decided("v", ANN, 60, since_s=58),
        decided("t", ANN, 4),
        decided("u", ANN, 16, since_s=14),
        decided("w", ANN, 30, since_s=26.1),
        decided("x", ANN, 40, camera=B, since_s=32),
        decided("y", ANN, 50, since_s=42),
    )
    assert found.people()[ANN] == walk((A, 0, 16), (A, 26.1, 30), (B, 32, 40), (A, 42, 60))
