"""What was said before: in a file, in this machine's journal, or on the cluster's topics."""

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.disk.journal_file import read_journal
from trinetra.adapters.kafka.event_log import KafkaEventLog
from trinetra.errors import ConfigurationError
from trinetra.events.customers import CustomerChange, People
from trinetra.events.topics import Topic
from trinetra.ports import EventLog
from trinetra.settings import Settings
from trinetra.site import load_site
from trinetra.values import Instant, SiteId
from trinetra.wiring.places import journal_folder, kafka_connection
from trinetra.wiring.stores import open_customer_log

_BATCH = 2000
_WAIT_S = 0.5
SITE_FILE = Path("site.yaml")
"""Taken where no other site file is named; ``trinetra init`` writes it."""


class EventHistory(Protocol):
    """A place where events of the past can be read; ``str()`` tells where that is."""

    def read(self, topics: Sequence[Topic], *, since: Instant) -> AsyncIterator[list[bytes]]:
        """Yield the events of topics from an instant of appending on, up to now, in batches.

        Each camera's are in order. Raises ConfigurationError or EventLogUnavailable.
        """


@dataclass(frozen=True, slots=True)
class FileHistory:
    """JSON lines that ``--events`` wrote; they are read whole, whatever their topic or age."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    async def read(self, topics: Sequence[Topic], *, since: Instant) -> AsyncIterator[list[bytes]]:
        """Yield the lines of the file."""
        del topics, since  # a file has neither
        try:
            with self.path.open("rb") as lines:
                while batch := list(itertools.islice(lines, _BATCH)):
                    yield [line for each in batch if (line := each.strip())]
        except OSError as cause:
            raise self.unreadable(cause) from cause

    def unreadable(self, cause: OSError) -> ConfigurationError:
        """Return the error for a file that cannot be opened or read."""
        reason = (cause.strerror or "unreadable").lower()
        return ConfigurationError(f"{self.path} cannot be read: {reason}; check the path")


@dataclass(frozen=True, slots=True)
class JournalHistory:
    """What a platform in one process wrote down, while it runs or afterwards."""

    folder: Path

    def __str__(self) -> str:
        return f"the journal in {self.folder}"

    async def read(self, topics: Sequence[Topic], *, since: Instant) -> AsyncIterator[list[bytes]]:
        """Yield the journal's entries."""
        if not self.folder.is_dir():
            raise ConfigurationError(
                f"there is no journal in {self.folder}: `trinetra run` writes it unless "
                "TRINETRA_JOURNAL_MAX_MB is 0; run as the same user, or give --file"
            )
        entries = read_journal(self.folder, [topic.name for topic in topics], since=since)
        while batch := list(itertools.islice(entries, _BATCH)):
            yield [entry.value for entry in batch]


@dataclass(frozen=True, slots=True)
class ClusterHistory:
    """The topics of a cluster."""

    settings: Settings
    site_id: SiteId

    def __str__(self) -> str:
        return f"the topics at {self.settings.kafka_servers}"

    async def read(self, topics: Sequence[Topic], *, since: Instant) -> AsyncIterator[list[bytes]]:
        """Yield the records that are committed by the time they are reached."""
        async with open_cluster(self.settings, self.site_id) as log:
            reader = await log.open_reader(topics, since=since)
            try:
                while True:
                    found = await reader.poll(max_records=_BATCH, wait_s=_WAIT_S)
                    yield [delivery.value for delivery in found]
                    if len(found) < _BATCH and not await reader.lag():
                        return
            finally:
                await reader.close()


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


def history_of(settings: Settings, *, file: Path | None, site: Path | None) -> EventHistory:
    """Return where the past is: the file, if one is given, or where the settings have the log."""
    if file is not None:
        return FileHistory(file)
    if settings.event_log == "memory":
        return JournalHistory(journal_folder(settings))
    return ClusterHistory(settings, site_id_of(site))


async def read_people(settings: Settings, *, before: Instant | None = None) -> People:
    """Return who is whom by the customer book; nobody where there is none yet.

    With ``before``, what resolvers found out by themselves from then on is left out.
    Raises StoreUnavailable or ConfigurationError.
    """
    people = People()
    if settings.store_url is None and not (settings.data_dir / "insights.db").exists():
        return people  # opening the book would make it
    async with open_customer_log(settings) as customer_log:
        while changes := await customer_log.changes(people.number, _BATCH):
            people.apply(c for c in changes if _was_known(c.change, before))
            people.number = changes[-1].number
    return people


def _was_known(change: CustomerChange, before: Instant | None) -> bool:
    return before is None or change.by == "operator" or change.at < before


def site_id_of(site: Path | None) -> SiteId:
    """Return whose topics to read: those of a site file, by default of the one in this folder."""
    if site is None and not SITE_FILE.exists():
        raise ConfigurationError(
            f"a cluster may hold several shops: say which with --site SITE (there is no "
            f"{SITE_FILE} here)"
        )
    return load_site(site or SITE_FILE).site_id
