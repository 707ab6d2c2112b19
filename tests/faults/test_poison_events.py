"""Poison records: each is dead-lettered with its reason, and all others are processed.

The same records go through the resolver and the insight engine, one after the other, as they would
be delivered again after a restart.
"""

import asyncio
import base64
import json

import msgspec
import numpy as np
import pytest
from tests.flows.shop import Person, record, visit
from tests.flows.test_identity_resolver import DOOR, Shop, identities

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.events.codec import encode
from trinetra.events.schema import DeadLetter
from trinetra.events.topics import DEAD_LETTERS, DETECTIONS, IDENTITIES, Topic
from trinetra.insights.processors import SiteInsights, insight_engine
from trinetra.ports import Record
from trinetra.streaming.dead_letter import MOST_PAYLOAD_BYTES
from trinetra.streaming.runner import RunnerPolicy
from trinetra.telemetry import EVENTS_REJECTED
from trinetra.values import SiteId

VISIT = list(visit(DOOR, 0.0, [Person(1)]))
WITH_A_FACE = next(event for event in VISIT if any(face.embedding for face in event.faces))


def packed(values: np.ndarray) -> str:
    return base64.b64encode(values.astype("<f2").tobytes()).decode()


def with_embedding(values: np.ndarray) -> bytes:
    document = json.loads(encode(WITH_A_FACE))
    document["faces"][0]["embedding"] = packed(values)
    document["event_id"] = "poison"
    return json.dumps(document).encode()


def with_field(name: str, value: str) -> bytes:
    """Return an event with a field set to a raw wire value."""
    document = json.loads(encode(WITH_A_FACE))
    document["event_id"] = "poison"
    document[name] = "HERE"
    return json.dumps(document).replace('"HERE"', value).encode()


POISON = {
    "nan_embedding": with_embedding(np.full(512, np.nan)),
    "infinite_embedding": with_embedding(np.full(512, np.inf)),
    "embedding_of_zeros": with_embedding(np.zeros(512)),
    "nan_number": with_field("frame_width", "NaN"),
    "huge_number": with_field("frame_width", "1e999"),
    "no_time_zone": with_field("captured_at", '"2026-03-01T12:00:00"'),
    "no_pixels": with_field("frame_width", "0"),
    "unknown_type": with_field("type", '"gossip"'),
    "nested_too_deep": b'{"a":' * 100_000,
    "no_text": b"\xff\xfe",
    "nothing": b"",
}


def letters(got: list) -> list[DeadLetter]:
    return [msgspec.json.decode(delivery.value, type=DeadLetter) for delivery in got]


def rejected(topic: Topic) -> float:
    return EVENTS_REJECTED.labels(topic.name)._value.get()


@pytest.mark.parametrize("name", POISON)
async def test_the_resolver_sets_poison_aside_and_knows_everybody_else(name: str) -> None:
    before = rejected(DETECTIONS)
    records = [record(event) for event in VISIT]
    healthy = await Shop().resolve_records(records)
    shop = Shop()
    middle = len(records) // 2
    poison = Record(DETECTIONS, DOOR, POISON[name])
    assert await shop.resolve_records([*records[:middle], poison, *records[middle:]]) == healthy
    assert identities(healthy)
    (letter,) = await shop.dead_letters()
    assert letter.payload == POISON[name][:MOST_PAYLOAD_BYTES]
    assert (str(len(POISON[name])) in letter.reason) == (len(letter.payload) < len(POISON[name]))
    assert letter.reason
    assert rejected(DETECTIONS) == before + 1


async def test_an_embedding_of_another_size_costs_its_face_and_is_counted() -> None:
    before = rejected(DETECTIONS)
    unit = np.zeros(128)
    unit[0] = 1.0
    shop = Shop()
    records = [record(event) for event in VISIT]
    records[VISIT.index(WITH_A_FACE)] = Record(DETECTIONS, DOOR, with_embedding(unit))
    assert identities(await shop.resolve_records(records))
    assert rejected(DETECTIONS) == before + 1
    assert await shop.dead_letters() == []


@pytest.mark.parametrize("name", POISON)
async def test_the_insight_engine_sets_poison_aside_and_ends_in_order(name: str) -> None:
    log = MemoryEventLog(SystemClock())
    before = rejected(IDENTITIES)
    await log.append([Record(IDENTITIES, DOOR, POISON[name])])
    stopping = asyncio.Event()
    stopping.set()
    async with SqlInsightStore.open("sqlite://") as store:
        for _restart in range(2):
            site, policy = SiteInsights(SiteId("shop")), RunnerPolicy(poll_wait_s=0.0)
            engine = insight_engine(log, store, SystemClock(), site, policy=policy)
            await engine.run(stopping)
    reader = await log.subscribe([DEAD_LETTERS], "test")
    (letter,) = letters(await reader.poll(max_records=10, wait_s=0))
    assert letter.payload == POISON[name][:MOST_PAYLOAD_BYTES]
    assert (str(len(POISON[name])) in letter.reason) == (len(letter.payload) < len(POISON[name]))
    assert rejected(IDENTITIES) == before + 1
