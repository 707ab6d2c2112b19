"""Track stitching: invariants of bodies for any sequence of tracks and identities."""

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.insights.walks import at, frame

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
