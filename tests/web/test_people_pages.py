"""Pages of customers, vehicles and reports: in a browser, with script in names and plates."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
from playwright.sync_api import Browser
from tests.flows.api_shop import FRIDAY
from tests.web.browser import open_browser, visiting
from tests.web.people_shop import ANN, BOB, EVE, SCRIPT, PeopleShop, open_people_shop

from trinetra.hosting import serving
from trinetra.web.access import Role

DAY = f"{FRIDAY}"
WHY = "metric=traffic_in&start=2026-11-27T00:00:00Z&end=2026-11-28T00:00:00Z"
PAGES = (
    "/customers",
    "/customers?text=nobody",
    f"/customers/{ANN}",
    f"/customers/{BOB}",
    f"/vehicles?day={DAY}",
    "/vehicles?day=2026-11-20",
    f"/reports?first={DAY}",
    "/reports?period=week&first=2026-11-27&metric=recognized_visits",
    f"/reports/why?{WHY}",
)


async def populate(shop: PeopleShop) -> None:
    await shop.know(ANN, f"Ann {SCRIPT}", seed=1)
    await shop.know(EVE, '=HYPERLINK("x") \' onload=alert(1)', seed=2)
    await shop.propose(BOB, ANN, 0.83)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[PeopleShop]:
    async with open_people_shop(tmp_path) as opened:
        await populate(opened)
        yield opened


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.ADMIN])
@pytest.mark.parametrize("path", PAGES)
async def test_script_in_names_and_plates_stays_text(
    shop: PeopleShop, path: str, role: Role
) -> None:
    reply = await shop.http(role).get(path)
    if role is Role.VIEWER and path.startswith("/customers"):
        assert reply.status_code == 403
        return
    assert reply.status_code == 200, reply.text
    assert "<script>alert" not in reply.text
    assert not re.search(r"""["']\s*onload=""", reply.text)
    knows = role is not Role.VIEWER
    if path.startswith("/vehicles?day=2026-11-27"):
        assert ("B &lt;script&gt;" in reply.text) is knows
    if path == "/customers":
        assert "Ann &lt;script&gt;" in reply.text


async def test_an_erased_person_leaves_a_page_with_the_receipt(shop: PeopleShop) -> None:
    http = shop.http(Role.PRIVACY_OFFICER)
    done = await http.post(f"/customers/{ANN}/forget")
    assert "is erased" in done.text
    page = await http.get(f"/customers/{ANN}")
    assert "No data of the person is kept" in page.text
    assert "Ann &lt;" not in page.text
    receipt = await http.get(f"/customers/{ANN}/receipt")
    assert receipt.headers["content-disposition"].startswith("attachment")
    assert receipt.json()["signature"]


async def test_what_went_wrong_is_told_on_the_page(shop: PeopleShop) -> None:
    http = shop.http(Role.OPERATOR)
    found = await http.post("/customers/search", files={"photo": ("a.jpg", b"no photo")})
    assert "use a JPEG, PNG or WebP" in found.text
    changed = await http.post(f"/customers/{ANN}/update", data={"kind": "watchlist"})
    assert "watchlist needs a purpose" in changed.text
    merged = await http.post(f"/customers/{BOB}/merge", data={"into": ANN})
    assert merged.headers["hx-redirect"] == f"/customers/{ANN}"
    again = await http.post(f"/customers/{BOB}/merge", data={"into": ANN})
    assert 'role="alert"' in again.text
    undone = await http.post(f"/customers/{BOB}/split")
    assert undone.headers["hx-redirect"] == f"/customers/{BOB}"


async def test_a_customer_who_behaves_like_staff_is_accepted_as_staff(shop: PeopleShop) -> None:
    http = shop.http(Role.OPERATOR)
    refused = await http.post(f"/customers/{BOB}/staff")
    assert "staff needs consent" in refused.text
    done = await http.post(f"/customers/{BOB}/staff", data={"purpose": "works agreement"})
    assert done.headers["hx-redirect"] == "/customers"
    assert (await shop.client().customer(BOB)).customer.kind == "staff"


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the shop on a free port, from a thread of its own."""
    stop, started, address = asyncio.Event(), Event(), []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with open_people_shop(folder) as shop:
            await populate(shop)
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


def test_a_merge_is_made_and_undone_after_a_question(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page, asked = visit.page, []
        page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))
        page.goto("/customers")
        page.get_by_role("button", name="One person").click()
        page.wait_for_url(f"**/customers/{ANN}")
        page.get_by_role("button", name="Undo the merge").click()
        page.wait_for_url(f"**/customers/{BOB}")
        assert ["Merge these two" in asked[0], "Undo this merge" in asked[1]] == [True, True]
        visit.check()
