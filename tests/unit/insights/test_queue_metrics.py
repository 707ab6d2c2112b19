"""Figures about queues, and that percentiles from their sums are close to the exact ones."""

from collections import Counter
from collections.abc import Iterable

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.insights.tills import NOON, stay, visits

from trinetra.events.rollups import Cell
from trinetra.events.schema import QueueVisit
from trinetra.insights.metrics import queue_wait
from trinetra.insights.metrics.catalog import METRICS, cells_of
from trinetra.insights.metrics.histogram import percentile
from trinetra.insights.metrics.queue_abandonment import abandonment
from trinetra.insights.metrics.till_busy import open_tills
from trinetra.values import after


def served(wait_s: float | None, service_s: float = 30.0) -> QueueVisit:
    (visit,) = visits(stay("queue-1", 0, 40, "a"), stay("desk-1", 40, 40 + service_s, "a"))
    return msgspec.structs.replace(visit, wait_s=wait_s)


def summed(cells: Iterable[Cell]) -> dict[tuple[str, str], int]:
    sums: Counter[tuple[str, str]] = Counter()
    for cell in cells:
        if "bins" not in cell.series:
            sums[cell.series, cell.place] += cell.value
    return dict(sums)


def test_a_served_party_counts_its_wait_and_its_service() -> None:
    (visit,) = visits(stay("queue-1", 0, 80, "a"), stay("desk-1", 80, 110, "a"))
    assert summed(cells_of(visit)) == {
        ("queue.waited", "till-1"): 1,
        ("queue.wait.ms", "till-1"): 80_000,
        ("queue.served", "till-1"): 1,
        ("queue.service.ms", "till-1"): 30_000,
        ("queue.waiting.ms", "till-1"): 80_000,
        ("till.busy.ms", "till-1"): 30_000,
    }


def test_waiting_and_serving_count_in_the_minutes_in_which_they_happen() -> None:
    (visit,) = visits(stay("queue-1", 30, 80, "a"), stay("desk-1", 80, 130, "a"))
    of_series = {
        series: [(c.at, c.value) for c in cells_of(visit) if c.series == series]
        for series in ("queue.waiting.ms", "till.busy.ms")
    }
    assert of_series == {
        "queue.waiting.ms": [(NOON, 30_000), (after(NOON, 60), 20_000)],
        "till.busy.ms": [(after(NOON, 60), 40_000), (after(NOON, 120), 10_000)],
    }


def test_an_unknown_wait_is_no_wait_of_0() -> None:
    series = {cell.series for cell in cells_of(served(None))}
    assert "queue.served" in series
    assert not {"queue.waited", "queue.wait.ms", "queue.wait.bins", "queue.waiting.ms"} & series


def test_a_party_that_gives_up_counts_as_abandoned_and_not_as_a_wait() -> None:
    (visit,) = visits(stay("queue-1", 0, 50, "a"))
    assert summed(cells_of(visit)) == {
        ("queue.abandoned", "till-1"): 1,
        ("queue.waiting.ms", "till-1"): 50_000,
    }


def test_a_party_that_leaves_a_queue_of_several_tills_counts_there() -> None:
    (visit,) = visits(stay("snake", 0, 50, "a"))
    assert ("queue.abandoned", "till-camera/snake") in summed(cells_of(visit))


def test_time_is_waited_once_by_a_party_that_changes_the_queue() -> None:
    found = visits(
        stay("queue-1", 0, 60, "a"), stay("queue-2", 65, 90, "a"), stay("desk-2", 90, 120, "a")
    )
    sums = summed(cell for visit in found for cell in cells_of(visit))
    assert sums["queue.moved", "till-1"] == 1
    assert sums["queue.waiting.ms", "till-1"] == 60_000
    assert sums["queue.waiting.ms", "till-2"] == 25_000
    assert sums["queue.wait.ms", "till-2"] == 90_000


@given(st.lists(st.floats(0, 300), min_size=1, max_size=200), st.sampled_from([0.5, 0.9]))
def test_a_percentile_of_the_bins_is_close_to_the_exact_one(
    waits_s: list[float], share: float
) -> None:
    bins = Counter(
        cell.bin
        for wait_s in waits_s
        for cell in queue_wait.cells(served(wait_s))
        if cell.series == queue_wait.HISTOGRAM
    )
    exact = np.quantile(waits_s, share, method="inverted_cdf")
    assert percentile(bins, share) == pytest.approx(exact, rel=0.02, abs=1.0)


def test_the_abandonment_is_a_share_of_all_parties() -> None:
    assert abandonment(1, 3) == 0.25
    assert abandonment(0, 0) is None


def test_a_till_that_served_no_one_is_not_open() -> None:
    assert open_tills({"till-1": 100, "till-2": 0}) == 1


def test_every_series_of_a_visit_belongs_to_a_metric() -> None:
    known = {series for metric in METRICS for series in metric.series}
    found = visits(
        stay("queue-1", 0, 60, "a"),
        stay("queue-2", 65, 90, "a"),
        stay("desk-2", 90, 120, "a"),
        stay("snake", 0, 60, "b"),
    )
    assert {cell.series for visit in found for cell in cells_of(visit)} <= known
