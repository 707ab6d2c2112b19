"""Passwords: argon2id hashes (RFC 9106), computed beside the event loop."""

import asyncio
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from trinetra.web.problems import Invalid

MIN_LENGTH, MAX_LENGTH = 12, 256
_AT_ONCE = 2
"""Hashes computed at the same time: each takes 64 MiB."""


class Passwords:
    """Hashes and verifies passwords."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def hashed(self, password: str, name: str) -> str:
        """Return the hash of a new password of a user. Raises Invalid for a weak one."""
        refuse_weak(password, name)
        async with self._slots:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, password: str, known: str | None) -> bool:
        """Return whether a password has this hash; takes as long if there is none."""
        async with self._slots:
            matches = await asyncio.to_thread(self._matches, password, known or self._of_nobody)
        return matches and known is not None

    def is_outdated(self, known: str) -> bool:
        """Return whether a hash has other parameters than new ones."""
        return self._hasher.check_needs_rehash(known)

    @cached_property
    def _of_nobody(self) -> str:
        return self._hasher.hash("no user has this password")

    def _matches(self, password: str, known: str) -> bool:
        try:
            return self._hasher.verify(known, password[:MAX_LENGTH])
        except (VerificationError, InvalidHashError):
            return False


def refuse_weak(password: str, name: str) -> None:
    """Raise Invalid for a password that is too short or easily guessed."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise Invalid(f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters; choose another")
    if name.lower() in password.lower() or len(set(password)) <= MIN_LENGTH // 3:
        raise Invalid(
            "the password contains the user name, or hardly any different characters; "
            "choose another, such as four random words"
        )
