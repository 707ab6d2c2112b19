"""The live pages in a real browser, as pictures and people come."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

import pytest
from playwright.sync_api import Browser
from tests.web.browser import open_browser, visiting
from tests.web.live_shop import PERSON, LiveStage, open_live_shop
from tests.web.test_live_insights import journey, occupancy, presence, served

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.disk.audit import AuditLog
from trinetra.events.schema import TrackPosition
from trinetra.hosting import serving
from trinetra.values import TrackId


class Server:
    """The shop, open in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loop = asyncio.new_event_loop()
        self.address = ""
        self.shop: LiveStage | None = None
        self._stop, self._started = asyncio.Event(), Event()
        self._thread = Thread(target=lambda: self.loop.run_until_complete(self._serve()))
        self._thread.start()
        self._started.wait()

    async def _serve(self) -> None:
        async with open_live_shop(self.folder) as self.shop:
            await _fill(self.shop)
            async with serving(self.shop.app, address="127.0.0.1", port=0) as port:
                self.address = f"http://127.0.0.1:{port}"
                self._started.set()
                await self._stop.wait()

    def people(self, count: int) -> None:
        """Let the door see some people."""
        asyncio.run_coroutine_threadsafe(_see(self.shop, count), self.loop).result()

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self.loop.close()


async def _see(shop: LiveStage, count: int) -> None:
    frame = await shop.shown(people=[PERSON] * count)
    tracks = [TrackPosition(TrackId(f"trk_{n}"), "person", PERSON) for n in range(count)]
    await shop.track(frame, *tracks)


async def _fill(shop: LiveStage) -> None:
    now = SystemClock().now()
    hour = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    await shop.store.record(
        [
            *(served(f"v{n}", 3 * n, 60.0 + 30 * (n % 3)) for n in range(40)),
            *(journey(n, f"c{n}", "mat", "shelf") for n in range(4)),
            presence("door", "floor", hour),
            presence("till", "picture", hour),
            occupancy("o1", "line", 2),
        ]
    )
    await shop.shown("till")
    await _see(shop, 1)


@contextmanager
def opened(folder: Path) -> Iterator[Server]:
    server = Server(folder)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with opened(tmp_path_factory.mktemp("shop")) as at:
        yield at


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as running:
        yield running


def test_the_wall_shows_pictures_and_tells_people_as_they_come(
    browser: Browser, server: Server
) -> None:
    with visiting(browser, server.address) as visit:
        server.people(1)
        visit.page.goto("/live")
        door = visit.page.locator('[data-camera="door"]')
        door.locator(".has-picture").wait_for()
        server.people(3)
        door.locator('[data-fact="people"]').get_by_text("3", exact=True).wait_for()
        assert door.locator("[data-state]").inner_text() == "Live"
        visit.check()


def test_faces_are_shown_on_request_and_that_is_said(browser: Browser, server: Server) -> None:
    server.people(1)
    with visiting(browser, server.address) as visit:
        visit.page.goto("/live")
        assert not visit.page.locator("#faces-notice").is_visible()
        with visit.page.expect_response(lambda reply: "faces=clear" in reply.url) as clear:
            visit.page.get_by_role("button", name="Show faces").press("Enter")
        assert clear.value.ok
        assert visit.page.locator("#faces-notice").is_visible()
    lines = AuditLog(server.folder / "audit").lines()
    assert {line.action for line in lines} == {"view_faces"}


def test_a_camera_is_watched_as_it_moves(browser: Browser, server: Server) -> None:
    with visiting(browser, server.address) as visit:
        visit.page.goto("/live/door", wait_until="commit")
        server.people(2)
        server.people(1)
        image = visit.page.locator("img[data-live]")
        while not image.evaluate("image => image.naturalWidth"):
            server.people(1)
        assert "/v1/cameras/door/live?boxes=true&faces=blurred" in image.get_attribute("src")


def test_ways_and_queues_are_drawn_with_their_figures(browser: Browser, server: Server) -> None:
    with visiting(browser, server.address) as visit:
        visit.page.goto("/journeys")
        visit.page.locator("[data-sankey] canvas").wait_for()
        visit.page.get_by_text("As a table").click()
        visit.page.get_by_role("cell", name="door/mat", exact=True).first.wait_for()
        visit.page.goto("/queues")
        visit.page.get_by_role("heading", name="line").wait_for()
        visit.page.get_by_text("15 min").wait_for()
        visit.check()


def test_an_unknown_camera_has_no_page(browser: Browser, server: Server) -> None:
    with visiting(browser, server.address) as visit:
        reply = visit.page.goto("/live/nowhere")
        assert reply.status == 404
