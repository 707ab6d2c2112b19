"""A person is erased from a shell while no service, or only some services, are running."""

from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.disk.journal import JournalingEventLog
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.adapters.qdrant_edge.gallery import EdgeGallery
from trinetra.events.erasure import GALLERY, ErasureStatus
from trinetra.events.topics import ALERTS
from trinetra.models.manifest import FaceEmbedderModel, load_manifest
from trinetra.ports import Record
from trinetra.settings import Settings
from trinetra.values import CustomerId, GalleryEntry, IdentityKind, derive_id
from trinetra.wiring.forgetting import Eraser, remains_of
from trinetra.wiring.places import JOURNALED, journal_folder
from trinetra.wiring.stores import open_erasure_store

NOW = datetime.now(UTC)
ANN = CustomerId(derive_id("cus", "ann"))
USED, OTHER = (load_manifest().profile(p).face_embedder for p in ("default", "reference"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", models_dir=tmp_path)


def opened(
    settings: Settings, model: FaceEmbedderModel
) -> AbstractAsyncContextManager[EdgeGallery]:
    folder = settings.data_dir / "gallery"
    return EdgeGallery.open(folder, model_version=model.version, dimension=model.dimension)


async def fill(settings: Settings, model: FaceEmbedderModel) -> None:
    face = np.random.default_rng(1).standard_normal(model.dimension).astype(np.float32)
    entry = GalleryEntry("e", ANN, IdentityKind.ANONYMOUS, face, 0.9, NOW, NOW, None, False)
    async with opened(settings, model) as gallery:
        await gallery.upsert([entry])


async def faces(settings: Settings, model: FaceEmbedderModel) -> int:
    async with opened(settings, model) as gallery:
        return await gallery.count()


async def forget(settings: Settings) -> ErasureStatus:
    return await Eraser(settings).forget(ANN, 0.0)


async def test_who_is_in_the_gallery_alone_is_forgotten_and_again_after_coming_back(
    settings: Settings,
) -> None:
    await fill(settings, USED)
    status = await forget(settings)
    assert status.settled_at is not None
    assert status.removed()[GALLERY] == 1

    await fill(settings, USED)
    assert (await forget(settings)).settled_at == status.settled_at
    assert await faces(settings, USED) == 0


async def test_faces_by_other_networks_go_while_one_gallery_is_in_use(settings: Settings) -> None:
    await fill(settings, USED)
    await fill(settings, OTHER)
    async with opened(settings, USED):
        assert (await forget(settings)).settled_at is None
    assert await faces(settings, OTHER) == 0
    assert (await forget(settings)).settled_at is not None
    assert await faces(settings, USED) == 0


def test_a_folder_of_an_unknown_network_is_named_as_what_remains(settings: Settings) -> None:
    (settings.data_dir / "gallery" / "lost-net").mkdir(parents=True)
    assert "lost-net" in " ".join(remains_of(settings, NOW, {}))


async def test_the_shells_limit_for_the_journal_deletes_nothing_of_it(settings: Settings) -> None:
    folder, log = journal_folder(settings), MemoryEventLog(SystemClock())
    kept = dict.fromkeys(JOURNALED, 1e9)
    noise = np.random.default_rng(1)
    for n in range(3):  # a segment each
        opening = JournalingEventLog.open(log, folder, max_bytes=8 << 20, retention_s=kept)
        async with opening as journal:
            await journal.append([Record(ALERTS, f"k{n}", noise.bytes(1 << 20))])
    before = sum(f.stat().st_size for f in folder.rglob("*.journal"))

    await forget(settings.model_copy(update={"journal_max_mb": 1}))
    assert sum(f.stat().st_size for f in folder.rglob("*.journal")) == before > 2 << 20


async def test_others_may_not_look_into_the_default_data_folder_of_an_older_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRINETRA_DATA_DIR", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (tmp_path / "trinetra").mkdir(mode=0o755)
    async with open_erasure_store(Settings(models_dir=tmp_path)):
        assert (tmp_path / "trinetra").stat().st_mode & 0o077 == 0
    chosen = tmp_path / "chosen"
    chosen.mkdir(mode=0o755)
    async with open_erasure_store(Settings(data_dir=chosen, models_dir=tmp_path)):
        assert chosen.stat().st_mode & 0o777 == 0o755
