"""Reading topics outside of any group: all there is from an instant on, or the last of each key."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Self

from confluent_kafka import IsolationLevel, Message
from confluent_kafka.admin import OffsetSpec

from trinetra.adapters.kafka.client import KafkaClient
from trinetra.adapters.kafka.records import Records, delivery
from trinetra.adapters.kafka.worker import Worker
from trinetra.events.topics import Topic
from trinetra.ports import Delivery, TopicPartition
from trinetra.values import EPOCH, Instant, seconds_between

_ANSWER_TIMEOUT_S = 15.0
_TURN_S = 0.1
_MOST_AT_ONCE = 10_000
_NO_GROUP = "trinetra-reader"
"""librdkafka wants a name; no group is joined or committed to."""


class KafkaTopicReader:
    """A TopicReader with a consumer of its own, which gives every partition to itself.

    While brokers are away a poll has nothing and the next one after has the rest; ``lag`` is what
    tells of an outage. Records that Kafka deletes by age before they were read are skipped.
    """

    def __init__(
        self,
        client: KafkaClient,
        places: Sequence[TopicPartition],
        prefix: str,
        on_close: Callable[["KafkaTopicReader"], None],
    ) -> None:
        self._client = client
        self._records = Records(client, client.consumer(group_id=_NO_GROUP, fetch_wait_max_ms=100))
        self._worker = Worker("topic-reader")
        self._places = places
        self._prefix = prefix
        self._on_close = on_close
        self._buffered: deque[Message] = deque()
        self._closed = False

    @classmethod
    async def open(
        cls,
        client: KafkaClient,
        topics: Sequence[Topic],
        *,
        prefix: str,
        since: Instant,
        on_close: Callable[["KafkaTopicReader"], None],
    ) -> Self:
        """Find where to begin, and begin. Raises EventLogUnavailable, ConfigurationError."""
        places = [(prefix + topic.name, p) for topic in topics for p in range(topic.partitions)]
        begin = await asyncio.to_thread(_first_since, client, places, since)
        reader = cls(client, places, prefix, on_close)
        reader._records.start(begin)
        return reader

    async def poll(self, *, max_records: int, wait_s: float) -> list[Delivery]:
        """Return the next committed records, each partition in order; waits for the first only.

        Raises EventLogUnavailable, ConfigurationError.
        """
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + wait_s
        while not self._buffered:
            left_s = max(0.0, give_up_s - loop.time())
            read = partial(self._read, min(_TURN_S, left_s), max_records)
            await self._run(read, "following topics")
            if not left_s:
                break
        count = min(max_records, len(self._buffered))
        return [delivery(self._buffered.popleft(), self._prefix) for _ in range(count)]

    async def lag(self) -> int:
        """Return how many committed offsets are still to be passed.

        Raises EventLogUnavailable, ConfigurationError.
        """
        latest = OffsetSpec.latest()
        ends = await asyncio.to_thread(self._client.offsets, self._places, latest)
        ahead = sum(max(0, end - self._records.position(where)) for where, end in ends.items())
        return ahead + len(self._buffered)

    async def close(self) -> None:
        """Stop reading; may be called more than once."""
        if not self._closed:
            self._closed = True
            try:
                await self._run(self._records.close, "closing a reader of topics")
            finally:
                self._worker.stop()
                self._on_close(self)

    async def _run(self, call: Callable[[], None], doing: str) -> None:
        try:
            await self._worker.run(call, _ANSWER_TIMEOUT_S)
        except TimeoutError:
            raise self._client.late(doing, _ANSWER_TIMEOUT_S) from None

    def _read(self, wait_s: float, most: int) -> None:
        self._buffered.extend(self._records.read(wait_s, most))


def _first_since(
    client: KafkaClient, places: Sequence[TopicPartition], since: Instant
) -> dict[TopicPartition, int]:
    """Return the offset of each partition's first record appended at or after an instant.

    Where there is none yet, it is what was the end before we asked: nothing falls in between.
    """
    ends = client.offsets(places, OffsetSpec.latest())
    at_ms = max(0, int(seconds_between(EPOCH, since) * 1000))
    found = client.offsets(places, OffsetSpec.for_timestamp(at_ms))
    return {where: found[where] if found[where] >= 0 else end for where, end in ends.items()}


class StateReader:
    """Reads what a compacted topic says last about every key. It blocks."""

    def __init__(self, client: KafkaClient) -> None:
        self._client = client
        # The last offset is that of a marker, at which the broker waits for more before it tells.
        consumer = client.consumer(group_id=_NO_GROUP, fetch_wait_max_ms=5)
        self._records = Records(client, consumer)

    def latest(self, where: TopicPartition, timeout_s: float) -> dict[str, bytes]:
        """Return the last value of every key; deleted keys not.

        Sees every commit that returned before: it reads up to the end that uncommitted records
        have, and so waits until every transaction up to there is committed or rolled back.
        Raises EventLogUnavailable.
        """
        deadline_s = self._client.clock.monotonic() + timeout_s
        start = self._client.offsets([where], OffsetSpec.earliest())[where]
        uncommitted = IsolationLevel.READ_UNCOMMITTED
        end = self._client.offsets([where], OffsetSpec.latest(), uncommitted)[where]
        values: dict[str, bytes] = {}
        if start >= end:
            return values
        self._records.start({where: start})
        try:
            while self._records.position(where) < end:
                if self._client.clock.monotonic() > deadline_s:
                    raise self._client.late(f"reading {where[0]}[{where[1]}]", timeout_s)
                _fold(values, self._records.read(_TURN_S, _MOST_AT_ONCE))
        finally:
            self._records.stop([where])
        return values

    def close(self) -> None:
        """Close its connections."""
        self._records.close()


def _fold(values: dict[str, bytes], messages: Sequence[Message]) -> None:
    for message in messages:
        key, value = (message.key() or b"").decode(errors="replace"), message.value()
        if value is None:
            values.pop(key, None)
        else:
            values[key] = value
