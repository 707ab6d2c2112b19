"""``/v1/cameras``: state, snapshot and live pictures of the cameras; ``/v1/floor`` and streams."""

from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Path, Query, Request, Response

from trinetra.client.models import CameraState, FloorPlan, Page
from trinetra.web.access import NotPermitted, Permission, Principal, requires
from trinetra.web.live.live import Live
from trinetra.web.live.parts import LiveParts
from trinetra.web.live.pictures import CameraFeed, LivePicture, Variant
from trinetra.web.live.streams import Stream
from trinetra.web.problems import NotFound
from trinetra.web.state import Backend, backend

router = APIRouter(tags=["live"])
CameraPath = Annotated[str, Path(max_length=64, description="Id of the camera.")]
Faces = Annotated[
    Literal["blurred", "clear"],
    Query(description="clear needs faces:read and is entered in the log of operations."),
]
MAX_WALL = 64
_BOUNDARY = "trinetra-frame"


@router.get("/cameras")
async def list_cameras(
    _caller: Annotated[Principal, requires(Permission.READ_LIVE)],
    platform: Annotated[Backend, backend],
) -> Page[CameraState]:
    """Return the state of every camera."""
    return Page[CameraState](items=tuple(await live_of(platform).cameras()))


@router.get(
    "/cameras/{camera_id}/snapshot",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {}}, "description": "The picture."},
        204: {"description": "The camera has delivered no picture in the last minute."},
        304: {"description": "The picture of the given ETag is the latest."},
    },
)
async def read_snapshot(
    caller: Annotated[Principal, requires(Permission.READ_LIVE)],
    platform: Annotated[Backend, backend],
    camera_id: CameraPath,
    faces: Faces = "blurred",
    if_none_match: Annotated[str | None, Header(max_length=1000)] = None,
    *,
    boxes: bool = False,
) -> Response:
    """Return the latest picture of a camera.

    Heads are made unrecognizable; if it is not known yet what the picture shows, all of it is.
    """
    feed = await _feed(caller, platform, camera_id, faces)
    picture = await feed.picture(Variant(faces == "clear", boxes))
    if picture is None:
        return Response(status_code=204)
    headers = {
        "ETag": f'"{picture.tag}"',
        "X-Captured-At": picture.captured_at.isoformat(),
        "Cache-Control": "no-store",
    }
    if if_none_match and f'"{picture.tag}"' in if_none_match:
        return Response(status_code=304, headers=headers)
    return Response(picture.jpeg, media_type="image/jpeg", headers=headers)


@router.get(
    "/snapshots",
    response_class=Response,
    responses={
        200: {
            "content": {"multipart/form-data": {}},
            "description": "A part for each picture that has changed: the camera is its name, its "
            "ETag without quotes its file name.",
        },
        304: {"description": "No picture has changed."},
    },
)
async def read_snapshots(
    caller: Annotated[Principal, requires(Permission.READ_LIVE)],
    platform: Annotated[Backend, backend],
    camera: Annotated[list[str], Query(min_length=1, max_length=MAX_WALL)],
    faces: Faces = "blurred",
    if_none_match: Annotated[str | None, Header(max_length=20_000)] = None,
    *,
    boxes: bool = False,
) -> Response:
    """Return small pictures of several cameras, those that have changed: a wall in one request.

    Send the ETags that you have, separated by commas, as If-None-Match. A camera without a picture
    is left out.
    """
    feeds = {name: await _feed(caller, platform, name, faces) for name in camera}
    variant = Variant(faces == "clear", boxes, is_small=True)
    # Not gathered: nearly all are made already, and a task for each would cost more than they do.
    pictures = [await feed.present(variant) for feed in feeds.values()]
    known = frozenset(tag.strip().strip('"') for tag in (if_none_match or "").split(","))
    parts = [
        _part(name, picture)
        for name, picture in zip(feeds, pictures, strict=True)
        if picture and picture.tag not in known
    ]
    if not parts:
        return Response(status_code=304)
    body = b"".join([*parts, f"--{_BOUNDARY}--\r\n".encode()])
    return Response(body, media_type=f"multipart/form-data; boundary={_BOUNDARY}")


def _part(camera_id: str, picture: LivePicture) -> bytes:
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{camera_id}"; '
        f'filename="{picture.tag}"\r\nContent-Type: image/jpeg\r\n\r\n'
    )
    return head.encode() + picture.jpeg + b"\r\n"


@router.get(
    "/cameras/{camera_id}/live",
    response_class=Response,
    responses={
        200: {"content": {"multipart/x-mixed-replace": {}}, "description": "Pictures as they come."}
    },
)
async def watch_camera(
    caller: Annotated[Principal, requires(Permission.READ_LIVE)],
    platform: Annotated[Backend, backend],
    request: Request,
    camera_id: CameraPath,
    faces: Faces = "blurred",
    *,
    boxes: bool = True,
) -> Response:
    """Return the pictures of a camera as they come (MJPEG), until the session ends."""
    feed = await _feed(caller, platform, camera_id, faces)
    live, variant = live_of(platform).feed, Variant(faces == "clear", boxes)
    needed = [Permission.READ_LIVE, *([Permission.READ_FACES] if variant.is_clear else [])]
    return Stream(
        lambda: _parts(feed, variant),
        media_type=f"multipart/x-mixed-replace; boundary={_BOUNDARY}",
        places=live.picture_places,
        clock=live.clock,
        is_allowed=lambda: is_allowed(request, *needed),
    )


@router.get("/floor")
async def read_floor(
    _caller: Annotated[Principal, requires(Permission.READ_LIVE)],
    platform: Annotated[Backend, backend],
) -> FloorPlan:
    """Return the floor plan, and where people are on it now."""
    return live_of(platform).floor()


@router.get(
    "/streams/{topic}",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {}}, "description": "The topic, anew."}},
)
async def read_topic(
    _caller: Annotated[Principal, requires(Permission.READ_LIVE)],
    platform: Annotated[Backend, backend],
    request: Request,
    topic: Annotated[str, Path(max_length=32, description="cameras, floor or queues.")],
) -> Response:
    """Return a topic of the dashboard whenever it changes, as server-sent events."""
    live = live_of(platform).feed
    if topic not in live.topics:
        raise NotFound(f"no live topic {topic}; there are cameras, floor and queues")
    return Stream(
        lambda: _messages(live, topic),
        media_type="text/event-stream",
        places=live.topic_places,
        clock=live.clock,
        is_allowed=lambda: is_allowed(request, Permission.READ_LIVE),
    )


def live_of(platform: Backend) -> LiveParts:
    """Return the live part of the platform. Raises NotFound if this process has none."""
    if platform.live is None:
        raise NotFound("this process does not see the cameras: it shows figures only")
    return platform.live


async def is_allowed(request: Request, *permissions: Permission) -> bool:
    """Return whether the caller's session or token is still valid and permits this."""
    principal: Principal | None = await request.app.state.authenticator.authenticate(request)
    return principal is not None and all(map(principal.may, permissions))


async def _feed(caller: Principal, platform: Backend, camera_id: str, faces: str) -> CameraFeed:
    parts = live_of(platform)
    if parts.feed.pictures is None:
        raise NotFound("the pictures are in another process: set TRINETRA_FRAME_BUFFER=redis")
    feed = parts.feed.pictures.feed(camera_id)
    if feed is None:
        raise NotFound(f"the site has no camera {camera_id}")
    if faces == "clear":
        if not caller.may(Permission.READ_FACES):
            raise NotPermitted(
                f"clear faces need the permission {Permission.READ_FACES.value}, which "
                f"{caller.name} ({caller.role.value}) does not have; ask an administrator"
            )
        await parts.note_faces_shown(caller, camera_id)
    return feed


async def _parts(feed: CameraFeed, variant: Variant) -> AsyncIterator[bytes]:
    # The boundary after a picture, not before it: browsers show a picture once the next one begins.
    yield f"--{_BOUNDARY}\r\n".encode()
    watching = feed.watch(variant)
    try:
        async for picture in watching:
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(picture.jpeg)}\r\n\r\n"
            yield head.encode() + picture.jpeg + f"\r\n--{_BOUNDARY}\r\n".encode()
    finally:
        await watching.aclose()


async def _messages(live: Live, topic: str) -> AsyncIterator[bytes]:
    yield b"retry: 3000\n\n"
    reading = live.topics.read(topic)
    try:
        async for payload in reading:
            yield b"data: " + payload + b"\n\n"
    finally:
        await reading.aclose()
