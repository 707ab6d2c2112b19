"""``trinetra ingest|infer|resolve|insight|alert``: one service as a process of its own."""

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from trinetra.adapters.clock import SystemClock
from trinetra.commands.console import note
from trinetra.commands.hosting import configure_output, prepare_networks, transaction_door
from trinetra.errors import ConfigurationError
from trinetra.hosting import (
    Opened,
    PatientService,
    health_app,
    host,
    ignore_signals,
    serving,
    stop_on_signals,
)
from trinetra.settings import Settings, load_settings
from trinetra.site import Site, load_site
from trinetra.wiring import services
from trinetra.wiring.connections import need_shared
from trinetra.wiring.profiles import choose_profile

_Cameras = Annotated[
    list[str] | None,
    typer.Option("--camera", metavar="ID", help="Read only this camera; repeatable."),
]
_SiteFile = Annotated[Path, typer.Option("--site", metavar="SITE", help="The site file.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    for command in (ingest, infer, resolve, insight, alert):
        app.command(command.__name__)(command)


def ingest(site: _SiteFile, *, camera: _Cameras = None) -> None:
    """Read the cameras into the frame buffer (one process of a cluster)."""
    settings = _settings_of("ingest", "frame_buffer")
    # Passwords of cameras that another process reads need not be set here.
    whole = load_site(site) if camera else load_site(site, os.environ)
    loaded, cameras_in_total = only(whole, camera) if camera else whole, len(whole.cameras)
    begun = datetime.now(UTC)
    watched = services.Watched(site, (lambda new: only(new, camera)) if camera else _whole)
    _serve(
        "stream-ingestor",
        lambda: services.ingest(
            loaded,
            settings,
            os.environ,
            begun,
            cameras_in_total=cameras_in_total,
            watched=watched,
        ),
        settings,
        settings.ingest_port,
    )


def infer(site: _SiteFile) -> None:
    """Turn buffered frames into detections (one process of a cluster)."""
    settings = _settings_of("infer", "frame_buffer", "event_log")
    loaded = load_site(site)
    networks = prepare_networks(settings, loaded)
    _serve(
        "inference-worker",
        lambda: services.infer(loaded, settings, networks, services.Watched(site)),
        settings,
        settings.infer_port,
    )


def resolve(site: _SiteFile) -> None:
    """Turn detections into identities (one process of a cluster)."""
    settings = _settings_of("resolve", "event_log", "gallery", "store_url")
    loaded = load_site(site)
    model = choose_profile(settings).face_embedder
    if settings.gallery == "edge":
        note(
            f"the gallery in {settings.data_dir / 'gallery'} belongs to one process: run a "
            "single resolver, or set TRINETRA_GALLERY=qdrant"
        )
    _serve(
        "identity-resolver",
        lambda: services.resolve(loaded, settings, model, services.Watched(site)),
        settings,
        settings.resolve_port,
    )


def insight(site: _SiteFile) -> None:
    """Turn identities into insights (one process of a cluster)."""
    settings = _settings_of("insight", "event_log", "store_url")
    loaded = load_site(site)
    _serve(
        "insight-engine",
        lambda: services.insight(loaded, settings, services.Watched(site)),
        settings,
        settings.insight_port,
        takes_receipts=True,
    )


def alert(site: _SiteFile) -> None:
    """Turn insights and health into alerts, and send them (one process of a cluster)."""
    settings = _settings_of("alert", "event_log", "store_url")
    loaded = load_site(site)
    _serve(
        "alert-service",
        lambda: services.alert(loaded, settings, os.environ, services.Watched(site)),
        settings,
        settings.alert_port,
    )


def _whole(site: Site) -> Site:
    return site


def only(site: Site, camera_ids: Sequence[str]) -> Site:
    """Return the site with some of its cameras. Raises ConfigurationError for an unknown one."""
    known = {camera.id: camera for camera in site.cameras}
    if unknown := [each for each in camera_ids if each not in known]:
        raise ConfigurationError(
            f"no camera {', '.join(unknown)} in the site file; it has {', '.join(known)}"
        )
    cameras = tuple(camera for name, camera in known.items() if name in camera_ids)
    return site.model_copy(update={"cameras": cameras})


def named_by_port(settings: Settings, port: int) -> Settings:
    """Return the settings with an instance name that is unique on this host.

    A configured name is kept. Otherwise the port is appended, because each process on a host has
    its own. Port 0 is not used: it would give another name after every restart.
    """
    if "instance" in settings.model_fields_set or not port:
        return settings
    return settings.model_copy(update={"instance": f"{settings.instance}-{port}"})


def _settings_of(command: str, *shared: str) -> Settings:
    """Return the settings of one service. Raises ConfigurationError."""
    settings = load_settings()
    configure_output(settings)
    need_shared(settings, command, *shared)
    return named_by_port(settings, getattr(settings, f"{command}_port"))


def _serve(
    name: str,
    opening: Callable[[], AbstractAsyncContextManager[Opened]],
    settings: Settings,
    port: int,
    *,
    takes_receipts: bool = False,
) -> None:
    """Run one service, with its health page, until it ends or a signal stops it."""
    service = PatientService(name, opening, SystemClock())
    try:
        asyncio.run(_host(service, settings, port, takes_receipts=takes_receipts))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        ignore_signals()  # only cleanup is left, which must not be interrupted


async def _host(
    service: PatientService, settings: Settings, port: int, *, takes_receipts: bool
) -> None:
    app = health_app(
        [service],
        dependencies=lambda: service.dependencies,
        allowed_hosts=settings.host_names,
        transactions=(
            transaction_door(lambda: service.receipts, settings) if takes_receipts else None
        ),
    )
    with stop_on_signals() as stop:
        async with serving(app, address=settings.host, port=port) as bound:
            note(f"{service.name}: http://{settings.host}:{bound} has /health/ready and /metrics")
            await host(
                [service],
                stop=stop,
                drain_deadline_s=settings.drain_deadline_s,
                owns_process=True,
            )
