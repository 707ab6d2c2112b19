"""``/v1/audits``: counts of a line by hand, and how the platform's count compares."""

from typing import Annotated

from fastapi import APIRouter, Query

from trinetra.client.models import Audit, LineState, NewAudit, Page
from trinetra.web.access import Permission, Principal, requires
from trinetra.web.desks import AuditDesk
from trinetra.web.problems import Invalid, NotFound
from trinetra.web.state import Backend, backend

router = APIRouter(prefix="/audits", tags=["audits"])
_READ = requires(Permission.READ_FIGURES)
_MAX_BYTES = 1 << 20
Name = Annotated[str | None, Query(max_length=63)]


@router.get("")
async def list_audits(
    _caller: Annotated[Principal, _READ],
    platform: Annotated[Backend, backend],
    camera: Name = None,
    line: Name = None,
    cursor: Annotated[str | None, Query(max_length=20)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Page[Audit]:
    """Return counts by hand, the latest first."""
    found = await _desk(platform).audits(camera, line)
    begin = _position(cursor)
    items = tuple(found[begin : begin + limit])
    following = str(begin + limit) if begin + limit < len(found) else None
    return Page[Audit](items=items, next_cursor=following)


@router.get("/lines")
async def list_lines(
    _caller: Annotated[Principal, _READ], platform: Annotated[Backend, backend]
) -> Page[LineState]:
    """Return all counting lines with their last audit, those first that should be audited."""
    return Page[LineState](items=tuple(await _desk(platform).lines()))


@router.get("/{audit_id}")
async def read_audit(
    _caller: Annotated[Principal, _READ],
    platform: Annotated[Backend, backend],
    audit_id: str,
) -> Audit:
    """Return a count by hand."""
    for audit in await _desk(platform).audits(None, None):
        if audit.id == audit_id:
            return audit
    raise NotFound("there is no count by hand of this id")


@router.post("", status_code=201, max_body_size=_MAX_BYTES)
async def record_audit(
    caller: Annotated[Principal, requires(Permission.COUNT_LINES)],
    platform: Annotated[Backend, backend],
    audit: NewAudit,
) -> Audit:
    """Record a count by hand, and return it beside what the platform counted in that time.

    The ``recording`` from which it was counted is erased then.
    """
    made = await _desk(platform).record(audit, caller.name)
    if audit.recording and platform.live:
        await platform.live.recordings.erase(audit.recording)
    return made


def _desk(platform: Backend) -> AuditDesk:
    if platform.audits is None:
        raise NotFound("this process keeps no counts by hand")
    return platform.audits


def _position(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit()):
        raise Invalid("this cursor is from no page of this list")
    return int(cursor)
