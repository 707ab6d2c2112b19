"""Serves the web of a process, with its health, metrics and events, on one port."""

import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from trinetra.commands.console import logs_messages, note
from trinetra.errors import ConfigurationError
from trinetra.hosting import AllowedHosts, App, Encryption, serving
from trinetra.ports import Clock
from trinetra.settings import Settings
from trinetra.web.access import Role
from trinetra.web.app import WebOptions, web_app
from trinetra.web.backend import Backend
from trinetra.web.security.security import Security
from trinetra.wiring.web_access import address_of, open_security


@dataclass(frozen=True, slots=True)
class Served:
    """A web that answers: its address for browsers, and its users."""

    url: str
    security: Security


@asynccontextmanager
async def serving_web(
    backend: Backend,
    process_app: App,
    settings: Settings,
    clock: Clock,
    *,
    port: int,
    secret_folder: Path | None = None,
    visitor: str | None = None,
) -> AsyncIterator[Served]:
    """Serve the web within the context, and ``process_app`` for what a process tells of itself.

    Prints a link for the first user, or, with ``visitor``, one for an administrator of this name.
    Raises ConfigurationError, StorageFull or StoreUnavailable.
    """
    site_id = backend.site().id
    async with open_security(site_id, settings, clock, secret_folder=secret_folder) as security:
        app = app_of(backend, process_app, settings, security)
        async with serving_app(app, settings, port=port) as url:
            if visitor:
                await tell_visitor(security, url, visitor)
            else:
                await tell_first_user(security, url)
            yield Served(url, security)


def app_of(backend: Backend, process_app: App, settings: Settings, security: Security) -> App:
    """Return the web as the settings say."""
    metrics_token = settings.metrics_token
    options = WebOptions(
        is_tls=settings.tls_cert_file is not None or (settings.web_url or "").startswith("https"),
        process=process_app,
        metrics_token=metrics_token.get_secret_value() if metrics_token else None,
    )
    return web_app(backend, security, options)


@asynccontextmanager
async def serving_app(app: App, settings: Settings, *, port: int) -> AsyncIterator[str]:
    """Serve an app to its hosts within the context; yields its address for browsers.

    Raises ConfigurationError.
    """
    warn_if_open(settings)
    async with serving(
        AllowedHosts(app, settings.host_names),
        address=settings.host,
        port=port,
        encryption=encryption_of(settings),
        trusted_proxies=proxies(settings),
    ) as bound:
        yield address_of(settings, bound)


def encryption_of(settings: Settings) -> Encryption | None:
    """Return the certificate of the web; None without TLS."""
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        return None
    return Encryption(settings.tls_cert_file, settings.tls_key_file)


def proxies(settings: Settings) -> list[str]:
    """Return the trusted proxies. Raises ConfigurationError for what is no address or network."""
    given = [part.strip() for part in settings.trusted_proxies.split(",") if part.strip()]
    for each in given:
        try:
            ipaddress.ip_network(each, strict=False)
        except ValueError as cause:
            raise ConfigurationError(
                f"TRINETRA_TRUSTED_PROXIES: {each!r} is neither an address nor a network like "
                "10.0.0.0/24"
            ) from cause
    return given


def warn_if_open(settings: Settings) -> None:
    """Warn if passwords and pictures would cross the network unencrypted."""
    if settings.tls_cert_file or _is_loopback(settings.host):
        return
    if settings.trusted_proxies and (settings.web_url or "").startswith("https"):
        return
    note(
        f"warning: the web listens on {settings.host} without TLS, so that others on the network "
        "can read passwords and pictures; set TRINETRA_TLS_CERT_FILE and TRINETRA_TLS_KEY_FILE, "
        "or put a reverse proxy in front (TRINETRA_TRUSTED_PROXIES, TRINETRA_WEB_URL)"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def tell_first_user(security: Security, url: str) -> None:
    """Print the link by which the first user is created, but not into a log that is collected."""
    if logs_messages():
        if not await security.accounts.users():
            note("the web has no user yet: `trinetra users add NAME --role admin` creates one")
    elif secret := await security.accounts.first_user_link():
        note(f"no user yet: open {url}/welcome?key={secret} within a day, once")


async def tell_visitor(security: Security, url: str, name: str) -> None:
    """Add an administrator without password, and print a link that logs in once."""
    user = await security.accounts.add(name, Role.ADMIN, None)
    secret = await security.accounts.login_link(user)
    note(f"see it in your browser: {url}/login/link?key={secret} (works once, for 15 minutes)")
