"""``POST /v1/transactions``: receipts of points of sale."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Request, Response

from trinetra.web.access import Permission, Principal, requires
from trinetra.web.problems import MEDIA_TYPE, NotFound
from trinetra.web.state import Backend, backend

router = APIRouter(tags=["transactions"])
MAX_BYTES = 4 << 20
"""Maximum size of a request with receipts; a thousand usual ones take a tenth of it."""
_BAD, _UNSUPPORTED = 400, 415


@router.post(
    "/transactions",
    max_body_size=MAX_BYTES,
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {}}}},
)
async def take_receipts(
    request: Request,
    _caller: Annotated[Principal, requires(Permission.SEND_TRANSACTIONS)],
    platform: Annotated[Backend, backend],
) -> Response:
    """Take one receipt or a list of them, all or none; sending them again changes nothing."""
    if platform.receipts is None:
        raise NotFound("this process takes no receipts; send them to the insight engine")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        told = {"type": "about:blank", "title": "Unsupported Media Type", "status": _UNSUPPORTED}
        return _answer(_UNSUPPORTED, told | {"detail": "send Content-Type: application/json"})
    reply = await platform.receipts.accept(await request.body())
    return _answer(reply.status, reply.document)


def _answer(status: int, document: object) -> Response:
    kind = MEDIA_TYPE if status >= _BAD else "application/json"
    return Response(msgspec.json.encode(document), status_code=status, media_type=kind)
