"""Feeds recorded detections to services in this process and collects every event they write.

Everything runs in one thread, in the order in which the detections are given: on adapters in
memory, the same detections give the same events on every machine.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from trinetra.events.topics import ALERTS, CUSTOMERS, DETECTIONS, IDENTITIES, INSIGHTS
from trinetra.ports import EventLog, Record, read_up_to
from trinetra.values import CameraId

Detected = tuple[CameraId, bytes]
"""A camera and one of its detection events, as on the wire."""
Listener = Callable[[bytes], None]
"""Is called with every event that the services write, as on the wire."""
MAX_PENDING = 64
"""Records of one partition that may wait for a service. Small, so that the cameras stay within
seconds of each other, as they do live."""
_APPEND_AT_ONCE = 256
_WRITTEN = (IDENTITIES, CUSTOMERS, ALERTS, INSIGHTS)


class ReplayedService(Protocol):
    """A service that reads its input from the event log."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until ``stopping`` is set, then process what is left in the log and return."""


async def play(
    detections: Iterable[Detected],
    log: EventLog,
    services: Sequence[ReplayedService],
    listener: Listener,
) -> None:
    """Run detections through the services; ``services`` are in the order of the data flow.

    ``listener`` is called with all they write, in the order of the log.
    """
    running = (*services, _EventTap(log, listener))
    stops = [asyncio.Event() for _ in running]
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(service.run(stop))
            for service, stop in zip(running, stops, strict=True)
        ]
        await _feed(detections, log)
        for stop, task in zip(stops, tasks, strict=True):
            stop.set()
            await task


async def _feed(detections: Iterable[Detected], log: EventLog) -> None:
    remaining = iter(detections)
    while batch := list(itertools.islice(remaining, _APPEND_AT_ONCE)):
        await asyncio.sleep(0)  # lets the services run before more is read from the recording
        await log.append([Record(DETECTIONS, camera, payload) for camera, payload in batch])


class _EventTap:
    """Passes on to a listener what the services write."""

    def __init__(self, log: EventLog, listener: Listener) -> None:
        self._log = log
        self._listener = listener

    async def run(self, stopping: asyncio.Event) -> None:
        """Read until told to stop, then what is still in the log."""
        subscription = await self._log.subscribe(_WRITTEN, "event-tap")
        try:
            while not stopping.is_set() or await subscription.lag():
                deliveries = await subscription.poll(max_records=1000, wait_s=0.2)
                for delivery in deliveries:
                    self._listener(delivery.value)
                await subscription.commit(read_up_to(deliveries))
        finally:
            await subscription.close()
