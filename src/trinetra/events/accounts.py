"""Records of web access: users, sessions, API tokens, one-time secrets, failed logins.

Session ids, tokens and one-time secrets are stored as digests alone.
"""

import hashlib
from collections.abc import Mapping
from typing import Literal

import msgspec

from trinetra.values import Instant

EVERY_SITE = "*"
Purpose = Literal["first_user", "login", "oidc"]
"""What a one-time secret is for: creating the first user, logging in by a link, or the way back
from an OpenID provider."""


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person who may log in; ``name`` is unique and in lower case.

    ``subject`` is the user's identifier at an OpenID provider, with its issuer. Without a password
    hash no password is accepted.
    """

    user_id: str
    name: str
    role: str
    sites: tuple[str, ...]
    created_at: Instant
    password_hash: str | None = None
    subject: str | None = None
    is_disabled: bool = False

    def sees(self, site_id: str) -> bool:
        """Return whether the user may see a site."""
        return EVERY_SITE in self.sites or site_id in self.sites


class SessionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A login of a user in one browser; ``csrf_token`` is what its changes must repeat."""

    digest: str
    user_id: str
    csrf_token: str
    created_at: Instant
    seen_at: Instant


class TokenRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An API token of a user; ``prefix`` is its beginning, to recognize it by."""

    token_id: str
    digest: str
    prefix: str
    name: str
    user_id: str
    scopes: tuple[str, ...]
    created_at: Instant
    expires_at: Instant
    used_at: Instant | None = None
    revoked_at: Instant | None = None


class OneTimeSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A secret that is accepted once, until it expires; ``payload`` is what it stands for."""

    digest: str
    purpose: Purpose
    expires_at: Instant
    payload: Mapping[str, str] = {}


class FailedLogins(msgspec.Struct, frozen=True):
    """Number of failed logins in a row, and when the last one was."""

    count: int
    last_at: Instant


def secret_digest(secret: str) -> str:
    """Return the digest under which a random secret is stored.

    A fast hash is enough, because the secrets have 256 random bits (unlike passwords).
    """
    return hashlib.sha256(secret.encode()).hexdigest()
