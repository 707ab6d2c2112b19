"""The queue forecast is measured as it would be made: without knowledge of what comes after."""

import msgspec

from trinetra.benchmarks.queue_forecast import (
    Made,
    Quality,
    Shop,
    as_table,
    day_of,
    quality,
    walk_forward,
)
from trinetra.values import after

DAY = day_of(5, Shop(100.0, 1), hours=4.0)


def test_a_forecast_is_not_changed_by_what_happens_later() -> None:
    whole = list(walk_forward(DAY, 300.0))
    cut = after(DAY[0].joined_at, 2 * 3600.0)
    other = [
        v if v.joined_at <= cut else msgspec.structs.replace(v, wait_s=(v.wait_s or 0) + 999)
        for v in DAY
    ]
    changed = list(walk_forward(other, 300.0))
    number = next(i for i, (a, b) in enumerate(zip(whole, changed, strict=True)) if a != b)
    assert number > 20
    assert whole[number].expected_s == changed[number].expected_s
    assert whole[number].naive_s == changed[number].naive_s
    assert whole[number].actual_s != changed[number].actual_s


def test_every_day_has_forecasts_with_and_without_a_range() -> None:
    made = list(walk_forward(DAY, 900.0))
    assert made[0].is_covered is None
    assert {True, False} <= {one.is_covered for one in made}


def test_a_quality_is_the_mean_of_the_errors() -> None:
    made = [Made(30.0, 0.0, 20.0, 10.0, 40.0), Made(30.0, 50.0, 60.0, 10.0, 40.0)]
    assert quality(made) == Quality(20.0, 15.0, 40.0, 0.5, 2)


def test_the_table_has_a_row_for_each_horizon() -> None:
    found = {"a shop": {300.0: Quality(1.0, 2.0, 3.0, 0.8, 9), 600.0: Quality(1, 2, 3, None, 9)}}
    assert as_table(found).splitlines()[2:] == [
        "| a shop | 3 s | 5 min | 1.0 s | 2.0 s | 80% |",
        "| a shop | 3 s | 10 min | 1.0 s | 2.0 s | - |",
    ]
