"""A real browser on a real server: Debian's Chromium, driven by Playwright.

Every message of the console, every script error and every violation of the content security policy
is kept in ``Visit.faults``; axe-core judges what people with impairments can use.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.conftest import unavailable

ROOT = Path(__file__).parents[2]
AXE = ROOT / "scripts" / "web-assets" / "node_modules" / "axe-core" / "axe.min.js"
DESKTOP, PHONE = {"width": 1366, "height": 768}, {"width": 390, "height": 844}
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
_VIOLATIONS = """
window.cspViolations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.cspViolations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}`));
"""
_TOO_WIDE = """() => {
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= wide) return [];
  const all = [...document.body.querySelectorAll("*")];
  const over = all.filter((one) => one.getBoundingClientRect().right > wide + 0.5);
  return over.slice(0, 5).map((one) => one.outerHTML.slice(0, 120));
}"""
_PATIENCE_MS = 60_000
"""Patience on a loaded machine, not a limit that is tested."""
_SERIOUS = frozenset({"serious", "critical"})


def chromium() -> str:
    """Return the path of Chromium; skips the test, or fails it where it is required."""
    path = shutil.which("chromium")
    if path is None:
        reason = "Chromium is not installed: scripts/install-servers --all"
        unavailable(reason, "TRINETRA_TEST_REQUIRE_SERVERS")
    return path


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Run Chromium within the block."""
    path = chromium()
    expect.set_options(timeout=_PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page of a browser, and what went wrong on it."""

    page: Page
    faults: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Fail if the console, a script or the content security policy complained."""
        self.faults += self.page.evaluate("window.cspViolations ?? []")
        if self.faults:
            raise AssertionError("\n".join(self.faults))

    def accessibility(self, *rules: str) -> list[str]:
        """Return axe-core's serious and critical findings, of all rules or of some."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.read_text(encoding="utf-8"))
        chosen = {"runOnly": list(rules)} if rules else {}
        found = self.page.evaluate(
            "(chosen) => axe.run(document, {resultTypes: ['violations'], ...chosen})", chosen
        )
        return [
            f"{one['id']} ({one['impact']}): {node['target']} {node['failureSummary']}"
            for one in found["violations"]
            if one["impact"] in _SERIOUS
            for node in one["nodes"]
        ]

    def too_wide(self) -> list[str]:
        """Return the elements that make the page scroll to the side; none if it does not."""
        return self.page.evaluate(_TOO_WIDE)


@contextmanager
def visiting(
    browser: Browser,
    base_url: str,
    *,
    size: dict[str, int] = DESKTOP,
    dark: bool = False,
) -> Iterator[Visit]:
    """Open a page of its own, without cookies."""
    context = browser.new_context(
        base_url=base_url,
        viewport=size,
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
    )
    context.set_default_timeout(_PATIENCE_MS)
    context.add_init_script(_VIOLATIONS)
    visit = Visit(context.new_page())
    visit.page.on("pageerror", lambda error: visit.faults.append(f"script: {error}"))
    visit.page.on(
        "console",
        lambda told: visit.faults.append(told.text) if told.type in {"error", "warning"} else None,
    )
    try:
        yield visit
    finally:
        context.close()
