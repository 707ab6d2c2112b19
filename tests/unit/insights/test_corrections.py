"""A track that turns out to be another person's takes its visit along."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.insights.walks import (
    SITE,
    Shop,
    at,
    frame,
    identity,
    latest,
    machine,
    play,
)

from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.events.schema import IdentityEvent, TracksEvent, Visit
from trinetra.insights.config import InsightPolicy
from trinetra.insights.partitions import CustomerPartition
from trinetra.insights.tally import Tally
from trinetra.values import CustomerId, IdentityKind

ALWAYS = (at(-1e6), at(1e6))
Extent = tuple[str, float, float]


def seen(start: float, end: float, track: str = "t") -> list[TracksEvent]:
    return [frame(start + n / 2, {track: (0.5, 0.5)}) for n in range(round((end - start) * 2) + 1)]


def visits(outputs: Iterable[object]) -> list[Extent]:
    """Return the customers, starts and ends of the visits that stand."""
    found = [v for v in latest(outputs, Visit) if not v.withdrawn]
    return sorted(
        (
            v.customer_id,
            (v.started_at - at(0)).total_seconds(),
            (v.captured_at - at(0)).total_seconds(),
        )
        for v in found
    )


def mistaken(start: float = 0.0, track: str = "t") -> list[IdentityEvent | TracksEvent]:
    """A track of 20 s is taken for Ann after 1 s and known to be Ben's after 8 s."""
    frames = seen(start, start + 20, track)
    wrong = identity(start + 1, track, "ann", started=start)
    right = identity(start + 8, track, "ben", started=start)
    return [*frames[:3], wrong, *frames[3:17], right, *frames[17:]]


def test_the_visit_of_a_track_that_was_somebody_elses_is_withdrawn() -> None:
    outputs = play(machine(), mistaken())
    assert visits(outputs) == [("ben", 0, 20)]
    (gone,) = [v for v in latest(outputs, Visit) if v.withdrawn]
    assert (gone.customer_id, gone.revision, gone.visit_number) == ("ann", 1, 1)


def test_a_visit_keeps_what_other_tracks_show() -> None:
    before = [*seen(0, 4, "a"), identity(4, "a", "ann", started=0)]
    assert visits(play(machine(), [*before, *mistaken(100)])) == [("ann", 0, 4), ("ben", 100, 120)]


def test_a_visit_without_its_first_track_begins_later() -> None:
    wrong = [*seen(0, 4), identity(4, "t", "ann", started=0)]
    after = [*seen(30, 34, "a"), identity(34, "a", "ann", started=30)]
    outputs = play(machine(), [*wrong, *after, identity(34, "t", "ben", started=0)])
    assert visits(outputs) == [("ann", 30, 34), ("ben", 0, 34)]


def test_a_visit_that_was_held_together_by_the_wrong_track_is_two() -> None:
    first = [*seen(0, 4, "a"), identity(4, "a", "ann", started=0)]
    wrong = [*seen(1500, 1504), identity(1504, "t", "ann", started=1500)]
    second = [*seen(1550, 1554, "b"), identity(1554, "b", "ann", started=1550)]
    late = [*seen(3020, 3024, "c"), identity(3024, "c", "ann", started=3020)]
    corrected = identity(1554, "t", "ben", started=1500)
    outputs = play(machine(), [*first, *wrong, *second, corrected, *late])
    assert visits(outputs) == [("ann", 0, 3024), ("ben", 1500, 1554)]
    away = play(machine(), [*first, *wrong, identity(1506, "t", "ben", started=1500), *late])
    assert visits(away) == [("ann", 0, 4), ("ann", 3020, 3024), ("ben", 1500, 1506)]


def test_a_gap_that_a_correction_opens_divides_the_visit() -> None:
    shop = machine(policy=InsightPolicy(visit_gap_s=20.0, visit_resend_s=2.0))
    events = [
        *seen(0, 4, "a"),
        identity(4, "a", "ann", started=0),
        *seen(16, 20),
        identity(20, "t", "ann", started=16),
        *seen(32, 36, "b"),
        identity(36, "b", "ann", started=32),
    ]
    assert visits(play(shop, events)) == [("ann", 0, 36)]
    outputs = play(shop, [identity(36, "t", "ben", started=16)])
    found = {v.visit_number: v for v in outputs if v.customer_id == "ann"}
    assert {n: (v.started_at, v.captured_at) for n, v in found.items()} == {
        1: (at(0), at(4)),
        2: (at(32), at(36)),
    }


def test_a_decision_that_is_taken_back_takes_the_visit_back() -> None:
    events = [*seen(0, 4), identity(4, "t", "ann", started=0), identity(4, "t", None, started=0)]
    assert visits(play(machine(), events)) == []


def test_a_customer_who_turns_out_to_be_staff_does_not_visit() -> None:
    staff = identity(6, "t", "ann", started=0, kind=IdentityKind.STAFF)
    events = [*seen(0, 4), identity(4, "t", "ann", started=0), *seen(4.5, 6), staff]
    assert visits(play(machine(), events)) == []


def test_a_track_that_went_over_to_another_person_is_divided_between_the_two() -> None:
    frames = seen(0, 30)
    switch = identity(20, "t", "ben", started=0, since=12)
    events = [identity(0, "t", "ann", started=0), *frames[:41], switch, *frames[41:]]
    assert visits(play(machine(), events)) == [("ann", 0, 12), ("ben", 12, 30)]


def test_tracks_that_continued_the_mistaken_one_go_along() -> None:
    events = [*mistaken()[:10], *seen(6, 8, "u"), identity(8, "t", "ben", started=0)]
    (visit,) = visits(play(machine(), events))
    assert visit == ("ben", 0, 8)


def test_a_merge_is_no_mistake_and_its_end_is() -> None:
    def because(event: IdentityEvent, reason: str) -> IdentityEvent:
        return msgspec.structs.replace(event, reasons=(reason,))

    shop = machine()
    merged = because(identity(6, "t", "old", started=0), "merged")
    apart = because(identity(9, "t", "new", started=0), "split")
    first = play_on(shop, [*seen(0, 4), identity(4, "t", "new", started=0), *seen(4.5, 6), merged])
    assert visits([*first]) == [("new", 0, 4), ("old", 0, 6)]
    outputs = [*first, *play(shop, [*seen(6.5, 9), apart])]
    assert visits(outputs) == [("new", 0, 9)]


def play_on(shop: Shop, events: Iterable[IdentityEvent | TracksEvent]) -> list[object]:
    return [output for event in events for output in shop.step(event)]


def test_the_same_events_again_change_no_visit() -> None:
    events = [*mistaken(), *mistaken(200, "u"), *seen(400, 401, "v")]
    shop = machine()
    once = play_on(shop, events)
    again = play_on(shop, events)
    assert visits([*once, *again]) == visits(once)
    assert [v for v in again if isinstance(v, Visit)] == []


def test_every_event_twice_in_a_row_changes_no_visit() -> None:
    doubled = [event for event in mistaken() for _ in range(2)]
    assert visits(play(machine(), doubled)) == [("ben", 0, 20)]


def test_the_next_owner_of_the_partitions_corrects_as_well() -> None:
    events = mistaken()
    outputs: list[object] = []
    cameras: dict[str, bytes] = {}
    customers: dict[str, bytes] = {}
    for event in events:
        shop = machine()
        assert shop.cameras.resume(cameras) == {}
        assert shop.customers.resume(customers) == {}
        outputs += shop.step(event)
        cameras |= {k: v for k, v in shop.cameras.changes().items() if v}
        changed = shop.customers.changes()
        customers = {k: v for k, v in (customers | changed).items() if v is not None}
    assert visits(outputs) == [("ben", 0, 18)], "its end is told when the track is lost"


def test_a_visit_that_is_only_on_record_is_withdrawn_if_the_track_was_all_of_it() -> None:
    cameras, customers = machine(), CustomerPartition(SITE, InsightPolicy())
    first = play_on(cameras, mistaken()[:10])
    (recorded,) = latest(first, Visit)
    moved = cameras.cameras.step(identity(8, "t", "ben", started=0)).sightings
    customers.meet(CustomerId("ann"), recorded)
    reports = [v for s in moved for v in customers.step(s, 0).insights]
    assert [v.customer_id for v in reports if v.withdrawn] == ["ann"]


async def test_after_a_withdrawn_visit_the_first_real_one_has_its_number(tmp_path: Path) -> None:
    shop = machine()
    outputs = play(shop, mistaken())
    (gone,) = [v for v in latest(outputs, Visit) if v.withdrawn]
    async with SqlInsightStore.open(f"sqlite:///{tmp_path}/i.db") as store:
        await store.record([v for v in outputs if isinstance(v, Visit)])
        assert [v.customer_id for v in await store.visits(*ALWAYS, 1800)] == ["ben"]
        assert await store.last_visit(CustomerId("ann")) == gone

        later = CustomerPartition(SITE, InsightPolicy())
        later.meet(CustomerId("ann"), gone)
        real = machine().cameras.step(identity(9000, "z", "ann", started=9000)).sightings
        await store.record([v for s in real for v in later.step(s, 0).insights])
        (visit,) = [v for v in await store.fetch("visit", *ALWAYS) if v.customer_id == "ann"]
    assert (visit.visit_number, visit.started_at, visit.event_id) == (1, at(9000), gone.event_id)


def test_tallies_take_a_withdrawn_visit_back() -> None:
    tally = Tally()
    for event in play(machine(), mistaken()):
        tally.count(event)
    assert tally.visits == 1


Track = tuple[float, float, list[tuple[float, str]]]
"""When a track begins after the one before, how long it lasts, and its decisions, as fractions."""
tracks = st.lists(
    st.tuples(
        st.sampled_from([1.0, 15.0, 500.0, 1500.0, 2000.0]),
        st.sampled_from([2.0, 10.0, 25.0]),
        st.lists(st.tuples(st.floats(0, 1), st.sampled_from("abc")), max_size=4).map(sorted),
    ),
    max_size=8,
)


@given(tracks)
def test_visits_are_those_of_the_last_decision_on_every_track(story: Sequence[Track]) -> None:
    events, evidence = told(story)
    outputs = play(machine(policy=InsightPolicy(bridge_boxes=1e-6)), events)
    assert visits(outputs) == expected(evidence)


def told(story: Sequence[Track]) -> tuple[list[IdentityEvent | TracksEvent], list[Extent]]:
    """Return the events of tracks one after another, and the extents by their last decisions."""
    events: list[IdentityEvent | TracksEvent] = []
    evidence: list[Extent] = []
    now = 0.0
    for number, (pause, length, decisions) in enumerate(story):
        start, track = now + pause, f"t{number}"
        now = start + length
        shown = [
            frame(start + n, {track: (0.1 + 0.1 * number, 0.9)}) for n in range(int(length) + 1)
        ]
        times = [(round(start + share * length, 3), who) for share, who in decisions]
        events += shown
        events += [identity(t, track, who, started=start) for t, who in times]
        if times:
            evidence.append((times[-1][1], start, now))
    # A decision precedes the positions of its frame.
    order = [(e.captured_at, isinstance(e, TracksEvent), n) for n, e in enumerate(events)]
    return [events[n] for *_, n in sorted(order)], evidence


def expected(evidence: Sequence[Extent]) -> list[Extent]:
    found: list[Extent] = []
    for who, start, end in sorted(evidence):
        if found and found[-1][0] == who and start - found[-1][2] <= 1800:
            found[-1] = (who, found[-1][1], end)
        else:
            found.append((who, start, end))
    return found
