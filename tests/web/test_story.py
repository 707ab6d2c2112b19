"""One story of a shop, told to the real product in a real browser: from the first link to a report.

Everything is real: the command, the networks, clips as cameras, photos of faces. Every message of
the console, every script error and every violation of the content security policy fails it.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import IO

import pytest
from playwright.sync_api import Locator, Page, expect
from tests.conftest import unavailable
from tests.faults.product import read_until, started
from tests.flows.test_twin_rtsp import recording
from tests.web.browser import DESKTOP, PHONE, Visit, open_browser, visiting

from trinetra.errors import ConfigurationError
from trinetra.twin.rtsp import Address, RtspServer, find_gi_python

pytestmark = [pytest.mark.clips, pytest.mark.weights, pytest.mark.gstreamer]
PASSWORD = "four random words"
SITE = """\
site: corner
timezone: UTC
cameras:
  - id: till  # six people, one after the other
    role: billing
    source: {{file: "{till}", loop: true}}
    zones:
      - {{id: queue, kind: queue, tills: [t1], polygon: [[0, 0], [1, 0], [1, 1], [0, 1]]}}
      - {{id: desk, kind: till, tills: [t1], polygon: [[0, 0], [0.1, 0], [0.1, 0.1], [0, 0.1]]}}
  - id: welcome  # three people who look into the camera
    role: face
    source: {{file: "{welcome}", loop: true}}
alerts:
  rules:
    queue_length: {{people: 1, for_s: 1.0}}
"""
PATIENCE_MS = 300_000
"""For what the platform does on a loaded machine; no limit is tested."""
PAGES = (
    "/",
    "/live",
    "/floor",
    "/queues",
    "/customers",
    "/alerts",
    "/reports",
    "/health",
    "/setup",
)


@dataclass
class Shop:
    """The running product: its site file, the link that it printed, and its new camera."""

    site: Path
    address: str
    welcome: str
    camera: str
    photos: Path


@pytest.fixture(scope="module")
def shop(
    clips_dir: Path,
    models_dir: Path,
    faces_dir: Path,
    real_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shop]:
    try:
        python = find_gi_python()
    except ConfigurationError as missing:
        unavailable(str(missing))
    folder = tmp_path_factory.mktemp("corner")
    clips = {
        "till": clips_dir / "one-by-one-person-detection.mp4",
        "welcome": clips_dir / "face-demographics-walking-and-pause.mp4",
    }
    site = folder / "site.yaml"
    site.write_text(SITE.format(**clips))
    front = real_dir / "caviar_onestopenter1front" / "OneStopEnter1front.mp4"
    door = recording(folder, front)
    with (
        RtspServer([door], Address(port=0), python=python) as server,
        started("run", site, folder=folder, TRINETRA_MODELS_DIR=str(models_dir)) as process,
    ):
        assert process.stderr
        told = read_until(process.stderr, "no user yet")
        link = re.search(r"open (http://\S+?)(/welcome\?key=\S+)", told)
        assert link, told
        Thread(target=_drain, args=(process.stderr, folder / "log.txt"), daemon=True).start()
        yield Shop(site, link[1], link[2], server.url("door"), faces_dir)


def _drain(stream: IO[str], path: Path) -> None:
    """Keep what the product says: it would wait for a reader of a full pipe."""
    with path.open("w") as file:
        for line in stream:
            file.write(line)
            file.flush()


@pytest.fixture(scope="module")
def visit(shop: Shop) -> Iterator[Visit]:
    with open_browser() as browser, visiting(browser, shop.address) as opened:
        opened.page.on("dialog", lambda dialog: dialog.accept())
        yield opened


def test_a_shop_is_set_up_watched_and_reported(visit: Visit, shop: Shop, tmp_path: Path) -> None:
    page = visit.page
    the_first_user_is_created_by_the_printed_link(visit, shop)
    the_user_logs_out_and_in(page)
    a_camera_is_added_from_its_address(page, shop)
    a_line_is_drawn_by_keyboard(page)
    a_zone_is_drawn_by_keyboard(page)
    what_was_drawn_is_written(page, shop)
    the_new_camera_is_live(page)
    people_are_counted_in_the_new_zone(page)
    a_count_by_hand_tells_how_far_to_trust_the_line(page)
    a_figure_tells_why(page)
    two_people_are_enrolled_from_photos(page, shop)
    a_person_is_found_by_a_photo(page, shop)
    two_records_are_merged_and_separated_again(page)
    a_person_is_forgotten_with_a_receipt(page, tmp_path)
    an_alert_is_acknowledged(page)
    people_are_counted_at_the_new_line(page)
    a_report_is_downloaded(page, tmp_path)
    visit.check()
    the_main_pages_fit_a_phone(visit)


def the_first_user_is_created_by_the_printed_link(visit: Visit, shop: Shop) -> None:
    page = visit.page
    page.goto(shop.welcome)
    assert visit.accessibility() == []
    page.get_by_label("Name").fill("asha")
    page.get_by_label("Password, at least 12 characters").fill(PASSWORD)
    page.get_by_label("The same password again").fill(PASSWORD)
    page.get_by_role("button", name="Create user and log in").click()
    expect(page.get_by_role("heading", name="Today")).to_be_visible()


def the_user_logs_out_and_in(page: Page) -> None:
    page.get_by_role("button", name="Log out").click()
    page.get_by_label("Name").fill("asha")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Today")).to_be_visible()


def a_camera_is_added_from_its_address(page: Page, shop: Shop) -> None:
    page.get_by_role("link", name="Setup").click()
    form = page.locator("#new-camera")
    form.get_by_label("Address").fill(shop.camera)
    form.get_by_role("button", name="Try it").click()
    expect(page.locator("#tried .notice.good")).to_contain_text("pictures a second")
    expect(page.get_by_alt_text("Picture of the camera that was tried")).to_be_visible()
    form.get_by_label("Name of the camera").fill("door")
    form.get_by_label("Purpose").select_option("entrance")
    form.get_by_role("button", name="Review and add").click()
    expect(page.locator("#outcome .diff ins").first).to_be_visible()
    page.get_by_role("button", name="Write the file").click()
    expect(page.locator("#outcome")).to_contain_text("Written")
    assert "id: door" in shop.site.read_text()


def press(page: Page, key: str, times: int) -> None:
    for _ in range(times):
        page.keyboard.press(key)


def a_line_is_drawn_by_keyboard(page: Page) -> None:
    """It is the line at which people were counted by eye, two of them inward."""
    page.goto("/setup/cameras/door")
    page.get_by_role("button", name="Add a line").press("Enter")
    start, end = (page.locator(f'[data-point="line 0 {which}"]') for which in "ab")
    start.focus()
    press(page, "Shift+ArrowRight", 37)
    press(page, "Shift+ArrowUp", 4)
    expect(start).to_have_attribute("aria-label", "line-1, a: 94 %, 52 %")
    end.focus()
    press(page, "Shift+ArrowLeft", 12)
    press(page, "Shift+ArrowUp", 4)
    expect(end).to_have_attribute("aria-label", "line-1, b: 56 %, 52 %")


def a_zone_is_drawn_by_keyboard(page: Page) -> None:
    page.get_by_role("button", name="Zones").press("Enter")
    page.get_by_role("button", name="Add a zone").press("Enter")
    corner = page.locator('[data-point="zone 0 0"]')
    corner.focus()
    press(page, "Shift+ArrowLeft", 5)
    expect(corner).to_have_attribute("aria-label", re.compile("25 %, 35 %"))
    page.get_by_label("Kind").select_option("table")


def what_was_drawn_is_written(page: Page, shop: Shop) -> None:
    page.get_by_role("button", name="Review").press("Enter")
    expect(page.locator(".diff ins").first).to_be_visible()
    page.get_by_role("button", name="Write the file").press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("Written")
    text = shop.site.read_text()
    assert "line-1" in text
    assert "zone-1" in text
    assert "# six people, one after the other" in text


def the_new_camera_is_live(page: Page) -> None:
    page.goto("/live")
    door = page.locator('[data-camera="door"]')
    expect(door.locator("[data-state]")).to_have_text("Live", timeout=PATIENCE_MS)
    expect(door.locator(".has-picture")).to_be_visible(timeout=PATIENCE_MS)


def people_are_counted_in_the_new_zone(page: Page) -> None:
    """The page fetches its figures itself: it is not loaded again."""
    page.get_by_role("link", name="Today").click()
    figure = tile(page, "Typical stay at a shelf or table").locator(".figure")
    expect(figure).to_have_text(re.compile(r"\d:\d\d"), timeout=PATIENCE_MS)


def people_are_counted_at_the_new_line(page: Page) -> None:
    """By now the clip, in which two people come in over it, was seen from its start to its end."""
    page.get_by_role("link", name="Today").click()
    figure = tile(page, "People who came in").locator(".figure")
    expect(figure).to_have_text(re.compile("^[1-9]"), timeout=PATIENCE_MS)
    inside = tile(page, "People in the shop now").locator(".figure")
    expect(inside).to_have_text(re.compile("^[0-9]"), timeout=PATIENCE_MS)
    expect(tile(page, "Open alerts").locator(".figure")).to_have_text(re.compile("^[0-9]"))


def tile(page: Page, label: str) -> Locator:
    return page.locator("article.tile").filter(has=page.get_by_role("heading", name=label))


def a_count_by_hand_tells_how_far_to_trust_the_line(page: Page) -> None:
    page.get_by_role("link", name="Audit").click()
    row = page.get_by_role("row").filter(has_text="door/line-1").first
    row.get_by_role("link", name="Count").first.click()
    expect(page.get_by_alt_text("Live picture of the camera")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Start counting").click()
    for key in ("i", "i", "o", "u"):
        page.keyboard.press(key)
    expect(page.locator(".count")).to_contain_text("in: 2   out: 0")
    page.get_by_role("button", name="Finish").click()
    result = page.locator('[data-part="result"]')
    expect(result).to_contain_text("2 by hand", timeout=PATIENCE_MS)
    page.get_by_role("link", name="Audit").first.click()
    expect(page.locator("table").last).to_contain_text("door/line-1")


def a_figure_tells_why(page: Page) -> None:
    page.goto(f"/reports?first={datetime.now(UTC):%Y-%m-%d}")
    row = page.get_by_role("row").filter(has=page.get_by_text("Stays", exact=True)).first
    row.get_by_role("link", name="Why?").click()
    expect(page.get_by_text("adds up to this figure")).to_be_visible()
    page.locator("#counted ~ .scroll a").first.click()
    expect(page.get_by_role("heading", name="Because")).to_be_visible()


def two_people_are_enrolled_from_photos(page: Page, shop: Shop) -> None:
    for name, person in (("Al", "Al_Gore"), ("Bill", "Bill_Gates")):
        page.goto("/customers")
        form = page.locator("form").filter(has=page.get_by_role("button", name="Enroll"))
        form.get_by_label("Name").fill(name)
        form.get_by_label("photos").set_input_files(photos(shop, person)[:2])
        form.get_by_label("The person has agreed to this").check()
        form.get_by_role("button", name="Enroll").click()
        expect(page.locator("#enrolled")).to_contain_text(
            f"{name} is enrolled", timeout=PATIENCE_MS
        )


def photos(shop: Shop, person: str) -> list[Path]:
    return sorted((shop.photos / person).glob("*.jpg"))


def a_person_is_found_by_a_photo(page: Page, shop: Shop) -> None:
    page.get_by_label("Photo", exact=True).set_input_files(photos(shop, "Al_Gore")[3])
    page.get_by_role("button", name="Search").click()
    best = page.locator("#found tbody tr").first
    expect(best).to_contain_text("Al", timeout=PATIENCE_MS)
    expect(best).to_contain_text("Probably")


def two_records_are_merged_and_separated_again(page: Page) -> None:
    page.goto("/customers")
    page.get_by_role("link", name="Bill", exact=True).click()
    other = page.url.rpartition("/")[2]
    page.goto("/customers")
    page.get_by_role("link", name="Al", exact=True).click()
    page.get_by_label("Id of the same person").fill(other)
    page.get_by_role("button", name="Merge into that person").click()
    page.wait_for_url(f"**/{other}")
    page.get_by_role("button", name="Undo the merge").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Al")


def a_person_is_forgotten_with_a_receipt(page: Page, folder: Path) -> None:
    page.get_by_role("button", name="Forget this person").click()
    erasure = page.locator("#erasure")
    expect(erasure).to_contain_text("The person is erased", timeout=PATIENCE_MS)
    with page.expect_download() as receipt:
        erasure.get_by_role("link", name="Download the signed receipt").click()
    receipt.value.save_as(folder / "receipt.json")
    assert '"signature"' in (folder / "receipt.json").read_text()
    page.goto("/customers")
    expect(page.get_by_role("link", name="Bill", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="Al", exact=True)).to_have_count(0)


def an_alert_is_acknowledged(page: Page) -> None:
    page.get_by_role("link", name="Alerts").click()
    alert = page.locator("li.alert").filter(has_text="till").first
    expect(alert).to_be_visible(timeout=PATIENCE_MS)
    name = str(alert.get_attribute("id"))
    alert.get_by_role("button", name="I take care of it").click()
    expect(page.locator(f"#{name}")).not_to_contain_text("I take care of it")
    page.get_by_role("link", name="All", exact=True).click()  # the queue may be over by now
    expect(page.locator(f"#{name}")).to_contain_text("asha")


def a_report_is_downloaded(page: Page, folder: Path) -> None:
    page.goto(f"/reports?first={datetime.now(UTC):%Y-%m-%d}")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    download.value.save_as(folder / "report.csv")
    with (folder / "report.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for metric in ("stays", "footfall_in"):
        assert max(float(row["value"] or 0) for row in rows if row["metric"] == metric) >= 1


def the_main_pages_fit_a_phone(visit: Visit) -> None:
    page = visit.page
    page.set_viewport_size(PHONE)
    page.goto("/")
    page.locator("#menu summary").click()
    page.get_by_role("link", name="Live").click()
    for path in PAGES:
        page.goto(path, wait_until="domcontentloaded")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert visit.too_wide() == []
    visit.check()
    page.set_viewport_size(DESKTOP)
