"""A line is counted on a recording in a real browser: played, stepped back, saved, erased."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.web.browser import DESKTOP, PHONE, open_browser, visiting
from tests.web.live_shop import LiveStage, open_live_shop

from trinetra.client.models import NewRecording
from trinetra.hosting import serving

SECONDS = 12
"""Length of the recording, which has a picture for each."""


class Server:
    """The shop, open in a thread of its own, with a recording of the door."""

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
        async with (
            open_live_shop(self.folder) as self.shop,
            serving(self.shop.app, address="127.0.0.1", port=0) as port,
        ):
            self.address = f"http://127.0.0.1:{port}"
            self._started.set()
            await self._stop.wait()

    def recorded(self) -> str:
        """Return the id of a recording that is over."""
        return asyncio.run_coroutine_threadsafe(self._record(), self.loop).result()

    async def _record(self) -> str:
        desk = self.shop.live.recordings
        recording = await desk.start(NewRecording(camera="door"), "Asha")
        await self.shop.film(recording.id, SECONDS + 1)
        return (await desk.end(recording.id)).id

    def films(self) -> None:
        """Let the door see people while it is recorded."""
        [recording] = self.shop.live.recordings.recordings()
        filming = self.shop.film(recording.id, 2)
        asyncio.run_coroutine_threadsafe(filming, self.loop).result()

    def erase(self, recording: str) -> None:
        desk = self.shop.live.recordings
        asyncio.run_coroutine_threadsafe(desk.erase(recording), self.loop).result()

    @property
    def files(self) -> list[Path]:
        return [path for path in (self.folder / "tmp").rglob("*") if path.is_file()]

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self.loop.close()


@contextmanager
def opened(folder: Path) -> Iterator[Server]:
    server = Server(folder)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with opened(tmp_path) as at:
        yield at


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as running:
        yield running


def play(page: Page, recording: str) -> None:
    page.goto(f"/audit/door/sill/recordings/{recording}")
    expect(page.locator('[data-part="play"]')).to_be_enabled()


def test_a_recording_is_made_counted_and_erased(browser: Browser, server: Server) -> None:
    with visiting(browser, server.address) as visit:
        page = visit.page
        page.goto("/audit/door/sill")
        page.get_by_role("button", name="Record ten minutes").click()
        expect(page.locator("#recordings .tag")).to_have_text("recording")
        server.films()
        page.get_by_text("2 pictures").wait_for()
        page.get_by_role("button", name="End now").click()
        page.get_by_role("link", name="Play back and count").click()
        page.get_by_role("button", name="Count from the beginning").click()
        expect(page.get_by_role("button", name="Count from the beginning")).to_be_hidden()
        page.keyboard.press("i")
        page.keyboard.press("o")
        expect(page.locator(".count")).to_have_text("in: 1 out: 1")
        page.get_by_role("button", name="Finish").click()
        expect(page.locator('[data-part="result"]')).to_contain_text(
            "in: 1 by hand, 0 by the platform"
        )
        assert server.files == []
        page.goto("/audit")
        expect(page.locator("table").last).to_contain_text("door/sill")
        visit.check()


def test_taps_bear_the_time_of_the_shown_picture_at_any_speed(
    browser: Browser, server: Server
) -> None:
    recording = server.recorded()
    # Asked before the count: a recording that was counted is erased.
    times = [one.isoformat() for one in server.shop.live.recordings.index(recording).times]
    with visiting(browser, server.address) as visit:
        page = visit.page
        play(page, recording)
        page.locator('[data-speed="4"]').click()
        page.get_by_role("button", name="Count from the beginning").click()
        page.get_by_text("The recording is over").wait_for()
        expect(page.locator('[data-part="time"]')).to_have_text(f"0:{SECONDS}")
        page.keyboard.press("i")
        with page.expect_request("**/v1/audits") as sent:
            page.get_by_role("button", name="Finish").click()
        body = sent.value.post_data_json
        told = [body["start"], body["taps"][0]["at"]]
        assert [one.replace("Z", "+00:00") for one in told] == [times[0], times[-1]]
        expect(page.locator('[data-part="result"]')).to_contain_text("1 by hand")
        visit.check()


def test_a_step_back_takes_back_what_was_tapped_in_these_seconds(
    browser: Browser, server: Server
) -> None:
    recording = server.recorded()
    with visiting(browser, server.address) as visit:
        page, time = visit.page, visit.page.locator('[data-part="time"]')
        play(page, recording)
        page.get_by_role("button", name="Count from the beginning").click()
        page.keyboard.press("i")
        page.locator('[data-speed="4"]').click()
        page.get_by_text("The recording is over").wait_for()
        page.keyboard.press("o")
        expect(page.locator(".count")).to_have_text("in: 1 out: 1")
        page.keyboard.press("b")
        expect(time).to_have_text(f"0:0{SECONDS - 5}")
        expect(page.locator(".count")).to_have_text("in: 1 out: 0")
        page.keyboard.press("b")
        page.keyboard.press("b")
        expect(time).to_have_text("0:00")
        expect(page.locator(".count")).to_have_text("in: 0 out: 0")
        visit.check()


def test_time_stands_still_while_it_is_paused(browser: Browser, server: Server) -> None:
    recording = server.recorded()
    with visiting(browser, server.address) as visit:
        page, button = visit.page, visit.page.locator('[data-part="play"]')
        page.clock.install()
        play(page, recording)
        progress = page.locator("progress")
        button.click()
        expect(button).to_have_text("Pause")
        page.keyboard.press("p")
        expect(button).to_have_text("Play")
        stopped = progress.evaluate("one => one.value")
        page.clock.run_for(3000)
        assert progress.evaluate("one => one.value") == stopped
        visit.check()


def test_a_recording_that_is_erased_meanwhile_is_told(browser: Browser, server: Server) -> None:
    recording = server.recorded()
    with visiting(browser, server.address) as visit:
        page = visit.page
        page.route("**/frames/*", lambda route: route.abort())
        play(page, recording)
        server.erase(recording)
        page.unroute("**/frames/*")
        page.get_by_text("no longer kept").wait_for()
        assert page.goto(f"/audit/door/sill/recordings/{recording}").status == 404


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[str]]]:
    with opened(tmp_path_factory.mktemp("shop")) as server:
        recording = server.recorded()
        pages = ["/audit", "/audit/door/sill", f"/audit/door/sill/recordings/{recording}"]
        yield server.address, pages


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("number", range(3))
def test_the_pages_are_free_of_errors_and_accessible(
    browser: Browser, filled: tuple[str, list[str]], number: int, *, dark: bool
) -> None:
    address, pages = filled
    with visiting(browser, address, dark=dark) as visit:
        visit.page.goto(pages[number])
        visit.page.wait_for_function("document.querySelector('h1') && window.htmx")
        assert visit.accessibility() == []
        visit.check()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("number", range(3))
def test_the_pages_need_no_scrolling_to_the_side(
    browser: Browser, filled: tuple[str, list[str]], number: int, size: dict[str, int]
) -> None:
    address, pages = filled
    with visiting(browser, address, size=size) as visit:
        visit.page.goto(pages[number])
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= size["width"]
