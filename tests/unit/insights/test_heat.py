"""Presence by cell: all time counts once, staff never, and cells tell how many came."""

from collections import Counter
from datetime import timedelta
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.insights.walks import (
    CAMERA,
    SITE,
    START,
    at,
    frame,
    identity,
    latest,
    machine,
    play,
    position,
)

from trinetra.events.schema import FloorPresence, TracksEvent
from trinetra.geometry import fit
from trinetra.insights.camera.camera_analytics import CameraAnalytics
from trinetra.insights.camera.grid import GridCell, cell_numbered, floor_cell, number_of
from trinetra.insights.camera.reports import Place
from trinetra.insights.config import CameraInsights, InsightPolicy
from trinetra.insights.snapshot import decode_camera, encode_camera
from trinetra.values import IdentityKind, microseconds

GAP_S = InsightPolicy().coverage_gap_s
FROM_ABOVE = fit(
    [((0, 0), (-4.0, 2.0)), ((1, 0), (4.0, 2.0)), ((1, 1), (4.0, 6.0)), ((0, 1), (-4.0, 6.0))]
)
"""A view of 8 m by 4 m of the floor, from straight above."""


def presences(events, plan=None) -> list[FloorPresence]:
    return latest(play(machine(plan), events), FloorPresence)


def cells(found: list[FloorPresence]) -> dict[tuple[int, int], tuple[int, int]]:
    ms: Counter[tuple[int, int]] = Counter()
    tracks: Counter[tuple[int, int]] = Counter()
    for cell in (cell for one in found for cell in one.cells):
        ms[cell.x, cell.y] += cell.ms
        tracks[cell.x, cell.y] += cell.tracks
    return {cell: (ms[cell], tracks[cell]) for cell in ms}


def all_ms(found: list[FloorPresence]) -> int:
    return sum(one.unplaced_ms + sum(cell.ms for cell in one.cells) for one in found)


def times() -> st.SearchStrategy[list[float]]:
    """Instants of frames: mostly some tenths of a second apart, at times minutes."""
    steps = st.one_of(st.integers(1, 900_000), st.integers(1, 400_000_000))
    return st.lists(steps, min_size=1, max_size=40).map(
        lambda us: [sum(us[: n + 1]) / 1e6 for n in range(len(us))]
    )


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=40, max_size=40),
    times(),
    st.booleans(),
)
def test_cells_and_the_unplaced_add_up_to_the_time_between_looks(
    feet: list[tuple[float, float]], instants: list[float], is_calibrated: bool
) -> None:
    frames = [frame(t, {"a": foot}) for t, foot in zip(instants, feet, strict=False)]
    plan = CameraInsights(floor=FROM_ABOVE) if is_calibrated else CameraInsights()
    looks = [microseconds(at(t)) for t in instants]
    spans = list(pairwise(looks))
    # A body is forgotten after bridge_s: whoever returns later is another one.
    bridge_us = InsightPolicy().bridge_s * 1e6
    near = [(one, two) for one, two in spans if two - one <= bridge_us]
    far = [(one, two) for one, two in spans if bridge_us < two - one <= GAP_S * 1e6]
    least = sum(two // 1000 - one // 1000 for one, two in near)
    most = least + sum(two // 1000 - one // 1000 for one, two in far)
    assert least <= all_ms(presences(frames, plan)) <= most


def test_time_counts_in_the_cell_on_the_floor() -> None:
    frames = [frame(n / 2, {"a": (0.3, 0.3)}) for n in range(9)]
    frames += [frame(4.5 + n / 2, {"a": (0.8, 0.8)}) for n in range(5)]
    [found] = presences(frames, CameraInsights(floor=FROM_ABOVE))
    assert found.grid == "floor"
    # (0.3, 0.3) is at (-1.6 m, 3.2 m), and (0.8, 0.8) at (2.4 m, 5.2 m).
    assert cells([found]) == {(-2, 3): (4500, 1), (2, 5): (2000, 1)}


def test_without_calibration_it_counts_in_the_picture() -> None:
    [found] = presences([frame(n / 2, {"a": (0.99, 0.5)}) for n in range(5)])
    assert (found.grid, cells([found])) == ("picture", {(31, 9): (2000, 1)})


def test_feet_that_may_be_cut_off_have_no_place() -> None:
    frames = [frame(n / 2, {"a": (0.5, 1.0)}) for n in range(5)]
    [found] = presences(frames, CameraInsights(floor=FROM_ABOVE))
    assert (found.cells, found.unplaced_ms) == ((), 2000)


def test_far_away_the_place_is_not_known() -> None:
    # 100 m of floor in the upper half of the picture: 1 % of it may be several meters.
    far = fit(
        [((0, 1), (0, 0)), ((1, 1), (5, 0)), ((0.45, 0.5), (0, 100)), ((0.55, 0.5), (5, 100))]
    )
    assert floor_cell(far, (0.5, 0.95)) is not None
    assert floor_cell(far, (0.5, 0.52)) is None


def test_a_gap_adds_nothing() -> None:
    frames = [frame(t, {"a": (0.5, 0.5)}) for t in (0.0, 1.0, 1.0 + GAP_S + 0.1, 2.0 + GAP_S + 0.1)]
    assert all_ms(presences(frames)) == 2000


def test_estimates_and_vehicles_add_nothing() -> None:
    guessed = msgspec.structs.replace(position("a", (0.5, 0.5)), predicted=True)
    frames = [frame(n / 2, [guessed]) for n in range(9)]
    cars = [frame(10 + n / 2, {"b": (0.5, 0.5)}, label="car") for n in range(9)]
    assert presences([*frames, *cars]) == []


def test_staff_add_nothing_even_before_they_are_identified() -> None:
    frames: list = [frame(n, {"a": (0.5, 0.5), "b": (0.2, 0.2)}) for n in range(601)]
    frames.append(identity(600.5, "a", "cleo", kind=IdentityKind.STAFF, started=0))
    outputs = play(machine(), frames)
    sent = [output for output in outputs if isinstance(output, FloorPresence)]
    # Sent after five and ten minutes with both, and at the end without her.
    assert [all_ms([one]) for one in sent] == [600_000, 1_200_000, 600_000]
    assert len({one.event_id for one in sent}) == 1
    assert cells(latest(outputs, FloorPresence)) == {(6, 3): (600_000, 1)}


def test_each_person_counts_once_in_a_cell_however_long_they_stay() -> None:
    frames = [frame(n, {"a": (0.5, 0.5)}) for n in range(3000)]
    found = presences(frames)
    assert [one.started_at for one in found] == [
        START + timedelta(minutes=15 * n) for n in range(4)
    ]
    assert cells(found) == {(16, 9): (2_999_000, 1)}


def test_who_only_passes_a_cell_is_not_one_of_its_people() -> None:
    frames = [frame(n / 5, {"a": (0.01 + n / 50, 0.5)}) for n in range(40)]
    assert {tracks for _, tracks in cells(presences(frames)).values()} == {0}


def test_people_whose_track_was_lost_for_a_moment_count_once() -> None:
    frames = [frame(n / 2, {"a": (0.5, 0.5)}) for n in range(6)]
    frames += [frame(4 + n / 2, {"b": (0.5, 0.5)}) for n in range(6)]
    assert cells(presences(frames)) == {(16, 9): (6500, 1)}


def test_many_forgotten_people_count_each() -> None:
    frames = [
        frame(200 * person + n / 2, {f"t{person}": (0.5, 0.5)})
        for person in range(4)
        for n in range(5)
    ]
    assert cells(presences(frames)) == {(16, 9): (8000, 4)}


def test_a_session_ends_the_span() -> None:
    def of_session(seconds: float, session: int) -> TracksEvent:
        return msgspec.structs.replace(frame(seconds, {"a": (0.5, 0.5)}), session=session)

    found = presences(
        [*(of_session(n, 1) for n in range(5)), *(of_session(n, 2) for n in range(3))]
    )
    assert sorted(all_ms([one]) for one in found) == [2000, 4000]


@given(times(), st.integers(0, 39))
def test_it_goes_on_from_a_snapshot(instants: list[float], cut: int) -> None:
    plan, policy, place = CameraInsights(floor=FROM_ABOVE), InsightPolicy(), Place(SITE, CAMERA)
    frames = [frame(t, {"a": (0.5, 0.5), "b": (t % 1, 0.3)}) for t in instants]
    whole, first, second = (CameraAnalytics(place, plan, policy) for _ in range(3))
    expected = [whole.step(one).insights for one in frames]
    found = [first.step(one).insights for one in frames[:cut]]
    second.resume(decode_camera(encode_camera(first.memory())))
    found += [second.step(one).insights for one in frames[cut:]]
    assert found == expected
    assert second.flush().insights == whole.flush().insights


@pytest.mark.parametrize("cell", [(-2048, -2048), (-1, 0), (0, -1), (2047, 2047)])
def test_cells_are_told_by_their_number(cell: tuple[int, int]) -> None:
    number = number_of(GridCell(*cell))
    assert cell_numbered(number) == cell
    assert 0 <= number < 2**31
