"""Alerts in the database of the insights: the list, the controls and the outbox."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, Select, and_, delete, func, or_, select, update

from trinetra.adapters.sql.database import Database, upsert_into
from trinetra.adapters.sql.migrate import prepare
from trinetra.adapters.sql.schema import (
    ALERT_ARMING,
    ALERT_DELIVERIES,
    ALERT_LANES,
    ALERT_MUTES,
    ALERT_NOTICES,
)
from trinetra.events.alerts import (
    Arming,
    Board,
    BoardChange,
    BoardQuery,
    Controls,
    Decide,
    Mute,
    Notice,
    NoticeDelivery,
    NoticeKey,
    NoticePage,
    NoticeState,
    Outgoing,
)
from trinetra.values import CustomerId, Instant, after, instant_at, microseconds

_ALERT_LOCK = 0x616C7274
"""Key of the advisory lock of changes: any number that is used for nothing else here."""
_MOST_IN_QUERY = 200


class SqlAlertStore:
    """An AlertStore and AlertOutbox in a SQL database; create one with ``open``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._run = database.run

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator["SqlAlertStore"]:
        """Open or create the tables in the database of an SQLAlchemy URL.

        Raises ConfigurationError, StoreUnavailable or StorageFull, as the insight store does.
        """
        async with Database.connected(url, thread_name="alert-store") as database:
            await prepare(database)
            yield cls(database)

    @property
    def name(self) -> str:
        """The server's purpose, on the health page."""
        return "alert store"

    async def check(self) -> str:
        """Return the database's URL. Raises StoreUnavailable when it does not answer."""
        return await self._database.check()

    # --- the list -----------------------------------------------------------------------------

    async def change(self, query: BoardQuery, decide: Decide) -> BoardChange:
        """Store what ``decide`` makes of the selected notices; return that."""
        return await self._run(lambda c: _change(c, query, decide), writes=True)

    async def notices(
        self, state: NoticeState | None, since: Instant | None, limit: int, cursor: str | None
    ) -> NoticePage:
        """Return notices, newest first. Raises ValueError for a bad cursor."""
        table = ALERT_NOTICES
        query = select(table.c.notice)
        if state is not None:
            query = query.where(table.c.state == state)
        if since is not None:
            query = query.where(table.c.raised_at >= since)
        if cursor is not None:
            at, alert_id = _cursor_place(cursor)
            earlier = and_(table.c.raised_at == at, table.c.alert_id < alert_id)
            query = query.where(or_(table.c.raised_at < at, earlier))
        query = query.order_by(table.c.raised_at.desc(), table.c.alert_id.desc()).limit(limit + 1)
        found = await self._run(lambda connection: _notices(connection, query))
        shown = tuple(found[:limit])
        return NoticePage(shown, _cursor_after(shown[-1]) if found[limit:] and shown else None)

    async def deliveries(self, alert_id: str) -> list[NoticeDelivery] | None:
        """Return the deliveries of a notice in order; None if there is no such notice."""
        return await self._run(lambda connection: _deliveries_of(connection, alert_id))

    async def controls(self) -> Controls:
        """Return what silences notices."""
        return await self._run(_controls)

    async def control(self, change: Mute | Arming) -> None:
        """Replace the mute of the same rule and subject, or whether alerts are armed."""
        await self._run(lambda connection: _control(connection, change), writes=True)

    # --- the outbox ---------------------------------------------------------------------------

    async def take(
        self, channel: str, member: str, now: Instant, lease_s: float, most: int
    ) -> list[Outgoing]:
        """Return the first deliveries that are due on a channel, in the order of creation."""
        due = _due(channel, now).limit(most)
        if not await self._run(lambda connection: connection.execute(due).first()):
            return []  # most often; it needs no write
        return await self._run(
            lambda c: _taken(c, due, channel, member, now, after(now, lease_s)), writes=True
        )

    async def settle(self, deliveries: Sequence[NoticeDelivery]) -> None:
        """Replace deliveries by their new states."""
        await self._run(lambda connection: _settle(connection, deliveries), writes=True)

    async def dead_letters(self, most: int) -> list[Outgoing]:
        """Return the latest deliveries that were given up."""
        query = _outgoing().where(ALERT_DELIVERIES.c.state == "dead")
        query = query.order_by(ALERT_DELIVERIES.c.number.desc()).limit(most)
        return await self._run(lambda connection: _outgoings(connection, query))

    async def retry(self, delivery_ids: Collection[str] | None, at: Instant) -> int:
        """Let deliveries that were given up wait again, all without ids; return how many."""
        return await self._run(lambda c: _retry(c, delivery_ids, at), writes=True)

    async def expire(self, before: Instant, most: int) -> int:
        """Delete up to ``most`` closed notices older than ``before``, with their deliveries."""
        table = ALERT_NOTICES
        old = select(table.c.alert_id).where(table.c.state == "closed", table.c.last_at < before)
        if not await self._run(lambda connection: connection.execute(old.limit(1)).first()):
            return 0
        return await self._run(lambda c: _delete(c, c.scalars(old.limit(most)).all()), writes=True)


def forget_notices(connection: Connection, ids: Sequence[CustomerId]) -> int:
    """Delete every notice about a person, its deliveries and mutes; return how many notices."""
    _lock(connection)
    for part in _parts(ids):
        muted = ALERT_MUTES.c.subject.in_(part)
        connection.execute(delete(ALERT_MUTES).where(muted))
    about = [
        alert_id
        for part in _parts(ids)
        for alert_id in connection.scalars(
            select(ALERT_NOTICES.c.alert_id).where(ALERT_NOTICES.c.person.in_(part))
        )
    ]
    return _delete(connection, about)


def _lock(connection: Connection) -> None:
    """Wait until no other change runs; on SQLite BEGIN IMMEDIATE has already ensured it."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_ALERT_LOCK)))


def _change(connection: Connection, query: BoardQuery, decide: Decide) -> BoardChange:
    _lock(connection)
    change = decide(_board(connection, query))
    _write_notices(connection, change.notices)
    _write_deliveries(connection, change.deliveries)
    return change


def _board(connection: Connection, query: BoardQuery) -> Board:
    latest = {key: found for key in query.keys if (found := _latest(connection, key))}
    return Board(
        latest=latest,
        selected=tuple(_selected(connection, query)),
        controls=_controls(connection),
        delivered=_delivered(connection, query.counted_since),
    )


def _latest(connection: Connection, key: NoticeKey) -> Notice | None:
    table = ALERT_NOTICES
    query = (
        select(table.c.notice)
        .where(table.c.rule == key.rule, table.c.subject == key.subject)
        .order_by(table.c.raised_at.desc(), table.c.alert_id.desc())
        .limit(1)
    )
    return next(iter(_notices(connection, query)), None)


def _selected(connection: Connection, query: BoardQuery) -> list[Notice]:
    table, found = ALERT_NOTICES, list[Notice]()
    for part in _parts(query.alert_ids):
        found += _notices(connection, select(table.c.notice).where(table.c.alert_id.in_(part)))
    if query.idle_since is not None:
        idle = select(table.c.notice).where(
            table.c.state != "closed", table.c.last_at < query.idle_since
        )
        found += _notices(connection, idle)
    return found


def _delivered(connection: Connection, since: Instant | None) -> dict[str, int]:
    if since is None:
        return {}
    table = ALERT_DELIVERIES
    query = (
        select(table.c.recipient, func.count().label("number"))
        .where(table.c.created_at >= since, table.c.state != "skipped")
        .group_by(table.c.recipient)
    )
    return {row.recipient: row.number for row in connection.execute(query)}


def _controls(connection: Connection) -> Controls:
    arming = connection.scalar(select(ALERT_ARMING.c.arming))
    mutes = connection.scalars(
        select(ALERT_MUTES.c.mute).order_by(ALERT_MUTES.c.rule, ALERT_MUTES.c.subject)
    )
    return Controls(
        arming=msgspec.json.decode(arming, type=Arming) if arming else None,
        mutes=tuple(msgspec.json.decode(mute, type=Mute) for mute in mutes),
    )


def _control(connection: Connection, change: Mute | Arming) -> None:
    text = msgspec.json.encode(change).decode()
    if isinstance(change, Arming):
        _put(connection, ALERT_ARMING, {"id": 1}, {"arming": text})
    else:
        key = {"rule": change.rule, "subject": change.subject or ""}
        _put(connection, ALERT_MUTES, key, {"mute": text})


def _put(connection: Connection, table: Any, key: dict[str, Any], values: dict[str, Any]) -> None:
    statement = upsert_into(table, connection.dialect.name).values(**key, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))


def _write_notices(connection: Connection, notices: Iterable[Notice]) -> None:
    for notice in notices:
        row = {
            "rule": notice.rule,
            "subject": notice.subject,
            "state": notice.state,
            "raised_at": notice.raised_at,
            "last_at": notice.last_at,
            "person": notice.person,
            "notice": msgspec.json.encode(notice).decode(),
        }
        _put(connection, ALERT_NOTICES, {"alert_id": notice.alert_id}, row)


def _write_deliveries(connection: Connection, deliveries: Iterable[NoticeDelivery]) -> None:
    for delivery in deliveries:
        row = {
            "delivery_id": delivery.delivery_id,
            "alert_id": delivery.alert_id,
            "channel": delivery.channel,
            "recipient": delivery.recipient,
            "state": delivery.state,
            "created_at": delivery.created_at,
            "due_at": delivery.due_at,
            "delivery": msgspec.json.encode(delivery).decode(),
        }
        statement = upsert_into(ALERT_DELIVERIES, connection.dialect.name).values(row)
        connection.execute(statement.on_conflict_do_nothing(index_elements=["delivery_id"]))


def _notices(connection: Connection, query: Select[Any]) -> list[Notice]:
    return [msgspec.json.decode(text, type=Notice) for text in connection.scalars(query)]


def _deliveries_of(connection: Connection, alert_id: str) -> list[NoticeDelivery] | None:
    known = select(ALERT_NOTICES.c.alert_id).where(ALERT_NOTICES.c.alert_id == alert_id)
    if connection.scalar(known) is None:
        return None
    table = ALERT_DELIVERIES
    query = select(table.c.delivery).where(table.c.alert_id == alert_id).order_by(table.c.number)
    return [msgspec.json.decode(t, type=NoticeDelivery) for t in connection.scalars(query)]


# --- the outbox -------------------------------------------------------------------------------


def _outgoing() -> Select[Any]:
    return select(ALERT_DELIVERIES.c.delivery, ALERT_NOTICES.c.notice).join(
        ALERT_NOTICES, ALERT_NOTICES.c.alert_id == ALERT_DELIVERIES.c.alert_id
    )


def _outgoings(connection: Connection, query: Select[Any]) -> list[Outgoing]:
    return [
        Outgoing(
            msgspec.json.decode(row.delivery, type=NoticeDelivery),
            msgspec.json.decode(row.notice, type=Notice),
        )
        for row in connection.execute(query)
    ]


def _due(channel: str, now: Instant) -> Select[Any]:
    table = ALERT_DELIVERIES
    return (
        _outgoing()
        .where(table.c.channel == channel, table.c.state == "waiting", table.c.due_at <= now)
        .order_by(table.c.number)
    )


def _taken(
    connection: Connection,
    due: Select[Any],
    channel: str,
    member: str,
    now: Instant,
    until: Instant,
) -> list[Outgoing]:
    _lock(connection)
    lane = connection.execute(select(ALERT_LANES).where(ALERT_LANES.c.channel == channel)).first()
    if lane is not None and lane.member != member and lane.until > now:
        return []
    _put(connection, ALERT_LANES, {"channel": channel}, {"member": member, "until": until})
    return _outgoings(connection, due)  # read again: another member may have sent them meanwhile


def _settle(connection: Connection, deliveries: Iterable[NoticeDelivery]) -> None:
    table = ALERT_DELIVERIES
    for delivery in deliveries:
        row = {
            "state": delivery.state,
            "due_at": delivery.due_at,
            "delivery": msgspec.json.encode(delivery).decode(),
        }
        own = table.c.delivery_id == delivery.delivery_id
        connection.execute(update(table).where(own).values(row))


def _retry(connection: Connection, delivery_ids: Collection[str] | None, at: Instant) -> int:
    table = ALERT_DELIVERIES
    query = select(table.c.delivery).where(table.c.state == "dead")
    if delivery_ids is not None:
        query = query.where(table.c.delivery_id.in_(delivery_ids))
    dead = [msgspec.json.decode(text, type=NoticeDelivery) for text in connection.scalars(query)]
    again = [
        replace(each, state="waiting", created_at=at, due_at=at, held=False, settled_at=None)
        for each in dead
    ]
    _settle(connection, again)
    return len(again)


def _delete(connection: Connection, alert_ids: Sequence[str]) -> int:
    for part in _parts(alert_ids):
        connection.execute(delete(ALERT_DELIVERIES).where(ALERT_DELIVERIES.c.alert_id.in_(part)))
        connection.execute(delete(ALERT_NOTICES).where(ALERT_NOTICES.c.alert_id.in_(part)))
    return len(alert_ids)


def _parts(values: Iterable[str]) -> Iterable[list[str]]:
    """Return the values in parts that fit into one statement."""
    listed = sorted(values)
    return [listed[i : i + _MOST_IN_QUERY] for i in range(0, len(listed), _MOST_IN_QUERY)]


# --- cursors ----------------------------------------------------------------------------------


def _cursor_after(notice: Notice) -> str:
    text = f"{microseconds(notice.raised_at)}/{notice.alert_id}"
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _cursor_place(cursor: str) -> tuple[Instant, str]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        micros, _, alert_id = urlsafe_b64decode(padded.encode()).decode().partition("/")
        return instant_at(int(micros)), alert_id
    except (ValueError, OverflowError, binascii.Error) as cause:
        raise ValueError("not a cursor of this list: start without one") from cause
