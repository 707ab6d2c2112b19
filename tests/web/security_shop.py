"""The web with its real users, sessions and tokens, on a database and a manual clock."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
from argon2 import PasswordHasher
from starlette.types import ASGIApp
from tests.flows.api_shop import NOON, SITE

from trinetra.adapters.clock import ManualClock
from trinetra.adapters.disk.audit import AuditLog
from trinetra.adapters.sql.account_store import SecurityStores
from trinetra.adapters.sql.alert_store import SqlAlertStore
from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.alerts.desk import AlertDesk
from trinetra.hosting import bare_health_app
from trinetra.insights.metrics.catalog import ROLLUP_RULES
from trinetra.settings import load_settings
from trinetra.site import site_from_text
from trinetra.web.access import Role
from trinetra.web.app import WebOptions, web_app
from trinetra.web.backend import Backend
from trinetra.web.security.accounts import Accounts, AccountStores
from trinetra.web.security.authenticator import AccountAuthenticator, Secrets
from trinetra.web.security.oidc import Provider, SingleSignOn
from trinetra.web.security.passwords import Passwords
from trinetra.web.security.security import Security
from trinetra.web.security.sessions import SESSION, Lifetimes, Sessions
from trinetra.web.security.tokens import Tokens
from trinetra.wiring.figures import prepare_figures
from trinetra.wiring.web import backend_of
from trinetra.wiring.web_access import DiskTrail

SHOP = site_from_text(SITE)
PASSWORD = "four random words"
LOCAL, TILL = b"local-secret", "till-token"
_CSRF = re.compile(r'name="csrf_token" value="([^"]+)"')


class Receipts:
    """Remembers what was sent."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def accept(self, body: bytes) -> Any:
        self.bodies.append(body)
        return type("Reply", (), {"status": 200, "document": {"stored": 1}})


@dataclass
class Shop:
    """An open web: its stores, its clock, its app, and browsers that visit it."""

    folder: Path
    clock: ManualClock
    stores: SecurityStores
    security: Security
    backend: Backend
    receipts: Receipts
    options: WebOptions
    log: AuditLog
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    @cached_property
    def app(self) -> ASGIApp:
        return web_app(self.backend, self.security, self.options)

    def browser(self, address: str = "192.0.2.1", base_url: str = "http://shop") -> "Browser":
        transport = httpx.ASGITransport(app=self.app, client=(address, 5))
        client = httpx.AsyncClient(transport=transport, base_url=base_url)
        self.clients.append(client)
        return Browser(client)

    async def user(self, name: str, role: Role = Role.ADMIN, **more: Any) -> Any:
        return await self.security.accounts.add(name, role, PASSWORD, **more)

    async def logged_in(self, role: Role, name: str | None = None) -> "Browser":
        """Return a browser in which a new user with this role has logged in."""
        name = name or role.value
        await self.user(name, role)
        browser = self.browser()
        answer = await browser.log_in(name)
        assert answer.status_code == 303, answer.text
        return browser


class Browser:
    """A client that keeps cookies and sends what a browser would send of its own."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.http = client

    async def get(self, path: str, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.get(path, headers={"Accept": "text/html"} | named)

    async def post(
        self, path: str, form: dict[str, Any], headers: dict[str, str] | None = None
    ) -> httpx.Response:
        own = {"Accept": "text/html", "Origin": str(self.http.base_url).rstrip("/")}
        return await self.http.post(path, data=form, headers=own | (headers or {}))

    async def log_in(
        self, name: str, password: str = PASSWORD, next_page: str = "/"
    ) -> httpx.Response:
        return await self.post("/login", {"name": name, "password": password, "next": next_page})

    async def csrf(self) -> str:
        """Return the form token of the session."""
        answer = await self.http.get("/v1/session")
        return str(answer.json()["csrf_token"])

    async def json(self, method: str, path: str, body: Any = None, **more: str) -> httpx.Response:
        """Send a change to the API as our own scripts do."""
        headers = {"X-CSRF-Token": await self.csrf()} | more
        return await self.http.request(method, path, json=body, headers=headers)

    @property
    def session_id(self) -> str | None:
        for name in (SESSION, f"__Host-{SESSION}"):
            if value := self.http.cookies.get(name):
                return value
        return None


def csrf_in(page: str) -> str:
    """Return the form token that a page carries."""
    found = _CSRF.search(page)
    assert found, page
    return found.group(1)


@asynccontextmanager
async def open_web(
    folder: Path,
    *,
    provider: Provider | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    **options: Any,
) -> AsyncIterator[Shop]:
    url, clock = f"sqlite:///{folder / 'insights.db'}", ManualClock(NOON)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(SqlInsightStore.open(url, ROLLUP_RULES))
        alerts = await stack.enter_async_context(SqlAlertStore.open(url))
        await prepare_figures(store, SHOP, load_settings(), clock)
        stores = await stack.enter_async_context(SecurityStores.open(url))
        receipts, log = Receipts(), AuditLog(folder / "audit")
        security = _security(stores, clock, log, provider, transport)
        given = {"process": bare_health_app([]), "monotonic": clock.monotonic} | options
        shop = Shop(
            folder,
            clock,
            stores,
            security,
            backend_of(SHOP, store, clock, alerts=AlertDesk(alerts, clock), receipts=receipts),
            receipts,
            WebOptions(**given),
            log,
        )
        yield shop
        for client in shop.clients:
            await client.aclose()


def _security(
    stores: SecurityStores,
    clock: ManualClock,
    log: AuditLog,
    provider: Provider | None,
    transport: httpx.AsyncBaseTransport | None,
) -> Security:
    cheap = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    sessions = Sessions(stores.sessions, clock, Lifetimes())
    tokens = Tokens(stores.tokens, clock)
    of_accounts = AccountStores(stores.accounts, stores.sessions, stores.one_time, stores.failures)
    authenticator = AccountAuthenticator(sessions, tokens, clock, SHOP.site, Secrets(LOCAL, TILL))
    sso = SingleSignOn(provider, stores.one_time, clock, transport) if provider else None
    return Security(
        Accounts(of_accounts, cheap, clock),
        sessions,
        tokens,
        authenticator,
        SHOP.site,
        DiskTrail(log, clock),
        sso,
    )
