"""Users: creating, changing, logging in by password or by a one-time link."""

import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

import msgspec

from trinetra.events.accounts import EVERY_SITE, OneTimeSecret, Purpose, User, secret_digest
from trinetra.ports import AccountStore, Clock, LoginFailureStore, OneTimeStore, SessionStore
from trinetra.web.access import NotAuthenticated, Role
from trinetra.web.problems import Conflict, Invalid, NotFound, TooManyRequests
from trinetra.web.security.oidc import Identity
from trinetra.web.security.passwords import Passwords
from trinetra.web.security.throttle import LoginKeys
from trinetra.web.security.visitor import Visitor

_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
FIRST_USER_VALID = timedelta(hours=24)
LOGIN_LINK_VALID = timedelta(minutes=15)
_MAX_LINKS = 20
_ROLE_TO_KEEP = Role.ADMIN.value


@dataclass(frozen=True, slots=True)
class AccountStores:
    """The stores that accounts need."""

    accounts: AccountStore
    sessions: SessionStore
    one_time: OneTimeStore
    failures: LoginFailureStore


class Accounts:
    """Users and their logins."""

    def __init__(self, stores: AccountStores, passwords: Passwords, clock: Clock) -> None:
        self._stores = stores
        self._passwords = passwords
        self._clock = clock

    async def users(self) -> Sequence[User]:
        """Return all users, by name."""
        return await self._stores.accounts.users()

    async def user(self, user_id: str) -> User:
        """Return a user. Raises NotFound."""
        return _there(await self._stores.accounts.find_user(user_id=user_id), user_id)

    async def named(self, name: str) -> User:
        """Return a user by name. Raises NotFound."""
        return _there(await self._stores.accounts.find_user(name=name.strip().lower()), name)

    async def add(
        self,
        name: str,
        role: Role,
        password: str | None,
        sites: Sequence[str] = (EVERY_SITE,),
        *,
        subject: str | None = None,
    ) -> User:
        """Add a user. Raises Invalid for a bad name or password, Conflict if the name is taken."""
        name = valid_name(name)
        hashed = None if password is None else await self._passwords.hashed(password, name)
        user = self._new_user(name, role, hashed, sites, subject)
        if not await self._stores.accounts.add_user(user):
            raise Conflict(f"the name {name} is taken; choose another")
        return user

    async def change(self, user: User, **changes: object) -> User:
        """Change role, sites or ``is_disabled`` of a user, and end the user's sessions.

        Raises Conflict if no enabled administrator would remain.
        """
        changed = msgspec.structs.replace(user, **changes)
        if not await self._stores.accounts.change_user(changed, keeps_role=_ROLE_TO_KEEP):
            raise Conflict(
                f"nothing was changed: {user.name} is the last administrator, or was changed "
                "meanwhile; make another user an administrator first"
            )
        return changed

    async def set_password(self, user: User, password: str) -> User:
        """Set a user's password, and end the user's sessions. Raises Invalid for a weak one."""
        hashed = await self._passwords.hashed(password, user.name)
        return await self.change(user, password_hash=hashed)

    async def log_in(self, name: str, password: str, visitor: Visitor) -> User:
        """Return the user with this name and password.

        Raises NotAuthenticated, which does not tell whether there is such a user, or
        TooManyRequests after repeated failures.
        """
        name = name.strip().lower()
        keys = LoginKeys.of(name, visitor.address, await self._known_device(name, visitor.device))
        now = self._clock.now()
        failures = self._stores.failures
        wait_s = await failures.attempt(keys.all, now, lambda so_far: keys.wait_s(so_far, now))
        if wait_s > 0:
            raise TooManyRequests(
                f"too many failed logins; try again in {max(1, round(wait_s))} seconds", wait_s
            )
        user = await self._stores.accounts.find_user(name=name)
        known = user.password_hash if user and not user.is_disabled else None
        if not await self._passwords.verify(password, known) or user is None or known is None:
            raise NotAuthenticated("the name or the password is wrong")
        await failures.succeed([keys.account], [keys.address] if keys.address else [])
        return user

    async def log_in_by_provider(self, identity: Identity) -> User:
        """Return the user of an OpenID provider: a new one, or with what changed there since.

        A user of the same name who logs in otherwise stays another one: the new one's name gets an
        addition. Raises NotAuthenticated for a disabled user.
        """
        user = await self._stores.accounts.find_user(subject=identity.subject)
        if user is None:
            return await self._add_of_provider(identity)
        if user.is_disabled:
            raise NotAuthenticated("this user is disabled; ask an administrator")
        if (user.role, user.sites) == (identity.role.value, identity.sites):
            return user
        return await self.change(user, role=identity.role.value, sites=identity.sites)

    async def _add_of_provider(self, identity: Identity) -> User:
        name = _as_name(identity.name)
        taken = await self._stores.accounts.find_user(name=name)
        if taken is not None:
            name = f"{name}-{sha256(identity.subject.encode()).hexdigest()[:8]}"
        return await self.add(name, identity.role, None, identity.sites, subject=identity.subject)

    async def device_cookie(self, user: User) -> str:
        """Return a cookie that proves that a user logged in with this browser."""
        nonce = secrets.token_urlsafe(16)
        return f"{nonce}.{await self._device_mac(user.name, nonce)}"

    async def first_user_link(self) -> str | None:
        """Return the secret of a link to create the first user; None if there is a user."""
        if await self._stores.accounts.users():
            return None
        return await self._link("first_user", FIRST_USER_VALID, {}, at_most=1)

    async def has_first_user_link(self, secret: str) -> bool:
        """Return whether this secret may create the first user."""
        found = await self._stores.one_time.find(
            secret_digest(secret), "first_user", self._clock.now()
        )
        return found is not None

    async def add_first(self, secret: str, name: str, password: str) -> User:
        """Create the first user, an administrator. Raises NotAuthenticated, Invalid or Conflict.

        The secret is used up only if the name and the password are good.
        """
        name = valid_name(name)
        hashed = await self._passwords.hashed(password, name)
        now = self._clock.now()
        if not await self._stores.one_time.take(secret_digest(secret), "first_user", now):
            raise NotAuthenticated(
                "this link has expired or was used; start TRINETRA again for a new one"
            )
        user = self._new_user(name, Role.ADMIN, hashed)
        if not await self._stores.accounts.add_user(user, only_first=True):
            raise Conflict("there is a user already; log in")
        return user

    async def login_link(self, user: User, valid: timedelta = LOGIN_LINK_VALID) -> str:
        """Return the secret of a link that logs in a user once."""
        return await self._link("login", valid, {"user_id": user.user_id}, at_most=_MAX_LINKS)

    async def log_in_by_link(self, secret: str) -> User:
        """Return the user of a one-time link. Raises NotAuthenticated."""
        now = self._clock.now()
        found = await self._stores.one_time.take(secret_digest(secret), "login", now)
        if found is None:
            raise NotAuthenticated("this link has expired or was used; log in")
        user = await self.user(found.payload["user_id"])
        if user.is_disabled:
            raise NotAuthenticated("this user is disabled")
        return user

    def _new_user(
        self,
        name: str,
        role: Role,
        password_hash: str | None,
        sites: Sequence[str] = (EVERY_SITE,),
        subject: str | None = None,
    ) -> User:
        return User(
            user_id=secrets.token_hex(8),
            name=name,
            role=role.value,
            sites=tuple(sites),
            created_at=self._clock.now(),
            password_hash=password_hash,
            subject=subject,
        )

    async def _link(
        self, purpose: Purpose, valid: timedelta, payload: dict[str, str], *, at_most: int
    ) -> str:
        secret, now = secrets.token_urlsafe(32), self._clock.now()
        kept = OneTimeSecret(
            digest=secret_digest(secret),
            purpose=purpose,
            expires_at=now + valid,
            payload=payload,
        )
        await self._stores.one_time.keep(kept, now, at_most=at_most)
        return secret

    async def _known_device(self, name: str, cookie: str | None) -> str | None:
        nonce, _, mac = (cookie or "").partition(".")
        if not mac:
            return None
        is_ours = hmac.compare_digest(mac.encode(), (await self._device_mac(name, nonce)).encode())
        return nonce if is_ours else None

    async def _device_mac(self, name: str, nonce: str) -> str:
        key = await self._stores.one_time.server_key("device", secrets.token_bytes(32))
        return hmac.new(key, f"{name}\n{nonce}".encode(), sha256).hexdigest()


def valid_name(name: str) -> str:
    """Return a user name in lower case. Raises Invalid."""
    lower = name.strip().lower()
    if not _NAME.fullmatch(lower):
        raise Invalid(
            "a user name has up to 64 letters, digits and . _ @ + -, like ravi or ravi@example.com"
        )
    return lower


def _as_name(given: str) -> str:
    """Return a valid user name that is close to what a provider calls a user."""
    cleaned = re.sub(r"[^a-z0-9._@+-]", "-", given.strip().lower())[:55].lstrip("._@+-")
    return cleaned or "user"


def _there(user: User | None, wanted: str) -> User:
    if user is None:
        raise NotFound(f"no user {wanted}")
    return user
