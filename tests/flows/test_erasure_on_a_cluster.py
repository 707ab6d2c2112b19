"""Services with data folders of their own: an erasure is final once each of them has confirmed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from tests.flows.shop import SITE
from typer.testing import CliRunner

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.commands.application import app
from trinetra.errors import ConfigurationError, CustomerConflict
from trinetra.models.manifest import load_manifest
from trinetra.settings import Settings
from trinetra.site.schema import Site
from trinetra.values import CustomerId, GalleryEntry, IdentityKind, derive_id
from trinetra.wiring import assembly
from trinetra.wiring.assembly import FaceModel, Member
from trinetra.wiring.connections import (
    open_engine_ports,
    open_gallery,
    open_resolver_ports,
    spooling,
)
from trinetra.wiring.forgetting import Eraser, receipt_of
from trinetra.wiring.stores import open_customer_log

ANN = CustomerId(derive_id("cus", "ann"))
MODEL = load_manifest().profile("default").face_embedder
NOW = datetime.now(UTC)


def container(folder: Path, name: str, **more: str) -> Settings:
    """Return the settings of a container: the database is shared, the data folder is its own."""
    return Settings(
        data_dir=folder / name,
        models_dir=folder,
        instance=name,
        event_log="kafka",
        gallery="edge",
        store_url=f"sqlite:///{folder}/shared.db",
        **more,
    )


@pytest.fixture
def engine_container(tmp_path: Path) -> Settings:
    return container(tmp_path, "engine")


@pytest.fixture
async def resolver_container(tmp_path: Path) -> Settings:
    """Return the container whose gallery holds a face of the person."""
    settings = container(tmp_path, "resolver")
    face = np.random.default_rng(1).standard_normal(MODEL.dimension).astype(np.float32)
    entry = GalleryEntry("e", ANN, IdentityKind.ANONYMOUS, face, 0.9, NOW, NOW, None, False)
    async with open_gallery(settings, MODEL) as gallery:
        await gallery.upsert([entry])
    return settings


@asynccontextmanager
async def running(
    resolver: Settings, engine: Settings, log: MemoryEventLog | None = None
) -> AsyncIterator[None]:
    """Run both services on one log in memory, which takes Kafka's place.

    Without a log of the caller's there is a worker, too, with an empty spool.
    """
    clock, stopping = SystemClock(), asyncio.Event()
    if log is None:
        log = MemoryEventLog(clock)
        worker = engine.model_copy(update={"instance": "worker"})
        async with spooling(log, worker, clock), running(resolver, engine, log):
            yield
        return
    site = Site.model_validate(
        {
            "site": SITE,
            "timezone": "UTC",
            "cameras": [{"id": "a", "role": "face", "source": {"file": "x.mp4"}}],
        }
    )
    async with (
        open_resolver_ports(log, site, resolver, MODEL, clock) as of_resolver,
        open_engine_ports(log, site, engine, clock) as of_engine,
        asyncio.TaskGroup() as group,
    ):
        face = FaceModel.of(MODEL, resolver.data_dir)
        services = (
            assembly.resolver(site, face, of_resolver, Member.of(resolver)),
            assembly.engine(site, of_engine, Member.of(engine)),
        )
        for service in services:
            group.create_task(service.run(stopping))
        try:
            yield
        finally:
            stopping.set()


async def test_no_receipt_is_final_while_the_owner_of_the_gallery_has_not_confirmed(
    engine_container: Settings, resolver_container: Settings
) -> None:
    status = await Eraser(engine_container).forget(ANN, 0.0)
    assert status.settled_at is None
    assert status.awaited == ("identity-resolver", "inference-worker", "insight-engine")
    receipt = receipt_of(engine_container, status).receipt
    assert receipt["done_at"] is None
    assert receipt["awaited"] == receipt["owners"] == list(status.awaited)
    async with open_gallery(resolver_container, MODEL) as gallery:
        assert await gallery.count() == 1

    async with running(resolver_container, engine_container):
        status = await Eraser(engine_container).forget(ANN, 60.0)
    assert status.settled_at is not None
    assert status.awaited == ()
    assert status.removed()["gallery_faces"] == 1
    assert {
        *("identity-resolver@resolver", "insight-engine@engine", "inference-worker@worker")
    } <= {share.member for share in status.shares}
    async with open_gallery(resolver_container, MODEL) as gallery:
        assert await gallery.count() == 0


async def test_a_gallery_that_once_ran_is_awaited_by_name(
    engine_container: Settings, resolver_container: Settings, tmp_path: Path
) -> None:
    async with running(resolver_container, engine_container):
        await Eraser(engine_container).forget(CustomerId(derive_id("cus", "bob")), 60.0)
    async with running(container(tmp_path, "another"), engine_container):
        status = await Eraser(engine_container).forget(ANN, 0.0)
        while len(status.awaited) > 1:
            status = await Eraser(engine_container).forget(ANN, 0.5)
        assert status.awaited == ("identity-resolver@resolver",)
        with pytest.raises(CustomerConflict, match="--destroyed typo: the erasure waits for ident"):
            await Eraser(engine_container).forget(ANN, 0.0, ["typo"])
        status = await Eraser(engine_container).forget(ANN, 60.0, ["identity-resolver@resolver"])
    assert status.settled_at is not None
    assert status.removed()["declared_destroyed"] == 1


def test_verifying_tells_who_never_confirmed_by_its_output_and_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "EVENT_LOG": "kafka",
        "DATA_DIR": str(tmp_path / "engine"),
        "STORE_URL": f"sqlite:///{tmp_path}/shared.db",
        "MODELS_DIR": str(tmp_path),
    }.items():
        monkeypatch.setenv(f"TRINETRA_{name}", value)
    asked = CliRunner().invoke(app, ["customers", "forget", ANN, "--yes", "--timeout", "0"])
    assert asked.exit_code == 1
    (tmp_path / "receipt.json").write_text(asked.stdout)
    told = CliRunner().invoke(app, ["customers", "verify-receipt", str(tmp_path / "receipt.json")])
    assert told.exit_code == 1
    assert "never confirmed by identity-resolver, inference-worker, insight-engine" in told.output


async def test_no_command_writes_to_a_database_that_no_service_reads(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, models_dir=tmp_path, event_log="kafka")
    with pytest.raises(ConfigurationError, match="set TRINETRA_STORE_URL="):
        async with open_customer_log(settings):
            pass
