"""One port for the web and for what a process tells of itself: health, metrics, raw events."""

import secrets

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from trinetra.web.access import Authenticator, Permission
from trinetra.web.problems import problem

_EVENTS, _METRICS = "/events", "/metrics"
_OF_PROCESS = frozenset({_EVENTS, _METRICS, "/health/live", "/health/ready"})


class Front:
    """Passes requests to the web, or to the pages about the process.

    Health is open. Metrics name no person; they are open unless there is a token for them. Events
    have pseudonyms of people, and need a permission.
    """

    def __init__(
        self,
        web: ASGIApp,
        process: ASGIApp,
        authenticator: Authenticator,
        metrics_token: str | None = None,
    ) -> None:
        self._web = web
        self._process = process
        self._authenticator = authenticator
        self._metrics_token = metrics_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["path"] not in _OF_PROCESS:
            await self._web(scope, receive, send)
            return
        request = Request(scope, receive)
        if not await self._may_read(request):
            refusal = problem(
                request,
                401,
                "log in, or send a token that may read this: Authorization: Bearer TOKEN",
                {"WWW-Authenticate": "Bearer"},
            )
            await refusal(scope, receive, send)
            return
        await self._process(scope, receive, send)

    async def _may_read(self, request: Request) -> bool:
        if request.url.path == _METRICS and self._metrics_token is not None:
            given = request.headers.get("authorization", "").encode()
            return secrets.compare_digest(given, f"Bearer {self._metrics_token}".encode())
        if request.url.path == _EVENTS:
            caller = await self._authenticator.authenticate(request)
            return caller is not None and caller.may(Permission.READ_EVENTS)
        return True
