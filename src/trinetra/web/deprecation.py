"""Announces the end of an endpoint to its callers: headers Deprecation and Sunset.

docs/api.md states the policy; RFC 9745 and RFC 8594 define the headers.
"""

from datetime import UTC, date, datetime, time, timedelta
from email.utils import format_datetime
from typing import Any

from fastapi import Depends, Response

NOTICE = timedelta(days=180)
"""From the announcement to the end of an endpoint, at least."""


def deprecated(since: date, sunset: date, successor: str) -> Any:
    """Return a dependency that announces the end of an endpoint at midnight UTC of ``sunset``.

    ``successor`` is the path to call instead. Add ``deprecated=True`` to the route as well, for
    OpenAPI. Raises ValueError for a notice that is shorter than the policy promises.
    """
    if sunset - since < NOTICE:
        raise ValueError(f"{sunset} is less than {NOTICE.days} days after {since}")
    began, ends = (datetime.combine(day, time(), UTC) for day in (since, sunset))

    def announce(response: Response) -> None:
        response.headers["Deprecation"] = f"@{int(began.timestamp())}"
        response.headers["Sunset"] = format_datetime(ends, usegmt=True)
        response.headers.append("Link", f'<{successor}>; rel="successor-version"')

    return Depends(announce)
