"""The queue and till zones of a site, and the limits for joining their stays into visits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from trinetra.values import CameraId


class ZonePlace(NamedTuple):
    """A zone of a camera."""

    camera_id: CameraId
    zone_id: str


@dataclass(frozen=True, slots=True)
class TillZone:
    """A zone in which people wait for ``tills``, or are served at the only one of them.

    A shorter stay in a queue than ``engaged_after_s`` is not a wait, and a shorter one at a till
    not a service. Raises ValueError for a till zone without exactly one till.
    """

    kind: Literal["queue", "till"]
    tills: frozenset[str]
    engaged_after_s: float

    def __post_init__(self) -> None:
        if self.kind == "till" and len(self.tills) != 1:
            raise ValueError(f"a till zone serves exactly one till, not {sorted(self.tills)}")


@dataclass(frozen=True, slots=True)
class QueuePlan:
    """The queue and till zones of a site, and how their stays are joined; seconds.

    same_person_s: stays of one customer or track less than this apart are one errand at the tills.
    break_s: a person without identity who is seen again after at most this long may be the same.
    overlap_s: how far the stays of one person may overlap, because boxes and zones are inexact.
    party_s: people who join a queue within this time and leave it within it came together.
    """

    zones: Mapping[ZonePlace, TillZone] = field(default_factory=dict)
    same_person_s: float = 300.0
    break_s: float = 20.0
    overlap_s: float = 2.0
    party_s: float = 5.0

    def queues_of(self, till_id: str) -> list[TillZone]:
        """Return the queue zones of a till."""
        zones = self.zones.values()
        return [zone for zone in zones if zone.kind == "queue" and till_id in zone.tills]
