"""Finds customers who behave like staff, by what is on record."""

from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

from trinetra.events.schema import Visit, ZoneStay
from trinetra.insights.footfall.staff import (
    StaffCandidate,
    StaffRules,
    staff_candidates,
    without_candidates,
)
from trinetra.ports import InsightStore
from trinetra.site import Site
from trinetra.values import Instant
from trinetra.wiring.site_graph import opening_hours


@dataclass(frozen=True, slots=True)
class StaffSearch:
    """Customers who behave like staff, and how many visits remain without them."""

    found: tuple[StaffCandidate, ...]
    visits: int
    visits_without: int


async def find_staff(store: InsightStore, site: Site, end: Instant, days: int) -> StaffSearch:
    """Return the customers who behaved like staff on the last days. Raises StoreUnavailable."""
    start = end - timedelta(days=days)
    visits: list[Visit] = await store.visits(start, end, site.policies.stays.visit_gap_s)
    stays = [s for s in await store.fetch("zone_stay", start, end) if isinstance(s, ZoneStay)]
    found = staff_candidates(visits, stays, _rules(site))
    return StaffSearch(tuple(found), len(visits), len(without_candidates(visits, found)))


def _rules(site: Site) -> StaffRules:
    counters = frozenset(
        (camera.camera_id, zone.id)
        for camera in site.cameras
        for zone in camera.zones
        if zone.kind == "counter"
    )
    return StaffRules(ZoneInfo(site.timezone), opening_hours(site), counters)
