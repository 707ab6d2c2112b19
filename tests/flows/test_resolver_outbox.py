"""Tracks while the gallery answers searches but accepts no new identities."""

import asyncio
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.flows.shop import Person, record, visit
from tests.flows.test_identity_resolver import Shop, alerts, customers, identities

from trinetra.adapters.memory.gallery import MemoryGallery
from trinetra.errors import GalleryUnavailable
from trinetra.events.schema import AnyEvent
from trinetra.identities.context import IdentificationPolicy
from trinetra.identities.processor import identity_resolver
from trinetra.values import GalleryEntry

ANNA, BEN = Person(1), Person(2)
ENTRIES_OF_ONE = 3


class ReadOnlyGallery(MemoryGallery):
    """A real gallery that refuses entries until the test lets it accept them."""

    def __init__(self) -> None:
        super().__init__(512)
        self.takes = False
        self.has_taken = asyncio.Event()

    async def upsert(self, entries: Sequence[GalleryEntry]) -> None:
        if not self.takes:
            raise GalleryUnavailable("the disk is full, says the test")
        await super().upsert(entries)
        self.has_taken.set()


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    """Capture log messages, independent of the configuration by earlier tests."""
    with capture_logs() as lines:
        yield lines


@pytest.fixture
def gallery() -> ReadOnlyGallery:
    return ReadOnlyGallery()


@pytest.fixture
def shop(gallery: ReadOnlyGallery) -> Shop:
    """Return a shop where one person fills the outbox; the gallery is retried without pause."""
    shop = Shop(gallery=gallery)
    policy = IdentificationPolicy(gallery_retry_s=0, most_waiting=ENTRIES_OF_ONE)
    shop.context = replace(shop.context, policy=policy)
    return shop


async def test_who_comes_when_too_many_wait_stays_unknown_with_one_alert_and_one_line(
    shop: Shop, logged: list[MutableMapping[str, Any]]
) -> None:
    out = await shop.resolve(visit("door", 0, [ANNA, BEN], seconds=6))

    assert len(customers(out)) == 1
    assert [e.reasons for e in identities(out) if e.status == "unknown"][-1:] == [
        ("gallery_unavailable",)
    ]
    assert [alert.rule for alert in alerts(out)] == ["gallery_unavailable"]
    assert sum(line["event"].startswith("no new identities") for line in logged) == 1


async def test_nothing_that_waited_is_lost_and_who_was_unknown_is_enrolled_once_there_is_room(
    shop: Shop, gallery: ReadOnlyGallery
) -> None:
    stopping = asyncio.Event()
    running = asyncio.create_task(identity_resolver(shop.log, shop.context).run(stopping))
    frames = list(visit("door", 0, [ANNA, BEN], seconds=8))
    await shop.log.append([record(frame) for frame in frames[:20]])
    out: list[AnyEvent] = []
    while not any(e.reasons == ("gallery_unavailable",) for e in identities(out)):
        await asyncio.sleep(0)
        out = await shop.read()
    (first,) = customers(out)
    assert await gallery.count() == 0

    gallery.takes = True
    await gallery.has_taken.wait()
    assert await gallery.count() == ENTRIES_OF_ONE
    await shop.log.append([record(frame) for frame in frames[20:]])
    stopping.set()
    await running

    kept = {entry.customer_id async for batch in gallery.entries() for entry in batch}
    assert len(kept) == 2
    assert first in kept
    assert customers(await shop.read()) == kept


async def test_who_waits_is_recognised_meanwhile(shop: Shop) -> None:
    out = await shop.resolve([*visit("door", 0, [ANNA]), *visit("door", 60, [ANNA])])

    assert len(customers(out)) == 1
    assert {e.status for e in identities(out) if e.customer_id} == {"new", "known"}
    assert alerts(out) == []
