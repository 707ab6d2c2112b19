"""Lines: everyone who crosses one counts once, in the right direction."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.insights.walks import at, frame, identity, latest, machine, play

from trinetra.events.schema import LineCrossing
from trinetra.insights.camera.lines import LineCounter
from trinetra.insights.camera.scene import Scene, scene_of
from trinetra.insights.config import CameraInsights, InsightPolicy, Line
from trinetra.values import TrackId

T = TrackId("t")
HELD = 7
"""Looks 0.1 s apart that leave no doubt about a side."""
DOOR = CameraInsights(lines=(Line("door", (0.2, 0.5), (0.8, 0.5)),))


def walk(*path: tuple[float, float], track: str = "t", looks: int = 1) -> list:
    feet = [foot for foot in path for _ in range(looks)]
    return [frame(i * 0.1, {track: foot}) for i, foot in enumerate(on_foot(feet))]


def on_foot(feet: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return a path with steps in between, none of them longer than a person can make."""
    path = feet[:1]
    for (x1, y1), (x2, y2) in itertools.pairwise(feet):
        steps = max(1, math.ceil(math.hypot(2 * (x2 - x1), y2 - y1) / 0.25))
        path += [(x1 + (x2 - x1) * i / steps, y1 + (y2 - y1) * i / steps) for i in range(1, steps)]
        path.append((x2, y2))
    return path


WATCHED = [frame(-3), frame(-1)]
"""The camera was watched before: what is in its first frame may have been there for long."""


def crossings(*path: tuple[float, float], looks: int = 1) -> list[str]:
    events = [*WATCHED, *walk(*path, looks=looks)]
    return [c.direction for c in latest(play(machine(DOOR), events), LineCrossing)]


def test_a_walk_from_the_left_of_the_line_to_its_right_is_in() -> None:
    (crossed,) = latest(
        play(machine(DOOR), walk((0.5, 0.3), (0.5, 0.45), (0.5, 0.55), (0.5, 0.7))), LineCrossing
    )
    assert (crossed.line_id, crossed.direction, crossed.label) == ("door", "in", "person")
    assert crossed.captured_at == at(0.2)


def test_a_walk_the_other_way_is_out() -> None:
    assert crossings((0.5, 0.7), (0.5, 0.3)) == ["out"]


def test_there_and_back_again_counts_both_ways() -> None:
    assert crossings((0.5, 0.3), (0.5, 0.7), (0.5, 0.3), looks=HELD) == ["in", "out"]


def test_a_walk_past_the_end_of_the_line_does_not_count() -> None:
    assert crossings((0.1, 0.3), (0.1, 0.7)) == []


def test_a_walk_round_the_end_and_back_over_the_line_counts_the_way_back_only() -> None:
    path = ((0.5, 0.3), (0.1, 0.3), (0.1, 0.7), (0.5, 0.7), (0.5, 0.3))
    assert crossings(*path, looks=HELD) == ["out"]


def test_someone_who_stops_on_the_line_and_goes_back_does_not_count() -> None:
    assert crossings((0.5, 0.3), (0.5, 0.495), (0.5, 0.505), (0.5, 0.495), (0.5, 0.3)) == []


def test_someone_who_appears_on_the_line_and_walks_straight_on_has_crossed_it() -> None:
    assert crossings((0.5, 0.495), (0.5, 0.53), (0.5, 0.6), (0.5, 0.7)) == ["in"]
    assert crossings((0.5, 0.505), (0.5, 0.47), (0.5, 0.4), (0.5, 0.3)) == ["out"]


def test_someone_who_is_on_the_line_when_the_camera_begins_has_not_crossed_it() -> None:
    path = walk((0.5, 0.495), (0.5, 0.53), (0.5, 0.6), (0.5, 0.7))
    assert latest(play(machine(DOOR), path), LineCrossing) == []
    after_a_pause = [frame(-30), *path]
    assert latest(play(machine(DOOR), after_a_pause), LineCrossing) == []


def test_someone_who_appears_on_the_line_and_stays_there_has_not_crossed_it() -> None:
    assert crossings(*[(0.5, 0.495)] * 20, (0.5, 0.53), (0.5, 0.6), (0.5, 0.7)) == []


def test_someone_who_appears_beside_the_end_of_the_line_has_not_crossed_it() -> None:
    assert crossings((0.1, 0.495), (0.3, 0.53), (0.5, 0.6), (0.5, 0.7)) == []


def test_someone_who_is_lost_on_the_line_while_walking_on_has_crossed_it_once() -> None:
    path = ((0.5, 0.4), (0.5, 0.46), (0.5, 0.49), (0.5, 0.515))
    assert crossings(*path) == ["in"]
    seen = [*walk(*path), *[frame(0.4 + i) for i in range(9)]]
    assert [c.direction for c in latest(play(machine(DOOR), seen), LineCrossing)] == ["in"]


def test_someone_who_is_lost_on_the_line_after_turning_round_has_not_crossed_it() -> None:
    assert crossings((0.5, 0.4), (0.5, 0.48), (0.5, 0.515), (0.5, 0.505)) == []
    assert crossings((0.5, 0.4), (0.5, 0.48), (0.5, 0.495)) == []


def test_one_whose_track_jumps_over_the_line_to_another_person_has_not_crossed_it() -> None:
    seen = [frame(0.2 * i, {"t": (0.5, 0.9)}) for i in range(5)]
    seen += [frame(1 + 0.2 * i, {"t": (0.5, 0.3 + 0.02 * i)}) for i in range(5)]
    assert latest(play(machine(DOOR), [*seen, frame(9)]), LineCrossing) == []


def test_one_who_is_seen_beyond_the_line_after_a_while_must_have_walked_that_way() -> None:
    for path, expected in (((0.4, 0.38, 0.35), []), ((0.35, 0.38, 0.4), ["in"])):
        seen = [frame(0.2 * i, {"t": (0.5, y)}) for i, y in enumerate(path)]
        seen += [frame(2 + 0.2 * i, {"t": (0.5, 0.6)}) for i in range(5)]
        assert [c.direction for c in latest(play(machine(DOOR), seen), LineCrossing)] == expected


def test_one_who_was_hidden_behind_a_person_who_crossed_has_crossed_too() -> None:
    feet = [0.3 + 0.05 * i for i in range(15)]
    for beside, expected in ((0.55, ["in", "in"]), (0.95, ["in"])):
        seen = [
            frame(0.2 * i, {"a": (0.5, y)} | ({"b": (beside, y - 0.02)} if y > 0.6 else {}))
            for i, y in enumerate(feet)
        ]
        told = latest(play(machine(DOOR), [*WATCHED, *seen, frame(9)]), LineCrossing)
        assert [c.direction for c in told] == expected


def test_a_vehicle_counts_with_its_label() -> None:
    events = [frame(0, {"v": (0.5, 0.3)}, label="car"), frame(1, {"v": (0.5, 0.7)}, label="car")]
    assert [c.label for c in latest(play(machine(DOOR), events), LineCrossing)] == ["car"]


def test_a_track_break_on_the_line_does_not_lose_the_crossing() -> None:
    events = [frame(0, {"a": (0.5, 0.3)}), frame(0.1, {"a": (0.5, 0.49)}), frame(0.5)]
    events += [frame(1, {"b": (0.5, 0.52)}), frame(1.1, {"b": (0.5, 0.61)})]
    events += [frame(1.2, {"b": (0.5, 0.7)})]
    (crossed,) = latest(play(machine(DOOR), events), LineCrossing)
    assert (crossed.direction, crossed.track_id) == ("in", "b")


def test_a_customer_known_after_the_crossing_is_filled_in_under_the_same_id() -> None:
    events = [*walk((0.5, 0.3), (0.5, 0.7), looks=HELD), identity(1.5, "t", "c1")]
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


rates = st.sampled_from([2.0, 5.0, 10.0, 25.0])
shakes = st.integers(0, 2**32 - 1)
WIDEST = 0.02
"""Of jitter, in frame heights; the band of a person of this height is wider."""


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
    assert crossings((0.5, start), *standing, (0.5, (0.5 + end) / 2), (0.5, end)) == expected


@given(st.lists(st.sampled_from([0.3, 0.7]), min_size=1, max_size=20))
def test_clear_changes_of_side_are_counted_one_by_one(sides: list[float]) -> None:
    expected = ["in" if q > p else "out" for p, q in itertools.pairwise(sides) if p != q]
    assert crossings(*[(0.5, y) for y in sides], looks=HELD) == expected


@given(shakes, rates, st.floats(2.0, 20.0), st.sampled_from([-0.2, 0.2]))
def test_one_who_lingers_dances_and_turns_within_a_step_of_the_line_counts_at_most_once(
    seed: int, rate: float, seconds: float, leaves_to: float
) -> None:
    random, looks = np.random.default_rng(seed), math.ceil(0.6 * rate)
    arriving, leaving = np.linspace(-0.2, 0.0, looks), np.linspace(0.0, leaves_to, looks)
    still = np.full(2 * looks, leaves_to)
    dancing = random.uniform(-WIDEST, WIDEST, math.ceil(seconds * rate))
    path = np.concatenate([arriving, dancing, leaving, still])
    line = Line("door", (0.0, 0.5), (1.0, 0.5))
    found = counted(line, np.stack([np.full(len(path), 0.5), 0.5 + path], axis=1), rate)
    assert [direction for direction, _ in found] == (["in"] if leaves_to > 0 else [])


@given(st.lists(st.integers(2, 30), min_size=1, max_size=6), st.floats(0.55, 0.95))
def test_single_wrong_boxes_of_someone_beside_the_line_count_nothing(
    pauses: list[int], wrong: float
) -> None:
    path = [y for pause in pauses for y in (*[0.45] * pause, wrong)]
    seen = [frame(i * 0.1, {"t": (0.5, y)}) for i, y in enumerate(path)]
    assert latest(play(machine(DOOR), seen), LineCrossing) == []


def test_a_wrong_box_does_not_undo_a_crossing_that_follows() -> None:
    path = [0.4] * 5 + [0.6] + [0.4] * 5 + [0.45, 0.5, 0.55, 0.6, 0.65, 0.7]
    assert crossings(*[(0.5, y) for y in path]) == ["in"]


@pytest.mark.parametrize("rate", [1, 2, 3, 5, 10])
@pytest.mark.parametrize("speed", [0.2, 0.3])
def test_a_quick_walker_who_is_seen_once_beyond_the_line_has_crossed(
    rate: int, speed: float
) -> None:
    feet = [0.1 + speed * i / rate for i in range(100) if 0.1 + speed * i / rate < 0.5]
    steps = [frame(i / rate, {"t": (0.5, y)}) for i, y in enumerate(feet)]
    beyond = max(feet[-1] + speed / rate, 0.53)
    (crossed,) = latest(
        play(machine(DOOR), [*steps, frame(len(feet) / rate, {"t": (0.5, beyond)})]), LineCrossing
    )
    assert crossed.direction == "in"


def test_the_crossing_of_one_who_left_the_view_is_told_soon() -> None:
    steps = [frame(t, {"t": (0.5, 0.2 + 0.2 * t)}) for t in range(3)]
    shop = machine(DOOR)
    told = [o for event in [*steps, frame(4), frame(5.5)] for o in shop.step(event)]
    (crossed,) = [o for o in told if isinstance(o, LineCrossing)]
    assert (crossed.captured_at, crossed.track_id) == (at(2), "t")


def test_one_who_stood_beside_the_line_and_vanished_after_a_wrong_box_has_not_crossed() -> None:
    assert crossings(*[(0.5, 0.45)] * 20, (0.5, 0.7)) == []


def test_a_body_that_was_joined_to_another_by_mistake_crosses_on_its_own_path() -> None:
    # "b" appears near where "a" was missed for one frame, and continues its body until then.
    ys = [0.3, 0.36, 0.42, None, 0.54, 0.6, 0.66, 0.72, 0.78]
    seen = [
        frame(
            0.2 * i,
            ({"a": (0.4, y)} if y else {}) | ({"b": (0.42, 0.3 + 0.06 * (i - 3))} if i > 2 else {}),
        )
        for i, y in enumerate(ys)
    ]
    seen += [frame(0.2 * i, {"b": (0.42, 0.3 + 0.06 * (i - 3))}) for i in range(9, 13)]
    told = latest(play(machine(DOOR), [*seen, frame(9)]), LineCrossing)
    assert sorted((c.track_id, c.direction) for c in told) == [("a", "in"), ("b", "in")]


def test_a_crossing_of_a_body_that_proves_to_be_two_counts_once() -> None:
    seen = [frame(0.1 * i, {"a": (0.5, y)}) for i, y in enumerate([0.35, 0.4, 0.45])]
    joined = [frame(1 + 0.1 * i, {"b": (0.5, y)}) for i, y in enumerate([0.48, 0.55, 0.6])]
    apart = [identity(0.2, "a", "ann", started=0), *joined, identity(1.2, "b", "ben", started=1)]
    outputs = play(machine(DOOR), [*seen, *apart, frame(9)])
    told = [(o.track_id, o.customer_id) for o in outputs if isinstance(o, LineCrossing)]
    assert told == [("b", "ben")]


def scene(seconds: float, foot: np.ndarray, aspect: float = 2.0) -> Scene:
    return Scene(at(seconds), aspect, (T,), ("person",), (tuple(foot.tolist()),), (0.4,))


def counted(line: Line, path: np.ndarray, rate: float) -> list[tuple[str, int]]:
    """Return the direction and frame of every crossing of a path of feet ``(n, 2)``."""
    counter = LineCounter((line,), InsightPolicy())
    found = [c for i, foot in enumerate(path) for c in counter.step(scene(i / rate, foot), [T])]
    return [
        (c.direction, round((c.at - at(0)).total_seconds() * rate))
        for c in [*found, *counter.flush()]
    ]


holds = st.lists(st.sampled_from([-0.2, -0.1, 0.1, 0.2]), min_size=1, max_size=6)


def stroll(holds: list[float], rate: float, seed: int) -> np.ndarray:
    """Return distances to a line: walks from hold to hold, each held for over a second."""
    looks, random = math.ceil(1.2 * rate), np.random.default_rng(seed)
    between = [np.linspace(p, q, looks) for p, q in itertools.pairwise(holds)]
    still = [np.full(looks, hold) for hold in holds]
    path = np.concatenate(
        [
            part
            for pair in itertools.zip_longest(still, between)
            for part in pair
            if part is not None
        ]
    )
    return path + random.uniform(-WIDEST, WIDEST, len(path))


@given(holds, rates, shakes)
def test_the_net_count_of_a_jittering_path_is_that_of_the_path(
    holds: list[float], rate: float, seed: int
) -> None:
    path = stroll(holds, rate, seed)
    line = Line("door", (0.0, 0.5), (1.0, 0.5))
    found = counted(line, np.stack([np.full(len(path), 0.5), 0.5 + path], axis=1), rate)
    sides = [hold > 0 for hold in holds]
    expected = ["in" if q else "out" for p, q in itertools.pairwise(sides) if p != q]
    assert [direction for direction, _ in found] == expected


@given(holds, rates, shakes, st.floats(0, 2 * math.pi), st.tuples(*[st.floats(-3, 3)] * 2))
def test_the_count_does_not_depend_on_where_the_line_is_and_how_it_runs(
    holds: list[float], rate: float, seed: int, angle: float, shift: tuple[float, float]
) -> None:
    path, aspect = stroll(holds, rate, seed), 2.0
    feet = np.stack([np.linspace(-0.2, 0.2, len(path)), path], axis=1)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])

    def moved(points: np.ndarray) -> np.ndarray:
        return (points @ turn.T + np.array(shift)) / np.array([aspect, 1.0])

    (a, b), there = moved(np.array([[-1.0, 0.0], [1.0, 0.0]])), moved(feet)
    here = counted(Line("l", (-0.5, 0.0), (0.5, 0.0)), feet / np.array([aspect, 1.0]), rate)
    assert counted(Line("l", tuple(a), tuple(b)), there, rate) == here


@pytest.mark.parametrize("rate", [2, 5, 15, 30])
def test_the_count_does_not_depend_on_the_frame_rate(rate: int) -> None:
    steps = [frame(i / rate, {"t": (0.5, 0.2 + 0.6 * i / (4 * rate))}) for i in range(4 * rate + 1)]
    assert len(latest(play(machine(DOOR), steps), LineCrossing)) == 1


# --- the band, the sides and the bookkeeping --------------------------------------------------


AT_ONCE = InsightPolicy(confirm_s=0.0)


def shown(seconds: float, **feet: tuple[float, float]) -> Scene:
    return scene_of(frame(seconds, feet))


def counter(**policy: float) -> LineCounter:
    return LineCounter(DOOR.lines, InsightPolicy(confirm_s=0.0, **policy))


def test_the_band_is_a_share_of_the_body_but_never_narrower_than_the_least() -> None:
    # Bodies are 0.4 frame heights tall.
    for policy, y in (
        ({"dead_band_boxes": 0.1, "dead_band_min": 0.0}, 0.54),
        ({"dead_band_boxes": 0.0, "dead_band_min": 0.05}, 0.55),
    ):
        for beyond, crossed in ((-0.001, []), (0.001, ["in"])):
            lines = counter(**policy)
            lines.step(shown(0, t=(0.5, 0.2)), [TrackId("t")])
            found = lines.step(shown(1, t=(0.5, y + beyond)), [TrackId("t")])
            assert [c.direction for c in found] == crossed


def test_a_crossing_names_the_body_the_line_and_the_frame_that_met_it() -> None:
    lines = LineCounter((*DOOR.lines, Line("exit", (0.8, 0.5), (0.2, 0.5))), AT_ONCE)
    bodies = [TrackId("s"), TrackId("t")]
    lines.step(shown(0, s=(0.3, 0.2), t=(0.5, 0.2)), bodies)
    lines.step(shown(1, s=(0.3, 0.2), t=(0.5, 0.505)), bodies)
    found = lines.step(shown(2, s=(0.3, 0.2), t=(0.5, 0.8)), bodies)
    assert [(c.line_id, c.direction, c.body_id, c.track_id, c.at) for c in found] == [
        ("door", "in", "t", "t", at(1)),
        ("exit", "out", "t", "t", at(1)),
    ]


def test_a_body_that_was_split_off_or_renamed_has_come_the_same_way() -> None:
    s, t = TrackId("s"), TrackId("t")
    for change in (
        lambda lines: lines.split(t, s, seen_together=False),
        lambda lines: lines.rename(t, s),
    ):
        lines = counter()
        lines.step(shown(0, t=(0.5, 0.2)), [t])
        change(lines)
        assert [c.direction for c in lines.step(shown(1, s=(0.5, 0.8)), [s])] == ["in"]


def test_a_copied_path_goes_on_apart_from_the_first() -> None:
    s, t = TrackId("s"), TrackId("t")
    lines = counter()
    lines.step(shown(0, t=(0.5, 0.2)), [t])
    lines.split(t, s, seen_together=False)
    lines.split(TrackId("nobody"), TrackId("else"), seen_together=False)
    assert len(lines.step(shown(1, t=(0.5, 0.8)), [t])) == 1
    assert len(lines.step(shown(1, s=(0.5, 0.8)), [s])) == 1


def test_bodies_that_are_gone_have_no_path() -> None:
    s, t = TrackId("s"), TrackId("t")
    lines = counter()
    lines.step(shown(0, s=(0.3, 0.2), t=(0.5, 0.2)), [s, t])
    lines.keep({t})
    assert lines.approaches.keys() == {("door", t)}
    lines.rename(s, t)
    assert lines.approaches.keys() == {("door", t)}


def test_the_band_is_as_wide_in_the_frame_beside_a_line_as_above_it() -> None:
    upright = (Line("aisle", (0.5, 0.2), (0.5, 0.8)),)
    # The frame is twice as wide as it is tall: 0.05 of its height are 0.025 of its width.
    for x, crossed in ((0.476, []), (0.474, ["in"])):
        policy = InsightPolicy(confirm_s=0.0, dead_band_boxes=0.0, dead_band_min=0.05)
        lines = LineCounter(upright, policy)
        lines.step(shown(0, t=(0.8, 0.5)), [TrackId("t")])
        found = lines.step(shown(1, t=(x, 0.5)), [TrackId("t")])
        assert [c.direction for c in found] == crossed
