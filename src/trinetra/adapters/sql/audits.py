"""Counts by hand in the database of the insights."""

import msgspec
from sqlalchemy import Connection, insert, select

from trinetra.adapters.sql.schema import COUNT_AUDITS
from trinetra.events.audits import CountAudit

_MOST = 1_000


def write_audit(connection: Connection, audit: CountAudit) -> None:
    """Add a count by hand."""
    row = {
        "audit_id": audit.audit_id,
        "camera_id": audit.camera_id,
        "line_id": audit.line_id,
        "ends_at": audit.end,
        "audit": msgspec.json.encode(audit).decode(),
    }
    connection.execute(insert(COUNT_AUDITS), [row])


def read_audits(connection: Connection) -> list[CountAudit]:
    """Return the latest counts by hand, the last one first."""
    table = COUNT_AUDITS
    query = select(table.c.audit).order_by(table.c.ends_at.desc(), table.c.audit_id).limit(_MOST)
    return [msgspec.json.decode(text, type=CountAudit) for text in connection.scalars(query)]
