"""Track stitching: invariants of bodies for any sequence of tracks and identities."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.insights.walks import HEIGHT, at, frame, position

from trinetra.insights.camera.scene import Scene, scene_of
from trinetra.insights.camera.track_stitching import Merge, Name, Split, TrackStitcher
from trinetra.insights.config import InsightPolicy
from trinetra.values import CustomerId, IdentityKind, TrackId

HERE, NEAR, FAR = (0.5, 0.7), (0.55, 0.72), (0.05, 0.95)


def named(customer: str) -> Name:
    return Name(CustomerId(customer), IdentityKind.ANONYMOUS)


def scene(seconds: float, **feet: tuple[float, float]) -> Scene:
    return scene_of(frame(seconds, feet))


def bodies_after(*scenes: Scene) -> TrackStitcher:
    continuity = TrackStitcher(InsightPolicy(bridge_boxes=0.5))
    for each in scenes:
        continuity.step(each)
    return continuity


def test_of_two_who_vanished_the_nearer_one_is_continued() -> None:
    continuity = bodies_after(scene(0, a=(0.45, 0.7), b=NEAR), scene(1), scene(2, c=(0.56, 0.72)))
    assert continuity.body_of(TrackId("c")) is continuity.body_of(TrackId("b"))


def test_one_who_vanished_is_continued_by_one_newcomer_only() -> None:
    continuity = bodies_after(scene(0, a=HERE), scene(1, b=HERE, c=NEAR))
    assert len(continuity.bodies) == 2


def test_a_customer_is_not_continued_by_another() -> None:
    continuity = bodies_after(scene(0, a=HERE))
    continuity.identify(TrackId("a"), named("c1"), at(0))
    continuity.identify(TrackId("b"), named("c2"), at(1))
    continuity.step(scene(1, b=HERE))
    assert len(continuity.bodies) == 2


def test_an_unknown_track_that_continues_a_customer_is_that_customer() -> None:
    continuity = bodies_after(scene(0, a=HERE))
    continuity.identify(TrackId("a"), named("c1"), at(0))
    continuity.step(scene(1, b=HERE))
    assert continuity.body_of(TrackId("b")).name == named("c1")


def test_a_body_stays_known_when_its_known_track_is_long_over() -> None:
    continuity = bodies_after(scene(0, a=HERE), scene(1, b=HERE))
    continuity.identify(TrackId("b"), named("c1"), at(1))
    for t in range(2, 200):
        continuity.step(scene(t, c=HERE))
    body = continuity.body_of(TrackId("c"))
    assert continuity.body_of(TrackId("b")) is None
    assert body.name == named("c1")


def test_two_tracks_of_one_customer_seen_at_once_are_not_joined() -> None:
    continuity = bodies_after(scene(0, a=HERE, b=FAR))
    assert continuity.identify(TrackId("a"), named("c1"), at(0)) == []
    assert continuity.identify(TrackId("b"), named("c1"), at(0)) == []


def test_a_wrong_name_splits_and_the_right_one_joins_again() -> None:
    continuity = bodies_after(scene(0, a=HERE), scene(1, b=HERE))
    continuity.identify(TrackId("a"), named("c1"), at(1))
    (split,) = continuity.identify(TrackId("b"), named("c2"), at(1))
    (merge,) = continuity.identify(TrackId("b"), named("c1"), at(2))
    assert isinstance(split, Split)
    assert isinstance(merge, Merge)
    assert (split.left_at, split.joined_at) == (at(0), at(1))
    assert [span.track_id for span in merge.body.spans] == ["a", "b"]


tracks = st.sampled_from("abcdef")
moments = st.dictionaries(tracks, st.sampled_from([HERE, NEAR, FAR]), max_size=4)
decisions = st.tuples(tracks, st.sampled_from([None, "c1", "c2"]))


@given(st.lists(moments | decisions, max_size=60), st.sampled_from([0.5, 2.0, 40.0]))
def test_a_body_is_never_two_people(
    story: list[dict[str, tuple[float, float]] | tuple[str, str | None]], step: float
) -> None:
    continuity = TrackStitcher(InsightPolicy())
    for i, turn in enumerate(story):
        if isinstance(turn, tuple):
            track, customer = turn
            continuity.identify(TrackId(track), named(customer) if customer else None, at(i * step))
        else:
            found, _ = continuity.step(scene(i * step, **turn))
            assert len({id(body) for body in found}) == len(turn)
        spans = [span for body in continuity.bodies.values() for span in body.spans]
        assert sorted(span.track_id for span in spans) == sorted(continuity._of_track)
        for key, body in continuity.bodies.items():
            assert key == body.body_id == body.spans[0].track_id
            assert len({span.name for span in body.spans if span.name}) <= 1
            assert all(continuity.body_of(span.track_id) is body for span in body.spans)


# --- limits of continuation, and what a revision tells ----------------------------------------

A, B, C = TrackId("a"), TrackId("b"), TrackId("c")


def test_a_track_that_appears_just_in_time_and_just_near_enough_continues_a_body() -> None:
    policy = InsightPolicy(bridge_s=3.0, bridge_boxes=0.5)
    # A box is 0.4 frame heights tall and the frame twice as wide as it is tall.
    for seconds, x, goes_on in ((3, 0.59, True), (3.1, 0.59, False), (3, 0.61, False)):
        stitcher = TrackStitcher(policy)
        stitcher.step(scene(0, a=(0.5, 0.7)))
        stitcher.step(scene(seconds, b=(x, 0.7)))
        assert (stitcher.body_of(B) is stitcher.body_of(A)) is goes_on


def test_a_known_customer_goes_on_anywhere_and_a_nameless_neighbor_does_not_take_the_place() -> (
    None
):
    stitcher = TrackStitcher(InsightPolicy(bridge_boxes=0.1))
    stitcher.step(scene(0, a=FAR, b=HERE))
    stitcher.identify(A, named("c1"), at(0))
    stitcher.identify(C, named("c1"), at(1))
    stitcher.step(scene(1, c=HERE))
    assert stitcher.body_of(C) is stitcher.body_of(A)


def test_an_object_of_another_label_is_another_body() -> None:
    stitcher = TrackStitcher(InsightPolicy())
    stitcher.step(scene(0, a=HERE))
    stitcher.step(scene_of(frame(1, {"b": HERE}, label="car")))
    assert stitcher.body_of(B) is not stitcher.body_of(A)


def test_a_body_is_where_and_as_tall_as_it_was_seen_last() -> None:
    stitcher = bodies_after(scene(0, a=HERE), scene(1, b=NEAR))
    body = stitcher.body_of(A)
    assert body is not None
    assert body.foot == (NEAR[0] * 2, NEAR[1])
    assert round(body.height, 6) == 0.4
    assert body.last_at == at(1)


def test_bodies_count_as_present_for_the_hold_by_label_and_without_those_left_out() -> None:
    policy = InsightPolicy(occupancy_hold_s=1.0)
    stitcher = TrackStitcher(policy)
    stitcher.step(scene(0, a=HERE))
    stitcher.step(scene(0.5, b=FAR))
    assert stitcher.present("person", at(1.0)) == 2
    assert stitcher.present("person", at(1.1)) == 1
    assert stitcher.present("person", at(1.0), frozenset({A})) == 1
    assert stitcher.present("car", at(1.0)) == 0


def test_bodies_known_as_staff_are_named_and_customers_are_not() -> None:
    stitcher = bodies_after(scene(0, a=HERE, b=FAR, c=(0.9, 0.2)))
    stitcher.identify(A, Name(CustomerId("joe"), IdentityKind.STAFF), at(0))
    stitcher.identify(B, named("c1"), at(0))
    assert stitcher.staff() == {A}


def test_a_decision_is_kept_for_a_track_that_comes_later_but_not_for_ever() -> None:
    policy = InsightPolicy(forget_after_s=60.0)
    for seconds, name in ((60, named("c1")), (61, None)):
        stitcher = TrackStitcher(policy)
        stitcher.identify(A, named("c1"), at(0))
        stitcher.step(scene(seconds - 0.5))
        stitcher.step(scene(seconds))
        stitcher.step(scene(seconds + 0.1, a=HERE))
        assert stitcher.own_name(A) == name


def test_an_unseen_body_is_known_for_the_limit_and_then_forgotten() -> None:
    stitcher = TrackStitcher(InsightPolicy(forget_after_s=60.0))
    stitcher.step(scene(0, a=HERE))
    stitcher.step(scene(60))
    assert stitcher.knows(A)
    stitcher.step(scene(60.1))
    assert not stitcher.knows(A)
    assert stitcher.bodies == {}


def test_the_names_of_erased_customers_are_removed_wherever_they_are_kept() -> None:
    stitcher = bodies_after(scene(0, a=HERE, b=FAR))
    for track, customer in ((A, "c1"), (B, "c2"), (C, "c1")):
        stitcher.identify(track, named(customer), at(0))
    assert stitcher.forget({CustomerId("c1")}.__contains__)
    assert [stitcher.own_name(track) for track in (A, B, C)] == [None, named("c2"), None]
    assert not stitcher.knows(C)
    assert not stitcher.forget({CustomerId("c1")}.__contains__)


def test_a_split_tells_when_the_rest_was_last_seen_and_when_the_other_came() -> None:
    stitcher = bodies_after(scene(0, a=HERE), scene(1, a=HERE), scene(2.5, b=NEAR))
    [split] = stitcher.step(scene(3, a=HERE, b=NEAR))[1]
    assert (split.left_at, split.joined_at) == (at(1), at(2.5))
    assert (split.body.body_id, split.new_body.body_id) == (A, B)
    assert stitcher.body_of(B) is split.new_body
    assert stitcher.body_of(A) is split.body


def test_a_customer_recognized_in_a_later_track_joins_the_earlier_one_within_the_bridge() -> None:
    for gap_s, joins in ((3.0, True), (3.1, False)):
        stitcher = TrackStitcher(InsightPolicy(bridge_s=3.0, bridge_boxes=0.1))
        stitcher.step(scene(0, a=HERE))
        stitcher.step(scene(gap_s, b=FAR))
        stitcher.identify(A, named("c1"), at(gap_s))
        revisions = stitcher.identify(B, named("c1"), at(gap_s))
        assert [type(revision) for revision in revisions] == [Merge] * joins
        assert (stitcher.body_of(B) is stitcher.body_of(A)) is joins
        if joins:
            body = stitcher.body_of(A)
            assert body is not None
            assert body.foot == (FAR[0] * 2, FAR[1])
            assert B not in stitcher.bodies


def test_a_track_without_a_name_of_its_own_has_that_of_its_body() -> None:
    stitcher = bodies_after(scene(0, a=HERE), scene(1, b=HERE))
    stitcher.identify(A, named("c1"), at(1))
    assert (stitcher.own_name(B), stitcher.name_of(B)) == (None, named("c1"))
    assert stitcher.name_of(C) is None


def test_restored_bodies_go_on_and_decisions_that_came_early_are_kept() -> None:
    stitcher = bodies_after(scene(0, a=HERE), scene(1, b=HERE))
    stitcher.identify(C, named("c1"), at(1))
    restored = TrackStitcher(InsightPolicy(bridge_boxes=0.5))
    restored.resume(stitcher.bodies.values(), stitcher.early)
    assert restored.body_of(B) is restored.body_of(A) is not None
    restored.step(scene(2, b=HERE, c=FAR))
    assert len(restored.bodies) == 2
    assert restored.own_name(C) == named("c1")


def sized(seconds: float, track: str, x: float, height: float) -> Scene:
    """Return a scene with one box of this height, in frame heights."""
    seen = position(track, (x, 0.7))
    x1, _, x2, y2 = seen.box
    box = (x1, y2 - height * HEIGHT, x2, y2)
    return scene_of(frame(seconds, [msgspec.structs.replace(seen, box=box)]))


def test_the_taller_of_two_boxes_is_the_measure_of_their_distance() -> None:
    for before, now, goes_on in ((0.4, 0.1, True), (0.1, 0.4, True), (0.1, 0.1, False)):
        stitcher = TrackStitcher(InsightPolicy(bridge_boxes=0.5))
        stitcher.step(sized(0, "a", 0.5, before))
        stitcher.step(sized(1, "b", 0.575, now))
        assert (stitcher.body_of(B) is stitcher.body_of(A)) is goes_on
