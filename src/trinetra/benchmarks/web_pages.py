"""Time of each page's calls of the API, over a year of a store of 20 cameras: ``run(...)``.

The year is that of ``benchmarks/insights.py``, filled by another process, so that this one has in
its memory what a web process has. Pages are asked as an administrator would, in this process: what
is timed is the answer of the API, and the whole page, without network and browser. The clock is
that of the year and stands still; no camera is on, so pages of the present show that.
"""

import asyncio
import multiprocessing
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from fastapi import FastAPI, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.alerts.desk import AlertDesk
from trinetra.benchmarks.insight_days import LargeStore, StoreSize
from trinetra.benchmarks.insight_year import YearPlan
from trinetra.benchmarks.insights import EndOfYear, year_of
from trinetra.hosting import keep_memory
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.values import Instant
from trinetra.web.access import PERMISSIONS, Principal, Role
from trinetra.web.app import inner_app
from trinetra.wiring.health import OwnServices
from trinetra.wiring.live import LiveSources, open_live
from trinetra.wiring.stores import open_alert_store, open_store
from trinetra.wiring.web import backend_of, with_people

ROUNDS = 40
_BEFORE_CLOSING = timedelta(hours=8)
"""The shop is asked in its afternoon, from which on the year goes on without us."""
_API = "/v1/"
_OK = 200


def pages(now: Instant) -> Mapping[str, str]:
    """Return the pages that read figures, as they are opened at an instant."""
    return {
        "Today": "/",
        "Today, day before": f"/?day={(now - timedelta(days=1)).date()}",
        "Live": "/live",
        "Floor": "/floor",
        "Queues": "/queues",
        "Journeys": "/journeys",
        "Customers": "/customers",
        "Vehicles": "/vehicles",
        "Alerts": "/alerts",
        "Reports, day": "/reports?period=day",
        "Reports, month": "/reports?period=month",
        "Health": "/health",
        "Audit": "/audit",
    }


def run(
    rounds: int = ROUNDS,
    plan: YearPlan | None = None,
    days: int = 2,
    size: StoreSize | None = None,
) -> dict[str, Any]:
    """Return p50 and p95 of each page and of its slowest call, in ms."""
    size = size or StoreSize()
    with tempfile.TemporaryDirectory(prefix="trinetra-web-") as folder:
        url = f"sqlite:///{Path(folder) / 'insights.db'}"
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as elsewhere:
            end = elsewhere.submit(_fill, url, plan or YearPlan(), days, size).result()
        return asyncio.run(_run(Path(folder), url, LargeStore.of(size).site(), end, rounds))


def _fill(url: str, plan: YearPlan, days: int, size: StoreSize) -> Instant:
    """Fill a database with the year; return its end."""
    store = LargeStore.of(size)
    year = year_of(store, store.site(), plan, days)
    asyncio.run(year.fill(url))
    return year.end


async def _run(folder: Path, url: str, site: Site, end: Instant, rounds: int) -> dict[str, Any]:
    now = end - _BEFORE_CLOSING
    settings = Settings(data_dir=folder).with_store(url)
    calls = Calls()
    async with _served(site, settings, now, calls) as client:
        return {
            name: await _measured(client, path, calls, rounds) for name, path in pages(now).items()
        }


@dataclass
class Calls:
    """The calls of the API, with the time that each took, by path."""

    took_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


class TimedCalls:
    """Times the calls of the API, also those that pages make in this process."""

    def __init__(self, app: ASGIApp, calls: Calls) -> None:
        self._app = app
        self._calls = calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        began = time.perf_counter()
        await self._app(scope, receive, send)
        if scope["type"] == "http" and scope["path"].startswith(_API):
            took_ms = (time.perf_counter() - began) * 1000
            self._calls.took_ms[scope["path"]].append(took_ms)


class _Admin:
    """Takes every request for one of an administrator."""

    async def authenticate(self, _request: Request) -> Principal:
        """Return the administrator."""
        return Principal("bench", Role.ADMIN, PERMISSIONS[Role.ADMIN], "bench", "bench")


@asynccontextmanager
async def _served(
    site: Site, settings: Settings, now: Instant, calls: Calls
) -> AsyncIterator[httpx.AsyncClient]:
    clock = EndOfYear(now)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(settings))
        alerts = await stack.enter_async_context(open_alert_store(settings))
        sources = LiveSources(MemoryEventLog(clock), None, store, OwnServices((), dict), clock)
        live = await stack.enter_async_context(open_live(site, settings, sources))
        bare = backend_of(site, store, clock, alerts=AlertDesk(alerts, clock), live=live)
        people = with_people(bare, lambda: site, store, settings, clock)
        app: FastAPI = inner_app(await stack.enter_async_context(people), _Admin())
        app.add_middleware(TimedCalls, calls=calls)
        transport = httpx.ASGITransport(app=app)
        keep_memory()
        client = httpx.AsyncClient(transport=transport, base_url="http://bench", timeout=600)
        yield await stack.enter_async_context(client)


async def _measured(client: httpx.AsyncClient, path: str, calls: Calls, rounds: int) -> str:
    reply = await client.get(path)
    if reply.status_code != _OK:
        return f"not available here: HTTP {reply.status_code}"
    calls.took_ms.clear()
    took_ms = []
    for _ in range(rounds):
        began = time.perf_counter()
        await client.get(path)
        took_ms.append((time.perf_counter() - began) * 1000)
    return f"page {_quantiles(took_ms)}; {_slowest(calls)}; {len(reply.content) // 1000} kB"


def _slowest(calls: Calls) -> str:
    if not calls.took_ms:
        return "no call"
    path, took_ms = max(calls.took_ms.items(), key=lambda item: float(np.quantile(item[1], 0.95)))
    return f"slowest call {path} {_quantiles(took_ms)}"


def _quantiles(took_ms: list[float]) -> str:
    p50, p95 = np.quantile(took_ms, [0.5, 0.95])
    return f"p50 {p50:.0f} ms, p95 {p95:.0f} ms"
