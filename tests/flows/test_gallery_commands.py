"""``trinetra gallery``: a gallery goes into a file, to a server, and back."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from tests.flows.commands import Commands
from tests.servers.qdrant_server import QdrantServer

from trinetra.adapters.disk import gallery_file
from trinetra.adapters.disk.audit import AuditLog
from trinetra.adapters.qdrant_edge.gallery import EdgeGallery
from trinetra.commands import gallery as gallery_commands
from trinetra.errors import ConfigurationError, GalleryUnavailable
from trinetra.models.manifest import load_manifest
from trinetra.settings import load_settings
from trinetra.values import CustomerId, GalleryEntry, IdentityKind
from trinetra.wiring.stores import open_erasure_store

NOW = datetime.now(UTC)
MODEL = load_manifest().profile("default").face_embedder
gallery = Commands("gallery", gallery_commands.register)
ran, failed = gallery.output_and_notes, gallery.failed


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRINETRA_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TRINETRA_GALLERY", "edge")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[QdrantServer]:
    with QdrantServer(tmp_path / "qdrant") as server:
        monkeypatch.setenv("TRINETRA_QDRANT_URL", server.url)
        yield server


def fill(data_dir: Path, count: int, expired: int = 0) -> None:
    async def upsert() -> None:
        async with EdgeGallery.open(
            data_dir / "gallery", model_version=MODEL.version, dimension=MODEL.dimension
        ) as opened:
            await opened.upsert([entry(i, expired=i < expired) for i in range(count)])

    asyncio.run(upsert())


def entry(number: int, *, expired: bool) -> GalleryEntry:
    return GalleryEntry(
        entry_id=f"e{number}",
        customer_id=CustomerId(f"c{number % 50}"),
        kind=IdentityKind.ANONYMOUS,
        embedding=np.random.default_rng(number).standard_normal(MODEL.dimension).astype(np.float32),
        quality=0.9,
        first_seen=NOW - timedelta(days=3),
        last_seen=NOW,
        expires_at=NOW - timedelta(days=1) if expired else NOW + timedelta(days=30),
        consent=False,
    )


def kept(path: Path) -> dict[str, tuple[object, ...]]:
    return {
        e.entry_id: (e.customer_id, e.kind, e.first_seen, e.last_seen, e.expires_at, e.consent)
        for batch in gallery_file.read(path)
        for e in batch
    }


def test_a_gallery_goes_to_a_server_and_back_without_loss(
    tmp_path: Path, server: QdrantServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    fill(tmp_path / "data", 600)

    assert "600 entries" in ran("export", there)
    assert "holds 600 now" in ran("import", there, "--to", "qdrant")
    assert "holds 600 now" in ran("import", there, "--to", "qdrant")  # again: nothing changes
    monkeypatch.setenv("TRINETRA_DATA_DIR", str(tmp_path / "other"))
    ran("export", back, "--from", "qdrant")
    assert "holds 600 now" in ran("import", back)

    assert kept(there) == kept(back)
    vectors = [
        {e.entry_id: e.embedding for batch in gallery_file.read(path) for e in batch}
        for path in (there, back)
    ]
    for name, vector in vectors[0].items():
        assert vectors[1][name] == pytest.approx(vector, abs=1e-6)


async def _erase(*ids: str) -> None:
    async with open_erasure_store(load_settings()) as erasure_store:
        await erasure_store.request(list(map(CustomerId, ids)), NOW)


def test_who_was_erased_does_not_come_back_from_a_file(tmp_path: Path) -> None:
    fill(tmp_path / "data", 60)
    ran("export", tmp_path / "faces")
    asyncio.run(_erase("c1", "c2"))
    told = ran("import", tmp_path / "faces")

    assert "56 entries" in told
    assert "4 of people who were erased" in told
    assert "delete it" in told
    log = AuditLog(tmp_path / "data" / "audit").lines()
    assert [line.action for line in log] == ["export", "import"]


def test_expired_entries_stay_out_of_the_gallery(tmp_path: Path) -> None:
    fill(tmp_path / "data", 10, expired=4)
    ran("export", tmp_path / "faces")
    told = ran("import", tmp_path / "faces")

    assert "6 entries" in told
    assert "4 that had expired" in told


def test_an_export_warns_that_it_holds_biometric_data(tmp_path: Path) -> None:
    fill(tmp_path / "data", 1)

    assert "biometric data" in ran("export", tmp_path / "faces")
    assert (tmp_path / "faces").stat().st_mode & 0o077 == 0


def test_an_export_replaces_a_file_only_when_told_to(tmp_path: Path) -> None:
    fill(tmp_path / "data", 1)
    precious = tmp_path / "faces"
    precious.write_text("precious")

    assert "--force" in str(failed("export", precious))
    assert precious.read_text() == "precious"
    assert "1 entries" in ran("export", precious, "--force")


def test_a_file_of_another_network_is_refused_telling_both(tmp_path: Path) -> None:
    with gallery_file.writing(tmp_path / "faces", "arcface/9", 128):
        pass

    failure = failed("import", tmp_path / "faces")

    assert isinstance(failure, ConfigurationError)
    assert "arcface/9 (128 values)" in str(failure)
    assert f"{MODEL.version} ({MODEL.dimension} values)" in str(failure)


def test_info_tells_what_is_where(tmp_path: Path) -> None:
    fill(tmp_path / "data", 3)

    assert "entries: 3" in ran("info")
    assert '"entries": 3' in ran("info", "--json")


def test_an_import_waits_for_a_server_that_is_away_for_a_moment(
    tmp_path: Path, server: QdrantServer
) -> None:
    fill(tmp_path / "data", 300)
    ran("export", tmp_path / "faces")
    server.kill()
    with ThreadPoolExecutor() as threads:
        importing = threads.submit(ran, "import", tmp_path / "faces", "--to", "qdrant")
        server.start()

        assert "holds 300 now" in importing.result()


def test_a_server_that_is_away_is_told(server: QdrantServer) -> None:
    server.kill()

    assert isinstance(failed("export", "faces", "--from", "qdrant"), GalleryUnavailable)


def test_a_gallery_in_memory_cannot_be_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRINETRA_GALLERY", "memory")

    assert "TRINETRA_GALLERY" in str(failed("export", tmp_path / "faces"))
