"""Sessions: random ids in cookies, kept on the server as digests, with two lifetimes."""

import secrets
from dataclasses import dataclass
from datetime import timedelta

from fastapi import Request, Response

from trinetra.events.accounts import SessionRecord, User, secret_digest
from trinetra.ports import Clock, SessionStore
from trinetra.values import Instant

_TOUCH_AFTER = timedelta(minutes=1)
_KEPT_EXPIRED = timedelta(days=7)
"""How long an expired session is remembered, so that a form which was open meanwhile can be sent
after a new login of the same user."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long a session lasts without requests, and at most."""

    idle: timedelta = timedelta(hours=8)
    absolute: timedelta = timedelta(days=7)

    def has_expired(self, session: SessionRecord, now: Instant) -> bool:
        """Return whether a session is over."""
        return now - session.seen_at >= self.idle or now - session.created_at >= self.absolute


class Sessions:
    """Starts, finds and ends sessions."""

    def __init__(
        self, store: SessionStore, clock: Clock, lifetimes: Lifetimes | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._lifetimes = lifetimes or Lifetimes()

    async def start(self, user: User, before: str | None) -> str:
        """Return the id of a new session; the one that the browser had ``before`` ends.

        The form token of an earlier session of the same user is kept, so that a form which was
        open when it expired can still be sent.
        """
        now = self._clock.now()
        old = await self._store.find(secret_digest(before)) if before else None
        csrf_token = secrets.token_urlsafe(32)
        if old and before:
            if old[1].user_id == user.user_id:
                csrf_token = old[0].csrf_token
            await self._store.end(secret_digest(before))
        session_id = secrets.token_urlsafe(32)
        session = SessionRecord(
            digest=secret_digest(session_id),
            user_id=user.user_id,
            csrf_token=csrf_token,
            created_at=now,
            seen_at=now,
        )
        await self._store.start(
            session, forget_before=now - self._lifetimes.absolute - _KEPT_EXPIRED
        )
        return session_id

    async def find(self, session_id: str) -> tuple[SessionRecord, User] | None:
        """Return a session that is valid, and its user; extends it."""
        now = self._clock.now()
        found = await self._store.find(secret_digest(session_id))
        if found is None or self._lifetimes.has_expired(found[0], now) or found[1].is_disabled:
            return None
        if now - found[0].seen_at >= _TOUCH_AFTER:
            await self._store.touch(found[0].digest, now)
        return found

    async def end(self, session_id: str) -> None:
        """End a session."""
        await self._store.end(secret_digest(session_id))


SESSION, DEVICE, FLOW = "trinetra_session", "trinetra_device", "trinetra_login"
_DEVICE_AGE_S = 400 * 86_400


def cookie_name(request: Request, name: str) -> str:
    """Return the name of a cookie; under TLS one that no other host can set."""
    return f"__Host-{name}" if is_secure(request) else name


def is_secure(request: Request) -> bool:
    """Return whether the browser reached this server by TLS."""
    return request.url.scheme == "https"


def cookie_of(request: Request, name: str) -> str | None:
    """Return the value of one of our cookies."""
    return request.cookies.get(cookie_name(request, name)) or None


def set_cookie(request: Request, response: Response, name: str, value: str) -> None:
    """Set one of our cookies, which no script can read."""
    response.set_cookie(
        cookie_name(request, name),
        value,
        max_age=_DEVICE_AGE_S if name == DEVICE else None,
        path="/",
        secure=is_secure(request),
        httponly=True,
        samesite="lax",
    )


def delete_cookie(request: Request, response: Response, name: str) -> None:
    """Delete one of our cookies."""
    response.delete_cookie(
        cookie_name(request, name),
        path="/",
        secure=is_secure(request),
        httponly=True,
        samesite="lax",
    )
