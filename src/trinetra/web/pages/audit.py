"""Audit: lines counted by hand, live or from a recording, and how the platform compares."""

from collections.abc import Awaitable
from typing import Annotated

from fastapi import APIRouter, Form, Response

from trinetra.client.models import AuditRecording, LineInfo
from trinetra.client.problems import ApiProblem
from trinetra.web.access import Permission, requires
from trinetra.web.locales import message
from trinetra.web.pages.page import Page, page
from trinetra.web.problems import NotFound

router = APIRouter(dependencies=[requires(Permission.COUNT_LINES)])
RIGHT, LEFT = message("to the right in the picture"), message("to the left in the picture")
DOWN, UP = message("down in the picture"), message("up in the picture")
_NOT_HERE = 404
Name = Annotated[str, Form(max_length=64)]


@router.get("/audit")
async def audit(page: Annotated[Page, page]) -> Response:
    """Return the lines, those first that should be counted, and the counts by hand so far."""
    lines = (await page.client.audited_lines()).items
    found = await page.client.audits(limit=50)
    recorded = {recording.camera for recording in await _kept(page) or ()}
    site = await page.client.site()
    return page.render("audit.html", lines=lines, audits=found.items, recorded=recorded, site=site)


@router.get("/audit/{camera_id}/{line_id}")
async def count(page: Annotated[Page, page], camera_id: str, line_id: str) -> Response:
    """Return the page on which a line is counted by hand on live pictures."""
    return await _count(page, camera_id, line_id)


@router.get("/audit/{camera_id}/{line_id}/recordings")
async def recordings(page: Annotated[Page, page], camera_id: str, line_id: str) -> Response:
    """Return the recordings of a camera, which the page fetches again while one goes on."""
    return await _recordings(page, camera_id, line_id)


@router.get("/audit/{camera_id}/{line_id}/recordings/{recording_id}")
async def play(
    page: Annotated[Page, page], camera_id: str, line_id: str, recording_id: str
) -> Response:
    """Return the page on which a line is counted by hand on a recording."""
    found = [one for one in await _of_camera(page, camera_id) or () if one.id == recording_id]
    if not found:
        raise NotFound("this recording is no longer kept: record the camera anew")
    return await _count(page, camera_id, line_id, found[0])


@router.post("/audit/recordings/start")
async def start(page: Annotated[Page, page], camera_id: Name, line_id: Name) -> Response:
    """Record a camera; return its recordings."""
    return await _changed(page, camera_id, line_id, page.client.start_recording(camera_id))


@router.post("/audit/recordings/end")
async def end(
    page: Annotated[Page, page], camera_id: Name, line_id: Name, recording_id: Name
) -> Response:
    """End a recording; return those of its camera."""
    return await _changed(page, camera_id, line_id, page.client.end_recording(recording_id))


@router.post("/audit/recordings/delete")
async def delete(
    page: Annotated[Page, page], camera_id: Name, line_id: Name, recording_id: Name
) -> Response:
    """Erase a recording; return those of its camera."""
    return await _changed(page, camera_id, line_id, page.client.delete_recording(recording_id))


async def _count(
    page: Page, camera_id: str, line_id: str, recording: AuditRecording | None = None
) -> Response:
    site = await page.client.site()
    lines = [line for c in site.cameras if c.id == camera_id for line in c.lines]
    line = next((one for one in lines if one.id == line_id), None)
    return page.render(
        "audit_count.html",
        camera_id=camera_id,
        line_id=line_id,
        line=line,
        line_words=page.words.text(_way_in(line)) if line else "",
        recording=recording,
        recordings=None if recording else await _of_camera(page, camera_id),
        problem=None,
        site=site,
    )


async def _changed(page: Page, camera_id: str, line_id: str, change: Awaitable[object]) -> Response:
    """Return the recordings of a camera after a change, with the reason if it was refused."""
    try:
        await change
    except ApiProblem as problem:
        return await _recordings(page, camera_id, line_id, problem)
    return await _recordings(page, camera_id, line_id)


async def _recordings(
    page: Page, camera_id: str, line_id: str, problem: ApiProblem | None = None
) -> Response:
    return page.render(
        "audit_recordings.html",
        camera_id=camera_id,
        line_id=line_id,
        recordings=await _of_camera(page, camera_id) or (),
        problem=problem.detail if problem else None,
        site=await page.client.site(),
    )


async def _of_camera(page: Page, camera_id: str) -> list[AuditRecording] | None:
    """Return the recordings of a camera; None if it cannot be recorded here by the caller."""
    kept = await _kept(page)
    if kept is None:
        return None
    cameras = (await page.client.cameras()).items
    if not any(camera.id == camera_id and camera.has_pictures for camera in cameras):
        return None
    return [recording for recording in kept if recording.camera == camera_id]


async def _kept(page: Page) -> tuple[AuditRecording, ...] | None:
    """Return all recordings; None where there are no pictures, or the caller may not see them."""
    if not (page.caller.may(Permission.COUNT_LINES) and page.caller.may(Permission.READ_LIVE)):
        return None
    try:
        return (await page.client.recordings()).items
    except ApiProblem as problem:
        if problem.status != _NOT_HERE:
            raise
        return None


def _way_in(line: LineInfo) -> str:
    """Return the direction of ``in`` in the picture: to the right of a-b, whose rows go down."""
    right, down = line.a[1] - line.b[1], line.b[0] - line.a[0]
    if abs(right) > abs(down):
        return RIGHT if right > 0 else LEFT
    return DOWN if down > 0 else UP
