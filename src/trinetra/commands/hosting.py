"""Runs the embedded platform for ``run`` and ``demo``: networks, live view, health page, drain."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.live import Live

from trinetra.commands.console import note, output, send_messages_to
from trinetra.commands.display import LiveView
from trinetra.commands.progress import FetchProgress
from trinetra.commands.today import followed
from trinetra.commands.web_serving import serving_web
from trinetra.hosting import (
    ReceiptTaker,
    TransactionDoor,
    bare_health_app,
    host,
    ignore_signals,
    stop_on_signals,
)
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.telemetry import configure_logging, get_logger
from trinetra.wiring.live import open_live, sources_of
from trinetra.wiring.networks import Networks, load_networks
from trinetra.wiring.platform import Platform
from trinetra.wiring.profiles import choose_profile, ensure_models
from trinetra.wiring.web import SiteFile, backend_of, with_people


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Outputs of a run: the live view, and the web with the health page.

    ``secret_folder`` is where commands on this machine find the secret of this web; by default the
    data folder. With ``visitor`` an administrator of this name is added, and the link printed by
    which a reader logs in as this user once.
    """

    live_view: bool = False
    serves_web: bool = True
    secret_folder: Path | None = None
    visitor: str | None = None


def configure_output(settings: Settings, *, level: str | None = None) -> None:
    """Log as the settings say; where that is JSON, so are all messages of the command."""
    configure_logging(as_json=settings.log_json, level=level or settings.log_level)
    send_messages_to(get_logger("command") if settings.log_json else None)


def prepare_networks(settings: Settings, site: Site | None = None) -> Networks:
    """Return the loaded networks of the chosen profile, fetching what is missing.

    With a site only those that its cameras need.
    """
    profile = choose_profile(settings, site)
    for text in profile.notices:
        note(text)
    with FetchProgress() as progress:
        files = ensure_models(profile, settings, progress)
    return load_networks(profile, files, settings, site)


def run_platform(
    site: Site,
    settings: Settings,
    opening: AbstractAsyncContextManager[Platform],
    options: RunOptions,
    *,
    report: Callable[[Platform, float], None],
) -> None:
    """Run until every source has ended or the user stops it, then report.

    The report is made while everything is still open, also after Ctrl-C. A second Ctrl-C cuts the
    drain short and raises KeyboardInterrupt.
    """
    configure_output(settings, level="ERROR" if options.live_view else None)
    try:
        asyncio.run(_run(site, settings, opening, options, report))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        ignore_signals()  # only cleanup is left, which must not be interrupted


async def _run(
    site: Site,
    settings: Settings,
    opening: AbstractAsyncContextManager[Platform],
    options: RunOptions,
    report: Callable[[Platform, float], None],
) -> None:
    with stop_on_signals() as stop:
        async with opening as platform, _web(site, platform, settings, options):
            begun = time.perf_counter()
            try:
                async with _live_view(site, platform, options):
                    await host(
                        platform.services,
                        stop=stop,
                        drain_deadline_s=settings.drain_deadline_s,
                        owns_process=True,
                    )
            finally:
                report(platform, time.perf_counter() - begun)


def transaction_door(
    taker: Callable[[], ReceiptTaker | None], settings: Settings
) -> TransactionDoor:
    """Return the way in for receipts, closed unless the settings have a token."""
    token = settings.transactions_token
    return TransactionDoor(taker, token.get_secret_value() if token else None)


@asynccontextmanager
async def _web(
    site: Site, platform: Platform, settings: Settings, options: RunOptions
) -> AsyncIterator[None]:
    if not options.serves_web:
        yield
        return
    process = bare_health_app(platform.services, platform.recorder.recent.watch)
    site_file = None
    if watcher := platform.watcher:
        site_file = SiteFile(watcher.file.path, site, settings, watcher)
    current = site_file.current if site_file else lambda: site
    store, clock = platform.store, platform.clock
    async with AsyncExitStack() as stack:
        opening = open_live(site, settings, sources_of(platform), platform.watcher)
        bare = backend_of(
            site,
            store,
            clock,
            alerts=platform.alert_desk,
            receipts=platform.receipts,
            site_file=site_file,
            live=await stack.enter_async_context(opening),
        )
        people = with_people(bare, current, store, settings, clock, platform.gallery)
        serving = serving_web(
            await stack.enter_async_context(people),
            process,
            settings,
            clock,
            port=settings.embedded_port,
            secret_folder=options.secret_folder,
            visitor=options.visitor,
        )
        served = await stack.enter_async_context(serving)
        note(f"serving on {served.url} (also /health/ready and /metrics)")
        yield


@asynccontextmanager
async def _live_view(site: Site, platform: Platform, options: RunOptions) -> AsyncIterator[None]:
    if not options.live_view:
        yield
        return
    async with followed(platform.store, site, platform.clock) as today:
        with Live(LiveView(site, platform, today), console=output(), transient=True):
            yield
