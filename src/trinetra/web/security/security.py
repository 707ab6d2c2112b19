"""Everything that the web needs to know callers, in one place: ``app.state.security``."""

from dataclasses import dataclass
from typing import Any

from fastapi import Depends, Request

from trinetra.web.access import Authenticator
from trinetra.web.problems import NotFound
from trinetra.web.security.accounts import Accounts
from trinetra.web.security.sessions import Sessions
from trinetra.web.security.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Security:
    """Users, their sessions and tokens, and who sends a request."""

    accounts: Accounts
    sessions: Sessions
    tokens: Tokens
    authenticator: Authenticator
    site_id: str


def _security(request: Request) -> Security:
    found: Security | None = request.app.state.security
    if found is None:
        raise NotFound("this server has no users")
    return found


security: Any = Depends(_security)
"""Provides users, sessions and tokens to an endpoint; raises NotFound if the app has none."""
