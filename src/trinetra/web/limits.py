"""Limits of every request: its size, and how many a caller may send."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from trinetra.web.problems import problem
from trinetra.web.security.sessions import SESSION, cookie_of

MAX_BODY_BYTES = 64 << 10
"""Of a request; a route of uploads has its own limit: ``@router.post(..., max_body_size=...)``."""
_TOO_MANY = 429
_MAX_CALLERS = 10_000
_LOGINS = frozenset({"/login", "/login/link", "/welcome"})


class Rate(NamedTuple):
    """Requests per second in the long run, and at once."""

    per_s: float
    burst: float


CALLER = Rate(50, 200)
ADDRESS = Rate(300, 1500)
"""More, since many people may share an address."""
LOGIN = Rate(1, 20)


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at_s: float


@dataclass
class Buckets:
    """Token buckets of callers; those that were not used for longest are forgotten."""

    rate: Rate
    max_callers: int = _MAX_CALLERS
    _buckets: OrderedDict[str, _Bucket] = field(default_factory=OrderedDict)

    def wait_s(self, caller: str, now_s: float) -> float:
        """Take a token; return 0, or the seconds until there is one again."""
        bucket = self._buckets.pop(caller, None) or _Bucket(self.rate.burst, now_s)
        self._buckets[caller] = bucket
        if len(self._buckets) > self.max_callers:
            self._buckets.popitem(last=False)
        gained = (now_s - bucket.at_s) * self.rate.per_s
        bucket.tokens, bucket.at_s = min(self.rate.burst, bucket.tokens + gained), now_s
        if bucket.tokens < 1:
            return (1 - bucket.tokens) / self.rate.per_s
        bucket.tokens -= 1
        return 0.0


class RateLimit:
    """Answers 429 to callers who send too many requests to the API, or too many logins.

    A caller is who sends a credential, whether or not it is valid; all requests of an address are
    limited too, so that inventing credentials gains nothing.
    """

    def __init__(self, app: ASGIApp, monotonic: Callable[[], float]) -> None:
        self._app = app
        self._monotonic = monotonic
        self._callers, self._addresses, self._logins = map(Buckets, (CALLER, ADDRESS, LOGIN))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        wait_s = self._wait_s(Request(scope)) if scope["type"] == "http" else 0.0
        if wait_s <= 0:
            await self._app(scope, receive, send)
            return
        seconds = max(1, round(wait_s))
        refusal = problem(
            Request(scope),
            _TOO_MANY,
            f"too many requests; wait {seconds} s",
            {"Retry-After": str(seconds)},
        )
        await refusal(scope, receive, send)

    def _wait_s(self, request: Request) -> float:
        now_s, path = self._monotonic(), request.url.path
        address = request.client.host if request.client else ""
        if path in _LOGINS and request.method == "POST":
            return self._logins.wait_s(address, now_s)
        if not path.startswith("/v1/"):
            return 0.0
        waits = [self._addresses.wait_s(address, now_s)]
        if credential := request.headers.get("authorization") or cookie_of(request, SESSION):
            digest = hashlib.sha256(credential.encode()).hexdigest()
            waits.append(self._callers.wait_s(digest, now_s))
        return max(waits)
