"""The web on the shop of tests/flows/api_shop.py, for callers of a role of the test's choice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import httpx
from fastapi import Request
from tests.flows.api_shop import NOON, RECORDED, SITE

from trinetra.adapters.sql.alert_store import SqlAlertStore
from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.alerts.desk import AlertDesk
from trinetra.insights.metrics.catalog import ROLLUP_RULES
from trinetra.settings import load_settings
from trinetra.site import site_from_text
from trinetra.web.access import PERMISSIONS, Principal, Role
from trinetra.web.app import inner_app
from trinetra.web.middleware import Envelope
from trinetra.wiring.figures import prepare_figures
from trinetra.wiring.web import backend_of

SHOP = site_from_text(SITE)


class StoppedClock:
    """Six hours after the shop's noon, for ever."""

    def __init__(self) -> None:
        self.at: datetime = NOON + timedelta(hours=6)

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class SignedIn:
    """Takes every request for one of a caller with a role, None: of nobody."""

    def __init__(self, role: Role | None) -> None:
        self.role = role

    async def authenticate(self, request: Request) -> Principal | None:
        if self.role is None:
            return None
        return Principal("Asha", self.role, PERMISSIONS[self.role], "u1", "csrf")


class Stage:
    """An open shop: its stores and its app."""

    def __init__(self, alerts: SqlAlertStore, app: object, signed_in: SignedIn) -> None:
        self.alerts, self.app, self.signed_in = alerts, app, signed_in

    def client(self, role: Role | None = Role.ADMIN) -> httpx.AsyncClient:
        self.signed_in.role = role
        transport = httpx.ASGITransport(app=self.app)
        return httpx.AsyncClient(transport=transport, base_url="http://shop")


@asynccontextmanager
async def open_shop(folder: Path) -> AsyncIterator[Stage]:
    url, clock = f"sqlite:///{folder / 'insights.db'}", StoppedClock()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(SqlInsightStore.open(url, ROLLUP_RULES))
        alerts = await stack.enter_async_context(SqlAlertStore.open(url))
        await prepare_figures(store, SHOP, load_settings(), clock)
        await store.record(RECORDED)
        signed_in = SignedIn(Role.ADMIN)
        app = Envelope(
            inner_app(backend_of(SHOP, store, clock, alerts=AlertDesk(alerts, clock)), signed_in)
        )
        yield Stage(alerts, app, signed_in)
