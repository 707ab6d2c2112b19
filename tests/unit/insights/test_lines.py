"""Lines: everyone who crosses one counts once, in the right direction."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.insights.walks import at, frame, identity, latest, machine, play

from trinetra.events.schema import LineCrossing
from trinetra.insights.config import CameraInsights, Line

DOOR = CameraInsights(lines=(Line("door", (0.2, 0.5), (0.8, 0.5)),))


def walk(*path: tuple[float, float], track: str = "t") -> list:
    return [frame(i * 0.1, {track: foot}) for i, foot in enumerate(path)]


def crossings(*path: tuple[float, float]) -> list[str]:
    return [c.direction for c in latest(play(machine(DOOR), walk(*path)), LineCrossing)]


def test_a_walk_from_the_left_of_the_line_to_its_right_is_in() -> None:
    (crossed,) = latest(
        play(machine(DOOR), walk((0.5, 0.3), (0.5, 0.45), (0.5, 0.55), (0.5, 0.7))), LineCrossing
    )
    assert (crossed.line_id, crossed.direction, crossed.label) == ("door", "in", "person")
    assert crossed.captured_at == at(0.2)


def test_a_walk_the_other_way_is_out() -> None:
    assert crossings((0.5, 0.7), (0.5, 0.3)) == ["out"]


def test_there_and_back_again_counts_both_ways() -> None:
    assert crossings((0.5, 0.3), (0.5, 0.7), (0.5, 0.3)) == ["in", "out"]


def test_a_walk_past_the_end_of_the_line_does_not_count() -> None:
    assert crossings((0.1, 0.3), (0.1, 0.7)) == []


def test_a_walk_round_the_end_and_back_over_the_line_counts_the_way_back_only() -> None:
    assert crossings((0.5, 0.3), (0.1, 0.3), (0.1, 0.7), (0.5, 0.7), (0.5, 0.3)) == ["out"]


def test_someone_who_stops_on_the_line_and_goes_back_does_not_count() -> None:
    assert crossings((0.5, 0.3), (0.5, 0.495), (0.5, 0.505), (0.5, 0.495), (0.5, 0.3)) == []


def test_someone_who_appears_on_the_line_has_not_crossed_it() -> None:
    assert crossings((0.5, 0.495), (0.5, 0.7)) == []


def test_a_vehicle_counts_with_its_label() -> None:
    events = [frame(0, {"v": (0.5, 0.3)}, label="car"), frame(1, {"v": (0.5, 0.7)}, label="car")]
    assert [c.label for c in latest(play(machine(DOOR), events), LineCrossing)] == ["car"]


def test_a_track_break_on_the_line_does_not_lose_the_crossing() -> None:
    events = [frame(0, {"a": (0.5, 0.3)}), frame(0.1, {"a": (0.5, 0.49)}), frame(0.5)]
    events += [frame(1, {"b": (0.5, 0.52)}), frame(1.1, {"b": (0.5, 0.7)})]
    (crossed,) = latest(play(machine(DOOR), events), LineCrossing)
    assert (crossed.direction, crossed.track_id) == ("in", "b")


def test_a_customer_known_after_the_crossing_is_filled_in_under_the_same_id() -> None:
    events = [*walk((0.5, 0.3), (0.5, 0.7)), identity(0.5, "t", "c1")]
    sent = [e for e in play(machine(DOOR), events) if isinstance(e, LineCrossing)]
    assert [c.customer_id for c in sent] == [None, "c1"]
    assert sent[0].event_id == sent[1].event_id


def test_a_track_that_went_over_to_somebody_else_leaves_the_crossing_to_who_made_it() -> None:
    engine = machine(DOOR)
    play(engine, walk((0.5, 0.3), (0.5, 0.7)))
    play(engine, [identity(0.3, "t", "anna", started=0.0)])
    told = play(engine, [identity(5.0, "t", "ben", started=0.0, since=4.0)])
    assert latest(told, LineCrossing) == []


def test_a_revised_decision_corrects_the_crossing_again() -> None:
    events = [*walk((0.5, 0.3), (0.5, 0.7)), identity(0.5, "t", "c1"), identity(0.6, "t", None)]
    (crossed,) = latest(play(machine(DOOR), events), LineCrossing)
    assert crossed.customer_id is None


def test_a_decision_made_before_the_first_position_is_not_lost() -> None:
    events = [identity(-0.1, "t", "c1"), *walk((0.5, 0.3), (0.5, 0.7))]
    (crossed,) = latest(play(machine(DOOR), events), LineCrossing)
    assert crossed.customer_id == "c1"


def test_a_decision_long_after_the_track_was_lost_changes_nothing() -> None:
    events = [*walk((0.5, 0.3), (0.5, 0.7)), frame(120), identity(121, "t", "c1")]
    (crossed,) = latest(play(machine(DOOR), events), LineCrossing)
    assert crossed.customer_id is None


jitter = st.floats(-0.015, 0.015)


@given(
    st.lists(jitter, min_size=20, max_size=60),
    st.sampled_from([(0.3, 0.7, ["in"]), (0.7, 0.3, ["out"]), (0.3, 0.3, [])]),
)
def test_a_jittering_foot_on_the_line_counts_once_or_not_at_all(
    shakes: list[float], ways: tuple[float, float, list[str]]
) -> None:
    start, end, expected = ways
    standing = [(0.5 + s, 0.5 + s) for s in shakes]
    assert crossings((0.5, start), *standing, (0.5, end)) == expected


@given(st.lists(st.sampled_from([0.3, 0.7]), min_size=1, max_size=20))
def test_clear_changes_of_side_are_counted_one_by_one(sides: list[float]) -> None:
    expected = ["in" if q > p else "out" for p, q in itertools.pairwise(sides) if p != q]
    assert crossings(*[(0.5, y) for y in sides]) == expected


@pytest.mark.parametrize("rate", [2, 5, 15, 30])
def test_the_count_does_not_depend_on_the_frame_rate(rate: int) -> None:
    steps = [frame(i / rate, {"t": (0.5, 0.2 + 0.6 * i / (4 * rate))}) for i in range(4 * rate + 1)]
    assert len(latest(play(machine(DOOR), steps), LineCrossing)) == 1
