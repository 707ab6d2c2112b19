"""``/v1/users``: who may log in, with which role, to see which sites."""

from typing import Annotated

from fastapi import APIRouter, Path, Request

from trinetra.client.models import NewPassword, Page, UserChange, UserDraft, UserInfo
from trinetra.events.accounts import User
from trinetra.web.access import Permission, Principal, Role, requires
from trinetra.web.problems import Invalid
from trinetra.web.security.security import Security, security
from trinetra.web.security.visitor import visitor_of

router = APIRouter(tags=["users"])
_Id = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")]
_Manager = Annotated[Principal, requires(Permission.MANAGE_USERS)]


@router.get("/users")
async def list_users(_caller: _Manager, access: Annotated[Security, security]) -> Page[UserInfo]:
    """Return all users, by name."""
    return Page[UserInfo](items=tuple(map(user_info, await access.accounts.users())))


@router.post("/users", status_code=201)
async def add_user(
    caller: _Manager, access: Annotated[Security, security], draft: UserDraft
) -> UserInfo:
    """Add a user."""
    role = Role(draft.role)
    user = await access.accounts.add(draft.name, role, draft.password, draft.sites)
    await access.trail.record(caller.name, "add_user", user.name, _rights(user))
    return user_info(user)


@router.patch("/users/{user_id}")
async def change_user(
    user_id: _Id, caller: _Manager, access: Annotated[Security, security], change: UserChange
) -> UserInfo:
    """Change role, sites or state of a user, and end the user's sessions.

    The last administrator stays one.
    """
    given = {name: value for name, value in change.model_dump().items() if value is not None}
    user = await access.accounts.change(await access.accounts.user(user_id), **given)
    await access.trail.record(caller.name, "change_user", user.name, _rights(user))
    return user_info(user)


@router.put("/users/{user_id}/password", status_code=204)
async def set_password(
    user_id: _Id, caller: _Manager, access: Annotated[Security, security], new: NewPassword
) -> None:
    """Set the password of a user, and end the user's sessions."""
    user = await access.accounts.set_password(await access.accounts.user(user_id), new.password)
    await access.trail.record(caller.name, "set_password", user.name)


@router.put("/session/password", status_code=204)
async def set_own_password(
    request: Request,
    caller: Annotated[Principal, requires()],
    access: Annotated[Security, security],
    new: NewPassword,
) -> None:
    """Set the caller's own password, and end all of the caller's sessions."""
    if caller.csrf_token is None:
        raise Invalid("only a user who is logged in by a session can change the own password")
    user = await access.accounts.user(caller.user_id)
    await access.accounts.log_in(user.name, new.current or "", visitor_of(request))
    await access.accounts.set_password(user, new.password)
    await access.trail.record(caller.name, "set_password", user.name)


def user_info(user: User) -> UserInfo:
    """Return what may be told of a user."""
    return UserInfo(
        id=user.user_id,
        name=user.name,
        role=user.role,
        sites=user.sites,
        created_at=user.created_at,
        is_disabled=user.is_disabled,
        has_password=user.password_hash is not None,
        uses_single_sign_on=user.subject is not None,
    )


def _rights(user: User) -> str:
    state = "disabled" if user.is_disabled else "enabled"
    return f"{user.role}, sites {' '.join(user.sites)}, {state}"
