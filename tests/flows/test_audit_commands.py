"""``trinetra audit`` and ``customers verify-receipt``: what they accept and reject."""

import asyncio
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner, Result

from trinetra.adapters.disk.receipts import sign, signing_key
from trinetra.commands import audit, customers
from trinetra.events.erasure import Acknowledgement, ErasureStatus
from trinetra.settings import Settings, load_settings
from trinetra.values import CustomerId
from trinetra.wiring.audit_trail import audit_log, record_deed
from trinetra.wiring.forgetting import Eraser, remains_of
from trinetra.wiring.stores import open_erasure_store

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
GONE = CustomerId("cus_gone")
app = typer.Typer()
for group in (customers, audit):
    group.register(app)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("TRINETRA_DATA_DIR", str(tmp_path / "data"))
    return load_settings()


def ran(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def deed(settings: Settings) -> str:
    record_deed(settings, "forget", GONE)
    return audit_log(settings).lines()[-1].hash


def receipt(settings: Settings, key: Ed25519PrivateKey | None = None, **said: str | None) -> Path:
    told: dict[str, Any] = {"done_at": NOON.isoformat(), **said}
    file = settings.data_dir.parent / "receipt.json"
    signed = sign(told, key or signing_key(settings.data_dir / "keys"))
    file.write_bytes(msgspec.json.encode(signed))
    return file


def test_a_final_receipt_of_this_installation_is_good(settings: Settings) -> None:
    result = ran("customers", "verify-receipt", receipt(settings, audit_log_hash=deed(settings)))
    assert result.exit_code == 0, result.output


def test_a_receipt_whose_line_of_the_audit_log_is_gone_is_not(settings: Settings) -> None:
    file = receipt(settings, audit_log_hash=deed(settings))
    audit_log(settings).path.unlink()
    result = ran("customers", "verify-receipt", file)
    assert result.exit_code == 1
    assert "is gone" in result.output


def test_a_receipt_before_everybody_confirmed_is_not_final(settings: Settings) -> None:
    file = receipt(settings, audit_log_hash=deed(settings), done_at=None)
    result = ran("customers", "verify-receipt", file)
    assert result.exit_code == 1
    assert "not final" in result.output


def test_a_receipt_of_another_key_is_good_only_to_who_names_it(settings: Settings) -> None:
    key = Ed25519PrivateKey.generate()
    file, public = receipt(settings, key), key.public_key().public_bytes_raw().hex()
    result = ran("customers", "verify-receipt", file)
    assert result.exit_code == 1
    assert "another installation" in result.output
    assert not (settings.data_dir / "keys").exists()
    assert ran("customers", "verify-receipt", file, "--key", public.upper()).exit_code == 0
    assert ran("customers", "verify-receipt", file, "--key", "0" * 64).exit_code == 1


def test_a_log_that_was_never_begun_is_unbroken(settings: Settings) -> None:
    assert ran("audit", "verify").exit_code == 0
    assert not settings.data_dir.exists()


def test_a_log_that_was_taken_away_is_missed_where_receipts_were_signed(
    settings: Settings,
) -> None:
    receipt(settings)
    assert ran("audit", "verify").exit_code == 1


async def _ask(settings: Settings) -> ErasureStatus:
    settings.data_dir.mkdir()
    async with open_erasure_store(settings) as erasure_store:
        return await erasure_store.request([GONE], NOON)


async def _erase(settings: Settings) -> None:
    status = await _ask(settings)
    async with open_erasure_store(settings) as erasure_store:
        share = Acknowledgement(member="test", at=NOON, removed={"gallery_faces": 1})
        await erasure_store.acknowledge(status.erasure.number, share)


def test_a_log_that_was_taken_away_is_missed_where_somebody_was_erased(
    settings: Settings,
) -> None:
    asyncio.run(_erase(settings))
    result = ran("audit", "verify")
    assert result.exit_code == 1
    assert "1 ids were erased" in result.output


def test_an_erasure_done_after_nobody_waited_is_put_on_record_once(settings: Settings) -> None:
    asyncio.run(_erase(settings))
    for _ in range(2):
        asyncio.run(Eraser(settings).forget(GONE, 0.0))
    assert [line.action for line in audit_log(settings).lines()] == ["forgotten"]


def test_forgetting_clears_what_a_killed_replay_left(settings: Settings) -> None:
    asyncio.run(_ask(settings))
    left = settings.data_dir / "tmp" / "left"
    left.mkdir(parents=True)
    assert asyncio.run(Eraser(settings).forget(GONE, 0.0)).settled_at is not None
    assert not left.exists()


def test_who_looked_at_the_names_is_on_record(settings: Settings) -> None:
    assert ran("customers", "list").exit_code == 0
    assert [line.action for line in audit_log(settings).lines()] == ["list"]


def test_a_receipt_on_a_cluster_tells_until_when_topics_keep_what(settings: Settings) -> None:
    there = settings.model_copy(update={"event_log": "kafka"})
    told = remains_of(there, NOON, {"trinetra.detections": 90_000.0, "other": inf})
    until = NOON + timedelta(seconds=90_000)
    assert f"trinetra.detections: until {until:%Y-%m-%d %H:%M} UTC at the latest" in told
    assert "other: for good, because the topic keeps its records for good" in told
    assert any("trinetra.dead-letters have embeddings" in line for line in told)
    assert "topics of Kafka: as long as they keep records" in remains_of(there, NOON, {})
