"""An alert service on a log in memory and a database file, for flow tests."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from trinetra.adapters.clock import ManualClock
from trinetra.adapters.memory.customer_log import MemoryCustomerLog
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.adapters.sql.alert_store import SqlAlertStore
from trinetra.alerts.desk import AlertDesk
from trinetra.alerts.service import AlertPorts, AlertService
from trinetra.events.codec import encode
from trinetra.events.schema import AlertEvent, InsightEvent, Occupancy
from trinetra.events.topics import ALERTS, INSIGHTS
from trinetra.ports import Clock, EventLog, HealthFacts, Record
from trinetra.site import Site
from trinetra.site.load import site_from_text
from trinetra.values import CameraId, CustomerId, EventId, SiteId
from trinetra.wiring.alerts import alert_service, open_channels
from trinetra.wiring.assembly import Member

SITE = """
site: shop
timezone: Europe/Berlin
cameras:
  - id: till
    role: billing
    source: {url: "rtsp://192.168.1.20/one"}
    zones:
      - {id: queue, kind: queue, polygon: [[0, 0], [1, 0], [1, 1]]}
"""


def site_of(alerts: str) -> Site:
    """Return a shop with one till; ``alerts`` is that section."""
    return site_from_text(SITE + alerts)


def webhook_site(url: str, more: str = "", recipient: str = "") -> Site:
    """Return a shop that tells everything to one webhook."""
    return site_of(
        "alerts:\n"
        f"  channels: [{{id: hook, webhook: '{url}', allow_private: true{more}}}]\n"
        f"  recipients: [{{id: ann, channels: [hook]{recipient}}}]\n"
    )


@dataclass
class Shop:
    """A running alert service with its log and list of alerts."""

    log: EventLog
    store: SqlAlertStore
    service: AlertService
    desk: AlertDesk

    async def tell(self, *events: AlertEvent | InsightEvent) -> None:
        """Append events, as resolver and insight engine do."""
        await self.log.append(
            [
                Record(
                    ALERTS if isinstance(e, AlertEvent) else INSIGHTS, e.camera_id or "-", encode(e)
                )
                for e in events
            ]
        )


@asynccontextmanager
async def alerting(
    site: Site,
    folder: Path,
    clock: Clock,
    *,
    log: EventLog | None = None,
    environ: Mapping[str, str] | None = None,
    health: HealthFacts | None = None,
    member: str = "one",
) -> AsyncIterator[Shop]:
    """Run an alert service; it is drained at the end."""
    async with AsyncExitStack() as stack:
        url = f"sqlite:///{folder}/insights.db"
        store = await stack.enter_async_context(SqlAlertStore.open(url))
        log = log or MemoryEventLog(clock)
        channels = open_channels(site, environ or {}, store, MemoryCustomerLog(), clock)
        ports = AlertPorts(log, store, store, channels, clock, health)
        service = alert_service(site, ports, Member(member, ends_with_process=True))
        stopping = asyncio.Event()
        running = asyncio.create_task(service.run(stopping))
        try:
            yield Shop(log, store, service, AlertDesk(store, clock))
            stopping.set()
            while isinstance(clock, ManualClock) and not running.done():
                await passing(clock, 0.5)
            await running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def passing(clock: ManualClock, seconds: float) -> None:
    """Let time pass on a clock, and what waits for it happen."""
    clock.advance(seconds)
    await asyncio.sleep(0.002)  # the database works in a thread of its own


def seen(number: int, rule: str = "watchlist", at: datetime | None = None) -> AlertEvent:
    """Return the event that a person on a list was seen; another person for every number."""
    return AlertEvent(
        event_id=EventId(f"alr_{number}"),
        site_id=SiteId("shop"),
        camera_id=CameraId("till"),
        captured_at=at or datetime.now(UTC),
        rule=rule,
        severity="critical",
        message="a person is here",
        customer_id=CustomerId(f"guest-{number}"),
    )


def waiting(people: int, at: datetime, zone: str | None = "queue") -> Occupancy:
    """Return that so many people are in a zone from an instant on."""
    return Occupancy(
        event_id=EventId(f"occ_{at.isoformat()}_{zone}"),
        site_id=SiteId("shop"),
        camera_id=CameraId("till"),
        captured_at=at,
        zone_id=zone,
        persons=people,
    )


def minutes(number: float) -> timedelta:
    """Return a number of minutes."""
    return timedelta(minutes=number)
