"""Where a webhook may connect to: public addresses, unless its channel allows private ones.

The address that was checked is the one that is connected to. Otherwise a name could resolve to a
public address when it is checked and to one of this network right after (DNS rebinding).
"""

import asyncio
import ipaddress
import socket

from trinetra.errors import DeliveryFailed

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: Address) -> bool:
    """Return whether an address is reached over the internet, also one inside another."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is None and address.teredo is not None:
            inner = address.teredo[1]
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast


async def resolve(host: str, port: int, *, allow_private: bool) -> Address:
    """Return the address to connect to. Raises DeliveryFailed."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as cause:
        raise DeliveryFailed(f"the name {host} cannot be resolved: {cause.strerror}") from cause
    except UnicodeError as cause:
        raise DeliveryFailed(f"{host} is not a valid host name") from cause
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    usable = [address for address in addresses if allow_private or is_public(address)]
    if not usable:
        raise DeliveryFailed(
            f"{host} is in a private network ({addresses[0]}): set allow_private: true on the "
            "channel if that is meant"
        )
    return usable[0]
