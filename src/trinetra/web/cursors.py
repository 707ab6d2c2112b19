"""Cursors of lists: where the next page begins, opaque to callers."""

import base64
import binascii

from trinetra.web.problems import Invalid

_BETWEEN = "\x1f"


def cursor_of(*parts: str) -> str:
    """Return a cursor for the sort key of a page's last item."""
    return base64.urlsafe_b64encode(_BETWEEN.join(parts).encode()).decode().rstrip("=")


def parts_of(cursor: str, number: int) -> list[str]:
    """Return the sort key in a cursor. Raises Invalid for what is none."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, ValueError) as cause:
        raise not_a_cursor() from cause
    parts = text.split(_BETWEEN)
    if len(parts) != number:
        raise not_a_cursor()
    return parts


def not_a_cursor() -> Invalid:
    """Return the failure for a cursor that no page had."""
    return Invalid("cursor: no page of this list had it; begin without one")
