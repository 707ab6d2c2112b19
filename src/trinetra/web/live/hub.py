"""Topics of the dashboard's live pages: each is rendered once for all who read it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import NamedTuple

from trinetra.errors import ServerUnavailable
from trinetra.ports import Clock
from trinetra.telemetry import get_logger

log = get_logger("web")


class LiveTopic(NamedTuple):
    """What a topic shows, as JSON, and how often it is made while it is read."""

    make: Callable[[], Awaitable[bytes]]
    every_s: float


class _Channel:
    def __init__(self, name: str, topic: LiveTopic, clock: Clock) -> None:
        self._name = name
        self._topic = topic
        self._clock = clock
        self._readers = 0
        self._number = 0
        self._payload = b""
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.made = 0

    async def read(self) -> AsyncGenerator[bytes]:
        """Yield the payload and every later one; a slow reader gets the newest each time."""
        self._readers += 1
        sent = -1
        try:
            while True:
                self._start()
                if sent != self._number and self._payload:
                    sent = self._number
                    yield self._payload
                else:
                    await self._changed.wait()
        finally:
            self._readers -= 1

    def _start(self) -> None:
        if self._task is not None and self._task.done():
            ended, self._task = self._task, None
            ended.result()  # a failure is raised to the reader
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"topic-{self._name}")

    async def _run(self) -> None:
        try:
            while self._readers:
                await self._make()
                await self._clock.sleep(self._topic.every_s)
        finally:
            self._payload = b""  # of no use to a reader who comes later
            self._notify()

    async def _make(self) -> None:
        try:
            payload = await self._topic.make()
        except ServerUnavailable as cause:
            log.warning("live topic not made", topic=self._name, cause=str(cause))
            return
        self.made += 1
        if payload != self._payload:
            self._payload = payload
            self._number += 1
            self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


class TopicHub:
    """The live topics of a site."""

    def __init__(self, topics: Mapping[str, LiveTopic], clock: Clock) -> None:
        self._channels = {name: _Channel(name, topic, clock) for name, topic in topics.items()}

    def __contains__(self, name: str) -> bool:
        """Return whether there is such a topic."""
        return name in self._channels

    def made(self, name: str) -> int:
        """Return how often a topic was rendered."""
        return self._channels[name].made

    def read(self, name: str) -> AsyncGenerator[bytes]:
        """Yield the payloads of a topic."""
        return self._channels[name].read()

    async def close(self) -> None:
        """Stop all topics."""
        await asyncio.gather(*(channel.close() for channel in self._channels.values()))
