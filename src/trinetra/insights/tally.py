"""Running counts of distinct insights for the terminal, the summary and health details."""

from dataclasses import dataclass, field

from trinetra.events.schema import InsightEvent, LineCrossing, Visit, ZoneStay
from trinetra.values import EventId, IdentityKind


@dataclass(slots=True)
class Tally:
    """Distinct insights so far; updates of an insight already counted do not add.

    Staff are not counted; a person who turns out to be staff is subtracted again, and so is a
    visit that is withdrawn.
    """

    crossings_in: int = 0
    crossings_out: int = 0
    stays: int = 0
    visits: int = 0
    _recent: dict[EventId, bool] = field(default_factory=dict)

    def count(self, event: InsightEvent, max_recent: int = 20_000) -> None:
        """Count an event unless one with the same id was counted recently."""
        if not isinstance(event, LineCrossing | ZoneStay | Visit):
            return
        is_withdrawn = isinstance(event, Visit) and event.withdrawn is True
        counts = event.kind is not IdentityKind.STAFF and not is_withdrawn
        was_counted = self._recent.get(event.event_id, False)
        self._recent[event.event_id] = counts
        if len(self._recent) > max_recent:
            del self._recent[next(iter(self._recent))]
        self._add(event, counts - was_counted)

    def _add(self, event: LineCrossing | ZoneStay | Visit, by: int) -> None:
        if isinstance(event, ZoneStay):
            self.stays += by
        elif isinstance(event, Visit):
            self.visits += by
        elif event.direction == "in":
            self.crossings_in += by
        else:
            self.crossings_out += by
