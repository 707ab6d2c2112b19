"""Every page in a real browser: no error, no violation of the policy, usable by everybody.

Each page is opened once, and judged in light and dark, on a desktop and on a phone.
"""

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Browser
from tests.flows.api_shop import FRIDAY, NOON
from tests.web.browser import DESKTOP, PHONE, ROOT, Visit, open_browser, visiting
from tests.web.people_shop import ANN, BOB
from tests.web.whole_shop import Served, days_since_recorded, whole_shop

DAY = FRIDAY + days_since_recorded()
_NOON = NOON + days_since_recorded()
_SPAN = f"start={_NOON:%Y-%m-%dT00:00:00Z}&end={_NOON + timedelta(days=1):%Y-%m-%dT00:00:00Z}"
PAGES = (
    "/",
    f"/?day={DAY}",
    "/live",
    "/live/door",
    "/floor",
    "/floor?place=till",
    "/queues",
    "/journeys",
    "/journeys?last=2026-01-01&days=1",
    "/customers",
    "/customers?text=nobody",
    f"/customers/{ANN}",
    f"/customers/{BOB}",
    f"/vehicles?day={DAY}",
    "/vehicles?day=2025-11-20",
    "/alerts",
    "/alerts?state=closed",
    f"/reports?first={DAY}",
    f"/reports?period=week&first={DAY}&metric=recognized_visits",
    f"/reports/why?metric=traffic_in&{_SPAN}",
    "/health",
    "/audit",
    "/audit/door/main",
    "/setup",
    "/setup/cameras/door",
    "/users",
    "/account",
    "/trail",
)
PUBLIC = ("/login", "/login/link?key=spent")
SNAPSHOT = ROOT / "src/trinetra/web/static/icon.svg"
"""Stands for the first picture of a camera that no test feeds."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with whole_shop(tmp_path_factory.mktemp("shop")) as served:
        yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def visit(browser: Browser, shop: Served) -> Iterator[Visit]:
    """Log in once: pages after the first one come with a warm cache, as for users."""
    with visiting(browser, shop.address) as visit:
        page = visit.page
        page.route("**/setup/snapshot/**", lambda route: route.fulfill(path=SNAPSHOT))
        page.goto(shop.login)
        page.get_by_role("button", name="Continue").click()
        page.wait_for_url(f"{shop.address}/")
        visit.check()
        yield visit


def judge(visit: Visit, path: str) -> None:
    """Open a page, and fail for whatever is wrong with it."""
    page = visit.page
    visit.faults.clear()
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page.goto(path, wait_until="domcontentloaded")  # live pictures load for ever
    page.locator("h1").wait_for()
    assert visit.accessibility() == []
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    assert visit.accessibility("color-contrast") == []
    for size in (PHONE, DESKTOP):
        page.set_viewport_size(size)
        assert visit.too_wide() == []
    visit.check()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_free_of_errors_and_usable(visit: Visit, path: str) -> None:
    judge(visit, path)


@pytest.mark.parametrize("path", PUBLIC)
def test_a_page_without_login_is_free_of_errors_and_usable(
    browser: Browser, shop: Served, path: str
) -> None:
    with visiting(browser, shop.address) as visit:
        judge(visit, path)


def test_every_page_of_the_navigation_is_judged(visit: Visit) -> None:
    visit.page.goto("/")
    links = visit.page.locator("nav a, .account a").all()
    named = {str(link.get_attribute("href")) for link in links}
    assert len(named) > 10
    assert named <= {re.sub(r"\?.*", "", path) for path in PAGES}


def test_the_checks_of_this_file_notice_faults(browser: Browser, shop: Served) -> None:
    with visiting(browser, shop.address) as visit:
        visit.page.goto("/login")
        visit.page.evaluate(
            """() => {
              document.querySelector("main").insertAdjacentHTML("beforeend",
                '<img src="/x" style="top: 0">');
              document.querySelector("h1").style.color = "#bbbbbb";
              const script = document.createElement("script");
              script.textContent = "1";
              document.body.append(script);
            }"""
        )
        assert any("image-alt" in finding for finding in visit.accessibility())
        assert any("h1" in finding for finding in visit.accessibility("color-contrast"))
        visit.page.evaluate("document.querySelector('h1').style.width = '5000px'")
        assert visit.too_wide()
        with pytest.raises(AssertionError, match="script-src"):
            visit.check()
