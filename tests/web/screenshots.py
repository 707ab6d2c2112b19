"""Writes the pictures of the documentation: python -m tests.web.screenshots [FOLDER].

They show the real product: a simulated shop for the figures, and the sample clips for live
pictures, in which people are unrecognizable. Take them on a machine that has nothing else to do:
pictures whose boxes come late are shown coarse as a whole.
"""

import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect
from tests.faults.product import read_until, started
from tests.web.browser import DESKTOP, PHONE, ROOT, open_browser, visiting

from trinetra.settings import load_settings

IMAGES = ROOT / "docs" / "images"
_MOST_BYTES = 150_000
"""A larger picture is reduced to 256 colors."""
_PARTIAL = re.compile("Nothing is on record|watched as little")
_SOME = re.compile("[1-9]")
_STEADY = re.compile(r"^([4-9]|\d\d)")
"""Pictures a second; just after the start they are fewer."""
_PATIENCE_MS = 600_000
"""A whole simulated day must be on record, also on a loaded machine."""


def save(page: Page, path: Path) -> None:
    """Write what the page shows as a small PNG."""
    picture = Image.open(BytesIO(page.screenshot()))
    picture.convert("RGB").save(path, optimize=True)
    if path.stat().st_size > _MOST_BYTES:
        flat = picture.convert("RGB").quantize(
            256, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.FLOYDSTEINBERG
        )
        flat.save(path, optimize=True)


@contextmanager
def demo(browser: Browser, folder: Path, *arguments: str) -> Iterator[Page]:
    """Start the demo, and log in by the link that it prints."""
    with started("demo", *arguments, folder=folder, **_environ()) as process:
        assert process.stderr
        told = read_until(process.stderr, "see it in your browser")
        link = re.search(r"(http://\S+?)(/login/link\?key=\S+)", told)
        assert link, told
        with visiting(browser, link[1]) as visit:
            visit.page.goto(link[2])
            visit.page.get_by_role("button", name="Continue").click()
            visit.page.wait_for_url(f"{link[1]}/")
            yield visit.page


def of_the_simulated_shop(page: Page, folder: Path) -> None:
    """Write the pages that show figures."""
    page.goto("/")
    page.get_by_text("against the week before").nth(6).wait_for(timeout=_PATIENCE_MS)
    page.reload()
    page.locator("[data-chart] canvas").wait_for()
    save(page, folder / "today.png")
    page.set_viewport_size(PHONE)
    save(page, folder / "today-phone.png")
    page.set_viewport_size(DESKTOP)
    page.goto("/reports")
    while page.get_by_text(_PARTIAL).count():  # the day before comes last
        page.reload()
    page.locator("[data-chart] canvas").wait_for()
    save(page, folder / "reports.png")
    page.goto("/floor")
    expect(page.locator("[data-people]").filter(has_text=_SOME).first).to_be_attached()
    save(page, folder / "floor.png")


def of_the_clips(page: Page, folder: Path) -> None:
    """Write the pages that show pictures."""
    page.goto("/live")
    for camera in page.locator(".camera").all():
        camera.locator(".has-picture").wait_for(timeout=_PATIENCE_MS)
        camera.locator('[data-state]:has-text("Live")').wait_for(timeout=_PATIENCE_MS)
    for camera in ("entrance", "welcome", "till"):
        people = page.locator(f'[data-camera="{camera}"] [data-fact="people"]')
        expect(people).to_have_text(_SOME, timeout=_PATIENCE_MS)
        rate = page.locator(f'[data-camera="{camera}"] [data-fact="fps"]')
        expect(rate).to_have_text(_STEADY, timeout=_PATIENCE_MS)
    save(page, folder / "live.png")
    page.goto("/setup/cameras/entrance")
    page.locator(".count-arrow").wait_for()
    expect(page.get_by_alt_text("Picture of the camera")).to_have_js_property(
        "complete", value=True
    )


def _environ() -> dict[str, str]:
    settings = load_settings()
    return {
        "TRINETRA_SAMPLES_DIR": str(settings.samples_dir or ""),
        "TRINETRA_MODELS_DIR": str(settings.models_dir or ""),
        "TRINETRA_CACHE_DIR": str(settings.cache_dir),
    }


def main(folder: Path) -> None:
    """Write all pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for arguments, take in ((("--twin",), of_the_simulated_shop), ((), of_the_clips)):
        with (
            tempfile.TemporaryDirectory() as fresh,
            open_browser() as browser,
            demo(browser, Path(fresh), *arguments) as page,
        ):
            take(page, folder)
    for path in sorted(folder.glob("*.png")):
        sys.stdout.write(f"{path} {path.stat().st_size // 1024} KB\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
