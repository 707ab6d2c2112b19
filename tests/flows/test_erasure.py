"""A person is erased while the platform runs: none of its files contains their data afterwards."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from tests.flows.shop import NOON, SITE, Person, record, visit
from tests.servers.traces import traces

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.disk.audit import AuditLog
from trinetra.adapters.disk.journal_file import read_topic
from trinetra.adapters.disk.receipts import check
from trinetra.errors import ConfigurationError, CustomerConflict
from trinetra.events.schema import DetectionEvent, Visit
from trinetra.events.topics import Topic
from trinetra.models.manifest import load_manifest
from trinetra.ports import EventLog, InsightStore
from trinetra.settings import Settings
from trinetra.site.schema import Site
from trinetra.values import CustomerId, Embedding
from trinetra.wiring.connections import open_log
from trinetra.wiring.forgetting import Eraser, receipt_of
from trinetra.wiring.places import JOURNALED
from trinetra.wiring.platform import Upstream, downstream_of
from trinetra.wiring.stores import open_erasure_store, open_store

EVER = (NOON - timedelta(days=1), NOON + timedelta(days=1))


@dataclass
class Running:
    """The platform in one process, without cameras and neural networks."""

    settings: Settings
    log: EventLog
    store: InsightStore


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    settings = Settings(data_dir=tmp_path / "data", models_dir=tmp_path)
    site = Site.model_validate(
        {
            "site": SITE,
            "timezone": "UTC",
            "cameras": [{"id": c, "role": "face", "source": {"file": "x.mp4"}} for c in "ab"],
            # The events of this test are of another day than the clock's.
            "policies": {
                "retention": {"anonymous_days": 365, "detections_days": 365, "events_days": 365}
            },
        }
    )
    async with _running(site, settings) as shop:
        yield shop


@asynccontextmanager
async def _running(site: Site, settings: Settings) -> AsyncIterator[Running]:
    clock = SystemClock()
    face = load_manifest().profile(settings.profile).face_embedder
    async with (
        open_log(site, settings, clock) as log,
        open_store(settings) as store,
        downstream_of(Upstream((), dict, log, clock), site, settings, face, None) as platform,
        asyncio.TaskGroup() as group,
    ):
        stopping = asyncio.Event()
        for service in (platform.resolver, platform.engine):
            group.create_task(service.run(stopping))
        yield Running(settings, log, store)
        stopping.set()


async def until(holds: Callable[[], Awaitable[object]]) -> None:
    while not await holds():  # noqa: ASYNC110 -- what is waited for is in a database
        await asyncio.sleep(0.05)


async def visits(shop: Running) -> list[Visit]:
    return await shop.store.visits(*EVER, 1800)


async def come(shop: Running, camera: str, start_s: float, person: Person) -> list[Embedding]:
    """Let a person walk past a camera; return the faces it saw."""
    events: list[DetectionEvent] = list(visit(camera, start_s, [person]))
    await shop.log.append([record(event) for event in events])
    packed = [face.embedding for event in events for face in event.faces if face.embedding]
    return [np.frombuffer(each, "<f2").astype(np.float32) for each in packed]


def journaled(settings: Settings, topic: Topic) -> bytes:
    entries = read_topic(settings.data_dir / "journal", topic.name, since_us=0)
    return b"\n".join(entry.key.encode() + entry.value for entry in entries)


async def test_no_byte_of_a_forgotten_person_is_left_in_any_file(running: Running) -> None:
    settings, ann, bob = running.settings, Person(1), Person(2)
    faces = await come(running, "a", 0, ann) + await come(running, "a", 10, bob)
    await until(lambda: _count(running, 2))
    [one, two] = sorted(await visits(running), key=lambda v: v.started_at)
    gone, stays = one.customer_id, two.customer_id
    await come(running, "b", 60, ann)  # whose track is open when the request comes

    status = await Eraser(settings).forget(gone, 60.0)
    assert status.settled_at is not None
    assert status.awaited == ()
    assert status.removed()["gallery_faces"] >= 3
    assert traces(settings.data_dir, faces[:15], [gone]) == {}
    past = b"".join(journaled(settings, topic) for topic in JOURNALED)
    assert gone.encode() not in past
    assert b'"embedding"' not in past
    assert len(await visits(running)) == 2
    assert stays in {v.customer_id for v in await visits(running)}

    await come(running, "b", 300, ann)
    await until(lambda: _count(running, 3))
    assert gone not in {v.customer_id for v in await visits(running)}


async def test_a_request_is_carried_out_though_the_command_that_wrote_it_was_killed(
    running: Running,
) -> None:
    faces = await come(running, "a", 0, Person(1))
    await until(lambda: _count(running, 1))
    [gone] = {v.customer_id for v in await visits(running)}
    async with open_erasure_store(running.settings) as erasure_store:
        await erasure_store.request([gone], NOON)

        async def is_settled() -> bool:
            status = await erasure_store.find(gone, NOON)
            return status is not None and status.settled_at is not None

        await until(is_settled)
    folder = running.settings.data_dir
    assert traces(folder, faces, [gone]) == {}
    assert [p for p in folder.rglob("*") if p.exists() and p.stat().st_mode & 0o077] == []


async def test_a_stranger_is_refused_and_only_the_audit_log_tells(running: Running) -> None:
    with pytest.raises(CustomerConflict, match="nobody"):
        await Eraser(running.settings).forget(CustomerId("cus_nobody"), 1.0)
    log = AuditLog(running.settings.data_dir / "audit")
    assert [line.action for line in log.lines()] == ["refused"]
    assert "cus_nobody" not in log.path.read_text()


async def test_a_receipt_and_an_audit_log_that_were_changed_are_found_out(
    running: Running, tmp_path: Path
) -> None:
    settings = running.settings
    await come(running, "a", 0, Person(1))
    await until(lambda: _count(running, 1))
    [one] = await visits(running)
    status = await Eraser(settings).forget(one.customer_id, 60.0)
    again = await Eraser(settings).forget(one.customer_id, 60.0)
    assert again.settled_at == status.settled_at

    signed = receipt_of(settings, status)
    file = tmp_path / "receipt.json"
    told = {"receipt": signed.receipt, "public_key": signed.public_key}
    file.write_text(json.dumps({**told, "signature": signed.signature}))
    assert check(file) == signed
    assert one.customer_id not in file.read_text()
    signed.receipt["done_at"] = "2020-01-01T00:00:00+00:00"
    file.write_text(json.dumps({**told, "signature": signed.signature}))
    with pytest.raises(ConfigurationError, match="changed"):
        check(file)

    log = AuditLog(settings.data_dir / "audit")
    assert list(log.faults()) == []
    lines = log.path.read_text().splitlines()
    log.path.write_text("\n".join(lines[1:]) + "\n")
    assert list(log.faults())
    log.path.write_text("\n".join([lines[0].replace("root", "eve").replace("1 ids", "9 ids")]))
    assert list(log.faults()) == ["line 1: it was changed"]


async def _count(shop: Running, wanted: int) -> bool:
    return len({v.event_id for v in await visits(shop)}) >= wanted
