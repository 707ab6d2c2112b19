"""``/v1/setup``: the site file read, checked, compared and changed; cameras searched and tried."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response

from trinetra.client.models import (
    CameraSearch,
    CameraTry,
    DistanceEstimate,
    FloorFit,
    FloorPoints,
    LineEvidence,
    OnvifLogin,
    OnvifStreams,
    Page,
    SetupFile,
    SetupProposal,
    SetupReview,
    TriedCamera,
)
from trinetra.redaction import mask_urls
from trinetra.web.access import Permission, Principal, requires
from trinetra.web.desks import CameraDesk, SetupDesk
from trinetra.web.problems import ConditionMissing, Invalid, NotFound
from trinetra.web.security.security import Security
from trinetra.web.state import Backend, backend

router = APIRouter(prefix="/setup", tags=["setup"])
_READ = requires(Permission.READ_SETUP)
_WRITE = requires(Permission.READ_SETUP, Permission.WRITE_SETUP)
_SEE = requires(Permission.WRITE_SETUP, Permission.READ_FACES)
_MAX_BYTES = 1 << 20
_ETAG = re.compile(r'"([0-9a-f]{8,64})"')
_JPEG: Mapping[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
}
Hours = Annotated[float, Query(gt=0, le=72, allow_inf_nan=False)]


@router.get("")
async def read_setup(
    caller: Annotated[Principal, _READ],
    platform: Annotated[Backend, backend],
    response: Response,
) -> SetupFile:
    """Return the site file, as text and as what it says, with all findings."""
    found = await _desk(platform).read()
    response.headers["ETag"] = f'"{found.etag}"'
    if not caller.may(Permission.WRITE_SETUP):
        return found.model_copy(update={"text": mask_urls(found.text)})
    return found


@router.post("/check", max_body_size=_MAX_BYTES)
async def check_setup(
    _caller: Annotated[Principal, _WRITE],
    platform: Annotated[Backend, backend],
    proposal: SetupProposal,
) -> SetupReview:
    """Return what a changed site file would do: findings, difference, takeover."""
    return await _desk(platform).check(proposal)


@router.put("", max_body_size=_MAX_BYTES)
async def change_setup(
    request: Request,
    caller: Annotated[Principal, _WRITE],
    platform: Annotated[Backend, backend],
    proposal: SetupProposal,
    response: Response,
    if_match: Annotated[str | None, Header(max_length=200)] = None,
) -> SetupFile:
    """Change the site file, if it is still the one named by If-Match; comments stay.

    412 if it is another one by now: ``diff`` shows what was changed meanwhile. 422 with
    ``findings`` if the changed file would be invalid. The former file is kept beside it.
    """
    found = await _desk(platform).write(proposal, _etag(if_match))
    access: Security | None = request.app.state.security
    if access is not None:
        await access.trail.record(caller.name, "change_setup", found.etag)
    response.headers["ETag"] = f'"{found.etag}"'
    return found


@router.post("/evidence", max_body_size=_MAX_BYTES)
async def read_evidence(
    _caller: Annotated[Principal, _WRITE],
    platform: Annotated[Backend, backend],
    proposal: SetupProposal,
    hours: Hours = 2.0,
) -> Page[LineEvidence]:
    """Return what the tracks of the last hours tell about the lines of a changed site file."""
    return Page[LineEvidence](items=tuple(await _desk(platform).evidence(proposal, hours)))


@router.get("/distances")
async def estimate_distances(
    _caller: Annotated[Principal, _READ],
    platform: Annotated[Backend, backend],
    hours: Hours = 24.0,
) -> Page[DistanceEstimate]:
    """Return distances between cameras as the walks of recognized people suggest them."""
    return Page[DistanceEstimate](items=tuple(await _desk(platform).distances(hours)))


@router.post("/floor")
async def fit_floor(
    _caller: Annotated[Principal, _WRITE],
    platform: Annotated[Backend, backend],
    points: FloorPoints,
) -> FloorFit:
    """Return how well floor points agree, and the floor's grid as it lies in the picture."""
    return _desk(platform).floor(points)


@router.post("/search")
async def search_cameras(
    _caller: Annotated[Principal, _WRITE], platform: Annotated[Backend, backend]
) -> CameraSearch:
    """Search for cameras in the networks of the server (ONVIF WS-Discovery)."""
    return await _cameras(platform).search()


@router.post("/streams")
async def read_streams(
    _caller: Annotated[Principal, _WRITE],
    platform: Annotated[Backend, backend],
    login: OnvifLogin,
) -> OnvifStreams:
    """Return the streams that a camera offers (ONVIF)."""
    return await _cameras(platform).streams(login)


@router.post("/tries")
async def try_camera(
    _caller: Annotated[Principal, _WRITE],
    platform: Annotated[Backend, backend],
    camera: CameraTry,
) -> TriedCamera:
    """Connect to a camera, measure its stream and take a picture."""
    return await _cameras(platform).attempt(camera)


@router.get("/tries/{name}/picture", response_class=Response, responses=dict(_JPEG))
async def read_tried_picture(
    _caller: Annotated[Principal, _SEE], platform: Annotated[Backend, backend], name: str
) -> Response:
    """Return the picture of a camera that was tried in the last minutes, as JPEG."""
    picture = _cameras(platform).tried_picture(name)
    if picture is None:
        raise NotFound("this picture is no longer kept: try the camera again")
    return Response(picture, media_type="image/jpeg")


@router.get("/cameras/{camera}/picture", response_class=Response, responses=dict(_JPEG))
async def read_picture(
    caller: Annotated[Principal, _SEE], platform: Annotated[Backend, backend], camera: str
) -> Response:
    """Return a picture of a camera for drawing on, as JPEG.

    Heads are unrecognizable in it, unless the camera has to be connected to for it: while it does
    not run, or if it does not look for people. That is entered in the log of operations.
    """
    shown = await _cameras(platform).picture(camera)
    if shown.shows_faces and platform.live:
        await platform.live.note_faces_shown(caller, camera)
    return Response(shown.jpeg, media_type="image/jpeg")


def _etag(if_match: str | None) -> str:
    if if_match is None:
        raise ConditionMissing(
            "send the ETag of the file that you read as If-Match: so no one's change is overwritten"
        )
    found = _ETAG.fullmatch(if_match.strip())
    if found is None:
        raise Invalid('If-Match must be one ETag of GET /v1/setup in quotes, like "0a1b2c3d"')
    return found[1]


def _desk(platform: Backend) -> SetupDesk:
    if platform.setup is None:
        raise NotFound("this process was started without a site file that it could change")
    return platform.setup


def _cameras(platform: Backend) -> CameraDesk:
    if platform.camera_desk is None:
        raise NotFound("this process cannot connect to cameras")
    return platform.camera_desk
