"""Forged requests: a change by a session must come from our own pages and repeat its token.

Browsers send cookies with requests that other web sites cause. They also tell where a request comes
from (Sec-Fetch-Site, Origin). Requests with an API token need no check, since no browser adds one.
"""

import secrets
from urllib.parse import urlsplit

from fastapi import Request

from trinetra.web.access import NotPermitted

HEADER, FIELD = "X-CSRF-Token", "csrf_token"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


def is_change(request: Request) -> bool:
    """Return whether the method of a request may change something."""
    return request.method not in _SAFE_METHODS


def refuse_foreign(request: Request) -> None:
    """Raise NotPermitted if another web site caused this request."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    if site not in {"same-origin", "none"} or not _is_own(request, origin):
        raise NotPermitted("this request comes from another web site; open the page here again")


async def refuse_forged(request: Request, csrf_token: str) -> None:
    """Raise NotPermitted unless a change repeats the token of its session."""
    refuse_foreign(request)
    given = request.headers.get(HEADER) or await _from_form(request)
    if not secrets.compare_digest(given.encode(), csrf_token.encode()):
        raise NotPermitted(
            "the form belongs to another session, so nothing was changed; "
            f"load the page again (the API expects the header {HEADER})"
        )


def _is_own(request: Request, origin: str | None) -> bool:
    if origin is None:
        return True
    return urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()


async def _from_form(request: Request) -> str:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in _FORMS:
        return ""
    value = (await request.form()).get(FIELD)
    return value if isinstance(value, str) else ""
