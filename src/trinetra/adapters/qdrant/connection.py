"""Calls to a Qdrant server with deadline, one retry and circuit breaker."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

import grpc  # type: ignore[import-untyped]  # grpcio comes without types
import numpy as np
from qdrant_client.async_qdrant_remote import AsyncQdrantRemote
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException

from trinetra.errors import ConfigurationError, GalleryUnavailable
from trinetra.redaction import mask_urls
from trinetra.streaming.circuit_breaker import CircuitBreaker, RetryBudget
from trinetra.telemetry import GALLERY_AVAILABILITY, get_logger

# ValueError: the client raises it, or pydantic's subclass of it, for a reply it cannot parse.
VENDOR_ERRORS = (grpc.aio.AioRpcError, QdrantException, ApiException, ValueError)

_GRPC_PORT = 6334
_REST_PORT = 6333
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_CHANNEL_OPTIONS = {
    # By default a channel waits up to two minutes to reconnect: a restored server would go unused.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 1_000,
    "grpc.min_reconnect_backoff_ms": 2_000,  # how long one attempt to connect may take
    # An unplugged cable closes no connection. Calls notice it by their deadlines, so pings may be
    # rare: servers disconnect clients that ping often, or while no call is active.
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 3_000,
    "grpc.keepalive_permit_without_calls": 0,
    # Faces must not pass through a web proxy.
    "grpc.enable_http_proxy": 0,
}
_TRANSIENT = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    }
)
_DENIED = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})

T = TypeVar("T")

log = get_logger("gallery")


@dataclass(frozen=True, slots=True)
class ServerPatience:
    """Deadlines of calls, in seconds, and the parameters of the circuit breaker and the retries.

    A deadline applies to a whole call, including its retry. After ``failures_to_open`` consecutive
    failures, calls fail at once for ``first_open_s``, doubling up to ``most_open_s``; the first
    call after that is the probe. Retries are at most ``retry_share`` of the calls.

    The resolver has its own pause: it does not search for 2 s after a failure. Calls that it does
    not pause, such as enrollment and expiry, are rejected by the circuit breaker. The first open
    period is shorter than that pause, so it does not prolong a short outage; with the longest, a
    restored server is found within 4 s, plus 2 s if the resolver has just begun to pause.
    """

    search_s: float = 1.0
    write_s: float = 5.0
    prepare_s: float = 5.0
    failures_to_open: int = 3
    first_open_s: float = 1.0
    most_open_s: float = 4.0
    retry_share: float = 0.1
    retry_after_s: float = 0.05


class Endpoint(NamedTuple):
    """The address at which a server accepts gRPC."""

    host: str
    port: int
    secure: bool

    @classmethod
    def parse(cls, url: str) -> "Endpoint":
        """Return the endpoint of ``http[s]://host[:6334]``. Raises ConfigurationError."""
        try:
            parts = urlsplit(url)
            port = parts.port or _GRPC_PORT
        except ValueError as cause:
            raise _unusable(url, "it is not a URL") from cause
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise _unusable(url, "it does not begin with http:// or https:// and a host")
        if parts.username or parts.password:
            raise _unusable(
                url, "it contains a user or a password; set TRINETRA_QDRANT_API_KEY instead"
            )
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise _unusable(url, "it continues after the port")
        if port == _REST_PORT:
            raise _unusable(url, f"{_REST_PORT} is the REST port")
        return cls(parts.hostname, port, parts.scheme == "https")

    def __str__(self) -> str:
        """Return the URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.secure else ''}://{host}:{self.port}"


def _unusable(url: str, fault: str) -> ConfigurationError:
    return ConfigurationError(
        f"the URL {mask_urls(url)!r} of the Qdrant server cannot be used: {fault}; use the gRPC "
        f"port, as in http://qdrant:{_GRPC_PORT}"
    )


class Refused(GalleryUnavailable):
    """The server answers, but refuses the request."""


class Denied(Refused):
    """The server rejects the API key."""


def connect(endpoint: Endpoint, api_key: str | None, patience: ServerPatience) -> AsyncQdrantRemote:
    """Return a client, which connects at its first use. Raises ConfigurationError."""
    if api_key and not (api_key.isascii() and api_key.isprintable()):
        # gRPC would reject it too, but would show the key in its error.
        raise ConfigurationError(
            "the API key of the gallery contains characters that are not allowed in a header, "
            "perhaps a line break at its end; correct TRINETRA_QDRANT_API_KEY"
        )
    if api_key and not endpoint.secure and endpoint.host not in _LOOPBACK:
        log.warning("the API key of the gallery is sent unencrypted", url=str(endpoint))
    longest_s = max(patience.search_s, patience.write_s, patience.prepare_s)
    return AsyncQdrantRemote(
        host=f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host,
        grpc_port=endpoint.port,
        prefer_grpc=True,
        https=endpoint.secure,
        # A header, because the api_key parameter would log a warning that repeats ours above.
        headers={"api-key": api_key} if api_key else None,
        timeout=math.ceil(longest_s) + 1,  # whole seconds; each call has its own, shorter one
        grpc_options=dict(_CHANNEL_OPTIONS),
        pool_size=1,  # channels to one server share their connection anyway
        check_compatibility=False,  # uses REST in a thread and only warns; ``prepare`` checks
    )


class GuardedCalls:
    """Calls to one server with deadline, retry, circuit breaker and translated errors."""

    def __init__(self, where: str, patience: ServerPatience) -> None:
        self._where = where
        self._retry_after_s = patience.retry_after_s
        self._absence = "it was not called yet"
        self._breaker = CircuitBreaker(
            failures_to_open=patience.failures_to_open,
            first_open_s=patience.first_open_s,
            most_open_s=patience.most_open_s,
        )
        self._budget = RetryBudget(share=patience.retry_share, most_saved=10.0)
        self._random = np.random.default_rng()

    async def make(self, what: str, timeout_s: float, send: Callable[[], Awaitable[T]]) -> T:
        """Make an idempotent call, which may be retried once. Raises GalleryUnavailable."""
        if not self._breaker.admits(self._now()):
            raise GalleryUnavailable(
                f"the gallery is not called for a moment after failures: {self._absence}"
            )
        self._budget.note_call()
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._with_a_retry(send)
        except TimeoutError as cause:
            raise self._away(f"did not answer {what} within {timeout_s:g} s") from cause
        except VENDOR_ERRORS as cause:
            raise self._failure(what, cause) from cause
        except BaseException:  # cancelled, or an error that does not come from the server
            self._breaker.abandoned()
            raise
        self._breaker.succeeded()
        GALLERY_AVAILABILITY.note(True)
        return answer

    async def look(self, what: str, timeout_s: float, send: Callable[[], Awaitable[T]]) -> T:
        """Make a monitoring call once, without effect on the circuit breaker.

        Raises GalleryUnavailable.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await send()
        except TimeoutError as cause:
            raise GalleryUnavailable(
                f"the gallery {self._where} did not answer {what} within {timeout_s:g} s"
            ) from cause
        except VENDOR_ERRORS as cause:
            raise GalleryUnavailable(
                f"the gallery {self._where} failed at {what}: {_detail(cause)}"
            ) from cause

    async def _with_a_retry(self, send: Callable[[], Awaitable[T]]) -> T:
        try:
            return await send()
        except VENDOR_ERRORS as cause:
            if not _is_transient(cause) or not self._breaker.is_closed or not self._budget.spend():
                raise
        # Jitter, so that resolvers that failed at the same time do not retry at the same time.
        await asyncio.sleep(self._random.uniform(0.5, 1.5) * self._retry_after_s)
        return await send()

    def _failure(self, what: str, cause: Exception) -> GalleryUnavailable:
        detail = _detail(cause)
        if _is_disk_full(cause):
            # Not StorageFull, which would end this service although the disk is another machine's.
            self._breaker.succeeded()
            return GalleryUnavailable(
                f"the disk of the gallery server {self._where} is full at {what}: {detail}; free "
                "some space there, then pending entries are written"
            )
        if _is_transient(cause):
            return self._away(f"failed at {what}: {detail}")
        self._breaker.succeeded()
        refusal = f"the gallery {self._where} refused {what}: {detail}"
        return Denied(refusal) if _code(cause) in _DENIED else Refused(refusal)

    def _away(self, complaint: str) -> GalleryUnavailable:
        self._absence = f"{self._where} {complaint}"
        self._breaker.failed(self._now())
        GALLERY_AVAILABILITY.note(False)
        return GalleryUnavailable(f"the gallery {self._absence}")

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _code(cause: Exception) -> grpc.StatusCode | None:
    return cause.code() if isinstance(cause, grpc.aio.AioRpcError) else None


def _is_transient(cause: Exception) -> bool:
    """Return whether a retry of the same call may succeed."""
    if isinstance(cause, grpc.aio.AioRpcError):
        return cause.code() in _TRANSIENT and not _is_disk_full(cause)
    return not isinstance(cause, ValueError)


def _is_disk_full(cause: Exception) -> bool:
    return "No space left" in _detail(cause)  # the server has no status code for it


def _detail(cause: Exception) -> str:
    if isinstance(cause, grpc.aio.AioRpcError):
        return f"{cause.details()} ({cause.code().name})"
    return str(cause)
