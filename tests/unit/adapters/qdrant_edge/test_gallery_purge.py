"""Tests that a purge removes every byte of a deleted face from the embedded gallery's files."""

import asyncio
import itertools
import shutil
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from tests.servers.traces import traces

from trinetra.adapters.qdrant.points import StoredPoint, stored_point
from trinetra.adapters.qdrant_edge.engine import Points, Refusal
from trinetra.adapters.qdrant_edge.gallery import EdgeGallery
from trinetra.adapters.qdrant_edge.protocol import Failure, GalleryTuning, Search
from trinetra.adapters.qdrant_edge.shard import Shard
from trinetra.adapters.qdrant_edge.worker import Server
from trinetra.values import CustomerId, Embedding, GalleryEntry, IdentityKind

DIMENSION = 64
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
GONE = CustomerId("cus_0123456789abcdef01234567")
SCANNED = GalleryTuning()
INDEXED = GalleryTuning(index_after=50, index_at_latest=50)


def face(number: int) -> Embedding:
    vector = np.random.default_rng(number).standard_normal(DIMENSION).astype(np.float32)
    return vector / np.linalg.norm(vector)


def entry(number: int, customer: str = "", **changes: object) -> GalleryEntry:
    plain = GalleryEntry(
        entry_id=f"e{number}",
        customer_id=CustomerId(customer or f"c{number}"),
        kind=IdentityKind.ANONYMOUS,
        embedding=face(number),
        quality=0.9,
        first_seen=NOON,
        last_seen=NOON,
        expires_at=None,
        consent=False,
    )
    return replace(plain, **changes)


def opened(folder: Path, tuning: GalleryTuning) -> AbstractAsyncContextManager[EdgeGallery]:
    return EdgeGallery.open(folder, model_version="test/1", dimension=DIMENSION, tuning=tuning)


@pytest.mark.parametrize("tuning", [SCANNED, INDEXED], ids=["scanned", "indexed"])
async def test_after_a_purge_no_byte_of_a_deleted_person_is_on_disk(
    tmp_path: Path, tuning: GalleryTuning
) -> None:
    theirs, replaced = [face(7), face(8)], face(1_000)
    async with opened(tmp_path, tuning) as gallery:
        await gallery.upsert([entry(i) for i in range(200) if i not in {7, 8}])
        await gallery.upsert([entry(7, GONE), entry(8, GONE, embedding=replaced)])
        await gallery.upsert([entry(8, GONE)])
        assert traces(tmp_path, [*theirs, replaced], [GONE])

        await gallery.delete(GONE)
        await gallery.purge()
        assert traces(tmp_path, [*theirs, replaced], [GONE]) == {}
        assert traces(tmp_path, [face(9)], [])
        assert await gallery.count() == 198
    assert traces(tmp_path, [*theirs, replaced], [GONE]) == {}
    async with opened(tmp_path, tuning) as gallery:
        assert await gallery.count() == 198


async def test_expired_entries_are_purged_automatically(tmp_path: Path) -> None:
    tuning = GalleryTuning(purge_after_s=0.0, idle_s=0.0)
    async with opened(tmp_path, tuning) as gallery:
        await gallery.upsert([entry(1), entry(2, GONE, expires_at=NOON)])
        assert await gallery.delete_expired(NOON) == 1
        while await asyncio.to_thread(lambda: any(tmp_path.glob("*/deleted"))):
            assert await gallery.count() == 1
        assert traces(tmp_path, [face(2)], [GONE]) == {}


async def test_person_after_person_is_gone_from_disk_also_across_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path, SCANNED) as gallery:
        await gallery.upsert([entry(i, f"cus_{i:024x}") for i in range(20)])
        for number in range(3):
            await _forget(gallery, tmp_path, number)
    async with opened(tmp_path, SCANNED) as gallery:
        await _forget(gallery, tmp_path, 3)
        assert await gallery.count() == 16


async def _forget(gallery: EdgeGallery, folder: Path, number: int) -> None:
    name = f"cus_{number:024x}"
    assert await gallery.delete(CustomerId(name)) == 1
    await gallery.purge()
    assert traces(folder, [face(number)], [name]) == {}


async def test_a_gallery_goes_on_while_it_is_purged(tmp_path: Path) -> None:
    """Writes during a purge are kept, and deletions during it make another purge due."""
    shard = Shard(tmp_path, DIMENSION, SCANNED)
    shard.upsert([_point(i) for i in range(1_200)])
    shard.delete_customer("c1")
    assert not shard.purge_step()  # some are copied now
    shard.upsert([_point(2_000, GONE), _point(2_001)])
    for number in range(2, 8):
        shard.delete_customer(f"c{number}")
    shard.delete_customer(GONE)
    assert _nearest(shard, 2_001) == "c2001"
    _purge(shard)

    assert shard.count() == 1_194
    assert _nearest(shard, 2_001) == "c2001"
    assert traces(tmp_path, [face(1)], []) == {}
    assert shard.deleted_at is not None
    _purge(shard)
    assert shard.deleted_at is None
    assert traces(tmp_path, [face(2), face(7), face(2_000)], [GONE]) == {}
    assert shard.count() == 1_194
    shard.close()


class Crash(BaseException):
    """Simulates a crash of the process."""


@pytest.mark.parametrize(
    ("owner", "name", "after"),
    [
        (Points, "upsert", 1),
        (Points, "flush", 0),
        (Path, "rename", 0),
        (shutil, "rmtree", 0),
        (Path, "unlink", 0),
    ],
    ids=["copying", "flushing", "before the swap", "after the swap", "at the mark"],
)
def test_a_purge_that_was_cut_off_is_still_due_and_lost_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, name: str, after: int
) -> None:
    (tmp_path / "alive").mkdir()
    shard = Shard(tmp_path / "alive", DIMENSION, SCANNED)
    shard.upsert([_point(i) for i in range(700)])
    shard.upsert([_point(1_000, GONE)])
    shard.delete_customer(GONE)
    calls, true = itertools.count(), getattr(owner, name)

    def crash(*args: object, **kwargs: object) -> object:
        if next(calls) == after:
            raise Crash
        return true(*args, **kwargs)

    monkeypatch.setattr(owner, name, crash)
    with pytest.raises(Crash):
        _purge(shard)
    monkeypatch.undo()

    left = shutil.copytree(tmp_path / "alive", tmp_path / "left")
    again = Shard(left, DIMENSION, SCANNED)
    assert again.deleted_at is not None
    assert again.count() == 700
    assert _nearest(again, 699) == "c699"
    assert len(list(left.glob("shard*"))) == 1
    _purge(again)
    assert again.deleted_at is None
    assert again.count() == 700
    assert traces(left, [face(1_000)], [GONE]) == {}
    again.close()


def test_a_gallery_that_the_engine_purged_is_rewritten_once(tmp_path: Path) -> None:
    tuning = GalleryTuning(idle_s=0.0)
    Shard(tmp_path, DIMENSION, SCANNED).close()
    (tmp_path / "shard.1").rename(tmp_path / "shard")
    before = Shard(tmp_path, DIMENSION, tuning)
    before.upsert([_point(1), _point(2)])
    assert before.deleted_at == 0.0
    before.close()

    shard = Shard(tmp_path, DIMENSION, tuning)
    server = Server(shard, tuning, None, -1)
    while shard.deleted_at is not None:
        assert server._seconds_to_next_duty() == 0
        server._do_duties()
    assert [path.name for path in tmp_path.glob("shard*")] == ["shard.1"]
    assert shard.count() == 2
    shard.close()
    after = Shard(tmp_path, DIMENSION, tuning)
    assert after.deleted_at is None
    after.close()


def test_a_full_disk_puts_a_purge_off(tmp_path: Path) -> None:
    """The gallery continues to answer, and does not retry at once."""

    class Full:
        deleted_at = 0.0
        unindexed = 0
        is_rewriting = False

        def purge_step(self) -> bool:
            raise Refusal(Failure.STORAGE_FULL, "no room")

    server = Server(Full(), GalleryTuning(idle_s=0.0), None, -1)
    assert server._seconds_to_next_duty() == 0
    server._do_duties()
    assert server._seconds_to_next_duty() > 3000


def _purge(shard: Shard) -> None:
    while not shard.purge_step():
        pass


def _nearest(shard: Shard, number: int) -> str:
    [found] = shard.search([Search(1, [face(number).tobytes()])])
    return found.matches[0][0].customer_id


def _point(number: int, customer: str = "") -> StoredPoint:
    return stored_point(entry(number, customer), DIMENSION)
