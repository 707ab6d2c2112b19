"""``trinetra ingest|infer|resolve|insight``: what is settled before a service runs."""

import os
from pathlib import Path

import pytest

from trinetra.commands import services
from trinetra.commands.services import named_by_port
from trinetra.errors import ConfigurationError
from trinetra.settings import Settings
from trinetra.site import EXAMPLE


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("TRINETRA_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TRINETRA_DATA_DIR", str(tmp_path))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    file = tmp_path / "site.yaml"
    file.write_text(EXAMPLE.replace(".example", ".shop"), encoding="utf-8")
    return file


def test_processes_of_one_service_on_one_host_differ_by_their_ports() -> None:
    host = Settings().instance
    names = [named_by_port(Settings(), port).instance for port in (8003, 8103)]
    assert names == [f"{host}-8003", f"{host}-8103"]


def test_a_port_that_changes_with_every_start_names_nobody() -> None:
    assert named_by_port(Settings(), 0) == Settings()


def test_a_name_that_was_given_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRINETRA_INSTANCE", "till-2")
    assert named_by_port(Settings(), 8003).instance == "till-2"


@pytest.mark.parametrize("command", ["ingest", "infer", "resolve", "insight"])
def test_a_service_that_shares_nothing_is_refused_before_it_is_announced(
    site: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    monkeypatch.setenv("DOOR_CAMERA_USER", "door")
    monkeypatch.setenv("DOOR_CAMERA_PASSWORD", "open")
    with pytest.raises(ConfigurationError, match=f"{command} runs beside .* set TRINETRA_"):
        getattr(services, command)(site)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("command", ["resolve", "insight"])
def test_a_service_with_a_database_of_its_own_is_refused(
    site: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("TRINETRA_EVENT_LOG", "kafka")
    with pytest.raises(ConfigurationError, match="set TRINETRA_STORE_URL=postgresql"):
        getattr(services, command)(site)


@pytest.mark.parametrize(("gallery", "is_warned"), [("edge", True), ("qdrant", False)])
def test_a_resolver_tells_that_an_embedded_gallery_is_its_own(
    site: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    gallery: str,
    *,
    is_warned: bool,
) -> None:
    monkeypatch.setenv("TRINETRA_EVENT_LOG", "kafka")
    monkeypatch.setenv("TRINETRA_GALLERY", gallery)
    monkeypatch.setenv("TRINETRA_STORE_URL", "sqlite:////shop/insights.db")
    monkeypatch.setattr(services, "_serve", lambda *_: None)
    services.resolve(site)
    assert ("set TRINETRA_GALLERY=qdrant" in capfd.readouterr().err) is is_warned
