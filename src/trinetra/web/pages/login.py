"""Login, logout, the first user, and the preferences of a browser: pages without any script."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from starlette.responses import RedirectResponse

from trinetra.errors import TrinetraError
from trinetra.events.accounts import User
from trinetra.web.access import NotAuthenticated, NotPermitted, Principal, public, requires
from trinetra.web.locales import LANGUAGES, words_for
from trinetra.web.pages.page import caller_of, render
from trinetra.web.problems import (
    Conflict,
    Invalid,
    NotFound,
    TooManyRequests,
    headers_of,
    status_of,
)
from trinetra.web.security.csrf import refuse_foreign
from trinetra.web.security.next_page import safe_next
from trinetra.web.security.oidc import SingleSignOn
from trinetra.web.security.security import Security, security
from trinetra.web.security.sessions import (
    DEVICE,
    FLOW,
    SESSION,
    cookie_of,
    delete_cookie,
    is_secure,
    set_cookie,
)
from trinetra.web.security.visitor import visitor_of

router = APIRouter()
SEE_OTHER = 303
_CALLBACK = "/login/oidc/callback"
_PROVIDER_ERRORS = frozenset(
    {"access_denied", "login_required", "server_error", "temporarily_unavailable"}
)
_YEAR_S = 365 * 86_400
_THEMES = ("auto", "light", "dark")
_Text = Annotated[str, Form(max_length=300)]
_Key = Annotated[str, Query(max_length=100)]
_Next = Annotated[str, Query(alias="next", max_length=2000)]


@router.get("/login")
@public
async def login_page(
    request: Request, access: Annotated[Security, security], next_: _Next = "/"
) -> Response:
    """Return the login page; the page itself to a caller who is logged in."""
    if await caller_of(request):
        return RedirectResponse(safe_next(next_), SEE_OTHER)
    return _login_form(request, access, next_)


@router.post("/login")
@public
async def log_in(
    request: Request,
    access: Annotated[Security, security],
    name: _Text,
    password: _Text,
    next_: Annotated[str, Form(alias="next", max_length=2000)] = "/",
) -> Response:
    """Start a session."""
    refuse_foreign(request)
    try:
        user = await access.accounts.log_in(name, password, visitor_of(request))
        refuse_elsewhere(access, user)
    except (NotAuthenticated, NotPermitted, TooManyRequests) as failure:
        return _login_form(request, access, next_, name, failure)
    await access.trail.record(user.name, "log_in", user.name)
    return await begin_session(request, access, user, next_)


@router.get("/login/link")
@public
async def login_link_page(request: Request, key: _Key = "") -> Response:
    """Return the page of a one-time link: previews of a link must not use it up."""
    return render(request, "login_link.html", words_for(request, None), None, key=key)


@router.post("/login/link")
@public
async def log_in_by_link(
    request: Request, access: Annotated[Security, security], key: _Text
) -> Response:
    """Start a session by a one-time link."""
    refuse_foreign(request)
    try:
        user = await access.accounts.log_in_by_link(key)
        refuse_elsewhere(access, user)
    except (NotAuthenticated, NotPermitted) as failure:
        return _login_form(request, access, failure=failure)
    await access.trail.record(user.name, "log_in", user.name, "by a one-time link")
    return await begin_session(request, access, user, "/")


@router.get("/login/oidc")
@public
async def begin_single_sign_on(
    request: Request, access: Annotated[Security, security], next_: _Next = "/"
) -> Response:
    """Send the browser to the OpenID provider."""
    provider = _provider(access)
    base = access.external_url or f"{request.url.scheme}://{request.url.netloc}"
    address, binding = await provider.begin(f"{base}{_CALLBACK}", safe_next(next_))
    answer = RedirectResponse(address, SEE_OTHER)
    set_cookie(request, answer, FLOW, binding)
    return answer


@router.get(_CALLBACK)
@public
async def end_single_sign_on(
    request: Request,
    access: Annotated[Security, security],
    state: Annotated[str, Query(max_length=200)] = "",
    code: Annotated[str, Query(max_length=4000)] = "",
    error: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Start a session for the user that the OpenID provider sends back."""
    provider = _provider(access)
    try:
        if error:
            refuse_provider_error(error)
        identity = await provider.finish(state, code, cookie_of(request, FLOW))
        user = await access.accounts.log_in_by_provider(identity)
        refuse_elsewhere(access, user)
    except (NotAuthenticated, NotPermitted, Conflict) as failure:
        return _login_form(request, access, failure=failure)
    await access.trail.record(user.name, "log_in", user.name, "by single sign-on")
    answer = await begin_session(request, access, user, identity.next_page)
    delete_cookie(request, answer, FLOW)
    return answer


@router.get("/welcome")
@public
async def welcome(
    request: Request, access: Annotated[Security, security], key: _Key = ""
) -> Response:
    """Return the page where the first user is created."""
    is_valid = bool(key) and await access.accounts.has_first_user_link(key)
    return _welcome_form(request, key, is_valid=is_valid)


@router.post("/welcome")
@public
async def create_first_user(
    request: Request,
    access: Annotated[Security, security],
    key: _Text,
    name: _Text,
    password: _Text,
    again: _Text,
) -> Response:
    """Create the first user, an administrator, and start a session."""
    refuse_foreign(request)
    try:
        refuse_different(password, again)
        user = await access.accounts.add_first(key, name, password)
    except (Invalid, Conflict, NotAuthenticated) as failure:
        is_valid = await access.accounts.has_first_user_link(key)
        return _welcome_form(request, key, is_valid=is_valid, name=name, failure=failure)
    await access.trail.record(user.name, "add_user", user.name, "first user, admin")
    return await begin_session(request, access, user, "/")


@router.post("/logout")
async def log_out(
    request: Request,
    access: Annotated[Security, security],
    _caller: Annotated[Principal, requires()],
) -> Response:
    """End the session."""
    if session_id := cookie_of(request, SESSION):
        await access.sessions.end(session_id)
    answer = RedirectResponse("/login", SEE_OTHER)
    delete_cookie(request, answer, SESSION)
    answer.headers["Clear-Site-Data"] = '"cache"'
    return answer


@router.post("/preferences")
async def set_preferences(
    request: Request,
    _caller: Annotated[Principal, requires()],
    language: _Text = "",
    theme: _Text = "auto",
    back: _Text = "/",
) -> Response:
    """Keep language and colors in this browser."""
    answer = RedirectResponse(safe_next(back), SEE_OTHER)
    for name, value, known in (
        ("trinetra_language", language, LANGUAGES),
        ("trinetra_theme", theme, _THEMES),
    ):
        if value in known:
            answer.set_cookie(
                name, value, max_age=_YEAR_S, secure=is_secure(request), samesite="lax"
            )
    return answer


def refuse_different(password: str, again: str) -> None:
    """Raise Invalid for two passwords that should be the same."""
    if password != again:
        raise Invalid("the two passwords differ; type the same one twice")


def refuse_provider_error(error: str) -> None:
    """Raise NotAuthenticated for an error that a provider sent the browser back with."""
    known = error if error in _PROVIDER_ERRORS else "an error"
    raise NotAuthenticated(f"the provider refused the login: {known}")


def _provider(access: Security) -> SingleSignOn:
    if access.single_sign_on is None:
        raise NotFound("there is no single sign-on here")
    return access.single_sign_on


def refuse_elsewhere(access: Security, user: User) -> None:
    """Raise NotPermitted for a user who may not see this site."""
    if not user.sees(access.site_id):
        raise NotPermitted(f"{user.name} may not see {access.site_id}; ask an administrator")


async def begin_session(
    request: Request, access: Security, user: User, next_page: str
) -> RedirectResponse:
    """Return the way to a page, with the cookies of a new session."""
    session_id = await access.sessions.start(user, cookie_of(request, SESSION))
    answer = RedirectResponse(safe_next(next_page), SEE_OTHER)
    set_cookie(request, answer, SESSION, session_id)
    set_cookie(request, answer, DEVICE, await access.accounts.device_cookie(user))
    return answer


def _login_form(
    request: Request,
    access: Security,
    next_: str = "/",
    name: str = "",
    failure: TrinetraError | None = None,
) -> Response:
    provider = access.single_sign_on
    answer = render(
        request,
        "login.html",
        words_for(request, None),
        None,
        200 if failure is None else status_of(failure),
        next_page=safe_next(next_),
        name=name,
        failure=failure,
        provider=provider.provider.label if provider else None,
        wait_s=round(failure.retry_after_s) if isinstance(failure, TooManyRequests) else None,
    )
    if failure is not None:
        answer.headers.update(headers_of(failure))
    return answer


def _welcome_form(
    request: Request,
    key: str,
    *,
    is_valid: bool,
    name: str = "",
    failure: TrinetraError | None = None,
) -> Response:
    status = 200 if failure is None else status_of(failure)
    if failure is None and not is_valid:
        status = status_of(NotAuthenticated())
    return render(
        request,
        "welcome.html",
        words_for(request, None),
        None,
        status,
        key=key,
        is_valid=is_valid,
        name=name,
        failure=failure,
    )
