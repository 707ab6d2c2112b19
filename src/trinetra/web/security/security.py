"""Everything that the web needs to know callers, in one place: ``app.state.security``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from fastapi import Depends, Request

from trinetra.client.models import TrailEntry
from trinetra.web.access import Authenticator
from trinetra.web.problems import NotFound
from trinetra.web.security.accounts import Accounts
from trinetra.web.security.oidc import SingleSignOn
from trinetra.web.security.sessions import Sessions
from trinetra.web.security.tokens import Tokens

TrailAction = Literal[
    "log_in",
    "add_user",
    "change_user",
    "set_password",
    "create_token",
    "revoke_token",
    "create_login_link",
    "change_setup",
]
"""Operations on users, tokens and the site file, as the log names them."""


class Trail(Protocol):
    """The log of privileged operations."""

    async def record(self, by: str, action: TrailAction, subject: str, detail: str = "") -> None:
        """Append an operation. Raises StorageFull or ConfigurationError."""

    async def read(self, before: int | None, limit: int) -> Sequence[TrailEntry]:
        """Return operations with a lower number than ``before``, the newest first."""


@dataclass(frozen=True, slots=True)
class Security:
    """Users, their sessions and tokens, who sends a request, and the log of what users do.

    ``external_url`` is the address of the web for browsers, if it is not that of the request.
    """

    accounts: Accounts
    sessions: Sessions
    tokens: Tokens
    authenticator: Authenticator
    site_id: str
    trail: Trail
    single_sign_on: SingleSignOn | None = None
    external_url: str | None = None


def _security(request: Request) -> Security:
    found: Security | None = request.app.state.security
    if found is None:
        raise NotFound("this server has no users")
    return found


security: Any = Depends(_security)
"""Provides users, sessions and tokens to an endpoint; raises NotFound if the app has none."""
