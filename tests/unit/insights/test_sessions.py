"""Capture sessions: nothing outlasts one, and none hides the frames of the next."""

import msgspec
import pytest
from tests.unit.insights.walks import CAMERA, SITE, Feet, at, frame, latest

from trinetra.events.schema import LineCrossing, Occupancy, TracksEvent, ZoneStay
from trinetra.insights.config import CameraInsights, InsightPolicy, Line, Zone
from trinetra.insights.partitions import CameraPartition

PLAN = CameraInsights(
    zones=(Zone("hall", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)), min_dwell_s=1.0),),
    lines=(Line("entry", (0.5, 1.0), (0.5, 0.0)),),
)
BACK_S = -3600.25


def camera() -> CameraPartition:
    return CameraPartition(SITE, {CAMERA: PLAN}, InsightPolicy())


def seen(session: int, seconds: float, feet: Feet) -> TracksEvent:
    return msgspec.structs.replace(frame(seconds, feet), session=session)


def walk(session: int, start: float, track: str) -> list[TracksEvent]:
    """A person walks over the line from left to right."""
    return [seen(session, start + i / 5, {track: (0.2 + i * 0.05, 0.5)}) for i in range(13)]


def play(share: CameraPartition, events: list[TracksEvent]) -> list[object]:
    return [i for event in events if (out := share.step(event)) for i in out.insights]


def restarted(share: CameraPartition) -> CameraPartition:
    again = camera()
    assert again.resume({key: value for key, value in share.changes().items() if value}) == {}
    return again


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("start", [BACK_S, -BACK_S])
def test_the_frames_of_a_new_session_count_whatever_their_time(
    start: float, *, restarts: bool
) -> None:
    share = camera()
    outputs = play(share, walk(7, 0.0, "a"))
    share = restarted(share) if restarts else share
    outputs += play(share, walk(3, start, "b"))
    assert [crossing.track_id for crossing in latest(outputs, LineCrossing)] == ["a", "b"]


def test_frames_of_an_earlier_session_that_come_again_count_nothing() -> None:
    share = camera()
    first, second = walk(7, 0.0, "a"), walk(3, BACK_S, "b")
    play(share, [*first, *second])
    share = restarted(share)
    assert [share.step(event) for event in [*first, *second]] == [None] * 26


def test_a_stay_ends_with_the_last_frame_of_its_session() -> None:
    share = camera()
    outputs = play(share, [*walk(7, 0.0, "a"), seen(3, BACK_S, {})])
    (stay,) = latest(outputs, ZoneStay)
    assert (stay.entered_at, stay.captured_at) == (at(0.0), at(2.4))


def test_occupancy_starts_anew_with_the_session() -> None:
    share = camera()
    outputs = play(share, [*walk(7, 0.0, "a"), seen(3, BACK_S, {})])
    counts = [o for o in latest(outputs, Occupancy) if o.captured_at == at(BACK_S)]
    assert {(o.zone_id, o.persons) for o in counts} == {(None, 0), ("hall", 0)}


def test_nobody_crosses_a_line_between_two_sessions() -> None:
    share = camera()
    outputs = play(share, [*walk(7, 0.0, "a")[:5], *walk(3, BACK_S, "a")[8:]])
    assert latest(outputs, LineCrossing) == []
