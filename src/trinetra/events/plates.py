"""Keeps license plates secret in events: encrypted on the way to the resolver, then a pseudonym.

Only worker and resolver hold the plate key of a site. Both functions depend on nothing else than
key and text, so a frame that is delivered again results in the same event. Two equal readings have
equal ciphertexts, which reveals no more than the pseudonym does.
"""

import hashlib
import hmac
from typing import NewType

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from trinetra.errors import ConfigurationError, MalformedEvent

PlateId = NewType("PlateId", str)
"""Pseudonym of a plate at one site: ``plt_`` and 32 hexadecimal digits."""
MIN_SECRET_BYTES = 16
_MAX_SEALED_BYTES = 256
_LEVELS = 255
"""A probability is stored as one byte."""


class PlateCharacters(msgspec.Struct, frozen=True, array_like=True):
    """The characters of one reading, and the probability of each, 0..255."""

    text: str
    levels: bytes

    @classmethod
    def of(cls, text: str, confidences: tuple[float, ...]) -> "PlateCharacters":
        """Return a reading; raises ValueError unless every character has a probability."""
        if len(text) != len(confidences):
            raise ValueError(f"{len(text)} characters have {len(confidences)} probabilities")
        return cls(text, bytes(round(min(1.0, max(0.0, c)) * _LEVELS) for c in confidences))

    @property
    def confidences(self) -> tuple[float, ...]:
        """The probability of each character."""
        return tuple(level / _LEVELS for level in self.levels)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(PlateCharacters)


class PlateKey:
    """The secret of one site, from which the keys for its plates are derived.

    Raises ConfigurationError for a secret that could be guessed.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) < MIN_SECRET_BYTES:
            raise ConfigurationError(
                f"the plate key has {len(secret)} bytes; it needs at least {MIN_SECRET_BYTES}: set "
                "TRINETRA_PLATE_KEY to the output of 'openssl rand -hex 32'"
            )
        self._secret = secret
        self._cipher = AESSIV(_derived(secret, b"seal"))
        self._pseudonyms = _derived(secret, b"pseudonym")

    def __reduce__(self) -> tuple[type["PlateKey"], tuple[bytes]]:
        """Let the key pass to another process of this machine."""
        return PlateKey, (self._secret,)

    def seal(self, read: PlateCharacters) -> bytes:
        """Return a reading encrypted and authenticated (AES-SIV, RFC 5297)."""
        return self._cipher.encrypt(_encoder.encode(read), None)

    def unseal(self, sealed: bytes) -> PlateCharacters:
        """Return a reading; raises MalformedEvent if it was sealed with another key or damaged."""
        try:
            if len(sealed) > _MAX_SEALED_BYTES:
                raise MalformedEvent(f"a plate of {len(sealed)} bytes is none")
            read = _decoder.decode(self._cipher.decrypt(sealed, None))
        except (InvalidTag, ValueError, msgspec.MsgspecError) as cause:
            raise MalformedEvent(
                "a plate was sealed with another key: give every worker and resolver of the site "
                "the same TRINETRA_PLATE_KEY"
            ) from cause
        if len(read.text) != len(read.levels):
            raise MalformedEvent("a plate has not one probability for each character")
        return read

    def pseudonym(self, text: str) -> PlateId:
        """Return the pseudonym of a plate, which only holders of the key can compute."""
        digest = hmac.new(self._pseudonyms, text.encode(), hashlib.sha256).hexdigest()
        return PlateId(f"plt_{digest[:32]}")


def _derived(secret: bytes, purpose: bytes) -> bytes:
    return hashlib.blake2b(secret, person=purpose, digest_size=64).digest()
