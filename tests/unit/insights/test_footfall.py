"""Passages and groups: every person who passes a door counts once, whatever saw it."""

import random
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.events.derivation import Span
from trinetra.events.schema import Group, LineCrossing, Passage
from trinetra.geometry import fit
from trinetra.insights.footfall.doors import Door, FloorLine, LineRef, doors_of, floor_line
from trinetra.insights.footfall.groups import Groups
from trinetra.insights.footfall.passages import Passages, age_of
from trinetra.insights.metrics.footfall import group_cells, passage_cells
from trinetra.insights.metrics.passby import cells as passby_cells
from trinetra.values import CameraId, CustomerId, EventId, IdentityKind, SiteId, TrackId, after

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
DAY = Span(after(NOON, -3600), after(NOON, 7200))
STREET, HALL = LineRef(CameraId("street"), "out"), LineRef(CameraId("hall"), "in")
MAIN = Door("main", "entrance", frozenset({STREET, HALL}))
PAVEMENT = Door("pavement", "passby", frozenset({LineRef(CameraId("street"), "kerb")}))
DOORS = (MAIN, PAVEMENT)


def crossed(
    seconds: float,
    line: LineRef = STREET,
    direction: str = "in",
    track: str = "t",
    **fields: object,
) -> LineCrossing:
    return LineCrossing(
        event_id=EventId(f"{line.camera_id}-{line.line_id}-{track}-{seconds}"),
        site_id=SiteId("shop"),
        camera_id=line.camera_id,
        captured_at=after(NOON, seconds),
        line_id=line.line_id,
        direction=direction,
        track_id=TrackId(track),
        label=fields.pop("label", "person"),
        **fields,
    )


def passages(*crossings: LineCrossing, span: Span = DAY) -> list[Passage]:
    return Passages(DOORS).derive(span, sorted(crossings, key=lambda c: c.captured_at))


def groups(*crossings: LineCrossing) -> list[Group]:
    return Groups().derive(DAY, [*crossings, *passages(*crossings)])


def test_one_person_seen_by_two_cameras_of_a_door_passes_once() -> None:
    seen = crossed(0, STREET, track="a"), crossed(1.2, HALL, track="b")
    (passage,) = passages(*seen)
    assert set(passage.crossings) == {seen[0].event_id, seen[1].event_id}
    assert (passage.door_id, passage.direction, passage.captured_at) == ("main", "in", NOON)


def test_two_people_at_one_line_are_two_even_at_the_same_instant() -> None:
    seen = [crossed(0, track="a"), crossed(0, track="b")]
    seen += [crossed(1, HALL, track="c"), crossed(1, HALL, track="d")]
    assert [len(p.crossings) for p in passages(*seen)] == [2, 2]


@pytest.mark.parametrize(
    ("second", "people"),
    [
        (crossed(5, HALL, track="b"), 2),
        (crossed(1, HALL, "out", track="b"), 2),
        (crossed(1, HALL, track="b", customer_id=CustomerId("ben")), 2),
        (crossed(1, HALL, track="b", customer_id=CustomerId("ann")), 1),
        (crossed(1, HALL, track="b", label="car"), 2),
    ],
    ids=["too late", "the other way", "another customer", "the same customer", "a car"],
)
def test_crossings_are_joined_only_if_they_may_be_one_walk(
    second: LineCrossing, people: int
) -> None:
    first = crossed(0, track="a", customer_id=CustomerId("ann"))
    assert len(passages(first, second)) == people


def test_a_known_customer_is_joined_before_the_one_who_came_first() -> None:
    seen = [crossed(0, track="a"), crossed(0.3, track="b", customer_id=CustomerId("ben"))]
    found = passages(*seen, crossed(1, HALL, track="c", customer_id=CustomerId("ben")))
    assert [(p.customer_id, len(p.crossings)) for p in found] == [(None, 1), ("ben", 2)]


def test_one_who_turns_round_within_a_step_of_the_line_does_not_pass() -> None:
    dance = [crossed(i, direction="in" if i % 2 == 0 else "out", reach=0.08) for i in range(8)]
    assert passages(*dance) == []
    assert [p.direction for p in passages(*dance[:7])] == ["in"]


def test_one_who_goes_in_and_comes_out_again_passes_twice() -> None:
    for seconds, reach in ((60, 0.08), (3, 2.0)):
        seen = crossed(0), crossed(seconds, direction="out", reach=reach)
        assert [p.direction for p in passages(*seen)] == ["in", "out"]


def test_a_turn_of_one_body_on_two_tracks_is_a_turn() -> None:
    back = crossed(2, direction="out", track="b", body_id=TrackId("a"), reach=0.05)
    assert passages(crossed(0, track="a"), back) == []


def test_staff_known_at_one_camera_are_staff() -> None:
    staff = {"customer_id": CustomerId("eve"), "kind": IdentityKind.STAFF}
    (passage,) = passages(crossed(0, track="a"), crossed(1, HALL, track="b", **staff))
    assert passage.kind is IdentityKind.STAFF
    assert list(passage_cells(passage)) == []


def test_a_line_of_no_door_makes_no_passage() -> None:
    assert passages(crossed(0, LineRef(CameraId("attic"), "x"))) == []


def test_a_child_is_told_by_the_middle_of_its_heights() -> None:
    assert [age_of(h) for h in ([], [1.2], [1.2, 1.3, 1.8], [1.7, 1.8])] == [
        None,
        "child",
        "child",
        "adult",
    ]
    (passage,) = passages(crossed(0, height_m=1.21), crossed(1, HALL, height_m=1.25))
    assert passage.age == "child"


walks = st.lists(
    st.tuples(st.floats(0, 600), st.sampled_from([STREET, HALL]), st.sampled_from(["in", "out"])),
    max_size=40,
)


@given(walks, st.randoms(use_true_random=False))
def test_order_and_repetition_of_the_crossings_do_not_matter(
    seen: list[tuple[float, LineRef, str]], dice: random.Random
) -> None:
    events = [crossed(t, line, way, track=str(i)) for i, (t, line, way) in enumerate(seen)]
    shuffled = events.copy()
    dice.shuffle(shuffled)
    assert Passages(DOORS).derive(DAY, shuffled) == Passages(DOORS).derive(DAY, events)


@given(walks)
def test_every_crossing_belongs_to_exactly_one_passage(
    seen: list[tuple[float, LineRef, str]],
) -> None:
    events = [crossed(t, line, way, track=str(i)) for i, (t, line, way) in enumerate(seen)]
    parts = [each for passage in passages(*events) for each in passage.crossings]
    assert sorted(parts) == sorted(event.event_id for event in events)


@given(walks)
def test_windows_together_give_what_one_window_gives(
    seen: list[tuple[float, LineRef, str]],
) -> None:
    # People come at least 5 s apart: who goes with whom then depends on the margin alone.
    times = sorted({round(t / 5) * 5.0 for t, _, _ in seen})
    events = [crossed(t, STREET, track=f"a{t}") for t in times]
    events += [crossed(t + 1.0, HALL, track=f"b{t}") for t in times]
    derive = Passages(DOORS).derive
    whole = derive(Span(NOON, after(NOON, 700)), events)
    parts = []
    for start in range(0, 700, 100):
        near = [
            e for e in events if -60 <= (e.captured_at - after(NOON, start)).total_seconds() < 160
        ]
        parts += derive(Span(after(NOON, start), after(NOON, start + 100)), near)
    assert parts == whole


def test_people_who_come_side_by_side_are_a_group() -> None:
    seen = [crossed(0, track="a", along=1.0), crossed(0.4, track="b", along=1.5, height_m=1.2)]
    seen += [crossed(1.3, track="c", along=1.1), crossed(30, track="d", along=1.0)]
    found = groups(*seen)
    assert [(g.people, g.children) for g in found] == [(3, 1), (1, 0)]
    assert (found[0].captured_at, found[0].last_at) == (NOON, after(NOON, 1.3))


def test_people_far_apart_along_the_line_or_going_other_ways_are_no_group() -> None:
    apart = [crossed(0, track="a", along=0.2), crossed(0.4, track="b", along=3.0)]
    assert [g.people for g in groups(*apart)] == [1, 1]
    assert [g.people for g in groups(crossed(0), crossed(1, direction="out", track="b"))] == [1, 1]


def test_a_crowd_is_not_one_group() -> None:
    assert max(g.people for g in groups(*[crossed(i, track=str(i)) for i in range(30)])) <= 12


def test_staff_belong_to_no_group() -> None:
    staff = {"customer_id": CustomerId("eve"), "kind": IdentityKind.STAFF}
    assert [g.people for g in groups(crossed(0), crossed(0.5, track="b", **staff))] == [1]


def test_the_metrics_count_people_groups_and_passers_by() -> None:
    kerb = LineRef(CameraId("street"), "kerb")
    seen = [crossed(0, customer_id=CustomerId("ann"), height_m=1.7), crossed(1, track="b")]
    seen += [crossed(t, kerb, way, track=f"k{t}") for t, way in ((20, "in"), (30, "out"))]
    found = passages(*seen)
    cells = [
        cell for passage in found for cell in (*passage_cells(passage), *passby_cells(passage))
    ]
    assert sorted((c.series, c.place) for c in cells) == [
        ("footfall.in", "main"),
        ("footfall.in", "main"),
        ("footfall.in.adult", "main"),
        ("footfall.in.recognized", "main"),
        ("footfall.in.sized", "main"),
        ("passby", "pavement"),
        ("passby", "pavement"),
        ("passby.turned_in", "main"),
        ("passby.turned_in", "main"),
    ]
    of_groups = [cell for group in groups(*seen) for cell in group_cells(group)]
    assert [(c.series, c.value) for c in of_groups] == [("groups.in", 1), ("groups.in.people", 2)]


def test_lines_in_one_place_on_the_floor_are_one_door_if_they_lead_the_same_way() -> None:
    kinds = {STREET: "entrance", HALL: "entrance", LineRef(CameraId("x"), "y"): "entrance"}
    here = FloorLine((0, 0), (2, 0), (0, 1))
    for way, doors in (((0, 1), 2), ((0, -1), 3)):
        floors = {STREET: here, HALL: FloorLine((0.2, 0.3), (2.2, 0.3), way)}
        assert len(doors_of([], kinds, floors)) == doors
    assert len(doors_of([MAIN], kinds, {})) == 2


def test_the_in_side_of_a_line_on_the_floor_is_that_in_the_picture() -> None:
    # The picture shows 4 m x 4 m of floor from above, y down in the picture and up on the plan.
    floor = fit([((0, 0), (0, 4)), ((1, 0), (4, 4)), ((1, 1), (4, 0)), ((0, 1), (0, 0))])
    line = floor_line(floor, (0.0, 0.5), (1.0, 0.5))
    assert line is not None
    assert line.way == pytest.approx((0.0, -1.0))  # downward in the picture is to the south


def test_a_passage_is_withdrawn_with_its_customer_by_deriving_it_anew() -> None:
    named = crossed(0, customer_id=CustomerId("ann"))
    stranger = msgspec.structs.replace(named, customer_id=None)
    (before,), (now,) = passages(named), passages(stranger)
    assert (before.customer_id, now.customer_id) == ("ann", None)
    assert before.event_id == now.event_id
