"""A simulated shop of today: what happened before now is on record, and from now on it is live.

The past is the twin's ground truth, because the pipeline could not process it in the time that a
reader has. What happens from now on goes through the whole pipeline, at the pace of the clock.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from trinetra.events.schema import InsightEvent
from trinetra.ports import InsightStore
from trinetra.retail_calendar.days import local_day
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.streaming.concurrency import run_until
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Behavior, Scenario
from trinetra.twin.shop import built_in_shop
from trinetra.values import Instant
from trinetra.wiring.platform import Platform
from trinetra.wiring.simulated_floor import calibrated, presences
from trinetra.wiring.simulated_insights import TruthInsights
from trinetra.wiring.simulation import simulated, site_document

_OPENS, _OPEN_HOURS = time(9), 12.0
_OPENING = {
    "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
    "opens": "09:00",
    "closes": "21:00",
}
_BUSY = timedelta(hours=15, minutes=30)
_CITIES = (
    *("Pacific/Auckland", "Asia/Magadan", "Australia/Brisbane", "Asia/Tokyo", "Asia/Singapore"),
    *("Asia/Bangkok", "Asia/Dhaka", "Asia/Karachi", "Asia/Dubai", "Africa/Nairobi"),
    *("Africa/Johannesburg", "Africa/Lagos", "Africa/Abidjan", "Atlantic/Cape_Verde"),
    *("Atlantic/South_Georgia", "America/Sao_Paulo", "America/Puerto_Rico", "America/Bogota"),
    *("America/Costa_Rica", "America/Phoenix", "America/Los_Angeles", "America/Anchorage"),
    *("Pacific/Honolulu", "Pacific/Pago_Pago"),
)
_EARLIER_DAYS = (0, 7, 1)
"""Days of the past in the order of their use: today, the day it is compared with, yesterday."""
_AT_ONCE = 500
_SHOPPERS_PER_HOUR = 60.0
_BEHAVIOR = Behavior(open_tills=1, service_fixed_s=65.0)
"""One slow till: people queue, as a reader of the page Queues expects."""


@dataclass(frozen=True, slots=True)
class SimulatedShop:
    """A shop in a city where it is afternoon, and its days up to ``now``."""

    site: Site
    now: Instant
    zone: ZoneInfo

    @classmethod
    def of(cls, now: Instant) -> "SimulatedShop":
        """Return the shop as it is at an instant."""
        zone = ZoneInfo(min(_CITIES, key=lambda city: _from_busy(now, ZoneInfo(city))))
        plan = built_in_shop()
        document = calibrated(site_document(plan), plan.views)
        site = Site.model_validate({**document, "timezone": zone.key, "opening_hours": [_OPENING]})
        return cls(site, now, zone)

    @property
    def city(self) -> str:
        """The city whose clock it has."""
        return self.zone.key.rpartition("/")[2].replace("_", " ")

    @property
    def clock_time(self) -> str:
        """The time of day there."""
        return f"{self.now.astimezone(self.zone):%H:%M}"

    def day(self, days_ago: int) -> Twin:
        """Return the twin of a day that opens by the shop's clock."""
        day = local_day(self.now, self.zone) - timedelta(days=days_ago)
        opens = datetime.combine(day, _OPENS, self.zone)
        scenario = Scenario(
            seed=day.toordinal(),
            shoppers_per_hour=_SHOPPERS_PER_HOUR,
            hours=_OPEN_HOURS,
            started_at=opens.astimezone(self.now.tzinfo),
            open_hours=_OPEN_HOURS,
            behavior=_BEHAVIOR,
        )
        return Twin(built_in_shop(), scenario)

    def past(self) -> Iterator[TruthInsights]:
        """Yield what is on record of each day."""
        cameras = frozenset(camera.camera_id for camera in self.site.cameras)
        for days_ago in _EARLIER_DAYS:
            twin = self.day(days_ago)
            receipts = f"day{twin.scenario.seed}"
            yield TruthInsights(twin, self.site.site_id, "", cameras, receipts)


@dataclass
class HistoryFeed:
    """A service that writes the past into the store, the latest first."""

    shop: SimulatedShop
    store: InsightStore
    name: str = "simulated-history"
    days: int = field(default=0, init=False)

    async def run(self, stopping: asyncio.Event) -> None:
        """Write until all is on record, then wait for the stop."""
        await run_until(stopping, self._write())
        await stopping.wait()

    async def _write(self) -> None:
        for truth in self.shop.past():
            told = await asyncio.to_thread(self._told, truth)
            for first in range(0, len(told), _AT_ONCE):
                await self.store.record(told[first : first + _AT_ONCE])
            self.days += 1

    def _told(self, truth: TruthInsights) -> list[InsightEvent]:
        floor = presences(truth.twin, truth.site_id, self.shop.now)
        return [*truth.until(self.shop.now), *floor]

    def ready(self) -> bool:
        """Return that it works: nothing waits for it."""
        return True

    def status(self) -> dict[str, int]:
        """Return how many days are on record."""
        return {"days": self.days}


@asynccontextmanager
async def simulated_shop(
    shop: SimulatedShop,
    settings: Settings,
    *,
    events_path: Path | None = None,
    site_file: Path | None = None,
) -> AsyncIterator[Platform]:
    """Build the platform on the shop of today; none of its services is started."""
    opening = simulated(
        shop.site,
        settings,
        shop.day(0),
        speed=1.0,
        since=shop.now,
        events_path=events_path,
        site_file=site_file,
    )
    async with opening as platform:
        history = HistoryFeed(shop, platform.store)
        yield replace(platform, upstream=(*platform.upstream, history))


def _from_busy(now: Instant, zone: ZoneInfo) -> timedelta:
    """Return how far the time of day in a zone is from the busy one."""
    local = now.astimezone(zone)
    return abs(timedelta(hours=local.hour, minutes=local.minute) - _BUSY)
