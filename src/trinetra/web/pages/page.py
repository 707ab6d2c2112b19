"""What every page needs: the caller, a client of ``/v1`` on the caller's behalf, and templates."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

import httpx
from fastapi import Depends, Request, Response
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from trinetra.client import AsyncClient
from trinetra.web.access import Principal, principal_of, requires
from trinetra.web.locales import Words, words_for
from trinetra.web.rendering import environment
from trinetra.web.told import translated

_FORWARDED = ("cookie", "host", "accept-language")


@dataclass(frozen=True, slots=True)
class Page:
    """A page that is being made for one caller."""

    request: Request
    caller: Principal
    client: AsyncClient
    words: Words

    def told(self, text: str) -> str:
        """Return a sentence of another layer in the language of the page."""
        return translated(text, self.words.text)

    def render(self, template: str, status: int = 200, **context: Any) -> Response:
        """Return the page, or a part of it, from a template."""
        return render(self.request, template, self.words, self.caller, status, **context)


async def _page(request: Request, caller: Annotated[Principal, requires()]) -> AsyncIterator[Page]:
    """Provide a page; its client calls this application directly, on the caller's behalf."""
    app = _SameCaller(request.app, caller)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    headers = {n: request.headers[n] for n in _FORWARDED if n in request.headers}
    origin = f"{request.url.scheme}://trinetra.internal"
    async with AsyncClient(origin, transport=transport, headers=headers) as client:
        yield Page(request, caller, client, words_for(request, caller))


class _SameCaller:
    """Passes requests on as those of a caller who is known, and whose request was checked."""

    def __init__(self, app: ASGIApp, caller: Principal) -> None:
        self._app = app
        self._caller = caller

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["principal"] = self._caller
        await self._app(scope, receive, send)


page: Any = Depends(_page)
"""Provides a page to its endpoint; raises NotAuthenticated without a caller."""


def render(
    request: Request,
    template: str,
    words: Words,
    caller: Principal | None,
    status: int = 200,
    **context: Any,
) -> Response:
    """Return a page from a template, also without a caller: the login page."""
    text = (
        environment(words)
        .get_template(template)
        .render(request=request, caller=caller, words=words, path=request.url.path, **context)
    )
    return HTMLResponse(text, status)


async def caller_of(request: Request) -> Principal | None:
    """Return the caller, None if there is none."""
    return await principal_of(request)
