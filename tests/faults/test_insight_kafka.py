"""Insight engines as processes on a real Kafka, killed at random: no insight lost or repeated."""

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest
from tests.faults.test_insight_crashes import (
    Crew,
    caught_up,
    final,
    last_of_each,
    of_cameras,
    of_visits,
    pieces,
    records,
)
from tests.servers.kafka_logs import kafka_log
from tests.unit.insights.strolls import stroll
from tests.unit.insights.walks import at

from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.events.schema import InsightEvent
from trinetra.events.topics import ALL, INSIGHTS
from trinetra.ports import EventLog, InsightStore

pytestmark = pytest.mark.kafka
ROOT = Path(__file__).parents[2]
KINDS = (
    *("line_crossing", "zone_stay", "occupancy", "visit"),
    *("coverage", "floor_presence", "queue_visit"),
)
"""What the engine tells; what is derived from it is another service's."""


@dataclass
class Members:
    """Processes that share one group and one SQLite file."""

    servers: str
    namespace: str
    store_url: str
    errors: Path
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self, name: str) -> None:
        command = [sys.executable, "-m", "tests.faults.insight_member"]
        with self.errors.open("ab") as errors:
            self.running[name] = subprocess.Popen(
                [*command, self.servers, self.namespace, name, self.store_url],
                cwd=ROOT,
                stderr=errors,
            )

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def stop(self) -> None:
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        codes = {process.wait() for process in self.running.values()}
        self.running.clear()
        # A process that has only just started does not handle signals yet.
        assert codes <= {0, -signal.SIGTERM}, self.errors.read_text()

    def check(self) -> None:
        dead = [name for name, process in self.running.items() if process.poll() is not None]
        assert not dead, self.errors.read_text()


@contextlib.contextmanager
def members(servers: str, namespace: str, folder: Path) -> Iterator[Members]:
    found = Members(
        servers, namespace, f"sqlite:///{folder / 'insights.db'}", folder / "errors.log"
    )
    try:
        yield found
    finally:
        for name in list(found.running):
            found.kill(name)


async def rows(store: InsightStore) -> dict[str, InsightEvent]:
    found = [i for kind in KINDS for i in await store.fetch(kind, at(-9999), at(10**6))]
    return {insight.event_id: insight for insight in found}


async def told(log: EventLog) -> list[bytes]:
    reader = await log.subscribe([INSIGHTS], "reader")
    got = await reader.poll(max_records=10_000, wait_s=10.0)
    while await reader.lag():
        await reader.commit([])
        more = await reader.poll(max_records=10_000, wait_s=1.0)
        if not more:
            break
        got += more
    await reader.close()
    return [delivery.value for delivery in got]


async def test_engines_killed_on_kafka_tell_what_one_undisturbed_in_memory_tells(
    kafka_servers: str, tmp_path: Path
) -> None:
    events = stroll(Random(3), bursts=5)
    dice = Random(4)
    calm, namespace = Crew(), uuid4().hex
    calm.hire(max_records=100)
    async with kafka_log(kafka_servers, ALL, namespace=namespace) as log:
        with members(kafka_servers, namespace, tmp_path) as crew:
            async with SqlInsightStore.open(crew.store_url) as store:
                for name in ("one", "two"):
                    crew.start(name)
                for piece in pieces(events):
                    await calm.log.append(records(piece))
                    await caught_up(calm)
                    await log.append(records(piece))
                    await asyncio.sleep(dice.uniform(0.0, 0.6))  # the kill comes at any moment
                    victim = dice.choice(["one", "two"])
                    crew.kill(victim)
                    crew.start(victim)
                    await until_stored(crew, store, calm.store.rows)
                crew.stop()
                assert final(await rows(store)) == final(calm.store.rows)
        await calm.everyone_leaves()
        found, expected = await told(log), await calm.told()
    assert of_cameras(found) == of_cameras(expected)
    assert max(of_visits(found).values()) == 1
    assert final(last_of_each(found)) == final(last_of_each(expected))


async def until_stored(
    crew: Members, store: InsightStore, expected: dict[str, InsightEvent]
) -> None:
    while final(await rows(store)) != final(expected):
        crew.check()
        await asyncio.sleep(0.1)
