"""Finds customers who behave like staff, by what is on record."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from zoneinfo import ZoneInfo

from trinetra.events.schema import Visit, ZoneStay
from trinetra.insights.footfall.staff import (
    StaffCandidate,
    StaffRules,
    staff_candidates,
    without_candidates,
)
from trinetra.ports import Clock, InsightStore
from trinetra.site import Site
from trinetra.values import Instant
from trinetra.wiring.cached import Cached
from trinetra.wiring.site_graph import opening_hours

_EVERY_S = 300.0


@dataclass(frozen=True, slots=True)
class StaffSearch:
    """Customers who behave like staff, and how many visits remain without them."""

    found: tuple[StaffCandidate, ...]
    visits: int
    visits_without: int


class StaffSearches:
    """Searches for staff, made once in some minutes for everyone who asks: days are looked at."""

    def __init__(self, site: Callable[[], Site], store: InsightStore, clock: Clock) -> None:
        self._site, self._store, self._clock = site, store, clock
        self._made: dict[int, Cached[StaffSearch]] = {}

    async def of_days(self, days: int) -> StaffSearch:
        """Return who behaved like staff on the last days. Raises StoreUnavailable."""
        if days not in self._made:
            self._made[days] = Cached(partial(self._search, days), _EVERY_S, self._clock)
        return await self._made[days].get()

    async def _search(self, days: int) -> StaffSearch:
        return await find_staff(self._store, self._site(), self._clock.now(), days)


async def find_staff(store: InsightStore, site: Site, end: Instant, days: int) -> StaffSearch:
    """Return the customers who behaved like staff on the last days. Raises StoreUnavailable."""
    start, rules = end - timedelta(days=days), _rules(site)
    visits: list[Visit] = await store.visits(start, end, site.policies.stays.visit_gap_s)
    at_counters = await store.fetch("zone_stay", start, end) if rules.counters else []
    stays = [stay for stay in at_counters if isinstance(stay, ZoneStay)]
    found = await asyncio.to_thread(staff_candidates, visits, stays, rules)
    return StaffSearch(tuple(found), len(visits), len(without_candidates(visits, found)))


def _rules(site: Site) -> StaffRules:
    counters = frozenset(
        (camera.camera_id, zone.id)
        for camera in site.cameras
        for zone in camera.zones
        if zone.kind == "counter"
    )
    return StaffRules(ZoneInfo(site.timezone), opening_hours(site), counters)
