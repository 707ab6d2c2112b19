"""The last events, numbered, so that a stream of them can be resumed where it broke off.

An id is ``EPOCH-NUMBER``. The epoch is new in every process: a reader that returns after a restart,
or after more events than are kept, gets a gap told instead of events that are missing silently.
"""

import asyncio
import re
from collections import deque
from collections.abc import Collection
from typing import NamedTuple

from trinetra.values import CameraId, Instant, microseconds

_KEPT = 5000
_KEPT_BYTES = 8 << 20
_ID = re.compile(r"([0-9a-f]{1,16})-([0-9]{1,15})")


class RecentEvent(NamedTuple):
    """An event as JSON, without embeddings."""

    number: int
    kind: str
    camera_id: CameraId
    payload: bytes


class EventRing:
    """Events, bounded in number and bytes; a reader is only a position in it."""

    def __init__(
        self, started_at: Instant, kept: int = _KEPT, kept_bytes: int = _KEPT_BYTES
    ) -> None:
        self._epoch = f"{microseconds(started_at):x}"
        self._events: deque[RecentEvent] = deque()
        self._kept, self._kept_bytes = kept, kept_bytes
        self._bytes = 0
        self._end = 1
        self.changed = asyncio.Event()
        """Set at the next event; a new one takes its place."""

    @property
    def end(self) -> int:
        """The number of the next event."""
        return self._end

    def add(self, kind: str, camera_id: CameraId, payload: bytes) -> None:
        """Add an event and wake the readers."""
        self._events.append(RecentEvent(self._end, kind, camera_id, payload))
        self._end += 1
        self._bytes += len(payload)
        while len(self._events) > self._kept or self._bytes > self._kept_bytes:
            self._bytes -= len(self._events.popleft().payload)
        self.changed.set()
        self.changed = asyncio.Event()

    def clear(self) -> None:
        """Forget all events; who has not read them is told a gap."""
        self._events.clear()
        self._bytes = 0

    def id_of(self, number: int) -> str:
        """Return the id of an event."""
        return f"{self._epoch}-{number}"

    def position(self, last_id: str) -> int | None:
        """Return the number to go on with after an id; None if events after it are missing."""
        found = _ID.fullmatch(last_id)
        if found is None or found[1] != self._epoch:
            return None
        following = int(found[2]) + 1
        return following if self._begin <= following <= self._end else None

    def since(
        self, number: int, kinds: Collection[str], most: int
    ) -> tuple[list[RecentEvent], int]:
        """Return up to ``most`` events of these types from a number on, and where to go on.

        That number must not be before ``position``'s: see ``has_lost``.
        """
        found: list[RecentEvent] = []
        skip = max(0, number - self._begin)
        for row in range(skip, len(self._events)):
            event = self._events[row]
            if event.kind in kinds:
                found.append(event)
                if len(found) == most:
                    return found, event.number + 1
        return found, self._end

    def has_lost(self, number: int) -> bool:
        """Return whether the event with this number is no longer kept."""
        return number < self._begin

    @property
    def _begin(self) -> int:
        return self._end - len(self._events)
