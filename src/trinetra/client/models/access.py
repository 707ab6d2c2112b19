"""The caller, users, API tokens, and the log of operations."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from trinetra.client.models.base import Resource


class Session(Resource):
    """The authenticated caller: a user or a token, the role and what it permits."""

    name: str
    role: str
    permissions: tuple[str, ...]
    csrf_token: str | None = Field(
        default=None, description="To be sent as X-CSRF-Token with every change by a session."
    )


class UserInfo(Resource):
    """A user; ``sites`` are those the user may see, ``*`` stands for all."""

    id: str
    name: str
    role: str
    sites: tuple[str, ...]
    created_at: AwareDatetime
    is_disabled: bool = False
    has_password: bool = True
    uses_single_sign_on: bool = False


class UserDraft(Resource):
    """A user to be added; without a password the user logs in by single sign-on or a link."""

    name: str = Field(max_length=64)
    role: Literal["viewer", "operator", "privacy_officer", "admin"]
    password: str | None = Field(default=None, max_length=256, repr=False)
    sites: tuple[Annotated[str, Field(max_length=128)], ...] = Field(default=("*",), max_length=100)


class UserChange(Resource):
    """What to change of a user; the user's sessions end."""

    role: Literal["viewer", "operator", "privacy_officer", "admin"] | None = None
    sites: tuple[Annotated[str, Field(max_length=128)], ...] | None = Field(
        default=None, min_length=1, max_length=100
    )
    is_disabled: bool | None = None


class NewPassword(Resource):
    """A new password; ``current`` is needed for one's own."""

    password: str = Field(max_length=256, repr=False)
    current: str | None = Field(default=None, max_length=256, repr=False)


class TokenInfo(Resource):
    """An API token; ``prefix`` is its beginning, the rest is not kept."""

    id: str
    name: str
    prefix: str
    user: str
    scopes: tuple[str, ...]
    created_at: AwareDatetime
    expires_at: AwareDatetime
    used_at: AwareDatetime | None = None
    revoked_at: AwareDatetime | None = None


class TokenDraft(Resource):
    """An API token to be created for the caller; the scopes are permissions of the caller."""

    name: str = Field(min_length=1, max_length=100)
    scopes: tuple[Annotated[str, Field(max_length=40)], ...] = Field(min_length=1, max_length=50)
    days: int = Field(default=90, ge=1, le=366)


class NewToken(Resource):
    """A token that was created; ``token`` is shown only now."""

    token: str = Field(repr=False)
    info: TokenInfo


class TrailEntry(Resource):
    """A privileged operation; customers appear as digests."""

    number: int
    at: AwareDatetime
    by: str
    action: str
    subject: str
    detail: str = ""
