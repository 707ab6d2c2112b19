"""Figures of a year, and throughput of the insight engine: ``run(...)``.

Reports are timed as the reader of figures answers them, without drawing up the document. Of the
engine only the step of a frame or decision is timed, not the decoding of its record.
"""

import asyncio
import gc
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.benchmarks import insight_engine
from trinetra.benchmarks.insight_days import DAY, LargeStore, StoreSize
from trinetra.benchmarks.insight_year import Year, YearPlan, counts
from trinetra.events.derivation import Span
from trinetra.events.figures import Granularity
from trinetra.insights.figures import FigureQuery
from trinetra.replay.clock import ReplayClock
from trinetra.site import Site
from trinetra.values import Instant
from trinetra.wiring.figures import figure_reader

ROUNDS = 50
_SLOW_MS = 2000.0
_ROUNDS_IF_SLOW = 5


class Question(NamedTuple):
    """A question of a report: days back from the end of the year, to ``until`` days before it."""

    days: int
    granularity: Granularity
    metrics: tuple[str, ...] = ()
    by_place: bool = False
    until: int = 0


QUESTIONS: Mapping[str, Question] = {
    "day by hour": Question(1, "hour"),
    "day by hour and place": Question(1, "hour", by_place=True),
    "week by day": Question(7, "day"),
    "week by place": Question(7, "range", by_place=True),
    "month by day": Question(30, "day"),
    "month by place": Question(30, "range", by_place=True),
    "day a year ago by hour": Question(365, "hour", until=364),
    "month a year ago by day": Question(365, "day", until=335),
    "quarter by week": Question(91, "week"),
    "year by month": Question(365, "month"),
    "year by week": Question(365, "week"),
    "year by day": Question(365, "day"),
    "year in all": Question(365, "range"),
    "year by place": Question(365, "range", by_place=True),
    "footfall of a year by hour and place": Question(365, "hour", ("footfall_in",), by_place=True),
}


class EndOfYear(ReplayClock):
    """A clock that stands still at the end of the year."""

    def __init__(self, at: Instant) -> None:
        self._at = at

    def now(self) -> Instant:
        """Return the end of the year."""
        return self._at


@dataclass(frozen=True, slots=True)
class Timed:
    """Times of one question in ms: the first, and those that follow.

    ``processor_ms`` is the mean of this process: with SQLite all work, else without the server.
    """

    first_ms: float
    processor_ms: float
    warm_ms: tuple[float, ...]
    figures: int

    def __str__(self) -> str:
        p50, p95 = np.quantile(self.warm_ms, [0.5, 0.95])
        return (
            f"p50 {p50:.0f} ms, p95 {p95:.0f} ms, first {self.first_ms:.0f} ms, "
            f"processor {self.processor_ms:.0f} ms, {self.figures} figures"
        )


def run(
    *, store_url: str | None = None, plan: YearPlan | None = None, days: int = 3
) -> dict[str, Any]:
    """Return the figures; the year is built in an SQLite file if no database is given."""
    with tempfile.TemporaryDirectory(prefix="trinetra-insights-") as folder:
        url = store_url or f"sqlite:///{Path(folder) / 'insights.db'}"
        figures = asyncio.run(year_figures(url, plan or YearPlan(), days))
    return {**figures, **insight_engine.run()}


async def year_figures(
    url: str,
    plan: YearPlan,
    days: int,
    size: StoreSize | None = None,
    rounds: int = ROUNDS,
) -> dict[str, Any]:
    """Fill an empty database with a year of a store; return how long its questions take."""
    store = LargeStore.of(size or StoreSize())
    site = store.site()
    began = time.perf_counter()
    year = year_of(store, site, plan, days)
    simulated_s = time.perf_counter() - began
    figures = {
        "cameras": len(site.cameras),
        "days": plan.days,
        "of them simulated": days,
        "insights a day": round(sum(map(len, year.simulated)) / days),
        "simulating s": round(simulated_s, 1),
        **await year.fill(url),
        "recorded days equal those filled in": await year.agrees(url),
        **await counts(url),
    }
    # A reader of figures has no simulated days in memory, which the collector would go through.
    gc.freeze()
    return figures | {
        name: str(timed) async for name, timed in measure(url, site, year.end, rounds)
    }


def year_of(store: LargeStore, site: Site, plan: YearPlan, days: int) -> Year:
    """Return a year of a store, of which some days are simulated."""
    simulated = [store.day(number) for number in range(days)]
    first = min(event.captured_at for event in simulated[0])
    midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
    return Year(plan, ZoneInfo(site.timezone), midnight, simulated)


async def measure(
    url: str, site: Site, end: Instant, rounds: int = ROUNDS
) -> AsyncIterator[tuple[str, Timed]]:
    """Yield how long each question takes; each begins on a connection of its own."""
    for name, question in QUESTIONS.items():
        async with SqlInsightStore.open(url) as store:
            reader = figure_reader(site, store, EndOfYear(end))
            query = _query(question, end)

            async def ask(query: FigureQuery = query) -> int:
                return len((await reader.read(query)).figures)  # noqa: B023

            yield name, await _timed(ask, rounds)


def _query(question: Question, end: Instant) -> FigureQuery:
    span = Span(end - question.days * DAY, end - question.until * DAY)
    return FigureQuery(span, question.metrics, question.granularity, question.by_place)


async def _timed(ask: Callable[[], Awaitable[int]], rounds: int) -> Timed:
    figures, first_ms = await _one(ask)
    number = rounds if first_ms < _SLOW_MS else min(rounds, _ROUNDS_IF_SLOW)
    began = time.process_time()
    warm = [(await _one(ask))[1] for _ in range(number)]
    processor_ms = (time.process_time() - began) * 1000 / number
    return Timed(first_ms, processor_ms, tuple(warm), figures)


async def _one(ask: Callable[[], Awaitable[int]]) -> tuple[int, float]:
    began = time.perf_counter()
    figures = await ask()
    return figures, (time.perf_counter() - began) * 1000
