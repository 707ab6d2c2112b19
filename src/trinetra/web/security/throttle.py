"""Delays between logins that fail: by account, by address and by browser.

An account is never locked. A browser that logged in before has a device cookie and a count of its
own, so that guesses from elsewhere do not delay the user (OWASP, Slow Down Online Guessing Attacks
with Device Cookies).
"""

import hashlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from trinetra.events.accounts import FailedLogins
from trinetra.values import Instant

_IPV6_NETWORK = 64
"""Prefix of the network that one subscriber usually has."""


@dataclass(frozen=True, slots=True)
class Delays:
    """Failures without delay; then the delay doubles from one second up to a maximum."""

    free: int
    max_s: float = 300.0
    forgotten_after: timedelta = timedelta(days=1)

    def wait_s(self, failures: FailedLogins, now: Instant) -> float:
        """Return the seconds until the next login is accepted; 0 for at once."""
        if failures.count < self.free or now - failures.last_at >= self.forgotten_after:
            return 0.0
        doublings = min(failures.count - self.free, 32)
        delay = min(2.0**doublings, self.max_s)
        return max(0.0, delay - (now - failures.last_at).total_seconds())


ACCOUNT = Delays(free=5)
ADDRESS = Delays(free=20)
"""More, since the people of a shop often share an address."""


@dataclass(frozen=True, slots=True)
class LoginKeys:
    """Under which keys a login is counted."""

    account: str
    address: str | None

    @classmethod
    def of(cls, name: str, address: str, device: str | None) -> "LoginKeys":
        """Return the keys; ``device`` is that of a browser that this user logged in with."""
        if device is not None:
            return cls(_key("device", device), None)
        return cls(_key("account", name), _key("address", _network(address)))

    @property
    def all(self) -> tuple[str, ...]:
        """All keys."""
        return (self.account,) if self.address is None else (self.account, self.address)

    def wait_s(self, so_far: Mapping[str, FailedLogins], now: Instant) -> float:
        """Return the seconds until the next login is accepted; 0 for at once."""
        delays = {self.account: ACCOUNT, self.address: ADDRESS}
        waits = (delays[key].wait_s(failures, now) for key, failures in so_far.items())
        return max(waits, default=0.0)


def _key(kind: str, what: str) -> str:
    return hashlib.sha256(f"{kind}:{what}".encode()).hexdigest()


def _network(address: str) -> str:
    """Return what one subscriber has: an IPv4 address, or a network of IPv6 addresses."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, _IPV6_NETWORK), strict=False))
    return str(parsed)
