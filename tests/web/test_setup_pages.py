"""Setup and Audit in a real browser: a line is drawn by keyboard, reviewed and written."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from tests.servers.clips import write_clip
from tests.web.browser import open_browser, visiting
from tests.web.setup_shop import made_shop

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.hosting import serving
from trinetra.insights.metrics.catalog import ROLLUP_RULES
from trinetra.site import load_site
from trinetra.wiring.audit_desk import LineAuditDesk

SITE = """\
# The shop at the corner
site: corner
timezone: Europe/Berlin
cameras:
  - id: door
    role: entrance
    source: {file: clip.mp4, loop: true}
    lines:
      - {id: main, a: [0.1, 0.5], b: [0.9, 0.5]}  # chalked on the floor
  - id: till
    role: tracking
    source: {file: clip.mp4, loop: true}
"""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the setup of a shop on a free port, from a thread of its own."""
    stop, started, address = asyncio.Event(), Event(), []
    loop = asyncio.new_event_loop()
    write_clip(folder / "clip.mp4", frames=10, fps=10, size=(320, 180))
    shop = made_shop(folder, SITE)

    async def serve() -> None:
        url = f"sqlite:///{folder / 'insights.db'}"
        async with SqlInsightStore.open(url, ROLLUP_RULES) as store:
            desk = LineAuditDesk(lambda: load_site(shop.path), store, SystemClock())
            state = shop.inner.state
            state.backend = replace(state.backend, audits=desk)
            async with serving(shop.app, address="127.0.0.1", port=0) as at:
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


def draw(page: Page, key: str, times: int = 1) -> None:
    for _ in range(times):
        page.keyboard.press(key)


def test_a_line_is_drawn_by_keyboard_and_written_with_its_comment(
    browser: Browser, tmp_path: Path
) -> None:
    with served(tmp_path) as address, visiting(browser, address) as visit:
        page = visit.page
        page.goto("/setup/cameras/door")
        point = page.locator('[data-point="line 0 a"]')
        expect(point).to_have_attribute("aria-label", "main, a: 10 %, 50 %")
        point.focus()
        draw(page, "Shift+ArrowRight", 5)
        expect(page.locator('[data-point="line 0 a"]')).to_have_attribute(
            "aria-label", "main, a: 20 %, 50 %"
        )
        page.get_by_role("button", name="Review").click()
        expect(page.locator(".diff ins").last).to_contain_text("a: [0.2, 0.5]")
        page.get_by_role("button", name="Write the file").click()
        expect(page.get_by_role("status").first).to_contain_text("Written")
        assert (
            "{id: main, a: [0.2, 0.5], b: [0.9, 0.5]}  # chalked"
            in (tmp_path / "site.yaml").read_text()
        )
        visit.check()


def test_a_line_is_drawn_by_mouse(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        page.goto("/setup/cameras/door")
        start, end = (middle_of(page.locator(f'[data-point="line 0 {which}"]')) for which in "ab")
        page.mouse.move(*start)
        page.mouse.down()
        page.mouse.move((start[0] + end[0]) / 2, start[1], steps=5)
        page.mouse.up()
        page.mouse.move(*end, steps=3)  # a mouse that is let go moves nothing
        moved = page.locator('[data-point="line 0 a"]')
        expect(moved).to_have_attribute("aria-label", "main, a: 50 %, 50 %")
        page.get_by_role("button", name="Review").click()
        expect(page.locator(".diff ins").last).to_contain_text("b: [0.9, 0.5]")
        visit.check()


def middle_of(place: Locator) -> tuple[float, float]:
    box = place.bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_zone_that_crosses_itself_is_told_at_once(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        page.goto("/setup/cameras/till")
        page.get_by_role("button", name="Zones").click()
        page.get_by_role("button", name="Add a zone").click()
        page.locator('[data-point="zone 0 0"]').focus()
        draw(page, "Shift+ArrowRight", 25)
        expect(page.locator(".finding.bad")).to_contain_text("cross or touch")
        draw(page, "Shift+ArrowLeft", 25)
        expect(page.locator(".finding.bad")).to_have_count(0)


def test_swapping_a_line_turns_its_arrow(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        page.goto("/setup/cameras/door")
        before = page.locator(".count-arrow").get_attribute("d")
        page.get_by_role("button", name="Swap in and out").click()
        expect(page.locator(".count-arrow")).not_to_have_attribute("d", str(before))
        page.get_by_role("button", name="Review").click()
        expect(page.locator(".diff ins").last).to_contain_text("a: [0.9, 0.5], b: [0.1, 0.5]")


def test_an_edit_by_hand_meanwhile_is_shown_and_the_drawing_kept(
    browser: Browser, tmp_path: Path
) -> None:
    with served(tmp_path) as address, visiting(browser, address) as visit:
        page, path = visit.page, tmp_path / "site.yaml"
        page.goto("/setup/cameras/door")
        page.locator('[data-point="line 0 a"]').focus()
        draw(page, "Shift+ArrowRight")
        page.get_by_role("button", name="Review").click()
        expect(page.locator(".diff ins").last).to_contain_text("0.12")
        path.write_text(path.read_text() + "# Ravi was here\n")
        page.get_by_role("button", name="Write the file").click()
        expect(page.locator(".diff ins").last).to_contain_text("# Ravi was here")
        page.get_by_role("button", name="Review").click()
        expect(page.locator(".diff ins").last).to_contain_text("0.12")
        page.get_by_role("button", name="Write the file").click()
        expect(page.get_by_role("status").first).to_contain_text("Written")
        assert "# Ravi was here" in path.read_text()
        assert "a: [0.12, 0.5]" in path.read_text()


def test_a_camera_is_added_after_a_review(browser: Browser, tmp_path: Path) -> None:
    with served(tmp_path) as address, visiting(browser, address) as visit:
        page = visit.page
        page.goto("/setup")
        form = page.locator("#new-camera")
        form.get_by_label("Address").fill("rtsp://192.0.2.9/stream1")
        form.get_by_label("Name of the camera").fill("yard")
        form.get_by_role("button", name="Review and add").click()
        expect(page.locator("#outcome .diff ins").last).to_contain_text("192.0.2.9")
        page.get_by_role("button", name="Write the file").click()
        expect(page.locator("#outcome")).to_contain_text("Written")
        assert load_site(tmp_path / "site.yaml").cameras[-1].id == "yard"
        visit.check()


def test_taps_become_a_count_by_hand(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        page.goto("/audit/door/main")
        page.get_by_role("button", name="Start counting").click()
        for key in ("i", "i", "o", "u", "o"):
            page.keyboard.press(key)
        expect(page.locator(".count")).to_contain_text("in: 2   out: 1")
        page.get_by_role("button", name="Finish").click()
        result = page.locator('[data-part="result"]')
        expect(result).to_contain_text("2 by hand, 0 by the platform", timeout=60_000)
        page.goto("/audit")
        expect(page.locator("table").last).to_contain_text("door/main")
