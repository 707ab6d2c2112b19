"""Occupancy of the site: never negative, empty at closing, and adrift by no missed exit."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import sqrt
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.events.derivation import Span
from trinetra.events.schema import CameraCoverage, InsightEvent, Passage, SiteOccupancy
from trinetra.insights.footfall.occupancy import SiteOccupancies
from trinetra.opening_hours import OpeningHours, OpenSpan
from trinetra.values import CameraId, EventId, IdentityKind, SiteId

DAY = datetime(2026, 11, 27, tzinfo=UTC)
SPAN = Span(DAY, DAY + timedelta(days=1))
OPEN = OpeningHours(tuple(OpenSpan(day, 9 * 60, 18 * 60) for day in range(7)), "UTC")
SHOP = SiteOccupancies(ZoneInfo("UTC"), OPEN)


def passage(number: int, at: datetime, direction: str, **fields: object) -> Passage:
    return Passage(
        event_id=EventId(f"p{number}"),
        site_id=SiteId("shop"),
        camera_id=CameraId("door"),
        captured_at=at,
        door_id="main",
        door_kind="entrance",
        direction=direction,
        label="person",
        crossings=(),
        **fields,
    )


def watched_until(at: datetime) -> CameraCoverage:
    fields = {"site_id": SiteId("shop"), "camera_id": CameraId("door")}
    start = at - timedelta(minutes=1)
    return CameraCoverage(
        event_id=EventId("w"), captured_at=at, started_at=start, frames=9, **fields
    )


def derive(passages: Sequence[InsightEvent], until: datetime, span: Span = SPAN) -> list:
    inputs = sorted([*passages, watched_until(until)], key=lambda i: (i.captured_at, i.event_id))
    return list(SHOP.derive(span, inputs))


def inside_at(found: Sequence[SiteOccupancy], at: datetime) -> int:
    return sum(one.people for one in found if one.captured_at <= at < one.until)


def a_day(day: datetime, visitors: int, seed: int) -> list[tuple[datetime, datetime]]:
    """Return when each visitor came in and went out."""
    rng = Random(seed)
    opens = day + timedelta(hours=9)
    arrived = [opens + timedelta(seconds=rng.randrange(8 * 3600)) for _ in range(visitors)]
    return [(at, at + timedelta(seconds=rng.expovariate(1 / 1200) % 3600)) for at in arrived]


def counted(
    stays: Sequence[tuple[datetime, datetime]], seed: int, miss_in: float, miss_out: float
) -> list[Passage]:
    rng = Random(seed)
    found = []
    for number, (came, went) in enumerate(stays):
        if rng.random() >= miss_in:
            found.append(passage(2 * number, came, "in"))
        if rng.random() >= miss_out:
            found.append(passage(2 * number + 1, went, "out"))
    return found


def test_who_is_inside_counts_from_entry_to_exit_and_staff_never() -> None:
    noon = DAY + timedelta(hours=12)
    minute = timedelta(minutes=1)
    passages = [
        passage(1, noon, "in"),
        passage(2, noon + minute, "in", kind=IdentityKind.STAFF),
        passage(3, noon + 2 * minute, "in"),
        passage(4, noon + 5 * minute, "out"),
    ]
    found = derive(passages, noon + 9 * minute)
    assert [inside_at(found, noon + n * minute) for n in (0, 1, 2, 4, 5, 8)] == [1, 1, 2, 2, 1, 1]
    assert inside_at(found, noon + 9 * minute) == 0  # no one knows yet


@pytest.mark.parametrize(("miss_in", "miss_out"), [(0.0, 0.08), (0.08, 0.0), (0.05, 0.05)])
def test_a_closed_day_does_not_drift_whatever_direction_is_missed(
    miss_in: float, miss_out: float
) -> None:
    stays = a_day(DAY, 900, seed=1)
    found = derive(counted(stays, 2, miss_in, miss_out), DAY + timedelta(hours=20))
    times = [DAY + timedelta(hours=9, minutes=n) for n in range(0, 560, 5)]
    errors = [inside_at(found, at) - sum(came <= at < went for came, went in stays) for at in times]
    true_mean = sum(sum(a <= at < b for a, b in stays) for at in times) / len(times)
    # What is left of misses in both directions is a random walk between two empty shops.
    chance = 0.5 * sqrt(900 * (miss_in + miss_out))
    assert abs(sum(errors) / len(errors)) < 0.05 * true_mean + chance
    assert all(inside_at(found, DAY + timedelta(hours=h)) == 0 for h in (8.99, 18.6, 23))


def test_an_open_day_is_corrected_by_the_last_closed_one() -> None:
    yesterday = counted(a_day(DAY - timedelta(days=1), 900, 3), 4, 0.0, 0.1)
    today = a_day(DAY, 900, 5)
    now = DAY + timedelta(hours=16)
    seen = [p for p in counted(today, 6, 0.0, 0.1) if p.captured_at < now]
    renamed = [passage(10_000 + n, p.captured_at, p.direction) for n, p in enumerate(seen)]
    at = now - timedelta(minutes=5)
    true = sum(came <= at < went for came, went in today)
    corrected = inside_at(derive([*yesterday, *renamed], now), at)
    raw = inside_at(derive(renamed, now), at)
    assert abs(corrected - true) <= 0.5 * abs(raw - true)


def test_an_impossible_imbalance_is_no_counting_error() -> None:
    noon = DAY + timedelta(hours=12)
    only_in = [passage(n, noon + timedelta(minutes=n), "in") for n in range(40)]
    found = derive(only_in, DAY + timedelta(hours=20))
    assert inside_at(found, noon + timedelta(minutes=39, seconds=1)) == 40
    assert inside_at(found, DAY + timedelta(hours=18, minutes=29)) == 40
    assert inside_at(found, DAY + timedelta(hours=18, minutes=31)) == 0


@given(st.lists(st.tuples(st.integers(0, 3 * 86_400 - 1), st.sampled_from(["in", "out"]))))
def test_counts_are_positive_do_not_overlap_and_end_at_full_hours(
    walks: list[tuple[int, str]],
) -> None:
    begin = DAY - timedelta(days=1)
    passages = [passage(n, begin + timedelta(seconds=s), way) for n, (s, way) in enumerate(walks)]
    found = derive(passages, DAY + timedelta(days=2))
    assert all(one.people > 0 and one.captured_at < one.until for one in found)
    assert all(SPAN.start <= one.captured_at < SPAN.end for one in found)
    assert all(a.until <= b.captured_at for a, b in itertools.pairwise(found))
    hour = timedelta(hours=1)
    assert all(
        one.until <= one.captured_at.replace(minute=0, second=0, microsecond=0) + hour
        for one in found
    )


def test_a_shop_that_is_always_open_counts_as_empty_at_four() -> None:
    always = SiteOccupancies(ZoneInfo("UTC"))
    came = passage(1, DAY + timedelta(hours=3), "in")
    inputs = [came, watched_until(DAY + timedelta(hours=9))]
    found = list(always.derive(SPAN, inputs))
    assert inside_at(found, DAY + timedelta(hours=3, minutes=59)) == 1
    assert inside_at(found, DAY + timedelta(hours=4, minutes=1)) == 0
