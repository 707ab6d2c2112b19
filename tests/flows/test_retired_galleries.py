"""The gallery of a network that is no longer in use expires, and disappears once it is empty."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from trinetra.adapters.clock import ManualClock
from trinetra.adapters.qdrant_edge.gallery import EdgeGallery, collection_folder
from trinetra.models.manifest import FaceEmbedderModel, profile
from trinetra.settings import Settings
from trinetra.values import EPOCH, CustomerId, GalleryEntry, IdentityKind, after
from trinetra.wiring.retired_galleries import RetiredGalleries

OLD, NEW = (profile(name).face_embedder for name in ("default", "accurate"))
DAY_S = 86_400.0
NOW = EPOCH + timedelta(days=20_000)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


def opened(settings: Settings, model: FaceEmbedderModel):
    return EdgeGallery.open(
        settings.data_dir / "gallery", model_version=model.version, dimension=model.dimension
    )


def entries(model: FaceEmbedderModel, *expire_after_days: float | None) -> Iterator[GalleryEntry]:
    for number, days in enumerate(expire_after_days):
        yield GalleryEntry(
            entry_id=f"e{number}",
            customer_id=CustomerId(f"cus_{number}"),
            kind=IdentityKind.ANONYMOUS,
            embedding=np.eye(1, model.dimension, number, dtype=np.float32)[0],
            quality=0.9,
            first_seen=NOW,
            last_seen=NOW,
            expires_at=None if days is None else after(NOW, days * DAY_S),
            consent=False,
        )


async def fill(settings: Settings, model: FaceEmbedderModel, *days: float | None) -> None:
    async with opened(settings, model) as gallery:
        await gallery.upsert(list(entries(model, *days)))


async def count(settings: Settings, model: FaceEmbedderModel) -> int:
    async with opened(settings, model) as gallery:
        return await gallery.count()


async def looked(settings: Settings, clock: ManualClock) -> None:
    """Let a resolver that uses the new network look after the old galleries once."""
    retired = RetiredGalleries(settings, NEW, clock)
    await retired._expire()
    await retired.close()


async def test_expired_faces_of_an_old_network_are_deleted_and_others_stay(settings, clock):
    await fill(settings, OLD, 1, 3, None)
    clock.advance(2 * DAY_S)
    await looked(settings, clock)
    assert await count(settings, OLD) == 2


async def test_an_old_gallery_that_is_empty_is_deleted(settings, clock):
    await fill(settings, OLD, 1, 1)
    folder = collection_folder(settings.data_dir / "gallery", OLD.version)
    await looked(settings, clock)
    assert folder.exists()
    clock.advance(2 * DAY_S)
    await looked(settings, clock)
    assert not folder.exists()


async def test_the_gallery_in_use_is_left_alone_and_none_is_made(settings, clock):
    await fill(settings, NEW, 1)
    clock.advance(2 * DAY_S)
    await looked(settings, clock)
    assert await count(settings, NEW) == 1
    assert len(list((settings.data_dir / "gallery").iterdir())) == 1


async def test_an_old_gallery_that_another_process_uses_is_left_to_it(settings, clock):
    await fill(settings, OLD, 1)
    clock.advance(2 * DAY_S)
    async with opened(settings, OLD) as gallery:
        await looked(settings, clock)
        assert await gallery.count() == 1


async def test_a_resolver_looks_by_itself_as_soon_as_it_is_tended(settings, clock):
    await fill(settings, OLD, 1)
    clock.advance(2 * DAY_S)
    retired = RetiredGalleries(settings, NEW, clock)
    while collection_folder(settings.data_dir / "gallery", OLD.version).exists():
        await retired.tend()
    await retired.close()
