"""``/v1/audits/recordings``: short recordings of a camera, to count a line of it calmly."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from trinetra.client.models import AuditRecording, NewRecording, Page, RecordingIndex
from trinetra.web.access import Permission, Principal, requires
from trinetra.web.desks import RecordingDesk
from trinetra.web.problems import NotFound
from trinetra.web.state import Backend, backend
from trinetra.web.v1.cameras import live_of

router = APIRouter(prefix="/audits/recordings", tags=["audits"])
_COUNT = requires(Permission.COUNT_LINES)
_SEE = requires(Permission.COUNT_LINES, Permission.READ_LIVE)
RecordingPath = Annotated[str, Path(max_length=64, description="Id of the recording.")]
_NEVER_AGAIN = {"Cache-Control": "no-store"}
"""A browser must not keep what the server erases."""


@router.get("")
async def list_recordings(
    _caller: Annotated[Principal, _COUNT], platform: Annotated[Backend, backend]
) -> Page[AuditRecording]:
    """Return the recordings that are kept, the latest first; there are few."""
    return Page[AuditRecording](items=tuple(_desk(platform).recordings()))


@router.post("", status_code=201)
async def start_recording(
    caller: Annotated[Principal, _SEE],
    platform: Annotated[Backend, backend],
    wanted: NewRecording,
) -> AuditRecording:
    """Record a camera from now on, with unrecognizable heads; it is entered in the audit log.

    The recording is erased when a count of it is saved, when it is deleted, when a customer is
    erased, after a day, and when the server stops.
    """
    return await _desk(platform).start(wanted, caller.name)


@router.get("/{recording_id}")
async def read_recording(
    _caller: Annotated[Principal, _COUNT],
    platform: Annotated[Backend, backend],
    recording_id: RecordingPath,
) -> RecordingIndex:
    """Return a recording with the times of its pictures."""
    return _desk(platform).index(recording_id)


@router.get(
    "/{recording_id}/frames/{number}",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {}}, "description": "The picture."},
        304: {"description": "You have this picture: it never changes."},
    },
)
async def read_recorded_picture(
    request: Request,
    _caller: Annotated[Principal, _SEE],
    platform: Annotated[Backend, backend],
    recording_id: RecordingPath,
    number: Annotated[int, Path(ge=0, le=1_000_000, description="Counted from 0.")],
) -> Response:
    """Return a picture of a recording; X-Captured-At tells when it was taken."""
    jpeg, taken_at = await _desk(platform).picture(recording_id, number)
    etag = f'"{recording_id}-{number}"'
    headers = {"ETag": etag, "X-Captured-At": taken_at.isoformat(), **_NEVER_AGAIN}
    known = request.headers.get("if-none-match", "").split(",")
    if etag in {tag.strip().removeprefix("W/") for tag in known}:
        return Response(status_code=304, headers=headers)
    return Response(jpeg, media_type="image/jpeg", headers=headers)


@router.post("/{recording_id}/end")
async def end_recording(
    _caller: Annotated[Principal, _COUNT],
    platform: Annotated[Backend, backend],
    recording_id: RecordingPath,
) -> AuditRecording:
    """End a recording early; what it has is kept."""
    return await _desk(platform).end(recording_id)


@router.delete("/{recording_id}", status_code=204)
async def delete_recording(
    _caller: Annotated[Principal, _COUNT],
    platform: Annotated[Backend, backend],
    recording_id: RecordingPath,
) -> None:
    """Erase a recording."""
    if not await _desk(platform).erase(recording_id):
        raise NotFound("there is no such recording (any more)")


def _desk(platform: Backend) -> RecordingDesk:
    return live_of(platform).recordings
