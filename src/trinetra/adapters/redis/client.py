"""A client of Redis: a deadline for all that is asked of the server, its errors in our words."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    InvalidResponse,
    NoPermissionError,
    RedisError,
    ResponseError,
)

from trinetra.errors import BufferUnavailable, ConfigurationError, TrinetraError

_OLDEST = (6, 2)
_DEFAULT_PORT = 6379
_CLUSTER = ("MOVED", "CROSSSLOT", "ASK")
# The server hung up during a handshake, which it also does when it is being stopped.
_HUNG_UP = (ssl.SSLEOFError, ssl.SSLZeroReturnError)


class RedisClient:
    """Connections to one server; make one with ``open``.

    ``redis`` itself has no time-outs, since some answers are waited for: use it within
    ``answering``, which has one.
    """

    def __init__(self, redis: Redis, where: str, answer_s: float) -> None:
        self.redis = redis
        self.where = where
        self._answer_s = answer_s

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, answer_s: float) -> AsyncIterator["RedisClient"]:
        """Connect, and check that the server is one that can be used.

        Raises BufferUnavailable when none answers within ``answer_s``, ConfigurationError when the
        URL, the login or the server's version is wrong. No message repeats the URL.
        """
        where = checked_address(url)
        async with _connections(url) as redis:
            client = cls(redis, where, answer_s)
            try:
                version = await client.version()
            except BufferUnavailable as cause:
                # A server that is asked in the wrong way often just keeps silent.
                raise BufferUnavailable(
                    f"{cause}; if it does run there, TRINETRA_REDIS_URL may have to begin with "
                    f"{_other_scheme(url)}"
                ) from cause
            _check_version(version, where)
            yield client

    async def version(self) -> str:
        """Return the server's version; Valkey tells the Redis it is compatible with."""
        async with self.answering():
            return str((await self.redis.info("server"))["redis_version"])

    @asynccontextmanager
    async def answering(self, extra_s: float = 0.0) -> AsyncIterator[None]:
        """Give what is asked within ``answer_s`` for its answer, and ``extra_s`` if it waits.

        Where the time is over the connection is closed, and the next question makes a new one: a
        peer that vanished without a word holds nobody up for longer. Raises BufferUnavailable or
        ConfigurationError.
        """
        try:
            async with asyncio.timeout(self._answer_s + extra_s):
                yield
        except TimeoutError:
            raise BufferUnavailable(
                f"Redis at {self.where} did not answer within {self._answer_s:g} s"
            ) from None
        except (RedisError, OSError) as cause:
            raise self._told(cause) from cause

    def _told(self, cause: RedisError | OSError) -> TrinetraError:
        for mistake in (_mistake_in_login, _mistake_in_reply, _mistake_in_tls):
            if told := mistake(cause):
                return ConfigurationError(f"Redis at {self.where} {told}")
        return BufferUnavailable(f"Redis at {self.where} does not answer: {cause}")


def _mistake_in_login(cause: Exception) -> str | None:
    if isinstance(cause, AuthenticationError | AuthorizationError):
        return (
            f"refuses the login ({cause}): put the right user and password into "
            "TRINETRA_REDIS_URL, special characters as %XX"
        )
    if isinstance(cause, NoPermissionError):
        return (
            f"forbids what the frame buffer needs ({cause}): let the user's ACL have +@connection "
            "+@stream +@scripting +info +get +set for the keys ~*frames:* and ~*trinetra:*"
        )
    return None


def _mistake_in_reply(cause: Exception) -> str | None:
    if isinstance(cause, InvalidResponse):
        return "is no Redis, or wants TLS: correct TRINETRA_REDIS_URL (rediss:// is with TLS)"
    reason = str(cause) if isinstance(cause, ResponseError) else ""
    if reason.startswith("WRONGTYPE"):
        return (
            "has something else under our names: set TRINETRA_NAMESPACE to keep them apart, or "
            "use another database number"
        )
    if reason.startswith(_CLUSTER):
        return "is part of a Redis Cluster; the frame buffer needs a server of its own"
    if "DB index" in reason:
        return "has no such database: correct the number at the end of TRINETRA_REDIS_URL"
    return None


def _mistake_in_tls(cause: Exception) -> str | None:
    failure = cause.__context__
    if isinstance(failure, FileNotFoundError | PermissionError):
        return "was not asked: the file of an ssl_* option of TRINETRA_REDIS_URL cannot be read"
    if isinstance(failure, ssl.SSLError) and not isinstance(failure, _HUNG_UP):
        return (
            f"gets no TLS going ({failure.reason or failure}): use redis:// for a server without "
            "TLS, or name its authority's certificate (TRINETRA_REDIS_URL=...?ssl_ca_certs=FILE)"
        )
    return None


def checked_address(url: str) -> str:
    """Return ``host:port`` of a Redis URL.

    Raises ConfigurationError, without repeating the URL: it may carry a password.
    """
    try:
        parts = urlsplit(url)
        port, options = parts.port, parse_qs(parts.query)
    except ValueError:
        raise _wrong("its port is no number, or a special character needs %XX") from None
    if parts.scheme not in {"redis", "rediss"}:
        raise _wrong("it does not begin with redis:// or rediss:// (with TLS)")
    if not parts.hostname or parts.fragment:
        raise _wrong("it names no host, or a special character needs %XX")
    if not re.fullmatch(r"/?\d*", parts.path):
        raise _wrong("what follows the host is no database number")
    if unknown := [name for name in options if not name.startswith("ssl_")]:
        raise _wrong(f"it may carry ssl_* options, not {', '.join(unknown)}")
    return f"{parts.hostname}:{port or _DEFAULT_PORT}"


def _other_scheme(url: str) -> str:
    return "redis:// (without TLS)" if url.startswith("rediss:") else "rediss:// (with TLS)"


def _wrong(problem: str) -> ConfigurationError:
    return ConfigurationError(
        f"TRINETRA_REDIS_URL cannot be used: {problem}. "
        "It should look like redis://user:password@host:6379/0"
    )


def _connections(url: str) -> Redis:
    try:
        redis: Redis = Redis.from_url(
            url,
            # Replies have one shape, and old servers can still tell their version.
            protocol=2,
            socket_timeout=None,
            socket_connect_timeout=None,
            # Repeating is for those who know what was asked: services do it.
            retry=Retry(NoBackoff(), 0),
        )
        redis.connection_pool.make_connection()  # type: ignore[no-untyped-call]
    except (TypeError, ValueError, RedisError):
        raise _wrong("one of its ssl_* options is unknown, or has a wrong value") from None
    return redis


def _check_version(version: str, where: str) -> None:
    found = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if found < _OLDEST:
        raise ConfigurationError(
            f"Redis at {where} is version {version}; the frame buffer needs 6.2 or newer "
            "(for XAUTOCLAIM)"
        )
