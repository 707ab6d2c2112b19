"""Addresses that a site file may name: of cameras, and of channels of alerts."""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit


def url_fault(url: str, schemes: Sequence[str]) -> str | None:
    """Return what is wrong with an address, which must have one of these schemes; None if nothing.

    Credentials do not belong into a site file, and so not into an address in it.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "not a valid address"
    if parts.scheme not in schemes:
        *others, last = (f"{scheme}://" for scheme in schemes)
        wanted = f"{', '.join(others)} or {last}" if others else last
        return f"the address must start with {wanted}"
    if "@" in parts.netloc:
        return "the address must not contain credentials"
    if not parts.hostname or re.search(r"\s", url):
        return "not a valid address"
    return None
