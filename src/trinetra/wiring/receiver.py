"""What takes a changed site file over: a part of a running service."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from trinetra.site import Site


@dataclass(frozen=True, slots=True)
class SiteReceiver:
    """A part of a running service that a changed site file concerns; ``change`` takes it over."""

    name: str
    change: Callable[[Site], Awaitable[None]]
