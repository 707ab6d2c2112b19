"""Reads insights page by page: each begins after the last one of the page before (keyset)."""

from collections.abc import Iterator

import msgspec
from sqlalchemy import ColumnElement, Connection, or_, select

from trinetra.adapters.sql.insight_rows import as_known
from trinetra.adapters.sql.schema import ALIASES, TABLE_OF_KIND, TYPE_OF_KIND
from trinetra.events.schema import InsightEvent
from trinetra.ports import InsightQuery


def read_page(connection: Connection, query: InsightQuery) -> list[InsightEvent]:
    """Return up to ``query.most`` insights in the order of capture, without withdrawn visits."""
    table, type_ = TABLE_OF_KIND[query.kind], TYPE_OF_KIND[query.kind]
    statement = (
        select(table.c.event)
        .where(*_conditions(query))
        .order_by(table.c.captured_at, table.c.event_id)
        .limit(query.most)
    )
    texts = connection.scalars(statement)
    return as_known(connection, [msgspec.json.decode(text, type=type_) for text in texts])


def _conditions(query: InsightQuery) -> Iterator[ColumnElement[bool]]:
    columns = TABLE_OF_KIND[query.kind].c
    start, end = query.span
    if query.after is not None:
        at, event_id = query.after
        start = max(start, at)
        yield or_(columns.captured_at > at, columns.event_id > event_id)
    yield columns.captured_at >= start
    yield columns.captured_at < end
    if query.camera_id is not None:
        yield columns.camera_id == query.camera_id
    if query.customer_id is not None:
        merged = select(ALIASES.c.customer_id).where(ALIASES.c.person_id == query.customer_id)
        own = columns.customer_id == query.customer_id
        yield or_(own, columns.customer_id.in_(merged))
    if "withdrawn" in columns:
        yield or_(columns.withdrawn.is_(None), columns.withdrawn.is_(False))
