"""Reads the lines of an event stream (server-sent events, HTML standard, section 9.2)."""

import json
from collections.abc import Iterator

from trinetra.client.models import StreamedEvent


class EventLines:
    """Collects lines until an empty one ends an event; comments and incomplete events are left."""

    def __init__(self) -> None:
        self._fields: dict[str, str] = {}

    def take(self, line: str) -> Iterator[StreamedEvent]:
        """Take a line without its end; yield the event that it completes."""
        if line.startswith(":"):
            return
        if line:
            name, _, value = line.partition(":")
            self._fields[name] = value.removeprefix(" ")
            return
        fields, self._fields = self._fields, {}
        if "data" in fields:
            yield StreamedEvent(
                id=fields.get("id", ""),
                type=fields.get("event", "message"),
                data=json.loads(fields["data"]),
            )
