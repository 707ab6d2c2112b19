"""Takes the pseudonyms of plates off vehicle visits, at an erasure and when they expire.

A visit and the stays it consists of get a random pseudonym instead: the visit remains one and
counts on, but cannot be connected to any other visit of the vehicle.
"""

import secrets
from collections.abc import Collection, Iterable

from msgspec.structs import replace
from sqlalchemy import Connection, select

from trinetra.adapters.sql.insight_rows import insights_by_id, write_insights
from trinetra.adapters.sql.schema import VEHICLE_LINKS, VEHICLE_VISITS
from trinetra.events.rollups import RollupRules
from trinetra.events.schema import InsightEvent, VehicleStay, VehicleVisit
from trinetra.values import CustomerId, Instant

_UNLINKED = "gone_"
"""How pseudonyms begin that connect no visits any more."""


def vehicles_of(connection: Connection, ids: Collection[CustomerId]) -> list[str]:
    """Return the vehicle visits that are linked to one of these customers."""
    query = select(VEHICLE_LINKS.c.vehicle_visit_id).where(VEHICLE_LINKS.c.customer_id.in_(ids))
    return sorted(set(connection.scalars(query)))


def vehicles_before(connection: Connection, before: Instant, most: int) -> list[str]:
    """Return up to ``most`` vehicle visits before an instant whose plate is still linkable."""
    query = (
        select(VEHICLE_VISITS.c.event_id)
        .where(VEHICLE_VISITS.c.captured_at < before)
        .where(VEHICLE_VISITS.c.plate_id.is_not(None))
        .where(VEHICLE_VISITS.c.plate_id.not_like(f"{_UNLINKED}%"))
        .order_by(VEHICLE_VISITS.c.captured_at)
        .limit(most)
    )
    return list(connection.scalars(query))


def unlink_vehicles(connection: Connection, rules: RollupRules, visit_ids: Iterable[str]) -> int:
    """Give vehicle visits and their stays random pseudonyms; return the number of visits."""
    visits = insights_by_id(connection, "vehicle_visit", visit_ids)
    changed: list[InsightEvent] = []
    for visit in visits:
        if not isinstance(visit, VehicleVisit) or visit.plate is None:
            continue
        pseudonym = f"{_UNLINKED}{secrets.token_hex(12)}"
        stays = insights_by_id(connection, "vehicle_stay", visit.stays)
        for seen in (visit, *stays):
            if isinstance(seen, VehicleVisit | VehicleStay) and seen.plate is not None:
                plate = replace(seen.plate, plate_id=pseudonym, text=None)
                changed.append(replace(seen, plate=plate))
    write_insights(connection, rules, changed, always=True)
    return sum(isinstance(event, VehicleVisit) for event in changed)
