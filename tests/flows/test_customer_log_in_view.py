"""Customer log changes that arrive while people are in view and servers are down."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from tests.flows.shop import NOON, Person, record, visit
from tests.flows.test_known_people import ANNA, Shop, identities

from trinetra.adapters.memory.gallery import MemoryGallery
from trinetra.errors import GalleryUnavailable
from trinetra.events.erasure import erased_change
from trinetra.events.schema import DetectionEvent
from trinetra.identities.context import IdentificationPolicy
from trinetra.identities.customer_sync import CustomerSync
from trinetra.identities.processor import identity_resolver
from trinetra.values import Embedding, GalleryEntry, GalleryMatch, IdentityKind


class Gallery(MemoryGallery):
    """A gallery that can be down, or refuse writes."""

    answers, takes = True, True

    async def search(self, embeddings: Sequence[Embedding], k: int) -> list[list[GalleryMatch]]:
        if not self.answers:
            raise GalleryUnavailable("it is away")
        return await super().search(embeddings, k)

    async def upsert(self, entries: Sequence[GalleryEntry]) -> None:
        if not self.takes:
            raise GalleryUnavailable("it takes nothing")
        await super().upsert(entries)


class LiveShop(Shop):
    """A shop whose resolver runs during the test; its gallery is retried at once."""

    gallery: Gallery

    def __init__(self, **policy: int) -> None:
        super().__init__()
        self.gallery = Gallery(512)
        self.start()
        self.context.policy = IdentificationPolicy(gallery_retry_s=0.0, **policy)
        self.context.__post_init__()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        stopping = asyncio.Event()
        directory = CustomerSync(
            self.context, self.customer_log, self.log, every_s=0.0, silence_s=0.0
        )
        resolver = identity_resolver(self.log, self.context, tasks=[directory])
        running = asyncio.create_task(resolver.run(stopping))
        yield
        stopping.set()
        await running

    async def see(self, frames: Sequence[DetectionEvent]) -> None:
        await self.log.append([record(frame) for frame in frames])

    async def caught_up(self) -> None:
        """Wait until the resolver has read the customer log to its end."""
        newest = (await self.customer_log.changes(0, 99))[-1].number
        while self.context.directory.number < newest:  # noqa: ASYNC110 -- of the log
            await asyncio.sleep(0)


@pytest.mark.parametrize("kind", [IdentityKind.WATCHLIST, IdentityKind.STAFF])
async def test_who_was_taken_for_another_is_anonymous_again_once_that_is_undone(
    kind: IdentityKind,
) -> None:
    shop, innocent = Shop(), Person(5)
    await shop.know(ANNA, Person(6), kind)
    told = await shop.resolve(visit("door", 0, [innocent]))
    own = next(e.customer_id for e in identities(told) if e.status == "new")
    await shop.change("merged", own, other=ANNA)
    await shop.resolve(visit("door", 600, [innocent]))
    await shop.change("split", own, other=ANNA)

    told = await shop.resolve(visit("door", 1200, [innocent]))
    shop.start()
    told += await shop.resolve(visit("door", 2400, [innocent]))

    assert {(e.customer_id, e.kind) for e in identities(told) if e.customer_id} == {
        (own, IdentityKind.ANONYMOUS)
    }
    kept = [e for e in await shop.entries() if e.customer_id == own]
    assert all(e.expires_at and not e.consent for e in kept)


async def test_a_track_keeps_its_name_while_the_gallery_is_away() -> None:
    shop, anna = LiveShop(), Person(5)
    await shop.know(ANNA, anna, IdentityKind.STAFF)
    frames = list(visit("door", 0, [anna], seconds=6))
    async with shop.open():
        await shop.see(frames[:7])
        await shop.until(lambda e: e.status == "known")
        shop.gallery.answers = False
        await shop.see(frames[7:])

    assert identities(await shop.told())[-1].customer_id == ANNA


async def test_who_is_erased_in_view_is_not_enrolled_by_the_frame_that_tells() -> None:
    shop, anna = LiveShop(), Person(5)
    await shop.know(ANNA, anna, IdentityKind.ENROLLED)
    frames = list(visit("door", 0, [anna], seconds=6))
    async with shop.open():
        await shop.see(frames[:7])
        await shop.until(lambda e: e.status == "known")
        await shop.customer_log.erase(ANNA, erased_change(ANNA, NOON))
        await shop.gallery.delete(ANNA)
        await shop.see(frames[7:])  # the 8th face is a review

    assert await shop.entries() == []


async def test_what_waits_for_the_gallery_of_who_opts_out_never_gets_there() -> None:
    shop, anna = LiveShop(), Person(5)
    frames = list(visit("door", 0, [anna], seconds=6))
    shop.gallery.takes = False
    async with shop.open():
        await shop.see(frames[:7])
        await shop.until(lambda e: e.status == "new")
        own = next(e.customer_id for e in identities(await shop.told()) if e.status == "new")
        await shop.know(ANNA, anna, IdentityKind.OPTED_OUT)
        await shop.change("merged", own, other=ANNA)
        await shop.caught_up()
        await shop.see(frames[7:])
        await shop.until(lambda e: e.reasons == ("opted_out",))
        shop.gallery.takes = True

    assert own not in {e.customer_id for e in await shop.entries()}


async def test_a_resolver_without_the_book_cannot_bring_back_who_was_erased() -> None:
    shop, anna = LiveShop(), Person(5)
    await shop.know(ANNA, anna, IdentityKind.VIP)
    await shop.resolve(visit("door", 0, [Person(9)]))
    frames = list(visit("door", 100, [anna], seconds=2.6))
    shop.customer_log.is_away = True
    async with shop.open():
        await shop.see(frames[:8])
        await shop.until(lambda e: e.status == "known")
        await shop.customer_log.erase(ANNA, erased_change(ANNA, NOON))
        await shop.gallery.delete(ANNA)
        await shop.see(frames[8:])
    assert ANNA in {e.customer_id for e in await shop.entries()}  # the resolver did not know yet
    shop.customer_log.is_away = False

    await shop.resolve(visit("door", 1000, [anna]))
    await shop.resolve(visit("door", 2000, [Person(9)]))

    assert ANNA not in {e.customer_id for e in await shop.entries()}


async def test_without_room_for_anybody_new_a_known_track_stays_known() -> None:
    shop, anna = LiveShop(most_waiting=0), Person(5)
    await shop.know(ANNA, anna, IdentityKind.ENROLLED)
    frames = list(visit("door", 0, [anna], seconds=10))
    async with shop.open():
        await shop.see(frames[:5])
        await shop.until(lambda e: e.status == "known")
        await shop.gallery.delete(ANNA)
        await shop.see(frames[5:])

    assert identities(await shop.told())[-1].customer_id == ANNA
