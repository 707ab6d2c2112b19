"""Where a login comes from."""

from dataclasses import dataclass

from fastapi import Request

from trinetra.web.security.sessions import DEVICE, cookie_of


@dataclass(frozen=True, slots=True)
class Visitor:
    """The network address, and the device cookie of the browser."""

    address: str
    device: str | None = None


def visitor_of(request: Request) -> Visitor:
    """Return where a request comes from."""
    return Visitor(request.client.host if request.client else "", cookie_of(request, DEVICE))
