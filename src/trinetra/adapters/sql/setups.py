"""Setups: since when lines, zones, models, thresholds and definitions are as they are."""

from collections.abc import Mapping

from sqlalchemy import Connection, func, insert, select

from trinetra.adapters.sql.schema import SETUPS
from trinetra.events.derivation import Span
from trinetra.events.figures import Mark
from trinetra.values import Instant

Setup = Mapping[tuple[str, str], str]
"""The state of everything that figures depend on, by what it is and its name."""


def note_setup(connection: Connection, setup: Setup, at: Instant) -> None:
    """Note what differs from the last state on record."""
    latest = select(SETUPS.c.what, SETUPS.c.name, func.max(SETUPS.c.at).label("at"))
    latest_rows = latest.group_by(SETUPS.c.what, SETUPS.c.name).subquery()
    is_latest = (
        (SETUPS.c.what == latest_rows.c.what)
        & (SETUPS.c.name == latest_rows.c.name)
        & (SETUPS.c.at == latest_rows.c.at)
    )
    rows = connection.execute(select(SETUPS).join(latest_rows, is_latest))
    known = {(row.what, row.name): row.state for row in rows}
    changed = [
        {"at": at, "what": key[0], "name": key[1], "state": state, "is_first": key not in known}
        for key, state in sorted(setup.items())
        if known.get(key) != state
    ]
    if changed:
        connection.execute(insert(SETUPS), changed)


def marks_in(connection: Connection, span: Span) -> list[Mark]:
    """Return the changes in a span, without the first states."""
    query = select(SETUPS).where(
        SETUPS.c.at >= span.start, SETUPS.c.at < span.end, SETUPS.c.is_first.is_(False)
    )
    rows = connection.execute(query.order_by(SETUPS.c.at, SETUPS.c.what, SETUPS.c.name))
    return [Mark(at=row.at, what=row.what, name=row.name) for row in rows]
