"""Visits of people: merges apply to all recorded visits, and their reversal leaves no trace."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from trinetra.events.customers import CustomerChange, CustomerDirectory, NumberedChange
from trinetra.events.schema import Visit
from trinetra.events.visits import unite
from trinetra.values import CameraId, CustomerId, EventId, IdentityKind, SiteId, after

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
GAP_S = 1800.0
IDS = [CustomerId(name) for name in "abcd"]


def visit(who: str, start_min: float, end_min: float, number: int = 1, *cameras: str) -> Visit:
    cameras = cameras or ("door",)
    return Visit(
        event_id=EventId(f"{who}-{number}"),
        site_id=SiteId("shop"),
        camera_id=CameraId(cameras[0]),
        captured_at=after(NOON, end_min * 60),
        customer_id=CustomerId(who),
        kind=IdentityKind.ANONYMOUS,
        started_at=after(NOON, start_min * 60),
        cameras=tuple(map(CameraId, cameras)),
        visit_number=number,
    )


def people(*merges: tuple[str, str]) -> CustomerDirectory:
    known = CustomerDirectory()
    for gone, into in merges:
        known.apply([change(known, "merged", gone, into)])
    return known


def change(known: CustomerDirectory, what: str, who: str, other: str) -> NumberedChange:
    said = CustomerChange(
        change_id=f"{known.number}",
        change=what,
        customer_id=CustomerId(who),
        other=CustomerId(other),
        at=NOON,
    )
    return NumberedChange(known.number + 1, said)


def united(visits: Iterable[Visit], known: CustomerDirectory) -> list[Visit]:
    return unite(visits, known.canonical, GAP_S)


def test_a_visit_that_spans_a_merge_is_one() -> None:
    parts = [visit("b", 10, 20, 1, "aisle", "till"), visit("a", 0, 5, 3, "door", "aisle")]
    [one] = united(parts, people(("b", "a")))
    assert (one.customer_id, one.visit_number) == ("a", 3)
    assert (one.started_at, one.captured_at) == (NOON, after(NOON, 1200))
    assert one.cameras == ("door", "aisle", "till")


def test_visits_on_two_days_stay_two_and_are_numbered_as_one_persons() -> None:
    recorded = [visit("a", 0, 5), visit("b", 90, 95), visit("a", 1500, 1510, 2)]
    assert [v.visit_number for v in united(recorded, people(("b", "a")))] == [1, 2, 3]


def test_visits_before_the_first_that_is_kept_still_count() -> None:
    recorded = [visit("a", 0, 5, 4), visit("b", 90, 95, 2)]
    assert [v.visit_number for v in united(recorded, people(("b", "a")))] == [5, 6]


def test_a_long_visit_that_holds_a_short_one_does_not_end_with_it() -> None:
    recorded = [visit("a", 0, 100), visit("b", 10, 20), visit("b", 120, 130, 2)]
    assert len(united(recorded, people(("b", "a")))) == 1


@st.composite
def histories(draw: st.DrawFn) -> list[Visit]:
    """Return visits of some ids, those of each id at least the gap apart, as they are recorded."""
    visits = []
    for who in IDS:
        at_min = draw(st.integers(0, 100))
        for number in range(1, draw(st.integers(0, 4)) + 1):
            end_min = at_min + draw(st.integers(0, 60))
            visits.append(visit(who, at_min, end_min, number))
            at_min = end_min + draw(st.integers(31, 300))
    return draw(st.permutations(visits))


@st.composite
def books(draw: st.DrawFn) -> CustomerDirectory:
    """Return the state after changes that the customer log would accept."""
    known = CustomerDirectory()
    for _ in range(draw(st.integers(0, 8))):
        what = draw(st.sampled_from(["merged", "merged", "split"]))
        who, other = draw(st.sampled_from(IDS)), draw(st.sampled_from(IDS))
        said = change(known, what, who, known.merged.get(who, other) if what == "split" else other)
        if known._fault(said.change) is None:
            known.apply([said])
    return known


@given(histories(), books())
def test_people_are_counted_once_and_their_visits_lie_apart(
    recorded: list[Visit], known: CustomerDirectory
) -> None:
    visits = united(recorded, known)
    assert {v.customer_id for v in visits} == {known.canonical(v.customer_id) for v in recorded}
    for person in {v.customer_id for v in visits}:
        own = [v for v in visits if v.customer_id == person]
        assert [v.visit_number for v in own] == list(range(1, len(own) + 1))
        for before, later in pairwise(own):
            assert later.started_at - before.captured_at > timedelta(seconds=GAP_S)


@given(histories(), books())
def test_every_recorded_visit_lies_in_one_of_its_person(
    recorded: list[Visit], known: CustomerDirectory
) -> None:
    visits = united(recorded, known)
    for part in recorded:
        [_] = [
            v
            for v in visits
            if v.customer_id == known.canonical(part.customer_id)
            and v.started_at <= part.started_at
            and part.captured_at <= v.captured_at
        ]


@given(histories(), books())
def test_once_every_merge_is_undone_visits_are_what_they_were(
    recorded: list[Visit], known: CustomerDirectory
) -> None:
    before = united(recorded, CustomerDirectory())
    for who in list(known.merged):
        known.apply([change(known, "split", who, known.merged[who])])
    assert united(recorded, known) == before
    assert sorted(before, key=lambda v: v.event_id) == sorted(recorded, key=lambda v: v.event_id)
