"""The threshold follows the number of people in the gallery, and events say so."""

import asyncio

import pytest
from tests.flows.shop import NOON, SITE, Person, record, visit

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory.customer_log import MemoryCustomerLog
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.adapters.memory.gallery import MemoryGallery
from trinetra.errors import GalleryUnavailable
from trinetra.events.codec import decode
from trinetra.events.schema import IdentityEvent, ThresholdBasis
from trinetra.events.topics import IDENTITIES
from trinetra.identities.context import IdentificationPolicy, ResolverContext
from trinetra.identities.decision.duplicates import MergePolicy
from trinetra.identities.decision.lifecycle import RetentionPolicy, enroll
from trinetra.identities.decision.lookup import LookupBatch
from trinetra.identities.decision.open_set import OpenSetTarget
from trinetra.identities.gate.registry import ActiveRegistry
from trinetra.identities.gate.topology import SiteGraph
from trinetra.identities.merge_job import MergeJob
from trinetra.identities.processor import identity_resolver
from trinetra.identities.tracking.track_faces import Shot
from trinetra.impostors import ImpostorTail
from trinetra.values import CustomerId, IdentityKind

TARGET = OpenSetTarget(0.001, {32.0: ImpostorTail(0.66, 0.02, 0.02)})


class FailingCount(MemoryGallery):
    """A gallery that finds faces but cannot be counted."""

    async def count(self) -> int:
        raise GalleryUnavailable("no count")


def resolver_context(gallery: MemoryGallery) -> ResolverContext:
    return ResolverContext(
        site_id=SITE,
        gallery=gallery,
        registry=ActiveRegistry(),
        graph=SiteGraph(),
        clock=SystemClock(),
        model="test@1",
        dimension=512,
        policy=IdentificationPolicy(open_set=TARGET, gallery_retry_s=0.0),
    )


async def fill(gallery: MemoryGallery, people: int) -> None:
    for number in range(people):
        person = Person(1000 + number)
        shots = [Shot(person.photo(), 0.9, 100.0, NOON) for _ in range(3)]
        who = CustomerId(f"cus_{number}")
        await gallery.upsert(enroll(who, IdentityKind.ANONYMOUS, shots, RetentionPolicy()))


async def told(context: ResolverContext, *people: Person) -> list[IdentityEvent]:
    """Return the identity events of people who walk past a door."""
    log = MemoryEventLog(context.clock)
    await log.append([record(event) for event in visit("door", 0, list(people))])
    stopping = asyncio.Event()
    stopping.set()
    await identity_resolver(log, context).run(stopping)
    reader = await log.open_reader([IDENTITIES], since=NOON)
    found = [decode(d.value) for d in await reader.poll(max_records=1000, wait_s=0)]
    await reader.close()
    return [event for event in found if isinstance(event, IdentityEvent)]


@pytest.mark.parametrize(("people", "step"), [(0, 10), (9, 10), (30, 50), (120, 200)])
async def test_an_event_carries_the_threshold_for_so_many_people(people: int, step: int) -> None:
    gallery = MemoryGallery(512)
    await fill(gallery, people)
    [event, *_] = await told(resolver_context(gallery), Person(1))
    assert event.evidence.basis == ThresholdBasis(0.001, step, "gallery", 32.0)
    expected = TARGET.tails[32.0].score_at(0.0005 / step)
    assert event.evidence.thresholds.similarity == pytest.approx(expected, abs=1e-4)


async def test_identities_that_are_made_meanwhile_count_at_once() -> None:
    context = resolver_context(MemoryGallery(512))
    await told(context, *(Person(number) for number in range(4)))
    assert context.gallery_client.people == 4
    await context.gallery_client.count_people()
    assert context.gallery_client.people == 4


async def test_a_gallery_that_cannot_be_counted_is_as_good_as_down() -> None:
    gallery = FailingCount(512)
    [event] = await told(resolver_context(gallery), Person(1))
    assert event.reasons == ("gallery_unavailable",)
    assert await resolver_context(gallery).gallery_client.lookup(LookupBatch()) is not None


@pytest.mark.parametrize(("people", "merges"), [(0, True), (260, False)])
async def test_two_faces_that_are_merged_in_a_small_gallery_are_not_in_a_large_one(
    people: int, merges: bool
) -> None:
    gallery, customer_log = MemoryGallery(512), MemoryCustomerLog()
    await fill(gallery, people)
    context = resolver_context(gallery)
    await context.gallery_client.count_people()
    context.count_rivals()
    anna = Person(1)
    entries = []
    for name in ("cus_a", "cus_b"):
        shot = Shot(anna.photo(), 0.9, 100.0, NOON)
        entries += enroll(CustomerId(name), IdentityKind.ANONYMOUS, [shot], RetentionPolicy())
    score = context.policy.matching.score(float(entries[0].embedding @ entries[2].embedding))
    assert 0.85 < score < 0.89
    await gallery.upsert(entries)
    context.merge_queue.offer_stored(entries)
    await MergeJob(context, customer_log, MergePolicy()).close()
    changes = [change.change for _, change in await customer_log.changes(0, 10)]
    assert changes == (["merged"] if merges else ["merge_proposed"])
