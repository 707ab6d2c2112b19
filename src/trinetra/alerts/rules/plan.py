"""Which rules apply to a site, where, and from which values on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from trinetra.events.alerts import RuleName, Severity
from trinetra.opening_hours import OpeningHours
from trinetra.values import CameraId, Instant, after

Place = tuple[CameraId, str]
"""A zone or a line of a camera."""


@dataclass(frozen=True, slots=True)
class RulePlan:
    """One rule. ``limit`` is in the unit of the rule: people, seconds, or a share.

    A condition must hold for ``for_s`` before it is told. ``cooldown_s`` is the shortest time
    between two notices about one subject.
    """

    severity: Severity
    cooldown_s: float = 300.0
    limit: float = 0.0
    for_s: float = 0.0


@dataclass(frozen=True, slots=True)
class AlertPlan:
    """The rules in force; a rule that is switched off is not in ``rules``.

    ``queues`` are the zones in which people queue, ``loitering`` those in which staying is noticed,
    ``crowded`` has the limits of other zones; ``tailgating`` and ``one_way`` are lines, the latter
    with the direction that is not allowed. ``live`` are the cameras that never end by
    themselves.
    """

    rules: Mapping[RuleName, RulePlan]
    queues: frozenset[Place] = frozenset()
    loitering: frozenset[Place] = frozenset()
    crowded: Mapping[Place, int] = field(default_factory=dict)
    tailgating: frozenset[Place] = frozenset()
    one_way: Mapping[Place, str] = field(default_factory=dict)
    live: frozenset[CameraId] = frozenset()
    hours: OpeningHours | None = None
    grace_s: float = 1800.0

    def is_after_hours(self, at: Instant) -> bool:
        """Return whether the shop is closed, and has been and will be for the grace time."""
        if self.hours is None:
            return False
        return not self.hours.open_spans(after(at, -self.grace_s), after(at, self.grace_s))
