"""Tamper-evident receipts, signed with Ed25519 (RFC 8032).

The key is generated when it is first needed. Every receipt contains the public key, which shows
whether two receipts come from the same installation.
"""

import os
from pathlib import Path
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from trinetra.adapters.disk.private_folder import explained, make_private, write_all
from trinetra.errors import ConfigurationError

_KEY_FILE = "receipts.key"
_WHAT = "key of the receipts"


class Signed(msgspec.Struct, frozen=True):
    """A receipt with its signature and public key, both in hexadecimal."""

    receipt: dict[str, Any]
    public_key: str
    signature: str


def signing_key(folder: Path) -> Ed25519PrivateKey:
    """Return the installation's private key; generate it at first use, readable only by its owner.

    Raises ConfigurationError when the file is not a key, StorageFull when it cannot be stored.
    """
    path = folder / _KEY_FILE
    with explained(_WHAT, folder):
        make_private(folder)
        if not path.exists():
            # Written to a temporary file and then linked: unlike a rename, a link cannot replace
            # the key of another process, which may have signed with it already.
            part = path.with_suffix(f".{os.getpid()}")
            file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                write_all(file, Ed25519PrivateKey.generate().private_bytes_raw())
                os.fsync(file)
            finally:
                os.close(file)
            try:
                os.link(part, path)
            except FileExistsError:
                pass  # another process was faster; its key is used
            finally:
                part.unlink()
    return _read(path)


def known_key(folder: Path) -> str | None:
    """Return the installation's public key in hexadecimal, or None if it has none yet.

    Raises ConfigurationError when the file is not a key.
    """
    path = folder / _KEY_FILE
    return _public(_read(path)) if path.exists() else None


def _read(path: Path) -> Ed25519PrivateKey:
    with explained(_WHAT, path.parent):
        secret = path.read_bytes()
    try:
        return Ed25519PrivateKey.from_private_bytes(secret)
    except ValueError as cause:
        raise ConfigurationError(
            f"{path} is not a signing key; restore a backup, or remove the file to generate a new "
            "key: receipts signed with the old key can still be checked"
        ) from cause


def sign(receipt: dict[str, Any], key: Ed25519PrivateKey) -> Signed:
    """Return the receipt with its signature."""
    signature = key.sign(_bytes_of(receipt)).hex()
    return Signed(receipt, _public(key), signature)


def check(path: Path) -> Signed:
    """Return the verified receipt in a file. Raises ConfigurationError if changed or invalid."""
    try:
        signed = msgspec.json.decode(path.read_bytes(), type=Signed)
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signed.public_key))
        key.verify(bytes.fromhex(signed.signature), _bytes_of(signed.receipt))
    except OSError as cause:
        raise ConfigurationError(f"{path} cannot be read: {cause.strerror}") from cause
    except InvalidSignature as cause:
        raise ConfigurationError(f"{path} was changed after it was signed") from cause
    except (msgspec.DecodeError, ValueError) as cause:
        raise ConfigurationError(f"{path} is not a receipt: {cause}") from cause
    return signed


def _public(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()


def _bytes_of(receipt: dict[str, Any]) -> bytes:
    return msgspec.json.encode(receipt, order="deterministic")
