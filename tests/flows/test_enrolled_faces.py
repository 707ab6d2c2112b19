"""The gallery gets back what it must contain, and loses what it must not, while resolvers run."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.flows.shop import NOON, Person, record, visit
from tests.flows.test_known_people import ANNA, BEN, CLEO, Shop, identities, lifecycle_events

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory.gallery import MemoryGallery
from trinetra.adapters.qdrant_edge.gallery import EdgeGallery
from trinetra.errors import GalleryUnavailable
from trinetra.events.erasure import erased_change
from trinetra.identities.context import IdentificationPolicy
from trinetra.identities.customer_sync import CustomerSync
from trinetra.identities.decision.lifecycle import RetentionPolicy, enroll
from trinetra.identities.enrolled_faces import EnrolledFaces
from trinetra.identities.processor import identity_resolver
from trinetra.identities.tracking.track_faces import Shot
from trinetra.ports import PurgeableGallery
from trinetra.telemetry import REGISTRY
from trinetra.values import CustomerId, Embedding, GalleryMatch, IdentityKind

PEOPLE = {
    ANNA: (Person(1), IdentityKind.OPTED_OUT),
    BEN: (Person(2), IdentityKind.STAFF),
    CLEO: (Person(3), IdentityKind.WATCHLIST),
}


class AbsentGallery(MemoryGallery):
    """A gallery that can be down."""

    answers = True

    async def search(self, embeddings: Sequence[Embedding], k: int) -> list[list[GalleryMatch]]:
        self._check()
        return await super().search(embeddings, k)

    async def count(self) -> int:
        self._check()
        return await super().count()

    def _check(self) -> None:
        if not self.answers:
            raise GalleryUnavailable("it is away")


@asynccontextmanager
async def opened(kind: str, folder: Path) -> AsyncIterator[PurgeableGallery]:
    if kind == "memory":
        yield AbsentGallery(512)
    else:
        async with EdgeGallery.open(folder, model_version="test@1", dimension=512) as gallery:
            yield gallery


@asynccontextmanager
async def running(gallery: PurgeableGallery) -> AsyncIterator[Shop]:
    """Run a resolver of a shop with enrolled people; the gallery is retried and counted at once."""
    shop = Shop()
    shop.gallery = gallery
    shop.start()
    shop.context.policy = IdentificationPolicy(gallery_retry_s=0.0)
    shop.context.__post_init__()
    for who, (person, kind) in PEOPLE.items():
        await shop.know(who, person, kind)
    sync = CustomerSync(
        shop.context, shop.customer_log, shop.log, every_s=0.0, silence_s=0.0, count_every_s=0.0
    )
    stopping = asyncio.Event()
    resolver = identity_resolver(shop.log, shop.context, tasks=[sync])
    task = asyncio.create_task(resolver.run(stopping))
    try:
        await held(gallery, *PEOPLE)
        yield shop
    finally:
        stopping.set()
        await task


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Let the resolver run until a condition holds."""
    while not await is_so():  # noqa: ASYNC110 -- of a process without an event for it
        await asyncio.sleep(0)


async def owners(gallery: PurgeableGallery) -> set[CustomerId]:
    try:
        return {e.customer_id async for batch in gallery.entries(1000) for e in batch}
    except GalleryUnavailable:
        return set()


async def held(gallery: PurgeableGallery, *people: CustomerId) -> None:
    """Return once the gallery has exactly the faces of these people."""

    async def is_so() -> bool:
        return await owners(gallery) == set(people)

    await until(is_so)


async def drop_entries(gallery: PurgeableGallery) -> None:
    """Remove everything as another program would, without an outage."""
    for who in await owners(gallery):
        await gallery.delete(who)


async def remake(gallery: PurgeableGallery, folder: Path) -> None:
    """Lose the gallery's files and process, so that it is opened anew, empty."""
    assert isinstance(gallery, EdgeGallery)
    assert gallery.process_id is not None
    os.kill(gallery.process_id, signal.SIGKILL)
    for shard in list(folder.rglob("shard*")):  # noqa: ASYNC240 -- a few folders
        shutil.rmtree(shard)


@pytest.mark.parametrize("kind", ["memory", "edge", "edge remade"])
async def test_a_gallery_that_lost_its_faces_gets_them_back_while_the_resolver_runs(
    tmp_path: Path, kind: str
) -> None:
    async with opened(kind, tmp_path) as gallery, running(gallery) as shop:
        before = {e.entry_id async for batch in gallery.entries(1000) for e in batch}
        if kind == "edge remade":
            await remake(gallery, tmp_path)
        else:
            await drop_entries(gallery)

        async def is_whole() -> bool:
            try:
                found = {e.entry_id async for batch in gallery.entries(1000) for e in batch}
            except GalleryUnavailable:
                return False
            return found == before

        await until(is_whole)
        await shop.log.append([record(event) for event in visit("door", 0, [PEOPLE[ANNA][0]])])
    told = identities(await shop.told())
    assert {event.reasons for event in told} == {("opted_out",)}


@dataclass
class HandClock(SystemClock):
    """A clock whose monotonic time is set by the test."""

    passed_s: float = 0.0

    def monotonic(self) -> float:
        return self.passed_s


async def test_one_face_that_was_replaced_is_noticed_at_the_next_comparison() -> None:
    shop = Shop()
    clock = HandClock()
    shop.clock = clock
    shop.start()
    for who, (person, kind) in PEOPLE.items():
        await shop.know(who, person, kind)
    faces = EnrolledFaces(shop.context, shop.customer_log, compare_every_s=600.0)
    await faces.reconcile()
    before = await shop.entries()

    await shop.gallery.upsert([replace(before[0], embedding=Person(9).photo())])

    async def is_restored() -> bool:
        [stored] = await shop.gallery.get([before[0].entry_id])
        return float(stored.embedding @ before[0].embedding) > 0.99

    clock.passed_s = 599.0
    await faces.reconcile()
    assert not await is_restored()
    clock.passed_s = 601.0
    await faces.reconcile()
    assert await is_restored()


async def test_an_older_copy_of_the_gallery_loses_the_erased_and_the_opted_out_again() -> None:
    gallery = AbsentGallery(512)
    async with running(gallery) as shop:
        backup = [e async for batch in gallery.entries(1000) for e in batch]
        anonymous = CustomerId("cus_seen_before_the_opt_out")
        seen = [Shot(PEOPLE[ANNA][0].photo(), 0.9, 90.0, NOON) for _ in range(3)]
        backup += enroll(anonymous, IdentityKind.ANONYMOUS, seen, RetentionPolicy())
        await shop.customer_log.erase(BEN, erased_change(BEN, NOON))
        await gallery.delete(BEN)

        async def is_known_to_be_erased() -> bool:
            return shop.context.directory.is_erased(BEN)

        await until(is_known_to_be_erased)
        gallery.answers = False
        shop.context.gallery_client.mark_down(GalleryUnavailable("a search failed"))
        await gallery.upsert(backup)
        gallery.answers = True
        await held(gallery, ANNA, CLEO)


async def test_changes_are_published_while_the_gallery_is_away() -> None:
    gallery = AbsentGallery(512)
    async with running(gallery) as shop:
        gallery.answers = False
        await shop.change("renamed", BEN, kind=IdentityKind.VIP)

        async def is_published() -> bool:
            return "renamed" in {e.change for e in lifecycle_events(await shop.told())}

        await until(is_published)


async def test_a_gallery_that_is_back_is_reported_although_no_face_is_searched() -> None:
    gallery = AbsentGallery(512)
    async with running(gallery) as shop:
        gallery.answers = False
        shop.context.gallery_client.mark_down(GalleryUnavailable("a write failed"))
        assert REGISTRY.get_sample_value("trinetra_gallery_up") == 0
        gallery.answers = True

        async def is_reported_up() -> bool:
            return REGISTRY.get_sample_value("trinetra_gallery_up") == 1

        await until(is_reported_up)
