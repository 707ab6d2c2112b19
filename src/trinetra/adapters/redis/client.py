"""Redis client with a deadline for every command; translates errors to ``trinetra.errors``."""

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

_OLDEST_VERSION = (6, 2)
_DEFAULT_PORT = 6379
_CLUSTER_ERRORS = ("MOVED", "CROSSSLOT", "ASK")
# The server closed the connection during the TLS handshake. It also does so while it shuts down,
# so this is no proof that TLS is configured wrongly.
_CONNECTION_CLOSED = (ssl.SSLEOFError, ssl.SSLZeroReturnError)


class RedisClient:
    """Connections to one server; create one with ``open``.

    ``redis`` itself has no timeouts, because some commands block on purpose: use it within
    ``answering``, which sets a deadline.
    """

    def __init__(self, redis: Redis, where: str, answer_s: float) -> None:
        self.redis = redis
        self.where = where
        self._answer_s = answer_s

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, answer_s: float) -> AsyncIterator["RedisClient"]:
        """Connect, and check that the server is usable.

        Raises BufferUnavailable when no server answers within ``answer_s``, ConfigurationError when
        the URL, the login or the server's version is wrong. No message repeats the URL, which may
        contain a password.
        """
        where = checked_address(url)
        async with _connections(url) as redis:
            client = cls(redis, where, answer_s)
            try:
                version = await client.version()
            except BufferUnavailable as cause:
                # A server that gets TLS when it expects plain text, or the reverse, often just
                # does not answer.
                raise BufferUnavailable(
                    f"{cause}; if Redis is running there, TRINETRA_REDIS_URL may have to begin "
                    f"with {_other_scheme(url)}"
                ) from cause
            _check_version(version, where)
            yield client

    async def version(self) -> str:
        """Return the server's version; Valkey reports the Redis version it is compatible with."""
        async with self.answering():
            return str((await self.redis.info("server"))["redis_version"])

    @asynccontextmanager
    async def answering(self, extra_s: float = 0.0) -> AsyncIterator[None]:
        """Bound the commands in the block to ``answer_s``, plus ``extra_s`` if they block.

        When the time is up the connection is closed, and the next command opens a new one. Without
        this a peer that vanished without closing its connection would block the caller for minutes.
        Raises BufferUnavailable or ConfigurationError.
        """
        try:
            async with asyncio.timeout(self._answer_s + extra_s):
                yield
        except TimeoutError:
            raise BufferUnavailable(
                f"Redis at {self.where} did not answer within {self._answer_s:g} s"
            ) from None
        except (RedisError, OSError) as cause:
            raise self._translated(cause) from cause

    def _translated(self, cause: RedisError | OSError) -> TrinetraError:
        for diagnose in (_login_problem, _reply_problem, _tls_problem):
            if problem := diagnose(cause):
                return ConfigurationError(f"Redis at {self.where} {problem}")
        return BufferUnavailable(f"Redis at {self.where} does not answer: {cause}")


def _login_problem(cause: Exception) -> str | None:
    if isinstance(cause, AuthenticationError | AuthorizationError):
        return (
            f"refuses the login ({cause}): set the right user and password in "
            "TRINETRA_REDIS_URL, with special characters encoded as %XX"
        )
    if isinstance(cause, NoPermissionError):
        return (
            f"forbids a command that the frame buffer needs ({cause}): grant the user's ACL "
            "+@connection +@stream +@scripting +info +time +get +set for the keys ~*frames:* and "
            "~*trinetra:*"
        )
    return None


def _reply_problem(cause: Exception) -> str | None:
    if isinstance(cause, InvalidResponse):
        return "is not Redis, or requires TLS: correct TRINETRA_REDIS_URL (rediss:// uses TLS)"
    reason = str(cause) if isinstance(cause, ResponseError) else ""
    if reason.startswith("WRONGTYPE"):
        return (
            "already uses the keys of the frame buffer for other data: set TRINETRA_NAMESPACE to "
            "separate them, or use another database number"
        )
    if reason.startswith(_CLUSTER_ERRORS):
        return "is part of a Redis Cluster; the frame buffer needs a standalone server"
    if "DB index" in reason:
        return "has no such database: correct the number at the end of TRINETRA_REDIS_URL"
    return None


def _tls_problem(cause: Exception) -> str | None:
    failure = cause.__context__
    if isinstance(failure, FileNotFoundError | PermissionError):
        return (
            "was not contacted: the file of an ssl_* option in TRINETRA_REDIS_URL cannot be read; "
            "correct its path or permissions"
        )
    if isinstance(failure, ssl.SSLError) and not isinstance(failure, _CONNECTION_CLOSED):
        return (
            f"failed the TLS handshake ({failure.reason or failure}): use redis:// for a server "
            "without TLS, or set the certificate of its authority "
            "(TRINETRA_REDIS_URL=...?ssl_ca_certs=FILE)"
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
        raise _unusable(
            "its port is not a number, or a special character is not encoded as %XX"
        ) from None
    if parts.scheme not in {"redis", "rediss"}:
        raise _unusable("it does not begin with redis:// or rediss:// (with TLS)")
    if not parts.hostname or parts.fragment:
        raise _unusable("it has no host, or a special character is not encoded as %XX")
    if not re.fullmatch(r"/?\d*", parts.path):
        raise _unusable("the part after the host is not a database number")
    if unknown := [name for name in options if not name.startswith("ssl_")]:
        raise _unusable(f"it may only have ssl_* options, not {', '.join(unknown)}")
    return f"{parts.hostname}:{port or _DEFAULT_PORT}"


def _other_scheme(url: str) -> str:
    return "redis:// (without TLS)" if url.startswith("rediss:") else "rediss:// (with TLS)"


def _unusable(problem: str) -> ConfigurationError:
    return ConfigurationError(
        f"TRINETRA_REDIS_URL cannot be used: {problem}. "
        "It should look like redis://user:password@host:6379/0"
    )


def _connections(url: str) -> Redis:
    try:
        redis: Redis = Redis.from_url(
            url,
            # RESP2 works with every server, so an outdated one can still report its version.
            protocol=2,
            socket_timeout=None,
            socket_connect_timeout=None,
            # The client must not retry: only the services know which operations may be repeated.
            retry=Retry(NoBackoff(), 0),
        )
        redis.connection_pool.make_connection()  # type: ignore[no-untyped-call]
    except (TypeError, ValueError, RedisError):
        raise _unusable("one of its ssl_* options is unknown or has an invalid value") from None
    return redis


def _check_version(version: str, where: str) -> None:
    found = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if found < _OLDEST_VERSION:
        raise ConfigurationError(
            f"Redis at {where} is version {version}; the frame buffer needs 6.2 or newer "
            "(for XAUTOCLAIM)"
        )
