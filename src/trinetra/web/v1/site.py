"""``/v1/site`` and ``/v1/session``: the shop, and the caller."""

from typing import Annotated

from fastapi import APIRouter

from trinetra.client.models import Session, SiteInfo
from trinetra.web.access import Permission, Principal, requires
from trinetra.web.state import Backend, backend

router = APIRouter(tags=["site"])


@router.get("/site")
async def read_site(
    _caller: Annotated[Principal, requires(Permission.READ_FIGURES)],
    platform: Annotated[Backend, backend],
) -> SiteInfo:
    """Return the shop: its cameras, time zone and opening hours."""
    return platform.site()


@router.get("/session")
async def read_session(caller: Annotated[Principal, requires()]) -> Session:
    """Return who the caller is, and what the caller may do."""
    return Session(
        name=caller.name,
        role=caller.role.value,
        permissions=tuple(sorted(p.value for p in caller.permissions)),
        csrf_token=caller.csrf_token,
    )
