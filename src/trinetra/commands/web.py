"""``trinetra web``: the dashboard and the REST API as a process of their own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from trinetra.adapters.clock import SystemClock
from trinetra.commands.console import note
from trinetra.commands.hosting import configure_output
from trinetra.commands.services import named_by_port
from trinetra.commands.web_serving import app_of, serving_app, tell_first_user
from trinetra.hosting import (
    App,
    Opened,
    PatientService,
    bare_health_app,
    host,
    ignore_signals,
    stop_on_signals,
)
from trinetra.settings import Settings, load_settings
from trinetra.site import Site, load_site
from trinetra.wiring import services
from trinetra.wiring.connections import need_shared


def register(app: typer.Typer) -> None:
    """Add the command of this module to the application."""
    app.command("web")(web)


def web(
    site: Annotated[Path, typer.Option("--site", metavar="SITE", help="The site file.")],
) -> None:
    """Serve the dashboard and the REST API (one process of a cluster)."""
    settings = load_settings()
    configure_output(settings)
    need_shared(settings, "web", "store_url")
    loaded = load_site(site)
    try:
        asyncio.run(_host(loaded, named_by_port(settings, settings.web_port), site))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        ignore_signals()  # only cleanup is left, which must not be interrupted


class _Replaceable:
    """An app that is another one once its servers answer; until then health alone."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


async def _host(site: Site, settings: Settings, path: Path) -> None:
    clock = SystemClock()
    address = ""

    @asynccontextmanager
    async def opening() -> AsyncIterator[Opened]:
        async with services.web(site, settings, clock, services.Watched(path)) as opened:
            served.app = app_of(opened.backend, process, settings, opened.security)
            await tell_first_user(opened.security, address)
            yield opened.opened

    service = PatientService("web", opening, clock)
    process = bare_health_app([service], dependencies=lambda: service.dependencies)
    served = _Replaceable(process)
    with stop_on_signals() as stop:
        async with serving_app(served, settings, port=settings.web_port) as address:
            note(f"web: {address} (also /health/ready and /metrics)")
            await host(
                [service],
                stop=stop,
                drain_deadline_s=settings.drain_deadline_s,
                owns_process=True,
            )
