"""Open-set identification: errors over gallery size on scores whose distribution is known."""

import numpy as np
import pytest

from trinetra.evaluation.identification import (
    Visits,
    false_positive_rate,
    false_positives,
    fit_tails,
    hold_out,
    miss_rate,
)
from trinetra.impostors import ImpostorTail

SCALE, CENTER = 0.02, 0.5


def visits(people: int, seed: int, *, center: float = CENTER, rounds: int = 4) -> Visits:
    """Return impostor scores with an exponential tail, and own scores of 0.9."""
    random = np.random.default_rng(seed)
    scores = center + random.exponential(SCALE, size=(rounds, people, people))
    scores[:, range(people), range(people)] = 0.9
    return Visits(scores, scores, np.ones(people, np.bool_))


def test_the_fitted_tail_is_that_of_the_scores() -> None:
    random = np.random.default_rng(0)
    tail = fit_tails([{32: visits(60, 1)}], random)[32].tail
    assert tail.scale == pytest.approx(SCALE, rel=0.1)
    wanted = CENTER - SCALE * np.log(1e-4)
    assert tail.score_at(1e-4) == pytest.approx(wanted, abs=0.01)
    assert tail.rate_at(tail.score_at(1e-4)) == pytest.approx(1e-4)


def test_the_tail_is_that_of_the_least_favorable_source_whatever_the_others_are() -> None:
    random = np.random.default_rng(0)
    easy, hard = {32: visits(40, 1)}, {32: visits(40, 2, center=0.6)}
    alone = fit_tails([hard], random)[32].tail
    both = fit_tails([easy, hard], random)[32].tail
    assert both.start == pytest.approx(alone.start, abs=1e-4)


def test_a_tail_of_half_the_people_predicts_the_rate_among_twice_as_many() -> None:
    random = np.random.default_rng(0)
    tail = fit_tails([{32: visits(40, 3)}], random)[32].tail
    threshold = tail.score_at(0.02 / 79)
    rate = false_positive_rate([visits(80, 4, rounds=20)], threshold, 79, random)
    assert rate.value == pytest.approx(0.02, rel=0.3)


def test_an_interval_of_few_people_is_wider_and_holds_the_score() -> None:
    random = np.random.default_rng(0)
    widths = []
    for people in (15, 60):
        fit = fit_tails([{32: visits(people, 5)}], random)[32]
        low, high = fit.score_interval(1e-5)
        assert low < fit.tail.score_at(1e-5) < high
        widths.append(high - low)
    assert widths[0] > widths[1]
    low, high = fit.rate_interval(0.72, 1000)
    assert low < 1000 * fit.tail.rate_at(0.72) < high


def test_the_chance_in_a_random_gallery_is_the_hypergeometric_one() -> None:
    scores = np.full((1, 5, 5), 0.1)
    scores[0, 0, 1] = scores[0, 0, 2] = 0.8  # two of visitor 0's four others
    found = false_positives(Visits(scores, scores, np.ones(5, np.bool_)), 0.5, 2)
    assert found[0].tolist() == pytest.approx([1 - 1 / 6, 0, 0, 0, 0])  # 1 - C(2, 2) / C(4, 2)


def test_a_visitor_is_missed_if_the_last_lookup_is_below_the_threshold() -> None:
    random = np.random.default_rng(0)
    scores = visits(30, 6)
    assert miss_rate([scores], 0.89, random).value == 0
    assert miss_rate([scores], 0.91, random).value == 1
    none = Visits(scores.best, scores.last, np.arange(30) < 10)
    assert miss_rate([none], 0.91, random).people == 10


def test_a_rate_without_an_error_keeps_the_interval_that_so_few_people_can_show() -> None:
    rate = false_positive_rate([visits(30, 7)], 0.95, 20, np.random.default_rng(0))
    assert rate.value == 0
    assert 0.05 < rate.interval.high < 0.2


def test_a_target_holds_for_people_who_were_held_out() -> None:
    sources = [{32: visits(60, 8, rounds=6)}, {32: visits(20, 9, rounds=6)}]

    def wanted(tail: ImpostorTail, target: float, size: int) -> float:
        return tail.score_at(target / size)

    rows = hold_out(sources, [(0.1, 5), (0.1, 20)], wanted, splits=20, face_px=32)
    assert [row.size for row in rows] == [5, 20]
    for row in rows:
        assert row.observed[0] == pytest.approx(0.1, rel=0.4)
        assert row.misses[0] == 0
    assert np.isnan(rows[1].observed[1])  # ten people make no gallery of twenty
    assert rows[1].threshold > rows[0].threshold


def test_a_tail_returns_the_score_of_its_rate_and_no_rate_above_one() -> None:
    tail = ImpostorTail(0.6, 0.02, 0.02)
    assert tail.score_at(0.02) == 0.6
    assert tail.score_at(0.02 / np.e) == pytest.approx(0.62)
    assert tail.rate_at(0.0) == 1.0
