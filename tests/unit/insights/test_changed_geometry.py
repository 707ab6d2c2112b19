"""Lines and zones are exchanged between two frames: what is not concerned goes on."""

from collections.abc import Iterator

from tests.unit.insights.walks import CAMERA, frame, latest, machine

from trinetra.events.schema import CameraCoverage, LineCrossing, TracksEvent, ZoneStay
from trinetra.insights.config import CameraInsights, Line, Zone

UPPER = Line("upper", (0.0, 0.3), (1.0, 0.3))
LOWER = Line("lower", (0.0, 0.7), (1.0, 0.7))
MOVED = Line("lower", (0.0, 0.6), (1.0, 0.6))
HALL = Zone("hall", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))
DESK = Zone("desk", ((0.4, 0.0), (0.6, 0.0), (0.6, 1.0), (0.4, 1.0)))
OTHER_DESK = Zone("desk", ((0.0, 0.0), (0.2, 0.0), (0.2, 1.0), (0.0, 1.0)))


def walk_down(start: int = 0, stop: int = 60) -> Iterator[TracksEvent]:
    """A person goes from the top to the bottom in six seconds."""
    for number in range(start, stop):
        yield frame(number / 10, {"t1": (0.5, 0.05 + 0.9 * number / 60)})


def crossed(outputs: list[object]) -> list[str]:
    return [each.line_id for each in latest(outputs, LineCrossing)]


def test_a_line_that_stays_counts_who_is_just_crossing_it() -> None:
    shop = machine(CameraInsights(lines=(UPPER, LOWER)))
    outputs = [o for event in walk_down(0, 15) for o in shop.step(event)]
    outputs += shop.cameras.change({CAMERA: CameraInsights(lines=(UPPER, MOVED))}).insights
    outputs += [o for event in walk_down(15) for o in shop.step(event)]
    assert crossed([*outputs, *shop.flush()]) == ["upper", "lower"]


def test_a_crossing_that_was_certain_is_not_lost_and_none_is_counted_twice() -> None:
    for at in range(1, 60):
        shop = machine(CameraInsights(lines=(UPPER,)))
        outputs = [o for event in walk_down(0, at) for o in shop.step(event)]
        outputs += shop.cameras.change({CAMERA: CameraInsights(lines=(UPPER, LOWER))}).insights
        outputs += [o for event in walk_down(at) for o in shop.step(event)]
        found = crossed([*outputs, *shop.flush()])
        assert found.count("upper") == 1
        assert found.count("lower") <= 1


def test_no_frame_is_unwatched_around_a_change() -> None:
    shop = machine(CameraInsights(lines=(UPPER,)))
    outputs = [o for event in walk_down(0, 30) for o in shop.step(event)]
    outputs += shop.cameras.change({CAMERA: CameraInsights(lines=(LOWER,))}).insights
    outputs += [o for event in walk_down(30) for o in shop.step(event)]
    [covered] = latest([*outputs, *shop.flush()], CameraCoverage)
    assert covered.frames == 60


def test_a_stay_in_a_changed_zone_ends_and_the_others_go_on() -> None:
    shop = machine(CameraInsights(zones=(HALL, DESK)))
    outputs = [o for event in walk_down(0, 30) for o in shop.step(event)]
    outputs += shop.cameras.change({CAMERA: CameraInsights(zones=(HALL, OTHER_DESK))}).insights
    outputs += [o for event in walk_down(30) for o in shop.step(event)]
    stays = {s.zone_id: s.dwell_s for s in latest([*outputs, *shop.flush()], ZoneStay)}
    assert {name: round(dwell_s, 1) for name, dwell_s in stays.items()} == {
        "hall": 5.9,
        "desk": 2.9,
    }


def test_nobody_begins_at_a_line_that_was_drawn_under_their_feet() -> None:
    shop = machine(CameraInsights())
    still = [frame(number / 10, {"t1": (0.5, 0.71)}) for number in range(40)]
    outputs = [o for event in still for o in shop.step(event)]
    outputs += shop.cameras.change({CAMERA: CameraInsights(lines=(LOWER,))}).insights
    leaving = [frame(4 + n / 10, {"t1": (0.5, 0.71 + 0.02 * n)}) for n in range(12)]
    outputs += [o for event in leaving for o in shop.step(event)]
    assert crossed([*outputs, *shop.flush()]) == []


def test_a_removed_camera_keeps_its_lines_for_frames_on_their_way() -> None:
    shop = machine(CameraInsights(lines=(UPPER,)))
    outputs = [o for event in walk_down(0, 10) for o in shop.step(event)]
    before = {CAMERA: CameraInsights(lines=(UPPER,))}
    assert shop.cameras.change(dict(before)).insights == []
    outputs += [o for event in walk_down(10) for o in shop.step(event)]
    assert crossed([*outputs, *shop.flush()]) == ["upper"]


def test_a_zone_that_is_added_or_moved_under_a_person_is_watched_at_its_new_place() -> None:
    aside = Zone("desk", ((0.8, 0.0), (0.9, 0.0), (0.9, 1.0), (0.8, 1.0)))
    for before in ((), (aside,)):
        shop = machine(CameraInsights(zones=before))
        outputs = [o for event in walk_down(0, 20) for o in shop.step(event)]
        outputs += shop.cameras.change({CAMERA: CameraInsights(zones=(DESK,))}).insights
        outputs += [o for event in walk_down(20) for o in shop.step(event)]
        [stay] = latest([*outputs, *shop.flush()], ZoneStay)
        assert round(stay.dwell_s, 1) == 3.9


def test_a_line_that_is_added_or_moved_is_counted_at_its_new_place() -> None:
    out_of_the_way = Line("lower", (0.0, 0.99), (1.0, 0.99))
    for before in ((), (out_of_the_way,)):
        shop = machine(CameraInsights(lines=before))
        outputs = [o for event in walk_down(0, 10) for o in shop.step(event)]
        outputs += shop.cameras.change({CAMERA: CameraInsights(lines=(LOWER,))}).insights
        outputs += [o for event in walk_down(10) for o in shop.step(event)]
        assert crossed([*outputs, *shop.flush()]) == ["lower"]
