"""What becomes of a notice: acknowledged by a person, or closed."""

from msgspec.structs import replace

from trinetra.events.alerts import Notice
from trinetra.values import Instant

SYSTEM = "trinetra"
"""Who closes notices whose condition has ended."""


def acknowledged(notice: Notice, by: str, at: Instant) -> Notice:
    """Return the notice as acknowledged; one that is no longer open stays as it is."""
    if notice.state != "open":
        return notice
    return replace(notice, state="acknowledged", by=by, changed_at=at)


def closed(notice: Notice, at: Instant) -> Notice:
    """Return the notice as closed."""
    if notice.state == "closed":
        return notice
    return replace(notice, state="closed", by=notice.by or SYSTEM, changed_at=at)
