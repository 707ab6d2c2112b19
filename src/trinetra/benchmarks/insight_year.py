"""A year of a large store in an insight store, as production would have left it.

A few simulated days are repeated with shifted dates. The last days are recorded insight by insight.
Of the others only the sums of hours and days are filled in: insights and minutes of that time have
expired. The store's own function adds up the simulated days, whose sums are then copied. ``agrees``
shows on the recorded days that both ways give the same sums.
"""

import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, func, insert, select, text

from trinetra.adapters.sql import rollups
from trinetra.adapters.sql.database import Database
from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.adapters.sql.schema import ROLLUPS, SITE_ROLLUPS, TABLE_OF_KIND
from trinetra.benchmarks.insight_days import DAY, shifted
from trinetra.events.derivation import Span
from trinetra.events.rollups import Cell, Grain, bucket_start
from trinetra.events.schema import InsightEvent
from trinetra.insights.metrics.catalog import METRICS, ROLLUP_RULES, cells_of
from trinetra.values import Instant

_AT_ONCE = 500
SERIES = sorted({series for metric in METRICS for series in metric.series})


class YearPlan(NamedTuple):
    """How many days to fill, and how many of the last ones are recorded insight by insight."""

    days: int = 365
    recorded: int = 2


@dataclass(frozen=True, slots=True)
class Year:
    """A plan, and the simulated days that it repeats; they begin at midnight of ``first``."""

    plan: YearPlan
    zone: ZoneInfo
    first: Instant
    simulated: Sequence[Sequence[InsightEvent]]

    @property
    def recorded_span(self) -> Span:
        """The days whose insights are on record."""
        return Span(self.end - self.plan.recorded * DAY, self.end)

    @property
    def end(self) -> Instant:
        """The midnight at which the year ends."""
        return self.first + self.plan.days * DAY

    def events(self, day: int) -> list[InsightEvent]:
        """Return the insights of a day of the year."""
        return [shifted(event, day) for event in self.simulated[day % len(self.simulated)]]

    async def fill(self, url: str) -> dict[str, float]:
        """Fill a new database; return the seconds in bulk and recording, and insights recorded."""
        bulk_days = self.plan.days - self.plan.recorded
        began = time.perf_counter()
        async with SqlInsightStore.open(url, ROLLUP_RULES) as store:
            await store.prepare_figures(self.zone, {}, self.first)
        async with database(url) as sums:
            await self._fill_in(sums, Span(self.first, self.recorded_span.start))
        filled = time.perf_counter()
        recorded = await self._record(url, range(bulk_days, self.plan.days))
        async with SqlInsightStore.open(url, ROLLUP_RULES) as store:
            await store.expire(self.recorded_span.start, _AT_ONCE)
        ended = time.perf_counter()
        return {
            "sums filled in s": round(filled - began, 1),
            "recording s": round(ended - filled, 1),
            "insights recorded": recorded,
            "insights recorded per s": round(recorded / (ended - filled)),
        }

    async def agrees(self, url: str) -> bool:
        """Return whether the recorded days have the sums that filling them in gives."""
        async with database(url) as recorded, database("sqlite://") as bulk:
            await bulk.run(ROLLUPS.metadata.create_all, writes=True)
            await self._fill_in(bulk, self.recorded_span)
            return await recorded.run(self._sums) == await bulk.run(self._sums)

    async def _fill_in(self, sums: Database, span: Span) -> None:
        """Add up the simulated days, and repeat their sums over a span."""
        for number, events in enumerate(self.simulated):
            cells = [c._replace(at=c.at + number * DAY) for c in _by_hour(events, self.zone)]
            await sums.run(lambda c, cells=cells: self._add(c, cells), writes=True)  # type: ignore[misc]
        for day in range(0, self.plan.days, len(self.simulated)):
            await sums.run(lambda c, day=day: self._repeat(c, day, span), writes=True)  # type: ignore[misc]
        await sums.run(self._add_up_months, writes=True)

    def _add(self, connection: Connection, cells: Iterable[Cell]) -> None:
        rollups.add_cells(connection, self.zone, rollups.next_change(connection), cells)

    def _repeat(self, connection: Connection, day: int, span: Span) -> None:
        """Copy the sums of the simulated days, which begin on ``first``, to later ones in a span.

        The shop's clock is UTC: each day is as long as the others.
        """
        shift_s = round(day * DAY.total_seconds())
        first_s, start_s, end_s = (round(at.timestamp()) for at in (self.first, *span))
        until_s = first_s + round(len(self.simulated) * DAY.total_seconds())
        for table in (ROLLUPS, SITE_ROLLUPS) if day else ():
            source = table.c
            columns = [c + shift_s if c is source.start_s else c for c in source]
            copied = select(*columns).where(
                source.grain.in_([int(Grain.HOUR), int(Grain.DAY)]),
                source.start_s.between(first_s, until_s - 1),
                source.start_s.between(start_s - shift_s, end_s - shift_s - 1),
            )
            connection.execute(insert(table).from_select(list(source.keys()), copied))

    def _add_up_months(self, connection: Connection) -> None:
        rollups.add_up_months(connection, self.zone, rollups.next_change(connection))

    async def _record(self, url: str, days: Iterable[int]) -> int:
        number = 0
        async with SqlInsightStore.open(url, ROLLUP_RULES) as store:
            for day in days:
                events = sorted(self.events(day), key=lambda event: event.captured_at)
                number += len(events)
                for start in range(0, len(events), _AT_ONCE):
                    await store.record(events[start : start + _AT_ONCE])
        return number

    def _sums(self, connection: Connection) -> list[tuple[object, ...]]:
        return [
            one[:-1]
            for grain in (Grain.HOUR, Grain.DAY)
            for one in rollups.read_sums(connection, SERIES, grain, self.recorded_span)
            if one.value
        ]


async def counts(url: str) -> dict[str, int]:
    """Return the number of sums by grain, of insights, and the bytes of the database."""
    async with database(url) as store:
        return await store.run(_counts)


@asynccontextmanager
async def database(url: str) -> AsyncIterator[Database]:
    """Open a database for the block."""
    async with Database.connected(url, thread_name="benchmark") as connected:
        yield connected


def _counts(connection: Connection) -> dict[str, int]:
    sums = {
        f"rows of {of} by {Grain(grain).name.lower()}": number
        for of, table in (("places", ROLLUPS), ("the site", SITE_ROLLUPS))
        for grain, number in connection.execute(
            select(table.c.grain, func.count()).group_by(table.c.grain)
        )
    }
    tables = (select(func.count()).select_from(table) for table in TABLE_OF_KIND.values())
    insights = sum(connection.scalar(query) or 0 for query in tables)
    is_postgres = connection.dialect.name == "postgresql"
    size = text(
        "select pg_database_size(current_database())"
        if is_postgres
        else "select page_count * page_size from pragma_page_count, pragma_page_size"
    )
    megabytes = round(int(connection.scalar(size) or 0) / 1e6)
    return {**sums, "insights on record": insights, "database MB": megabytes}


def _by_hour(events: Iterable[InsightEvent], zone: ZoneInfo) -> list[Cell]:
    """Sum cells up by the hour: the sums of hours and days stay the same, and there are fewer."""
    sums: Counter[tuple[str, str, datetime, int]] = Counter()
    for cell in (cell for event in events for cell in cells_of(event)):
        start = bucket_start(cell.at, Grain.HOUR, zone)
        sums[cell.series, cell.place, start, cell.bin] += cell.value
    return [Cell(s, place, at, value, bin_) for (s, place, at, bin_), value in sums.items()]
