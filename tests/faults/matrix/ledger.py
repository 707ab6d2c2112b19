"""What became visible in the log, read by other means than the product's own adapter."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from trinetra.events import topics
from trinetra.events.codec import decode
from trinetra.events.schema import AnyEvent

WATCHED = (topics.DETECTIONS, topics.IDENTITIES, topics.ALERTS, topics.INSIGHTS)


@dataclass(frozen=True, slots=True)
class Seen:
    """An event as a reader of committed records saw it, and when (monotonic seconds)."""

    event: AnyEvent
    payload: bytes
    at_s: float


@dataclass
class Ledger:
    """Every committed event of a run, in the order in which it became visible."""

    seen: list[Seen] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, payloads: Iterable[bytes]) -> None:
        """Note what became visible now."""
        now_s = time.monotonic()
        self.seen += [Seen(decode(payload), payload, now_s) for payload in payloads]
        self._changed.set()
        self._changed = asyncio.Event()

    def of(self, *kinds: type[AnyEvent], since_s: float = 0.0) -> list[Seen]:
        """Return the events of some kinds that became visible after an instant."""
        return [s for s in self.seen if s.at_s > since_s and isinstance(s.event, kinds)]

    def ids(self, *kinds: type[AnyEvent]) -> Counter[str]:
        """Return how often each event of some kinds is in the log."""
        return Counter(seen.event.event_id for seen in self.of(*kinds))

    async def until(self, holds: Callable[["Ledger"], bool]) -> None:
        """Return once something holds."""
        while not holds(self):
            await self._changed.wait()


@asynccontextmanager
async def watching(servers: str, namespace: str) -> AsyncIterator[Ledger]:
    """Follow every topic from its beginning, seeing committed records alone."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "ledger",  # librdkafka wants a name; nothing is joined or committed
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            # By default it may wait for ten seconds to connect again: longer than what is measured.
            "reconnect.backoff.max.ms": 200,
            "log_level": 0,
        }
    )
    consumer.assign(
        [
            TopicPartition(f"{namespace}.{topic.name}", partition, OFFSET_BEGINNING)
            for topic in WATCHED
            for partition in range(topic.partitions)
        ]
    )
    ledger = Ledger()
    following = asyncio.create_task(_follow(consumer, ledger))
    try:
        yield ledger
    finally:
        following.cancel()
        await asyncio.wait([following])
        if not following.cancelled():
            following.result()


async def _follow(consumer: Consumer, ledger: Ledger) -> None:
    while True:
        first = await asyncio.to_thread(consumer.poll, 0.2)
        if first is not None:
            found = [first, *consumer.consume(10_000, 0)]
            ledger.add(message.value() for message in found if message.error() is None)
