"""Figures of today, by the shop's clock, from the insight store: they outlive a restart."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

from trinetra.errors import TrinetraError
from trinetra.events.schema import LineCrossing, ZoneStay
from trinetra.insights.config import PERSON
from trinetra.ports import Clock, InsightStore
from trinetra.site import Site
from trinetra.telemetry import get_logger
from trinetra.values import IdentityKind, Instant

_EVERY_S = 5.0
log = get_logger("today")


@dataclass(frozen=True, slots=True)
class Figures:
    """What a shop counts in a day; without staff and vehicles."""

    came_in: int
    went_out: int
    customers: int
    visits: int
    stays: int


@dataclass(slots=True)
class Today:
    """The figures of the current day, as last read; None before the first reading."""

    figures: Figures | None = None


def day_of(now: Instant, site: Site) -> tuple[Instant, Instant]:
    """Return the start and end of a day by the shop's clock."""
    local = now.astimezone(ZoneInfo(site.timezone))
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    # Calendar arithmetic on local time: a day with a change of clocks has 23 or 25 hours.
    return midnight, midnight + timedelta(days=1)


async def figures_of(store: InsightStore, site: Site, now: Instant) -> Figures:
    """Return the figures of the day of ``now``. Raises StoreUnavailable."""
    start, end = day_of(now, site)
    crossings = await store.fetch("line_crossing", start, end)
    stays = await store.fetch("zone_stay", start, end)
    visits = await store.visits(start, end, site.policies.stays.visit_gap_s)
    directions = [c.direction for c in crossings if isinstance(c, LineCrossing) and _counts(c)]
    counted = [visit for visit in visits if visit.kind is not IdentityKind.STAFF]
    return Figures(
        came_in=directions.count("in"),
        went_out=directions.count("out"),
        customers=len({visit.customer_id for visit in counted}),
        visits=len(counted),
        stays=sum(isinstance(stay, ZoneStay) and _counts(stay) for stay in stays),
    )


@asynccontextmanager
async def followed(store: InsightStore, site: Site, clock: Clock) -> AsyncIterator[Today]:
    """Read today's figures again and again within the context."""
    today = Today()
    reading = asyncio.create_task(_read(today, store, site, clock), name="today")
    try:
        yield today
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _read(today: Today, store: InsightStore, site: Site, clock: Clock) -> None:
    while True:
        try:
            today.figures = await figures_of(store, site, clock.now())
        except TrinetraError as cause:
            log.warning("today's figures cannot be read", error=str(cause))
            today.figures = None
        await clock.sleep(_EVERY_S)


def _counts(insight: LineCrossing | ZoneStay) -> bool:
    return insight.label == PERSON and insight.kind is not IdentityKind.STAFF
