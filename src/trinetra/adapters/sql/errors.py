"""Translation of database errors to ``trinetra.errors``: retry, free space, or reconfigure.

PostgreSQL classifies its errors by SQLSTATE (documentation, appendix A). If libpq could not even
connect, and with SQLite, only the text of the message tells the cause.
"""

import errno

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from trinetra.errors import ConfigurationError, StorageFull, StoreUnavailable

BUSY_TIMEOUT_S = 10.0
_DISK_FULL = frozenset({"53100"})
_PASSING = ("08", "40", "53", "55", "57", "58")
"""Transient SQLSTATE classes: connection, rollback (deadlock), insufficient resources, object not
in the required state, operator intervention, system error."""
_REFUSED_LOGIN = (
    "authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    'role "',
    'database "',
)
_SECRET_OPTIONS = ("password", "sslpassword")
Planned = ConfigurationError | StorageFull | StoreUnavailable


def shown_url(url: URL) -> str:
    """Return a database's URL without its password and options, one of which may be another."""
    return url.difference_update_query(list(url.query)).render_as_string(hide_password=True)


def translated(cause: SQLAlchemyError | OSError, url: URL) -> Planned:
    """Return the error of ``trinetra.errors`` for a database error, without the password."""
    place, reason = shown_url(url), _reason(cause, url)
    if _is_full(cause, reason.lower()):
        return StorageFull(f"the disk of the insight store {place} is full; free some space")
    if url.get_backend_name() == "sqlite":
        return _of_sqlite(place, reason)
    return _of_server(cause, place, reason)


def _of_sqlite(place: str, reason: str) -> Planned:
    text = reason.lower()
    if "locked" in text or "busy" in text:
        return StoreUnavailable(
            f"the insight store {place} was locked by another program for more than "
            f"{BUSY_TIMEOUT_S:g} s; retrying; stop that program if it hangs"
        )
    if "malformed" in text or "not a database" in text:
        return ConfigurationError(
            f"the insight store {place} is corrupt ({reason}); move the file away or restore a "
            "backup, then restart"
        )
    return _unusable(place, reason)


def _of_server(cause: SQLAlchemyError | OSError, place: str, reason: str) -> Planned:
    state = getattr(getattr(cause, "orig", None), "sqlstate", None)
    if state is not None:
        passes = state.startswith(_PASSING)
    else:
        has_no_answer = isinstance(cause, OperationalError | InterfaceError | PoolTimeoutError)
        passes = has_no_answer and not any(text in reason for text in _REFUSED_LOGIN)
    if passes or (isinstance(cause, DBAPIError) and cause.connection_invalidated):
        return StoreUnavailable(f"the insight store {place} does not answer now: {reason}")
    return _unusable(place, reason)


def _unusable(place: str, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"the insight store {place} cannot be used: {reason}; correct its URL or the database"
    )


def _reason(cause: SQLAlchemyError | OSError, url: URL) -> str:
    reason = " ".join(str(cause.orig if isinstance(cause, DBAPIError) else cause).split())
    for secret in (url.password, *(url.query.get(name) for name in _SECRET_OPTIONS)):
        if secret:
            reason = reason.replace(str(secret), "***")
    return reason


def _is_full(cause: SQLAlchemyError | OSError, text: str) -> bool:
    if isinstance(cause, OSError) and cause.errno in {errno.ENOSPC, errno.EDQUOT}:
        return True
    state = getattr(getattr(cause, "orig", None), "sqlstate", None)
    return state in _DISK_FULL or "disk is full" in text or "no space left" in text
