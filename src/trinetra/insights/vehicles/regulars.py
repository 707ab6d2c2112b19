"""Regulars: vehicles that come on several days, by the pseudonyms of their plates."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from trinetra.events.schema import VehicleVisit
from trinetra.values import Instant


@dataclass(frozen=True, slots=True)
class Regular:
    """A vehicle that came on ``days`` different days, ``visits`` times in all."""

    plate_id: str
    days: int
    visits: int
    first_at: Instant
    last_at: Instant


def regulars(visits: Iterable[VehicleVisit], zone: ZoneInfo, least_days: int = 3) -> list[Regular]:
    """Return the vehicles that came on at least so many days of the shop's clock, most days first.

    Vehicles without a legible plate cannot be recognized and are left out.
    """
    arrivals: defaultdict[str, list[Instant]] = defaultdict(list)
    for visit in visits:
        if visit.plate_id:
            arrivals[visit.plate_id].append(visit.captured_at)
    found = [_regular(plate_id, times, zone) for plate_id, times in arrivals.items()]
    kept = [regular for regular in found if regular.days >= least_days]
    return sorted(kept, key=lambda regular: (-regular.days, -regular.visits, regular.plate_id))


def _regular(plate_id: str, times: list[Instant], zone: ZoneInfo) -> Regular:
    days: set[date] = {at.astimezone(zone).date() for at in times}
    return Regular(plate_id, len(days), len(times), min(times), max(times))
