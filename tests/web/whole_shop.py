"""A shop in which every part of the web has something to show, served to a browser."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import msgspec
from tests.flows.api_shop import FRIDAY, RECORDED
from tests.servers.clips import write_clip
from tests.web import live_shop
from tests.web.live_shop import PERSON, STATUS, LiveStage
from tests.web.people_shop import ANN, BOB, BOBS_VISIT, MODEL, PeopleShop, promotion, vehicle
from tests.web.shop import SignedIn
from tests.web.test_alerts_api import notice
from tests.web.test_live_insights import journey, occupancy, presence, served

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.adapters.memory.frame_buffer import MemoryFrameBuffer, MemoryFrameStreams
from trinetra.adapters.memory.gallery import MemoryGallery
from trinetra.adapters.sql.alert_store import SqlAlertStore
from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.alerts.desk import AlertDesk
from trinetra.events.alerts import BoardChange, BoardQuery
from trinetra.hosting import bare_health_app, serving
from trinetra.insights.metrics.catalog import ROLLUP_RULES
from trinetra.settings import Settings
from trinetra.site import load_site
from trinetra.values import CameraId
from trinetra.web.access import Role
from trinetra.web.app import WebOptions, web_app
from trinetra.web.security.security import Security
from trinetra.wiring.figures import prepare_figures
from trinetra.wiring.health import OwnServices
from trinetra.wiring.live import LiveSources, open_live
from trinetra.wiring.stores import open_context_store
from trinetra.wiring.web import SiteFile, backend_of, with_people
from trinetra.wiring.web_access import open_security

SITE = (
    live_shop.SITE.replace("file: door.mp4", "file: clip.mp4, loop: true")
    .replace("file: till.mp4", "file: clip.mp4, loop: true")
    .replace("file: parking.mp4", "file: clip.mp4, loop: true")
    .replace("id: sill", "id: main")
)
SCRIPT = "<script>alert('x')</script>"


def _shifted(event: Any, by: timedelta) -> Any:
    """Return an event with all of its instants moved."""
    moved = {name: getattr(event, name) for name in event.__struct_fields__}
    times = {name: at + by for name, at in moved.items() if isinstance(at, datetime)}
    return msgspec.structs.replace(event, **times)


def days_since_recorded() -> timedelta:
    """Return how far the day on record is moved to become yesterday."""
    return timedelta(days=(SystemClock().now().date() - FRIDAY).days - 1)


@asynccontextmanager
async def open_whole_shop(folder: Path) -> AsyncIterator[tuple[Any, Security]]:
    """Open the shop in a folder; yields its application and its users."""
    write_clip(folder / "clip.mp4", frames=10, fps=10, size=(320, 180))
    path, clock = folder / "site.yaml", SystemClock()
    path.write_text(SITE)
    site, settings = load_site(path), Settings(data_dir=folder)
    url, log = f"sqlite:///{folder / 'insights.db'}", MemoryEventLog(clock)
    buffer = MemoryFrameBuffer(MemoryFrameStreams(clock, 8), "workers", "w1")
    gallery = MemoryGallery(MODEL.dimension)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(SqlInsightStore.open(url, ROLLUP_RULES))
        alerts = await stack.enter_async_context(SqlAlertStore.open(url))
        await prepare_figures(store, site, settings, clock)
        teller = OwnServices((), lambda: dict.fromkeys(map(CameraId, ("door", "till")), STATUS))
        sources = LiveSources(log, buffer, store, teller, clock)
        live = await stack.enter_async_context(open_live(site, settings, sources))
        desk = AlertDesk(alerts, clock)
        file = SiteFile(path, site, settings)
        bare = backend_of(site, store, clock, alerts=desk, site_file=file, live=live)
        opening = with_people(bare, lambda: site, store, settings, clock, gallery)
        backend = await stack.enter_async_context(opening)
        security = await stack.enter_async_context(open_security(site.site, settings, clock))
        app = web_app(backend, security, WebOptions(process=bare_health_app([])))
        stage = LiveStage(app, SignedIn(Role.ADMIN), log, buffer, store, live, settings)
        await live_shop.until(live.feed.tail.ready)
        await _record(stage, alerts)
        people = PeopleShop(settings, store, app, app, stage.signed_in, clock, gallery)  # type: ignore[arg-type]
        await people.know(ANN, f"Ann {SCRIPT}", seed=1)
        await people.propose(BOB, ANN, 0.83)
        yield app, security


async def _record(stage: LiveStage, alerts: SqlAlertStore) -> None:
    now, by = SystemClock().now(), days_since_recorded()
    hour = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    recorded = [*RECORDED, BOBS_VISIT, *(vehicle(f"car{n}", n) for n in range(3))]
    await stage.store.record([_shifted(event, by) for event in recorded])
    await stage.store.record(
        [
            *(served(f"q{n}", 3 * n, 60.0 + 30 * (n % 3)) for n in range(40)),
            *(journey(n, f"c{n}", "mat", "shelf") for n in range(4)),
            presence("door", "floor", hour),
            presence("till", "picture", hour),
            occupancy("o1", "line", 2),
        ]
    )
    async with open_context_store(stage.settings) as context:
        await context.record([_shifted(promotion(), by)])
    told = (notice("open", raised_at=now), notice("over", raised_at=now, state="closed"))
    await alerts.change(BoardQuery(), lambda _: BoardChange(notices=told))
    for camera, people in (("till", []), ("door", [PERSON])):
        await stage.shown(camera, people=people)


@dataclass(frozen=True, slots=True)
class Served:
    """Where the shop is served, and the path of a link that logs in once."""

    address: str
    login: str


@contextmanager
def whole_shop(folder: Path) -> Iterator[Served]:
    """Serve the shop on a free port, from a thread of its own."""
    stop, started = asyncio.Event(), Event()
    served_at: list[Served] = []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with open_whole_shop(folder) as (app, security):
            user = await security.accounts.add("Asha", Role.ADMIN, None)
            login = await security.accounts.login_link(user)
            async with serving(app, address="127.0.0.1", port=0) as at:
                served_at.append(Served(f"http://127.0.0.1:{at}", f"/login/link?key={login}"))
                started.set()
                await stop.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        finally:
            started.set()

    thread = Thread(target=run)
    thread.start()
    started.wait()
    assert served_at, "the shop did not open: the thread's exception says why"
    try:
        yield served_at[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
