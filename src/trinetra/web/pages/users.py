"""Users and tokens, the caller's own account, and the trail of privileged operations."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import ValidationError
from starlette.responses import RedirectResponse

from trinetra.client import ApiProblem
from trinetra.client.models import TokenDraft, UserChange, UserDraft
from trinetra.web.access import PERMISSIONS, Permission, Principal, Role, requires
from trinetra.web.pages.login import SEE_OTHER, begin_session
from trinetra.web.pages.page import Page, page
from trinetra.web.problems import NotFound
from trinetra.web.security.passwords import MIN_LENGTH
from trinetra.web.security.security import Security, security

router = APIRouter()
_Manager = Annotated[Principal, requires(Permission.MANAGE_USERS)]
_Text = Annotated[str, Form(max_length=300)]
_RoleName = Annotated[Literal["viewer", "operator", "privacy_officer", "admin"], Form()]
_Act = Callable[[], Awaitable[Any]]


@router.get("/users")
async def users(page: Annotated[Page, page], _caller: _Manager) -> Response:
    """Return the page of all users and tokens."""
    return await _users_page(page)


@router.post("/users")
async def add_user(
    page: Annotated[Page, page],
    _caller: _Manager,
    name: _Text,
    role: _RoleName,
    password: _Text = "",
    sites: _Text = "*",
) -> Response:
    """Add a user."""

    async def act() -> None:
        draft = UserDraft(name=name, role=role, password=password or None, sites=_ids(sites))
        await page.client.add_user(draft)

    return await _after(page, act, "/users", _users_page)


@router.post("/users/{user_id}")
async def change_user(
    page: Annotated[Page, page],
    _caller: _Manager,
    user_id: str,
    role: _RoleName,
    sites: _Text,
    password: _Text = "",
    *,
    is_disabled: Annotated[bool, Form()] = False,
) -> Response:
    """Change role, sites and state of a user, and the password if one is given."""

    async def act() -> None:
        change = UserChange(role=role, sites=_ids(sites), is_disabled=is_disabled)
        await page.client.change_user(user_id, change)
        if password:
            await page.client.set_password(user_id, password)

    return await _after(page, act, "/users", _users_page)


@router.post("/users/tokens/{token_id}/revoke")
async def revoke_any(page: Annotated[Page, page], _caller: _Manager, token_id: str) -> Response:
    """Revoke a token of any user."""
    return await _after(page, lambda: page.client.revoke_token(token_id), "/users", _users_page)


@router.get("/account")
async def account(page: Annotated[Page, page]) -> Response:
    """Return the page of the caller's own password and tokens."""
    return await _account_page(page)


@router.post("/account/tokens")
async def create_token(
    page: Annotated[Page, page],
    name: _Text,
    scopes: Annotated[list[str], Form(max_length=50)] = [],  # noqa: B006  FastAPI copies it
    days: Annotated[int, Form(ge=1, le=366)] = 90,
) -> Response:
    """Create a token of the caller, and show it once."""
    try:
        draft = TokenDraft(name=name, scopes=tuple(scopes), days=days)
        created = await page.client.create_token(draft)
    except (ApiProblem, ValidationError) as failure:
        return await _account_page(page, failure=_told(failure), status=_status(failure))
    return await _account_page(page, new_token=created.token)


@router.post("/account/tokens/{token_id}/revoke")
async def revoke_own(page: Annotated[Page, page], token_id: str) -> Response:
    """Revoke a token of the caller."""
    return await _after(page, lambda: page.client.revoke_token(token_id), "/account", _account_page)


@router.post("/account/password")
async def set_own_password(
    request: Request,
    page: Annotated[Page, page],
    access: Annotated[Security, security],
    current: _Text,
    password: _Text,
    again: _Text,
) -> Response:
    """Set the caller's password; every other session of the caller ends."""
    if password != again:
        told = page.words.translations.gettext("the two passwords differ; type the same one twice")
        return await _account_page(page, failure=told, status=422)
    try:
        await page.client.set_own_password(current, password)
    except ApiProblem as failure:
        told = str(failure.detail)
        return await _account_page(page, failure=told, status=422)
    user = await access.accounts.user(page.caller.user_id)
    return await begin_session(request, access, user, "/account")


@router.get("/trail")
async def trail(
    page: Annotated[Page, page],
    _caller: Annotated[Principal, requires(Permission.READ_TRAIL)],
    cursor: Annotated[str | None, Query(pattern=r"^[0-9]{1,15}$")] = None,
) -> Response:
    """Return the page of privileged operations."""
    site = await page.client.site()
    entries = await page.client.trail(cursor=cursor)
    return page.render("trail.html", site=site, entries=entries, is_first=cursor is None)


async def _users_page(page: Page, *, failure: str | None = None, status: int = 200) -> Response:
    site = await page.client.site()
    return page.render(
        "users.html",
        status,
        site=site,
        users=(await page.client.users()).items,
        tokens=(await page.client.tokens(of_all=True)).items,
        roles=list(Role),
        failure=failure,
        min_length=MIN_LENGTH,
    )


async def _account_page(
    page: Page, *, new_token: str | None = None, failure: str | None = None, status: int = 200
) -> Response:
    if not page.caller.user_id:
        raise NotFound("only users have an account")
    site = await page.client.site()
    return page.render(
        "account_page.html",
        status,
        site=site,
        soon=site.now + timedelta(days=14),
        tokens=(await page.client.tokens()).items,
        scopes=sorted(PERMISSIONS[page.caller.role]),
        new_token=new_token,
        failure=failure,
        min_length=MIN_LENGTH,
    )


async def _after(page: Page, act: _Act, address: str, show: Callable[..., Any]) -> Response:
    """Return the way back to a page after an operation; the page with the reason if it failed."""
    try:
        await act()
    except (ApiProblem, ValidationError) as failure:
        shown: Response = await show(page, failure=_told(failure), status=_status(failure))
        return shown
    return RedirectResponse(address, SEE_OTHER)


def _told(failure: ApiProblem | ValidationError) -> str:
    if isinstance(failure, ApiProblem):
        return failure.detail
    first = failure.errors()[0]
    return f"{'/'.join(map(str, first['loc']))}: {first['msg']}"


def _status(failure: ApiProblem | ValidationError) -> int:
    return failure.status if isinstance(failure, ApiProblem) else 422


def _ids(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split()) or ("*",)
