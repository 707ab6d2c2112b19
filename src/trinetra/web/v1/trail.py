"""``/v1/trail``: the log of privileged operations, by users of the web and by commands."""

from typing import Annotated

from fastapi import APIRouter, Query

from trinetra.client.models import Page, TrailEntry
from trinetra.web.access import Permission, Principal, requires
from trinetra.web.security.security import Security, security

router = APIRouter(tags=["trail"])


@router.get("/trail")
async def read_trail(
    _caller: Annotated[Principal, requires(Permission.READ_TRAIL)],
    access: Annotated[Security, security],
    cursor: Annotated[str | None, Query(pattern=r"^[0-9]{1,15}$")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Page[TrailEntry]:
    """Return operations, the newest first."""
    before = int(cursor) if cursor else None
    found = await access.trail.read(before, limit + 1)
    items = tuple(found[:limit])
    more = str(items[-1].number) if len(found) > limit else None
    return Page[TrailEntry](items=items, next_cursor=more)
