"""Health: whether every part of the platform works, how far behind it is, and what it runs."""

from typing import Annotated, Any

from fastapi import APIRouter, Response

from trinetra.web.access import Permission, requires
from trinetra.web.locales import message
from trinetra.web.pages.live import STATES, TONES
from trinetra.web.pages.page import Page, page
from trinetra.web.pages.shared_parts import render_shared

router = APIRouter(dependencies=[requires(Permission.READ_HEALTH)])
STAGES = {
    "stream-ingestor": message("Reads the cameras"),
    "inference-worker": message("Finds people and vehicles"),
    "identity-resolver": message("Follows and recognizes people"),
    "insight-engine": message("Makes figures"),
    "alert-service": message("Raises and sends alerts"),
    "site-watcher": message("Takes changes of the site file over"),
    "digital-twin": message("Simulates the cameras"),
    "simulated-history": message("Simulates the days before"),
    "recorder": message("Records events"),
    "web-tail": message("Feeds the live pages"),
}
LATENCIES = {
    "detection": message("From the camera to the boxes"),
    "identity": message("From the camera to the recognized person"),
    "gallery": message("One search for a face"),
}
TASKS = {
    "detect": message("Finds people and vehicles"),
    "face_find": message("Finds faces"),
    "face_embed": message("Compares faces"),
    "body_embed": message("Compares clothes and build"),
    "plate_find": message("Finds license plates"),
    "plate_read": message("Reads license plates"),
}
LOSSES = {
    "buffer_full": message("not looked at in time"),
    "buffer_unavailable": message("nowhere to keep them"),
    "late": message("came too late"),
    "stale": message("too old"),
    "undecodable": message("damaged"),
    "too_small": message("too small"),
    "too_large": message("too large"),
    "unknown_camera": message("of an unknown camera"),
}
_DARK = frozenset({"connecting", "stalled", "backoff", "disabled"})
_LATE_S = 10.0


@router.get("/health")
async def health(page: Annotated[Page, page]) -> Response:
    """Return the page of the platform's health."""
    return page.render("health.html", **await _context(page))


@router.get("/health/parts")
async def health_parts(page: Annotated[Page, page]) -> Response:
    """Return the parts alone, which the page fetches again while it is open."""
    return await render_shared(page, "health_parts.html", lambda: _context(page))


async def _context(page: Page) -> dict[str, Any]:
    site, report = await page.client.site(), await page.client.health()
    may_watch = page.caller.may(Permission.READ_LIVE)
    cameras = (await page.client.cameras()).items if may_watch else ()
    return {
        "site": site,
        "report": report,
        "cameras": cameras,
        "dark": [camera.id for camera in cameras if camera.state in _DARK],
        "late": [camera.id for camera in cameras if (camera.delay_s or 0.0) > _LATE_S],
        "stages": STAGES,
        "latencies": LATENCIES,
        "tasks": TASKS,
        "losses": LOSSES,
        "states": STATES,
        "tones": TONES,
    }
