"""What is left of a deleted face in the files of the embedded gallery: nothing."""

from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from tests.servers.traces import traces

from trinetra.adapters.edge_gallery import EdgeGallery
from trinetra.adapters.gallery_points import StoredPoint, stored_point
from trinetra.adapters.gallery_process import Server
from trinetra.adapters.gallery_protocol import Failure, GalleryTuning
from trinetra.adapters.gallery_shard import Refusal, Shard
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


async def test_what_expired_is_purged_without_being_asked(tmp_path: Path) -> None:
    tuning = GalleryTuning(purge_after_s=0.0, idle_s=0.0)
    async with opened(tmp_path, tuning) as gallery:
        await gallery.upsert([entry(1), entry(2, GONE, expires_at=NOON)])
        assert await gallery.delete_expired(NOON) == 1
        # The duty comes before the next request is read.
        assert await gallery.count() == 1
        assert traces(tmp_path, [face(2)], [GONE]) == {}


async def test_a_purge_that_was_cut_off_is_still_due_and_lost_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = Shard(tmp_path, DIMENSION, SCANNED)
    shard.upsert([_point(1), _point(2, GONE)])
    shard.delete_customer(GONE)

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("trinetra.adapters.gallery_shard.shutil.rmtree", stop)
    with pytest.raises(KeyboardInterrupt):
        shard.purge()
    monkeypatch.undo()

    again = Shard(tmp_path, DIMENSION, SCANNED)
    assert again.deleted_at is not None
    assert again.count() == 1
    assert again.purge() == 1
    assert again.deleted_at is None
    assert traces(tmp_path, [face(2)], [GONE]) == {}
    again.close()


def test_a_full_disk_puts_a_purge_off(tmp_path: Path) -> None:
    """The gallery answers on, and does not try again at once."""

    class Full:
        deleted_at = 0.0
        unindexed = 0

        def purge(self) -> int:
            raise Refusal(Failure.STORAGE_FULL, "no room")

    server = Server(Full(), GalleryTuning(idle_s=0.0), None, -1)
    assert server._seconds_to_next_duty() == 0
    server._do_duties()
    assert server._seconds_to_next_duty() > 3000


def _point(number: int, customer: str = "") -> StoredPoint:
    return stored_point(entry(number, customer), DIMENSION)
