"""Events of the past: those in a file, and those that an event log still holds."""

import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from trinetra.errors import ConfigurationError
from trinetra.events.topics import Topic
from trinetra.ports import EventLog
from trinetra.values import Instant

_BATCH = 2000
_WAIT_S = 0.5


class EventHistory(Protocol):
    """A place from which past events can be read; ``str()`` names it in messages."""

    def read(self, topics: Sequence[Topic], *, since: Instant) -> AsyncIterator[list[bytes]]:
        """Yield, in batches, the events appended to the topics from an instant up to now.

        The events of each camera are in order. Raises ConfigurationError or EventLogUnavailable.
        """


@dataclass(frozen=True, slots=True)
class FileHistory:
    """JSON lines that ``--events`` wrote; the file is read whole, whatever the topic or age."""

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
class LogHistory:
    """The records that an event log still holds; ``name`` says in messages which log it is."""

    name: str
    open_log: Callable[[], AbstractAsyncContextManager[EventLog]]

    def __str__(self) -> str:
        return self.name

    async def read(self, topics: Sequence[Topic], *, since: Instant) -> AsyncIterator[list[bytes]]:
        """Yield the records that are committed by the time they are reached."""
        async with self.open_log() as log:
            reader = await log.open_reader(topics, since=since)
            try:
                while True:
                    found = await reader.poll(max_records=_BATCH, wait_s=_WAIT_S)
                    yield [delivery.value for delivery in found]
                    if len(found) < _BATCH and not await reader.lag():
                        return
            finally:
                await reader.close()
