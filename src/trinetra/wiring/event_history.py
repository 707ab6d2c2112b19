"""Opens the history of events that the settings name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.disk.journal_history import JournalHistory
from trinetra.adapters.kafka.event_log import KafkaEventLog
from trinetra.errors import ConfigurationError
from trinetra.events.customers import CustomerDirectory
from trinetra.ports import EventLog
from trinetra.replay.event_history import EventHistory, FileHistory, LogHistory
from trinetra.replay.people import people_before
from trinetra.settings import Settings
from trinetra.site import load_site
from trinetra.values import Instant, SiteId
from trinetra.wiring.places import journal_folder, kafka_connection
from trinetra.wiring.stores import open_customer_log

SITE_FILE = Path("site.yaml")
"""Taken where no other site file is named; ``trinetra init`` writes it."""


def history_of(settings: Settings, *, file: Path | None, site: Path | None) -> EventHistory:
    """Return the history in the file, if one is given, else that of the settings' event log."""
    if file is not None:
        return FileHistory(file)
    if settings.event_log == "memory":
        return JournalHistory(journal_folder(settings))
    opening = partial(open_cluster, settings, site_id_of(site))
    return LogHistory(f"the topics at {settings.kafka_servers}", opening)


@asynccontextmanager
async def open_cluster(settings: Settings, site_id: SiteId) -> AsyncIterator[EventLog]:
    """Open the cluster's log to read it. Raises EventLogUnavailable or ConfigurationError."""
    async with KafkaEventLog.open(
        kafka_connection(settings),
        instance=settings.instance,
        site_id=site_id,
        clock=SystemClock(),
        namespace=settings.namespace,
    ) as log:
        yield log


async def read_people(settings: Settings, *, before: Instant | None = None) -> CustomerDirectory:
    """Return the customers of the settings' customer log; none where there is no log yet.

    For ``before`` see ``people_before``. Raises StoreUnavailable or ConfigurationError.
    """
    if settings.store_url is None and not (settings.data_dir / "insights.db").exists():
        return CustomerDirectory()  # opening the log would create it
    async with open_customer_log(settings) as customer_log:
        return await people_before(customer_log, before)


def site_id_of(site: Path | None) -> SiteId:
    """Return the id in a site file, by default in the one of this folder.

    Raises ConfigurationError or SiteInvalid.
    """
    if site is None and not SITE_FILE.exists():
        raise ConfigurationError(
            "a cluster may hold the events of several sites: name the site file with --site SITE "
            f"(there is no {SITE_FILE} here)"
        )
    return load_site(site or SITE_FILE).site_id
