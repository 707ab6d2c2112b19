"""A new identity keeps the best faces of its track, not the first ones."""

import asyncio
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

import msgspec
import numpy as np
import pytest
from tests.flows.shop import FPS, NOON, Person, detection, record
from tests.flows.test_identity_resolver import Shop, identities

from trinetra.adapters.memory.gallery import MemoryGallery
from trinetra.events.schema import DetectionEvent
from trinetra.identities.decision.lifecycle import RetentionPolicy, best_shots, enroll
from trinetra.identities.policy import ResolverPolicy
from trinetra.identities.processor import identity_resolver
from trinetra.identities.state.partition import PartitionState
from trinetra.identities.tracking.track_faces import Shot
from trinetra.values import CustomerId, GalleryEntry, IdentityKind


class CountingGallery(MemoryGallery):
    """A gallery that counts the calls that write to it."""

    writes = 0

    async def upsert(self, entries: Sequence[GalleryEntry]) -> None:
        self.writes += bool(entries)
        await super().upsert(entries)


def walk(qualities: Sequence[float], *, seed: int = 1) -> Iterator[DetectionEvent]:
    """Yield the frames of a walk that shows faces of these qualities, then an empty view."""
    anna = Person(seed)
    for number, total in enumerate(qualities):
        event = detection("door", NOON + timedelta(seconds=number / FPS), [(anna, 6.0 * number)])
        [face] = event.faces
        quality = msgspec.structs.replace(face.quality, total=total)
        yield msgspec.structs.replace(
            event, faces=(msgspec.structs.replace(face, quality=quality),)
        )
    for number in range(round(12 * FPS)):
        at = NOON + timedelta(seconds=(len(qualities) + number) / FPS)
        yield detection("door", at, [])


async def stored(gallery: MemoryGallery) -> list[GalleryEntry]:
    return [entry async for batch in gallery.entries(1000) for entry in batch]


APPROACH = [0.4] * 5 + [0.5, 0.6, 0.7, 0.8] * 2 + [0.9] * 8
"""The qualities of a person's faces who comes nearer."""


async def test_a_new_person_keeps_the_best_faces_of_the_track() -> None:
    gallery = CountingGallery(512)
    out = await Shop(gallery=gallery).resolve(walk(APPROACH))
    assert [event.status for event in identities(out)].count("new") == 1
    entries = await stored(gallery)
    assert len(entries) == 3
    assert min(entry.quality for entry in entries) == pytest.approx(0.9)


async def test_faces_of_equal_quality_are_written_at_the_beginning_and_at_the_end() -> None:
    gallery = CountingGallery(512)
    shop = Shop(gallery=gallery)
    for event in walk([0.8] * 200):  # in batches of one frame, as of a live camera
        await shop.log.append([record(event)])
    stopping = asyncio.Event()
    stopping.set()
    await identity_resolver(shop.log, shop.context, ResolverPolicy(poll_records=1)).run(stopping)
    assert gallery.writes == 2


async def test_writes_of_a_person_who_comes_ever_nearer_are_bounded() -> None:
    gallery = CountingGallery(512)
    shop = Shop(gallery=gallery)
    await shop.log.append([record(event) for event in walk(np.linspace(0.3, 1.0, 300).tolist())])
    stopping = asyncio.Event()
    stopping.set()
    await identity_resolver(shop.log, shop.context, ResolverPolicy(poll_records=1)).run(stopping)
    assert 2 < gallery.writes <= 2 + (1.0 - 0.3) / 0.1


@pytest.mark.parametrize("frames", [4, 7, 12, 20])
async def test_a_resolver_that_takes_over_stores_the_same_faces_once(frames: int) -> None:
    whole = MemoryGallery(512)
    await Shop(gallery=whole).resolve(walk(APPROACH))

    shared = Shop(gallery=MemoryGallery(512))
    events = list(walk(APPROACH))
    leaves_tracks = ResolverPolicy(ends_tracks_at_stop=False)
    for part in (events[:frames], events[frames:]):
        await shared.log.append([record(event) for event in part])
        await until_read(shared, leaves_tracks)
        fresh = Shop(gallery=shared.gallery)
        fresh.log, shared = shared.log, fresh
    found, expected = await stored(shared.gallery), await stored(whole)  # type: ignore[arg-type]
    assert {e.entry_id for e in found} == {e.entry_id for e in expected}
    by_id = {e.entry_id: e for e in expected}
    for entry in found:
        assert np.allclose(entry.embedding, by_id[entry.entry_id].embedding, atol=1e-6)
        assert replace(entry, embedding=by_id[entry.entry_id].embedding) == by_id[entry.entry_id]


async def until_read(shop: Shop, policy: ResolverPolicy) -> None:
    """Run a resolver until it has committed all detections, and stop it without ending tracks."""
    stopping = asyncio.Event()
    resolver = identity_resolver(shop.log, shop.context, policy)
    running = asyncio.create_task(resolver.run(stopping))
    partitions = shop.context.partitions
    while not _is_read(partitions.values()):  # noqa: ASYNC110 -- a resolver has no event for it
        await asyncio.sleep(0)
    stopping.set()
    await running


def _is_read(states: Collection[PartitionState]) -> bool:
    return any(state.read_to for state in states) and not any(s.uncommitted for s in states)


# --- which shots ------------------------------------------------------------------------------


def shot(angle: float, quality: float) -> Shot:
    face = np.array([np.cos(angle), np.sin(angle)], np.float32)
    return Shot(face, quality, 60.0, NOON)


def test_the_second_shot_is_nearly_as_good_and_in_another_pose() -> None:
    twin, other, poor = shot(0.01, 0.89), shot(0.5, 0.85), shot(1.2, 0.5)
    best = shot(0.0, 0.9)
    assert best_shots([poor, twin, other, best], 2) == [best, other]
    assert best_shots([poor, best], 2) == [best, poor]
    assert best_shots([best], 2) == [best]
    assert best_shots([poor, best], 0) == []


def test_better_shots_replace_the_earlier_ones_under_the_same_ids() -> None:
    first = [shot(0.1 * n, 0.4) for n in range(3)]
    better = [shot(0.1 * n, 0.8 + 0.01 * n) for n in range(8)]
    who = CustomerId("cus_1")
    before, after = (
        enroll(who, IdentityKind.ANONYMOUS, shots, RetentionPolicy()) for shots in (first, better)
    )
    assert [e.entry_id for e in before] == [e.entry_id for e in after]
    assert min(e.quality for e in after) > max(e.quality for e in before)
