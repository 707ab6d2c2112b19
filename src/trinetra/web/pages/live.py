"""Live: the wall of cameras with boxes, faces unrecognizable unless asked for; one camera large."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from trinetra.client.models import CameraState
from trinetra.web.access import Permission, requires
from trinetra.web.locales import message
from trinetra.web.pages.page import Page, page
from trinetra.web.problems import NotFound

router = APIRouter(dependencies=[requires(Permission.READ_LIVE)])
STATES = {
    "streaming": message("Live"),
    "connecting": message("Connecting"),
    "stalled": message("No pictures"),
    "backoff": message("Lost, trying again"),
    "disabled": message("Cannot be read"),
    "ended": message("Ended"),
    "unknown": message("Not known"),
}
TONES = {"streaming": "good", "stalled": "warn", "backoff": "bad", "disabled": "bad"}


@router.get("/live")
async def live(page: Annotated[Page, page]) -> Response:
    """Return the wall of all cameras."""
    cameras = (await page.client.cameras()).items
    return page.render(
        "live.html",
        cameras=cameras,
        has_pictures=any(c.has_pictures for c in cameras),
        **_words(page),
    )


@router.get("/live/{camera_id}")
async def live_camera(
    page: Annotated[Page, page], camera_id: Annotated[str, Path(max_length=64)]
) -> Response:
    """Return one camera, as it moves."""
    found: list[CameraState] = [
        camera for camera in (await page.client.cameras()).items if camera.id == camera_id
    ]
    if not found:
        raise NotFound(f"the site has no camera {camera_id}")
    return page.render("live_camera.html", camera=found[0], cameras=found, **_words(page))


def _words(page: Page) -> dict[str, Any]:
    return {
        "states": {state: page.words.text(label) for state, label in STATES.items()},
        "tones": TONES,
        "may_see_faces": page.caller.may(Permission.READ_FACES),
    }
