"""How commands on this machine authenticate: they prove that they can read the data folder.

The secret itself is not sent, because another process may be listening on the port: a request
carries the time and its HMAC under the secret, and is accepted for a minute.
"""

import hashlib
import hmac

from trinetra.values import Instant

PREFIX = "local."
_VALID_S = 60


def local_token(secret: bytes, now: Instant) -> str:
    """Return a bearer token that is valid for a minute."""
    seconds = str(int(now.timestamp()))
    return f"{PREFIX}{seconds}.{_mac(secret, seconds)}"


def is_local_token(token: str, secret: bytes, now: Instant) -> bool:
    """Return whether a bearer token was made with this secret within the last minute."""
    seconds, _, mac = token.removeprefix(PREFIX).partition(".")
    if not (token.startswith(PREFIX) and seconds.isascii() and seconds.isdecimal()):
        return False
    is_genuine = hmac.compare_digest(mac.encode(), _mac(secret, seconds).encode())
    return is_genuine and abs(now.timestamp() - int(seconds)) <= _VALID_S


def _mac(secret: bytes, seconds: str) -> str:
    return hmac.new(secret, f"trinetra-local:{seconds}".encode(), hashlib.sha256).hexdigest()
