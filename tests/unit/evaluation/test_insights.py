"""Insight errors: none on the truth itself, and exactly the planted shifts."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.evaluation.worlds import T0_US

from trinetra.evaluation.figures import match_instants, match_stays
from trinetra.evaluation.insights import score_insights
from trinetra.evaluation.truth import Crossing, Facts, Inside, Presence, Stay, Wait

SECOND = 1_000_000
MINUTE = 60 * SECOND


def crossing(at_s: float, direction: str = "in") -> Crossing:
    return Crossing("door", "step", direction, T0_US + round(at_s * SECOND))


def stay(at_s: float, dwell_s: float, zone: str = "shelf") -> Stay:
    entered = T0_US + round(at_s * SECOND)
    return Stay("aisle", zone, entered, entered + round(dwell_s * SECOND))


def day(visitors: int = 20) -> Facts:
    """Return a day on which a visitor comes every minute, and every other one buys."""
    return Facts(
        crossings=tuple(crossing(60 * i) for i in range(visitors))
        + tuple(crossing(60 * i + 30, "out") for i in range(visitors)),
        stays=tuple(stay(60 * i + 5, 10 + i % 3) for i in range(visitors)),
        visits=tuple(
            Presence(f"p{i}", T0_US + i * MINUTE, T0_US + (i + 1) * MINUTE, bought=i % 2 == 0)
            for i in range(visitors)
        ),
        waits=tuple(
            Wait("till", T0_US + i * MINUTE, 20.0 + i % 5, service_s=30.0 + i % 4)
            for i in range(visitors)
        ),
        inside=tuple(
            Inside(T0_US + i * MINUTE, T0_US + (i + 1) * MINUTE, 1) for i in range(visitors)
        ),
    )


def test_the_truth_against_itself_is_perfect() -> None:
    sheet = score_insights(day(), day())
    for score in sheet.scores:
        perfect = 0.0 if score.name.endswith("error") else 1.0
        assert score.value == perfect, score


@given(st.integers(0, 20), st.integers(0, 15))
def test_footfall_is_off_by_what_was_dropped_and_added(dropped: int, added: int) -> None:
    truth = day()
    crossings = truth.crossings[dropped:] + tuple(crossing(5000 + 9 * i) for i in range(added))
    sheet = score_insights(truth, replace(truth, crossings=crossings))
    error = sheet.value("footfall_error", "door/step in")
    assert error == pytest.approx(100.0 * (added - dropped) / 20)
    assert sheet.value("crossing_recall", "door/step in") == pytest.approx((20 - dropped) / 20)
    assert sheet.value("footfall_error", "door/step out") == 0.0
    counted = 20 - dropped + added
    if counted:
        precision = sheet.value("crossing_precision", "door/step in")
        assert precision == pytest.approx((20 - dropped) / counted)


@given(st.floats(-4, 4))
def test_dwell_is_off_by_what_it_was_shifted(shift_s: float) -> None:
    truth = day()
    longer = tuple(s._replace(left_us=s.left_us + round(shift_s * SECOND)) for s in truth.stays)
    sheet = score_insights(truth, replace(truth, stays=longer))
    score = next(s for s in sheet.scores if s.name == "dwell_error")
    assert score.value == pytest.approx(shift_s, abs=1e-5)
    assert score.interval == pytest.approx((shift_s, shift_s), abs=1e-5)
    assert score.n == 20


@given(st.integers(0, 10))
def test_k_visitors_taken_for_new_ones_are_k_too_many(again: int) -> None:
    truth = day()
    twice = tuple(v._replace(who=f"x{i}") for i, v in enumerate(truth.visits[:again]))
    sheet = score_insights(truth, replace(truth, visits=truth.visits + twice))
    assert sheet.value("unique_visitors_error") == pytest.approx(100.0 * again / 20)


def test_a_returning_visitor_is_one_visitor_and_two_visits() -> None:
    once = day(1)
    again = once.visits[0]._replace(started_us=T0_US + 90 * MINUTE)
    twice = replace(once, visits=(*once.visits, again))
    sheet = score_insights(twice, once)
    assert sheet.value("unique_visitors_error") == 0.0
    assert sheet.value("visits_error") == pytest.approx(-50.0)


def test_the_wait_is_off_by_what_it_was_shifted() -> None:
    truth = day()
    found = replace(truth, waits=tuple(w._replace(wait_s=w.wait_s - 3.0) for w in truth.waits))
    assert score_insights(truth, found).value("queue_wait_error", "till") == pytest.approx(-3.0)


def test_conversion_is_off_in_percentage_points() -> None:
    truth = day()
    found = replace(truth, visits=tuple(v._replace(bought=True) for v in truth.visits))
    score = next(s for s in score_insights(truth, found).scores if s.name == "conversion_error")
    assert (score.truth, score.found, score.value) == (50.0, 100.0, 50.0)


def test_what_no_event_tells_is_not_measured_and_says_so() -> None:
    told = replace(day(), waits=None, visits=tuple(v._replace(bought=None) for v in day().visits))
    scores = {s.name: s for s in score_insights(day(), told).scores}
    for name in ("queue_wait_error", "conversion_error"):
        assert scores[name].value is None
        assert scores[name].note == "not measured: no event contains it"
        assert scores[name].truth is not None


def test_what_the_truth_does_not_tell_is_not_measured_and_says_so() -> None:
    sheet = score_insights(Facts(), day())
    assert {s.value for s in sheet.scores} == {None}
    assert {s.note for s in sheet.scores} == {"not measured: the ground truth does not contain it"}


def test_a_line_nobody_crossed_has_no_percentage() -> None:
    truth = Facts(crossings=(crossing(0, "out"),))
    score = next(s for s in score_insights(truth, truth).scores if s.of == "door/step in")
    assert score.value is None
    assert "no percentage" in score.note


def test_the_interval_holds_the_error_and_follows_from_the_seed() -> None:
    truth = day(120)
    found = replace(truth, crossings=tuple(c for i, c in enumerate(truth.crossings) if i % 9))
    first, again, other = (score_insights(truth, found, seed=seed) for seed in (1, 1, 2))
    footfall = first.scores[0]
    assert footfall.interval is not None
    assert footfall.interval.low <= footfall.value <= footfall.interval.high
    assert footfall.interval.low < footfall.interval.high
    assert first == again
    assert first != other


@given(st.lists(st.integers(0, 60)), st.lists(st.integers(0, 60)), st.integers(0, 5))
def test_matching_instants_is_symmetric_and_grows_with_the_tolerance(
    truth: list[int], found: list[int], tolerance: int
) -> None:
    matches = match_instants(truth, found, tolerance)
    assert matches == match_instants(found, truth, tolerance)
    assert matches <= match_instants(truth, found, tolerance + 1)
    assert match_instants(truth, truth, tolerance) == len(truth)


def test_a_stay_is_matched_to_the_one_it_shares_most_time_with() -> None:
    long, short = stay(0, 30), stay(25, 4)
    found = [stay(1, 28), stay(25, 5)]
    assert match_stays([short, long], found) == [(long, found[0]), (short, found[1])]


def test_stays_that_hardly_touch_are_not_the_same() -> None:
    assert match_stays([stay(0, 10)], [stay(9, 10)]) == []


def test_two_instants_at_the_same_time_match() -> None:
    assert match_stays([stay(3, 0)], [stay(3, 0)]) == [(stay(3, 0), stay(3, 0))]
