"""Every page in a real browser: no error, no violation of the policy, usable by everybody."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
from playwright.sync_api import Browser
from tests.web.browser import DESKTOP, PHONE, open_browser, visiting
from tests.web.shop import open_shop

from trinetra.hosting import serving

PAGES = ("/", "/?day=2026-11-26", "/alerts", "/alerts?state=closed")


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the shop on a free port, from a thread of its own."""
    stop, started, address = asyncio.Event(), Event(), []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with open_shop(folder) as shop, serving(shop.app, address="127.0.0.1", port=0) as at:
            address.append(f"http://127.0.0.1:{at}")
            started.set()
            await stop.wait()

    thread = Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    started.wait()
    try:
        yield address[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("shop")) as at:
        yield at


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_free_of_errors_and_accessible(
    browser: Browser, address: str, path: str, *, dark: bool
) -> None:
    with visiting(browser, address, dark=dark) as visit:
        visit.page.goto(path)
        visit.page.wait_for_load_state("networkidle")
        visit.check()
        assert visit.accessibility() == []


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("path", PAGES)
def test_a_page_needs_no_scrolling_to_the_side(
    browser: Browser, address: str, path: str, size: dict[str, int]
) -> None:
    with visiting(browser, address, size=size) as visit:
        visit.page.goto(path)
        wide = visit.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= size["width"]


def test_the_checks_of_this_file_notice_faults(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        visit.page.goto("/alerts")
        visit.page.evaluate(
            """() => {
              document.body.insertAdjacentHTML("beforeend", '<img src="/x" style="top: 0">');
              const script = document.createElement("script");
              script.textContent = "1";
              document.body.append(script);
            }"""
        )
        assert any("image-alt" in finding for finding in visit.accessibility())
        with pytest.raises(AssertionError, match="script-src"):
            visit.check()
