"""``/v1/tokens``: API tokens, with permissions of their user as scopes, and an expiry."""

from typing import Annotated

from fastapi import APIRouter, Path

from trinetra.client.models import NewToken, Page, TokenDraft, TokenInfo
from trinetra.events.accounts import TokenRecord
from trinetra.web.access import NotPermitted, Permission, Principal, requires
from trinetra.web.problems import Invalid, NotFound
from trinetra.web.security.security import Security, security

router = APIRouter(tags=["tokens"])
_Id = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")]


@router.get("/tokens")
async def list_tokens(
    caller: Annotated[Principal, requires()],
    access: Annotated[Security, security],
    *,
    of_all: bool = False,
) -> Page[TokenInfo]:
    """Return the caller's tokens, or those of all users; the newest first."""
    if of_all and not caller.may(Permission.MANAGE_USERS):
        raise NotPermitted("tokens of others need the permission users:write")
    names = {user.user_id: user.name for user in await access.accounts.users()}
    records = await access.tokens.of(None if of_all else caller.user_id)
    return Page[TokenInfo](items=tuple(token_info(r, names[r.user_id]) for r in records))


@router.post("/tokens", status_code=201)
async def create_token(
    caller: Annotated[Principal, requires()],
    access: Annotated[Security, security],
    draft: TokenDraft,
) -> NewToken:
    """Create a token for the caller; it is shown only in this answer.

    A token cannot create others, which would outlive it.
    """
    if caller.csrf_token is None:
        raise NotPermitted("log in to create a token; a token cannot create others")
    user = await access.accounts.user(caller.user_id)
    token, record = await access.tokens.create(
        user, draft.name, scopes_of(draft.scopes), draft.days
    )
    detail = f"{record.prefix}... {' '.join(record.scopes)} until {record.expires_at:%Y-%m-%d}"
    await access.trail.record(caller.name, "create_token", user.name, detail)
    return NewToken(token=token, info=token_info(record, user.name))


@router.delete("/tokens/{token_id}", status_code=204)
async def revoke_token(
    token_id: _Id, caller: Annotated[Principal, requires()], access: Annotated[Security, security]
) -> None:
    """Revoke a token of the caller; of any user with the permission to manage users."""
    everyones = caller.may(Permission.MANAGE_USERS)
    known = await access.tokens.of(None if everyones else caller.user_id)
    record = next((each for each in known if each.token_id == token_id), None)
    if record is None:
        raise NotFound(f"no token {token_id}")
    await access.tokens.revoke(token_id)
    await access.trail.record(caller.name, "revoke_token", record.name, f"{record.prefix}...")


def scopes_of(names: tuple[str, ...]) -> set[Permission]:
    """Return permissions by name. Raises Invalid for unknown ones."""
    if unknown := sorted(set(names) - set(Permission)):
        raise Invalid(f"no scope {', '.join(unknown)}; there are {', '.join(sorted(Permission))}")
    return {Permission(name) for name in names}


def token_info(record: TokenRecord, user: str) -> TokenInfo:
    """Return what may be told of a token."""
    return TokenInfo(
        id=record.token_id,
        name=record.name,
        prefix=record.prefix,
        user=user,
        scopes=record.scopes,
        created_at=record.created_at,
        expires_at=record.expires_at,
        used_at=record.used_at,
        revoked_at=record.revoked_at,
    )
