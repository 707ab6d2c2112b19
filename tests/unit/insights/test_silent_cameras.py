"""A camera that falls silent: its figures end, and what follows is marked as not seen."""

import msgspec
from tests.unit.insights.walks import at, frame, identity, latest, machine

from trinetra.events.schema import Occupancy, TracksEvent, Visit, ZoneStay
from trinetra.insights.config import CameraInsights, Zone

TILL = Zone("till", ((0, 0), (1, 0), (1, 1), (0, 1)))
PLAN = CameraInsights(zones=(TILL,))
FOUR = {f"t{n}": (0.2 + 0.2 * n, 0.9) for n in range(4)}


def in_view(start: float, end: float) -> list[TracksEvent]:
    """Four people stand at the till."""
    return [frame(start + n / 5, FOUR) for n in range(round((end - start) * 5) + 1)]


def silence(since: float, ended: tuple[str, ...] = ()) -> TracksEvent:
    """Return what the resolver tells of a camera without frames since an instant."""
    return msgspec.structs.replace(frame(since), ended=ended, silent=True)


def told(shop: object, *events: object) -> list[object]:
    return [insight for event in events for insight in shop.step(event)]


def figures(insights: list[object]) -> list[tuple[str | None, int, bool]]:
    found = [i for i in insights if isinstance(i, Occupancy)]
    return [(o.zone_id, o.persons, bool(o.unseen)) for o in found]


def test_the_figures_of_a_silent_camera_end_and_are_marked_as_not_seen() -> None:
    shop = machine(PLAN)
    told(shop, *in_view(0, 60))
    ended = told(shop, silence(60))
    assert figures(ended) == [(None, 0, True), ("till", 0, True)]
    assert {o.captured_at for o in ended if isinstance(o, Occupancy)} == {at(60.000001)}
    stays = [i for i in ended if isinstance(i, ZoneStay)]
    assert [(s.captured_at, s.dwell_s) for s in stays] == [(at(60), 60.0)] * 4
    assert shop.cameras.open_stays == 0


def test_a_view_that_was_empty_is_not_seen_either() -> None:
    shop = machine(PLAN)
    told(shop, frame(0), frame(5))
    assert figures(told(shop, silence(5))) == [(None, 0, True), ("till", 0, True)]


def test_the_presence_of_customers_ends_when_they_were_last_seen() -> None:
    shop = machine(PLAN)
    visits = told(shop, identity(0, "t1", "ann"), *in_view(0, 8), silence(8))
    assert [(v.started_at, v.captured_at) for v in latest(visits, Visit)] == [(at(0), at(8))]


def test_silence_that_is_told_again_changes_nothing() -> None:
    shop = machine(PLAN)
    told(shop, *in_view(0, 8), silence(8))
    assert told(shop, silence(8), silence(8, tuple(FOUR))) == []


def test_silence_that_is_told_after_newer_frames_is_ignored() -> None:
    shop = machine(PLAN)
    told(shop, *in_view(0, 8))
    assert told(shop, silence(7.8)) == []
    assert shop.cameras.open_stays == 4


def test_before_the_first_frame_there_is_nothing_to_end() -> None:
    assert told(machine(PLAN), silence(0, ("t1",))) == []


def test_a_camera_that_comes_back_counts_at_once_and_begins_new_stays_of_the_same_visit() -> None:
    shop = machine(PLAN)
    events = [identity(0, "t1", "ann"), *in_view(0, 8), silence(8), silence(8, tuple(FOUR))]
    before = told(shop, *events)
    back = told(shop, *in_view(609, 620), silence(620))
    assert figures(back)[:2] == [(None, 4, False), ("till", 4, False)]
    assert len({s.event_id for s in latest([*before, *back], ZoneStay)}) == 8
    (visit,) = latest([*before, *back], Visit)
    assert (visit.started_at, visit.captured_at) == (at(0), at(620))


def test_frames_that_were_only_late_continue_what_had_ended() -> None:
    shop = machine(PLAN)
    before = told(shop, *in_view(0, 8), silence(8))
    after = told(shop, *in_view(8.2, 12), silence(12))
    assert figures(after)[:2] == [(None, 4, False), ("till", 4, False)]
    stays = latest([*before, *after], ZoneStay)
    assert [(s.entered_at, s.dwell_s) for s in stays] == [(at(0), 12.0)] * 4


def test_the_next_owner_of_a_silent_camera_knows_that_its_figures_ended() -> None:
    first, second = machine(PLAN), machine(PLAN)
    told(first, *in_view(0, 8), silence(8))
    assert second.cameras.resume(first.cameras.changes()) == {}
    assert told(second, silence(8)) == []
    assert figures(told(second, frame(60, FOUR))) == [(None, 4, False), ("till", 4, False)]


def test_a_zone_that_was_removed_from_the_site_is_not_seen_any_more() -> None:
    before, after = machine(PLAN), machine(CameraInsights())
    told(before, *in_view(0, 8))
    after.cameras.resume(before.cameras.changes())
    assert figures(told(after, frame(8.2, FOUR))) == [("till", 0, True)]
    assert figures(told(after, frame(8.4, FOUR))) == []


def test_the_figures_of_a_stopped_site_do_not_stand() -> None:
    shop = machine(PLAN)
    told(shop, *in_view(0, 8))
    assert figures(shop.flush()) == [(None, 0, True), ("till", 0, True)]
    assert figures(shop.flush()) == []
