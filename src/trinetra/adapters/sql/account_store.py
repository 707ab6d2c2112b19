"""Users, sessions, API tokens, one-time secrets and failed logins, in the database of insights."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Table, delete, func, insert, or_, select, update

from trinetra.adapters.sql.database import Database, upsert_into
from trinetra.adapters.sql.migrate import prepare
from trinetra.adapters.sql.schema import (
    WEB_KEYS,
    WEB_LOGIN_FAILURES,
    WEB_ONE_TIME_SECRETS,
    WEB_SESSIONS,
    WEB_TOKENS,
    WEB_USERS,
)
from trinetra.events.accounts import (
    FailedLogins,
    OneTimeSecret,
    Purpose,
    SessionRecord,
    TokenRecord,
    User,
)
from trinetra.values import Instant

_LOCK = 0x77656261
"""Key of the advisory lock that orders changes of accounts on PostgreSQL."""
_FORGOTTEN_AFTER = timedelta(days=1)
_MAX_FAILURE_KEYS = 20_000
"""Bounds the table, since every client of the login page can add a row with every attempt."""


class SqlAccounts:
    """An AccountStore."""

    def __init__(self, database: Database) -> None:
        self._run = database.run

    async def users(self) -> Sequence[User]:
        """Return all users, by name."""
        query = select(WEB_USERS).order_by(WEB_USERS.c.name)
        return await self._run(lambda c: [_user(row) for row in c.execute(query)])

    async def find_user(
        self, *, name: str | None = None, user_id: str | None = None, subject: str | None = None
    ) -> User | None:
        """Return the user with this name, id or subject."""
        given = {"name": name, "user_id": user_id, "subject": subject}
        query = select(WEB_USERS).where(
            *(WEB_USERS.c[column] == value for column, value in given.items() if value is not None)
        )
        row = await self._run(lambda c: c.execute(query).one_or_none())
        return _user(row) if row else None

    async def add_user(self, user: User, *, only_first: bool = False) -> bool:
        """Add a user; False if the name or subject is taken, or it is not the first."""

        def add(connection: Connection) -> bool:
            _lock(connection)
            if _is_taken(connection, user) or (only_first and _count(connection, WEB_USERS)):
                return False
            connection.execute(insert(WEB_USERS).values(_user_row(user)))
            return True

        return await self._run(add, writes=True)

    async def change_user(self, user: User, *, keeps_role: str) -> bool:
        """Replace the record of a user unless it is the last enabled one with a role."""

        def change(connection: Connection) -> bool:
            _lock(connection)
            if _is_last(connection, user, keeps_role):
                return False
            if _is_taken(connection, user):
                return False
            own = WEB_USERS.c.user_id == user.user_id
            if not connection.execute(
                update(WEB_USERS).where(own).values(_user_row(user))
            ).rowcount:
                return False
            connection.execute(delete(WEB_SESSIONS).where(WEB_SESSIONS.c.user_id == user.user_id))
            return True

        return await self._run(change, writes=True)


class SqlSessions:
    """A SessionStore."""

    def __init__(self, database: Database) -> None:
        self._run = database.run

    async def start(self, session: SessionRecord, *, forget_before: Instant) -> None:
        """Store a session; delete those that began before an instant."""

        def start(connection: Connection) -> None:
            old = WEB_SESSIONS.c.created_at < forget_before
            connection.execute(delete(WEB_SESSIONS).where(old))
            connection.execute(insert(WEB_SESSIONS).values(msgspec.structs.asdict(session)))

        await self._run(start, writes=True)

    async def find(self, digest: str) -> tuple[SessionRecord, User] | None:
        """Return a session and its user, also if it has expired."""
        own = WEB_SESSIONS.c.digest == digest
        row = await self._run(lambda c: _with_user(c, WEB_SESSIONS, own))
        return (_record(SessionRecord, row), _user(row)) if row else None

    async def touch(self, digest: str, seen_at: Instant) -> None:
        """Record when a session was last used."""
        own = WEB_SESSIONS.c.digest == digest
        change = update(WEB_SESSIONS).where(own).values(seen_at=seen_at)
        await self._run(lambda c: c.execute(change), writes=True)

    async def end(self, digest: str) -> None:
        """Delete a session; idempotent."""
        own = delete(WEB_SESSIONS).where(WEB_SESSIONS.c.digest == digest)
        await self._run(lambda c: c.execute(own), writes=True)

    async def end_all(self, user_id: str, *, but: str = "") -> None:
        """Delete all sessions of a user, but one."""
        table = WEB_SESSIONS.c
        theirs = delete(WEB_SESSIONS).where(table.user_id == user_id, table.digest != but)
        await self._run(lambda c: c.execute(theirs), writes=True)


class SqlTokens:
    """A TokenStore."""

    def __init__(self, database: Database) -> None:
        self._run = database.run

    async def add(self, token: TokenRecord) -> None:
        """Store a token."""
        row = msgspec.structs.asdict(token) | {"scopes": _packed(token.scopes)}
        await self._run(lambda c: c.execute(insert(WEB_TOKENS).values(row)), writes=True)

    async def find(self, digest: str) -> tuple[TokenRecord, User] | None:
        """Return a token and its user, also if it is no longer valid."""
        own = WEB_TOKENS.c.digest == digest
        row = await self._run(lambda c: _with_user(c, WEB_TOKENS, own))
        return (_token(row), _user(row)) if row else None

    async def tokens(self, user_id: str | None = None) -> Sequence[TokenRecord]:
        """Return the tokens of a user, or of all; the newest first."""
        newest = (WEB_TOKENS.c.created_at.desc(), WEB_TOKENS.c.token_id)
        query = select(WEB_TOKENS).order_by(*newest)
        if user_id is not None:
            query = query.where(WEB_TOKENS.c.user_id == user_id)
        return await self._run(lambda c: [_token(row) for row in c.execute(query)])

    async def touch(self, token_id: str, used_at: Instant) -> None:
        """Record when a token was last used."""
        own = WEB_TOKENS.c.token_id == token_id
        change = update(WEB_TOKENS).where(own).values(used_at=used_at)
        await self._run(lambda c: c.execute(change), writes=True)

    async def revoke(self, token_id: str, at: Instant) -> bool:
        """Revoke a token; False if there is none, or if it was revoked before."""
        own = (WEB_TOKENS.c.token_id == token_id, WEB_TOKENS.c.revoked_at.is_(None))
        change = update(WEB_TOKENS).where(*own).values(revoked_at=at)
        return bool(await self._run(lambda c: c.execute(change).rowcount, writes=True))


class SqlOneTimeSecrets:
    """A OneTimeStore."""

    def __init__(self, database: Database) -> None:
        self._run = database.run

    async def keep(self, secret: OneTimeSecret, now: Instant, *, at_most: int) -> None:
        """Store a secret, delete expired ones, and the oldest beyond a number of this purpose."""
        table = WEB_ONE_TIME_SECRETS

        def keep(connection: Connection) -> None:
            connection.execute(delete(table).where(table.c.expires_at <= now))
            of_purpose = select(table.c.digest).where(table.c.purpose == secret.purpose)
            newest = of_purpose.order_by(table.c.expires_at.desc()).offset(at_most - 1)
            surplus = list(connection.scalars(newest))
            connection.execute(delete(table).where(table.c.digest.in_(surplus)))
            row = msgspec.structs.asdict(secret) | {"payload": _packed(secret.payload)}
            connection.execute(insert(table).values(row))

        await self._run(keep, writes=True)

    async def find(self, digest: str, purpose: Purpose, now: Instant) -> OneTimeSecret | None:
        """Return a secret that is still valid, without using it up."""
        query = select(WEB_ONE_TIME_SECRETS).where(*_valid(digest, purpose, now))
        row = await self._run(lambda c: c.execute(query).one_or_none())
        return _secret(row) if row else None

    async def take(self, digest: str, purpose: Purpose, now: Instant) -> OneTimeSecret | None:
        """Return a secret that is still valid, once: of two callers at most one gets it."""
        valid = _valid(digest, purpose, now)
        taking = delete(WEB_ONE_TIME_SECRETS).where(*valid).returning(WEB_ONE_TIME_SECRETS)
        row = await self._run(lambda c: c.execute(taking).one_or_none(), writes=True)
        return _secret(row) if row else None

    async def server_key(self, name: str, made: bytes) -> bytes:
        """Return the key of this name; the first one given is kept."""

        def key(connection: Connection) -> bytes:
            adding = upsert_into(WEB_KEYS, connection.dialect.name).values(name=name, key=made)
            connection.execute(adding.on_conflict_do_nothing())
            kept = select(WEB_KEYS.c.key).where(WEB_KEYS.c.name == name)
            return bytes(connection.scalars(kept).one())

        return await self._run(key, writes=True)


class SqlLoginFailures:
    """A LoginFailureStore."""

    def __init__(self, database: Database) -> None:
        self._run = database.run

    async def attempt(
        self,
        keys: Sequence[str],
        now: Instant,
        wait_s: Callable[[Mapping[str, FailedLogins]], float],
    ) -> float:
        """Count a failure for each key unless ``wait_s`` of those so far is positive; return it."""

        def attempt(connection: Connection) -> float:
            _lock(connection)
            so_far = _failures(connection, keys)
            wait = wait_s(so_far)
            if wait <= 0:
                _forget_failures(connection, now)
                for key in keys:
                    before = so_far[key].count if key in so_far else 0
                    _store_failures(connection, key, FailedLogins(before + 1, now))
            return wait

        return await self._run(attempt, writes=True)

    async def succeed(self, clear: Sequence[str], undo: Sequence[str]) -> None:
        """Delete the count of some keys, and take one failure from others."""
        table = WEB_LOGIN_FAILURES

        def succeed(connection: Connection) -> None:
            _lock(connection)
            one_less = update(table).values(failures=table.c.failures - 1)
            connection.execute(one_less.where(table.c.key.in_(undo)))
            connection.execute(
                delete(table).where(or_(table.c.key.in_(clear), table.c.failures <= 0))
            )

        await self._run(succeed, writes=True)


class SecurityStores:
    """All stores of web access, on one connection; create them with ``open``."""

    def __init__(self, database: Database) -> None:
        self.accounts = SqlAccounts(database)
        self.sessions = SqlSessions(database)
        self.tokens = SqlTokens(database)
        self.one_time = SqlOneTimeSecrets(database)
        self.failures = SqlLoginFailures(database)

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator["SecurityStores"]:
        """Open or create the stores in the database of an SQLAlchemy URL.

        Raises ConfigurationError, StorageFull or StoreUnavailable, as the insight store does.
        """
        async with Database.connected(url, thread_name="accounts") as database:
            await prepare(database)
            yield cls(database)


def _lock(connection: Connection) -> None:
    """Wait for other changes of accounts; on SQLite BEGIN IMMEDIATE has already done that."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def _count(connection: Connection, table: Table) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0


def _is_taken(connection: Connection, user: User) -> bool:
    """Return whether another user has the name or the subject."""
    same = WEB_USERS.c.name == user.name
    if user.subject is not None:
        same = or_(same, WEB_USERS.c.subject == user.subject)
    others = select(WEB_USERS.c.user_id).where(same, WEB_USERS.c.user_id != user.user_id)
    return connection.execute(others).first() is not None


def _is_last(connection: Connection, user: User, role: str) -> bool:
    """Return whether the user is the last enabled one with a role, and is about to lose it."""
    holders = select(WEB_USERS.c.user_id).where(
        WEB_USERS.c.role == role, WEB_USERS.c.is_disabled.is_(False)
    )
    keeps = user.role == role and not user.is_disabled
    return not keeps and list(connection.scalars(holders)) == [user.user_id]


def _with_user(connection: Connection, table: Table, condition: Any) -> Row[Any] | None:
    """Return a row of a table with the columns of its user, which are named ``user_...``."""
    owner = [column.label(f"of_user_{column.name}") for column in WEB_USERS.c]
    query = select(table, *owner).join(WEB_USERS, WEB_USERS.c.user_id == table.c.user_id)
    return connection.execute(query.where(condition)).one_or_none()


def _user_row(user: User) -> dict[str, Any]:
    return msgspec.structs.asdict(user) | {"sites": _packed(user.sites)}


def _user(row: Row[Any]) -> User:
    columns = row._mapping  # noqa: SLF001  SQLAlchemy's documented access by name
    own = {name: columns.get(f"of_user_{name}", columns.get(name)) for name in _USER_FIELDS}
    return User(**own | {"sites": tuple(msgspec.json.decode(own["sites"]))})


_USER_FIELDS = User.__struct_fields__


def _record(kind: type[SessionRecord], row: Row[Any]) -> SessionRecord:
    return kind(**{name: row._mapping[name] for name in kind.__struct_fields__})  # noqa: SLF001


def _token(row: Row[Any]) -> TokenRecord:
    own = {name: row._mapping[name] for name in TokenRecord.__struct_fields__}  # noqa: SLF001
    return TokenRecord(**own | {"scopes": tuple(msgspec.json.decode(own["scopes"]))})


def _secret(row: Row[Any]) -> OneTimeSecret:
    return OneTimeSecret(
        digest=row.digest,
        purpose=row.purpose,
        expires_at=row.expires_at,
        payload=msgspec.json.decode(row.payload, type=dict[str, str]),
    )


def _valid(digest: str, purpose: Purpose, now: Instant) -> tuple[Any, ...]:
    table = WEB_ONE_TIME_SECRETS.c
    return table.digest == digest, table.purpose == purpose, table.expires_at > now


def _failures(connection: Connection, keys: Sequence[str]) -> dict[str, FailedLogins]:
    query = select(WEB_LOGIN_FAILURES).where(WEB_LOGIN_FAILURES.c.key.in_(keys))
    return {row.key: FailedLogins(row.failures, row.last_at) for row in connection.execute(query)}


def _store_failures(connection: Connection, key: str, failures: FailedLogins) -> None:
    row = {"failures": failures.count, "last_at": failures.last_at}
    adding = upsert_into(WEB_LOGIN_FAILURES, connection.dialect.name).values(key=key, **row)
    connection.execute(adding.on_conflict_do_update(index_elements=["key"], set_=row))


def _forget_failures(connection: Connection, now: Instant) -> None:
    """Delete old failures, and the oldest where there are too many."""
    table = WEB_LOGIN_FAILURES
    connection.execute(delete(table).where(table.c.last_at < now - _FORGOTTEN_AFTER))
    surplus = _count(connection, table) - _MAX_FAILURE_KEYS
    if surplus > 0:
        oldest = select(table.c.key).order_by(table.c.last_at).limit(surplus)
        connection.execute(delete(table).where(table.c.key.in_(list(connection.scalars(oldest)))))


def _packed(values: Sequence[str] | Mapping[str, str]) -> str:
    return msgspec.json.encode(values).decode()
