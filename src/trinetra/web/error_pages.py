"""Answers of pages to failed requests: a page, a way to log in, or a part that htmx shows."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from starlette.responses import RedirectResponse

from trinetra.web.locales import words_for
from trinetra.web.pages.page import render
from trinetra.web.security.csrf import is_change
from trinetra.web.security.next_page import login_address

_SEE_OTHER = 303
_SECRET = frozenset({"password", "again", "current", "key", "token"})
"""Fields that are not sent back to the browser; a form that fills one has to be sent from there."""
_RESENT = "application/x-www-form-urlencoded"
Handler = Callable[[Request, Exception], Awaitable[Response]]


def install(app: FastAPI) -> None:
    """Let requests of pages be answered by pages; those of the API keep their documents."""
    for kind, handler in list(app.exception_handlers.items()):
        app.add_exception_handler(kind, _for_pages(handler))


def _for_pages(handler: Any) -> Handler:
    async def answer(request: Request, failure: Exception) -> Response:
        document: Response = await handler(request, failure)
        if not _is_page(request):
            return document
        told = msgspec.json.decode(bytes(document.body), type=dict[str, Any])
        page = await _page(request, document.status_code, told)
        page.headers.update(_kept(document.headers))
        return page

    return answer


def _is_page(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    wants_page = "text/html" in accepted or "hx-request" in request.headers
    return wants_page and not request.url.path.startswith("/v1/")


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {"Retry-After": headers["retry-after"]} if "retry-after" in headers else {}


async def _page(request: Request, status: int, told: Mapping[str, Any]) -> Response:
    is_part = "hx-request" in request.headers
    if status != HTTPStatus.UNAUTHORIZED:
        template = "error_part.html" if is_part else "error.html"
        return _rendered(request, template, status, detail=told["detail"], told=told)
    if is_change(request):  # what was typed must not be lost
        template = "session_over_part.html" if is_part else "session_over.html"
        return _rendered(request, template, status, fields=await _fields(request))
    address = login_address(_shown_page(request))
    if is_part:
        return Response(status_code=status, headers={"HX-Redirect": address})
    return RedirectResponse(address, _SEE_OTHER)


def _shown_page(request: Request) -> str:
    """Return the page that the user sees; htmx names it, since it asks for a part of it."""
    if "hx-request" in request.headers:
        shown = request.headers.get("hx-current-url", "/")
        return "/" + shown.partition("://")[2].partition("/")[2]
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{request.url.path}{query}"


def _rendered(request: Request, template: str, status: int, **context: Any) -> Response:
    caller = getattr(request.state, "principal", None)
    return render(request, template, words_for(request, caller), caller, status, **context)


async def _fields(request: Request) -> Sequence[tuple[str, str]] | None:
    """Return the fields of the form that was sent; None if it had files, or was none."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != _RESENT:
        return None
    form = await request.form()
    if any(form[name] for name in form if name in _SECRET):
        return None
    return [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
