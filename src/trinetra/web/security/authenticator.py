"""Finds out who sends a request: by session cookie, API token, or the secret of this machine."""

import secrets
from dataclasses import dataclass

from fastapi import Request

from trinetra.events.accounts import SessionRecord, User
from trinetra.ports import Clock
from trinetra.web.access import PERMISSIONS, NotPermitted, Permission, Principal, Role
from trinetra.web.security.csrf import is_change, refuse_forged
from trinetra.web.security.local_secret import is_local_token
from trinetra.web.security.sessions import SESSION, Sessions, cookie_of
from trinetra.web.security.tokens import Tokens, token_principal


@dataclass(frozen=True, slots=True)
class Secrets:
    """Secrets of this installation besides those of users: None where there is none."""

    local: bytes | None = None
    transactions_token: str | None = None
    metrics_token: str | None = None


class AccountAuthenticator:
    """An Authenticator on the accounts of this installation."""

    def __init__(
        self, sessions: Sessions, tokens: Tokens, clock: Clock, site_id: str, secrets_: Secrets
    ) -> None:
        self._sessions = sessions
        self._tokens = tokens
        self._clock = clock
        self._site_id = site_id
        self._secrets = secrets_

    async def authenticate(self, request: Request) -> Principal | None:
        """Return the caller; None if no session and no token is valid.

        Raises NotPermitted for a change by a session that another web site may have caused, and
        for users who may not see this site.
        """
        if (authorization := request.headers.get("authorization")) is not None:
            return await self._by_bearer(authorization)
        session_id = cookie_of(request, SESSION)
        found = await self._sessions.find(session_id) if session_id else None
        if found is None:
            return None
        session, user = found
        self._refuse_elsewhere(user)
        if is_change(request):
            await refuse_forged(request, session.csrf_token)
        return session_principal(session, user)

    async def _by_bearer(self, authorization: str) -> Principal | None:
        kind, _, token = authorization.partition(" ")
        if kind.lower() != "bearer":
            return None
        if principal := self._by_secret(token):
            return principal
        if (found := await self._tokens.find(token)) is None:
            return None
        self._refuse_elsewhere(found[1])
        return token_principal(*found)

    def _by_secret(self, token: str) -> Principal | None:
        local, till = self._secrets.local, self._secrets.transactions_token
        if local is not None and is_local_token(token, local, self._clock.now()):
            return Principal("this machine", Role.ADMIN, PERMISSIONS[Role.ADMIN])
        if till is not None and secrets.compare_digest(token.encode(), till.encode()):
            return Principal("tills", Role.VIEWER, frozenset({Permission.SEND_TRANSACTIONS}))
        return None

    def _refuse_elsewhere(self, user: User) -> None:
        if not user.sees(self._site_id):
            raise NotPermitted(f"{user.name} may not see {self._site_id}; ask an administrator")


def session_principal(session: SessionRecord, user: User) -> Principal:
    """Return the caller that a session stands for."""
    role = Role(user.role)
    return Principal(
        name=user.name,
        role=role,
        permissions=PERMISSIONS[role],
        user_id=user.user_id,
        csrf_token=session.csrf_token,
    )
