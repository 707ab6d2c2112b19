"""Occupancy reports: a count whenever it changes, at a limited rate."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from trinetra.values import Instant, seconds_between


@dataclass(slots=True)
class OccupancyMeter:
    """Limits the rate of one camera's occupancy reports; zone None is the whole view.

    The first count of a zone is always reported. A change within ``every_s`` of the last report is
    reported at the first frame after that time, if it still differs. After ``end`` the next count
    is again the first.
    """

    every_s: float
    reported: dict[str | None, tuple[int, Instant]] = field(default_factory=dict)

    def step(self, at: Instant, persons: Mapping[str | None, int]) -> list[tuple[str | None, int]]:
        """Return the zones to report now, with their counts."""
        due = [(zone, count) for zone, count in persons.items() if self._is_due(zone, count, at)]
        self.reported.update({zone: (count, at) for zone, count in due})
        return due

    def end(self, but: Collection[str | None] = ()) -> list[str | None]:
        """Drop the reported zones except these, and return them."""
        ended = [zone for zone in self.reported if zone not in but]
        for zone in ended:
            del self.reported[zone]
        return ended

    def _is_due(self, zone: str | None, count: int, at: Instant) -> bool:
        if zone not in self.reported:
            return True
        before, since = self.reported[zone]
        return count != before and seconds_between(since, at) >= self.every_s
