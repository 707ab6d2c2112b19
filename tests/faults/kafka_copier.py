"""Members of a group that copy a source to a sink: what each record becomes can be counted."""

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence

from tests.servers.kafka_logs import kafka_log

from trinetra.errors import EventLogUnavailable
from trinetra.events.topics import Topic
from trinetra.ports import Delivery, EventLog, Progress, Record, Subscription
from trinetra.telemetry import configure_logging

SOURCE = Topic("test.source", 8)
SINK = Topic("test.sink", 3)
TOPICS = (SOURCE, SINK)
GROUP = "copiers"


def numbered(count: int, start: int = 0) -> list[Record]:
    """Return records of many cameras whose values are numbers."""
    return [Record(SOURCE, f"cam{n % 24}", str(n).encode()) for n in range(start, start + count)]


def copies(deliveries: Sequence[Delivery]) -> list[Progress]:
    """Return progress with one output per record."""
    parts: dict[tuple[str, int], list[Delivery]] = {}
    for delivery in deliveries:
        parts.setdefault((delivery.topic, delivery.partition), []).append(delivery)
    return [
        Progress(where, part[-1].offset + 1, [Record(SINK, d.key, d.value) for d in part])
        for where, part in parts.items()
    ]


async def copy_some(reader: Subscription, max_records: int = 50) -> int:
    """Poll and commit once; what cannot be committed is left to whoever owns it by then."""
    try:
        got = await reader.poll(max_records=max_records, wait_s=0.2)
        await reader.commit(copies(got))
    except EventLogUnavailable:
        return 0
    return len(got)


async def sunk(log: EventLog, count: int, *, quiet_s: float = 0.5) -> Counter[bytes]:
    """Return how often each value is in the sink, once there are ``count`` records and no more."""
    reader = await log.subscribe([SINK], "check")
    seen: Counter[bytes] = Counter()
    while seen.total() < count:
        seen.update(d.value for d in await reader.poll(max_records=500, wait_s=1))
    seen.update(d.value for d in await reader.poll(max_records=500, wait_s=quiet_s))
    await reader.close()
    return seen


async def _member(servers: str, namespace: str, instance: str) -> None:
    """Do what lines on standard input say, and print what came of it."""
    async with kafka_log(servers, TOPICS, namespace=namespace, instance=instance) as log:
        reader = await log.subscribe([SOURCE], GROUP)
        got: list[Delivery] = []
        _say("joined")
        while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
            try:
                if line == "poll":
                    got = []
                    while not got:
                        got = await reader.poll(max_records=50, wait_s=0.5)
                    _say(f"polled {len(got)}")
                else:
                    await reader.commit(copies(got))
                    _say("committed")
            except Exception as failure:  # noqa: BLE001 - the test is told of any
                _say(f"{type(failure).__name__}: {failure}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    configure_logging(as_json=False)
    asyncio.run(_member(*sys.argv[1:]))
