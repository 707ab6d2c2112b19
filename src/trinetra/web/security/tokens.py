"""API tokens: random, shown once, kept as digests; their scopes are permissions of their user."""

import secrets
from collections.abc import Collection, Sequence
from datetime import timedelta

from trinetra.events.accounts import TokenRecord, User, secret_digest
from trinetra.ports import Clock, TokenStore
from trinetra.web.access import PERMISSIONS, Permission, Principal, Role
from trinetra.web.problems import Invalid, NotFound

_START = "tri_"
_PREFIX_LENGTH = 10
_TOUCH_AFTER = timedelta(minutes=1)
MAX_DAYS = 366


class Tokens:
    """Creates, finds and revokes API tokens."""

    def __init__(self, store: TokenStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(
        self, user: User, name: str, scopes: Collection[Permission], days: int
    ) -> tuple[str, TokenRecord]:
        """Return a new token, which is not kept, and its record.

        Raises Invalid if the user lacks a permission that it names, or for too long a lifetime.
        """
        if lacking := sorted(set(scopes) - PERMISSIONS[Role(user.role)]):
            raise Invalid(f"{user.name} ({user.role}) does not have {', '.join(lacking)}")
        if not scopes:
            raise Invalid("a token needs at least one scope")
        if not 1 <= days <= MAX_DAYS:
            raise Invalid(f"a token is valid for 1 to {MAX_DAYS} days, not {days}")
        token, now = _START + secrets.token_urlsafe(32), self._clock.now()
        record = TokenRecord(
            token_id=secrets.token_hex(8),
            digest=secret_digest(token),
            prefix=token[:_PREFIX_LENGTH],
            name=name,
            user_id=user.user_id,
            scopes=tuple(sorted(set(scopes))),
            created_at=now,
            expires_at=now + timedelta(days=days),
        )
        await self._store.add(record)
        return token, record

    async def find(self, token: str) -> tuple[TokenRecord, User] | None:
        """Return a token that is valid, and its user."""
        if not token.startswith(_START):
            return None
        now, found = self._clock.now(), await self._store.find(secret_digest(token))
        if found is None:
            return None
        record, user = found
        if record.revoked_at or record.expires_at <= now or user.is_disabled:
            return None
        if record.used_at is None or now - record.used_at >= _TOUCH_AFTER:
            await self._store.touch(record.token_id, now)
        return found

    async def of(self, user_id: str | None) -> Sequence[TokenRecord]:
        """Return the tokens of a user, or of all."""
        return await self._store.tokens(user_id)

    async def revoke(self, token_id: str) -> None:
        """Revoke a token. Raises NotFound if there is none that could be revoked."""
        if not await self._store.revoke(token_id, self._clock.now()):
            raise NotFound(f"no token {token_id}, or it was revoked before")


def token_principal(record: TokenRecord, user: User) -> Principal:
    """Return the caller that a token stands for: never more than its user may do now."""
    role = Role(user.role)
    scopes = {Permission(scope) for scope in record.scopes if scope in set(Permission)}
    return Principal(
        name=f"{user.name}, token {record.name}",
        role=role,
        permissions=frozenset(scopes) & PERMISSIONS[role],
        user_id=user.user_id,
    )
