"""A count by hand tells how far a line's count can be trusted."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from trinetra.events.audits import CountAudit, SeenCrossing
from trinetra.insights.footfall.count_accuracy import (
    CountAccuracy,
    accuracy,
    latest_for,
    matches,
    wilson,
)
from trinetra.values import CameraId

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def audit(taps: list[float], crossings: list[float], minute: int = 0) -> CountAudit:
    return CountAudit(
        audit_id=f"a{minute}",
        camera_id=CameraId("door"),
        line_id="main",
        start=at(60 * minute),
        end=at(60 * minute + 60),
        by="Asha",
        made_at=at(600),
        tolerance_s=2.0,
        taps=tuple(SeenCrossing(at(s), "in") for s in taps),
        crossings=tuple(SeenCrossing(at(s), "in") for s in crossings),
    )


def test_each_tap_is_one_crossing_at_most() -> None:
    found = accuracy(audit([10, 11, 30], [10.5, 40]), "in")
    assert (found.by_hand, found.by_platform, found.matched) == (3, 2, 1)
    assert accuracy(audit([10], [10.5]), "out").by_hand == 0


def test_a_crossing_just_outside_the_span_counts_only_if_someone_was_seen() -> None:
    found = accuracy(audit([0.5], [-1.0, 61.0]), "in")
    assert (found.by_platform, found.matched) == (1, 1)


@given(
    taps=st.lists(st.integers(0, 20), max_size=7),
    crossings=st.lists(st.integers(0, 20), max_size=7),
)
def test_no_other_pairing_finds_more(taps: list[int], crossings: list[int]) -> None:
    found = matches(map(at, taps), map(at, crossings), 2.0)
    near = (
        np.abs(np.subtract.outer(taps, crossings)) <= 2 if taps and crossings else np.zeros((1, 1))
    )
    rows, columns = linear_sum_assignment(near, maximize=True)
    assert len(found) == near[rows, columns].sum()


def test_wilson_has_the_published_values() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3: 81/263 and 15/148.
    for hits, trials, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605)):
        found = wilson(hits, trials)
        assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_ten_of_ten_without_an_error_still_leave_doubt() -> None:
    factor = CountAccuracy(10, 10, 10).factor
    assert factor is not None
    assert (factor.value, round(factor.low, 2), round(factor.high, 2)) == (1.0, 0.72, 1.38)
    low, high = CountAccuracy(10, 10, 10).interval(100) or (0, 0)
    assert (low < 73, high > 138) == (True, True)


def test_nothing_matched_tells_nothing() -> None:
    assert CountAccuracy(3, 2, 0).interval(10) is None
    assert CountAccuracy(0, 0, 0).interval(10) is None
    assert CountAccuracy(3, 3, 3).interval(0) is None


@pytest.mark.parametrize(
    ("people", "found_share", "invented", "count"),
    [(40, 0.9, 0.05, 200), (40, 0.8, 0.2, 50), (150, 0.95, 0.02, 2000), (20, 0.9, 0.1, 20)],
)
def test_the_interval_holds_about_as_often_as_it_says(
    people: int, found_share: float, invented: float, count: int
) -> None:
    random = np.random.default_rng(7)
    held = known = 0
    for _ in range(4000):
        truth = random.poisson(people)
        hits = random.binomial(truth, found_share)
        tested = CountAccuracy(truth, hits + random.poisson(people * invented), hits)
        shop = random.poisson(count)
        counted = random.binomial(shop, found_share) + random.poisson(count * invented)
        if bounds := tested.interval(counted):
            known += 1
            held += bounds[0] <= shop <= bounds[1]
    assert 0.93 <= held / known <= 0.995


def test_a_change_between_them_parts_an_audit_from_a_figure() -> None:
    early, late = audit([], [], 0), audit([], [], 10)
    span = (at(1200), at(1260))
    assert latest_for([early, late], [], span) is late
    assert latest_for([early, late], [at(300)], span) is late
    assert latest_for([early, late], [at(900)], span) is None
    assert latest_for([early, late], [at(300)], (at(100), at(200))) is early
